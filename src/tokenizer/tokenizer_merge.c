// SPDX-License-Identifier: Apache-2.0
// Byte-pair merging of one piece.
#include "tokenizer/tokenizer_internal.h"

enum { SHORT_PIECE = 64, NO_RANK = TITAN_TOKENIZER_NO_RANK };

// Part i is piece[starts[i] .. starts[i+1]-1]; ranks[i] is that of parts i and i+1 joined. Quadratic, but for short
// pieces faster than any structure.
static titan_status merge_short(const titan_tokenizer *tokenizer, const unsigned char *piece, size_t length,
                                titan_token_buffer *out) {
  uint32_t starts[SHORT_PIECE + 1];
  int32_t ranks[SHORT_PIECE + 1];
  size_t count = length;
  for (size_t i = 0; i <= length; i++)
    starts[i] = (uint32_t)i;
  for (size_t i = 0; i + 1 < length; i++)
    ranks[i] = titan_tokenizer_rank(tokenizer, piece + i, 2);
  ranks[length - 1] = NO_RANK;
  for (;;) {
    size_t best = 0;
    for (size_t i = 1; i < count; i++)
      if (ranks[i] < ranks[best])
        best = i;
    if (ranks[best] == NO_RANK)
      break;
    memmove(starts + best + 1, starts + best + 2, (count - best - 1) * sizeof *starts);
    memmove(ranks + best, ranks + best + 1, (count - best - 1) * sizeof *ranks);
    count--;
    ranks[best] = NO_RANK;
    if (best + 1 < count)
      ranks[best] = titan_tokenizer_rank(tokenizer, piece + starts[best], starts[best + 2] - starts[best]);
    if (best > 0)
      ranks[best - 1] = titan_tokenizer_rank(tokenizer, piece + starts[best - 1], starts[best + 1] - starts[best - 1]);
  }
  TITAN_TRY(titan_token_buffer_reserve(out, count));
  for (size_t i = 0; i < count; i++)
    out->ids[out->count++] = titan_tokenizer_rank(tokenizer, piece + starts[i], starts[i + 1] - starts[i]);
  return TITAN_OK;
}

// A possible merge. It is out of date once a part in it has grown or gone: `span` then differs from the bytes that the
// part at the position and its right neighbour have together, which only ever grow.
typedef struct candidate {
  uint64_t key; // rank << 32 | position of the left part: the order of merging
  uint32_t span;
} candidate;

typedef struct long_merge {
  const titan_tokenizer *tokenizer;
  const unsigned char *piece;
  uint32_t length;
  uint32_t *next;     // by a part's position: that of its right neighbour (length: none); 0: no part starts here
  uint32_t *previous; // that of its left neighbour
  candidate *heap;    // smallest key first
  size_t heap_count;
} long_merge;

static void sift_down(candidate *heap, size_t count, size_t i) {
  candidate moving = heap[i];
  for (size_t child; (child = 2 * i + 1) < count; i = child) {
    if (child + 1 < count && heap[child + 1].key < heap[child].key)
      child++;
    if (heap[child].key >= moving.key)
      break;
    heap[i] = heap[child];
  }
  heap[i] = moving;
}

static void sift_up(candidate *heap, size_t i) {
  candidate moving = heap[i];
  for (; i > 0 && moving.key < heap[(i - 1) / 2].key; i = (i - 1) / 2)
    heap[i] = heap[(i - 1) / 2];
  heap[i] = moving;
}

// Appends the candidate of the part at `left` and its right neighbour, when they make a token; the heap's order is the
// caller's task.
static bool add_candidate(long_merge *merge, uint32_t left) {
  uint32_t right = merge->next[left];
  if (right >= merge->length)
    return false;
  uint32_t span = merge->next[right] - left;
  int32_t rank = titan_tokenizer_rank(merge->tokenizer, merge->piece + left, span);
  if (rank == NO_RANK)
    return false;
  merge->heap[merge->heap_count++] = (candidate){.key = (uint64_t)rank << 32 | left, .span = span};
  return true;
}

