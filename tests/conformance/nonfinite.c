// SPDX-License-Identifier: Apache-2.0
// A NaN, or a score that overflows, reaches what the queries that see it give, and nothing else, at every level: a
// maximum or an exponential that drops it would hide where a run went wrong. Oracle: the causal mask.
#include "conformance.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { LENGTH = 150, HEADS = 2, HEAD = 20, QUERY = 70, KEY = 33 };

typedef struct attention_case {
  const char *name;
  float query, key;    // all elements of query QUERY of head 1, and of key KEY; 0: as they are
  int64_t first, last; // queries of head 1 that are not finite; head 0 has none unless both_heads
  bool both_heads;
} attention_case;

// The operand as it is, or its values in bfloat16, in `room`.
static const void *given(titan_dtype dtype, const float *values, int count, titan_bf16 *room) {
  for (int i = 0; i < count; i++)
    room[i] = titan_bf16_from_float(values[i]);
  return dtype == TITAN_BFLOAT16 ? (const void *)room : values;
}

static bool is_nan(titan_dtype dtype, const void *values, int64_t i) {
  return dtype == TITAN_BFLOAT16 ? isnan(titan_bf16_to_float(((const titan_bf16 *)values)[i])) != 0
                                 : isnan(((const float *)values)[i]) != 0;
}

static int check_attention(titan_device *device, titan_dtype dtype, const attention_case *c) {
  static titan_bf16 rooms[3][LENGTH * HEADS * HEAD];
  static float q[LENGTH * HEADS * HEAD], k[LENGTH * HEAD], v[LENGTH * HEAD], o[LENGTH * HEADS * HEAD],
      lse[HEADS * LENGTH];
  titan_op_call call = {.kind = TITAN_OP_attention, .input_count = 3};
  call.inputs[0] = (titan_tensor_type){dtype, 4, {1, LENGTH, HEADS, HEAD}};
  call.inputs[1] = call.inputs[2] = (titan_tensor_type){dtype, 4, {1, LENGTH, 1, HEAD}};
  for (int i = 0; i < LENGTH * HEADS * HEAD; i++)
    q[i] = sinf((float)i);
  for (int i = 0; i < LENGTH * HEAD; i++) {
    k[i] = cosf((float)i);
    v[i] = sinf((float)i / 3);
  }
  for (int i = 0; i < HEAD; i++) {
    if (c->query != 0)
      q[(QUERY * HEADS + 1) * HEAD + i] = c->query;
    if (c->key != 0)
      k[KEY * HEAD + i] = c->key;
  }
  const void *const inputs[] = {given(dtype, q, LENGTH * HEADS * HEAD, rooms[0]),
                                given(dtype, k, LENGTH * HEAD, rooms[1]), given(dtype, v, LENGTH * HEAD, rooms[2])};
  const titan_kernel *kernel = device->kernel(device, call.kind);
  void *workspace = NULL, *prepared = NULL;
  int failures = titan_op_infer(&call) != TITAN_OK ||
                 posix_memalign(&workspace, 64, kernel->workspace(device, &call) + 64) != 0 ||
                 (kernel->prepare != NULL && kernel->prepare(device, &call, &prepared) != TITAN_OK) ||
                 kernel->run(device, &call, prepared, inputs, (void *[]){o, lse}, workspace) != TITAN_OK;
  if (kernel->release != NULL)
    kernel->release(device, prepared);
  for (int head = 0; head < HEADS && failures == 0; head++)
    for (int64_t row = 0; row < LENGTH; row++) {
      bool expected = (head == 1 || c->both_heads) && row >= c->first && row <= c->last;
      int nans = isnan(lse[head * LENGTH + row]) != 0;
      for (int i = 0; i < HEAD; i++)
        nans += is_nan(dtype, o, (row * HEADS + head) * HEAD + i);
      if (nans == (expected ? HEAD + 1 : 0))
        continue;
      fprintf(stderr, "FAILED attention in %s, %s: %d of %d outputs of query %lld of head %d are NaN\n",
              titan_dtype_name(dtype), c->name, nans, HEAD + 1, (long long)row, head);
      failures++;
    }
  free(workspace);
  return failures;
}

int check_nonfinite_inputs(titan_device *device) {
  static const attention_case cases[] = {
      {.name = "finite", .first = 1, .last = 0},
      {.name = "large and finite scores", .query = 1e15f, .key = 1e15f, .first = 1, .last = 0},
      {.name = "a score above float32", .query = 1e25f, .key = 1e25f, .first = QUERY, .last = QUERY},
      {.name = "a score below float32", .query = -1e25f, .key = 1e25f, .first = 1, .last = 0},
      {.name = "NaN in a query", .query = NAN, .first = QUERY, .last = QUERY},
      {.name = "NaN in a key", .key = NAN, .first = KEY, .last = LENGTH - 1, .both_heads = true},
  };
  int failures = 0;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    failures += check_attention(device, TITAN_FLOAT32, &cases[i]) + check_attention(device, TITAN_BFLOAT16, &cases[i]);
  return failures;
}
