// SPDX-License-Identifier: Apache-2.0
#include "cuda/cuda.h"

// Under the name that the program looks for, which is not the type's.
extern const titan_plugin exported __asm__("titan_plugin");
const titan_plugin exported = {
    .version = TITAN_PLUGIN_VERSION, .create = titan_cuda_create, .describe = titan_cuda_describe};
