// SPDX-License-Identifier: Apache-2.0
// Property: a step that runs again finds the first value that is not finite, or that all are finite; it changes no
// weight and no number of the step, and leaves no memory taken. Oracles: the values that are planted here; bits and
// allocations before and after. Sums of gradients: powers of two scale them exactly, so that a scale is known at which
// each term is finite and the sum is not.
#include "device_test.h"
#include "small_model.h"

#include "device/nonfinite.h"
#include "parallel/nonfinite.h"
#include "parallel/shard_view.h"

#include <float.h>
#include <math.h>
#include <string.h>

static titan_runtime *runtime_on(titan_mesh *mesh, titan_dtype dtype, titan_intra_node intra_node, int microbatches) {
  titan_runtime_options options = small_model_options(0, test_size(), dtype, intra_node);
  titan_runtime *runtime;
  options.shape.batch /= microbatches;
  options.microbatches = microbatches;
  expect_on_all(titan_runtime_plan(&options, mesh, device, &runtime) == TITAN_OK);
  expect_on_all(titan_runtime_allocate(runtime) == TITAN_OK);
  expect_on_all(titan_runtime_initialize(runtime, 42) == TITAN_OK);
  return runtime;
}

// Every rank and microbatch has the same tokens.
static double step(titan_runtime *runtime) {
  double loss = NAN;
  small_model_batch(runtime, 0, 0);
  const titan_runtime_options *options = titan_runtime_options_of(runtime);
  int64_t count = options->shape.batch * options->shape.length;
  for (int64_t i = count; i < options->microbatches * count; i++) {
    titan_runtime_tokens(runtime)[i] = titan_runtime_tokens(runtime)[i - count];
    titan_runtime_labels(runtime)[i] = titan_runtime_labels(runtime)[i - count];
  }
  expect_on_all(titan_runtime_step(runtime, &loss) == TITAN_OK && titan_runtime_publish(runtime) == TITAN_OK);
  return loss;
}

static int parameter_of(const titan_unit *unit, const char *name) {
  int p = 0;
  while (strcmp(unit->plan->parameters[p].name, name) != 0)
    p++;
  return p;
}

// Multiplies a parameter of a unit.
static void scale(titan_runtime *runtime, int index, const char *name, float factor) {
  const titan_unit *unit = titan_runtime_unit(runtime, index);
  titan_unit_slice slice;
  titan_shard_view view;
  bool good = true;
  if (titan_unit_slice_of(unit, parameter_of(unit, name), &slice)) {
    good = titan_shard_view_open(device, unit->master + slice.first_in_shard, slice.count, TITAN_ACCESS_UPDATE,
                                 TITAN_MEMORY_GENERAL, &view) == TITAN_OK;
    for (int64_t i = 0; good && i < slice.count; i++)
      view.values[i] *= factor;
    good = good && titan_shard_view_close(&view) == TITAN_OK;
  }
  expect_on_all(good && titan_runtime_publish_masters(runtime) == TITAN_OK);
}

// Sets one element, counted over the whole parameter.
static void plant(titan_runtime *runtime, int index, const char *name, int64_t element, float value) {
  const titan_unit *unit = titan_runtime_unit(runtime, index);
  titan_unit_slice slice;
  titan_shard_view view;
  bool good = true;
  if (titan_unit_slice_of(unit, parameter_of(unit, name), &slice) && element >= slice.first_in_parameter &&
      element < slice.first_in_parameter + slice.count) {
    float *at = unit->master + slice.first_in_shard + element - slice.first_in_parameter;
    good = titan_shard_view_open(device, at, 1, TITAN_ACCESS_WRITE, TITAN_MEMORY_GENERAL, &view) == TITAN_OK;
    if (good)
      *view.values = value;
    good = good && titan_shard_view_close(&view) == TITAN_OK;
  }
  expect_on_all(good && titan_runtime_publish_masters(runtime) == TITAN_OK);
}

static bool finds(titan_runtime *runtime, const char *text) {
  char found[TITAN_FOUND_BYTES];
  bool good = titan_runtime_find_nonfinite(runtime, 0, found) == TITAN_OK && strcmp(found, text) == 0;
  if (!good)
    fprintf(stderr, "rank %d: found \"%s\", expected \"%s\"\n", test_rank(), found, text);
  return good;
}

static size_t live_bytes(void) {
  size_t bytes = 0;
  for (int tag = 0; tag < TITAN_MEMORY_TAG_COUNT; tag++)
    bytes += titan_memory_usage_of((titan_memory_tag)tag).live_bytes +
             titan_memory_usage_of_device((titan_memory_tag)tag).live_bytes;
  return bytes;
}

