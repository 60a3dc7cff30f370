// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/file.h"

#include "base/memory.h"
#include "checkpoint/contents.h"
#include "checkpoint/slabs.h"
#include "checkpoint/tensors.h"
#include "checkpoint/tiles.h"
#include "checkpoint/values.h"
#include "storage/hdf5.h"
#include "storage/hdf5_image.h"

#include <stdio.h>
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

titan_status titan_checkpoint_file_read_cursors(const titan_checkpoint_file *file, int64_t first, int64_t count,
                                                int64_t *cursors, titan_checkpoint_fault *fault) {
  enum { CURSOR_BYTES = 4 * sizeof(int64_t) };
  if (first < 0 || count < 0 || count > file->contents.lane_count - first)
    return titan_error(TITAN_ERROR_INTERNAL, "%s has %lld lanes; lanes %lld to %lld are requested", file->path,
                       (long long)file->contents.lane_count, (long long)first, (long long)(first + count - 1));
  return titan_checkpoint_read_bytes(file->descriptor, file->path,
                                     file->cursors_offset + (uint64_t)first * CURSOR_BYTES, cursors,
                                     (size_t)count * CURSOR_BYTES, fault);
}

// --- opening ---

static titan_status inconsistent(const titan_checkpoint_file *file, const char *what) {
  return titan_error(TITAN_ERROR_CHECKPOINT, "%s is not a checkpoint of this program, or it is damaged: %s", file->path,
                     what);
}

// Where the rows of /checksums lie. As many as the tensors have tiles; the slabs of version 1 are looked at later.
static titan_status find_checks(hid_t hdf5, titan_checkpoint_file *file) {
  bool old = file->block.version == 1;
  int64_t tile_bytes = 0;
  uint64_t row_bytes = sizeof(uint64_t) * (old ? 6 : 1);
  if (titan_values_find_table(hdf5, "/checksums", old ? 6 : 0, old ? NULL : "tile_bytes", &tile_bytes,
                              &file->check_count, &file->checks_offset) < 0 ||
      (!old && tile_bytes < 1))
    return inconsistent(file, "/checksums is missing or has another shape");
  if (file->checks_offset > file->block.file_bytes ||
      (uint64_t)file->check_count > (file->block.file_bytes - file->checks_offset) / row_bytes)
    return inconsistent(file, "/checksums is outside of the file");
  file->tile_bytes = (size_t)tile_bytes;
  if (!old && titan_checkpoint_number_tiles(file->tensor_count, file->tensors, file->tile_bytes) != file->check_count)
    return inconsistent(file, "/checksums has another number of tiles than its tensors");
  return TITAN_OK;
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
  TITAN_TRY_CLEANUP(find_checks(hdf5, file));
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
  if (status == TITAN_OK || titan_hdf5_system_failed() || status == TITAN_ERROR_MEMORY)
    *fault = TITAN_CHECKPOINT_SYSTEM; // memory ran out
  if (status == TITAN_OK && file->tile_bytes == 0)
    status = titan_checkpoint_slabs_check(file, fault);
  if (status == TITAN_OK)
    *fault = TITAN_CHECKPOINT_SOUND;
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
  titan_memory_free(f->path);
  titan_memory_free(f);
  *file = NULL;
}
