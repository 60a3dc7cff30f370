// SPDX-License-Identifier: Apache-2.0
#include "train/observers/trace_events.h"

#include "base/hash.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { MOST_GROUPS = 32, FIRST_GROUP_ROW = 10 };

// A group is a row; groups of one name have different first ranks, but a rank is in one of them only.
typedef struct group_rows {
  const char *names[MOST_GROUPS];
  int count;
} group_rows;

enum { TIME_BYTES = 32 };

// Microseconds, as text: nanoseconds as an integer are printed much faster than a number with a fraction.
static const char *print_time(double seconds, char text[TIME_BYTES]) {
  int64_t nanoseconds = llround(1e9 * fabs(seconds));
  snprintf(text, TIME_BYTES, "%s%" PRId64 ".%03d", seconds < 0 ? "-" : "", nanoseconds / 1000,
           (int)(nanoseconds % 1000));
  return text;
}

static const char *microseconds(const titan_trace *trace, double seconds, char text[TIME_BYTES]) {
  return print_time(seconds + trace->offset, text);
}

static int row_of(group_rows *groups, const char *name) {
  for (int i = 0; i < groups->count; i++)
    if (strcmp(groups->names[i], name) == 0)
      return FIRST_GROUP_ROW + i;
  if (groups->count == MOST_GROUPS)
    return FIRST_GROUP_ROW + MOST_GROUPS - 1;
  groups->names[groups->count] = name;
  return FIRST_GROUP_ROW + groups->count++;
}

// Of a row, for viewers: 0 is no thread to Perfetto.
static int number_of(int row) {
  return row + 1;
}

static titan_status name_row(const titan_trace *trace, int row, const char *kind, const char *name, titan_text *text) {
  TITAN_TRY(titan_text_printf(text,
                              ",\n{\"ph\": \"M\", \"name\": \"thread_name\", \"pid\": %d, \"tid\": %d, \"args\": "
                              "{\"name\": \"%s%s\"}}",
                              trace->rank, number_of(row), kind, name));
  return titan_text_printf(text,
                           ",\n{\"ph\": \"M\", \"name\": \"thread_sort_index\", \"pid\": %d, \"tid\": %d, \"args\": "
                           "{\"sort_index\": %d}}",
                           trace->rank, number_of(row), row);
}

// A span without its arguments and its closing brace.
static titan_status begin_span(const titan_trace *trace, int row, const char *category, const char *name, double begin,
                               double end, titan_text *text) {
  char at[TIME_BYTES], duration[TIME_BYTES];
  return titan_text_printf(text,
                           ",\n{\"ph\": \"X\", \"cat\": \"%s\", \"name\": \"%s\", \"pid\": %d, \"tid\": %d, "
                           "\"ts\": %s, \"dur\": %s",
                           category, name, trace->rank, number_of(row), microseconds(trace, begin, at),
                           print_time(end - begin, duration));
}

static titan_status write_span(const titan_trace *trace, const titan_trace_span *span, titan_text *text) {
  static const char *const categories[] = {"step", "stage", "action", "operation", "wait", "io", "io"};
  char at[TIME_BYTES];
  TITAN_TRY(begin_span(trace, span->row, categories[span->row], span->name, span->begin, span->end, text));
  if (span->call != NULL) {
    titan_op_cost cost = titan_op_cost_of(span->call);
    TITAN_TRY(titan_text_printf(text, ", \"args\": {\"flops\": %.0f, \"bytes\": %.0f}", cost.flops, cost.bytes));
  } else if (span->io_bytes > 0) {
    TITAN_TRY(titan_text_printf(text, ", \"args\": {\"bytes\": %" PRIu64 "}", span->io_bytes));
  } else if (span->microbatch >= 0) {
    TITAN_TRY(titan_text_printf(text, ", \"args\": {\"microbatch\": %d}", span->microbatch));
  }
  TITAN_TRY(titan_text_printf(text, "}"));
  if (span->row != TITAN_TRACE_STAGE)
    return TITAN_OK;
  return titan_text_printf(text,
                           ",\n{\"ph\": \"C\", \"name\": \"memory\", \"pid\": %d, \"ts\": %s, \"args\": {\"live "
                           "MiB\": %.3f}}",
                           trace->rank, microseconds(trace, span->begin, at), (double)span->live_bytes / 1048576);
}

// --- communication ---

static bool is_transfer(const titan_record *record) {
  return strcmp(record->operation, "send") == 0 || strcmp(record->operation, "recv") == 0;
}

// An end of an arrow: "s" or "f". Viewers look for a span at this time in this row. Perfetto takes hexadecimal numbers
// alone, so `name`, which both ends have, becomes one.
static titan_status write_end(const titan_trace *trace, const char *phase, const char *category, const char *name,
                              int row, double time, titan_text *text) {
  char at[TIME_BYTES];
  return titan_text_printf(text,
                           ",\n{\"ph\": \"%s\", \"cat\": \"%s\", \"name\": \"%s\", \"id\": \"0x%016" PRIx64
                           "\", \"pid\": %d, \"tid\": %d, \"ts\": %s%s}",
                           phase, category, category, titan_hash_bytes(TITAN_HASH_START, name, strlen(name)),
                           trace->rank, number_of(row), microseconds(trace, time, at),
                           phase[0] == 'f' ? ", \"bp\": \"e\"" : "");
}

