// SPDX-License-Identifier: Apache-2.0
// What is in the way of a file is moved out of it.
#ifndef TITAN_STORAGE_ASIDE_H
#define TITAN_STORAGE_ASIDE_H

#include "base/text.h"

// Not collective. Renames what is at `path`, whatever it is, to the first name that is free of out/metrics.1.h5,
// out/metrics.2.h5, ... (for out/metrics.h5). `kept`, which comes in empty, gets the new name; where nothing is at the
// path it stays empty. TITAN_ERROR_OUTPUT with both names and the system's reason.
titan_status titan_set_aside(const char *path, titan_text *kept);

#endif
