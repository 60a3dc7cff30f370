// SPDX-License-Identifier: Apache-2.0
// What this process does with files, for traces: the latest spans, of any thread.
#ifndef TITAN_BASE_IO_SPANS_H
#define TITAN_BASE_IO_SPANS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct titan_io_span {
  const char *what; // static: "create file", "write data", "rename", ...
  bool aside;       // by another thread than the one that watches
  uint64_t bytes;
  double begin, end; // as titan_clock_seconds; 0: it goes on
} titan_io_span;

// Not collective. From now on spans are kept, or no longer. The caller is the thread that is not aside. While none are
// kept, a span costs a load.
void titan_io_spans_watch(bool on);

// Any thread. A span begins; what: static. It ends with the number that is returned. Spans of a thread may lie in each
// other.
uint64_t titan_io_span_begin(const char *what);
void titan_io_span_end(uint64_t number, uint64_t bytes);

// Any thread. The spans that end at `since` or later, or go on, oldest first: at most `most` of those that are kept.
// Returns how many.
int64_t titan_io_spans_copy(double since, titan_io_span *spans, int64_t most);

#endif
