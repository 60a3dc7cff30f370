// SPDX-License-Identifier: Apache-2.0
// Property: the runtime takes what its plan says, to the byte, takes nothing more in a step, gives all of it back, and
// computes on every mesh what one rank computes with the whole batch. Oracles: the allocator's counts; a runtime of
// this rank alone. Tolerances: none for bytes and initial values; sums over ranks are taken in another order, so losses
// and gradients agree to 1e-5 of the largest (float32 has 6e-8, and a few thousand terms).
#include "device_test.h"
#include "small_model.h"

#include "base/random.h"
#include "parallel/runtime.h"

#include <math.h>
#include <string.h>

typedef struct usage {
  size_t bytes[TITAN_MEMORY_TAG_COUNT];
  uint64_t count[TITAN_MEMORY_TAG_COUNT];
} usage;

static usage usage_now(void) {
  usage now;
  for (int tag = 0; tag < TITAN_MEMORY_TAG_COUNT; tag++) {
    titan_memory_usage host = titan_memory_usage_of((titan_memory_tag)tag),
                       apart = titan_memory_usage_of_device((titan_memory_tag)tag);
    now.bytes[tag] = host.live_bytes + apart.live_bytes;
    now.count[tag] = host.live_count + apart.live_count;
  }
  return now;
}

// The plan's table against what has been taken since `before`, tag by tag.
static bool table_is_exact(const titan_runtime *runtime, const usage *before) {
  titan_runtime_memory memory = titan_runtime_memory_of(runtime);
  for (int tag = 0; tag < TITAN_MEMORY_TAG_COUNT; tag++)
    memory.by_tag[tag] += memory.pinned_by_tag[tag];
  usage now = usage_now();
  size_t total = 0;
  bool good = true;
  for (int tag = 0; tag < TITAN_MEMORY_TAG_COUNT; tag++) {
    if (tag < TITAN_MEMORY_PARAMETERS && tag != TITAN_MEMORY_COMMUNICATION)
      continue;
    size_t taken = now.bytes[tag] - before->bytes[tag];
    total += taken;
    if (taken != memory.by_tag[tag]) {
      fprintf(stderr, "%s: %zu bytes taken, %zu planned\n", titan_memory_tag_text((titan_memory_tag)tag), taken,
              memory.by_tag[tag]);
      good = false;
    }
  }
  return good && total == memory.total + memory.pinned;
}

static bool step(titan_runtime *runtime, int number, double *loss) {
  int dp_rank = titan_comm_rank(titan_mesh_comm(titan_runtime_mesh(runtime), TITAN_MESH_DP));
  small_model_batch(runtime, number, dp_rank);
  return titan_runtime_step(runtime, loss) == TITAN_OK && titan_runtime_publish(runtime) == TITAN_OK;
}

// As much and as many allocations are live as then, and of what a plan accounts for there was never more in between.
static bool nothing_was_taken_since(const usage *then) {
  usage now = usage_now();
  bool good = true;
  for (int tag = 0; tag < TITAN_MEMORY_TAG_COUNT; tag++)
    good &= now.bytes[tag] == then->bytes[tag] && now.count[tag] == then->count[tag] &&
            titan_memory_usage_of((titan_memory_tag)tag).peak_bytes +
                    titan_memory_usage_of_device((titan_memory_tag)tag).peak_bytes ==
                then->bytes[tag];
  return good;
}

