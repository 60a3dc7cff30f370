// SPDX-License-Identifier: Apache-2.0
#include "base/io_spans.h"

#include "base/clock.h"

#include <pthread.h>
#include <stdatomic.h>

enum { KEPT = 4096 };

static atomic_bool is_on;
// With the mutex held.
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static titan_io_span ring[KEPT];
static uint64_t next_number = 1; // 0: of a span that is not kept
static pthread_t watcher;

void titan_io_spans_watch(bool on) {
  pthread_mutex_lock(&mutex);
  watcher = pthread_self();
  pthread_mutex_unlock(&mutex);
  atomic_store(&is_on, on);
}

uint64_t titan_io_span_begin(const char *what) {
  if (!atomic_load_explicit(&is_on, memory_order_relaxed))
    return 0;
  double now = titan_clock_seconds();
  pthread_mutex_lock(&mutex);
  uint64_t number = next_number++;
  ring[number % KEPT] = (titan_io_span){.what = what, .aside = !pthread_equal(watcher, pthread_self()), .begin = now};
  pthread_mutex_unlock(&mutex);
  return number;
}

void titan_io_span_end(uint64_t number, uint64_t bytes) {
  if (number == 0)
    return;
  double now = titan_clock_seconds();
  pthread_mutex_lock(&mutex);
  if (next_number - number <= KEPT) { // else it has been overwritten
    ring[number % KEPT].bytes = bytes;
    ring[number % KEPT].end = now;
  }
  pthread_mutex_unlock(&mutex);
}

int64_t titan_io_spans_copy(double since, titan_io_span *spans, int64_t most) {
  int64_t count = 0;
  pthread_mutex_lock(&mutex);
  uint64_t first = next_number > KEPT ? next_number - KEPT : 1;
  for (uint64_t number = first; number < next_number && count < most; number++) {
    const titan_io_span *span = &ring[number % KEPT];
    if (span->end == 0 || span->end >= since)
      spans[count++] = *span;
  }
  pthread_mutex_unlock(&mutex);
  return count;
}
