// SPDX-License-Identifier: Apache-2.0
// Property: the collective kernels do what graph/op.h states over the group of their dimension. Oracle: small whole
// numbers, whose sums are exact in every type, by rank and index. Tolerance: none. Outputs are poisoned before a run.
#include "mpi_test.h"

#include "comm/comm.h"
#include "device/device.h"

#include <string.h>

enum { ROWS = 3, COLUMNS = 5, MOST = 4 * 4 * ROWS * COLUMNS, DIMENSION = 1 };

static titan_device *device;
static titan_comm *group;

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

// Runs the operation on in[rows, COLUMNS] of this rank's numbers; the output is for the caller to look at.
static void run(titan_op_kind kind, bool maximum, titan_dtype dtype, int64_t rows, float *out, int64_t *count) {
  static _Alignas(64) unsigned char in[MOST * 4], raw[MOST * 4], workspace[MOST * 4];
  titan_op_call call = {.kind = kind, .input_count = 1, .inputs = {{dtype, 2, {rows, COLUMNS}}}};
  call.attributes.collective.dimension = DIMENSION;
  call.attributes.collective.ranks = test_size();
  call.attributes.collective.rank = test_rank();
  call.attributes.collective.maximum = maximum;
  expect_on_all(titan_op_infer(&call) == TITAN_OK);
  for (int64_t i = 0; i < rows * COLUMNS; i++)
    put(dtype, in, i, value_of(test_rank(), i));
  memset(raw, 0xff, sizeof raw);
  memset(workspace, 0xff, sizeof workspace);
  const titan_kernel *kernel = device->kernel(device, kind);
  size_t bytes = kernel->workspace != NULL ? kernel->workspace(device, &call) : 0;
  expect_on_all(bytes <= sizeof workspace);
  expect_on_all(kernel->run_in_group(device, &call, NULL, group, (const void *[]){in}, (void *[]){raw}, workspace) ==
                TITAN_OK);
  *count = titan_tensor_elements(&call.outputs[0]);
  for (int64_t i = 0; i < *count; i++)
    out[i] = get(dtype, raw, i);
  bool untouched = true;
  for (size_t i = titan_tensor_bytes(&call.outputs[0]); i < sizeof raw; i++)
    untouched &= raw[i] == 0xff;
  expect_on_all(untouched);
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

static int begin(void **state) {
  (void)state;
  if (titan_device_create_cpu(2, &device) != TITAN_OK ||
      titan_comm_create_mpi(MPI_COMM_WORLD, "tp", &group) != TITAN_OK)
    return 1;
  return 0;
}

static int end(void **state) {
  (void)state;
  titan_comm_destroy(&group);
  titan_device_destroy(&device);
  return 0;
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(all_gather_stacks_the_ranks_rows),
      cmocka_unit_test(reduce_scatter_sums_this_ranks_rows),
      cmocka_unit_test(all_reduce_sums_or_takes_the_largest),
      cmocka_unit_test(gather_columns_puts_the_ranks_side_by_side),
  };
  begin_mpi_tests(&argc, &argv);
  return end_mpi_tests(cmocka_run_group_tests(tests, begin, end));
}