// Bits of the gradients and masters of this rank's shards.
static uint64_t bits_of(titan_runtime *runtime) {
  uint64_t sum = 1;
  for (int u = 0; u < titan_runtime_unit_count(runtime); u++) {
    const titan_unit *unit = titan_runtime_unit(runtime, u);
    for (int part = 0; part < 2; part++) {
      const float *values = host_floats(device, part ? unit->master : unit->gradient, unit->shard_elements);
      for (int64_t i = 0; i < unit->shard_elements; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        sum = (sum ^ bits) * 0x9e3779b97f4a7c15u;
      }
    }
  }
  return sum;
}

static void a_finite_step_runs_again_bitwise_and_takes_no_memory(void **state) {
  (void)state;
  for (int way = 0; way < 4; way++) {
    titan_mesh *mesh = small_mesh(way % 2 ? test_size() : 1);
    titan_runtime *runtime = runtime_on(mesh, way % 2 ? TITAN_BFLOAT16 : TITAN_FLOAT32,
                                        way < 2 ? TITAN_INTRA_NODE_SHARED : TITAN_INTRA_NODE_MPI, 1 + way % 2);
    double loss = step(runtime);
    uint64_t bits = bits_of(runtime);
    size_t bytes = live_bytes();
    expect_on_all(finds(runtime, ""));
    expect_on_all(bits_of(runtime) == bits && live_bytes() == bytes);
    expect_on_all(step(runtime) == loss);
    titan_runtime_destroy(&runtime);
    titan_mesh_destroy(&mesh);
  }
}

static void the_first_parameter_that_is_not_finite_is_named(void **state) {
  (void)state;
  for (int replicate = 1; replicate <= test_size(); replicate += test_size() > 1 ? test_size() - 1 : 1) {
    titan_mesh *mesh = small_mesh(replicate);
    titan_runtime *runtime = runtime_on(mesh, TITAN_FLOAT32, TITAN_INTRA_NODE_AUTO, 1);
    step(runtime);
    plant(runtime, 2, "output.weight", 96 * 64 + 63, INFINITY);
    expect_on_all(finds(runtime, "of the parameter output.weight float32[97,64], 1 of 6208 values is not finite, inf "
                                 "at [96,63]"));
    plant(runtime, 1, "feed_forward.w2.weight", 5, -INFINITY);
    plant(runtime, 1, "feed_forward.w2.weight", 64 * 176 - 1, NAN);
    expect_on_all(finds(runtime, "of the parameter layers.0.feed_forward.w2.weight float32[64,176], 2 of 11264 values "
                                 "are not finite, the first is -inf at [0,5]"));
    titan_runtime_destroy(&runtime);
    titan_mesh_destroy(&mesh);
  }
}

// The greatest gradient of wv over all ranks.
static float greatest_gradient(titan_runtime *runtime) {
  const titan_unit *unit = titan_runtime_unit(runtime, 1);
  const float *gradient = host_floats(device, unit->gradient, unit->shard_elements);
  titan_unit_slice slice;
  float greatest = 0;
  if (titan_unit_slice_of(unit, parameter_of(unit, "attention.wv.weight"), &slice))
    for (int64_t i = 0; i < slice.count; i++)
      greatest = fmaxf(greatest, fabsf(gradient[slice.first_in_shard + i]));
  MPI_Allreduce(MPI_IN_PLACE, &greatest, 1, MPI_FLOAT, MPI_MAX, MPI_COMM_WORLD);
  return greatest;
}

