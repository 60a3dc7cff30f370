// SPDX-License-Identifier: Apache-2.0
// A trace as text: the JSON of Chrome's trace viewer and Perfetto ("Trace Event Format"), one process a rank.
#ifndef TITAN_TRAIN_OBSERVERS_TRACE_EVENTS_H
#define TITAN_TRAIN_OBSERVERS_TRACE_EVENTS_H

#include "base/text.h"
#include "comm/recorder.h"
#include "graph/op.h"

enum { TITAN_TRACE_NAME_BYTES = 56 };

// The rows of a rank; communication has one more for each group.
typedef enum titan_trace_row {
  TITAN_TRACE_STEP,
  TITAN_TRACE_STAGE,
  TITAN_TRACE_ACTION,
  TITAN_TRACE_OPERATION,
  TITAN_TRACE_WAIT,
  TITAN_TRACE_IO,
  TITAN_TRACE_IO_ASIDE, // of the thread that saves beside the training
  TITAN_TRACE_ROWS
} titan_trace_row;

typedef struct titan_trace_span {
  titan_trace_row row;
  char name[TITAN_TRACE_NAME_BYTES];
  int microbatch;            // -1: none
  const titan_op_call *call; // of an operation; its cost is that of the plan. Else NULL
  double begin, end;         // as titan_clock_seconds
  size_t live_bytes;         // of a stage: memory when it begins
  uint64_t io_bytes;         // of I/O
} titan_trace_span;

typedef struct titan_trace {
  int rank;
  const char *host;
  int64_t step;
  double offset; // see titan_trace_clock
  const titan_trace_span *spans;
  int64_t span_count, dropped; // spans that there was no room for
  const titan_record *records;
  int64_t record_count, dropped_operations; // those of the step that are not among the records
} titan_trace;

// Not collective. Appends the whole file. Times are microseconds.
titan_status titan_trace_write(const titan_trace *trace, titan_text *text);

#endif
