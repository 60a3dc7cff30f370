// SPDX-License-Identifier: Apache-2.0
#include "comm/recorder.h"

#include "base/clock.h"
#include "base/text.h"
#include "comm/recorder_private.h"
#include "comm/stack.h"

#include <pthread.h>
#include <string.h>

// All of it with the mutex held.
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static titan_record *ring;
static uint64_t capacity, begun_count, kept_from; // the latest `capacity` operations are kept, from kept_from on
static titan_whereabouts present = {.phase = "start", .step = -1};
static double waits_since, acts_since;
// The thread beside the one that communicates, and since when that one waits for it.
static struct {
  bool waits, awaited;
  double waits_since, awaited_since;
  titan_record operation;
  char action[TITAN_RECORD_ACTION_BYTES];
} aside;

static void copy_text(char *out, size_t size, const char *text) {
  size_t length = strnlen(text, size - 1);
  memcpy(out, text, length);
  out[length] = '\0';
}

titan_status titan_recorder_create(int64_t wanted) {
  titan_record *records = NULL;
  if (wanted > 0)
    TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_OBSERVE, (size_t)wanted, sizeof *records, &records));
  pthread_mutex_lock(&mutex);
  ring = records;
  capacity = (uint64_t)wanted;
  kept_from = begun_count;
  acts_since = titan_clock_seconds();
  pthread_mutex_unlock(&mutex);
  return TITAN_OK;
}

void titan_recorder_destroy(void) {
  pthread_mutex_lock(&mutex);
  titan_memory_free(ring);
  ring = NULL;
  capacity = 0;
  pthread_mutex_unlock(&mutex);
}

void titan_recorder_set_phase(const char *phase, int64_t step) {
  pthread_mutex_lock(&mutex);
  copy_text(present.phase, sizeof present.phase, phase);
  present.step = step;
  present.action[0] = '\0';
  acts_since = titan_clock_seconds();
  pthread_mutex_unlock(&mutex);
}

void titan_recorder_set_action(const char *what, const char *name) {
  double now = titan_clock_seconds();
  pthread_mutex_lock(&mutex);
  size_t length = strnlen(what, sizeof present.action - 5);
  memcpy(present.action, what, length);
  memcpy(present.action + length, " of ", 4);
  copy_text(present.action + length + 4, sizeof present.action - length - 4, name);
  acts_since = now;
  pthread_mutex_unlock(&mutex);
}

static void fill(titan_record *record, const titan_comm *comm, const titan_operation *operation, uint64_t number,
                 double begun) {
  bool has_peer = operation->kind == TITAN_OPERATION_BROADCAST || operation->kind == TITAN_OPERATION_SEND ||
                  operation->kind == TITAN_OPERATION_RECV;
  *record = (titan_record){
      .number = number,
      .sequence = operation->sequence,
      .bytes = operation->count * titan_dtype_bytes(operation->dtype),
      .leader = comm->leader,
      .rank = comm->rank,
      .size = comm->size,
      .peer = has_peer ? operation->peer : -1,
      .tag = operation->tag,
      .step = present.step,
      .begun = begun,
  };
  copy_text(record->group, sizeof record->group, comm->name);
  copy_text(record->operation, sizeof record->operation, titan_operation_name(operation->kind));
}

uint64_t titan_recorder_begin(const titan_comm *comm, const titan_operation *operation, double begun) {
  pthread_mutex_lock(&mutex);
  uint64_t number = begun_count++;
  if (capacity > 0)
    fill(&ring[number % capacity], comm, operation, number, begun);
  pthread_mutex_unlock(&mutex);
  return number;
}

// With the mutex held. The number of the oldest operation that is kept; where none is, that of the next one.
static uint64_t first_kept(void) {
  uint64_t oldest = begun_count > capacity ? begun_count - capacity : 0;
  return oldest > kept_from ? oldest : kept_from;
}

// With the mutex held. NULL where it is not kept, or has been overwritten.
static titan_record *find(uint64_t number) {
  return number >= first_kept() && number < begun_count ? &ring[number % capacity] : NULL;
}

void titan_recorder_begin_ended(uint64_t number, double now) {
  pthread_mutex_lock(&mutex);
  titan_record *record = find(number);
  if (record != NULL)
    record->begin_ended = now;
  pthread_mutex_unlock(&mutex);
}

