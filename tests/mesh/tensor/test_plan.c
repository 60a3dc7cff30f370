// SPDX-License-Identifier: Apache-2.0
// Property: what a cut graph's plan says about memory and traffic is what happens, and traffic is the formula of
// docs/tensor-parallelism.md, whatever blocks compute again. Oracles: the allocator's live bytes by tag; the tp
// communicator's counter over a step; the formula by hand. Tolerance: none. A block's saved values and its input fall
// with the ranks: at 4 to at most 0.32.
#include "pair.h"

#include "passes/tensor.h"

enum { LENGTH = 24, BATCH = 2, VOCABULARY = 199, LAYERS = 3, DIM = 64 };

static titan_runtime_options options_of(titan_norm_type norm_type, titan_dtype dtype, bool loss_parallel) {
  return (titan_runtime_options){
      .slot_count = 2,
      .slots = {"exp_avg", "exp_avg_sq"},
      .model = titan_model_find("llama3"),
      .arguments = {.dim = DIM,
                    .layers = LAYERS,
                    .heads = 8,
                    .kv_heads = 4,
                    .multiple_of = 32,
                    .ffn_dim_multiplier = 1,
                    .norm_epsilon = 1e-5,
                    .rope_theta = 1e4,
                    .vocabulary = VOCABULARY,
                    .norm_type = norm_type},
      .shape = {.batch = BATCH, .length = LENGTH, .dtype = dtype},
      .global_tokens = BATCH * LENGTH,
      .loss_parallel = loss_parallel,
      .intra_node = loss_parallel ? TITAN_INTRA_NODE_SHARED : TITAN_INTRA_NODE_MPI,
  };
}

static titan_runtime *plan_on(titan_mesh *mesh, titan_device *device, const titan_runtime_options *options) {
  titan_runtime *runtime = NULL;
  expect_on_all(titan_runtime_plan(options, mesh, device, &runtime) == TITAN_OK);
  return runtime;
}

static bool run_step(titan_runtime *runtime) {
  double loss;
  for (int i = 0; i < BATCH * LENGTH; i++) {
    titan_runtime_tokens(runtime)[i] = i * 31 % VOCABULARY;
    titan_runtime_labels(runtime)[i] = (i + 1) * 31 % VOCABULARY;
  }
  return titan_runtime_step(runtime, &loss) == TITAN_OK && loss > 0;
}

static void check_memory(titan_norm_type norm_type, titan_dtype dtype, bool loss_parallel, bool async) {
  titan_mesh *mesh = NULL;
  titan_device *device = NULL;
  size_t before[TITAN_MEMORY_TAG_COUNT];
  expect_on_all(titan_mesh_create(MPI_COMM_WORLD, (titan_mesh_degrees){1, 1, 1, 1, test_size()}, &mesh) == TITAN_OK);
  expect_on_all(titan_device_create_cpu(1, &device) == TITAN_OK);
  titan_runtime_options options = options_of(norm_type, dtype, loss_parallel);
  options.async_tensor = options.compile = async;
  for (int tag = 0; tag < TITAN_MEMORY_TAG_COUNT; tag++)
    before[tag] = titan_memory_usage_of((titan_memory_tag)tag).live_bytes;
  titan_runtime *runtime = plan_on(mesh, device, &options);
  expect_on_all(titan_runtime_allocate(runtime) == TITAN_OK);
  expect_on_all(titan_runtime_initialize(runtime, 1) == TITAN_OK);
  expect_on_all(run_step(runtime));
  titan_runtime_memory memory = titan_runtime_memory_of(runtime);
  bool good = true;
  for (int tag = 0; tag < TITAN_MEMORY_TAG_COUNT; tag++)
    if (tag >= TITAN_MEMORY_PARAMETERS || tag == TITAN_MEMORY_COMMUNICATION)
      good &= titan_memory_usage_of((titan_memory_tag)tag).live_bytes - before[tag] == memory.by_tag[tag];
  expect_on_all(good && memory.by_tag[TITAN_MEMORY_ACTIVATIONS] > 0);
  titan_runtime_destroy(&runtime);
  titan_device_destroy(&device);
  titan_mesh_destroy(&mesh);
}

static void memory_is_what_the_plan_says(void **state) {
  (void)state;
  for (int norm = TITAN_NORM_RMSNORM; norm <= TITAN_NORM_NP_LAYERNORM; norm++)
    for (int async = 0; async < 2; async++)
      check_memory((titan_norm_type)norm, norm % 2 ? TITAN_BFLOAT16 : TITAN_FLOAT32, norm > 1, async);
}

