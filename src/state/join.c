// SPDX-License-Identifier: Apache-2.0
#include "state/join.h"

#include "checkpoint/agree.h"
#include "comm/mpi_error.h"

#include <string.h>

// Columns that a rank holds of a row that is `whole` wide: `width` each, what is left of it the last ones.
static int64_t columns_of(int64_t whole, int64_t width, int rank) {
  int64_t left = whole - width * rank;
  return left < 0 ? 0 : left < width ? left : width;
}

size_t titan_checkpoint_join_bytes(const titan_checkpoint_layout *layout, size_t piece) {
  size_t least = 2 * (size_t)layout->widest * sizeof(float); // two halves
  if (least == 0)
    return 0;
  return piece > least ? piece : least;
}

typedef struct round {
  const titan_checkpoint_rectangle *rectangle;
  int64_t whole, width; // columns of a row, and of a rank's part of it (but for the last ones)
  int64_t first, rows;  // of each rank's own rows, those of this round
} round;

// Rows of the round that `rank` gets; *begin: the first of them, of the rectangle's.
static int64_t rows_of(const titan_checkpoint_join *join, const round *r, int rank, int64_t *begin) {
  int64_t first, end;
  titan_checkpoint_deal_rows(r->rectangle->rows, rank, join->size, &first, &end);
  *begin = first + r->first;
  int64_t left = end - *begin;
  return left < 0 ? 0 : left < r->rows ? left : r->rows;
}

static void pack(const titan_checkpoint_join *join, const round *r, const float *data, int64_t stride, float *out,
                 int *counts, int *firsts) {
  size_t columns = (size_t)r->rectangle->columns;
  int at = 0;
  for (int rank = 0; rank < join->size; rank++) {
    int64_t begin, rows = rows_of(join, r, rank, &begin);
    for (int64_t i = 0; data != NULL && i < rows; i++) // without data the rank has failed, and no file comes of it
      memcpy(out + at + i * (int64_t)columns, data + (begin + i) * stride, columns * sizeof *out);
    counts[rank] = (int)(rows * (int64_t)columns);
    firsts[rank] = at;
    at += counts[rank];
  }
}

// Parts of `rows` rows, a rank's after another's, become rows.
static void unpack(const titan_checkpoint_join *join, const round *r, int64_t rows, const float *in, float *out) {
  for (int rank = 0; rank < join->size; rank++) {
    int64_t columns = columns_of(r->whole, r->width, rank);
    for (int64_t i = 0; i < rows; i++)
      memcpy(out + i * r->whole + r->width * rank, in + i * columns, (size_t)columns * sizeof *out);
    in += rows * columns;
  }
}

// *rows: of this rank; they lie in *out.
static titan_status exchange(titan_checkpoint_join *join, const round *r, const float *data, int64_t stride,
                             int64_t *rows, float **out) {
  int *counts = join->numbers, *firsts = counts + join->size, *from = firsts + join->size,
      *from_firsts = from + join->size;
  float *send = join->memory, *receive = send + join->bytes / sizeof *send / 2;
  MPI_Request request;
  int64_t begin;
  int at = 0;
  pack(join, r, data, stride, send, counts, firsts);
  *rows = rows_of(join, r, join->rank, &begin);
  for (int rank = 0; rank < join->size; rank++) {
    from[rank] = (int)(*rows * columns_of(r->whole, r->width, rank));
    from_firsts[rank] = at;
    at += from[rank];
  }
  TITAN_TRY_MPI(
      MPI_Ialltoallv(send, counts, firsts, MPI_FLOAT, receive, from, from_firsts, MPI_FLOAT, join->comm, &request));
  TITAN_TRY(titan_checkpoint_wait(1, &request, join->patient));
  unpack(join, r, *rows, receive, send);
  *out = send;
  return TITAN_OK;
}

titan_status titan_checkpoint_join_write(titan_checkpoint_join *join, titan_checkpoint_writer *writer,
                                         const titan_checkpoint_rectangle *rectangle, int64_t tensor, int64_t whole,
                                         const float *data, int64_t stride, titan_status status) {
  int64_t begin, end, most, unused;
  titan_checkpoint_deal_rows(rectangle->rows, join->rank, join->size, &begin, &end);
  titan_checkpoint_deal_rows(rectangle->rows, 0, join->size, &unused, &most); // the first rank has the most
  titan_checkpoint_section slab = {
      .tensor = tensor, .row = rectangle->row + begin, .rows = end - begin, .column = 0, .columns = whole};
  round r = {.rectangle = rectangle, .whole = whole, .width = rectangle->stride};
  int64_t capacity = (int64_t)(join->bytes / sizeof(float) / 2);
  r.rows = capacity / ((int64_t)join->size * r.width);
  if (status == TITAN_OK && slab.rows > 0)
    status = titan_checkpoint_writer_begin(writer, &slab);
  for (; r.first < most; r.first += r.rows) {
    int64_t rows = 0;
    float *out = NULL;
    TITAN_TRY(exchange(join, &r, data, stride, &rows, &out));
    if (status == TITAN_OK && rows > 0)
      status = titan_checkpoint_writer_add(writer, rows, out, whole);
  }
  if (status == TITAN_OK && slab.rows > 0)
    status = titan_checkpoint_writer_end(writer);
  return status;
}
