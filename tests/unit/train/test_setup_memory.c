// SPDX-License-Identifier: Apache-2.0
// Property: a node that is too small for the plan is told so before memory is taken: on all ranks alike, with what is
// needed and what is there, and a batch or length that then does fit, the largest one of its kind. Oracle: the check
// itself, run again with what it suggested and with a little more. Figures are compared as printed, to 0.01 GiB.
#include "small_model.h"

#include "data/loader.h"
#include "setup/setup.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static titan_device *device;
static titan_mesh *mesh;
static titan_comm *node;

static const double gib = 1024.0 * 1024 * 1024;
static titan_model_shape validation; // of the plans; without a batch: none

// A model of a few hundred MiB; nothing of it is allocated.
static titan_runtime *plan_of(int64_t batch, int64_t length) {
  titan_runtime_options options = {.model = titan_model_find("llama3"),
                                   .shape = {.batch = batch, .length = length, .dtype = TITAN_FLOAT32},
                                   .global_tokens = batch * length * test_size(),
                                   .validation = validation};
  titan_runtime *runtime;
  options.model->flavor("debugmodel", &options.arguments);
  options.arguments.vocabulary = 2256;
  expect_on_all(titan_runtime_plan(&options, mesh, device, &runtime) == TITAN_OK);
  return runtime;
}

static titan_status check_with(int64_t batch, int64_t length, titan_comm *group, titan_topology topology) {
  titan_runtime *runtime = plan_of(batch, length);
  titan_setup_beside beside = {.loader = titan_loader_bytes(batch, length), .process = titan_setup_process_bytes};
  titan_status status = titan_setup_check_memory(runtime, &beside, mesh, device, group, &topology);
  titan_runtime_destroy(&runtime);
  return status;
}

static double need_of(int64_t batch, int64_t length) {
  titan_runtime *runtime = plan_of(batch, length);
  double bytes = (double)titan_runtime_memory_of(runtime).total * test_size();
  titan_runtime_destroy(&runtime);
  return bytes;
}

static titan_topology node_of(double bytes) {
  return (titan_topology){.node_size = test_size(), .node_bytes = (uint64_t)bytes, .rank_bytes = UINT64_MAX};
}

// The two figures of the message.
static bool read_figures(double *need, double *available) {
  const char *text = strstr(titan_error_message(), "will need ");
  return text != NULL && sscanf(text, "will need %lf GiB, and %lf GiB are available", need, available) == 2;
}

static void a_node_that_is_large_enough_is_fine(void **state) {
  (void)state;
  expect_on_all(check_with(8, 512, node, node_of(4 * need_of(8, 512) + gib)) == TITAN_OK);
  expect_on_all(check_with(8, 512, node, (titan_topology){.node_bytes = UINT64_MAX, .rank_bytes = UINT64_MAX}) ==
                TITAN_OK);
}

static void check_batch_suggestion(double share) {
  titan_topology topology = node_of(share * need_of(16, 512));
  double need = 0, available = 0;
  long long batch = 0;
  expect_on_all(check_with(16, 512, node, topology) == TITAN_ERROR_USAGE);
  expect_on_all(titan_error_was_agreed());
  expect_on_all(read_figures(&need, &available));
  expect_on_all(fabs(available - (double)topology.node_bytes / gib) <= 0.0051);
  // what is planned, and something for each process beside it
  double planned = need_of(16, 512) / gib;
  expect_on_all(need > planned - 0.01 && need < planned + 0.1 * test_size());
  const char *text = strstr(titan_error_message(), "training.batch_size = ");
  expect_on_all(text != NULL && sscanf(text, "training.batch_size = %lld would fit", &batch) == 1);
  expect_on_all(strstr(titan_error_message(), "activations") != NULL);
  expect_on_all(batch >= 1 && batch < 16);
  expect_on_all(check_with(batch, 512, node, topology) == TITAN_OK);
  expect_on_all(check_with(batch + 1, 512, node, topology) == TITAN_ERROR_USAGE);
}

static void a_smaller_batch_is_suggested_and_is_the_largest_that_fits(void **state) {
  (void)state;
  for (int share = 35; share <= 95; share += 10)
    check_batch_suggestion(share / 100.0);
}