static void check_memory(int replicate, int variant, titan_dtype dtype, titan_intra_node intra_node) {
  titan_mesh *mesh = small_mesh(replicate);
  titan_runtime_options options = small_model_options(variant, test_size(), dtype, intra_node);
  titan_runtime *runtime;
  double loss = 0;
  usage empty = usage_now();
  expect_on_all(titan_runtime_plan(&options, mesh, device, &runtime) == TITAN_OK);
  usage planned = usage_now();
  bool untouched = true;
  for (int tag = TITAN_MEMORY_PARAMETERS; tag < TITAN_MEMORY_TAG_COUNT; tag++)
    untouched &= planned.bytes[tag] == empty.bytes[tag];
  expect_on_all(untouched);
  titan_memory_reset_peaks();
  expect_on_all(titan_runtime_allocate(runtime) == TITAN_OK);
  expect_on_all(table_is_exact(runtime, &empty));
  expect_on_all(titan_runtime_initialize(runtime, 1) == TITAN_OK);
  expect_on_all(step(runtime, 0, &loss));
  expect_on_all(table_is_exact(runtime, &empty));
  usage settled = usage_now();
  titan_memory_reset_peaks();
  for (int i = 1; i <= 2; i++)
    expect_on_all(step(runtime, i, &loss));
  expect_on_all(nothing_was_taken_since(&settled));
  titan_runtime_destroy(&runtime);
  usage after = usage_now();
  bool given_back = true;
  for (int tag = 0; tag < TITAN_MEMORY_TAG_COUNT; tag++) // the groups keep what was reserved
    given_back &= tag == TITAN_MEMORY_COMMUNICATION ||
                  (after.bytes[tag] == empty.bytes[tag] && after.count[tag] == empty.count[tag]);
  expect_on_all(given_back && runtime == NULL);
  titan_mesh_destroy(&mesh);
}

// Meshes by their replicas: fsdp (1), ddp (all) and hsdp.
static void memory_is_what_the_plan_says_and_steps_take_none(void **state) {
  (void)state;
  int variant = 0;
  for (int replicate = 1; replicate <= test_size(); replicate++)
    for (int way = 0; way < 4 && test_size() % replicate == 0; way++)
      check_memory(replicate, variant++, way % 2 ? TITAN_BFLOAT16 : TITAN_FLOAT32,
                   way < 2 ? TITAN_INTRA_NODE_SHARED : TITAN_INTRA_NODE_MPI);
}

static void a_plan_that_was_not_allocated_can_be_destroyed(void **state) {
  (void)state;
  titan_mesh *mesh = small_mesh(1);
  titan_runtime_options options = small_model_options(0, test_size(), TITAN_FLOAT32, TITAN_INTRA_NODE_AUTO);
  titan_runtime *runtime;
  expect_on_all(titan_runtime_plan(&options, mesh, device, &runtime) == TITAN_OK);
  expect_on_all(titan_runtime_memory_of(runtime).total > 0);
  expect_on_all(titan_runtime_unit_count(runtime) == options.arguments.layers + 2);
  titan_runtime_destroy(&runtime);
  titan_runtime_destroy(&runtime); // NULL is fine
  titan_mesh_destroy(&mesh);
}

// --- the same numbers as one rank ---

static titan_runtime *runtime_on(titan_mesh *mesh, const titan_runtime_options *options) {
  titan_runtime *runtime;
  expect_on_all(titan_runtime_plan(options, mesh, device, &runtime) == TITAN_OK);
  expect_on_all(titan_runtime_allocate(runtime) == TITAN_OK);
  expect_on_all(titan_runtime_initialize(runtime, 42) == TITAN_OK);
  return runtime;
}

// This rank's shard of every parameter, the mesh's against the whole of one rank's; `gradients`, else master weights.
static bool shards_agree(titan_runtime *mesh, titan_runtime *alone, bool gradients) {
  for (int u = 0; u < titan_runtime_unit_count(mesh); u++) {
    const titan_unit *part = titan_runtime_unit(mesh, u), *whole = titan_runtime_unit(alone, u);
    double largest = 0, worst = 0;
    const float *expected = host_floats(device, gradients ? whole->gradient : whole->master, whole->shard_elements),
                *given = host_floats(device, gradients ? part->gradient : part->master, part->shard_elements);
    for (int64_t i = 0; i < whole->flat_elements; i++)
      largest = fmax(largest, fabsf(expected[i]));
    for (int p = 0; p < part->plan->parameter_count; p++) {
      titan_unit_slice slice;
      for (int64_t i = 0; titan_unit_slice_of(part, p, &slice) && i < slice.count; i++) {
        double error =
            fabsf(given[slice.first_in_shard + i] - expected[slice.parameter->first + slice.first_in_parameter + i]);
        worst = error > worst || isnan(error) ? error : worst;
      }
    }
    if (!(worst <= (gradients ? 1e-5 * largest : 0)))
      return false;
  }
  return true;
}

// One whose logits are more than a chunk of the head for one rank with all 288 rows, but not for two ranks (see
// model/linear_cross_entropy.c).
enum { LARGE_VOCABULARY = 40000 };
static int64_t vocabulary = SMALL_VOCABULARY;