static void push_candidate(long_merge *merge, uint32_t left) {
  if (add_candidate(merge, left))
    sift_up(merge->heap, merge->heap_count - 1);
}

static void run_merges(long_merge *merge) {
  uint32_t length = merge->length, *next = merge->next, *previous = merge->previous;
  for (uint32_t i = 0; i < length; i++) {
    next[i] = i + 1;
    previous[i] = i - 1; // of the first: never read
  }
  for (uint32_t i = 0; i < length; i++)
    add_candidate(merge, i);
  for (size_t i = merge->heap_count / 2; i-- > 0;)
    sift_down(merge->heap, merge->heap_count, i);
  while (merge->heap_count > 0) {
    candidate best = merge->heap[0];
    merge->heap[0] = merge->heap[--merge->heap_count];
    if (merge->heap_count > 0)
      sift_down(merge->heap, merge->heap_count, 0);
    uint32_t left = (uint32_t)best.key, right = next[left];
    if (right == 0 || right >= length || next[right] - left != best.span)
      continue;
    next[left] = next[right];
    next[right] = 0;
    if (next[left] < length)
      previous[next[left]] = left;
    push_candidate(merge, left);
    if (left > 0)
      push_candidate(merge, previous[left]);
  }
}

titan_status titan_merge_space_reserve(titan_merge_space *space, size_t bytes, const char *what) {
  if (bytes <= space->capacity)
    return TITAN_OK;
  if (bytes > TITAN_MERGE_SPACE_LARGE && space->limit > 0 && bytes > space->limit)
    return titan_error(TITAN_ERROR_DATA,
                       "%s takes %.1f MiB of memory, more than is left of training.document_limit for it", what,
                       (double)bytes / (1 << 20));
  titan_memory_free(space->bytes);
  space->bytes = NULL;
  space->capacity = 0;
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_DATA, bytes, &space->bytes));
  space->capacity = bytes;
  return TITAN_OK;
}

void titan_merge_space_shrink(titan_merge_space *space) {
  if (space->capacity <= TITAN_MERGE_SPACE_LARGE)
    return;
  titan_memory_free(space->bytes);
  *space = (titan_merge_space){.limit = space->limit};
}

// The heap gets at most length - 1 candidates at first and, for each of at most length - 1 merges, one goes and two
// come.
static titan_status merge_long(const titan_tokenizer *tokenizer, titan_merge_space *space, const unsigned char *piece,
                               size_t length, titan_token_buffer *out) {
  if (length >= (size_t)INT32_MAX)
    return titan_error(TITAN_ERROR_DATA, "a single word of %zu bytes; at most %d are possible", length, INT32_MAX - 1);
  size_t need = length * (2 * sizeof(candidate) + 2 * sizeof(uint32_t));
  TITAN_TRY(titan_merge_space_reserve(space, need, "a single word, without any space, digit or punctuation,"));
  long_merge merge = {.tokenizer = tokenizer, .piece = piece, .length = (uint32_t)length};
  merge.heap = (candidate *)(void *)space->bytes;
  merge.next = (uint32_t *)(void *)(merge.heap + 2 * length);
  merge.previous = merge.next + length;
  run_merges(&merge);
  for (uint32_t i = 0; i < length; i = merge.next[i])
    TITAN_TRY(titan_token_buffer_append(out, titan_tokenizer_rank(tokenizer, piece + i, merge.next[i] - i)));
  return TITAN_OK;
}

titan_status titan_tokenizer_merge(const titan_tokenizer *tokenizer, titan_merge_space *space,
                                   const unsigned char *piece, size_t length, titan_token_buffer *out) {
  if (length <= SHORT_PIECE)
    return merge_short(tokenizer, piece, length, out);
  return merge_long(tokenizer, space, piece, length, out);
}
