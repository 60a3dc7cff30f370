// SPDX-License-Identifier: Apache-2.0
// Reading a file back that has just been written, before it gets its name. Oracles are what the ranks still have in
// memory: the sums of what they wrote to each tile, and rank 0's hash of /checksums and image of the HDF5 structure.
#include "base/integer.h"
#include "base/memory.h"
#include "checkpoint/stream.h"
#include "checkpoint/writer_private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { PAGE = TITAN_HDF5_PAGE_BYTES };

size_t titan_checkpoint_writer_verify_bytes(uint64_t bytes) {
  return titan_stream_memory(bytes);
}

// The file's clean pages leave the system's cache, so that reading asks the storage. A system that keeps them makes
// the check weaker, and no save fails for it.
static titan_status open_to_verify(const titan_checkpoint_writer *writer, int *descriptor) {
  *descriptor = open(writer->partial, O_RDONLY | O_CLOEXEC);
  if (*descriptor < 0)
    return titan_error(TITAN_ERROR_CHECKPOINT, "%s cannot be opened: %s", writer->path, strerror(errno));
  posix_fadvise(*descriptor, 0, 0, POSIX_FADV_DONTNEED);
  return TITAN_OK;
}

static titan_status differs(const titan_checkpoint_writer *writer, const char *what) {
  return titan_error(TITAN_ERROR_CHECKPOINT, "%s is damaged: %s is not what was written", writer->path, what);
}

// --- slabs and checksums ---

typedef struct reading {
  const titan_checkpoint_writer *writer;
  titan_checkpoint_sums sums; // of what is read
} reading;

static titan_status add_piece(void *context, const titan_checkpoint_piece *p) {
  reading *r = context;
  const titan_checkpoint_tensor *tensor = &r->writer->tensors[r->writer->slabs[p->section].tensor];
  return titan_checkpoint_sums_add(&r->sums, tensor, p->row, p->rows, p->column, p->columns, p->elements, p->pitch);
}

// Where a sum is not what it was: the tile's place.
static titan_status tile_differs(const titan_checkpoint_file *file, int64_t tile) {
  int tensor = 0;
  while (tensor + 1 < file->tensor_count && tile >= file->tensors[tensor + 1].first_tile)
    tensor++;
  titan_checkpoint_section section =
      titan_checkpoint_tile_section(file, tensor, tile - file->tensors[tensor].first_tile);
  return titan_checkpoint_mismatch(file->path, &file->tensors[tensor], &section);
}

// The slabs are read in the order in which they were written, so tiles come in the same order.
static titan_status compare(const titan_checkpoint_file *file, const titan_checkpoint_sums *written,
                            const titan_checkpoint_sums *found) {
  if (written->count != found->count)
    return titan_error(TITAN_ERROR_INTERNAL, "%s: %lld sums of tiles were read back, expected %lld", file->path,
                       (long long)found->count, (long long)written->count);
  for (int64_t i = 0; i < written->count; i++)
    if (written->sums[i].sum != found->sums[i].sum)
      return tile_differs(file, written->sums[i].tile);
  return TITAN_OK;
}

static titan_status verify_slabs(const titan_checkpoint_writer *writer, int descriptor) {
  titan_checkpoint_file file = {.path = writer->path,
                                .descriptor = descriptor,
                                .tensor_count = writer->tensor_count,
                                .tensors = writer->tensors,
                                .tile_bytes = writer->sums.tile_bytes,
                                .reading = TITAN_MEMORY_CHECKPOINT};
  reading r = {.writer = writer, .sums = {.tile_bytes = file.tile_bytes, .tag = TITAN_MEMORY_GENERAL}};
  titan_status status = titan_checkpoint_sums_reserve(&r.sums, writer->sums.capacity);
  if (status == TITAN_OK)
    status = titan_checkpoint_file_read_sections(&file, writer->slabs, writer->done_slabs, add_piece, &r, NULL);
  if (status == TITAN_OK)
    status = compare(&file, &writer->sums, &r.sums);
  titan_checkpoint_sums_destroy(&r.sums);
  return status;
}