// With wq, wk and wv 0, attention gives 0 whatever the norm's weight and wo are, which scale the gradient of wv alone.
static void check_sum(int replicate, titan_intra_node intra_node, int microbatches, titan_reduce_when reduce) {
  titan_mesh *mesh = small_mesh(replicate);
  titan_runtime_options options = small_model_options(0, test_size(), TITAN_FLOAT32, intra_node);
  titan_runtime *runtime;
  options.shape.batch /= microbatches;
  options.microbatches = microbatches;
  options.reduce = reduce;
  expect_on_all(titan_runtime_plan(&options, mesh, device, &runtime) == TITAN_OK);
  expect_on_all(titan_runtime_allocate(runtime) == TITAN_OK && titan_runtime_initialize(runtime, 42) == TITAN_OK);
  const char *zeros[] = {"attention.wq.weight", "attention.wk.weight", "attention.wv.weight"};
  for (int i = 0; i < 3; i++)
    scale(runtime, 1, zeros[i], 0);
  double loss = step(runtime);
  int exponent;
  (void)frexpf(greatest_gradient(runtime), &exponent); // below 2^exponent; wanted: the sum from 2^128 on, below 2^129
  scale(runtime, 1, "attention_norm.weight", ldexpf(1, (129 - exponent) / 2));
  scale(runtime, 1, "attention.wo.weight", ldexpf(1, 129 - exponent - (129 - exponent) / 2));
  expect_on_all(step(runtime) == loss && !isfinite(greatest_gradient(runtime)));
  char found[TITAN_FOUND_BYTES], text[256];
  snprintf(text, sizeof text,
           "run again, every operation gives finite values, and the sum over %d rank%s and %d microbatch%s is not: "
           "of the gradient of layers.0.attention.wv.weight float32[32,64], ",
           test_size(), test_size() == 1 ? "" : "s", microbatches, microbatches == 1 ? "" : "es");
  expect_on_all(titan_runtime_find_nonfinite(runtime, 0, found) == TITAN_OK);
  if (strncmp(found, text, strlen(text)) != 0)
    fprintf(stderr, "rank %d: found \"%s\", expected \"%s\"\n", test_rank(), found, text);
  expect_on_all(strncmp(found, text, strlen(text)) == 0);
  // Twice as much, and the product itself overflows.
  scale(runtime, 1, "attention.wo.weight", (float)(test_size() * microbatches));
  expect_on_all(titan_runtime_find_nonfinite(runtime, 0, found) == TITAN_OK);
  expect_on_all(strstr(found, "the first operation with a result that is not finite is matmul(") != NULL &&
                strstr(found, "in backward of layers.0, microbatch 0, on rank 0: of d(attention.wv.weight) ") != NULL);
  titan_runtime_destroy(&runtime);
  titan_mesh_destroy(&mesh);
}

static void a_sum_of_gradients_that_overflows_is_told_from_its_terms(void **state) {
  (void)state;
  if (test_size() > 1) {
    check_sum(1, TITAN_INTRA_NODE_SHARED, 1, TITAN_REDUCE_EACH);
    check_sum(1, TITAN_INTRA_NODE_MPI, 1, TITAN_REDUCE_EACH);
    check_sum(test_size(), TITAN_INTRA_NODE_AUTO, 1, TITAN_REDUCE_EACH);
  }
  check_sum(1, TITAN_INTRA_NODE_AUTO, 2, TITAN_REDUCE_EACH);
  check_sum(1, TITAN_INTRA_NODE_AUTO, 2, TITAN_REDUCE_LAST);
}

static void every_kind_of_value_that_is_not_finite_is_counted(void **state) {
  (void)state;
  enum { COUNT = 1000 };
  float floats[COUNT] = {0};
  titan_bf16 halves[COUNT] = {0};
  double doubles[COUNT] = {0};
  int32_t whole[COUNT];
  memset(whole, 0xff, sizeof whole);
  floats[1] = FLT_MAX;
  floats[2] = -FLT_TRUE_MIN;
  halves[1] = 0x7f7f; // the greatest
  expect_on_all(titan_nonfinite_count(TITAN_FLOAT32, COUNT, floats).count == 0);
  expect_on_all(titan_nonfinite_count(TITAN_BFLOAT16, COUNT, halves).count == 0);
  expect_on_all(titan_nonfinite_count(TITAN_FLOAT64, COUNT, doubles).count == 0);
  expect_on_all(titan_nonfinite_count(TITAN_INT32, COUNT, whole).count == 0);
  floats[7] = -INFINITY;
  floats[COUNT - 1] = NAN;
  halves[9] = titan_bf16_from_float(NAN);
  doubles[11] = (double)INFINITY;
  titan_nonfinite f = titan_nonfinite_count(TITAN_FLOAT32, COUNT, floats),
                  h = titan_nonfinite_count(TITAN_BFLOAT16, COUNT, halves),
                  d = titan_nonfinite_count(TITAN_FLOAT64, COUNT, doubles);
  expect_on_all(f.count == 2 && f.first == 7 && f.value == -(double)INFINITY);
  expect_on_all(h.count == 1 && h.first == 9 && isnan(h.value));
  expect_on_all(d.count == 1 && d.first == 11 && d.value == (double)INFINITY);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_kind_of_value_that_is_not_finite_is_counted),
      cmocka_unit_test(a_finite_step_runs_again_bitwise_and_takes_no_memory),
      cmocka_unit_test(the_first_parameter_that_is_not_finite_is_named),
      cmocka_unit_test(a_sum_of_gradients_that_overflows_is_told_from_its_terms),
  };
  begin_mpi_tests(&argc, &argv);
  return end_mpi_tests(cmocka_run_group_tests(tests, begin_device, end_device));
}