static void check_numbers(int replicate, int variant, titan_intra_node intra_node) {
  titan_mesh *mesh = small_mesh(replicate), *self = NULL;
  expect_on_all(titan_mesh_create(MPI_COMM_SELF, (titan_mesh_degrees){1, 1, 1, 1, 1}, &self) == TITAN_OK);
  titan_runtime_options options = small_model_options(variant, test_size(), TITAN_FLOAT32, intra_node);
  titan_runtime_options alone_options = small_model_options(variant, 1, TITAN_FLOAT32, intra_node);
  options.arguments.vocabulary = alone_options.arguments.vocabulary = vocabulary;
  titan_runtime *runtime = runtime_on(mesh, &options), *alone = runtime_on(self, &alone_options);
  expect_on_all(shards_agree(runtime, alone, false));
  for (int i = 0; i < 3; i++) {
    double mine = 0, sum = 0, expected = 0;
    expect_on_all(step(runtime, i, &mine));
    expect_on_all(step(alone, i, &expected));
    titan_comm *dp = titan_mesh_comm(mesh, TITAN_MESH_DP);
    expect_on_all(titan_comm_all_reduce(dp, &mine, &sum, 1, TITAN_FLOAT64, TITAN_SUM, NULL) == TITAN_OK);
    expect_on_all(fabs(sum - expected) <= 1e-5 * expected);
    expect_on_all(shards_agree(runtime, alone, true));
  }
  titan_runtime_destroy(&runtime);
  titan_runtime_destroy(&alone);
  titan_mesh_destroy(&mesh);
  titan_mesh_destroy(&self);
}

static void every_mesh_starts_with_the_same_bits_and_has_the_gradients_of_one_rank(void **state) {
  (void)state;
  for (int replicate = 1; replicate <= test_size(); replicate++)
    if (test_size() % replicate == 0) {
      check_numbers(replicate, replicate, TITAN_INTRA_NODE_SHARED);
      check_numbers(replicate, replicate + 1, TITAN_INTRA_NODE_MPI);
    }
}

// A step of which only the tokens count whose place in the batch is `half` modulo 2 (2: all); this rank's loss, and its
// gradients into `gradients` (all units one after another).
static double step_of_half(titan_runtime *runtime, int half, float *gradients) {
  const titan_model_shape *shape = &titan_runtime_options_of(runtime)->shape;
  double loss = 0;
  small_model_batch(runtime, 3, titan_comm_rank(titan_mesh_comm(titan_runtime_mesh(runtime), TITAN_MESH_DP)));
  for (int64_t i = 0; i < shape->batch * shape->length; i++)
    if (half < 2 && i % 2 != half)
      titan_runtime_labels(runtime)[i] = TITAN_LABEL_IGNORED;
  expect_on_all(titan_runtime_check_batch(runtime) == TITAN_OK && titan_runtime_step(runtime, &loss) == TITAN_OK);
  for (int u = 0; u < titan_runtime_unit_count(runtime); u++) {
    const titan_unit *unit = titan_runtime_unit(runtime, u);
    memcpy(gradients, host_floats(device, unit->gradient, unit->shard_elements),
           (size_t)unit->shard_elements * sizeof *gradients);
    gradients += unit->shard_elements;
  }
  return loss;
}

