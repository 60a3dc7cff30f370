// SPDX-License-Identifier: Apache-2.0
// Property: the collective kernels do what graph/op.h states over the group of their dimension. Oracle: small whole
// numbers, whose sums are exact in every type, by rank and index. Tolerance: none. Outputs are poisoned before a run.
#include "device_test.h"

#include "comm/comm.h"
#include "device/queue.h"

#include <string.h>

enum { ROWS = 3, COLUMNS = 5, MOST = 4 * 4 * ROWS * COLUMNS, DIMENSION = 1 };

static titan_comm *world, *group;

// A number of rank and element that bfloat16 holds, and so do sums over four ranks.
static float value_of(int rank, int64_t i) {
  return (float)((rank * 7 + i * 3) % 17 - 8);
}

static void put(titan_dtype dtype, void *to, int64_t i, float value) {
  if (dtype == TITAN_BFLOAT16)
    ((titan_bf16 *)to)[i] = titan_bf16_from_float(value);
  else
    ((float *)to)[i] = value;
}

static float get(titan_dtype dtype, const void *from, int64_t i) {
  return dtype == TITAN_BFLOAT16 ? titan_bf16_to_float(((const titan_bf16 *)from)[i]) : ((const float *)from)[i];
}

// Runs the call. inputs, outputs: on the host; what lies in the outputs before, and behind them, is poison.
static void run_call(titan_op_call *call, const void *const *inputs, void *const *outputs) {
  void *in[TITAN_MAX_INPUTS] = {NULL}, *out[TITAN_MAX_OUTPUTS] = {NULL}, *workspace = NULL, *state = NULL;
  static unsigned char poison[64];
  memset(poison, 0xff, sizeof poison);
  const titan_kernel *kernel = device->kernel(device, call->kind);
  size_t scratch = kernel->workspace != NULL ? kernel->workspace(device, call) : 0;
  titan_status status = device->allocate(device, TITAN_SPACE_DEVICE, TITAN_MEMORY_GENERAL, scratch + 1, &workspace);
  for (int i = 0; i < call->input_count && status == TITAN_OK; i++) {
    size_t bytes = titan_tensor_bytes(&call->inputs[i]);
    status = device->allocate(device, TITAN_SPACE_DEVICE, TITAN_MEMORY_GENERAL, bytes, &in[i]);
    if (status == TITAN_OK)
      status = titan_queue_copy(device, TITAN_QUEUE_COMPUTE, in[i], inputs[i], bytes);
  }
  for (int i = 0; i < call->output_count && status == TITAN_OK; i++) {
    size_t bytes = titan_tensor_bytes(&call->outputs[i]);
    memset(outputs[i], 0xff, bytes);
    status = device->allocate(device, TITAN_SPACE_DEVICE, TITAN_MEMORY_GENERAL, bytes + sizeof poison, &out[i]);
    if (status == TITAN_OK)
      status = titan_queue_copy(device, TITAN_QUEUE_COMPUTE, out[i], outputs[i], bytes);
    if (status == TITAN_OK)
      status = titan_queue_copy(device, TITAN_QUEUE_COMPUTE, (char *)out[i] + bytes, poison, sizeof poison);
  }
  if (status == TITAN_OK && kernel->prepare != NULL)
    status = kernel->prepare(device, call, &state);
  expect_on_all(status == TITAN_OK);
  for (int turn = 0; turn < 2 && status == TITAN_OK; turn++)
    status = kernel->run_in_group(device, call, state, group, (const void *const *)in, out, workspace);
  for (int i = 0; i < call->output_count && status == TITAN_OK; i++) {
    size_t bytes = titan_tensor_bytes(&call->outputs[i]);
    const unsigned char *got = host_copy(device, out[i], bytes + sizeof poison);
    expect_on_all(got != NULL && memcmp(got + bytes, poison, sizeof poison) == 0);
    memcpy(outputs[i], got, bytes);
  }
  expect_on_all(status == TITAN_OK && titan_device_drain(device) == TITAN_OK);
  if (kernel->release != NULL)
    kernel->release(device, state);
  for (int i = 0; i < TITAN_MAX_INPUTS; i++)
    device->free(device, TITAN_SPACE_DEVICE, in[i]);
  for (int i = 0; i < TITAN_MAX_OUTPUTS; i++)
    device->free(device, TITAN_SPACE_DEVICE, out[i]);
  device->free(device, TITAN_SPACE_DEVICE, workspace);
}

static void set_group(titan_op_call *call) {
  call->attributes.collective.dimension = DIMENSION;
  call->attributes.collective.ranks = test_size();
  call->attributes.collective.rank = test_rank();
}

