// SPDX-License-Identifier: Apache-2.0
#include "exposed.h"

#include "common.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void keep(void *context, const titan_comm_stretch *stretch) {
  bench_exposed *exposed = context;
  if (exposed->stretch_count < BENCH_EXPOSED_STRETCHES)
    exposed->stretches[exposed->stretch_count++] = *stretch;
}

void bench_exposed_start(bench_exposed *exposed, titan_comm *comm) {
  if (exposed->stretches == NULL)
    exposed->stretches = malloc(BENCH_EXPOSED_STRETCHES * sizeof *exposed->stretches);
  if (exposed->stretches == NULL)
    bench_end(titan_error(TITAN_ERROR_MEMORY, "no memory to keep stretches in"));
  if (exposed->row_count == 0)
    exposed->rows[exposed->row_count++] = (bench_exposed_row){.operation = "progress"};
  exposed->stretch_count = 0;
  titan_comm_observe(comm, keep, exposed);
}

static bool is_of_operation(const titan_comm_stretch *stretch) {
  return strcmp(stretch->operation, "progress") != 0;
}

static bench_exposed_row *row_of(bench_exposed *exposed, const titan_comm_stretch *stretch) {
  for (int i = 0; i < exposed->row_count; i++)
    if (strcmp(exposed->rows[i].operation, stretch->operation) == 0 && exposed->rows[i].bytes == stretch->bytes)
      return &exposed->rows[i];
  if (exposed->row_count == BENCH_EXPOSED_ROWS)
    bench_end(titan_error(TITAN_ERROR_INTERNAL, "more than %d kinds of operations", BENCH_EXPOSED_ROWS));
  bench_exposed_row *row = &exposed->rows[exposed->row_count++];
  *row = (bench_exposed_row){.operation = stretch->operation, .bytes = stretch->bytes};
  return row;
}

// When each operation of the step was last contributed to by another rank. Every rank has the same operations.
static double *arrivals_of_others(const bench_exposed *exposed, titan_comm *comm, uint64_t *first, size_t *count) {
  uint64_t last = 0;
  *first = UINT64_MAX;
  for (int i = 0; i < exposed->stretch_count; i++)
    if (is_of_operation(&exposed->stretches[i])) {
      *first = exposed->stretches[i].sequence < *first ? exposed->stretches[i].sequence : *first;
      last = exposed->stretches[i].sequence > last ? exposed->stretches[i].sequence : last;
    }
  *count = *first == UINT64_MAX ? 0 : (size_t)(last - *first + 1);
  size_t ranks = (size_t)titan_comm_size(comm), own = (size_t)titan_comm_rank(comm);
  double *arrivals = calloc((ranks + 1) * (*count + 1), sizeof *arrivals);
  if (arrivals == NULL)
    bench_end(titan_error(TITAN_ERROR_MEMORY, "no memory to compare ranks in"));
  double *others = arrivals + ranks * *count;
  for (int i = 0; i < exposed->stretch_count; i++)
    if (is_of_operation(&exposed->stretches[i]) && exposed->stretches[i].contributes)
      arrivals[own * *count + exposed->stretches[i].sequence - *first] = exposed->stretches[i].begun;
  bench_end(titan_comm_all_gather(comm, arrivals + own * *count, arrivals, *count, TITAN_FLOAT64, NULL));
  for (size_t i = 0; i < *count; i++)
    for (size_t rank = 0; rank < ranks; rank++)
      if (rank != own)
        others[i] = fmax(others[i], arrivals[rank * *count + i]);
  memmove(arrivals, others, *count * sizeof *others);
  return arrivals;
}

void bench_exposed_stop(bench_exposed *exposed, titan_comm *comm) {
  titan_comm_observe(comm, NULL, NULL);
  if (exposed->stretch_count == BENCH_EXPOSED_STRETCHES)
    bench_end(titan_error(TITAN_ERROR_INTERNAL, "more than %d stretches in a step", BENCH_EXPOSED_STRETCHES - 1));
  uint64_t first, seen = UINT64_MAX;
  size_t count;
  double *arrivals = arrivals_of_others(exposed, comm, &first, &count);
  for (int i = 0; i < exposed->stretch_count; i++) {
    const titan_comm_stretch *stretch = &exposed->stretches[i];
    bench_exposed_row *row = row_of(exposed, stretch);
    bool known = is_of_operation(stretch);
    double arrival = known && !stretch->contributes ? arrivals[stretch->sequence - first] : stretch->begun;
    double waiting = fmax(0, fmin(arrival, stretch->ended) - stretch->begun);
    row->waiting += waiting;
    row->transfer += stretch->ended - stretch->begun - waiting;
    if (!known || stretch->sequence != seen)
      row->calls++;
    if (known)
      seen = stretch->sequence;
  }
  free(arrivals);
}

void bench_exposed_average(bench_exposed *exposed, titan_comm *comm) {
  double ranks = titan_comm_size(comm);
  for (int i = 0; i < exposed->row_count; i++) {
    double sums[2] = {exposed->rows[i].waiting, exposed->rows[i].transfer};
    bench_end(titan_comm_all_reduce(comm, sums, sums, 2, TITAN_FLOAT64, TITAN_SUM, NULL));
    exposed->rows[i].waiting = sums[0] / ranks;
    exposed->rows[i].transfer = sums[1] / ranks;
  }
}

bench_exposed_row bench_exposed_sum(const bench_exposed *exposed) {
  bench_exposed_row sum = {0};
  for (int i = 0; i < exposed->row_count; i++) {
    sum.waiting += exposed->rows[i].waiting;
    sum.transfer += exposed->rows[i].transfer;
  }
  return sum;
}

void bench_exposed_print(const bench_exposed *exposed, int64_t steps, const char *indent) {
  double n = (double)steps;
  for (int i = 0; i < exposed->row_count; i++) {
    const bench_exposed_row *row = &exposed->rows[i];
    if (row->calls > 0)
      printf("%s%-16s %12zu bytes x %7.1f   waiting %8.2f ms   transfer %8.2f ms\n", indent, row->operation, row->bytes,
             (double)row->calls / n, 1e3 * row->waiting / n, 1e3 * row->transfer / n);
  }
}

void bench_exposed_free(bench_exposed *exposed) {
  free(exposed->stretches);
  *exposed = (bench_exposed){0};
}