// What a block keeps from its forward to its backward.
static size_t block_bytes(titan_runtime *runtime) {
  const titan_plan *plan = titan_runtime_unit(runtime, 1)->plan;
  return plan->saved_bytes + titan_tensor_bytes(&plan->externals[titan_plan_external_find(plan, "x")].type);
}

static void what_a_block_keeps_falls_with_the_ranks(void **state) {
  (void)state;
  static const titan_dtype dtypes[] = {TITAN_FLOAT32, TITAN_BFLOAT16};
  for (int d = 0; d < 2; d++) {
    runtime_pair pair;
    titan_runtime_options options = {.model = titan_model_find("llama3"),
                                     .shape = {.batch = 2, .length = 2048, .dtype = dtypes[d]},
                                     .global_tokens = 4096,
                                     .loss_parallel = true};
    expect_on_all(options.model->flavor("debugmodel", &options.arguments));
    options.arguments.vocabulary = 2256;
    pair_create(&options, (titan_mesh_degrees){1, 1, 1, 1, test_size()}, &pair);
    double share = (double)block_bytes(pair.many) / (double)block_bytes(pair.alone);
    if (test_rank() == 0)
      printf("%s: %d ranks keep %zu bytes of a block each, one rank %zu: %.4f\n", titan_dtype_name(dtypes[d]),
             test_size(), block_bytes(pair.many), block_bytes(pair.alone), share);
    expect_on_all(share <= (test_size() == 4 ? 0.32 : 0.57));
    pair_destroy(&pair);
  }
}

// --- traffic ---

static void add(titan_plan_traffic *sum, titan_plan_traffic traffic, uint64_t times) {
  sum->all_gather += times * traffic.all_gather;
  sum->reduce_scatter += times * traffic.reduce_scatter;
  sum->all_reduce += times * traffic.all_reduce;
  sum->operations += times * traffic.operations;
}

// Blocks that keep their input only.
static uint64_t recomputing_blocks(const titan_activation_options *activations) {
  switch (activations->mode) {
  case TITAN_ACTIVATIONS_FULL:
    return LAYERS;
  case TITAN_ACTIVATIONS_EVERY:
    return LAYERS / (uint64_t)activations->every;
  default:
    return 0;
  }
}

// docs/tensor-parallelism.md. S: all of an activation but this rank's part; W: a norm weight's gradient.
static titan_plan_traffic formula(const titan_runtime_options *options, uint64_t ranks) {
  uint64_t rows = BATCH * LENGTH, columns = (VOCABULARY + ranks - 1) / ranks;
  uint64_t S = (ranks - 1) * rows / ranks * DIM * titan_dtype_bytes(options->shape.dtype);
  uint64_t W = options->arguments.norm_type == TITAN_NORM_NP_LAYERNORM ? 0 : DIM * sizeof(float);
  titan_plan_traffic sum = {0};
  add(&sum, (titan_plan_traffic){2 * S, 2 * S, 0, 4}, LAYERS);     // blocks, forward
  add(&sum, (titan_plan_traffic){2 * S, 2 * S, 0, 4}, LAYERS);     // backward: the same
  add(&sum, (titan_plan_traffic){2 * S, 0, 0, 2}, LAYERS);         // inputs of q, k, v and of w1, w3 again
  add(&sum, (titan_plan_traffic){0, 0, W, W > 0}, 2 * LAYERS + 1); // norms of blocks and head
  add(&sum, (titan_plan_traffic){S, S, 0, 2}, 2);                  // embedding, head
  add(&sum, (titan_plan_traffic){0, S, 0, 1}, recomputing_blocks(&options->activations)); // wo's sums again
  if (options->loss_parallel)
    add(&sum, (titan_plan_traffic){0, 0, 3 * rows * sizeof(float), 2}, 1); // a maximum; a sum and the label's logit
  else
    add(&sum, (titan_plan_traffic){(ranks - 1) * rows * columns * sizeof(float), 0, 0, 1}, 1);
  return sum;
}

static bool same(const char *what, titan_plan_traffic a, titan_plan_traffic b) {
  bool good = a.all_gather == b.all_gather && a.reduce_scatter == b.reduce_scatter && a.all_reduce == b.all_reduce &&
              a.operations == b.operations;
  if (!good)
    fprintf(stderr,
            "%s: all_gather %llu, reduce_scatter %llu, all_reduce %llu bytes in %llu operations; expected %llu, "
            "%llu, %llu in %llu\n",
            what, (unsigned long long)a.all_gather, (unsigned long long)a.reduce_scatter,
            (unsigned long long)a.all_reduce, (unsigned long long)a.operations, (unsigned long long)b.all_gather,
            (unsigned long long)b.reduce_scatter, (unsigned long long)b.all_reduce, (unsigned long long)b.operations);
  return good;
}

