// SPDX-License-Identifier: Apache-2.0
// Runs one case on the device and compares.
//
// Outputs and workspace are poisoned with 0xff bytes (NaN in every float type) before a run. 64 guard bytes on either
// side of each operand must be untouched after it; they are ordinary numbers, others beside inputs than beside outputs,
// so that neither a copy nor arithmetic of guards gives guards.
#include "conformance.h"
#include "digest.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GUARD = 64, POISON = 0xff, INPUT_GUARD = 0x3f, OUTPUT_GUARD = 0x5c };

typedef struct buffer {
  unsigned char *base, *data;
  size_t bytes;
  unsigned char guard;
} buffer;

static buffer buffer_create(titan_device *device, size_t bytes, unsigned char guard) {
  buffer b = {.bytes = bytes, .guard = guard};
  if (device->allocate(device, TITAN_SPACE_DEVICE, TITAN_MEMORY_SCRATCH, bytes + 2 * (size_t)GUARD, &b.base) !=
      TITAN_OK)
    abort();
  memset(b.base, guard, bytes + 2 * (size_t)GUARD);
  b.data = b.base + GUARD;
  memset(b.data, POISON, bytes);
  return b;
}

static bool guards_hold(const buffer *b) {
  for (size_t i = 0; i < GUARD; i++)
    if (b->base[i] != b->guard || b->data[b->bytes + i] != b->guard)
      return false;
  return true;
}

void store_values(titan_dtype dtype, const double *values, int64_t count, void *to) {
  for (int64_t i = 0; i < count; i++) {
    if (dtype == TITAN_FLOAT32)
      ((float *)to)[i] = (float)values[i];
    else if (dtype == TITAN_BFLOAT16)
      ((titan_bf16 *)to)[i] = titan_bf16_from_float((float)values[i]);
    else
      ((int32_t *)to)[i] = (int32_t)values[i];
  }
}

static double element(titan_dtype dtype, const void *from, int64_t i) {
  return dtype == TITAN_FLOAT32 ? (double)((const float *)from)[i]
                                : (double)titan_bf16_to_float(((const titan_bf16 *)from)[i]);
}

// Where the case goes wrong, for the message.
static int report(const titan_op_call *call, const char *what, int reused, int output, int64_t i, double got,
                  double expected) {
  fprintf(stderr, "FAILED %s", titan_op_name(call->kind));
  for (int k = 0; k < call->input_count; k++) {
    fprintf(stderr, "%s%s[", k ? ", " : " ", titan_dtype_name(call->inputs[k].dtype));
    for (int d = 0; d < call->inputs[k].rank; d++)
      fprintf(stderr, "%s%lld", d ? "," : "", (long long)call->inputs[k].dims[d]);
    fprintf(stderr, "]");
  }
  fprintf(stderr, " -> %s, transpose %d%d, reused input %d: %s, output %d element %lld: %.9g, expected %.9g\n",
          titan_dtype_name(call->outputs[0].dtype), call->attributes.matmul.transpose_a,
          call->attributes.matmul.transpose_b, reused, what, output, (long long)i, got, expected);
  return 1;
}

// Tolerance. float32: 32 units of 2^-24 of the terms' absolute sum: sums are taken in vector lanes, blocks and tiles,
// so their error grows far slower than their length; the longest here have 2,100 terms. bfloat16 (8 significant bits)
// adds half a unit in its last place, 2^-8 relative, and a hair. Where n is rounded before the weight (rms_norm not
// fused), float32 error can push n over a rounding boundary: a whole unit more. Rounding to nearest is checked by
// count: nearly all elements must equal the reference rounded; truncation would spoil half of them.
static double tolerance(const titan_op_call *call, titan_dtype dtype, double value, double terms) {
  bool twice = (call->kind == TITAN_OP_rms_norm || call->kind == TITAN_OP_add_rms_norm) && !call->attributes.norm.fused;
  double narrow = dtype == TITAN_BFLOAT16 ? fabs(value) * (twice ? 0x1.82p-7 : 0x1.02p-8) : 0;
  return 32 * 0x1p-24 * terms + narrow + 1e-37;
}

static int compare(const titan_op_call *call, int reused, int index, const operand *expected, const void *got) {
  titan_dtype dtype = call->outputs[index].dtype;
  int64_t count = titan_tensor_elements(&call->outputs[index]), equal = 0;
  for (int64_t i = 0; i < count; i++) {
    double value = element(dtype, got, i), wanted = expected->values[i];
    if (!(fabs(value - wanted) <= tolerance(call, dtype, wanted, expected->terms[i])))
      return report(call, "wrong value", reused, index, i, value, wanted);
    equal += value == round_to(dtype, wanted);
  }
  if (dtype == TITAN_BFLOAT16 && count >= 200 && (double)equal < 0.97 * (double)count)
    return report(call, "too few results are rounded to nearest (count)", reused, index, 0, (double)equal,
                  (double)count);
  return 0;
}

