// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/tensors.h"

#include "base/memory.h"
#include "checkpoint/values.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// --- creating ---

static herr_t create_tensor(hid_t hdf5, int index, titan_checkpoint_tensor *tensor) {
  char path[TITAN_CHECKPOINT_NAME_BYTES + 32];
  hsize_t dims[2] = {(hsize_t)tensor->dims[0], (hsize_t)tensor->dims[1]};
  snprintf(path, sizeof path, "%s/%s", titan_checkpoint_group_path(tensor->group), tensor->name);
  hid_t type = titan_values_type(tensor->number);
  hid_t dataset = type < 0 ? -1 : titan_values_create_dataset(hdf5, path, type, tensor->rank, dims);
  herr_t result = dataset < 0 ? -1 : titan_values_put_int(dataset, "index", index);
  if (result >= 0) {
    haddr_t offset = H5Dget_offset(dataset);
    tensor->offset = offset;
    result = offset == HADDR_UNDEF ? -1 : 0;
  }
  if (dataset >= 0 && H5Dclose(dataset) < 0)
    result = -1;
  if (type >= 0)
    H5Tclose(type);
  return result;
}

static herr_t create_group(hid_t hdf5, const char *path) {
  hid_t group = titan_values_create_group(hdf5, path);
  return group < 0 ? -1 : H5Gclose(group);
}

static herr_t create_groups(hid_t hdf5, int count, const titan_checkpoint_tensor *tensors) {
  bool wanted[TITAN_CHECKPOINT_GROUPS_MOST] = {[TITAN_CHECKPOINT_MODEL] = true}, optimizer = false;
  for (int i = 0; i < count; i++)
    wanted[tensors[i].group] = true;
  for (int group = 0; group < titan_checkpoint_group_count(); group++) {
    if (!wanted[group])
      continue;
    if (group != TITAN_CHECKPOINT_MODEL && !optimizer && create_group(hdf5, "/optimizer") < 0)
      return -1;
    optimizer = group != TITAN_CHECKPOINT_MODEL;
    if (create_group(hdf5, titan_checkpoint_group_path(group)) < 0)
      return -1;
  }
  return 0;
}

herr_t titan_checkpoint_tensors_create(hid_t hdf5, int count, titan_checkpoint_tensor *tensors) {
  herr_t result = create_groups(hdf5, count, tensors);
  for (int i = 0; i < count && result >= 0; i++)
    result = create_tensor(hdf5, i, &tensors[i]);
  return result;
}

// --- reading ---

typedef struct indexed_tensor {
  int64_t index;
  titan_checkpoint_tensor tensor;
} indexed_tensor;

typedef struct tensor_reading {
  const char *path;
  titan_checkpoint_group group;
  titan_checkpoint_group states[TITAN_CHECKPOINT_GROUPS_MOST];
  int state_count;
  indexed_tensor *found;
  size_t count, capacity;
  titan_status status;
} tensor_reading;

static bool describe(hid_t dataset, const char *name, tensor_reading *reading, indexed_tensor *out) {
  hsize_t dims[2] = {0, 0};
  hid_t type = H5Dget_type(dataset), space = H5Dget_space(dataset), layout = H5Dget_create_plist(dataset);
  int number = type < 0 ? -1 : titan_values_number(type);
  int rank = space < 0 ? -1 : H5Sget_simple_extent_ndims(space);
  bool good = number >= 0 && (rank == 1 || rank == 2) && H5Sget_simple_extent_dims(space, dims, NULL) == rank &&
              layout >= 0 && H5Pget_layout(layout) == H5D_CONTIGUOUS && H5Dget_offset(dataset) != HADDR_UNDEF &&
              strlen(name) < TITAN_CHECKPOINT_NAME_BYTES && titan_values_get_int(dataset, "index", &out->index) >= 0 &&
              dims[0] > 0 && dims[0] < (hsize_t)1 << 40 &&
              (rank == 1 || (dims[1] > 0 && dims[1] < (hsize_t)1 << 40 && dims[0] < ((hsize_t)1 << 60) / dims[1]));
  if (good) {
    out->tensor = (titan_checkpoint_tensor){.group = reading->group,
                                            .number = (titan_number)number,
                                            .rank = rank,
                                            .dims = {(int64_t)dims[0], (int64_t)dims[1]},
                                            .offset = H5Dget_offset(dataset)};
    snprintf(out->tensor.name, sizeof out->tensor.name, "%s", name);
  }
  if (layout >= 0)
    H5Pclose(layout);
  if (space >= 0)
    H5Sclose(space);
  if (type >= 0)
    H5Tclose(type);
  return good;
}

static titan_status grow(tensor_reading *reading) {
  if (reading->count < reading->capacity)
    return TITAN_OK;
  size_t capacity = reading->capacity > 0 ? 2 * reading->capacity : 256;
  TITAN_TRY(titan_memory_resize(TITAN_MEMORY_GENERAL, capacity * sizeof *reading->found, &reading->found));
  reading->capacity = capacity;
  return TITAN_OK;
}

