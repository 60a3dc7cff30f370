// SPDX-License-Identifier: Apache-2.0
// Attributes and small datasets of an HDF5 file, in few words. The caller holds titan_hdf5_lock. Every function gives a
// negative value on failure; what the object is missing or has another shape is a failure too.
#ifndef TITAN_CHECKPOINT_VALUES_H
#define TITAN_CHECKPOINT_VALUES_H

#include "weights/number.h"

#include <hdf5.h>

// The type of tensor elements in the file; the caller closes it. bfloat16 is a float of 16 bits with 8 of exponent.
hid_t titan_values_type(titan_number number);
// The number whose type equals `type`; negative when it is another one.
int titan_values_number(hid_t type);

// Datasets and groups carry no times: equal runs give equal files.
hid_t titan_values_create_group(hid_t file, const char *path);
// A contiguous dataset with its place in the file decided at once, and nothing written to it.
hid_t titan_values_create_dataset(hid_t file, const char *path, hid_t type, int rank, const hsize_t *dims);

herr_t titan_values_put_text(hid_t object, const char *name, const char *text);
herr_t titan_values_put_int(hid_t object, const char *name, int64_t value);
herr_t titan_values_put_unsigned(hid_t object, const char *name, uint64_t value);
herr_t titan_values_put_float(hid_t object, const char *name, double value);
// A dataset [rows,columns] ([rows] when columns is 0) of int64, uint64 or double, as `type` (a native type) says.
herr_t titan_values_put_array(hid_t file, const char *path, hid_t type, int64_t rows, int64_t columns,
                              const void *values);

// *text: titan_memory_allocate'd, the caller's.
herr_t titan_values_get_text(hid_t object, const char *name, char **text);
herr_t titan_values_get_int(hid_t object, const char *name, int64_t *value);
herr_t titan_values_get_unsigned(hid_t object, const char *name, uint64_t *value);
herr_t titan_values_get_float(hid_t object, const char *name, double *value);
// *values: the whole dataset, [*rows,columns] ([*rows] when columns is 0), 8 bytes each; the caller's.
herr_t titan_values_get_array(hid_t file, const char *path, hid_t type, int64_t columns, int64_t *rows, void *values);
// Where the rows of a contiguous dataset of 64-bit numbers lie in the file; *number: its attribute `attribute` (NULL:
// none is read).
herr_t titan_values_find_table(hid_t file, const char *path, int64_t columns, const char *attribute, int64_t *number,
                               int64_t *rows, uint64_t *offset);

#endif
