// SPDX-License-Identifier: Apache-2.0
// The end of writing a checkpoint: what ranks send to each other, and the order in which things come to the disk.
#include "base/clock.h"
#include "base/io_spans.h"
#include "base/memory.h"
#include "checkpoint/agree.h"
#include "checkpoint/writer_private.h"
#include "comm/mpi_error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PAGE = TITAN_CHECKPOINT_PAGE_BYTES };

// --- parts of pages ---

typedef struct part {
  uint64_t offset;
  int32_t bytes;
  const char *data;
} part;

static int compare_parts(const void *a, const void *b) {
  const part *x = a, *y = b;
  return x->offset < y->offset ? -1 : x->offset > y->offset;
}

// Parts that touch are written together, a page at most.
static titan_status write_parts(const titan_checkpoint_writer *writer, const part *parts, int64_t count) {
  char page[PAGE];
  for (int64_t i = 0; i < count;) {
    uint64_t offset = parts[i].offset;
    size_t bytes = 0;
    for (; i < count && parts[i].offset == offset + bytes && parts[i].offset / PAGE == offset / PAGE; i++) {
      memcpy(page + bytes, parts[i].data, (size_t)parts[i].bytes);
      bytes += (size_t)parts[i].bytes;
    }
    TITAN_TRY(titan_checkpoint_writer_put(writer, offset, page, bytes));
  }
  return TITAN_OK;
}

static titan_status write_received(const titan_checkpoint_writer *writer, const titan_checkpoint_edges *received) {
  part *parts;
  const char *data = received->data;
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)received->count * sizeof *parts, &parts));
  for (int64_t i = 0; i < received->count; i++) {
    parts[i] = (part){received->edges[i].offset, received->edges[i].bytes, data};
    data += received->edges[i].bytes;
  }
  qsort(parts, (size_t)received->count, sizeof *parts, compare_parts);
  uint64_t span = titan_io_span_begin("write shared pages");
  titan_status status = write_parts(writer, parts, received->count);
  titan_io_span_end(span, 0);
  titan_memory_free(parts);
  return status;
}

// Collective.
static titan_status write_edges(titan_checkpoint_writer *writer) {
  titan_checkpoint_edges received;
  if (!writer->apart)
    return TITAN_OK;
  titan_status status = titan_checkpoint_edges_exchange(&writer->edges, writer->comm, writer->patient, &received);
  if (status == TITAN_OK)
    status = write_received(writer, &received);
  titan_checkpoint_edges_destroy(&received);
  return titan_checkpoint_agree(writer->comm, status, writer->patient);
}

// --- checksums ---

static titan_status put_numbers(void *context, int64_t first, int64_t count, const uint64_t *numbers) {
  titan_checkpoint_writer *writer = context;
  size_t bytes = (size_t)count * sizeof *numbers;
  uint64_t span = titan_io_span_begin("write checksums");
  writer->checks_hash = XXH64(numbers, bytes, writer->checks_hash);
  titan_status status =
      titan_checkpoint_writer_put(writer, writer->checks_offset + (uint64_t)first * sizeof *numbers, numbers, bytes);
  titan_io_span_end(span, bytes);
  return status;
}

// Collective. Fails alike on all ranks where the slabs do not make up the tensors.
static titan_status count_elements(const titan_checkpoint_writer *writer) {
  int64_t before, found, wanted = 0;
  TITAN_TRY(titan_checkpoint_count(writer->comm, writer->elements, &before, &found, writer->patient));
  for (int i = 0; i < writer->tensor_count; i++)
    wanted += titan_checkpoint_rows(&writer->tensors[i]) * titan_checkpoint_columns(&writer->tensors[i]);
  if (found == wanted)
    return TITAN_OK;
  return titan_error(TITAN_ERROR_INTERNAL, "%s: %lld elements were written, expected %lld", writer->path,
                     (long long)found, (long long)wanted);
}

// Collective.
static titan_status write_checks(titan_checkpoint_writer *writer) {
  TITAN_TRY(count_elements(writer));
  return titan_checkpoint_sums_reduce(&writer->sums, writer->tile_count, writer->comm, writer->patient, put_numbers,
                                      writer);
}

// --- completion ---

// What this rank has written is on the disk, and the system has told of every failure, once this is done.
static titan_status synchronize(titan_checkpoint_writer *writer, titan_status status) {
  int descriptor = writer->descriptor;
  writer->descriptor = -1;
  if (descriptor < 0)
    return status;
  uint64_t span = titan_io_span_begin("sync");
  bool good = status != TITAN_OK || fsync(descriptor) == 0;
  int reason = errno;
  titan_io_span_end(span, 0);
  span = titan_io_span_begin("close");
  if (close(descriptor) != 0 && good) {
    good = status != TITAN_OK;
    reason = errno;
  }
  titan_io_span_end(span, 0);
  if (good)
    return status;
  return titan_error(TITAN_ERROR_CHECKPOINT, "cannot write %s: %s", writer->path, strerror(reason));
}

// Collective. `status` is agreed on.
static titan_status complete(titan_checkpoint_writer *writer, titan_status status, uint64_t *bytes) {
  if (status == TITAN_OK)
    status = write_edges(writer);
  titan_memory_free(writer->staging);
  writer->staging = NULL;
  if (status == TITAN_OK)
    status = write_checks(writer);
  TITAN_TRY(titan_checkpoint_agree(writer->comm, synchronize(writer, status), writer->patient));
  if (writer->verify) {
    uint64_t span = titan_io_span_begin("verify");
    status = titan_checkpoint_writer_verify(writer);
    titan_io_span_end(span, 0);
    TITAN_TRY(titan_checkpoint_agree(writer->comm, status, writer->patient));
  }
  if (writer->rank == 0)
    status = titan_checkpoint_skeleton_complete(writer, bytes);
  return titan_checkpoint_agree(writer->comm, status, writer->patient);
}

titan_status titan_checkpoint_writer_finish(titan_checkpoint_writer **writer, titan_status status,
                                            titan_checkpoint_written *written) {
  titan_checkpoint_writer *w = *writer;
  titan_checkpoint_written result = {.create_seconds = w->opened - w->begun};
  double done = titan_clock_seconds();
  status = titan_checkpoint_agree(w->comm, status, w->patient);
  double all_done = titan_clock_seconds();
  status = complete(w, status, &result.bytes);
  result.write_seconds = done - w->opened;
  result.wait_seconds = all_done - done;
  result.flush_seconds = titan_clock_seconds() - all_done;
  if (status == TITAN_OK && written != NULL)
    *written = result;
  if (status != TITAN_OK && w->made)
    unlink(w->partial);
  titan_checkpoint_writer_destroy(w);
  *writer = NULL;
  return status;
}
