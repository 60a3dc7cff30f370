// SPDX-License-Identifier: Apache-2.0
// HDF5's own error text in messages of ours. Private to the folders that write HDF5 files.
#ifndef TITAN_STORAGE_HDF5_H
#define TITAN_STORAGE_HDF5_H

#include "base/status.h"

#include <hdf5.h>

// Keeps HDF5 from printing its error stack on stderr; its text goes into our messages. To be called before the first
// HDF5 call. HDF5 is not thread-safe: one thread of a process may be inside it at a time.
void titan_hdf5_quiet(void);

// Every HDF5 call of the program is made between these two, by whichever thread: checkpoints are written by a thread of
// their own while the training goes on. A thread may lock several times; nothing else is waited for meanwhile that
// another thread of this process has to do.
void titan_hdf5_lock(void);
void titan_hdf5_unlock(void);

// Stores "<what> <path>: <reason>", with the innermost reason of the latest HDF5 call that failed, as this
// thread's message. Returns `status`.
titan_status titan_hdf5_error_at(titan_status status, const char *file, int line, const char *what, const char *path);
#define titan_hdf5_error(status, what, path) titan_hdf5_error_at((status), __FILE__, __LINE__, (what), (path))

// Whether, since this was asked last, a call of this thread failed because the system did not read or write, or gave no
// memory: such a failure says nothing about what a file holds.
bool titan_hdf5_system_failed(void);

#endif
