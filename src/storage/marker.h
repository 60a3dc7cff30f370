// SPDX-License-Identifier: Apache-2.0
// A file that says which process holds a folder, where the file system has no locks. It is made by one atomic step
// (link), so that of several processes one gets it, and stays when its process is killed: who comes later and runs on
// the same host sees that the process is gone, and takes the file over.
#ifndef TITAN_STORAGE_MARKER_H
#define TITAN_STORAGE_MARKER_H

#include "base/status.h"

// Not collective. Makes the file `path` for this process. *held: whether a living process of this host has it.
// TITAN_ERROR_OUTPUT when it cannot be made, or when a process of another host has it, which cannot be looked at from
// here; the message then says how to go on.
titan_status titan_marker_take(const char *path, bool *held);
// Removes the file where it is still this process's.
void titan_marker_release(const char *path);

#endif
