// SPDX-License-Identifier: Apache-2.0
#ifndef TITAN_ESTIMATE_ESTIMATE_PRIVATE_H
#define TITAN_ESTIMATE_ESTIMATE_PRIVATE_H

#include "estimate/estimate.h"

// Room for a driver's context, the workspace of matrix products and the buffers of collectives, on a GPU: an allowance,
// not a measurement.
static const size_t titan_estimate_own_bytes_gpu = (size_t)1 << 30;

// Beside the plan, of one rank, which takes `reading` bytes of the host's memory for documents (titan_setup_beside).
static inline size_t titan_estimate_own_bytes(const titan_estimate_question *question, size_t reading) {
  return question->facts != NULL ? titan_estimate_own_bytes_gpu : titan_setup_process_bytes + reading;
}

// The device that plans are made for.
titan_status titan_estimate_device_create(const titan_estimate_question *question, titan_device **out);
// The mesh and the runtime that `config` asks for.
// choice: where the schedule of the pipeline is to be chosen, the place among the candidates, the quickest first.
titan_status titan_estimate_options(const titan_estimate_question *question, const titan_config *config, int choice,
                                    titan_mesh_degrees *degrees, titan_runtime_options *out);
// Where the activations have a budget: sets options->activations.fixed, for all ranks alike.
titan_status titan_estimate_share_budget(const titan_estimate *estimate, titan_device *device,
                                         titan_mesh_degrees degrees, titan_runtime_options *options);
// The moment of a step when most is alive.
titan_status titan_estimate_find_peak(titan_runtime *runtime, titan_estimate_peak *peak);
// The figures of one rank; without the peak it is faster.
titan_status titan_estimate_rank(const titan_estimate_question *question, titan_device *device,
                                 titan_mesh_degrees degrees, const titan_runtime_options *options, int rank,
                                 bool with_peak, titan_estimate_kind *out);

#endif
