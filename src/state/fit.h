// SPDX-License-Identifier: Apache-2.0
// Whether a checkpoint is of a model.
#ifndef TITAN_STATE_FIT_H
#define TITAN_STATE_FIT_H

#include "state/layout.h"

// Not collective. The file has the model's constants, as far as they decide what is computed, and the first `kept`
// groups of layout->kept hold the model's parameters, no more and no less; else TITAN_ERROR_CHECKPOINT with a list of
// what differs. (The model's name is only known where the file's texts are: on rank 0.)
titan_status titan_checkpoint_check_fit(const titan_checkpoint_file *file, const titan_runtime_options *options,
                                        const titan_checkpoint_layout *layout, int kept);

#endif
