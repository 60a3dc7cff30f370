// SPDX-License-Identifier: Apache-2.0
// Stripes of a new file on Lustre: over how many storage targets its bytes go.
#ifndef TITAN_CHECKPOINT_STRIPES_H
#define TITAN_CHECKPOINT_STRIPES_H

#include "base/status.h"
#include "base/text.h"

#include <stdint.h>

// Storage targets for a file of so many bytes, as NERSC advises for files that many ranks write: 8 from 1 GiB, 24 from
// 10 GiB, 72 from 100 GiB; 0 for a smaller file, which the file system's default serves. Lustre takes fewer where it
// has fewer.
int titan_checkpoint_stripes(uint64_t bytes);

// Not collective. Appends to *out the hints with which MPI-IO shall make the file `path`: `hints` (NULL: none), and on
// Lustre its stripes, unless `hints` names stripes. TITAN_ERROR_MEMORY.
titan_status titan_checkpoint_stripes_add(const char *path, uint64_t bytes, const char *hints, titan_text *out);

#endif
