// SPDX-License-Identifier: Apache-2.0
// Names of files.
#ifndef TITAN_STORAGE_PATH_H
#define TITAN_STORAGE_PATH_H

#include "base/text.h"

// Appends "<folder>/<name>" to *path; an absolute name stands alone. Every path that is made of two options, or of an
// option and a name, comes from here.
titan_status titan_path_join(titan_text *path, const char *folder, const char *name);

#endif