static void a_smaller_length_is_suggested_where_one_sequence_is_too_much(void **state) {
  (void)state;
  titan_topology topology = node_of(0.6 * need_of(1, 4096));
  long long length = 0;
  expect_on_all(check_with(2, 4096, node, topology) == TITAN_ERROR_USAGE);
  const char *text = strstr(titan_error_message(), "training.seq_len = ");
  expect_on_all(text != NULL && sscanf(text, "training.seq_len = %lld would fit", &length) == 1);
  expect_on_all(length >= 16 && length < 4096 && length % 16 == 0);
  expect_on_all(check_with(1, length, node, topology) == TITAN_OK);
  expect_on_all(check_with(1, length + 16, node, topology) == TITAN_ERROR_USAGE);
}

// What the loader reads ahead of so many sequences alone is more than the node has; one sequence is not.
static void a_batch_fits_though_the_loader_of_the_one_asked_for_does_not(void **state) {
  (void)state;
  enum { MANY = 20000000 };
  titan_topology topology = node_of(need_of(2, 64) + 2 * (double)titan_setup_process_bytes * test_size());
  long long batch = 0;
  expect_on_all((double)titan_loader_bytes(MANY, 64) * test_size() > (double)topology.node_bytes);
  expect_on_all(check_with(MANY, 64, node, topology) == TITAN_ERROR_USAGE);
  const char *text = strstr(titan_error_message(), "training.batch_size = ");
  expect_on_all(text != NULL && sscanf(text, "training.batch_size = %lld would fit", &batch) == 1);
  expect_on_all(batch >= 1 && check_with(batch, 64, node, topology) == TITAN_OK);
  expect_on_all(check_with(batch + 1, 64, node, topology) == TITAN_ERROR_USAGE);
}

static void a_suggested_length_can_be_cut_over_a_tp_group(void **state) {
  (void)state;
  int tp = test_size();
  if (tp != 2 && tp != 4)
    return;
  titan_mesh *saved = mesh;
  expect_on_all(titan_mesh_create(MPI_COMM_WORLD, (titan_mesh_degrees){1, 1, 1, 1, tp}, &mesh) == TITAN_OK);
  for (int share = 50; share < 100; share += 5) { // of all lengths that may come out, half or less can be cut
    titan_topology topology = node_of(share / 100.0 * need_of(1, 4096 + tp));
    long long length = 0;
    expect_on_all(check_with(1, 4096 + tp, node, topology) == TITAN_ERROR_USAGE);
    const char *text = strstr(titan_error_message(), "training.seq_len = ");
    expect_on_all(text != NULL && sscanf(text, "training.seq_len = %lld would fit", &length) == 1);
    expect_on_all(length >= 16 && length % tp == 0 && check_with(1, length, node, topology) == TITAN_OK);
    expect_on_all(check_with(1, length + tp, node, topology) == TITAN_ERROR_USAGE);
  }
  titan_mesh_destroy(&mesh);
  mesh = saved;
}

// Checks a small training with a validation of this shape.
static titan_status check_validation(int64_t batch, int64_t length, titan_topology topology) {
  validation = (titan_model_shape){.batch = batch, .length = length, .dtype = TITAN_FLOAT32};
  return check_with(1, 16, node, topology);
}

static titan_topology node_for_validation(double share, int64_t batch, int64_t length) {
  validation = (titan_model_shape){.batch = batch, .length = length, .dtype = TITAN_FLOAT32};
  return node_of(share * need_of(1, 16) + (double)titan_setup_process_bytes * test_size());
}