// Runs the operation on in[rows, COLUMNS] of this rank's numbers; the output is for the caller to look at.
static void run(titan_op_kind kind, bool maximum, titan_dtype dtype, int64_t rows, float *out, int64_t *count) {
  static unsigned char in[MOST * 4], raw[MOST * 4];
  titan_op_call call = {.kind = kind, .input_count = 1, .inputs = {{dtype, 2, {rows, COLUMNS}}}};
  set_group(&call);
  call.attributes.collective.maximum = maximum;
  expect_on_all(titan_op_infer(&call) == TITAN_OK);
  for (int64_t i = 0; i < rows * COLUMNS; i++)
    put(dtype, in, i, value_of(test_rank(), i));
  run_call(&call, (const void *[]){in}, (void *[]){raw});
  *count = titan_tensor_elements(&call.outputs[0]);
  for (int64_t i = 0; i < *count; i++)
    out[i] = get(dtype, raw, i);
}

static float reduced(int64_t i, bool maximum) {
  float result = value_of(0, i);
  for (int rank = 1; rank < test_size(); rank++) {
    float value = value_of(rank, i);
    result = !maximum ? result + value : value > result ? value : result;
  }
  return result;
}

static const titan_dtype dtypes[] = {TITAN_FLOAT32, TITAN_BFLOAT16};

static void all_gather_stacks_the_ranks_rows(void **state) {
  (void)state;
  float out[MOST];
  for (int d = 0; d < 2; d++) {
    int64_t count = 0;
    bool good = true;
    run(TITAN_OP_all_gather, false, dtypes[d], ROWS, out, &count);
    for (int64_t i = 0; i < count; i++)
      good &= out[i] == value_of((int)(i / (ROWS * COLUMNS)), i % (ROWS * COLUMNS));
    expect_on_all(good && count == (int64_t)test_size() * ROWS * COLUMNS);
  }
}

static void reduce_scatter_sums_this_ranks_rows(void **state) {
  (void)state;
  float out[MOST];
  for (int d = 0; d < 2; d++) {
    int64_t count = 0;
    bool good = true;
    run(TITAN_OP_reduce_scatter, false, dtypes[d], (int64_t)ROWS * test_size(), out, &count);
    for (int64_t i = 0; i < count; i++)
      good &= out[i] == reduced(test_rank() * ROWS * COLUMNS + i, false);
    expect_on_all(good && count == ROWS * COLUMNS);
  }
}

static void all_reduce_sums_or_takes_the_largest(void **state) {
  (void)state;
  float out[MOST];
  for (int d = 0; d < 2; d++)
    for (int maximum = 0; maximum < 2; maximum++) {
      int64_t count = 0;
      bool good = true;
      run(TITAN_OP_all_reduce, maximum, dtypes[d], ROWS, out, &count);
      for (int64_t i = 0; i < count; i++)
        good &= out[i] == reduced(i, maximum);
      expect_on_all(good && count == ROWS * COLUMNS);
    }
}

static void gather_columns_puts_the_ranks_side_by_side(void **state) {
  (void)state;
  float out[MOST];
  for (int d = 0; d < 2; d++) {
    int64_t count = 0, width = (int64_t)test_size() * COLUMNS;
    bool good = true;
    run(TITAN_OP_gather_columns, false, dtypes[d], ROWS, out, &count);
    for (int64_t i = 0; i < count; i++)
      good &= out[i] == value_of((int)(i % width / COLUMNS), i / width * COLUMNS + i % COLUMNS);
    expect_on_all(good && count == ROWS * width);
  }
}

// --- products beside transfers ---

enum { INNER = 3, WIDE = 7 };

// Small numbers: products of few are whole numbers that bfloat16 holds.
static float factor_of(int rank, int64_t i) {
  return (float)((rank * 5 + i * 3) % 5 - 2);
}

static void *numbers_of(titan_dtype dtype, int rank, int64_t count) {
  void *memory = malloc((size_t)count * sizeof(float) + 1);
  for (int64_t i = 0; memory != NULL && i < count; i++)
    put(dtype, memory, i, factor_of(rank, i));
  return memory;
}

// y = all ranks' x [rows, INNER]; by product: y w, with w as it is and transposed; sums over the rows, y' z and z' y.
static void gather_matmul_multiplies_all_ranks_rows_at(int64_t rows, titan_dtype dtype) {
  int64_t all = rows * test_size();
  titan_op_call call = {.kind = TITAN_OP_gather_matmul, .input_count = 4};
  call.inputs[0] = (titan_tensor_type){dtype, 2, {rows, INNER}};
  call.inputs[1] = (titan_tensor_type){dtype, 2, {WIDE, INNER}};
  call.inputs[2] = call.inputs[3] = (titan_tensor_type){dtype, 2, {all, WIDE}};
  call.attributes.products[0] = (titan_gather_product){.transpose_b = true, .output = dtype};
  call.attributes.products[1] = (titan_gather_product){.transpose_a = true, .output = TITAN_FLOAT32};
  call.attributes.products[2] =
      (titan_gather_product){.gathered_is_b = true, .transpose_a = true, .output = TITAN_FLOAT32};
  set_group(&call);
  expect_on_all(titan_op_infer(&call) == TITAN_OK);
  void *x = numbers_of(dtype, test_rank(), rows * INNER), *w = numbers_of(dtype, 3, WIDE * INNER),
       *z = numbers_of(dtype, 1 + test_rank(), all * WIDE);
  void *kept = malloc((size_t)(all * WIDE) * sizeof(float));
  float sums[2][WIDE * INNER];
  run_call(&call, (const void *[]){x, w, z, z}, (void *[]){kept, sums[0], sums[1]});
  bool good = true;
  for (int64_t r = 0; r < all; r++)
    for (int64_t c = 0; c < WIDE; c++) {
      float wanted = 0;
      for (int64_t k = 0; k < INNER; k++)
        wanted += factor_of((int)(r / rows), r % rows * INNER + k) * factor_of(3, c * INNER + k);
      good &= get(dtype, kept, r * WIDE + c) == wanted;
    }
  for (int64_t k = 0; k < INNER; k++)
    for (int64_t c = 0; c < WIDE; c++) {
      float wanted = 0;
      for (int64_t r = 0; r < all; r++)
        wanted += factor_of((int)(r / rows), r % rows * INNER + k) * factor_of(1 + test_rank(), r * WIDE + c);
      good &= sums[0][k * WIDE + c] == wanted && sums[1][c * INNER + k] == wanted;
    }
  expect_on_all(good);
  free(x), free(w), free(z), free(kept);
}

