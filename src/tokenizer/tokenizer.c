// SPDX-License-Identifier: Apache-2.0
// What a tokenizer says about itself, and decoding.
#include "base/text.h"
#include "tokenizer/tokenizer_internal.h"

#include <stdio.h>

int32_t titan_tokenizer_base_size(const titan_tokenizer *tokenizer) {
  return (int32_t)tokenizer->tokens.count;
}

int32_t titan_tokenizer_vocabulary_size(const titan_tokenizer *tokenizer) {
  return (int32_t)tokenizer->tokens.count + TITAN_TOKENIZER_SPECIAL_COUNT;
}

int32_t titan_tokenizer_bos(const titan_tokenizer *tokenizer) {
  return (int32_t)tokenizer->tokens.count;
}

int32_t titan_tokenizer_eos(const titan_tokenizer *tokenizer) {
  return (int32_t)tokenizer->tokens.count + 1;
}

size_t titan_tokenizer_longest(const titan_tokenizer *tokenizer) {
  return tokenizer->tokens.longest;
}

uint64_t titan_tokenizer_fingerprint(const titan_tokenizer *tokenizer) {
  return tokenizer->fingerprint;
}

// The names of Llama 3's own tokenizer, which skips no number of the reserved ones.
void titan_tokenizer_special_name(int index, char name[40]) {
  static const char *const named[] = {"begin_of_text",   "end_of_text",   NULL, NULL,    NULL, NULL,
                                      "start_header_id", "end_header_id", NULL, "eot_id"};
  enum { NAMED = sizeof named / sizeof *named };
  if (index < NAMED && named[index]) {
    snprintf(name, 40, "<|%s|>", named[index]);
    return;
  }
  int reserved = index < 6 ? index - 2 : index < NAMED ? index - 4 : index - 5;
  snprintf(name, 40, "<|reserved_special_token_%d|>", reserved);
}

titan_status titan_tokenizer_decode(const titan_tokenizer *tokenizer, const int32_t *ids, size_t count, char **bytes,
                                    size_t *length) {
  titan_text text = {0};
  int32_t base = titan_tokenizer_base_size(tokenizer);
  titan_status status = TITAN_OK;
  *bytes = NULL;
  *length = 0;
  TITAN_TRY(titan_text_append(&text, "", 0));
  for (size_t i = 0; i < count; i++) {
    int32_t id = ids[i];
    if (id < 0 || id >= titan_tokenizer_vocabulary_size(tokenizer)) {
      status = titan_error(TITAN_ERROR_DATA, "token id %d is outside the vocabulary (0 to %d)", id,
                           titan_tokenizer_vocabulary_size(tokenizer) - 1);
      goto cleanup;
    }
    if (id >= base) {
      char name[40];
      titan_tokenizer_special_name(id - base, name);
      TITAN_TRY_CLEANUP(titan_text_append(&text, name, strlen(name)));
    } else {
      TITAN_TRY_CLEANUP(titan_text_append(&text, titan_byte_strings_get(&tokenizer->tokens, (size_t)id),
                                          titan_byte_strings_length(&tokenizer->tokens, (size_t)id)));
    }
  }
  *bytes = text.data;
  *length = text.length;
  return TITAN_OK;
cleanup:
  titan_text_destroy(&text);
  return status;
}

titan_status titan_token_buffer_reserve(titan_token_buffer *buffer, size_t count) {
  if (count <= buffer->capacity - buffer->count)
    return TITAN_OK;
  size_t capacity = 2 * buffer->capacity + count + 256;
  TITAN_TRY(titan_memory_resize(TITAN_MEMORY_DATA, capacity * sizeof *buffer->ids, &buffer->ids));
  buffer->capacity = capacity;
  return TITAN_OK;
}

titan_status titan_token_buffer_append(titan_token_buffer *buffer, int32_t id) {
  TITAN_TRY(titan_token_buffer_reserve(buffer, 1));
  buffer->ids[buffer->count++] = id;
  return TITAN_OK;
}

void titan_token_buffer_destroy(titan_token_buffer *buffer) {
  titan_memory_free(buffer->ids);
  *buffer = (titan_token_buffer){0};
}
