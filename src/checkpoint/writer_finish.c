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

enum { PAGE = TITAN_CHECKPOINT_PAGE_BYTES, ROWS_AT_ONCE = 4096 };

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

static titan_status put_rows(const titan_checkpoint_writer *writer, int64_t first, int64_t count,
                             const titan_checkpoint_slab *rows) {
  return titan_checkpoint_writer_put(writer, writer->rows_offset + (uint64_t)first * sizeof *rows, rows,
                                     (size_t)count * sizeof *rows);
}

static int64_t at_once(int64_t left) {
  return left < ROWS_AT_ONCE ? left : ROWS_AT_ONCE;
}

// Another rank's rows. They are taken in full even where they can no longer be written: the rank waits for that.
static titan_status take_rows(const titan_checkpoint_writer *writer, int rank, int64_t first, int64_t count,
                              titan_checkpoint_slab *rows, titan_status status) {
  MPI_Request request;
  for (int64_t done = 0; done < count; done += at_once(count - done)) {
    int64_t part_count = at_once(count - done);
    TITAN_TRY_MPI(MPI_Irecv(rows, (int)((size_t)part_count * sizeof *rows), MPI_BYTE, rank, 0, writer->comm, &request));
    TITAN_TRY(titan_checkpoint_wait(1, &request, writer->patient));
    if (status == TITAN_OK)
      status = put_rows(writer, first + done, part_count, rows);
  }
  return status;
}

static titan_status send_rows(const titan_checkpoint_writer *writer) {
  MPI_Request request;
  for (int64_t done = 0; done < writer->slab_count; done += at_once(writer->slab_count - done)) {
    int bytes = (int)((size_t)at_once(writer->slab_count - done) * sizeof *writer->rows);
    TITAN_TRY_MPI(MPI_Isend(writer->rows + done, bytes, MPI_BYTE, 0, 0, writer->comm, &request));
    TITAN_TRY(titan_checkpoint_wait(1, &request, writer->patient));
  }
  return TITAN_OK;
}

// Rank 0 writes the rows of all ranks, one rank's after another's.
static titan_status take_all_rows(const titan_checkpoint_writer *writer, const int64_t *counts,
                                  titan_checkpoint_slab *rows) {
  int64_t first = counts[0];
  uint64_t span = titan_io_span_begin("write checksums");
  titan_status status = put_rows(writer, 0, counts[0], writer->rows);
  for (int rank = 1; rank < writer->size; rank++) {
    status = take_rows(writer, rank, first, counts[rank], rows, status);
    first += counts[rank];
  }
  titan_io_span_end(span, (uint64_t)first * sizeof *rows);
  return status;
}

// Collective. Nothing in it fails on one rank before all have sent what others wait for.
static titan_status write_rows(titan_checkpoint_writer *writer) {
  int64_t *counts = NULL;
  titan_checkpoint_slab *rows = NULL;
  MPI_Request request;
  titan_status status = TITAN_OK;
  if (writer->done_slabs != writer->slab_count)
    status = titan_error(TITAN_ERROR_INTERNAL, "fewer slabs than were announced");
  if (status == TITAN_OK)
    status = titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)writer->size * sizeof *counts, &counts);
  if (status == TITAN_OK && writer->rank == 0)
    status = titan_memory_allocate(TITAN_MEMORY_GENERAL, ROWS_AT_ONCE * sizeof *rows, &rows);
  status = titan_checkpoint_agree(writer->comm, status, writer->patient);
  if (status == TITAN_OK)
    status =
        TITAN_MPI(MPI_Igather(&writer->slab_count, 1, MPI_INT64_T, counts, 1, MPI_INT64_T, 0, writer->comm, &request));
  if (status == TITAN_OK)
    status = titan_checkpoint_wait(1, &request, writer->patient);
  if (status == TITAN_OK)
    status = writer->rank == 0 ? take_all_rows(writer, counts, rows) : send_rows(writer);
  titan_memory_free(counts);
  titan_memory_free(rows);
  return status;
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
  if (status == TITAN_OK)
    status = write_rows(writer);
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