static void where_validation_is_too_large_its_own_size_is_suggested(void **state) {
  (void)state;
  long long batch = 0, length = 0;
  titan_topology topology = node_for_validation(0.8, 64, 1024);
  expect_on_all(check_validation(64, 1024, topology) == TITAN_ERROR_USAGE);
  const char *text = strstr(titan_error_message(), "\nvalidation.local_batch_size = ");
  expect_on_all(text != NULL && sscanf(text, "\nvalidation.local_batch_size = %lld would fit", &batch) == 1);
  expect_on_all(batch >= 1 && check_validation(batch, 1024, topology) == TITAN_OK);
  expect_on_all(check_validation(batch + 1, 1024, topology) == TITAN_ERROR_USAGE);
  topology = node_for_validation(0.8, 1, 65536);
  expect_on_all(check_validation(1, 65536, topology) == TITAN_ERROR_USAGE);
  text = strstr(titan_error_message(), "\nvalidation.local_batch_size = 1 with validation.seq_len = ");
  expect_on_all(text != NULL && sscanf(strstr(text, "seq_len"), "seq_len = %lld would fit", &length) == 1);
  expect_on_all(length >= 16 && check_validation(1, length, topology) == TITAN_OK);
  expect_on_all(check_validation(1, length + 16, topology) == TITAN_ERROR_USAGE);
  validation.batch = 0;
}

static void a_smaller_batch_is_suggested_for_validation_too_where_both_are_too_large(void **state) {
  (void)state;
  long long batch = 0, of_validation = 0;
  validation = (titan_model_shape){.batch = 16, .length = 512, .dtype = TITAN_FLOAT32};
  titan_topology topology = node_of(0.6 * need_of(16, 512));
  expect_on_all(check_with(16, 512, node, topology) == TITAN_ERROR_USAGE);
  const char *text = strstr(titan_error_message(), "\ntraining.batch_size = ");
  expect_on_all(text != NULL &&
                sscanf(text, "\ntraining.batch_size = %lld and validation.local_batch_size = %lld would fit", &batch,
                       &of_validation) == 2);
  expect_on_all(batch >= 1 && batch == of_validation);
  validation.batch = batch;
  expect_on_all(check_with(batch, 512, node, topology) == TITAN_OK);
  validation.batch = batch + 1;
  expect_on_all(check_with(batch + 1, 512, node, topology) == TITAN_ERROR_USAGE);
  validation.batch = 0;
}

static void a_node_too_small_for_the_model_itself_is_told_so(void **state) {
  (void)state;
  expect_on_all(check_with(4, 256, node, node_of(1 << 20)) == TITAN_ERROR_USAGE);
  expect_on_all(strstr(titan_error_message(), "no batch fits") != NULL);
}

// A limit on each process counts as well as the node's memory.
static void a_limit_on_each_process_counts_too(void **state) {
  (void)state;
  titan_topology topology = {.node_bytes = UINT64_MAX, .rank_bytes = (uint64_t)(0.6 * need_of(16, 512) / test_size())};
  double need = 0, available = 0;
  expect_on_all(check_with(16, 512, node, topology) == TITAN_ERROR_USAGE);
  expect_on_all(read_figures(&need, &available));
  expect_on_all(fabs(available - (double)topology.rank_bytes * test_size() / gib) <= 0.0051);
}

// Every rank a node of its own, and only the last one too small: all ranks end, with its message.
static void one_small_node_ends_the_run_on_all(void **state) {
  (void)state;
  titan_comm *own;
  expect_on_all(titan_comm_create_mpi(MPI_COMM_SELF, "node", &own) == TITAN_OK);
  bool last = test_rank() == test_size() - 1;
  titan_topology topology = {.node_size = 1, .rank_bytes = UINT64_MAX, .node_bytes = last ? 200u << 20 : UINT64_MAX};
  double need = 0, available = 0;
  expect_on_all(check_with(16, 1024, own, topology) == TITAN_ERROR_USAGE);
  expect_on_all(titan_error_was_agreed());
  expect_on_all(read_figures(&need, &available) && fabs(available - 200.0 / 1024) <= 0.0051);
  char speaker[32];
  snprintf(speaker, sizeof speaker, "rank %d", test_size() - 1);
  expect_on_all(test_size() == 1 || strstr(titan_error_message(), speaker) != NULL);
  titan_comm_destroy(&own);
}

