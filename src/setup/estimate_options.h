// SPDX-License-Identifier: Apache-2.0
// The options of the memory estimate: what they ask for, and whether they go together.
#ifndef TITAN_SETUP_ESTIMATE_OPTIONS_H
#define TITAN_SETUP_ESTIMATE_OPTIONS_H

#include "base/text.h"
#include "config/config.h"

// Whether the options ask for an estimate by plans alone, or for one beside a short real run.
bool titan_estimate_is_fake(const titan_config *config);
bool titan_estimate_is_real(const titan_config *config);
// Ranks that the options are for: memory_estimation.world_size where an estimate is asked for and it is given, else
// `ranks`, the number there are.
int titan_estimate_world_size(const titan_config *config, int ranks);
// Adds a line for each problem of the estimate's own options.
titan_status titan_estimate_check(const titan_config *config, int ranks, titan_text *problems);
// Whether the estimate is for this machine's processors.
bool titan_estimate_is_cpu(const titan_config *config);

#endif
