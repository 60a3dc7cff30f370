// SPDX-License-Identifier: Apache-2.0
// The length of a dataset, set in a file that is not open: HDF5's own way marks the file as being written for as long
// as it is open, and after a kill for good.
#ifndef TITAN_OBSERVE_HDF5_EXTENT_H
#define TITAN_OBSERVE_HDF5_EXTENT_H

#include "base/status.h"

#include <stdint.h>

enum { TITAN_HDF5_HEADER_BYTES = 512 };

// The first chunk of a dataset's object header (version 2), as it is in the file.
typedef struct titan_hdf5_extent {
  uint64_t address;                              // in the file
  uint32_t length;                               // with its checksum
  uint32_t offset;                               // of the first dimension's size
  unsigned char header[TITAN_HDF5_HEADER_BYTES]; // a copy
} titan_hdf5_extent;

// Not collective. Reads the object header at `address` of an open file. TITAN_ERROR_OUTPUT where it is no header of
// version 2 of a dataset of one dimension, or is longer than TITAN_HDF5_HEADER_BYTES.
titan_status titan_hdf5_extent_find(int descriptor, uint64_t address, titan_hdf5_extent *out);

// Not collective. Makes the dataset `size` elements long, with one write: whoever reads the file finds the old length
// or the new one. 0, or the system's error number; a write that failed may be repeated.
int titan_hdf5_extent_set(int descriptor, titan_hdf5_extent *extent, uint64_t size);

#endif
