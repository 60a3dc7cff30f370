// SPDX-License-Identifier: Apache-2.0
// Comparing tensor data with its checksums, by one process.
#include "base/integer.h"
#include "base/memory.h"
#include "checkpoint/slabs.h"
#include "checkpoint/tiles.h"

enum { TILES_AT_ONCE = 1024 };

typedef struct verifying {
  const titan_checkpoint_file *file;
  int64_t count;
  titan_checkpoint_section *sections; // tiles that are read together
  titan_checkpoint_sums sums;         // of the tile that is read
  titan_checkpoint_fault *fault;
} verifying;

static titan_status compare(const verifying *v, const titan_checkpoint_section *section) {
  const titan_checkpoint_tensor *tensor = &v->file->tensors[section->tensor];
  uint64_t wanted;
  TITAN_TRY(titan_checkpoint_read_bytes(v->file->descriptor, v->file->path,
                                        v->file->checks_offset + (uint64_t)v->sums.sums[0].tile * sizeof wanted,
                                        &wanted, sizeof wanted, v->fault));
  if (wanted == v->sums.sums[0].sum)
    return TITAN_OK;
  *v->fault = TITAN_CHECKPOINT_DAMAGED;
  return titan_checkpoint_mismatch(v->file->path, tensor, section);
}

static titan_status use_piece(void *context, const titan_checkpoint_piece *p) {
  verifying *v = context;
  const titan_checkpoint_section *section = &v->sections[p->section];
  *v->fault = TITAN_CHECKPOINT_SYSTEM;
  TITAN_TRY(titan_checkpoint_sums_add(&v->sums, &v->file->tensors[section->tensor], p->row, p->rows, p->column,
                                      p->columns, p->elements, p->pitch));
  if (!p->last)
    return TITAN_OK;
  TITAN_TRY(compare(v, section));
  v->sums.count = 0;
  return TITAN_OK;
}

static titan_status read_tiles(verifying *v) {
  titan_status status = titan_checkpoint_file_read_sections(v->file, v->sections, v->count, use_piece, v, v->fault);
  v->count = v->sums.count = 0;
  return status;
}

static titan_status verify_tiles(verifying *v, bool (*wanted)(void *context, int64_t tensor), void *context) {
  for (int64_t t = 0; t < v->file->tensor_count; t++) {
    int64_t tiles = titan_checkpoint_tiles_of(&v->file->tensors[t], v->file->tile_bytes);
    for (int64_t tile = 0; tile < tiles; tile++) {
      if (wanted != NULL && !wanted(context, t))
        continue;
      v->sections[v->count++] = titan_checkpoint_tile_section(v->file, t, tile);
      if (v->count == TILES_AT_ONCE)
        TITAN_TRY(read_tiles(v));
    }
  }
  return read_tiles(v);
}

titan_status titan_checkpoint_file_verify(const titan_checkpoint_file *file,
                                          bool (*wanted)(void *context, int64_t tensor), void *context,
                                          titan_checkpoint_fault *fault) {
  titan_checkpoint_fault unused;
  fault = fault != NULL ? fault : &unused;
  *fault = TITAN_CHECKPOINT_SYSTEM;
  if (file->tile_bytes == 0)
    return titan_checkpoint_slabs_verify(file, wanted, context, fault);
  verifying v = {.file = file, .sums.tile_bytes = file->tile_bytes, .fault = fault};
  int64_t most = titan_lesser(file->check_count, TILES_AT_ONCE);
  titan_status status = titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)most * sizeof *v.sections, &v.sections);
  if (status == TITAN_OK)
    status = titan_checkpoint_sums_reserve(&v.sums, 1);
  if (status == TITAN_OK)
    status = verify_tiles(&v, wanted, context);
  titan_memory_free(v.sections);
  titan_checkpoint_sums_destroy(&v.sums);
  return status;
}