static void check_traffic(const titan_runtime_options *options) {
  titan_mesh *mesh = NULL;
  titan_device *device = NULL;
  expect_on_all(titan_mesh_create(MPI_COMM_WORLD, (titan_mesh_degrees){1, 1, 1, 1, test_size()}, &mesh) == TITAN_OK);
  expect_on_all(titan_device_create_cpu(1, &device) == TITAN_OK);
  titan_runtime *runtime = plan_on(mesh, device, options);
  titan_plan_traffic planned = {0};
  for (int unit = 0; unit < titan_runtime_unit_count(runtime); unit++)
    for (int phase = 0; phase < TITAN_PHASES; phase++)
      add(&planned,
          titan_plan_traffic_of(titan_runtime_unit(runtime, unit)->plan, (titan_phase)phase, TITAN_PLACEMENT_TP), 1);
  expect_on_all(titan_runtime_allocate(runtime) == TITAN_OK);
  expect_on_all(titan_runtime_initialize(runtime, 1) == TITAN_OK);
  titan_comm *tp = titan_mesh_comm(mesh, TITAN_MESH_TP);
  titan_comm_traffic before = titan_comm_traffic_of(tp);
  expect_on_all(run_step(runtime));
  titan_comm_traffic after = titan_comm_traffic_of(tp);
  titan_plan_traffic counted = {after.all_gather - before.all_gather, after.reduce_scatter - before.reduce_scatter,
                                after.all_reduce - before.all_reduce, after.operations - before.operations};
  expect_on_all(after.broadcast == before.broadcast && after.all_to_all == before.all_to_all &&
                after.point_to_point == before.point_to_point);
  expect_on_all(same("counted against planned", counted, planned));
  expect_on_all(same("planned against the formula", planned, formula(options, (uint64_t)test_size())));
  titan_runtime_destroy(&runtime);
  titan_device_destroy(&device);
  titan_mesh_destroy(&mesh);
}

static void traffic_is_the_plans_and_the_formulas_to_the_byte(void **state) {
  (void)state;
  for (int norm = TITAN_NORM_RMSNORM; norm <= TITAN_NORM_NP_LAYERNORM; norm++)
    for (int way = 0; way < 4; way++)
      for (int mode = TITAN_ACTIVATIONS_KEPT; mode <= TITAN_ACTIVATIONS_OPERATIONS; mode++) {
        titan_runtime_options options =
            options_of((titan_norm_type)norm, norm % 2 ? TITAN_BFLOAT16 : TITAN_FLOAT32, way % 2);
        options.async_tensor = options.compile = way > 1;
        options.activations = (titan_activation_options){.mode = (titan_activation_mode)mode, .every = 2};
        check_traffic(&options);
      }
}

// Instructions of a block's plan by kind.
static int count_of(titan_runtime *runtime, titan_op_kind kind) {
  const titan_plan *plan = titan_runtime_unit(runtime, 1)->plan;
  int count = 0;
  for (int phase = 0; phase < TITAN_PHASES; phase++)
    for (int i = 0; i < plan->phases[phase].count; i++)
      count += plan->phases[phase].instructions[i].node->call.kind == kind;
  return count;
}

// Forward: before q, k, v and before w1, w3; backward: gradients before wo and w2, and both inputs again. As many sums.
static void a_block_has_no_transfer_left_that_no_product_hides(void **state) {
  (void)state;
  for (int compile = 0; compile < 2; compile++) {
    runtime_pair pair;
    titan_runtime_options options = options_of(TITAN_NORM_RMSNORM, TITAN_FLOAT32, true);
    options.async_tensor = true;
    options.compile = compile;
    pair_create(&options, (titan_mesh_degrees){1, 1, 1, 1, test_size()}, &pair);
    expect_on_all(count_of(pair.many, TITAN_OP_gather_matmul) == 6 &&
                  count_of(pair.many, TITAN_OP_matmul_scatter) == 4);
    expect_on_all(count_of(pair.many, TITAN_OP_all_gather) == 0 && count_of(pair.many, TITAN_OP_reduce_scatter) == 0);
    expect_on_all(count_of(pair.alone, TITAN_OP_gather_matmul) == 0); // one rank has nothing to transfer
    pair_destroy(&pair);
  }
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(memory_is_what_the_plan_says),
      cmocka_unit_test(what_a_block_keeps_falls_with_the_ranks),
      cmocka_unit_test(a_block_has_no_transfer_left_that_no_product_hides),
      cmocka_unit_test(traffic_is_the_plans_and_the_formulas_to_the_byte),
  };
  begin_mpi_tests(&argc, &argv);
  return end_mpi_tests(cmocka_run_group_tests(tests, NULL, NULL));
}
