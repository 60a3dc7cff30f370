// SPDX-License-Identifier: Apache-2.0
// Spans of a file, one after another, read ahead of whoever takes them: a few threads keep several reads in flight, so
// that the storage works while the taker hashes and copies.
//
// What lies in the page cache is taken from there. The rest is read past it (O_DIRECT) where the file system can: a
// checkpoint is read once, by ranks that take turns in it, so reading ahead into the cache and copying out of it costs
// more than it brings (docs/checkpoints.md).
#ifndef TITAN_CHECKPOINT_STREAM_H
#define TITAN_CHECKPOINT_STREAM_H

#include "base/memory.h"
#include "checkpoint/format.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The most bytes of a span.
enum { TITAN_STREAM_BYTES = 2 << 20 };

typedef struct titan_stream titan_stream;

typedef struct titan_stream_span {
  uint64_t offset;
  size_t bytes;
} titan_stream_span;

// Gives the next span; false: there is none. Called in turn, never at once, but from several threads, and before the
// span is taken.
typedef bool titan_stream_next(void *context, titan_stream_span *span);

// Memory for spans of `bytes` bytes together: at most 8.1 MiB.
size_t titan_stream_memory(uint64_t bytes);
// Not collective. `bytes`: of all spans together, about. The descriptor and the path (for messages) are borrowed.
// `tag`: of that memory.
titan_status titan_stream_create(int descriptor, const char *path, uint64_t bytes, titan_memory_tag tag,
                                 titan_stream_next *next, void *context, titan_stream **out);
// Waits for the next span, which must be there. *bytes is valid until the next call. TITAN_ERROR_CHECKPOINT: the file
// cannot be read there (*fault is SYSTEM), or ends (DAMAGED).
titan_status titan_stream_take(titan_stream *stream, const void **bytes, titan_checkpoint_fault *fault);
// Waits for the reads in flight. NULL handle is fine; the handle becomes NULL.
void titan_stream_destroy(titan_stream **stream);

#endif
