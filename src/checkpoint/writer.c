// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/writer_private.h"

#include "base/clock.h"
#include "base/io_spans.h"
#include "base/memory.h"
#include "checkpoint/agree.h"
#include "storage/write_at.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static titan_status system_error(const titan_checkpoint_writer *writer) {
  return titan_error(TITAN_ERROR_CHECKPOINT, "cannot write %s: %s", writer->path, strerror(errno));
}

// --- opening ---

static titan_status allocate(titan_checkpoint_writer *writer, const titan_checkpoint_writer_options *options) {
  size_t length = strlen(options->path) + sizeof ".partial", count = (size_t)options->tensor_count;
  TITAN_TRY(titan_memory_duplicate(TITAN_MEMORY_GENERAL, options->path, &writer->path));
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, length, &writer->partial));
  snprintf(writer->partial, length, "%s.partial", options->path);
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, count, sizeof *writer->tensors, &writer->tensors));
  memcpy(writer->tensors, options->tensors, count * sizeof *writer->tensors);
  writer->tile_count = titan_checkpoint_number_tiles(writer->tensor_count, writer->tensors, writer->sums.tile_bytes);
  TITAN_TRY(titan_checkpoint_sums_reserve(&writer->sums, options->sum_count));
  if (writer->verify)
    TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)options->slab_count * sizeof *writer->slabs,
                                    &writer->slabs));
  return options->staging ? titan_memory_allocate(TITAN_MEMORY_CHECKPOINT, writer->piece, &writer->staging) : TITAN_OK;
}

void titan_checkpoint_writer_destroy(titan_checkpoint_writer *writer) {
  if (writer == NULL)
    return;
  if (writer->descriptor >= 0)
    close(writer->descriptor);
  titan_checkpoint_edges_destroy(&writer->edges);
  titan_hdf5_image_destroy(&writer->image);
  titan_memory_free(writer->path);
  titan_memory_free(writer->partial);
  titan_memory_free(writer->tensors);
  titan_memory_free(writer->slabs);
  titan_checkpoint_sums_destroy(&writer->sums);
  titan_memory_free(writer->staging);
  titan_memory_free(writer);
}

static titan_status open_file(titan_checkpoint_writer *writer) {
  if (writer->descriptor < 0)
    writer->descriptor = open(writer->partial, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
  return writer->descriptor < 0 ? system_error(writer) : TITAN_OK;
}

static titan_status create(titan_checkpoint_writer *writer, const titan_checkpoint_writer_options *options) {
  titan_status status = TITAN_OK;
  if (writer->rank == 0)
    status = titan_checkpoint_skeleton_create(writer, options->hints, options->contents);
  TITAN_TRY(titan_checkpoint_agree(writer->comm, status, writer->patient));
  // With the offsets that rank 0 has given them.
  status = titan_checkpoint_broadcast(writer->comm, writer->tensors,
                                      (size_t)writer->tensor_count * sizeof *writer->tensors, writer->patient);
  return titan_checkpoint_agree(writer->comm, status == TITAN_OK ? open_file(writer) : status, writer->patient);
}

titan_status titan_checkpoint_writer_create(const titan_checkpoint_writer_options *options,
                                            titan_checkpoint_writer **out) {
  titan_checkpoint_writer *writer = NULL;
  titan_status status = titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, 1, sizeof *writer, &writer);
  if (status == TITAN_OK) {
    writer->begun = titan_clock_seconds();
    writer->comm = options->comm;
    writer->patient = options->patient;
    writer->replace = options->replace;
    writer->apart = options->apart;
    writer->verify = options->verify;
    writer->piece = options->piece > 0 ? options->piece : TITAN_CHECKPOINT_STAGING_BYTES;
    writer->tensor_count = options->tensor_count;
    writer->slab_count = options->slab_count;
    writer->sums.tile_bytes = options->tile_bytes > 0 ? options->tile_bytes : TITAN_CHECKPOINT_TILE_BYTES;
    writer->sums.tag = TITAN_MEMORY_GENERAL;
    writer->descriptor = -1;
    MPI_Comm_rank(writer->comm, &writer->rank);
    MPI_Comm_size(writer->comm, &writer->size);
    status = allocate(writer, options);
  }
  *out = NULL;
  status = titan_checkpoint_agree(options->comm, status, options->patient);
  if (status == TITAN_OK) {
    *out = writer;
    status = create(writer, options);
    writer->opened = titan_clock_seconds();
    if (status == TITAN_OK)
      return TITAN_OK;
    return titan_checkpoint_writer_finish(out, status, NULL);
  }
  titan_checkpoint_writer_destroy(writer);
  return status;
}

// --- data ---

titan_status titan_checkpoint_writer_put(const titan_checkpoint_writer *writer, uint64_t offset, const void *data,
                                         size_t bytes) {
  errno = titan_write_at(writer->descriptor, data, bytes, offset);
  return errno == 0 ? TITAN_OK : system_error(writer);
}

