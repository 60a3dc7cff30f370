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

static int check_attention(titan_device *device, const attention_case *c) {
  static float q[LENGTH * HEADS * HEAD], k[LENGTH * HEAD], v[LENGTH * HEAD], o[LENGTH * HEADS * HEAD],
      lse[HEADS * LENGTH];
  titan_op_call call = {.kind = TITAN_OP_attention, .input_count = 3};
  call.inputs[0] = (titan_tensor_type){TITAN_FLOAT32, 4, {1, LENGTH, HEADS, HEAD}};
  call.inputs[1] = call.inputs[2] = (titan_tensor_type){TITAN_FLOAT32, 4, {1, LENGTH, 1, HEAD}};
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
  const titan_kernel *kernel = device->kernel(device, call.kind);
  void *workspace = NULL, *prepared = NULL;
  int failures =
      titan_op_infer(&call) != TITAN_OK || posix_memalign(&workspace, 64, kernel->workspace(device, &call) + 64) != 0 ||
      (kernel->prepare != NULL && kernel->prepare(device, &call, &prepared) != TITAN_OK) ||
      kernel->run(device, &call, prepared, (const void *[]){q, k, v}, (void *[]){o, lse}, workspace) != TITAN_OK;
  if (kernel->release != NULL)
    kernel->release(device, prepared);
  for (int head = 0; head < HEADS && failures == 0; head++)
    for (int64_t row = 0; row < LENGTH; row++) {
      bool expected = (head == 1 || c->both_heads) && row >= c->first && row <= c->last;
      int nans = isnan(lse[head * LENGTH + row]) != 0;
      for (int i = 0; i < HEAD; i++)
        nans += isnan(o[(row * HEADS + head) * HEAD + i]) != 0;
      if (nans == (expected ? HEAD + 1 : 0))
        continue;
      fprintf(stderr, "FAILED attention, %s: %d of %d outputs of query %lld of head %d are NaN\n", c->name, nans,
              HEAD + 1, (long long)row, head);
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
    failures += check_attention(device, &cases[i]);
  return failures;
}
