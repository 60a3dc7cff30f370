// SPDX-License-Identifier: Apache-2.0
// The reader of JSON lines. Property: any file, plain or gzip, is read to its end or refused with TITAN_ERROR_DATA; a
// second reading gives the same; passing over documents finds as many. Oracle of the parser: a line that jansson takes
// for an object with a string "text" has the same text here.
#include "fuzz.h"

#include "data/jsonl.h"
#include "data/jsonl_parse.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

typedef struct outcome {
  titan_status status;
  uint64_t documents, bytes, sum;
} outcome;

static outcome read_all(titan_jsonl *reader) {
  outcome result = {0};
  const char *text;
  size_t length;
  bool end = false;
  for (;;) {
    result.status = titan_jsonl_next(reader, &text, &length, &end);
    if (result.status != TITAN_OK || end)
      return result;
    result.documents++;
    result.bytes += length;
    for (size_t i = 0; i < length; i++)
      result.sum = result.sum * 31 + (unsigned char)text[i];
  }
}

static bool same(const outcome *a, const outcome *b) {
  return a->status == b->status && a->documents == b->documents && a->bytes == b->bytes && a->sum == b->sum;
}

static void read_file(const uint8_t *data, size_t size, size_t limit) {
  titan_jsonl *reader;
  FUZZ_REQUIRE(titan_jsonl_open(fuzz_file(".jsonl", data, size), &reader) == TITAN_OK);
  titan_jsonl_set_limit(reader, limit);
  outcome first = read_all(reader);
  FUZZ_REQUIRE(first.status == TITAN_OK || first.status == TITAN_ERROR_DATA);
  FUZZ_REQUIRE(titan_jsonl_rewind(reader) == TITAN_OK);
  outcome second = read_all(reader);
  FUZZ_REQUIRE(same(&first, &second));
  if (first.status == TITAN_OK) {
    uint64_t passed = 0;
    bool end = false;
    FUZZ_REQUIRE(titan_jsonl_rewind(reader) == TITAN_OK);
    for (; titan_jsonl_skip(reader, &end) == TITAN_OK && !end; passed++)
      ;
    FUZZ_REQUIRE(end && passed == first.documents);
  }
  titan_jsonl_close(&reader);
}

static void compare_with_jansson(const uint8_t *data, size_t size) {
  json_t *root = json_loadb((const char *)data, size, JSON_ALLOW_NUL, NULL);
  const json_t *expected = json_object_get(root, "text");
  if (json_is_string(expected)) {
    char *line = malloc(size + 1);
    const char *text = NULL;
    size_t length = 0, column = 0;
    uint64_t replaced = 0;
    FUZZ_REQUIRE(line != NULL);
    memcpy(line, data, size);
    FUZZ_REQUIRE(titan_jsonl_parse(line, size, &text, &length, &replaced, &column) == NULL);
    FUZZ_REQUIRE(length == json_string_length(expected) && memcmp(text, json_string_value(expected), length) == 0);
    free(line);
  }
  json_decref(root);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  uint64_t live = fuzz_live();
  read_file(data, size, size % 3 == 0 ? 40 : 0);
  compare_with_jansson(data, size);
  fuzz_require_no_leak(live);
  return 0;
}
