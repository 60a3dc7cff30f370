// SPDX-License-Identifier: Apache-2.0
// Tagged host allocations: live bytes, peak and count per tag; what is left at the end is a defect that tests find.
// Thread-safe. Every pointer is aligned to TITAN_MEMORY_ALIGNMENT bytes.
#ifndef TITAN_BASE_MEMORY_H
#define TITAN_BASE_MEMORY_H

#include "base/status.h"
#include <stdint.h>

enum { TITAN_MEMORY_ALIGNMENT = 64 };

// The next multiple of `unit`, which is at least 1.
static inline size_t titan_round_up(size_t bytes, size_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

// tag, text: what the memory is for. The tags from PARAMETERS on are those that a plan accounts for.
#define TITAN_MEMORY_TAG_LIST(X)                                                                                       \
  X(GENERAL, "general")                                                                                                \
  X(CONFIG, "configuration")                                                                                           \
  X(GRAPH, "graphs and plans")                                                                                         \
  X(DATA, "data")                                                                                                      \
  X(COMMUNICATION, "communication")                                                                                    \
  X(OBSERVE, "metrics")                                                                                                \
  X(KERNEL_STATE, "kernel state")                                                                                      \
  X(PARAMETERS, "parameters (gathered)")                                                                               \
  X(MASTERS, "parameters (fp32 shards)")                                                                               \
  X(GRADIENTS, "gradients")                                                                                            \
  X(OPTIMIZER, "optimizer states")                                                                                     \
  X(ACTIVATIONS, "activations")                                                                                        \
  X(SCRATCH, "scratch")                                                                                                \
  X(BATCH, "batch")                                                                                                    \
  X(CHECKPOINT, "checkpoint staging")

typedef enum titan_memory_tag {
#define TITAN_MEMORY_TAG_ENUM(name, text) TITAN_MEMORY_##name,
  TITAN_MEMORY_TAG_LIST(TITAN_MEMORY_TAG_ENUM)
#undef TITAN_MEMORY_TAG_ENUM
      TITAN_MEMORY_TAG_COUNT
} titan_memory_tag;

// Allocates `bytes` bytes, not initialised, and stores the pointer in *(void **)out. bytes 0 gives a valid pointer.
// On failure *out is NULL and the message gives the tag and the size. The caller owns the memory.
titan_status titan_memory_allocate(titan_memory_tag tag, size_t bytes, void *out);

// As titan_memory_allocate, for `count` elements of `size` bytes, filled with zeros; overflow is an error.
titan_status titan_memory_allocate_zeroed(titan_memory_tag tag, size_t count, size_t size, void *out);

// Grows or shrinks an array owned by *inout (NULL: allocates). The old contents stay; on failure *inout is unchanged.
titan_status titan_memory_resize(titan_memory_tag tag, size_t bytes, void *inout);

// Copies a string. The caller owns the copy.
titan_status titan_memory_duplicate(titan_memory_tag tag, const char *text, char **out);

// Frees what the functions above gave; NULL is fine.
void titan_memory_free(void *pointer);

typedef struct titan_memory_usage {
  size_t live_bytes, peak_bytes; // bytes asked for, without headers and alignment
  uint64_t live_count;
} titan_memory_usage;

// Counts memory that other allocators hold (an MPI shared window, say) under a tag.
void titan_memory_account(titan_memory_tag tag, size_t bytes);
void titan_memory_unaccount(titan_memory_tag tag, size_t bytes);

titan_memory_usage titan_memory_usage_of(titan_memory_tag tag);
titan_memory_usage titan_memory_usage_total(void);
// The same for memory that lies on a device apart from the host's: a ledger of its own.
void titan_memory_account_device(titan_memory_tag tag, size_t bytes);
void titan_memory_unaccount_device(titan_memory_tag tag, size_t bytes);
titan_memory_usage titan_memory_usage_of_device(titan_memory_tag tag);
const char *titan_memory_tag_text(titan_memory_tag tag);

// Forgets peaks: each peak becomes the present live size.
void titan_memory_reset_peaks(void);

// Prints one line per tag with live allocations to stderr; returns how many allocations are live.
uint64_t titan_memory_report_leaks(void);

#endif
