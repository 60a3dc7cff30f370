// SPDX-License-Identifier: Apache-2.0
// Private to data/: the pairs of neighbouring tokens in all words while a vocabulary is trained: how often each is met,
// in which words, and which comes next.
#ifndef TITAN_TOKENIZER_TRAIN_PAIRS_H
#define TITAN_TOKENIZER_TRAIN_PAIRS_H

#include "base/status.h"
#include <stdbool.h>
#include <stdint.h>

enum { TITAN_TRAIN_NONE = UINT32_MAX };

typedef struct titan_train_pair {
  int32_t left, right;
  int64_t count;  // over all words
  uint32_t words; // first of a list of occurrences; TITAN_TRAIN_NONE: empty
  bool touched;   // is in the list of pairs whose count has grown
} titan_train_pair;

// A word in which a pair is met, or was.
typedef struct titan_train_occurrence {
  uint32_t word, next;
} titan_train_occurrence;

// A pair and its count when it was queued; the count may have changed since.
typedef struct titan_train_queued {
  int64_t count;
  int32_t left, right;
  uint32_t pair;
} titan_train_queued;

// Start with {0}.
typedef struct titan_train_pairs {
  titan_train_pair *pairs;
  size_t count, capacity;
  uint32_t *slots; // pair + 1 by hash, 0: free; a power of two of them, at most half in use
  size_t mask;
  titan_train_occurrence *occurrences;
  size_t occurrence_count, occurrence_capacity;
  titan_train_queued *queue; // a heap: most frequent first, then by left and right rank
  size_t queue_count, queue_capacity;
} titan_train_pairs;

// Number of a pair, or TITAN_TRAIN_NONE.
uint32_t titan_train_pairs_find(const titan_train_pairs *pairs, int32_t left, int32_t right);

// Number of a pair, which is added with count 0 when new.
titan_status titan_train_pairs_get(titan_train_pairs *pairs, int32_t left, int32_t right, uint32_t *number);

// Notes that a pair is met in a word.
titan_status titan_train_pairs_note(titan_train_pairs *pairs, uint32_t pair, uint32_t word);

// Queues a pair with its present count.
titan_status titan_train_pairs_queue(titan_train_pairs *pairs, uint32_t pair);

// Takes the first pair by its present count from the queue; TITAN_TRAIN_NONE when none with a count is left.
titan_status titan_train_pairs_next(titan_train_pairs *pairs, uint32_t *pair);

void titan_train_pairs_destroy(titan_train_pairs *pairs);

#endif
