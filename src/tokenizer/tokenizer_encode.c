// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/tokenizer_internal.h"

enum { KEY_BYTES = 24, KEY_WORDS = KEY_BYTES / 8, SLOT_IDS = 8, SLOT_COUNT = 1 << 14 };

// A piece met before and its ids. A newer piece with the same place takes it over.
typedef struct cache_slot {
  uint64_t key[KEY_WORDS]; // the bytes, filled up with zeros
  uint32_t length;         // 0: empty
  uint32_t count;
  int32_t ids[SLOT_IDS];
} cache_slot;

struct titan_tokenizer_scratch {
  uint64_t fingerprint; // of the tokenizer that the cache belongs to
  titan_merge_space merge, repaired;
  cache_slot slots[SLOT_COUNT];
};

titan_status titan_tokenizer_scratch_create(titan_tokenizer_scratch **out) {
  return titan_memory_allocate_zeroed(TITAN_MEMORY_DATA, 1, sizeof **out, out);
}

size_t titan_tokenizer_scratch_repaired(const titan_tokenizer_scratch *scratch) {
  return scratch->repaired.capacity > TITAN_MERGE_SPACE_LARGE ? scratch->repaired.capacity : 0;
}

void titan_tokenizer_scratch_set_limit(titan_tokenizer_scratch *scratch, size_t bytes) {
  size_t repaired = titan_tokenizer_scratch_repaired(scratch);
  scratch->repaired.limit = bytes;
  scratch->merge.limit = bytes == 0 ? 0 : bytes > repaired ? bytes - repaired : 1;
}

void titan_tokenizer_scratch_destroy(titan_tokenizer_scratch **scratch) {
  if (!*scratch)
    return;
  titan_memory_free((*scratch)->merge.bytes);
  titan_memory_free((*scratch)->repaired.bytes);
  titan_memory_free(*scratch);
  *scratch = NULL;
}

// Bytes of the text with each invalid subpart as three, and how many of those there are.
static size_t repaired_length(const char *text, size_t length, uint64_t *replaced) {
  size_t bytes = 0;
  *replaced = 0;
  for (const char *at = text, *end = text + length;;) {
    size_t valid = titan_utf8_valid_prefix(at, (size_t)(end - at));
    bytes += valid;
    at += valid;
    if (at == end)
      return bytes;
    bytes += 3;
    ++*replaced;
    at += titan_utf8_invalid_length(at, (size_t)(end - at));
  }
}

titan_status titan_utf8_repair(const char **text, size_t *length, titan_merge_space *repaired, uint64_t *replaced) {
  size_t need = repaired_length(*text, *length, replaced), used = 0;
  if (*replaced == 0)
    return TITAN_OK;
  TITAN_TRY(titan_merge_space_reserve(repaired, need, "the text, in which invalid UTF-8 is replaced,"));
  for (const char *at = *text, *end = at + *length;;) {
    size_t valid = titan_utf8_valid_prefix(at, (size_t)(end - at));
    memcpy(repaired->bytes + used, at, valid);
    used += valid;
    at += valid;
    if (at == end)
      break;
    memcpy(repaired->bytes + used, "\xef\xbf\xbd", 3);
    used += 3;
    at += titan_utf8_invalid_length(at, (size_t)(end - at));
  }
  *text = repaired->bytes;
  *length = used;
  return TITAN_OK;
}

// Up to 8 bytes as a number, filled up with zeros; bytes at `at` up to `end` may be read.
static inline uint64_t load_bytes(const unsigned char *at, size_t count, const unsigned char *end) {
  uint64_t word = 0;
  if (end - at >= 8) {
    memcpy(&word, at, 8);
    return count >= 8 ? word : word & ((UINT64_C(1) << (8 * count)) - 1);
  }
  for (size_t i = 0; i < count && i < 8; i++)
    word |= (uint64_t)at[i] << (8 * i);
  return word;
}

// A token that is the whole piece, or the result of merging.
static titan_status encode_piece(const titan_tokenizer *tokenizer, titan_tokenizer_scratch *scratch,
                                 const unsigned char *piece, size_t length, titan_token_buffer *out) {
  int32_t whole = titan_tokenizer_rank(tokenizer, piece, length);
  if (whole != TITAN_TOKENIZER_NO_RANK)
    return titan_token_buffer_append(out, whole);
  return titan_tokenizer_merge(tokenizer, &scratch->merge, piece, length, out);
}

