// SPDX-License-Identifier: Apache-2.0
// The file of a tokenizer. Property: any bytes are a tokenizer or TITAN_ERROR_DATA; a tokenizer's encoding of the file
// itself is decoded to the same text. Single bytes without a token are added first, since hardly any other input has
// all.
#include "fuzz.h"

#include "tokenizer/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 1 << 16 };

static void encode_and_decode(const titan_tokenizer *tokenizer, const char *text, size_t length) {
  titan_tokenizer_scratch *scratch;
  titan_token_buffer ids = {0};
  char *decoded = NULL;
  size_t decoded_length;
  uint64_t replaced;
  FUZZ_REQUIRE(titan_tokenizer_scratch_create(&scratch) == TITAN_OK);
  FUZZ_REQUIRE(titan_tokenizer_encode(tokenizer, scratch, text, length, &ids, &replaced) == TITAN_OK);
  FUZZ_REQUIRE(titan_tokenizer_decode(tokenizer, ids.ids, ids.count, &decoded, &decoded_length) == TITAN_OK);
  FUZZ_REQUIRE(replaced > 0 || (decoded_length == length && memcmp(decoded, text, length) == 0));
  titan_memory_free(decoded);
  titan_token_buffer_destroy(&ids);
  titan_tokenizer_scratch_destroy(&scratch);
}

static void load(const char *bytes, size_t length) {
  titan_tokenizer *tokenizer = NULL;
  titan_status status = titan_tokenizer_create(bytes, length, "input", &tokenizer);
  FUZZ_REQUIRE(status == TITAN_OK || (status == TITAN_ERROR_DATA && tokenizer == NULL));
  if (status == TITAN_OK)
    encode_and_decode(tokenizer, bytes, length);
  titan_tokenizer_destroy(&tokenizer);
}

// The tokens of single bytes, ranks 0 to 255, then the input.
static size_t with_bytes(const uint8_t *data, size_t size, char *out) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  size_t length = 0;
  for (int byte = 0; byte < 256; byte++)
    length += (size_t)sprintf(out + length, "%c%c== %d\n", digits[byte >> 2], digits[(byte & 3) << 4], byte);
  memcpy(out + length, data, size);
  return length + size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static char whole[MOST];
  uint64_t live = fuzz_live();
  if (size > MOST - 256 * 12)
    return 0;
  load((const char *)data, size);
  load(whole, with_bytes(data, size, whole));
  fuzz_require_no_leak(live);
  return 0;
}
