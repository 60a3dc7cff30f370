// SPDX-License-Identifier: Apache-2.0
// The part of a file that is not tensors: attributes and small datasets. The caller holds titan_hdf5_lock. Negative on
// failure.
#ifndef TITAN_CHECKPOINT_CONTENTS_H
#define TITAN_CHECKPOINT_CONTENTS_H

#include "checkpoint/file.h"

#include <hdf5.h>

// The group /model must exist.
herr_t titan_checkpoint_contents_write(hid_t file, const titan_checkpoint_contents *contents);
// Into `file`, which owns what is allocated, also on failure. *lacking names what was not found.
herr_t titan_checkpoint_contents_read(hid_t hdf5, titan_checkpoint_file *file, const char **lacking);

// Upper bound of what they take in the file.
uint64_t titan_checkpoint_contents_bytes(const titan_checkpoint_contents *contents);

#endif
