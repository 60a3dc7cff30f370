// SPDX-License-Identifier: Apache-2.0
// profiling.enable_profiling: every profile_freq steps, <dump>/<save_traces_folder>/iteration_<step>/rank<r>_trace.json
// of each rank. A trace goes from a step's begin to the next one's, so that a validation and a save are in it.
#include "train/observer.h"
#include "train/observers/trace_clock.h"
#include "train/observers/trace_events.h"

#include "base/clock.h"
#include "base/io_spans.h"
#include "base/log.h"
#include "device/executor.h"

#include <string.h>
#include <unistd.h>

enum { MOST_SPANS = 1 << 16, MOST_RECORDS = 20000, MOST_IO = 4096, HOST_BYTES = 64 };

typedef struct traces {
  bool is_on;  // a step is being traced
  bool failed; // the latest trace could not be written
  bool lacked; // a trace has lacked operations, which the log has
  int64_t step;
  double begun, offset;
  titan_trace_span *spans; // those of the step
  int64_t count, dropped;
  uint64_t operations;    // of communication, before the step
  titan_trace_span stage; // the present one
  titan_record *records;
  titan_io_span *io;
  char host[HOST_BYTES];
} traces;

static void add(traces *t, const titan_trace_span *span) {
  if (t->count < MOST_SPANS)
    t->spans[t->count++] = *span;
  else
    t->dropped++;
}

static titan_trace_span span_of(titan_trace_row row, const char *name, double begin, double end) {
  titan_trace_span span = {.row = row, .microbatch = -1, .begin = begin, .end = end};
  snprintf(span.name, sizeof span.name, "%s", name);
  return span;
}

static void note_operation(void *context, const titan_op_call *call, double begin, double end) {
  titan_trace_span span = span_of(TITAN_TRACE_OPERATION, titan_op_name(call->kind), begin, end);
  span.call = call;
  add(context, &span);
}

static void note_action(void *context, const titan_runtime_span *action) {
  char name[TITAN_TRACE_NAME_BYTES];
  snprintf(name, sizeof name, "%s %s", action->what, action->unit);
  titan_trace_span span = span_of(TITAN_TRACE_ACTION, name, action->begin, action->end);
  span.microbatch = action->microbatch;
  add(context, &span);
}

static titan_status traces_create(titan_trainer *trainer, void **state) {
  traces *t = NULL;
  if (!trainer->env.config->profiling.enable_profiling)
    return TITAN_OK;
  titan_status status = titan_memory_allocate_zeroed(TITAN_MEMORY_OBSERVE, 1, sizeof *t, &t);
  *state = t;
  if (status == TITAN_OK)
    status = titan_memory_allocate(TITAN_MEMORY_OBSERVE, MOST_SPANS * sizeof *t->spans, &t->spans);
  if (status == TITAN_OK)
    status = titan_memory_allocate(TITAN_MEMORY_OBSERVE, MOST_RECORDS * sizeof *t->records, &t->records);
  if (status == TITAN_OK)
    status = titan_memory_allocate(TITAN_MEMORY_OBSERVE, MOST_IO * sizeof *t->io, &t->io);
  TITAN_TRY(titan_comm_agree(titan_trainer_world(trainer), status));
  titan_io_spans_watch(true); // in every step: a save beside the training goes on for several
  if (gethostname(t->host, sizeof t->host - 1) != 0)
    strcpy(t->host, "unknown");
  return titan_trace_clock(titan_trainer_world(trainer), &t->offset);
}

static void end_stage(traces *t, double now) {
  t->stage.end = now;
  if (t->stage.begin > 0)
    add(t, &t->stage);
  t->stage.begin = 0;
}

static void traces_stage(void *state, titan_trainer *trainer, const char *name) {
  traces *t = state;
  double now = titan_clock_seconds();
  (void)trainer;
  if (!t->is_on)
    return;
  end_stage(t, now);
  t->stage = span_of(TITAN_TRACE_STAGE, name, now, now);
  t->stage.live_bytes = titan_memory_usage_total().live_bytes;
}