// Bytes of the present slab's tensor. Where ranks are on several nodes, only whole pages are written here.
static titan_status put_data(titan_checkpoint_writer *writer, uint64_t offset, const char *data, size_t bytes) {
  const titan_checkpoint_tensor *tensor = &writer->tensors[writer->slab.tensor];
  size_t before, behind;
  if (!writer->apart)
    return titan_checkpoint_writer_put(writer, offset, data, bytes);
  titan_checkpoint_page_split(offset, bytes, &before, &behind);
  TITAN_TRY(titan_checkpoint_edges_add(&writer->edges, tensor, offset, data, before, writer->size));
  TITAN_TRY(titan_checkpoint_edges_add(&writer->edges, tensor, offset + bytes - behind, data + bytes - behind, behind,
                                       writer->size));
  return titan_checkpoint_writer_put(writer, offset + before, data + before, bytes - before - behind);
}

static titan_status check_values(const titan_checkpoint_writer *writer, int64_t rows, int64_t columns,
                                 const float *data, int64_t stride) {
  const titan_checkpoint_tensor *tensor = &writer->tensors[writer->slab.tensor];
  for (int64_t i = 0; i < rows && tensor->number == TITAN_NUMBER_FLOAT16; i++) {
    int64_t place = titan_number_unfit(tensor->number, columns, data + i * stride);
    if (place >= 0)
      return titan_number_unfit_error(writer->path, tensor->name, data[i * stride + place]);
  }
  return TITAN_OK;
}

// rows x columns at (row, column) of the tensor: rows that are dense in memory as well as in the file are written at
// once, others one by one.
static titan_status write_piece(titan_checkpoint_writer *writer, int64_t row, int64_t rows, int64_t column,
                                int64_t columns, const float *data, int64_t stride) {
  const titan_checkpoint_tensor *tensor = &writer->tensors[writer->slab.tensor];
  size_t size = titan_number_bytes(tensor->number), row_bytes = (size_t)columns * size;
  const char *bytes = (const char *)data;
  size_t pitch = (size_t)stride * sizeof *data;
  TITAN_TRY(check_values(writer, rows, columns, data, stride));
  if (tensor->number != TITAN_NUMBER_FLOAT32) {
    for (int64_t i = 0; i < rows; i++)
      titan_number_from_float(tensor->number, columns, data + i * stride, writer->staging + (size_t)i * row_bytes);
    bytes = writer->staging;
    pitch = row_bytes;
  }
  TITAN_TRY(titan_checkpoint_sums_add(&writer->sums, tensor, row, rows, column, columns, bytes, pitch));
  writer->elements += rows * columns;
  if (rows == 1 || (pitch == row_bytes && columns == titan_checkpoint_columns(tensor)))
    return put_data(writer, titan_checkpoint_place(tensor, row, column), bytes, (size_t)rows * row_bytes);
  for (int64_t i = 0; i < rows; i++)
    TITAN_TRY(put_data(writer, titan_checkpoint_place(tensor, row + i, column), bytes + (size_t)i * pitch, row_bytes));
  return TITAN_OK;
}

titan_status titan_checkpoint_writer_begin(titan_checkpoint_writer *writer, const titan_checkpoint_section *slab) {
  if (writer->done_slabs == writer->slab_count)
    return titan_error(TITAN_ERROR_INTERNAL, "more slabs than were announced");
  writer->slab = *slab;
  writer->added = 0;
  return TITAN_OK;
}

titan_status titan_checkpoint_writer_add(titan_checkpoint_writer *writer, int64_t rows, const float *data,
                                         int64_t stride) {
  const titan_checkpoint_section *slab = &writer->slab;
  int64_t capacity = (int64_t)(writer->piece / sizeof(float));
  int64_t columns = slab->columns < capacity ? slab->columns : capacity;
  int64_t step = columns < slab->columns ? 1 : capacity / columns;
  titan_status status = TITAN_OK;
  uint64_t span = titan_io_span_begin("write data");
  for (int64_t row = 0; row < rows && status == TITAN_OK; row += step)
    for (int64_t column = 0; column < slab->columns && status == TITAN_OK; column += columns) {
      int64_t wide = slab->columns - column < columns ? slab->columns - column : columns;
      status = write_piece(writer, slab->row + writer->added + row, rows - row < step ? rows - row : step,
                           slab->column + column, wide, data + row * stride + column, stride);
    }
  titan_io_span_end(span, (uint64_t)(rows * slab->columns) * titan_number_bytes(writer->tensors[slab->tensor].number));
  writer->added += rows;
  return status;
}

titan_status titan_checkpoint_writer_end(titan_checkpoint_writer *writer) {
  if (writer->added != writer->slab.rows)
    return titan_error(TITAN_ERROR_INTERNAL, "a slab of %lld rows was given %lld", (long long)writer->slab.rows,
                       (long long)writer->added);
  if (writer->verify)
    writer->slabs[writer->done_slabs] = writer->slab;
  writer->done_slabs++;
  return TITAN_OK;
}

titan_status titan_checkpoint_writer_write(titan_checkpoint_writer *writer, const titan_checkpoint_section *slab,
                                           const float *data, int64_t stride) {
  TITAN_TRY(titan_checkpoint_writer_begin(writer, slab));
  TITAN_TRY(titan_checkpoint_writer_add(writer, slab->rows, data, stride));
  return titan_checkpoint_writer_end(writer);
}