// The end of an arrow from a send to its recv. Both have the same name: group, ranks, tag, and how many there were
// before. Perfetto turns an arrow round whose first span begins later than the other one, as a recv may: a span of its
// own shows when the message has come.
static titan_status write_transfer(const titan_trace *trace, int64_t index, int row, titan_text *text) {
  const titan_record *records = trace->records, *record = &records[index];
  bool sends = strcmp(record->operation, "send") == 0;
  int before = 0, from = sends ? record->rank : record->peer, to = sends ? record->peer : record->rank;
  char name[128];
  for (int64_t i = 0; i < index; i++)
    before += strcmp(records[i].operation, record->operation) == 0 && strcmp(records[i].group, record->group) == 0 &&
              records[i].peer == record->peer && records[i].tag == record->tag;
  snprintf(name, sizeof name, "%s.%d.%d.%d.%d.%" PRId64 ".%d", record->group, record->leader, from, to, record->tag,
           trace->step, before);
  if (sends)
    return write_end(trace, "s", "transfer", name, row, record->begun, text);
  TITAN_TRY(begin_span(trace, row, "communication", "received", record->ended, record->ended + 1e-9, text));
  TITAN_TRY(titan_text_printf(text, "}"));
  return write_end(trace, "f", "transfer", name, row, record->ended, text);
}

// An arrow from an operation to this rank's wait for it.
static titan_status write_wait(const titan_trace *trace, const titan_record *record, int row, titan_text *text) {
  char name[TITAN_TRACE_NAME_BYTES + 16], arrow[64];
  snprintf(name, sizeof name, "wait: %s", record->operation);
  snprintf(arrow, sizeof arrow, "%d.%" PRIu64, trace->rank, record->number);
  TITAN_TRY(begin_span(trace, TITAN_TRACE_WAIT, "wait", name, record->wait_begun, record->wait_ended, text));
  TITAN_TRY(titan_text_printf(text, "}"));
  TITAN_TRY(write_end(trace, "s", "wait", arrow, row, record->begun, text));
  return write_end(trace, "f", "wait", arrow, TITAN_TRACE_WAIT, record->wait_begun, text);
}

// Operations of a group may be in flight at once, which a row of spans cannot show: they are asynchronous events.
// "id2": among those of the rank.
static titan_status write_record(const titan_trace *trace, int64_t index, group_rows *groups, titan_text *text) {
  const titan_record *record = &trace->records[index];
  int row = row_of(groups, record->group);
  const char *const format =
      ",\n{\"ph\": \"%s\", \"cat\": \"communication\", \"name\": \"%s\", \"id2\": {\"local\": \"%d/%" PRIu64
      "\"}, \"pid\": %d, \"tid\": %d, \"ts\": %s";
  char at[TIME_BYTES];
  if (record->ended == 0)
    return TITAN_OK;
  TITAN_TRY(titan_text_printf(text, format, "b", record->operation, trace->rank, record->number, trace->rank,
                              number_of(row), microseconds(trace, record->begun, at)));
  TITAN_TRY(titan_text_printf(
      text, ", \"args\": {\"group\": \"%s\", \"bytes\": %" PRIu64 ", \"sequence\": %" PRIu64 ", \"peer\": %d}}",
      record->group, record->bytes, record->sequence, (int)record->peer));
  TITAN_TRY(titan_text_printf(text, format, "e", record->operation, trace->rank, record->number, trace->rank,
                              number_of(row), microseconds(trace, record->ended, at)));
  TITAN_TRY(titan_text_printf(text, "}"));
  // The call that begins it, as a span that arrows can hold on to.
  TITAN_TRY(begin_span(trace, row, "communication", record->operation, record->begun, record->begin_ended, text));
  TITAN_TRY(titan_text_printf(text, ", \"args\": {\"bytes\": %" PRIu64 "}}", record->bytes));
  if (is_transfer(record))
    TITAN_TRY(write_transfer(trace, index, row, text));
  return record->wait_ended > 0 ? write_wait(trace, record, row, text) : TITAN_OK;
}

titan_status titan_trace_write(const titan_trace *trace, titan_text *text) {
  static const char *const names[] = {"step", "stages", "units", "operations", "waits", "I/O", "asynchronous I/O"};
  group_rows groups = {.count = 0};
  TITAN_TRY(titan_text_printf(
      text,
      "{\"displayTimeUnit\": \"ms\", \"otherData\": {\"rank\": %d, \"step\": %" PRId64 ", \"dropped_spans\": %" PRId64
      ", \"dropped_operations\": %" PRId64 "},\n\"traceEvents\": [\n{\"ph\": \"M\", \"name\": "
      "\"process_name\", \"pid\": %d, \"args\": {\"name\": \"rank %d on %s\"}}",
      trace->rank, trace->step, trace->dropped, trace->dropped_operations, trace->rank, trace->rank, trace->host));
  TITAN_TRY(titan_text_printf(text,
                              ",\n{\"ph\": \"M\", \"name\": \"process_sort_index\", \"pid\": %d, \"args\": "
                              "{\"sort_index\": %d}}",
                              trace->rank, trace->rank));
  for (int row = 0; row < TITAN_TRACE_ROWS; row++)
    TITAN_TRY(name_row(trace, row, "", names[row], text));
  for (int64_t i = 0; i < trace->span_count; i++)
    TITAN_TRY(write_span(trace, &trace->spans[i], text));
  for (int64_t i = 0; i < trace->record_count; i++)
    TITAN_TRY(write_record(trace, i, &groups, text));
  for (int i = 0; i < groups.count; i++)
    TITAN_TRY(name_row(trace, FIRST_GROUP_ROW + i, "communication: ", groups.names[i], text));
  return titan_text_printf(text, "\n]}\n");
}
