// SPDX-License-Identifier: Apache-2.0
// Conformance of a device's operations: every case is run on the device and compared with a plain float64 reference.
#ifndef TITAN_TESTS_CONFORMANCE_H
#define TITAN_TESTS_CONFORMANCE_H

#include "device/device.h"

// An operand in float64, in the call's order. Integers are stored as their values.
typedef struct operand {
  double *values;
  // Outputs only: for each element the sum of the absolute values of the terms that make it up. float32 arithmetic is
  // exact to a few 2^-24 of this, however the terms cancel.
  double *terms;
} operand;

// Fills the outputs' values and terms from the inputs' values.
typedef void (*reference_function)(const titan_op_call *call, const operand *in, operand *out);
// The reference of an operation; NULL when there is none here.
reference_function reference_of(titan_op_kind kind);

// How a backward operation is tied to its forward: backward input i is forward input forward_input[i] - 1 or forward
// output forward_output[i] - 1 (0: neither); backward input dy[k] - 1 is the gradient of forward output k (0: output k
// has none); backward output j is the gradient of forward input gradient_of[j]. Forward inputs that the backward does
// not read are zero.
typedef struct gradient_tie {
  titan_op_kind backward, forward;
  int inputs; // that the backward has; 0: any number
  int forward_input[5], forward_output[5], dy[TITAN_MAX_OUTPUTS], gradient_of[2];
} gradient_tie;
const gradient_tie *gradient_tie_of(const titan_op_call *backward); // NULL when it is no backward operation

// The forward call of a backward call.
void forward_call_of(const gradient_tie *tie, const titan_op_call *backward, titan_op_call *forward);

// The forward's inputs from the backward's; `zeros` is their storage where the backward has none, and to be freed.
void forward_inputs_of(const gradient_tie *tie, const titan_op_call *forward, const operand *backward_in,
                       operand *forward_in, operand *zeros);

// Whether the operation takes exponentials of its first input. Such inputs are shifted by one of several amounts: a
// kernel that does not take off the maximum overflows, or loses everything.
bool reads_logits(titan_op_kind kind);
enum { LOGITS_SHIFTS = 3 };
double logits_shift(uint64_t seed);

// values, in the type's own form, into to [count].
void store_values(titan_dtype dtype, const double *values, int64_t count, void *to);

// Random inputs for a call, rounded to their types; inputs that are outputs of the forward are computed by it.
void make_inputs(const titan_op_call *call, uint64_t seed, operand *in);
void make_outputs(const titan_op_call *call, operand *out);
void free_operands(operand *operands, int count);

// Runs the case on devices with one and two threads, in every way that the operation allows to reuse an input's memory;
// returns the number of failures, each printed.
// The seed of its inputs is the number of the cases of its kind so far.
int run_case(titan_device *const devices[2], titan_op_call *call);

// The number of cases of this kind that run_case has run.
int cases_run(titan_op_kind kind);

typedef int (*case_visitor)(titan_op_call *call, void *context);
// Calls the visitor for each case; returns the sum of what it returns. `count` is increased per case.
int for_each_case(case_visitor visit, void *context, int *count);

int check_vector_functions(titan_device *device);
// Fused operations against their parts, bit by bit.
int check_fused_operations(titan_device *device);
// What attention gives of numbers that are not finite.
int check_nonfinite_inputs(titan_device *device);

static inline double round_to(titan_dtype dtype, double value) {
  if (dtype == TITAN_BFLOAT16)
    return (double)titan_bf16_to_float(titan_bf16_from_float((float)value));
  return dtype == TITAN_FLOAT32 ? (double)(float)value : value;
}

#endif