void titan_recorder_end(uint64_t number, bool failed) {
  double now = titan_clock_seconds();
  pthread_mutex_lock(&mutex);
  titan_record *record = find(number);
  if (record != NULL) {
    record->ended = now;
    record->failed = failed;
  }
  pthread_mutex_unlock(&mutex);
}

void titan_recorder_wait(const titan_comm *comm, const titan_operation *operation, uint64_t number, double begun) {
  pthread_mutex_lock(&mutex);
  const titan_record *kept = find(number);
  if (kept != NULL)
    present.operation = *kept;
  else
    fill(&present.operation, comm, operation, number, begun);
  present.waits = true;
  waits_since = begun;
  pthread_mutex_unlock(&mutex);
}

void titan_recorder_waited(double now) {
  pthread_mutex_lock(&mutex);
  present.waits = false;
  titan_record *record = find(present.operation.number);
  if (record != NULL) {
    record->wait_begun = waits_since;
    record->wait_ended = now;
  }
  pthread_mutex_unlock(&mutex);
}

// With the mutex held. An operation that no group of titan_comm makes.
static void note_other(titan_record *record, const char *group, const char *operation, uint64_t sequence, int rank,
                       int size) {
  double now = titan_clock_seconds();
  uint64_t number = begun_count++;
  *record = (titan_record){.number = number,
                           .sequence = sequence,
                           .rank = rank,
                           .size = size,
                           .peer = -1,
                           .outside = 1,
                           .step = present.step,
                           .begun = now,
                           .begin_ended = now};
  copy_text(record->group, sizeof record->group, group);
  copy_text(record->operation, sizeof record->operation, operation);
  if (capacity > 0)
    ring[number % capacity] = *record;
}

void titan_recorder_wait_begins(const char *group, const char *operation, int rank, int size) {
  static uint64_t next_sequence;
  pthread_mutex_lock(&mutex);
  note_other(&present.operation, group, operation, next_sequence++, rank, size);
  present.waits = true;
  waits_since = present.operation.begun;
  pthread_mutex_unlock(&mutex);
}

void titan_recorder_wait_ends(void) {
  uint64_t number = present.operation.number; // written by this thread alone
  titan_recorder_waited(titan_clock_seconds());
  titan_recorder_end(number, false);
}

// --- the thread beside ---

void titan_recorder_aside_begins(void) {
  pthread_mutex_lock(&mutex);
  aside.waits = false;
  pthread_mutex_unlock(&mutex);
  titan_stack_watch_aside(true);
}

void titan_recorder_aside_ends(void) {
  titan_stack_watch_aside(false);
}

void titan_recorder_aside_wait_begins(const char *operation, int rank, int size) {
  static uint64_t next_sequence;
  pthread_mutex_lock(&mutex);
  note_other(&aside.operation, "checkpoint thread", operation, next_sequence++, rank, size);
  aside.waits = true;
  aside.waits_since = aside.operation.begun;
  pthread_mutex_unlock(&mutex);
}

void titan_recorder_aside_wait_ends(void) {
  uint64_t number = aside.operation.number; // written by this thread alone
  pthread_mutex_lock(&mutex);
  aside.waits = false;
  pthread_mutex_unlock(&mutex);
  titan_recorder_end(number, false);
}

void titan_recorder_await_aside(const char *action) {
  pthread_mutex_lock(&mutex);
  copy_text(aside.action, sizeof aside.action, action);
  aside.awaited = true;
  aside.awaited_since = titan_clock_seconds();
  pthread_mutex_unlock(&mutex);
}

void titan_recorder_awaited_aside(void) {
  pthread_mutex_lock(&mutex);
  aside.awaited = false;
  pthread_mutex_unlock(&mutex);
}

void titan_recorder_was_stopped(double seconds) {
  double now = titan_clock_seconds();
  pthread_mutex_lock(&mutex);
  if (present.waits) // the wait may have begun after the stop
    waits_since = waits_since + seconds < now ? waits_since + seconds : now;
  if (aside.waits)
    aside.waits_since = aside.waits_since + seconds < now ? aside.waits_since + seconds : now;
  pthread_mutex_unlock(&mutex);
}