static herr_t visit(hid_t group, const char *name, const H5L_info_t *information, void *context) {
  (void)information;
  tensor_reading *reading = context;
  reading->status = grow(reading);
  if (reading->status != TITAN_OK)
    return 1;
  hid_t dataset = H5Dopen2(group, name, H5P_DEFAULT);
  if (dataset >= 0 && describe(dataset, name, reading, &reading->found[reading->count]))
    reading->count++;
  else
    reading->status = titan_error(TITAN_ERROR_CHECKPOINT,
                                  "%s: %s/%s is not a tensor of a checkpoint (a contiguous dataset of one or two "
                                  "dimensions, float32, bfloat16 or float16, with its index)",
                                  reading->path, titan_checkpoint_group_path(reading->group), name);
  if (dataset >= 0)
    H5Dclose(dataset);
  return reading->status != TITAN_OK;
}

static int compare_index(const void *a, const void *b) {
  const indexed_tensor *x = a, *y = b;
  return x->index < y->index ? -1 : x->index > y->index;
}

static titan_status read_group(hid_t hdf5, tensor_reading *reading) {
  const char *path = titan_checkpoint_group_path(reading->group);
  hid_t group = H5Gopen2(hdf5, path, H5P_DEFAULT);
  herr_t result = group < 0 ? -1 : H5Literate(group, H5_INDEX_NAME, H5_ITER_NATIVE, NULL, visit, reading);
  if (group >= 0)
    H5Gclose(group);
  if (result < 0)
    return titan_error(TITAN_ERROR_CHECKPOINT, "%s is not a checkpoint of this program: it has no group %s",
                       reading->path, path);
  return reading->status;
}

static titan_status keep(titan_checkpoint_file *file, tensor_reading *reading) {
  qsort(reading->found, reading->count, sizeof *reading->found, compare_index);
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, reading->count, sizeof *file->tensors, &file->tensors));
  file->tensor_count = (int)reading->count;
  for (size_t i = 0; i < reading->count; i++) {
    titan_checkpoint_tensor *tensor = &reading->found[i].tensor;
    if (reading->found[i].index != (int64_t)i || tensor->offset > file->block.file_bytes ||
        titan_checkpoint_tensor_bytes(tensor) > file->block.file_bytes - tensor->offset)
      return titan_error(TITAN_ERROR_CHECKPOINT, "%s is not a checkpoint of this program: index or place of %s/%s",
                         file->path, titan_checkpoint_group_path(tensor->group), tensor->name);
    file->tensors[i] = *tensor;
  }
  return TITAN_OK;
}

// What lies in /optimizer as a group is a state.
static herr_t visit_state(hid_t optimizer, const char *name, const H5L_info_t *information, void *context) {
  (void)information;
  tensor_reading *reading = context;
  H5O_info_t facts;
  if (H5Oget_info_by_name(optimizer, name, &facts, H5P_DEFAULT) < 0)
    return -1;
  if (facts.type != H5O_TYPE_GROUP)
    return 0;
  reading->status = titan_checkpoint_group_of(name, &reading->group);
  reading->states[reading->state_count++] = reading->group;
  return reading->status != TITAN_OK || reading->state_count == TITAN_CHECKPOINT_GROUPS_MOST;
}

static titan_status find_states(hid_t hdf5, tensor_reading *reading) {
  if (H5Lexists(hdf5, "/optimizer", H5P_DEFAULT) <= 0)
    return TITAN_OK;
  hid_t group = H5Gopen2(hdf5, "/optimizer", H5P_DEFAULT);
  herr_t result = group < 0 ? -1 : H5Literate(group, H5_INDEX_NAME, H5_ITER_INC, NULL, visit_state, reading);
  if (group >= 0)
    H5Gclose(group);
  if (result < 0)
    return titan_error(TITAN_ERROR_CHECKPOINT, "%s is not a checkpoint of this program: /optimizer cannot be listed",
                       reading->path);
  return reading->status;
}

titan_status titan_checkpoint_tensors_read(hid_t hdf5, titan_checkpoint_file *file) {
  tensor_reading reading = {.path = file->path};
  titan_status status = find_states(hdf5, &reading);
  reading.group = TITAN_CHECKPOINT_MODEL;
  if (status == TITAN_OK)
    status = read_group(hdf5, &reading);
  for (int i = 0; i < reading.state_count && status == TITAN_OK; i++) {
    reading.group = reading.states[i];
    status = read_group(hdf5, &reading);
  }
  if (status == TITAN_OK)
    status = reading.count > 0 ? keep(file, &reading)
                               : titan_error(TITAN_ERROR_CHECKPOINT, "%s holds no tensor", file->path);
  titan_memory_free(reading.found);
  return status;
}