static inline titan_status append_slot(const cache_slot *slot, titan_token_buffer *out) {
  TITAN_TRY(titan_token_buffer_reserve(out, SLOT_IDS));
  memcpy(out->ids + out->count, slot->ids, sizeof slot->ids);
  out->count += slot->count;
  return TITAN_OK;
}

// encode_piece behind the cache; the text goes on to `end`.
static titan_status encode_cached(const titan_tokenizer *tokenizer, titan_tokenizer_scratch *scratch,
                                  const unsigned char *piece, size_t length, const unsigned char *end,
                                  titan_token_buffer *out) {
  uint64_t key[KEY_WORDS] = {load_bytes(piece, length, end)};
  if (length > 8)
    key[1] = load_bytes(piece + 8, length - 8, end);
  if (length > 16)
    key[2] = load_bytes(piece + 16, length - 16, end);
  uint64_t hash = (key[0] ^ length) * 0x9e3779b97f4a7c15u;
  hash = (hash ^ hash >> 32 ^ key[1]) * 0xbf58476d1ce4e5b9u;
  hash = (hash ^ hash >> 32 ^ key[2]) * 0x94d049bb133111ebu;
  cache_slot *slot = &scratch->slots[hash >> 40 & (SLOT_COUNT - 1)];
  if (slot->length == length && slot->key[0] == key[0] && slot->key[1] == key[1] && slot->key[2] == key[2])
    return append_slot(slot, out);
  size_t before = out->count;
  TITAN_TRY(encode_piece(tokenizer, scratch, piece, length, out));
  size_t count = out->count - before;
  if (count <= SLOT_IDS) {
    slot->length = (uint32_t)length;
    slot->count = (uint32_t)count;
    memcpy(slot->key, key, sizeof key);
    memcpy(slot->ids, out->ids + before, count * sizeof *slot->ids);
  }
  return TITAN_OK;
}

titan_status titan_tokenizer_encode_part(const titan_tokenizer *tokenizer, titan_tokenizer_scratch *scratch,
                                         const char *text, size_t length, size_t least, size_t *used,
                                         titan_token_buffer *out) {
  if (scratch->fingerprint != tokenizer->fingerprint) {
    memset(scratch->slots, 0, sizeof scratch->slots);
    scratch->fingerprint = tokenizer->fingerprint;
  }
  const unsigned char *at = (const unsigned char *)text, *end = at + length;
  const unsigned char *stop = length > least ? at + least : end;
  while (at < stop) {
    const unsigned char *next = titan_split_next(&tokenizer->classes, at, end);
    size_t count = (size_t)(next - at);
    if (count == 1)
      TITAN_TRY(titan_token_buffer_append(out, tokenizer->byte_ranks[*at]));
    else if (count <= KEY_BYTES)
      TITAN_TRY(encode_cached(tokenizer, scratch, at, count, end, out));
    else
      TITAN_TRY(encode_piece(tokenizer, scratch, at, count, out));
    at = next;
  }
  *used = (size_t)((const char *)at - text);
  titan_merge_space_shrink(&scratch->merge); // of a single long word
  return TITAN_OK;
}

titan_status titan_tokenizer_repair(titan_tokenizer_scratch *scratch, const char **text, size_t *length,
                                    uint64_t *replaced) {
  titan_merge_space_shrink(&scratch->repaired); // of the document before
  return titan_utf8_repair(text, length, &scratch->repaired, replaced);
}

titan_status titan_tokenizer_encode(const titan_tokenizer *tokenizer, titan_tokenizer_scratch *scratch,
                                    const char *text, size_t length, titan_token_buffer *out, uint64_t *replaced) {
  uint64_t replaced_here;
  size_t used;
  TITAN_TRY(titan_tokenizer_repair(scratch, &text, &length, &replaced_here));
  if (replaced)
    *replaced = replaced_here;
  return titan_tokenizer_encode_part(tokenizer, scratch, text, length, length, &used, out);
}
