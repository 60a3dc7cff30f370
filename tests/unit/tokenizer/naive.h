// SPDX-License-Identifier: Apache-2.0
// Byte-pair encoding and training straight from their definitions, far too slow for use: oracles.
#ifndef NAIVE_H
#define NAIVE_H

#include <stddef.h>
#include <stdint.h>

enum { NAIVE_TOKEN_BYTES = 64 };

typedef struct naive_token {
  unsigned char bytes[NAIVE_TOKEN_BYTES];
  size_t length;
} naive_token;

// A vocabulary that begins as the 256 bytes. The caller frees `tokens` with free().
typedef struct naive_vocabulary {
  naive_token *tokens;
  int32_t count, capacity;
} naive_vocabulary;

void naive_start(naive_vocabulary *vocabulary, int32_t capacity);

// Rank of the token with these bytes, or -1.
int32_t naive_find(const naive_vocabulary *vocabulary, const unsigned char *bytes, size_t length);

// Joins, again and again, the leftmost neighbours of the lowest rank. `ids` has room for `length`; returns how many.
size_t naive_merge(const naive_vocabulary *vocabulary, const unsigned char *piece, size_t length, int32_t *ids);

// Adds one token: encodes every piece anew, counts the pairs, takes the most frequent (then the smallest left rank,
// then the smallest right rank). Returns how often the pair was met; below 2 nothing is added.
int64_t naive_train_step(naive_vocabulary *vocabulary, const unsigned char *const *pieces, const size_t *lengths,
                         const int64_t *counts, size_t piece_count);

#endif
