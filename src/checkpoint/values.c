// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/values.h"

#include "base/memory.h"

#include <string.h>

hid_t titan_values_type(titan_number number) {
  if (number == TITAN_NUMBER_FLOAT32)
    return H5Tcopy(H5T_IEEE_F32LE);
  size_t exponent = number == TITAN_NUMBER_BFLOAT16 ? 8 : 5, fraction = 15 - exponent;
  hid_t type = H5Tcopy(H5T_IEEE_F32LE);
  if (type < 0 || (H5Tset_fields(type, 15, fraction, exponent, 0, fraction) >= 0 && H5Tset_precision(type, 16) >= 0 &&
                   H5Tset_ebias(type, ((size_t)1 << (exponent - 1)) - 1) >= 0 && H5Tset_size(type, 2) >= 0))
    return type;
  H5Tclose(type);
  return -1;
}

int titan_values_number(hid_t type) {
  for (int number = TITAN_NUMBER_FLOAT32; number <= TITAN_NUMBER_FLOAT16; number++) {
    hid_t known = titan_values_type((titan_number)number);
    htri_t equal = known < 0 ? -1 : H5Tequal(type, known);
    if (known >= 0)
      H5Tclose(known);
    if (equal > 0)
      return number;
  }
  return -1;
}

hid_t titan_values_create_group(hid_t file, const char *path) {
  return H5Gcreate2(file, path, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
}

hid_t titan_values_create_dataset(hid_t file, const char *path, hid_t type, int rank, const hsize_t *dims) {
  hid_t space = H5Screate_simple(rank, dims, NULL), layout = H5Pcreate(H5P_DATASET_CREATE), dataset = -1;
  if (space >= 0 && layout >= 0 && H5Pset_layout(layout, H5D_CONTIGUOUS) >= 0 &&
      H5Pset_alloc_time(layout, H5D_ALLOC_TIME_EARLY) >= 0 && H5Pset_fill_time(layout, H5D_FILL_TIME_NEVER) >= 0 &&
      H5Pset_obj_track_times(layout, 0) >= 0)
    dataset = H5Dcreate2(file, path, type, space, H5P_DEFAULT, layout, H5P_DEFAULT);
  if (layout >= 0)
    H5Pclose(layout);
  if (space >= 0)
    H5Sclose(space);
  return dataset;
}

// A scalar attribute.
static herr_t put(hid_t object, const char *name, hid_t file_type, hid_t memory_type, const void *value) {
  hid_t space = H5Screate(H5S_SCALAR);
  hid_t attribute = space < 0 ? -1 : H5Acreate2(object, name, file_type, space, H5P_DEFAULT, H5P_DEFAULT);
  herr_t result = attribute < 0 ? -1 : H5Awrite(attribute, memory_type, value);
  if (attribute >= 0 && H5Aclose(attribute) < 0)
    result = -1;
  if (space >= 0)
    H5Sclose(space);
  return result;
}

herr_t titan_values_put_text(hid_t object, const char *name, const char *text) {
  hid_t type = H5Tcopy(H5T_C_S1);
  herr_t result = type < 0 ? -1 : H5Tset_size(type, strlen(text) + 1);
  if (result >= 0)
    result = H5Tset_cset(type, H5T_CSET_UTF8);
  if (result >= 0)
    result = put(object, name, type, type, text);
  if (type >= 0)
    H5Tclose(type);
  return result;
}

herr_t titan_values_put_int(hid_t object, const char *name, int64_t value) {
  return put(object, name, H5T_STD_I64LE, H5T_NATIVE_INT64, &value);
}
herr_t titan_values_put_unsigned(hid_t object, const char *name, uint64_t value) {
  return put(object, name, H5T_STD_U64LE, H5T_NATIVE_UINT64, &value);
}
herr_t titan_values_put_float(hid_t object, const char *name, double value) {
  return put(object, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, &value);
}

herr_t titan_values_put_array(hid_t file, const char *path, hid_t type, int64_t rows, int64_t columns,
                              const void *values) {
  hsize_t dims[2] = {(hsize_t)rows, (hsize_t)columns};
  hid_t dataset = titan_values_create_dataset(file, path, type, columns > 0 ? 2 : 1, dims);
  if (dataset < 0)
    return -1;
  herr_t result = rows > 0 ? H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) : 0;
  return H5Dclose(dataset) < 0 ? -1 : result;
}

// Whether an attribute has one element: what is read of it has room for no more.
static bool is_single(hid_t attribute) {
  hid_t space = H5Aget_space(attribute);
  bool single = space >= 0 && H5Sget_simple_extent_npoints(space) == 1;
  if (space >= 0)
    H5Sclose(space);
  return single;
}