// The loss is a sum over tokens, and so are its gradients: halves of the tokens add up to the whole.
static void tokens_that_do_not_count_add_no_loss_and_no_gradient(void **state) {
  (void)state;
  titan_mesh *mesh = small_mesh(1);
  titan_runtime_options options = small_model_options(0, test_size(), TITAN_FLOAT32, TITAN_INTRA_NODE_AUTO);
  titan_runtime *runtime = runtime_on(mesh, &options);
  int64_t elements = 0;
  for (int u = 0; u < titan_runtime_unit_count(runtime); u++)
    elements += titan_runtime_unit(runtime, u)->shard_elements;
  float *gradients[3], largest = 0, worst = 0;
  double losses[3];
  for (int half = 0; half < 3; half++) {
    expect_on_all(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, (size_t)elements, sizeof(float),
                                               &gradients[half]) == TITAN_OK);
    losses[half] = step_of_half(runtime, half, gradients[half]);
  }
  for (int64_t i = 0; i < elements; i++) {
    largest = fmaxf(largest, fabsf(gradients[2][i]));
    worst = fmaxf(worst, fabsf(gradients[0][i] + gradients[1][i] - gradients[2][i]));
  }
  expect_on_all(fabs(losses[0] + losses[1] - losses[2]) <= 1e-6 * losses[2]);
  expect_on_all(losses[0] > 0.4 * losses[2] && losses[1] > 0.4 * losses[2] && worst <= 1e-5f * largest);
  for (int half = 0; half < 3; half++)
    titan_memory_free(gradients[half]);
  titan_runtime_labels(runtime)[0] = TITAN_LABEL_IGNORED - 1;
  expect_on_all(titan_runtime_check_batch(runtime) == TITAN_ERROR_DATA);
  expect_on_all(strstr(titan_error_message(), "label -2 at row 0 of the batch, expected 0 to 96, or -1") != NULL);
  titan_runtime_destroy(&runtime);
  options.global_tokens = 0;
  expect_on_all(titan_runtime_plan(&options, mesh, device, &runtime) == TITAN_ERROR_INTERNAL && runtime == NULL);
  titan_mesh_destroy(&mesh);
}

static void a_head_in_several_chunks_has_the_gradients_of_one_chunk(void **state) {
  (void)state;
  vocabulary = LARGE_VOCABULARY;
  check_numbers(1, 0, TITAN_INTRA_NODE_AUTO);
  vocabulary = SMALL_VOCABULARY;
}

// Element i of a parameter is element i of the stream of its full name, in the distribution of its layer.
static void initial_values_are_a_function_of_seed_name_and_index(void **state) {
  (void)state;
  titan_mesh *mesh = small_mesh(1);
  titan_runtime_options options = small_model_options(2, test_size(), TITAN_BFLOAT16, TITAN_INTRA_NODE_AUTO);
  titan_runtime *runtime = runtime_on(mesh, &options);
  bool good = true;
  for (int u = 0; u < titan_runtime_unit_count(runtime); u++) {
    const titan_unit *unit = titan_runtime_unit(runtime, u);
    const float *master = host_floats(device, unit->master, unit->shard_elements);
    const titan_bf16 *compute = host_copy(device, unit->compute, (size_t)unit->shard_elements * sizeof *compute);
    for (int p = 0; p < unit->plan->parameter_count; p++) {
      const titan_plan_parameter *parameter = &unit->plan->parameters[p];
      char name[TITAN_PREFIX_BYTES + TITAN_NAME_BYTES];
      float *expected;
      titan_unit_slice slice;
      if (u == 0 || u > options.arguments.layers)
        snprintf(name, sizeof name, "%s", parameter->name);
      else
        snprintf(name, sizeof name, "layers.%d.%s", u - 1, parameter->name);
      titan_parameter_init init = options.model->init(&options.arguments, parameter->name, u - 1);
      good &= titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)parameter->elements * sizeof *expected, &expected) ==
              TITAN_OK;
      titan_random_normal(titan_random_stream_create(42, name), 0, (uint64_t)parameter->elements, init.mean, init.std,
                          init.low, init.high, expected);
      for (int64_t i = 0; titan_unit_slice_of(unit, p, &slice) && i < slice.count; i++) {
        good &= master[slice.first_in_shard + i] == expected[slice.first_in_parameter + i];
        good &= compute[slice.first_in_shard + i] == titan_bf16_from_float(expected[slice.first_in_parameter + i]);
      }
      titan_memory_free(expected);
    }
  }
  expect_on_all(good);
  titan_runtime_destroy(&runtime);
  titan_mesh_destroy(&mesh);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(memory_is_what_the_plan_says_and_steps_take_none),
      cmocka_unit_test(a_plan_that_was_not_allocated_can_be_destroyed),
      cmocka_unit_test(initial_values_are_a_function_of_seed_name_and_index),
      cmocka_unit_test(tokens_that_do_not_count_add_no_loss_and_no_gradient),
      cmocka_unit_test(every_mesh_starts_with_the_same_bits_and_has_the_gradients_of_one_rank),
      cmocka_unit_test(a_head_in_several_chunks_has_the_gradients_of_one_chunk),
  };
  begin_mpi_tests(&argc, &argv);
  return end_mpi_tests(cmocka_run_group_tests(tests, begin_device, end_device));
}
