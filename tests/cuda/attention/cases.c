// SPDX-License-Identifier: Apache-2.0
#include "cases.h"

#include "base/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[TENSORS] = {"q", "k", "v", "o", "lse", "do", "dq", "dk", "dv"};

static void *allocate(size_t bytes) {
  void *data;
  if (titan_memory_allocate(TITAN_MEMORY_GENERAL, bytes, &data) != TITAN_OK)
    abort();
  return data;
}

static int64_t count_of(const cuda_case *test, int tensor) {
  return titan_tensor_elements(&test->types[tensor]);
}

static double element(const cuda_case *test, int tensor, const void *data, int64_t i) {
  return test->types[tensor].dtype == TITAN_BFLOAT16 ? (double)titan_bf16_to_float(((const titan_bf16 *)data)[i])
                                                     : (double)((const float *)data)[i];
}

// Gives a tensor the exact values, rounded to its type, and puts the rounded values back.
static void give(cuda_case *test, int tensor) {
  for (int64_t i = 0; i < count_of(test, tensor); i++) {
    if (test->types[tensor].dtype == TITAN_BFLOAT16)
      ((titan_bf16 *)test->given[tensor])[i] = titan_bf16_from_float((float)test->exact[tensor][i]);
    else
      ((float *)test->given[tensor])[i] = (float)test->exact[tensor][i];
    test->exact[tensor][i] = element(test, tensor, test->given[tensor], i);
  }
}

static void fill(cuda_case *test, int tensor, double magnitude) {
  float *values = allocate((size_t)count_of(test, tensor) * sizeof(float));
  titan_random_normal(titan_random_stream_create(23, names[tensor]), 0, (uint64_t)count_of(test, tensor), 0, magnitude,
                      -INFINITY, INFINITY, values);
  for (int64_t i = 0; i < count_of(test, tensor); i++)
    test->exact[tensor][i] = values[i];
  titan_memory_free(values);
  give(test, tensor);
}

void case_create(cuda_case *test, attention_sizes s, titan_dtype dtype, double magnitude) {
  *test = (cuda_case){.sizes = s, .dtype = dtype};
  for (int i = 0; i < TENSORS; i++) {
    const bool of_keys = i == KEYS || i == V || i == DK || i == DV;
    test->types[i] = (titan_tensor_type){dtype, 4, {s.batch, s.length, of_keys ? s.kv_heads : s.heads, s.head_size}};
    if (i == LSE)
      test->types[i] = (titan_tensor_type){TITAN_FLOAT32, 3, {s.batch, s.heads, s.length}};
    test->exact[i] = allocate((size_t)count_of(test, i) * sizeof(double));
    test->given[i] = allocate(titan_tensor_bytes(&test->types[i]));
    test->got[i] = allocate(titan_tensor_bytes(&test->types[i]));
  }
  double **x = test->exact;
  fill(test, Q, magnitude);
  fill(test, KEYS, 1);
  fill(test, V, 1);
  fill(test, DO, 1);
  reference_attention(s, x[Q], x[KEYS], x[V], x[O], x[LSE]);
  // The backward gets o and lse rounded; the forward is compared with what they are exactly.
  double *kept[2];
  for (int i = O; i <= LSE; i++) {
    kept[i - O] = allocate((size_t)count_of(test, i) * sizeof(double));
    memcpy(kept[i - O], x[i], (size_t)count_of(test, i) * sizeof(double));
    give(test, i);
  }
  reference_attention_backward(s, x[Q], x[KEYS], x[V], x[O], x[LSE], x[DO], x[DQ], x[DK], x[DV]);
  for (int i = O; i <= LSE; i++) {
    titan_memory_free(x[i]);
    x[i] = kept[i - O];
  }
}

void case_destroy(cuda_case *test) {
  for (int i = 0; i < TENSORS; i++) {
    titan_memory_free(test->exact[i]);
    titan_memory_free(test->given[i]);
    titan_memory_free(test->got[i]);
  }
}

titan_op_call case_call(const cuda_case *test, titan_op_kind kind) {
  titan_op_call call = {.kind = kind, .input_count = kind == TITAN_OP_attention ? 3 : 6};
  for (int i = 0; i < call.input_count; i++)
    call.inputs[i] = test->types[Q + i];
  if (titan_op_infer(&call) != TITAN_OK)
    abort();
  return call;
}

titan_status case_run(cuda_case *test, titan_device *device, titan_op_kind kind) {
  const titan_op_call call = case_call(test, kind);
  const titan_kernel *kernel = device->kernel(device, kind);
  const int first = kind == TITAN_OP_attention ? O : DQ;
  const void *inputs[6];
  void *outputs[3], *state = NULL, *workspace = NULL;
  for (int i = 0; i < call.input_count; i++)
    inputs[i] = test->given[Q + i];
  for (int i = 0; i < call.output_count; i++) {
    outputs[i] = test->got[first + i];
    memset(outputs[i], 0xff, titan_tensor_bytes(&call.outputs[i]));
  }
  const size_t bytes = kernel->workspace(device, &call);
  TITAN_TRY(device->allocate(device, TITAN_SPACE_DEVICE, TITAN_MEMORY_SCRATCH, bytes + 1, &workspace));
  memset(workspace, 0xff, bytes);
  titan_status status = kernel->prepare(device, &call, &state);
  if (status == TITAN_OK)
    status = kernel->run(device, &call, state, inputs, outputs, workspace);
  kernel->release(device, state);
  device->free(device, TITAN_SPACE_DEVICE, workspace);
  return status;
}

double case_distance(const cuda_case *test, titan_op_kind kind) {
  const int first = kind == TITAN_OP_attention ? O : DQ, last = kind == TITAN_OP_attention ? LSE : DV;
  double worst = 0;
  for (int tensor = first; tensor <= last; tensor++) {
    const bool narrow = test->types[tensor].dtype == TITAN_BFLOAT16;
    double greatest = 1, distance = 0;
    for (int64_t i = 0; i < count_of(test, tensor); i++) {
      const double expected = test->exact[tensor][i];
      const double off = fabs(element(test, tensor, test->got[tensor], i) - expected);
      const double beyond = off - (narrow ? fabs(expected) * 0x1p-8 : 0);
      greatest = fmax(greatest, fabs(expected));
      if (!(beyond <= distance))
        distance = beyond;
    }
    if (!(distance / greatest <= worst))
      worst = distance / greatest;
  }
  return worst;
}
