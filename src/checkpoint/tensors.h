// SPDX-License-Identifier: Apache-2.0
// The datasets that hold tensors. The caller holds titan_hdf5_lock.
#ifndef TITAN_CHECKPOINT_TENSORS_H
#define TITAN_CHECKPOINT_TENSORS_H

#include "checkpoint/file.h"

#include <hdf5.h>

// Makes the groups and the datasets, and sets the tensors' offsets. Negative on failure.
herr_t titan_checkpoint_tensors_create(hid_t hdf5, int count, titan_checkpoint_tensor *tensors);

// Finds them in file->tensors, in the order of their attribute "index". TITAN_ERROR_CHECKPOINT for anything in the
// groups that is no such dataset.
titan_status titan_checkpoint_tensors_read(hid_t hdf5, titan_checkpoint_file *file);

#endif
