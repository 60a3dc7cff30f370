// SPDX-License-Identifier: Apache-2.0
#include "fuzz_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  return fuzz_config(".toml", data, size);
}
