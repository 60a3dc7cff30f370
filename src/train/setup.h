// What a run needs to know before it takes memory: sizes from options, checks, and the node's memory against the plan.
#ifndef TITAN_TRAIN_SETUP_H
#define TITAN_TRAIN_SETUP_H

#include "comm/topology.h"
#include "config/config.h"
#include "optim/optimizer.h"
#include "parallel/runtime.h"

titan_mesh_degrees titan_setup_degrees(const titan_config *config);

// Not collective. All checks that options and the model's sizes allow, in one message (TITAN_ERROR_USAGE), one problem
// a line.
titan_status titan_setup_check(const titan_config *config, int world_size);

// Model, shape of this rank's part of the step, and the rest from the options. `vocabulary`: of the tokenizer. The
// degrees are resolved.
titan_status titan_setup_runtime_options(const titan_config *config, int64_t vocabulary, titan_mesh_degrees degrees,
                                         titan_runtime_options *out);
titan_optimizer_options titan_setup_optimizer_options(const titan_config *config);

// Collective over node and world. Compares what all ranks of this node will take with what the node has; too much is
// TITAN_ERROR_USAGE on all ranks, with both figures, what takes the memory, and a batch or length that would fit.
titan_status titan_setup_check_memory(const titan_runtime *runtime, titan_mesh *mesh, titan_device *device,
                                      titan_comm *node, const titan_topology *topology);

// The device's rate in a matrix product of the compute type, FLOP/s, from a few products of a moderate size: the peak
// that mfu refers to where metrics.peak_flops is not given. Every rank calls it, at the same time, as all compute at
// the same time.
titan_status titan_setup_measure_peak(titan_device *device, titan_dtype dtype, double *flops);

#endif
