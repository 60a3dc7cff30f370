// SPDX-License-Identifier: Apache-2.0
// Fused operations and the operations that they stand for give the same bits: a graph may take either.
#include "conformance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Runs a call whose kernel needs no workspace.
static void run(titan_device *device, titan_op_call *call, const void *const *inputs, void *const *outputs) {
  const titan_kernel *kernel = device->kernel(device, call->kind);
  void *state = NULL;
  titan_status status = titan_op_infer(call);
  if (status == TITAN_OK && kernel->prepare != NULL)
    status = kernel->prepare(device, call, &state);
  if (status == TITAN_OK)
    status = kernel->run(device, call, state, inputs, outputs, NULL);
  if (kernel->release != NULL && state != NULL)
    kernel->release(device, state);
  if (status != TITAN_OK) {
    fprintf(stderr, "FAILED: %s\n", titan_error_message());
    abort();
  }
}

static void fill(titan_dtype dtype, int64_t count, uint32_t random, void *to) {
  for (int64_t i = 0; i < count; i++) {
    random = random * 1664525u + 1013904223u;
    float value = ((float)(random >> 8) * 0x1p-24f - 0.5f) * 4;
    if (dtype == TITAN_FLOAT32)
      ((float *)to)[i] = value;
    else
      ((titan_bf16 *)to)[i] = titan_bf16_from_float(value);
  }
}

static int expect_equal(const char *what, titan_dtype dtype, const void *fused, const void *parts, size_t bytes) {
  if (memcmp(fused, parts, bytes) == 0)
    return 0;
  fprintf(stderr, "FAILED %s, %s: fused and its parts differ\n", what, titan_dtype_name(dtype));
  return 1;
}

static int check_add_rms_norm(titan_device *device, titan_dtype dtype, bool fused_norm, int64_t rows, int64_t width) {
  enum { MOST = 20000 };
  static float x[MOST], r[MOST], w[MOST], y[2][MOST], rstd[2][MOST], h[2][MOST];
  titan_tensor_type type = {dtype, 2, {rows, width}}, weight = {dtype, 1, {width}};
  titan_op_attributes norm = {.norm = {1e-5f, fused_norm}};
  titan_op_call add = {.kind = TITAN_OP_add, .input_count = 2, .inputs = {type, type}};
  titan_op_call parts = {.kind = TITAN_OP_rms_norm, .attributes = norm, .input_count = 2, .inputs = {type, weight}};
  titan_op_call fused = {
      .kind = TITAN_OP_add_rms_norm, .attributes = norm, .input_count = 3, .inputs = {type, type, weight}};
  fill(dtype, rows * width, 1, x);
  fill(dtype, rows * width, 2, r);
  fill(dtype, width, 3, w);
  run(device, &add, (const void *[]){x, r}, (void *[]){h[0]});
  run(device, &parts, (const void *[]){h[0], w}, (void *[]){y[0], rstd[0]});
  run(device, &fused, (const void *[]){x, r, w}, (void *[]){y[1], rstd[1], h[1]});
  return expect_equal("add_rms_norm: y", dtype, y[1], y[0], titan_tensor_bytes(&type)) +
         expect_equal("add_rms_norm: rstd", dtype, rstd[1], rstd[0], (size_t)rows * sizeof(float)) +
         expect_equal("add_rms_norm: h", dtype, h[1], h[0], titan_tensor_bytes(&type));
}

