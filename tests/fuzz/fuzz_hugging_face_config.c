// SPDX-License-Identifier: Apache-2.0
// Hugging Face's config.json. Property: any bytes are a configuration or TITAN_ERROR_CHECKPOINT with the path; what was
// read has the same numbers after it was written and read again.
#include "fuzz.h"

#include "weights/hugging_face.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  uint64_t live = fuzz_live();
  titan_hugging_face_config config, again;
  titan_text text = {0};
  const char *path = fuzz_file(".json", data, size);
  titan_status status = titan_hugging_face_config_read(path, &config);
  if (status == TITAN_OK && titan_hugging_face_config_write(&config, TITAN_NUMBER_BFLOAT16, &text) == TITAN_OK) {
    fuzz_file(".json", text.data, text.length);
    FUZZ_REQUIRE(titan_hugging_face_config_read(path, &again) == TITAN_OK);
    FUZZ_REQUIRE(again.dim == config.dim && again.layers == config.layers && again.heads == config.heads &&
                 again.kv_heads == config.kv_heads && again.vocabulary == config.vocabulary &&
                 again.tied == config.tied && again.length == config.length);
  }
  FUZZ_REQUIRE(status == TITAN_OK || (status == TITAN_ERROR_CHECKPOINT && strstr(titan_error_message(), path) != NULL));
  titan_text_destroy(&text);
  fuzz_require_no_leak(live);
  return 0;
}
