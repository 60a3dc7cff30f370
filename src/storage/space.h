// SPDX-License-Identifier: Apache-2.0
// Room on the file system, asked for before files are written. When writing fails inside HDF5 (1.10.8), its file cannot
// be closed and the process crashes when it ends; so a full disk, a quota or a file system gone read-only is found out
// here.
#ifndef TITAN_STORAGE_SPACE_H
#define TITAN_STORAGE_SPACE_H

#include "base/status.h"

#include <stdint.h>

// Makes the file `path`, empty. Nothing of that name may be there, not even a symbolic link: TITAN_ERROR_OUTPUT with
// `label` (the name the user knows the file by) and the system's reason.
titan_status titan_space_make_file(const char *path, const char *label);

// Makes sure that `bytes` bytes can be written to the file `path`, which is empty, and is so afterwards.
// TITAN_ERROR_OUTPUT with `label` and the system's reason.
titan_status titan_space_check_new(const char *path, const char *label, uint64_t bytes);

// Makes sure that the existing file can be written and grow by `bytes` bytes; leaves its contents as they are.
// TITAN_ERROR_OUTPUT with the path and the system's reason.
titan_status titan_space_check_growth(const char *path, uint64_t bytes);

// Makes sure that a file of `bytes` bytes may be written at `path`: the process's limit on the size of a file, and the
// free space of the file system that the folder lies on, of which nothing is taken. TITAN_ERROR_OUTPUT with `label`.
titan_status titan_space_check_free(const char *path, const char *label, uint64_t bytes);

// Bytes that the file system of an existing folder has left for this user; 0 where it does not say.
uint64_t titan_space_left(const char *folder);

// Takes the room that the existing file `path` needs to hold `bytes` bytes, where the file system offers that; its
// length and contents stay. TITAN_ERROR_OUTPUT with `label` and the system's reason.
titan_status titan_space_reserve(const char *path, const char *label, uint64_t bytes);

#endif
