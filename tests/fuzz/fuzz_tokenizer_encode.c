// SPDX-License-Identifier: Apache-2.0
// Encoding. Property: any text has ids; they decode to the text made valid UTF-8; encoded part by part it has the same
// ids. The tokenizer is fixed: single bytes, and a few longer tokens.
#include "fuzz.h"

#include "tokenizer/tokenizer.h"

#include <stdio.h>
#include <string.h>

static titan_tokenizer *tokenizer;

static size_t put(char *out, const char *token, size_t length, int rank) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  size_t used = 0;
  for (size_t i = 0; i < length; i += 3) {
    unsigned byte[3] = {0};
    for (size_t j = 0; j < 3 && i + j < length; j++)
      byte[j] = (unsigned char)token[i + j];
    out[used++] = digits[byte[0] >> 2];
    out[used++] = digits[(byte[0] & 3) << 4 | byte[1] >> 4];
    out[used++] = '=';
    out[used++] = '=';
    if (i + 1 < length)
      out[used - 2] = digits[(byte[1] & 15) << 2 | byte[2] >> 6];
    if (i + 2 < length)
      out[used - 1] = digits[byte[2] & 63];
  }
  return used + (size_t)sprintf(out + used, " %d\n", rank);
}

static void make_tokenizer(void) {
  static const char *const longer[] = {" t", "he", "in",  "the", " the",     "ing", "\n\n", "  ",
                                       "er", "'s", "123", "12",  "\xc3\xa9", "aa",  "aaaa", "\xe4\xb8"};
  static char text[8192];
  size_t length = 0;
  int rank = 0;
  for (; rank < 256; rank++)
    length += put(text + length, &(char){(char)rank}, 1, rank);
  for (size_t i = 0; i < sizeof longer / sizeof *longer; i++)
    length += put(text + length, longer[i], strlen(longer[i]), rank++);
  FUZZ_REQUIRE(titan_tokenizer_create(text, length, "tokens", &tokenizer) == TITAN_OK);
}

// The ids of the text, `least` bytes at a time.
static void encode_in_parts(titan_tokenizer_scratch *scratch, const char *text, size_t length, size_t least,
                            titan_token_buffer *ids) {
  for (size_t done = 0, used; done < length; done += used) {
    FUZZ_REQUIRE(titan_tokenizer_encode_part(tokenizer, scratch, text + done, length - done, least, &used, ids) ==
                 TITAN_OK);
    FUZZ_REQUIRE(used > 0 && used <= length - done);
  }
}

static void check(titan_tokenizer_scratch *scratch, const char *text, size_t length, size_t least) {
  titan_token_buffer whole = {0}, parts = {0};
  char *decoded;
  size_t decoded_length;
  uint64_t replaced, replaced_again;
  FUZZ_REQUIRE(titan_tokenizer_encode(tokenizer, scratch, text, length, &whole, &replaced) == TITAN_OK);
  FUZZ_REQUIRE(titan_tokenizer_decode(tokenizer, whole.ids, whole.count, &decoded, &decoded_length) == TITAN_OK);
  FUZZ_REQUIRE(titan_tokenizer_repair(scratch, &text, &length, &replaced_again) == TITAN_OK);
  FUZZ_REQUIRE(replaced == replaced_again && decoded_length == length && memcmp(decoded, text, length) == 0);
  encode_in_parts(scratch, text, length, least, &parts);
  FUZZ_REQUIRE(parts.count == whole.count);
  FUZZ_REQUIRE(whole.count == 0 || memcmp(parts.ids, whole.ids, whole.count * sizeof *whole.ids) == 0);
  titan_memory_free(decoded);
  titan_token_buffer_destroy(&whole);
  titan_token_buffer_destroy(&parts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  titan_tokenizer_scratch *scratch;
  if (tokenizer == NULL)
    make_tokenizer();
  uint64_t live = fuzz_live();
  FUZZ_REQUIRE(titan_tokenizer_scratch_create(&scratch) == TITAN_OK);
  check(scratch, (const char *)data, size, size % 7 + 1);
  titan_tokenizer_scratch_destroy(&scratch);
  fuzz_require_no_leak(live);
  return 0;
}
