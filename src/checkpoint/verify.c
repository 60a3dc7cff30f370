// SPDX-License-Identifier: Apache-2.0
// Reading a file back that has just been written, before it gets its name. Oracles are what the ranks still have in
// memory: the checksums of their slabs, their rows of /checksums, and rank 0's image of the HDF5 structure.
#include "base/memory.h"
#include "checkpoint/stream.h"
#include "checkpoint/writer_private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { PAGE = TITAN_HDF5_PAGE_BYTES, ROWS_AT_ONCE = 256 };

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

// --- slabs and their rows ---

static titan_status verify_slabs(const titan_checkpoint_writer *writer, int descriptor) {
  titan_checkpoint_file file = {.path = writer->path,
                                .descriptor = descriptor,
                                .tensor_count = writer->tensor_count,
                                .tensors = writer->tensors,
                                .slab_count = writer->slab_count,
                                .slabs = writer->rows,
                                .reading = TITAN_MEMORY_CHECKPOINT};
  return titan_checkpoint_file_verify(&file, NULL, NULL, NULL);
}

static titan_status verify_rows(const titan_checkpoint_writer *writer, int descriptor) {
  titan_checkpoint_slab rows[ROWS_AT_ONCE];
  titan_checkpoint_fault unused;
  for (int64_t done = 0, count; done < writer->slab_count; done += count) {
    count = writer->slab_count - done < ROWS_AT_ONCE ? writer->slab_count - done : ROWS_AT_ONCE;
    uint64_t offset = writer->rows_offset + (uint64_t)(writer->first_slab + done) * sizeof *rows;
    TITAN_TRY(
        titan_checkpoint_read_bytes(descriptor, writer->path, offset, rows, (size_t)count * sizeof *rows, &unused));
    if (memcmp(rows, writer->rows + done, (size_t)count * sizeof *rows) != 0)
      return differs(writer, "/checksums");
  }
  return TITAN_OK;
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
  blank(page, offset, writer->rows_offset, (uint64_t)writer->slabs * sizeof(titan_checkpoint_slab));
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
  titan_memory_free(writer->staging);
  writer->staging = NULL;
  titan_status status = open_to_verify(writer, &descriptor);
  if (status == TITAN_OK && writer->image != NULL)
    status = verify_structure(writer, descriptor);
  if (status == TITAN_OK)
    status = verify_rows(writer, descriptor);
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