// This rank's rows of the sum over ranks of a b (+ c).
static void matmul_scatter_sums_the_ranks_products_at(int64_t rows, titan_dtype dtype, titan_dtype output, bool adds,
                                                      bool transpose) {
  int64_t all = rows * test_size();
  titan_op_call call = {.kind = TITAN_OP_matmul_scatter, .input_count = adds ? 3 : 2};
  call.inputs[0] = (titan_tensor_type){dtype, 2, {all, INNER}};
  call.inputs[1] = (titan_tensor_type){dtype, 2, {transpose ? WIDE : INNER, transpose ? INNER : WIDE}};
  call.inputs[2] = (titan_tensor_type){output, 2, {all, WIDE}};
  call.attributes.matmul.transpose_b = transpose;
  call.attributes.matmul.output = output;
  set_group(&call);
  expect_on_all(titan_op_infer(&call) == TITAN_OK);
  void *a = numbers_of(dtype, test_rank(), all * INNER), *b = numbers_of(dtype, 3, INNER * WIDE),
       *c = numbers_of(output, 2 * test_rank(), all * WIDE), *out = malloc((size_t)(rows * WIDE) * sizeof(float));
  run_call(&call, (const void *[]){a, b, c}, (void *[]){out});
  bool good = true;
  for (int64_t r = 0; r < rows; r++)
    for (int64_t w = 0; w < WIDE; w++) {
      float wanted = 0;
      int64_t row = test_rank() * rows + r;
      for (int rank = 0; rank < test_size(); rank++) {
        for (int64_t k = 0; k < INNER; k++)
          wanted += factor_of(rank, row * INNER + k) * factor_of(3, transpose ? w * INNER + k : k * WIDE + w);
        wanted += adds ? factor_of(2 * rank, row * WIDE + w) : 0;
      }
      good &= get(output, out, r * WIDE + w) == wanted;
    }
  expect_on_all(good);
  free(a), free(b), free(c), free(out);
}

// A few rows, and so many that they are multiplied in parts.
static const int64_t chunk_rows[] = {1, 5, 1024};

static void gather_matmul_multiplies_all_ranks_rows(void **state) {
  (void)state;
  for (int d = 0; d < 2; d++)
    for (int s = 0; s < 3; s++)
      gather_matmul_multiplies_all_ranks_rows_at(chunk_rows[s], dtypes[d]);
}

static void matmul_scatter_sums_the_ranks_products(void **state) {
  (void)state;
  for (int d = 0; d < 2; d++)
    for (int s = 0; s < 3; s++)
      for (int form = 0; form < 4; form++)
        matmul_scatter_sums_the_ranks_products_at(chunk_rows[s], dtypes[d], form % 2 ? TITAN_FLOAT32 : dtypes[d],
                                                  form / 2, form % 2);
}

static int begin(void **state) {
  if (begin_device(state) != 0 || titan_comm_create_mpi(MPI_COMM_WORLD, "tp", &world) != TITAN_OK ||
      titan_device_group_create(device, world, TITAN_QUEUE_TENSOR, 1, &group) != TITAN_OK)
    return 1;
  return 0;
}

static int end(void **state) {
  titan_device_group_destroy(world, &group);
  titan_comm_destroy(&world);
  return end_device(state);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(all_gather_stacks_the_ranks_rows),
      cmocka_unit_test(reduce_scatter_sums_this_ranks_rows),
      cmocka_unit_test(all_reduce_sums_or_takes_the_largest),
      cmocka_unit_test(gather_columns_puts_the_ranks_side_by_side),
      cmocka_unit_test(gather_matmul_multiplies_all_ranks_rows),
      cmocka_unit_test(matmul_scatter_sums_the_ranks_products),
  };
  begin_mpi_tests(&argc, &argv);
  return end_mpi_tests(cmocka_run_group_tests(tests, begin, end));
}
