// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/slabs.h"

#include "base/integer.h"
#include "base/memory.h"
#include "checkpoint/tiles.h"

#include <xxhash.h>

enum { ROWS_AT_ONCE = 1024 };

static bool fits(const titan_checkpoint_file *file, const titan_checkpoint_section *slab) {
  if (slab->tensor < 0 || slab->tensor >= file->tensor_count)
    return false;
  const titan_checkpoint_tensor *tensor = &file->tensors[slab->tensor];
  int64_t rows = titan_checkpoint_rows(tensor), columns = titan_checkpoint_columns(tensor);
  return slab->row >= 0 && slab->rows > 0 && slab->column >= 0 && slab->columns > 0 && slab->row < rows &&
         slab->rows <= rows - slab->row && slab->column < columns && slab->columns <= columns - slab->column;
}

// Rows [first, first + *count) of the table, and that they lie within their tensors.
static titan_status read_rows(const titan_checkpoint_file *file, int64_t first, int64_t *count,
                              titan_checkpoint_slab *slabs, titan_checkpoint_fault *fault) {
  *count = titan_lesser(file->check_count - first, ROWS_AT_ONCE);
  TITAN_TRY(titan_checkpoint_read_bytes(file->descriptor, file->path,
                                        file->checks_offset + (uint64_t)first * sizeof *slabs, slabs,
                                        (size_t)*count * sizeof *slabs, fault));
  for (int64_t i = 0; i < *count; i++)
    if (!fits(file, &slabs[i].section)) {
      *fault = TITAN_CHECKPOINT_DAMAGED;
      return titan_error(
          TITAN_ERROR_CHECKPOINT,
          "%s is not a checkpoint of this program, or it is damaged: a slab of /checksums is outside of its tensor",
          file->path);
    }
  return TITAN_OK;
}

// Takes the slabs' areas off the tensors'.
static titan_status take_areas(const titan_checkpoint_file *file, int64_t *left, titan_checkpoint_slab *slabs,
                               titan_checkpoint_fault *fault) {
  for (int64_t first = 0, count; first < file->check_count; first += count) {
    TITAN_TRY(read_rows(file, first, &count, slabs, fault));
    for (int64_t i = 0; i < count; i++)
      left[slabs[i].section.tensor] -= slabs[i].section.rows * slabs[i].section.columns;
  }
  for (int t = 0; t < file->tensor_count; t++)
    if (left[t] != 0) {
      *fault = TITAN_CHECKPOINT_DAMAGED;
      return titan_error(
          TITAN_ERROR_CHECKPOINT,
          "%s is not a checkpoint of this program, or it is damaged: its slabs do not make up its tensors", file->path);
    }
  return TITAN_OK;
}

titan_status titan_checkpoint_slabs_check(const titan_checkpoint_file *file, titan_checkpoint_fault *fault) {
  _Static_assert(sizeof(titan_checkpoint_slab) == 6 * sizeof(int64_t), "a slab is a row of /checksums");
  int64_t *left = NULL;
  titan_checkpoint_slab *slabs = NULL;
  titan_status status = titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)file->tensor_count * sizeof *left, &left);
  if (status == TITAN_OK)
    status = titan_memory_allocate(TITAN_MEMORY_GENERAL, ROWS_AT_ONCE * sizeof *slabs, &slabs);
  for (int t = 0; t < file->tensor_count && status == TITAN_OK; t++)
    left[t] = titan_checkpoint_rows(&file->tensors[t]) * titan_checkpoint_columns(&file->tensors[t]);
  if (status == TITAN_OK)
    status = take_areas(file, left, slabs, fault);
  titan_memory_free(left);
  titan_memory_free(slabs);
  return status;
}

// --- verifying ---

typedef struct verifying {
  const titan_checkpoint_file *file;
  titan_checkpoint_slab *slabs;       // of one part of the table
  titan_checkpoint_section *sections; // those of them that are read
  uint64_t *checksums;                // of these
  XXH64_state_t *hash;
  titan_checkpoint_fault *fault;
} verifying;

static titan_status use_piece(void *context, const titan_checkpoint_piece *p) {
  verifying *v = context;
  const titan_checkpoint_section *section = &v->sections[p->section];
  const titan_checkpoint_tensor *tensor = &v->file->tensors[section->tensor];
  size_t bytes = (size_t)p->columns * titan_number_bytes(tensor->number);
  for (int64_t i = 0; i < p->rows; i++)
    XXH64_update(v->hash, p->elements + (size_t)i * p->pitch, bytes);
  if (!p->last)
    return TITAN_OK;
  bool good = XXH64_digest(v->hash) == v->checksums[p->section];
  XXH64_reset(v->hash, 0);
  if (good)
    return TITAN_OK;
  *v->fault = TITAN_CHECKPOINT_DAMAGED;
  return titan_checkpoint_mismatch(v->file->path, tensor, section);
}

static titan_status verify_parts(verifying *v, bool (*wanted)(void *context, int64_t tensor), void *context) {
  for (int64_t first = 0, count; first < v->file->check_count; first += count) {
    int64_t reads = 0;
    TITAN_TRY(read_rows(v->file, first, &count, v->slabs, v->fault));
    for (int64_t i = 0; i < count; i++)
      if (wanted == NULL || wanted(context, v->slabs[i].section.tensor)) {
        v->sections[reads] = v->slabs[i].section;
        v->checksums[reads++] = v->slabs[i].checksum;
      }
    XXH64_reset(v->hash, 0);
    TITAN_TRY(titan_checkpoint_file_read_sections(v->file, v->sections, reads, use_piece, v, v->fault));
  }
  return TITAN_OK;
}

titan_status titan_checkpoint_slabs_verify(const titan_checkpoint_file *file,
                                           bool (*wanted)(void *context, int64_t tensor), void *context,
                                           titan_checkpoint_fault *fault) {
  verifying v = {.file = file, .hash = XXH64_createState(), .fault = fault};
  titan_status status = titan_memory_allocate(TITAN_MEMORY_GENERAL, ROWS_AT_ONCE * sizeof *v.slabs, &v.slabs);
  if (status == TITAN_OK)
    status = titan_memory_allocate(TITAN_MEMORY_GENERAL, ROWS_AT_ONCE * sizeof *v.sections, &v.sections);
  if (status == TITAN_OK)
    status = titan_memory_allocate(TITAN_MEMORY_GENERAL, ROWS_AT_ONCE * sizeof *v.checksums, &v.checksums);
  if (status == TITAN_OK && v.hash == NULL)
    status = titan_error(TITAN_ERROR_MEMORY, "not enough memory for a checksum");
  if (status == TITAN_OK)
    status = verify_parts(&v, wanted, context);
  titan_memory_free(v.slabs);
  titan_memory_free(v.sections);
  titan_memory_free(v.checksums);
  XXH64_freeState(v.hash);
  return status;
}
