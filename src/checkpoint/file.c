// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/file.h"

#include "base/memory.h"
#include "checkpoint/contents.h"
#include "checkpoint/tensors.h"
#include "checkpoint/values.h"
#include "storage/hdf5.h"
#include "storage/hdf5_image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char group_paths[TITAN_CHECKPOINT_GROUPS_MOST][TITAN_CHECKPOINT_GROUP_BYTES] = {"/model"};
static int group_count = 1;

titan_status titan_checkpoint_group_of(const char *state, titan_checkpoint_group *out) {
  char path[TITAN_CHECKPOINT_GROUP_BYTES];
  int length = snprintf(path, sizeof path, "/optimizer/%s", state);
  if (length < 0 || length >= TITAN_CHECKPOINT_GROUP_BYTES)
    return titan_error(TITAN_ERROR_CHECKPOINT, "the name of the optimizer state %s is too long", state);
  for (*out = 1; *out < group_count; ++*out)
    if (strcmp(group_paths[*out], path) == 0)
      return TITAN_OK;
  if (group_count == TITAN_CHECKPOINT_GROUPS_MOST)
    return titan_error(TITAN_ERROR_CHECKPOINT, "%s: there are more than %d optimizer states", path,
                       TITAN_CHECKPOINT_GROUPS_MOST - 1);
  memcpy(group_paths[group_count++], path, sizeof path);
  return TITAN_OK;
}

int titan_checkpoint_group_count(void) {
  return group_count;
}

const char *titan_checkpoint_group_path(titan_checkpoint_group group) {
  return group_paths[group];
}

uint64_t titan_checkpoint_tensor_bytes(const titan_checkpoint_tensor *tensor) {
  return (uint64_t)(titan_checkpoint_rows(tensor) * titan_checkpoint_columns(tensor)) *
         titan_number_bytes(tensor->number);
}

int titan_checkpoint_file_find(const titan_checkpoint_file *file, titan_checkpoint_group group, const char *name) {
  for (int i = 0; i < file->tensor_count; i++)
    if (file->tensors[i].group == group && strcmp(file->tensors[i].name, name) == 0)
      return i;
  return -1;
}

bool titan_checkpoint_file_has_optimizer(const titan_checkpoint_file *file) {
  for (int i = 0; i < file->tensor_count; i++)
    if (file->tensors[i].group != TITAN_CHECKPOINT_MODEL)
      return true;
  return false;
}

bool titan_checkpoint_file_has(const titan_checkpoint_file *file, titan_checkpoint_group group) {
  for (int i = 0; i < file->tensor_count; i++)
    if (file->tensors[i].group == group)
      return true;
  return false;
}

// --- opening ---

static titan_status inconsistent(const titan_checkpoint_file *file, const char *what) {
  return titan_error(TITAN_ERROR_CHECKPOINT, "%s is not a checkpoint of this program, or it is damaged: %s", file->path,
                     what);
}

static int compare_slabs(const void *a, const void *b) {
  const titan_checkpoint_slab *x = a, *y = b;
  if (x->tensor != y->tensor)
    return x->tensor < y->tensor ? -1 : 1;
  if (x->row != y->row)
    return x->row < y->row ? -1 : 1;
  return x->column < y->column ? -1 : x->column > y->column;
}

static bool slab_fits(const titan_checkpoint_file *file, const titan_checkpoint_slab *slab) {
  if (slab->tensor < 0 || slab->tensor >= file->tensor_count)
    return false;
  const titan_checkpoint_tensor *tensor = &file->tensors[slab->tensor];
  int64_t rows = titan_checkpoint_rows(tensor), columns = titan_checkpoint_columns(tensor);
  return slab->row >= 0 && slab->rows > 0 && slab->column >= 0 && slab->columns > 0 && slab->row < rows &&
         slab->rows <= rows - slab->row && slab->column < columns && slab->columns <= columns - slab->column;
}

// Every element of every tensor is in one slab: all slabs lie within, and their areas make up the tensor's.
static titan_status check_slabs(titan_checkpoint_file *file) {
  qsort(file->slabs, (size_t)file->slab_count, sizeof *file->slabs, compare_slabs);
  int64_t slab = 0;
  for (int t = 0; t < file->tensor_count; t++) {
    const titan_checkpoint_tensor *tensor = &file->tensors[t];
    int64_t elements = titan_checkpoint_rows(tensor) * titan_checkpoint_columns(tensor);
    for (; slab < file->slab_count && slab_fits(file, &file->slabs[slab]) && file->slabs[slab].tensor == t; slab++)
      elements -= file->slabs[slab].rows * file->slabs[slab].columns;
    if (elements != 0)
      return inconsistent(file, "its slabs do not make up its tensors");
  }
  return slab == file->slab_count ? TITAN_OK : inconsistent(file, "a slab is outside of its tensor");
}