static void nothing_is_taken_by_the_check(void **state) {
  (void)state;
  size_t graphs = titan_memory_usage_of(TITAN_MEMORY_GRAPH).live_bytes;
  size_t general = titan_memory_usage_of(TITAN_MEMORY_GENERAL).live_bytes;
  expect_on_all(check_with(16, 512, node, node_of(0.5 * need_of(16, 512))) == TITAN_ERROR_USAGE);
  expect_on_all(titan_memory_usage_of(TITAN_MEMORY_ACTIVATIONS).peak_bytes == 0);
  expect_on_all(titan_memory_usage_of(TITAN_MEMORY_MASTERS).peak_bytes == 0);
  expect_on_all(titan_memory_usage_of(TITAN_MEMORY_GRAPH).live_bytes == graphs);
  expect_on_all(titan_memory_usage_of(TITAN_MEMORY_GENERAL).live_bytes == general);
}

static double peak_of(titan_dtype dtype, const titan_topology *topology) {
  double flops = 0;
  titan_comm *world = titan_mesh_comm(mesh, TITAN_MESH_WORLD);
  expect_on_all(titan_setup_measure_peak(device, dtype, world, node, topology, &flops) == TITAN_OK);
  return flops;
}

static void the_measured_peak_is_a_rate(void **state) {
  (void)state;
  int rank = titan_comm_rank(node), size = titan_comm_size(node);
  const titan_topology wide = {
      .node_rank = rank, .node_size = size, .node_cores = size, .sharing_ranks = size, .threads = 1};
  double flops = peak_of(TITAN_FLOAT32, &wide);
  expect_on_all(flops > 1e6 && flops < 1e16);
  flops = peak_of(TITAN_BFLOAT16, &wide);
  expect_on_all(flops > 1e6 && flops < 1e16);
}

static void ranks_that_share_cores_have_a_part_of_the_peak(void **state) {
  (void)state;
  // Each rank asks for two threads of a node with one core: the first measures, and takes memory for it; all have a
  // part.
  int rank = titan_comm_rank(node), size = titan_comm_size(node);
  const titan_topology crowded = {
      .node_rank = rank, .node_size = size, .node_cores = 1, .sharing_ranks = size, .threads = 2};
  titan_memory_reset_peaks();
  size_t before = titan_memory_usage_total().peak_bytes;
  double flops = peak_of(TITAN_FLOAT32, &crowded);
  expect_on_all(flops > 1e6 / size && flops < 1e16);
  expect_on_all((titan_memory_usage_total().peak_bytes > before + 1000000) == (rank == 0)); // of the matrices
}

static int begin(void **state) {
  (void)state;
  return titan_device_create_cpu(1, &device) != TITAN_OK ||
         titan_mesh_create(MPI_COMM_WORLD, (titan_mesh_degrees){1, 1, test_size(), 1, 1}, &mesh) != TITAN_OK ||
         titan_comm_create_node(MPI_COMM_WORLD, "node", &node) != TITAN_OK;
}

static int end(void **state) {
  (void)state;
  titan_comm_destroy(&node);
  titan_mesh_destroy(&mesh);
  titan_device_destroy(&device);
  return 0;
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nothing_is_taken_by_the_check),
      cmocka_unit_test(a_node_that_is_large_enough_is_fine),
      cmocka_unit_test(a_smaller_batch_is_suggested_and_is_the_largest_that_fits),
      cmocka_unit_test(a_smaller_length_is_suggested_where_one_sequence_is_too_much),
      cmocka_unit_test(a_batch_fits_though_the_loader_of_the_one_asked_for_does_not),
      cmocka_unit_test(a_suggested_length_can_be_cut_over_a_tp_group),
      cmocka_unit_test(where_validation_is_too_large_its_own_size_is_suggested),
      cmocka_unit_test(a_smaller_batch_is_suggested_for_validation_too_where_both_are_too_large),
      cmocka_unit_test(a_node_too_small_for_the_model_itself_is_told_so),
      cmocka_unit_test(a_limit_on_each_process_counts_too),
      cmocka_unit_test(one_small_node_ends_the_run_on_all),
      cmocka_unit_test(the_measured_peak_is_a_rate),
      cmocka_unit_test(ranks_that_share_cores_have_a_part_of_the_peak),
  };
  begin_mpi_tests(&argc, &argv);
  return end_mpi_tests(cmocka_run_group_tests(tests, begin, end));
}