// What files took of the step, also where it began before, or goes on.
static void add_io(traces *t, double now) {
  int64_t count = titan_io_spans_copy(t->begun, t->io, MOST_IO);
  for (int64_t i = 0; i < count; i++) {
    const titan_io_span *io = &t->io[i];
    double begin = io->begin > t->begun ? io->begin : t->begun, end = io->end > 0 ? io->end : now;
    titan_trace_span span = span_of(io->aside ? TITAN_TRACE_IO_ASIDE : TITAN_TRACE_IO, io->what, begin, end);
    span.io_bytes = io->bytes;
    if (begin < now)
      add(t, &span);
  }
}

static uint64_t operations_so_far(void) {
  titan_whereabouts where;
  titan_recorder_whereabouts(&where);
  return where.operations;
}

// The flight recorder has the operations of a step as far as it is large enough.
static void count_operations(traces *t, const titan_trainer *trainer, titan_trace *trace) {
  trace->record_count = titan_recorder_copy(t->begun, t->records, MOST_RECORDS);
  trace->dropped_operations = (int64_t)(operations_so_far() - t->operations) - trace->record_count;
  if (trace->dropped_operations <= 0 || t->lacked)
    return;
  t->lacked = true;
  titan_log_warning("the trace of step %lld shows %lld of the step's %lld operations of communication: "
                    "comm.trace_buf_size is %lld, and a trace has %d at most",
                    (long long)t->step, (long long)trace->record_count,
                    (long long)(trace->record_count + trace->dropped_operations),
                    (long long)trainer->env.config->comm.trace_buf_size, MOST_RECORDS);
}

static titan_status write_trace(traces *t, const titan_trainer *trainer) {
  titan_text text = {0}, name = {0};
  titan_trace trace = {.rank = trainer->rank,
                       .host = t->host,
                       .step = t->step,
                       .offset = t->offset,
                       .spans = t->spans,
                       .span_count = t->count,
                       .dropped = t->dropped,
                       .records = t->records};
  count_operations(t, trainer, &trace);
  titan_status status =
      titan_text_printf(&name, "%s/iteration_%lld/rank%d_trace.json", trainer->env.config->profiling.save_traces_folder,
                        (long long)t->step, trainer->rank);
  if (status == TITAN_OK)
    status = titan_trace_write(&trace, &text);
  if (status == TITAN_OK)
    status = titan_trainer_write_file(trainer, name.data, false, &text);
  titan_text_destroy(&name);
  titan_text_destroy(&text);
  return status;
}

static titan_status end_trace(traces *t, titan_trainer *trainer) {
  if (!t->is_on)
    return t->failed ? titan_error(TITAN_ERROR_OUTPUT, "the latest trace could not be written") : TITAN_OK;
  double now = titan_clock_seconds();
  char name[TITAN_TRACE_NAME_BYTES];
  end_stage(t, now);
  snprintf(name, sizeof name, "step %lld", (long long)t->step);
  titan_trace_span step = span_of(TITAN_TRACE_STEP, name, t->begun, now);
  add(t, &step);
  add_io(t, now);
  t->is_on = false;
  titan_executor_watch(NULL, NULL);
  titan_runtime_watch(trainer->runtime, NULL, NULL);
  titan_status status = write_trace(t, trainer);
  t->failed = status == TITAN_ERROR_OUTPUT;
  return status;
}

static titan_status traces_step_begins(void *state, titan_trainer *trainer, int64_t step) {
  traces *t = state;
  titan_status status = end_trace(t, trainer);
  if (step % trainer->env.config->profiling.profile_freq != 0)
    return status;
  t->count = t->dropped = 0;
  t->step = step;
  t->is_on = true;
  titan_executor_watch(note_operation, t);
  titan_runtime_watch(trainer->runtime, note_action, t);
  t->operations = operations_so_far();
  t->begun = titan_clock_seconds();
  return status;
}

static titan_status traces_end(void *state, titan_trainer *trainer, const trainer_end *end) {
  (void)end;
  return end_trace(state, trainer);
}

static void traces_destroy(void **state) {
  traces *t = *state;
  titan_executor_watch(NULL, NULL);
  titan_io_spans_watch(false);
  titan_memory_free(t->io);
  titan_memory_free(t->spans);
  titan_memory_free(t->records);
  titan_memory_free(t);
  *state = NULL;
}

const titan_observer titan_observer_traces = {
    .name = "the trace",
    .missing = "this rank's trace of the step is missing",
    .create = traces_create,
    .step_begins = traces_step_begins,
    .stage = traces_stage,
    .end = traces_end,
    .destroy = traces_destroy,
};
