// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/byte_strings.h"
#include "base/memory.h"

static void insert(titan_byte_strings *strings, uint64_t hash, int32_t number) {
  size_t i = hash & strings->mask;
  while (strings->slots[i].number >= 0)
    i = (i + 1) & strings->mask;
  strings->slots[i] = (titan_byte_string_slot){.tag = (uint32_t)(hash >> 32), .number = number};
}

static titan_status grow_slots(titan_byte_strings *strings, size_t slot_count) {
  TITAN_TRY(titan_memory_resize(TITAN_MEMORY_DATA, slot_count * sizeof *strings->slots, &strings->slots));
  strings->mask = slot_count - 1;
  for (size_t i = 0; i < slot_count; i++)
    strings->slots[i].number = -1;
  for (size_t i = 0; i < strings->count; i++)
    insert(strings, titan_bytes_hash(titan_byte_strings_get(strings, i), titan_byte_strings_length(strings, i)),
           (int32_t)i);
  return TITAN_OK;
}

// Makes room for one more string of `length` bytes.
static titan_status reserve(titan_byte_strings *strings, size_t length) {
  if (strings->count >= INT32_MAX)
    return titan_error(TITAN_ERROR_DATA, "more than %d distinct byte strings", INT32_MAX);
  if (strings->count == strings->capacity) {
    size_t capacity = strings->capacity ? 2 * strings->capacity : 512;
    bool first = !strings->offsets;
    TITAN_TRY(titan_memory_resize(TITAN_MEMORY_DATA, (capacity + 1) * sizeof *strings->offsets, &strings->offsets));
    if (first)
      strings->offsets[0] = 0;
    TITAN_TRY(grow_slots(strings, 2 * capacity));
    strings->capacity = capacity;
  }
  size_t used = strings->offsets[strings->count];
  if (length > strings->bytes_capacity - used) {
    size_t capacity = 2 * strings->bytes_capacity + length + 4096;
    TITAN_TRY(titan_memory_resize(TITAN_MEMORY_DATA, capacity, &strings->bytes));
    strings->bytes_capacity = capacity;
  }
  return TITAN_OK;
}

titan_status titan_byte_strings_add(titan_byte_strings *strings, const void *bytes, size_t length, int32_t *number,
                                    bool *added) {
  int32_t found = strings->count > 0 ? titan_byte_strings_find(strings, bytes, length) : -1;
  if (added)
    *added = found < 0;
  *number = found;
  if (found >= 0)
    return TITAN_OK;
  TITAN_TRY(reserve(strings, length));
  size_t used = strings->offsets[strings->count];
  memcpy(strings->bytes + used, bytes, length);
  *number = (int32_t)strings->count++;
  strings->offsets[strings->count] = used + length;
  if (length > strings->longest)
    strings->longest = length;
  insert(strings, titan_bytes_hash(bytes, length), *number);
  return TITAN_OK;
}

void titan_byte_strings_destroy(titan_byte_strings *strings) {
  titan_memory_free(strings->bytes);
  titan_memory_free(strings->offsets);
  titan_memory_free(strings->slots);
  *strings = (titan_byte_strings){0};
}
