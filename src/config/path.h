// SPDX-License-Identifier: Apache-2.0
// "~" and "${NAME}" in paths of options.
#ifndef TITAN_CONFIG_PATH_H
#define TITAN_CONFIG_PATH_H

#include "base/text.h"

// Appends `path` with "~" at its beginning (alone or before "/") replaced by the home folder, and each "${NAME}" by
// that variable of the environment. "~name" and "$NAME" stay as they are. Where this cannot be done, *problem gets a
// text that says why, and *out is not to be used. Not collective.
titan_status titan_path_expand(const char *path, titan_text *out, titan_text *problem);

// The same for paths with commas between them.
titan_status titan_path_expand_list(const char *paths, titan_text *out, titan_text *problem);

#endif
