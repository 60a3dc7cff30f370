// SPDX-License-Identifier: Apache-2.0
// Sizes of the published models (llama3 1B and 3B: of Llama 3.2, whose output is the embedding). Sources: Touvron et
// al., "Llama 2" (2023); Dubey et al., "The Llama 3 herd of models" (2024); the small ones are the reference's.
#ifndef TITAN_MODEL_LLAMA_FLAVORS_H
#define TITAN_MODEL_LLAMA_FLAVORS_H

#include "model/model.h"

#define TITAN_LLAMA2_FLAVOR_NAMES "debugmodel, 271M, 1B, 7B, 13B, 26B, 70B"
#define TITAN_LLAMA3_FLAVOR_NAMES "debugmodel, 1B, 3B, 8B, 70B, 405B"

// False when there is no such flavor.
bool titan_llama2_flavor(const char *name, titan_model_arguments *out);
bool titan_llama3_flavor(const char *name, titan_model_arguments *out);

#endif
