// SPDX-License-Identifier: Apache-2.0
// Where a step's numbers went wrong: the first parameter, operation or sum with a value that is infinite or NaN.
#ifndef TITAN_PARALLEL_NONFINITE_H
#define TITAN_PARALLEL_NONFINITE_H

#include "parallel/runtime.h"

enum { TITAN_FOUND_BYTES = 1024 };

// Collective over the mesh, between steps, after one whose loss or gradient norm was not finite and which has left the
// weights as they were (titan_step_state.bad; not with early updates). The masters are looked at first. If they are
// finite, the list of the step runs once more on the same batch, and each operation's outputs are looked at when they
// are written; then the sums of the gradients. `since`: batches that were begun after that of the step, 0 or 1; its
// tokens are still in the runtime's buffers. found: what comes first, in one phrase that is the same on all ranks; ""
// where all is finite this time. Gradients and activations are written over; weights and optimizer states are not.
// Takes a few MiB of host memory on a device with queues and none else; TITAN_ERROR_MEMORY where they are missing, on
// all ranks.
titan_status titan_runtime_find_nonfinite(titan_runtime *runtime, int since, char found[TITAN_FOUND_BYTES]);

#endif
