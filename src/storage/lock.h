// SPDX-License-Identifier: Apache-2.0
// One process at a time in a folder: a file of it that is locked for as long as the process holds it. A process that
// dies lets go of it. Where the file system has no locks, NAME.holder beside it names the process (marker.h), and the
// log says so.
#ifndef TITAN_STORAGE_LOCK_H
#define TITAN_STORAGE_LOCK_H

#include "base/status.h"

typedef struct titan_lock titan_lock;

typedef enum titan_lock_file {
  TITAN_LOCK_KEEP,     // is made where it is missing, and stays
  TITAN_LOCK_REMOVE,   // is made where it is missing; one that was made here goes with the lock
  TITAN_LOCK_EXISTING, // where it is missing nobody holds the folder, and there is nothing to lock: *out is NULL
} titan_lock_file;

// Not collective. Locks the file `name` of the folder. *held: whether another process has it; then *out is NULL.
// TITAN_ERROR_OUTPUT when the file cannot be opened, and, without locks, when a process of another host has the folder.
titan_status titan_lock_take(const char *folder, const char *name, titan_lock_file file, titan_lock **out, bool *held);
// Not collective. Whether no process holds the folder, for sure: the file is there, has no lock, and no marker stands
// for one. Where the file system's locks do not reach other hosts, this is true of this host alone.
bool titan_lock_is_free(const char *folder, const char *name);
// NULL handle is fine; the handle becomes NULL.
void titan_lock_release(titan_lock **lock);

#endif
