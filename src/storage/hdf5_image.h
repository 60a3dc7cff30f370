// SPDX-License-Identifier: Apache-2.0
// An HDF5 file in memory, of which only the parts that were written take room: the caller brings them to the disk, or
// from there. A failure of the disk then never happens inside HDF5, which (1.10.8) cannot close a file that it
// cannot write, and crashes when the process ends. Space that is given to datasets and not written costs nothing, so
// the structure of a file of any size is made here. titan_hdf5_image_access, and HDF5 on an open image, want
// titan_hdf5_lock; the rest calls no HDF5.
#ifndef TITAN_STORAGE_HDF5_IMAGE_H
#define TITAN_STORAGE_HDF5_IMAGE_H

#include "base/status.h"

#include <hdf5.h>
#include <stdint.h>

enum { TITAN_HDF5_PAGE_BYTES = 4096 }; // the unit in which parts are kept

typedef struct titan_hdf5_image titan_hdf5_image;

// Not collective. `bytes`: what HDF5 will write at most, about; so much memory is taken now, and as much is seen to be
// there for HDF5 itself, so that it does not run out of it halfway. TITAN_ERROR_MEMORY.
titan_status titan_hdf5_image_create(uint64_t bytes, titan_hdf5_image **out);

// Not collective. Puts bytes of a file that is there into the image, from which H5Fopen then reads; what is not put in
// is zero. TITAN_ERROR_MEMORY.
titan_status titan_hdf5_image_put(titan_hdf5_image *image, uint64_t offset, const void *data, size_t bytes);
// The length of that file.
void titan_hdf5_image_set_length(titan_hdf5_image *image, uint64_t length);

// The access list with which H5Fcreate makes the file in the image, or H5Fopen finds it there. A negative value on
// failure; the caller closes it.
hid_t titan_hdf5_image_access(titan_hdf5_image *image);

// Once the file is closed: its length, and its pages that were written, in order.
uint64_t titan_hdf5_image_length(const titan_hdf5_image *image);
int64_t titan_hdf5_image_page_count(const titan_hdf5_image *image);
const void *titan_hdf5_image_page(const titan_hdf5_image *image, int64_t index, uint64_t *offset);

// Not collective. Writes those pages to a file; its length is the caller's matter. 0, or the errno of the write that
// failed.
int titan_hdf5_image_write(const titan_hdf5_image *image, int descriptor);

// NULL handle is fine; the handle becomes NULL. The memory of a file that HDF5 could not close stays with HDF5.
void titan_hdf5_image_destroy(titan_hdf5_image **image);

#endif