// With the mutex held.
static void copy_whereabouts(titan_whereabouts *out) {
  double now = titan_clock_seconds();
  *out = present;
  out->operations = begun_count;
  out->wait_seconds = present.waits ? now - waits_since : 0;
  out->action_seconds = now - acts_since;
  if (!aside.awaited)
    return;
  double since = aside.waits_since > aside.awaited_since ? aside.waits_since : aside.awaited_since;
  out->waits = aside.waits;
  out->operation = aside.operation;
  out->wait_seconds = aside.waits ? now - since : 0;
  out->action_seconds = now - aside.awaited_since;
  copy_text(out->action, sizeof out->action, aside.action);
}

void titan_recorder_whereabouts(titan_whereabouts *out) {
  pthread_mutex_lock(&mutex);
  copy_whereabouts(out);
  pthread_mutex_unlock(&mutex);
}

bool titan_recorder_awaits_aside(void) {
  pthread_mutex_lock(&mutex);
  bool awaits = aside.awaited;
  pthread_mutex_unlock(&mutex);
  return awaits;
}

bool titan_recorder_try_whereabouts(titan_whereabouts *out) {
  if (pthread_mutex_trylock(&mutex) != 0)
    return false;
  copy_whereabouts(out);
  pthread_mutex_unlock(&mutex);
  return true;
}

int64_t titan_recorder_copy(double since, titan_record *records, int64_t most) {
  int64_t count = 0;
  pthread_mutex_lock(&mutex);
  for (uint64_t number = first_kept(); number < begun_count && count < most; number++)
    if (ring[number % capacity].begun >= since)
      records[count++] = ring[number % capacity];
  pthread_mutex_unlock(&mutex);
  return count;
}

// --- as JSON ---

// Names of hosts, groups and units.
static void write_text(FILE *file, const char *name, const char *text) {
  char inside[1024];
  titan_text_escape(text, inside, sizeof inside);
  fprintf(file, "\"%s\": \"%s\"", name, inside);
}

static void write_record(FILE *file, const titan_record *record, double now) {
  const char *state = record->failed ? "failed" : record->ended > 0 ? "completed" : "in flight";
  fprintf(file, "{\"number\": %llu, ", (unsigned long long)record->number);
  write_text(file, "operation", record->operation);
  fputs(", ", file);
  write_text(file, "group", record->group);
  fprintf(file,
          ", \"sequence\": %llu, \"bytes\": %llu, \"first_rank\": %d, \"rank\": %d, \"size\": %d, \"peer\": %d, "
          "\"step\": %lld, \"state\": \"%s\", \"begun_seconds_ago\": %.6f",
          (unsigned long long)record->sequence, (unsigned long long)record->bytes, record->leader, record->rank,
          record->size, record->peer, (long long)record->step, state, now - record->begun);
  if (record->ended > 0)
    fprintf(file, ", \"seconds\": %.9f", record->ended - record->begun);
  fputc('}', file);
}

bool titan_recorder_write(FILE *file, int rank, const char *host, const char *stack) {
  titan_whereabouts where;
  double now = titan_clock_seconds();
  titan_recorder_whereabouts(&where);
  fprintf(file, "{\"rank\": %d, ", rank);
  write_text(file, "host", host);
  fputs(", ", file);
  write_text(file, "phase", where.phase);
  fprintf(file, ", \"step\": %lld, ", (long long)where.step);
  write_text(file, "action", where.action);
  fputs(", ", file);
  write_text(file, "stack", stack);
  fprintf(file, ", \"action_seconds\": %.6f, \"operations\": %llu, \"waits_for\": ", where.action_seconds,
          (unsigned long long)where.operations);
  if (where.waits)
    write_record(file, &where.operation, now);
  else
    fputs("null", file);
  fputs(", \"records\": [", file);
  pthread_mutex_lock(&mutex);
  uint64_t first = first_kept();
  for (uint64_t number = first; number < begun_count; number++) {
    fputs(number > first ? ",\n  " : "\n  ", file);
    write_record(file, &ring[number % capacity], now);
  }
  pthread_mutex_unlock(&mutex);
  fputs("\n]}\n", file);
  return ferror(file) == 0;
}
