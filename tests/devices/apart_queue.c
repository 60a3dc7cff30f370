// SPDX-License-Identifier: Apache-2.0
#include "apart_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

titan_status apart_add(apart *a, titan_queue queue, titan_status (*run)(apart *a, apart_op *op), apart_op **out) {
  if (a->op_count == a->op_capacity) {
    size_t capacity = 2 * a->op_capacity + 1024;
    apart_op *grown = realloc(a->ops, capacity * sizeof *grown);
    if (grown == NULL)
      return titan_error(TITAN_ERROR_MEMORY, "apart device: no memory for its queues");
    a->ops = grown;
    a->op_capacity = capacity;
  }
  *out = &a->ops[a->op_count++];
  memset(*out, 0, sizeof **out);
  (*out)->run = run;
  (*out)->queue = queue;
  a->last[queue] = a->first + a->op_count - 1;
  return TITAN_OK;
}

// --- the order of work ---

static uint64_t next_random(apart *a) { // Marsaglia, "Xorshift RNGs", 2003
  a->random ^= a->random << 13;
  a->random ^= a->random >> 7;
  a->random ^= a->random << 17;
  return a->random;
}

static void shuffle(apart *a, int order[TITAN_QUEUES]) {
  for (int i = TITAN_QUEUES - 1; i > 0; i--) {
    int k = (int)(next_random(a) % (uint64_t)(i + 1)), swap = order[i];
    order[i] = order[k];
    order[k] = swap;
  }
}

static bool is_done(const apart *a, uint64_t number) {
  return number < a->first || a->ops[number - a->first].done;
}

// The places of the next operation of each queue, and of the next one of groups.
typedef struct heads {
  size_t queue[TITAN_QUEUES], exchange;
} heads;

static void move_on(const apart *a, heads *h) {
  for (int queue = 0; queue < TITAN_QUEUES; queue++)
    while (h->queue[queue] < a->op_count &&
           (a->ops[h->queue[queue]].done || a->ops[h->queue[queue]].queue != (titan_queue)queue))
      h->queue[queue]++;
  while (h->exchange < a->op_count && (a->ops[h->exchange].done || !a->ops[h->exchange].exchange))
    h->exchange++;
}

static bool can_run(const apart *a, const heads *h, size_t place) {
  const apart_op *op = &a->ops[place];
  return (op->mark == 0 || is_done(a, op->mark)) && (!op->exchange || place == h->exchange);
}

static void note_failure(apart *a, titan_status status) {
  if (a->status != TITAN_OK || status == TITAN_OK)
    return;
  a->status = status;
  snprintf(a->message, sizeof a->message, "%s", titan_error_message());
}

titan_status apart_execute(apart *a) {
  int order[TITAN_QUEUES];
  heads h = {0};
  size_t left = a->op_count;
  if (a->records)
    return titan_error(TITAN_ERROR_INTERNAL, "apart device: the host waits for work that is being recorded");
  for (int i = 0; i < TITAN_QUEUES; i++)
    order[i] = i;
  shuffle(a, order);
  if (left > 0)
    apart_memory_open(a, true);
  while (left > 0) {
    int at = 0;
    move_on(a, &h);
    if (next_random(a) % 8 == 0)
      shuffle(a, order);
    while (at < TITAN_QUEUES && (h.queue[order[at]] == a->op_count || !can_run(a, &h, h.queue[order[at]])))
      at++;
    if (at == TITAN_QUEUES) {
      fprintf(stderr, "apart device, seed %llu: %zu operations wait for marks that nothing reaches\n",
              (unsigned long long)a->seed, left);
      abort();
    }
    apart_op *op = &a->ops[h.queue[order[at]]];
    if (op->run != NULL && a->status == TITAN_OK)
      note_failure(a, op->run(a, op));
    op->done = true;
    left--;
  }
  if (a->op_count > 0)
    apart_memory_open(a, false);
  a->first += a->op_count;
  a->op_count = 0;
  return a->status == TITAN_OK ? TITAN_OK : titan_error(a->status, "%s", a->message);
}

// --- faults, to see that tests find them ---

// TITAN_APART_FAULT: "after:gather<compute" (gather does not wait for compute), "mark:copy" (marks of the queue are the
// past), "wait:compute" (the host does not wait for the queue), "copy:copy" (copies in the queue go the other way).
static const char *const queue_names[TITAN_QUEUES] = {"compute", "gather", "reduce", "tensor", "pipeline", "copy"};

static bool has_fault(const char *format, const char *first, const char *second) {
  const char *fault = getenv("TITAN_APART_FAULT");
  char text[64];
  if (fault == NULL)
    return false;
  snprintf(text, sizeof text, format, first, second);
  return strcmp(fault, text) == 0;
}

static const char *queue_of_mark(const apart *a, uint64_t number) {
  return number < a->first ? "" : queue_names[a->ops[number - a->first].queue];
}

// --- the queue functions ---

static titan_status queue_mark(titan_device *device, titan_queue queue, titan_mark *out) {
  *out = (titan_mark){has_fault("mark:%s%s", queue_names[queue], "") ? 0 : apart_of(device)->last[queue]};
  return TITAN_OK;
}

static titan_status queue_after(titan_device *device, titan_queue queue, titan_mark mark) {
  apart_op *op = NULL;
  if (has_fault("after:%s<%s", queue_names[queue], queue_of_mark(apart_of(device), mark.number)))
    return TITAN_OK;
  TITAN_TRY(apart_add(apart_of(device), queue, NULL, &op));
  op->mark = mark.number;
  return TITAN_OK;
}

static titan_status queue_wait(titan_device *device, titan_mark mark) {
  if (has_fault("wait:%s%s", queue_of_mark(apart_of(device), mark.number), ""))
    return TITAN_OK;
  return apart_execute(apart_of(device));
}

static bool queue_reached(titan_device *device, titan_mark mark) {
  return is_done(apart_of(device), mark.number);
}

static titan_status run_copy(apart *a, apart_op *op) {
  (void)a;
  for (size_t row = 0; row < op->of.copy.rows; row++)
    memmove((char *)op->of.copy.to + row * op->of.copy.to_pitch,
            (const char *)op->of.copy.from + row * op->of.copy.from_pitch, op->of.copy.row_bytes);
  return TITAN_OK;
}

static titan_status queue_copy_rows(titan_device *device, titan_queue queue, void *to, size_t to_pitch,
                                    const void *from, size_t from_pitch, size_t row_bytes, size_t rows) {
  apart_op *op = NULL;
  TITAN_TRY(apart_add(apart_of(device), queue, run_copy, &op));
  bool turned = has_fault("copy:%s%s", queue_names[queue], "");
  op->of.copy.to = turned ? (void *)(uintptr_t)from : to;
  op->of.copy.from = turned ? to : from;
  op->of.copy.to_pitch = to_pitch;
  op->of.copy.from_pitch = from_pitch;
  op->of.copy.row_bytes = row_bytes;
  op->of.copy.rows = rows;
  return TITAN_OK;
}

static titan_status queue_copy(titan_device *device, titan_queue queue, void *to, const void *from, size_t bytes) {
  return queue_copy_rows(device, queue, to, bytes, from, bytes, bytes, 1);
}

const titan_queue_functions apart_queues = {.mark = queue_mark,
                                            .after = queue_after,
                                            .wait = queue_wait,
                                            .reached = queue_reached,
                                            .copy = queue_copy,
                                            .copy_rows = queue_copy_rows,
                                            .record = apart_record,
                                            .record_end = apart_record_end,
                                            .replay = apart_replay,
                                            .forget = apart_forget};