static titan_status run_kernel(titan_device *device, const titan_op_call *call, const void *const *inputs,
                               void *const *outputs, int runs, bool *workspace_held) {
  const titan_kernel *kernel = device->kernel(device, call->kind);
  size_t bytes = kernel->workspace != NULL ? kernel->workspace(device, call) : 0;
  buffer workspace = buffer_create(device, bytes, OUTPUT_GUARD);
  void *state = NULL;
  titan_status status = kernel->prepare != NULL ? kernel->prepare(device, call, &state) : TITAN_OK;
  if (status == TITAN_OK) {
    for (int i = 0; i < runs && status == TITAN_OK; i++)
      status = kernel->run(device, call, state, inputs, outputs, bytes > 0 ? workspace.data : NULL);
    if (kernel->release != NULL)
      kernel->release(device, state);
  }
  *workspace_held = guards_hold(&workspace);
  device->free(device, TITAN_SPACE_DEVICE, workspace.base);
  return status;
}

// reused: the input whose memory output 0 takes, or -1.
static int run_once(titan_device *device, const titan_op_call *call, int reused, const operand *in,
                    const operand *expected, buffer *out) {
  buffer inputs[TITAN_MAX_INPUTS];
  const void *input_data[TITAN_MAX_INPUTS];
  void *output_data[TITAN_MAX_OUTPUTS];
  int failures = 0;
  for (int i = 0; i < call->input_count; i++) {
    inputs[i] = buffer_create(device, titan_tensor_bytes(&call->inputs[i]), INPUT_GUARD);
    store_values(call->inputs[i].dtype, in[i].values, titan_tensor_elements(&call->inputs[i]), inputs[i].data);
    input_data[i] = inputs[i].data;
  }
  for (int i = 0; i < call->output_count; i++) {
    out[i] = buffer_create(device, titan_tensor_bytes(&call->outputs[i]), OUTPUT_GUARD);
    output_data[i] = i == 0 && reused >= 0 ? inputs[reused].data : out[i].data;
  }
  bool held;
  if (run_kernel(device, call, input_data, output_data, reused < 0 ? 2 : 1, &held) != TITAN_OK)
    failures += report(call, titan_error_message(), reused, 0, 0, 0, 0);
  if (!held)
    failures += report(call, "wrote beyond the workspace", reused, 0, 0, 0, 0);
  if (reused >= 0 && failures == 0)
    memcpy(out[0].data, inputs[reused].data, out[0].bytes);
  for (int i = 0; i < call->output_count && failures == 0; i++) {
    failures += compare(call, reused, i, &expected[i], out[i].data);
    if (!guards_hold(&out[i]))
      failures += report(call, "wrote beyond the output", reused, i, 0, 0, 0);
    note_digest(titan_op_name(call->kind), i, out[i].data, out[i].bytes);
  }
  for (int i = 0; i < call->input_count; i++) {
    if (!guards_hold(&inputs[i]))
      failures += report(call, "wrote beyond an input", reused, i, 0, 0, 0);
    device->free(device, TITAN_SPACE_DEVICE, inputs[i].base);
  }
  return failures;
}

static void release_buffers(titan_device *device, buffer *out, int count) {
  for (int i = 0; i < count; i++)
    device->free(device, TITAN_SPACE_DEVICE, out[i].base);
}

static int runs_of_kind[TITAN_OP_COUNT];

int cases_run(titan_op_kind kind) {
  return runs_of_kind[kind];
}

int run_case(titan_device *const devices[2], titan_op_call *call) {
  if (titan_op_infer(call) != TITAN_OK) {
    fprintf(stderr, "FAILED: %s\n", titan_error_message());
    return 1;
  }
  operand in[TITAN_MAX_INPUTS], expected[TITAN_MAX_OUTPUTS];
  make_inputs(call, (uint64_t)runs_of_kind[call->kind]++, in);
  make_outputs(call, expected);
  reference_of(call->kind)(call, in, expected);
  int failures = 0;
  buffer one[TITAN_MAX_OUTPUTS], other[TITAN_MAX_OUTPUTS];
  failures += run_once(devices[0], call, -1, in, expected, one);
  failures += run_once(devices[1], call, -1, in, expected, other);
  // but for matrix products, whose library cuts the depth by threads, results do not depend on the number of threads
  for (int i = 0; i < call->output_count && call->kind != TITAN_OP_matmul; i++)
    if (memcmp(one[i].data, other[i].data, one[i].bytes) != 0)
      failures += report(call, "one and two threads differ", -1, i, 0, 0, 0);
  release_buffers(devices[0], one, call->output_count);
  release_buffers(devices[1], other, call->output_count);
  for (int i = 0; i < call->input_count; i++)
    if (call->reusable_inputs >> i & 1) {
      failures += run_once(devices[1], call, i, in, expected, one);
      release_buffers(devices[1], one, call->output_count);
    }
  free_operands(in, call->input_count);
  free_operands(expected, call->output_count);
  return failures;
}
