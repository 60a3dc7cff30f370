// SPDX-License-Identifier: Apache-2.0
#include "naive.h"

#include <stdlib.h>
#include <string.h>

void naive_start(naive_vocabulary *vocabulary, int32_t capacity) {
  vocabulary->tokens = calloc((size_t)capacity, sizeof *vocabulary->tokens);
  vocabulary->capacity = capacity;
  vocabulary->count = 256;
  for (int byte = 0; byte < 256; byte++) {
    vocabulary->tokens[byte].bytes[0] = (unsigned char)byte;
    vocabulary->tokens[byte].length = 1;
  }
}

int32_t naive_find(const naive_vocabulary *vocabulary, const unsigned char *bytes, size_t length) {
  for (int32_t i = 0; i < vocabulary->count; i++)
    if (vocabulary->tokens[i].length == length && memcmp(vocabulary->tokens[i].bytes, bytes, length) == 0)
      return i;
  return -1;
}

size_t naive_merge(const naive_vocabulary *vocabulary, const unsigned char *piece, size_t length, int32_t *ids) {
  for (size_t i = 0; i < length; i++)
    ids[i] = piece[i];
  for (size_t count = length;;) {
    int32_t best = INT32_MAX;
    size_t best_at = 0, at = 0;
    for (size_t i = 0; i + 1 < count; at += vocabulary->tokens[ids[i++]].length) {
      size_t span = vocabulary->tokens[ids[i]].length + vocabulary->tokens[ids[i + 1]].length;
      int32_t rank = naive_find(vocabulary, piece + at, span);
      if (rank >= 0 && rank < best) {
        best = rank;
        best_at = i;
      }
    }
    if (best == INT32_MAX)
      return count;
    ids[best_at] = best;
    memmove(ids + best_at + 1, ids + best_at + 2, (count - best_at - 2) * sizeof *ids);
    count--;
  }
}

int64_t naive_train_step(naive_vocabulary *vocabulary, const unsigned char *const *pieces, const size_t *lengths,
                         const int64_t *counts, size_t piece_count) {
  size_t n = (size_t)vocabulary->count, best = 0;
  int64_t *pairs = calloc(n * n, sizeof *pairs);
  for (size_t p = 0; p < piece_count; p++) {
    int32_t *ids = malloc(lengths[p] * sizeof *ids);
    size_t count = naive_merge(vocabulary, pieces[p], lengths[p], ids);
    for (size_t i = 0; i + 1 < count; i++)
      pairs[(size_t)ids[i] * n + (size_t)ids[i + 1]] += counts[p];
    free(ids);
  }
  for (size_t i = 1; i < n * n; i++) // the first of equals has the smallest ranks
    if (pairs[i] > pairs[best])
      best = i;
  int64_t met = pairs[best];
  free(pairs);
  if (met < 2)
    return met;
  const naive_token *left = &vocabulary->tokens[best / n], *right = &vocabulary->tokens[best % n];
  naive_token *made = &vocabulary->tokens[vocabulary->count++];
  memcpy(made->bytes, left->bytes, left->length);
  memcpy(made->bytes + left->length, right->bytes, right->length);
  made->length = left->length + right->length;
  return met;
}
