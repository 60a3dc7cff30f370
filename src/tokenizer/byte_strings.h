// SPDX-License-Identifier: Apache-2.0
// Private to data/: a table of distinct byte strings, numbered in the order in which they were added.
#ifndef TITAN_TOKENIZER_BYTE_STRINGS_H
#define TITAN_TOKENIZER_BYTE_STRINGS_H

#include "base/status.h"
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef struct titan_byte_string_slot {
  uint32_t tag;   // upper half of the hash
  int32_t number; // -1: free
} titan_byte_string_slot;

// Start with {0}. String i is bytes[offsets[i] .. offsets[i+1]-1].
typedef struct titan_byte_strings {
  char *bytes;
  size_t bytes_capacity;
  size_t *offsets; // count + 1 of them
  size_t count, capacity;
  size_t longest;
  titan_byte_string_slot *slots; // open addressing, a power of two of them, at most half in use
  size_t mask;
} titan_byte_strings;

static inline uint64_t titan_bytes_hash(const void *bytes, size_t length) {
  const unsigned char *p = bytes;
  uint64_t hash = length * 0x9e3779b97f4a7c15u, word;
  for (; length >= 8; p += 8, length -= 8) {
    memcpy(&word, p, 8);
    hash = (hash ^ word) * 0xbf58476d1ce4e5b9u;
    hash ^= hash >> 32;
  }
  word = 0;
  for (size_t i = 0; i < length; i++)
    word = word << 8 | p[i];
  hash = (hash ^ word) * 0x94d049bb133111ebu;
  return hash ^ hash >> 29;
}

static inline size_t titan_byte_strings_length(const titan_byte_strings *strings, size_t number) {
  return strings->offsets[number + 1] - strings->offsets[number];
}

static inline const char *titan_byte_strings_get(const titan_byte_strings *strings, size_t number) {
  return strings->bytes + strings->offsets[number];
}

// Number of a string, or -1. `strings` must hold at least one.
static inline int32_t titan_byte_strings_find(const titan_byte_strings *strings, const void *bytes, size_t length) {
  uint64_t hash = titan_bytes_hash(bytes, length);
  uint32_t tag = (uint32_t)(hash >> 32);
  for (size_t i = hash & strings->mask;; i = (i + 1) & strings->mask) {
    titan_byte_string_slot slot = strings->slots[i];
    if (slot.number < 0)
      return -1;
    if (slot.tag == tag && titan_byte_strings_length(strings, (size_t)slot.number) == length &&
        memcmp(titan_byte_strings_get(strings, (size_t)slot.number), bytes, length) == 0)
      return slot.number;
  }
}

// Adds a string (copied) unless it is there; *number is its number, *added whether it is new (may be NULL).
titan_status titan_byte_strings_add(titan_byte_strings *strings, const void *bytes, size_t length, int32_t *number,
                                    bool *added);

// Frees everything and makes it empty again.
void titan_byte_strings_destroy(titan_byte_strings *strings);

#endif