// q, k, v as separate values, rotated each by itself, and as rows of one.
static int check_split_heads(titan_device *device, titan_dtype dtype, int64_t size) {
  enum { BATCH = 2, LENGTH = 5, HEADS = 4, KV_HEADS = 2, ROWS = BATCH * LENGTH, MOST = ROWS * HEADS * 130 };
  static float table[LENGTH * 130], separate[3][MOST], rotated[2][MOST], qkv[2 * MOST], split[3][MOST], again[2 * MOST];
  static const int64_t heads[] = {HEADS, KV_HEADS, KV_HEADS};
  size_t head_bytes = (size_t)size * titan_dtype_bytes(dtype);
  titan_tensor_type angles = {TITAN_FLOAT32, 3, {LENGTH, size / 2, 2}};
  titan_tensor_type whole = {dtype, 2, {ROWS, (HEADS + 2 * KV_HEADS) * size}};
  titan_op_attributes attributes = {.heads = {BATCH, LENGTH, HEADS, KV_HEADS, size, whole}};
  titan_op_call make_table = {.kind = TITAN_OP_rope_table,
                              .attributes.rope = {.theta = 500000, .length = LENGTH, .head_size = size}};
  titan_op_call fused = {
      .kind = TITAN_OP_split_heads, .attributes = attributes, .input_count = 2, .inputs = {whole, angles}};
  int failures = 0;
  run(device, &make_table, NULL, (void *[]){table});
  char *to = (char *)qkv;
  for (int i = 0; i < 3; i++)
    fill(dtype, ROWS * heads[i] * size, (uint32_t)i, separate[i]);
  for (int64_t row = 0; row < ROWS; row++)
    for (int i = 0; i < 3; i++) {
      size_t bytes = (size_t)heads[i] * head_bytes;
      memcpy(to, (const char *)separate[i] + (size_t)row * bytes, bytes);
      to += bytes;
    }
  run(device, &fused, (const void *[]){qkv, table}, (void *[]){split[0], split[1], split[2]});
  for (int i = 0; i < 3; i++) {
    titan_tensor_type type = {dtype, 4, {BATCH, LENGTH, heads[i], size}};
    titan_op_call rope = {.kind = TITAN_OP_rope, .input_count = 2, .inputs = {type, angles}};
    if (i < 2)
      run(device, &rope, (const void *[]){separate[i], table}, (void *[]){rotated[i]});
    failures +=
        expect_equal("split_heads", dtype, split[i], i < 2 ? rotated[i] : separate[i], titan_tensor_bytes(&type));
  }
  // and back: the gradient of rope on each, row by row
  titan_op_call join = {.kind = TITAN_OP_join_heads, .attributes = attributes, .input_count = 4};
  for (int i = 0; i < 3; i++)
    join.inputs[i] = (titan_tensor_type){dtype, 4, {BATCH, LENGTH, heads[i], size}};
  join.inputs[3] = angles;
  run(device, &join, (const void *[]){separate[0], separate[1], separate[2], table}, (void *[]){again});
  for (int i = 0; i < 2; i++) {
    titan_op_call rope = {.kind = TITAN_OP_rope, .input_count = 2, .inputs = {join.inputs[i], angles}};
    rope.attributes.rope.inverse = true;
    run(device, &rope, (const void *[]){separate[i], table}, (void *[]){rotated[i]});
  }
  const char *from = (const char *)again;
  for (int64_t row = 0; row < ROWS; row++)
    for (int i = 0; i < 3; i++) {
      size_t bytes = (size_t)heads[i] * head_bytes;
      const char *part = i < 2 ? (const char *)rotated[i] : (const char *)separate[i];
      failures += expect_equal("join_heads", dtype, from, part + (size_t)row * bytes, bytes);
      from += bytes;
    }
  return failures;
}

int check_fused_operations(titan_device *device) {
  static const int64_t head_sizes[] = {2, 6, 16, 64, 130}, widths[] = {1, 17, 256, 1027, 2100};
  static const titan_dtype dtypes[] = {TITAN_FLOAT32, TITAN_BFLOAT16};
  int failures = 0;
  for (int t = 0; t < 2; t++)
    for (int i = 0; i < 5; i++) {
      failures += check_split_heads(device, dtypes[t], head_sizes[i]);
      failures += check_add_rms_norm(device, dtypes[t], false, 7, widths[i]);
      failures += check_add_rms_norm(device, dtypes[t], true, 7, widths[i]);
    }
  return failures;
}