// Reads a scalar attribute whose type is of the class.
static herr_t get(hid_t object, const char *name, H5T_class_t class, hid_t memory_type, void *value) {
  hid_t attribute = H5Aexists(object, name) > 0 ? H5Aopen(object, name, H5P_DEFAULT) : -1;
  if (attribute < 0)
    return -1;
  hid_t type = H5Aget_type(attribute);
  herr_t result = -1;
  if (type >= 0 && H5Tget_class(type) == class && is_single(attribute))
    result = H5Aread(attribute, memory_type, value);
  if (type >= 0)
    H5Tclose(type);
  H5Aclose(attribute);
  return result;
}

herr_t titan_values_get_text(hid_t object, const char *name, char **text) {
  *text = NULL;
  hid_t attribute = H5Aexists(object, name) > 0 ? H5Aopen(object, name, H5P_DEFAULT) : -1;
  if (attribute < 0)
    return -1;
  hid_t type = H5Aget_type(attribute);
  size_t size = type < 0 || H5Tget_class(type) != H5T_STRING || H5Tis_variable_str(type) > 0 ? 0 : H5Tget_size(type);
  herr_t result = -1;
  if (size > 0 && is_single(attribute) &&
      titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, size + 1, 1, text) == TITAN_OK)
    result = H5Aread(attribute, type, *text);
  if (type >= 0)
    H5Tclose(type);
  H5Aclose(attribute);
  return result;
}

herr_t titan_values_get_int(hid_t object, const char *name, int64_t *value) {
  return get(object, name, H5T_INTEGER, H5T_NATIVE_INT64, value);
}
herr_t titan_values_get_unsigned(hid_t object, const char *name, uint64_t *value) {
  return get(object, name, H5T_INTEGER, H5T_NATIVE_UINT64, value);
}
herr_t titan_values_get_float(hid_t object, const char *name, double *value) {
  return get(object, name, H5T_FLOAT, H5T_NATIVE_DOUBLE, value);
}

// Rows of a dataset that has the columns; negative when it has another shape.
static int64_t rows_of(hid_t dataset, int64_t columns) {
  hsize_t dims[2] = {0, 0};
  hid_t space = H5Dget_space(dataset);
  int rank = space < 0 ? -1 : H5Sget_simple_extent_ndims(space);
  bool fits = rank == (columns > 0 ? 2 : 1) && H5Sget_simple_extent_dims(space, dims, NULL) == rank &&
              (int64_t)dims[1] == columns;
  if (space >= 0)
    H5Sclose(space);
  return fits && dims[0] < (hsize_t)1 << 40 ? (int64_t)dims[0] : -1;
}

herr_t titan_values_get_array(hid_t file, const char *path, hid_t type, int64_t columns, int64_t *rows, void *values) {
  *(void **)values = NULL;
  hid_t dataset = H5Dopen2(file, path, H5P_DEFAULT);
  if (dataset < 0)
    return -1;
  herr_t result = -1;
  *rows = rows_of(dataset, columns);
  // A dataset that claims more than the file holds of it would be read as that many fill values.
  if (*rows > 0 && H5Dget_storage_size(dataset) < (hsize_t)*rows * (hsize_t)(columns > 0 ? columns : 1) * 8)
    *rows = -1;
  if (*rows >= 0 && titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, (size_t)(*rows * (columns > 0 ? columns : 1)), 8,
                                                 values) == TITAN_OK)
    result = *rows > 0 ? H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, *(void **)values) : 0;
  H5Dclose(dataset);
  return result;
}

// Whether its numbers lie one after another in the file, 8 bytes each.
static bool is_contiguous(hid_t dataset) {
  hid_t type = H5Dget_type(dataset), layout = H5Dget_create_plist(dataset);
  bool good = type >= 0 && layout >= 0 && H5Tget_class(type) == H5T_INTEGER && H5Tget_size(type) == 8 &&
              H5Tget_order(type) == H5T_ORDER_LE && H5Pget_layout(layout) == H5D_CONTIGUOUS &&
              H5Dget_offset(dataset) != HADDR_UNDEF;
  if (layout >= 0)
    H5Pclose(layout);
  if (type >= 0)
    H5Tclose(type);
  return good;
}

herr_t titan_values_find_table(hid_t file, const char *path, int64_t columns, const char *attribute, int64_t *number,
                               int64_t *rows, uint64_t *offset) {
  hid_t dataset = H5Dopen2(file, path, H5P_DEFAULT);
  if (dataset < 0)
    return -1;
  *rows = is_contiguous(dataset) ? rows_of(dataset, columns) : -1;
  herr_t result = *rows < 0 ? -1 : 0;
  if (result >= 0)
    *offset = H5Dget_offset(dataset);
  if (result >= 0 && attribute != NULL)
    result = titan_values_get_int(dataset, attribute, number);
  H5Dclose(dataset);
  return result;
}