// Rank 0: what it has written part by part.
static titan_status verify_checks(const titan_checkpoint_writer *writer, int descriptor) {
  uint64_t *numbers = NULL, hash = 0;
  titan_checkpoint_fault unused;
  titan_status status =
      titan_memory_allocate(TITAN_MEMORY_GENERAL, titan_checkpoint_sums_table_bytes(writer->tile_count), &numbers);
  for (int64_t first = 0, count; first < writer->tile_count && status == TITAN_OK; first += count) {
    count = titan_lesser(writer->tile_count - first, TITAN_CHECKPOINT_SUMS_AT_ONCE);
    status =
        titan_checkpoint_read_bytes(descriptor, writer->path, writer->checks_offset + (uint64_t)first * sizeof *numbers,
                                    numbers, (size_t)count * sizeof *numbers, &unused);
    hash = XXH64(numbers, (size_t)count * sizeof *numbers, hash);
  }
  titan_memory_free(numbers);
  return status != TITAN_OK || hash == writer->checks_hash ? status : differs(writer, "/checksums");
}

// --- the structure ---

// Of the page at `offset`, what lies in [begin, begin + bytes) becomes zero.
static void blank(char *page, uint64_t offset, uint64_t begin, uint64_t bytes) {
  uint64_t from = begin > offset ? begin : offset;
  uint64_t to = begin + bytes < offset + PAGE ? begin + bytes : offset + PAGE;
  if (from < to)
    memset(page + (from - offset), 0, (size_t)(to - from));
}

// What others have written into the page, or will.
static void blank_others(const titan_checkpoint_writer *writer, char *page, uint64_t offset) {
  blank(page, offset, 0, TITAN_CHECKPOINT_BLOCK_BYTES);
  blank(page, offset, writer->checks_offset, (uint64_t)writer->tile_count * sizeof(uint64_t));
  for (int i = 0; i < writer->tensor_count; i++)
    blank(page, offset, writer->tensors[i].offset, titan_checkpoint_tensor_bytes(&writer->tensors[i]));
}

static titan_status verify_structure(const titan_checkpoint_writer *writer, int descriptor) {
  uint64_t length = titan_hdf5_image_length(writer->image);
  titan_checkpoint_fault unused;
  for (int64_t i = 0; i < titan_hdf5_image_page_count(writer->image); i++) {
    char found[PAGE] = {0}, written[PAGE] = {0};
    uint64_t offset;
    const void *page = titan_hdf5_image_page(writer->image, i, &offset);
    if (offset >= length)
      break;
    size_t bytes = length - offset < PAGE ? (size_t)(length - offset) : PAGE;
    TITAN_TRY(titan_checkpoint_read_bytes(descriptor, writer->path, offset, found, bytes, &unused));
    memcpy(written, page, bytes);
    blank_others(writer, found, offset);
    blank_others(writer, written, offset);
    if (memcmp(found, written, PAGE) != 0)
      return differs(writer, "the HDF5 structure");
  }
  return TITAN_OK;
}

// --- the interface ---

// One message for whatever was found.
static titan_status told(const titan_checkpoint_writer *writer, titan_status status) {
  return status == TITAN_ERROR_CHECKPOINT
             ? titan_error(status, "checkpoint.verify, reading back what rank %d wrote: %s", writer->rank,
                           titan_error_message())
             : status;
}

titan_status titan_checkpoint_writer_verify(titan_checkpoint_writer *writer) {
  int descriptor = -1;
  titan_status status = open_to_verify(writer, &descriptor);
  if (status == TITAN_OK && writer->image != NULL)
    status = verify_structure(writer, descriptor);
  if (status == TITAN_OK && writer->rank == 0)
    status = verify_checks(writer, descriptor);
  if (status == TITAN_OK)
    status = verify_slabs(writer, descriptor);
  if (descriptor >= 0)
    close(descriptor);
  return told(writer, status);
}

titan_status titan_checkpoint_writer_verify_block(const titan_checkpoint_writer *writer) {
  titan_checkpoint_block block;
  titan_checkpoint_fault unused;
  int descriptor = -1;
  titan_status status = open_to_verify(writer, &descriptor);
  if (status == TITAN_OK)
    status = titan_checkpoint_block_check(descriptor, writer->path, &block, NULL, NULL, &unused);
  if (descriptor >= 0)
    close(descriptor);
  return told(writer, status);
}
