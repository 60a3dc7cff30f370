// SPDX-License-Identifier: Apache-2.0
// Output folders.
#ifndef TITAN_STORAGE_FOLDER_H
#define TITAN_STORAGE_FOLDER_H

#include "base/status.h"

#include <stdint.h>

enum { TITAN_FOLDER_BYTES = 4096 };

// Not collective. The folder that the file `path` lies in: "a/b/" of a/b/file, "." without a slash, and of a longer
// path than any file has.
void titan_folder_of(const char *path, char folder[TITAN_FOLDER_BYTES]);

// Not collective. Makes the folder `path` and those above it that are missing; one that exists is fine. Any rank may
// call it, several at once too. TITAN_ERROR_OUTPUT with the folder at fault and the system's reason.
titan_status titan_folder_create(const char *path);

// As above, for the folder that the file `path` lies in.
titan_status titan_folder_create_for(const char *path);

// As titan_folder_create and titan_folder_create_for. *made gets a bit for each folder that was missing, the lowest for
// the first part of the path (parts beyond 64 are not noted), also on failure.
titan_status titan_folder_create_noting(const char *path, uint64_t *made);
titan_status titan_folder_create_for_noting(const char *path, uint64_t *made);
// Removes those of `path` that were noted, as far as they are empty.
void titan_folder_remove_noted(const char *path, uint64_t made);

#endif
