// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/train_pairs.h"
#include "base/memory.h"

#include <string.h>

static size_t first_slot(const titan_train_pairs *pairs, int32_t left, int32_t right) {
  uint64_t hash = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9e3779b97f4a7c15u;
  return (hash ^ hash >> 32) & pairs->mask;
}

uint32_t titan_train_pairs_find(const titan_train_pairs *pairs, int32_t left, int32_t right) {
  if (!pairs->slots)
    return TITAN_TRAIN_NONE;
  for (size_t i = first_slot(pairs, left, right); pairs->slots[i]; i = (i + 1) & pairs->mask) {
    const titan_train_pair *pair = &pairs->pairs[pairs->slots[i] - 1];
    if (pair->left == left && pair->right == right)
      return pairs->slots[i] - 1;
  }
  return TITAN_TRAIN_NONE;
}

static void insert(titan_train_pairs *pairs, uint32_t number) {
  size_t i = first_slot(pairs, pairs->pairs[number].left, pairs->pairs[number].right);
  while (pairs->slots[i])
    i = (i + 1) & pairs->mask;
  pairs->slots[i] = number + 1;
}

// Makes room for one more element of an array.
static titan_status reserve(void *array, size_t size, size_t count, size_t *capacity) {
  if (count < *capacity)
    return TITAN_OK;
  if (count >= TITAN_TRAIN_NONE / 4)
    return titan_error(TITAN_ERROR_DATA, "the corpus has too many different words to train on; use a part of it");
  size_t grown = *capacity ? 2 * *capacity : 4096;
  TITAN_TRY(titan_memory_resize(TITAN_MEMORY_DATA, grown * size, array));
  *capacity = grown;
  return TITAN_OK;
}

titan_status titan_train_pairs_get(titan_train_pairs *pairs, int32_t left, int32_t right, uint32_t *number) {
  *number = titan_train_pairs_find(pairs, left, right);
  if (*number != TITAN_TRAIN_NONE)
    return TITAN_OK;
  TITAN_TRY(reserve(&pairs->pairs, sizeof *pairs->pairs, pairs->count, &pairs->capacity));
  if (!pairs->slots || 2 * (pairs->count + 1) > pairs->mask) {
    size_t slot_count = pairs->slots ? 2 * (pairs->mask + 1) : 1 << 14;
    titan_memory_free(pairs->slots);
    TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_DATA, slot_count, sizeof *pairs->slots, &pairs->slots));
    pairs->mask = slot_count - 1;
    for (size_t i = 0; i < pairs->count; i++)
      insert(pairs, (uint32_t)i);
  }
  *number = (uint32_t)pairs->count++;
  pairs->pairs[*number] = (titan_train_pair){.left = left, .right = right, .words = TITAN_TRAIN_NONE};
  insert(pairs, *number);
  return TITAN_OK;
}

titan_status titan_train_pairs_note(titan_train_pairs *pairs, uint32_t pair, uint32_t word) {
  uint32_t *first = &pairs->pairs[pair].words;
  if (*first != TITAN_TRAIN_NONE && pairs->occurrences[*first].word == word)
    return TITAN_OK;
  TITAN_TRY(
      reserve(&pairs->occurrences, sizeof *pairs->occurrences, pairs->occurrence_count, &pairs->occurrence_capacity));
  pairs->occurrences[pairs->occurrence_count] = (titan_train_occurrence){.word = word, .next = *first};
  *first = (uint32_t)pairs->occurrence_count++;
  return TITAN_OK;
}

static bool comes_before(const titan_train_queued *a, const titan_train_queued *b) {
  if (a->count != b->count)
    return a->count > b->count;
  return a->left != b->left ? a->left < b->left : a->right < b->right;
}

titan_status titan_train_pairs_queue(titan_train_pairs *pairs, uint32_t number) {
  const titan_train_pair *pair = &pairs->pairs[number];
  titan_train_queued added = {.count = pair->count, .left = pair->left, .right = pair->right, .pair = number};
  TITAN_TRY(reserve(&pairs->queue, sizeof *pairs->queue, pairs->queue_count, &pairs->queue_capacity));
  size_t i = pairs->queue_count++;
  for (; i > 0 && comes_before(&added, &pairs->queue[(i - 1) / 2]); i = (i - 1) / 2)
    pairs->queue[i] = pairs->queue[(i - 1) / 2];
  pairs->queue[i] = added;
  return TITAN_OK;
}

static titan_train_queued pop(titan_train_pairs *pairs) {
  titan_train_queued *queue = pairs->queue, first = queue[0];
  size_t count = --pairs->queue_count, i = 0;
  titan_train_queued moving = queue[count];
  for (size_t child; (child = 2 * i + 1) < count; i = child) {
    if (child + 1 < count && comes_before(&queue[child + 1], &queue[child]))
      child++;
    if (!comes_before(&queue[child], &moving))
      break;
    queue[i] = queue[child];
  }
  queue[i] = moving;
  return first;
}

titan_status titan_train_pairs_next(titan_train_pairs *pairs, uint32_t *number) {
  *number = TITAN_TRAIN_NONE;
  while (pairs->queue_count > 0) {
    titan_train_queued first = pop(pairs);
    int64_t count = pairs->pairs[first.pair].count;
    if (count == first.count && count > 0) {
      *number = first.pair;
      return TITAN_OK;
    }
    // A count that has grown was queued again when it grew; one that has shrunk is queued where it belongs now.
    if (count > 0 && count < first.count)
      TITAN_TRY(titan_train_pairs_queue(pairs, first.pair));
  }
  return TITAN_OK;
}

void titan_train_pairs_destroy(titan_train_pairs *pairs) {
  titan_memory_free(pairs->pairs);
  titan_memory_free(pairs->slots);
  titan_memory_free(pairs->occurrences);
  titan_memory_free(pairs->queue);
  *pairs = (titan_train_pairs){0};
}
