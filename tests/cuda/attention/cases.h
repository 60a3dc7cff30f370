// SPDX-License-Identifier: Apache-2.0
// Cases of attention and its gradient for the CUDA device: inputs, the float64 reference, and runs on a device.
#ifndef TITAN_TESTS_CUDA_ATTENTION_CASES_H
#define TITAN_TESTS_CUDA_ATTENTION_CASES_H

#include "device/device.h"
#include "reference.h"

// Inputs of the forward, its outputs, the gradient of o, and outputs of the backward.
enum { Q, KEYS, V, O, LSE, DO, DQ, DK, DV, TENSORS };

typedef struct cuda_case {
  attention_sizes sizes;
  titan_dtype dtype;
  titan_tensor_type types[TENSORS];
  double *exact[TENSORS]; // inputs as the kernels see them, outputs of the reference
  void *given[TENSORS];   // in the tensor's type: inputs, and o and lse as inputs of the backward
  void *got[TENSORS];     // outputs of the last run
} cuda_case;

// magnitude: of the elements of q; those of the others are about 1.
void case_create(cuda_case *test, attention_sizes sizes, titan_dtype dtype, double magnitude);
void case_destroy(cuda_case *test);

// Runs the forward or the backward, whose outputs and workspace are NaN before, into `got`.
titan_status case_run(cuda_case *test, titan_device *device, titan_op_kind kind);
titan_op_call case_call(const cuda_case *test, titan_op_kind kind);

// How far the outputs of the last run are from the reference: the greatest distance over the greatest element of the
// output (1 at least, where all is cancelled), less what rounding to bfloat16 explains. NaN where one is NaN.
double case_distance(const cuda_case *test, titan_op_kind kind);

#endif