static titan_status read_slabs(hid_t hdf5, titan_checkpoint_file *file) {
  _Static_assert(sizeof(titan_checkpoint_slab) == 6 * sizeof(int64_t), "a slab is a row of /checksums");
  if (titan_values_get_array(hdf5, "/checksums", H5T_NATIVE_UINT64, 6, &file->slab_count, &file->slabs) < 0)
    return inconsistent(file, "/checksums is missing or has another shape");
  return check_slabs(file);
}

static titan_status read_hdf5(titan_checkpoint_file *file, titan_hdf5_image *image) {
  const char *lacking = "";
  hid_t access = titan_hdf5_image_access(image);
  hid_t hdf5 = access < 0 ? -1 : H5Fopen(file->path, H5F_ACC_RDONLY, access);
  if (access >= 0)
    H5Pclose(access);
  if (hdf5 < 0)
    return titan_hdf5_error(TITAN_ERROR_CHECKPOINT, "cannot open the checkpoint", file->path);
  titan_status status = TITAN_OK;
  TITAN_TRY_CLEANUP(titan_checkpoint_tensors_read(hdf5, file));
  TITAN_TRY_CLEANUP(read_slabs(hdf5, file));
  if (titan_checkpoint_contents_read(hdf5, file, &lacking) < 0)
    status =
        titan_error(TITAN_ERROR_CHECKPOINT, "%s is not a checkpoint of this program: %s is missing or has another type",
                    file->path, lacking);
  else if (file->contents.step != file->block.step)
    status = inconsistent(file, "its attribute step and its first block differ");
cleanup:
  H5Fclose(hdf5);
  return status;
}

static titan_status keep(void *image, uint64_t offset, const void *data, size_t bytes) {
  return titan_hdf5_image_put(image, offset, data, bytes);
}

// HDF5 parses the very bytes that were hashed, out of memory: it reads no file that could fail it meanwhile.
static titan_status read_image(titan_checkpoint_file *file, titan_hdf5_image *image, titan_checkpoint_fault *fault) {
  TITAN_TRY(titan_checkpoint_block_check(file->descriptor, file->path, &file->block, keep, image, fault));
  titan_hdf5_image_set_length(image, file->block.file_bytes);
  *fault = TITAN_CHECKPOINT_DAMAGED;
  titan_hdf5_lock();
  titan_hdf5_quiet();
  titan_hdf5_system_failed();
  titan_status status = read_hdf5(file, image);
  titan_hdf5_unlock();
  if (status == TITAN_OK)
    *fault = TITAN_CHECKPOINT_SOUND;
  else if (titan_hdf5_system_failed() || status == TITAN_ERROR_MEMORY)
    *fault = TITAN_CHECKPOINT_SYSTEM; // memory ran out
  return status;
}

static titan_status open_file(titan_checkpoint_file *file, titan_checkpoint_fault *fault) {
  titan_hdf5_image *image;
  TITAN_TRY(titan_checkpoint_open_descriptor(file->path, &file->descriptor, fault));
  *fault = TITAN_CHECKPOINT_SYSTEM;
  titan_status status = titan_hdf5_image_create(0, &image);
  if (status == TITAN_OK)
    status = read_image(file, image, fault);
  titan_hdf5_image_destroy(&image);
  return status;
}

titan_status titan_checkpoint_file_open(const char *path, titan_checkpoint_file **out, titan_checkpoint_fault *fault) {
  titan_checkpoint_fault unused = TITAN_CHECKPOINT_SOUND;
  titan_checkpoint_file *file = NULL;
  fault = fault != NULL ? fault : &unused;
  *fault = TITAN_CHECKPOINT_SYSTEM;
  *out = NULL;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, 1, sizeof *file, &file));
  file->descriptor = -1;
  titan_status status = titan_memory_duplicate(TITAN_MEMORY_GENERAL, path, &file->path);
  if (status == TITAN_OK)
    status = open_file(file, fault);
  if (status != TITAN_OK)
    titan_checkpoint_file_close(&file);
  *out = file;
  return status;
}

void titan_checkpoint_file_close(titan_checkpoint_file **file) {
  titan_checkpoint_file *f = *file;
  if (f == NULL)
    return;
  if (f->descriptor >= 0)
    close(f->descriptor);
  for (size_t i = 0; i < sizeof f->texts / sizeof *f->texts; i++)
    titan_memory_free(f->texts[i]);
  for (size_t i = 0; i < sizeof f->arrays / sizeof *f->arrays; i++)
    titan_memory_free(f->arrays[i]);
  titan_memory_free(f->tensors);
  titan_memory_free(f->slabs);
  titan_memory_free(f->path);
  titan_memory_free(f);
  *file = NULL;
}
