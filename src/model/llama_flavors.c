// SPDX-License-Identifier: Apache-2.0
#include "model/llama_flavors.h"

#include <string.h>

typedef struct flavor {
  const char *name;
  titan_model_arguments arguments;
} flavor;

#define FLAVOR(flavor_name, d, l, n, k, multiplier, multiple, theta, tie)                                              \
  {                                                                                                                    \
    flavor_name, {                                                                                                     \
      .dim = d, .layers = l, .heads = n, .kv_heads = k, .multiple_of = multiple, .ffn_dim_multiplier = multiplier,     \
      .norm_epsilon = 1e-5, .rope_theta = theta, .tied = tie                                                           \
    }                                                                                                                  \
  }

static const flavor llama2_flavors[] = {
    FLAVOR("debugmodel", 256, 8, 16, 16, 1.0, 256, 10000.0, false),
    FLAVOR("271M", 1024, 16, 8, 8, 1.0, 256, 10000.0, false),
    FLAVOR("1B", 2048, 18, 16, 16, 1.0, 256, 10000.0, false),
    FLAVOR("7B", 4096, 32, 32, 32, 1.0, 256, 10000.0, false),
    FLAVOR("13B", 5120, 40, 40, 40, 1.0, 256, 10000.0, false),
    FLAVOR("26B", 5120, 80, 40, 40, 1.0, 256, 10000.0, false),
    FLAVOR("70B", 8192, 80, 64, 8, 1.3, 4096, 10000.0, false),
};

static const flavor llama3_flavors[] = {
    FLAVOR("debugmodel", 256, 8, 16, 16, 1.0, 256, 500000.0, false),
    FLAVOR("1B", 2048, 16, 32, 8, 1.5, 256, 500000.0, true),
    FLAVOR("3B", 3072, 28, 24, 8, 1.0, 256, 500000.0, true),
    FLAVOR("8B", 4096, 32, 32, 8, 1.3, 1024, 500000.0, false),
    FLAVOR("70B", 8192, 80, 64, 8, 1.3, 4096, 500000.0, false),
    FLAVOR("405B", 16384, 126, 128, 8, 1.2, 4096, 500000.0, false),
};

static bool find(const flavor *flavors, size_t count, const char *name, titan_model_arguments *out) {
  for (size_t i = 0; i < count; i++)
    if (strcmp(flavors[i].name, name) == 0) {
      *out = flavors[i].arguments;
      return true;
    }
  return false;
}

bool titan_llama2_flavor(const char *name, titan_model_arguments *out) {
  return find(llama2_flavors, sizeof llama2_flavors / sizeof *llama2_flavors, name, out);
}

bool titan_llama3_flavor(const char *name, titan_model_arguments *out) {
  return find(llama3_flavors, sizeof llama3_flavors / sizeof *llama3_flavors, name, out);
}
