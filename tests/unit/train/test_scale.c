// SPDX-License-Identifier: Apache-2.0
// Property: what a rank of 16,384 that train the 405B model keeps for communication, for the tables of a checkpoint and
// for an estimate is as many bytes as the formulas say, and less than 100 MiB together in the mesh of the installed
// configuration. Groups, plans and layouts are those of ranks that are not there. Oracle: the allocator's counts.
// Tolerance: none.
#include "graph_test.h"
#include "mpi_test.h"

#include "checkpoint/tiles.h"
#include "checkpoint/writer.h"
#include "estimate/estimate_private.h"
#include "parallel/runtime_private.h"
#include "state/layout.h"

#include <stdio.h>
#include <stdlib.h>

enum { RANKS = 16384, A_NODE = 64, MIB = 1 << 20 };
static const titan_topology topology = {.node_size = 1, .node_cores = 4, .threads = 1, .node_bytes = UINT64_MAX};

// Replicas, stages and tp; the rest are shards. Sums over replicas on several nodes, four of 8 MiB in flight, take
// more.
static const struct {
  const char *replicas, *stages, *tp;
  size_t most; // MiB
} meshes[] = {{"1", "1", "8", 100}, {"1", "2", "8", 100}, {"8", "1", "8", 128}};
enum { MESHES = sizeof meshes / sizeof *meshes };

static titan_config *config_of(int mesh, const char *intra_node) {
  const char *arguments[] = {"titan-hpc",
                             "--memory_estimation.enabled",
                             "--job.config_file",
                             TITAN_SOURCE_FOLDER "/configs/llama3_405b.toml",
                             "--memory_estimation.world_size",
                             "16384",
                             "--memory_estimation.ranks_per_node",
                             "64",
                             "--training.batch_size",
                             "2",
                             "--training.data_parallel_replicate_degree",
                             meshes[mesh].replicas,
                             "--experimental.pipeline_parallel_degree",
                             meshes[mesh].stages,
                             "--training.tensor_parallel_degree",
                             meshes[mesh].tp,
                             "--experimental.enable_async_tensor_parallel=false",
                             "--comm.intra_node",
                             intra_node};
  titan_config *config;
  TRY(titan_config_create(sizeof arguments / sizeof *arguments, arguments, &config));
  TRY(titan_setup_check(config, 1));
  return config;
}

// One rank.
typedef struct stand_in {
  titan_config *config;
  titan_device *device;
  titan_mesh *mesh;
  titan_runtime *runtime;
} stand_in;

static size_t live(titan_memory_tag tag) {
  return titan_memory_usage_of(tag).live_bytes;
}

// *groups: what the mesh has taken under COMMUNICATION.
static stand_in create(int mesh, const char *intra_node, int rank, size_t *groups) {
  stand_in s = {.config = config_of(mesh, intra_node)};
  titan_estimate_question question = titan_estimate_question_of(s.config, &topology, 1, 0);
  titan_mesh_degrees degrees;
  titan_runtime_options options;
  TRY(titan_estimate_options(&question, s.config, 0, &degrees, &options));
  TRY(titan_estimate_device_create(&question, &s.device));
  size_t before = live(TITAN_MEMORY_COMMUNICATION);
  TRY(titan_mesh_create_fake(degrees, rank, question.ranks_per_node, &s.mesh));
  *groups = live(TITAN_MEMORY_COMMUNICATION) - before;
  TRY(titan_runtime_create(&options, s.mesh, s.device, &s.runtime));
  TRY(titan_runtime_choose(s.runtime, 0));
  return s;
}

static void destroy(stand_in *s) {
  titan_runtime_destroy(&s->runtime);
  titan_mesh_destroy(&s->mesh);
  titan_device_destroy(&s->device);
  titan_config_destroy(&s->config);
}

static const int some_ranks[] = {0, 4711, RANKS - 1};
enum { SOME_RANKS = sizeof some_ranks / sizeof *some_ranks };

// --- communication ---

// All of it by messages: the memory of the groups is taken as by a run.
static size_t check_communication(int mesh, int rank) {
  size_t groups;
  stand_in s = create(mesh, "mpi", rank, &groups);
  size_t before = live(TITAN_MEMORY_COMMUNICATION);
  TRY(titan_runtime_reserve(s.runtime));
  size_t counted = groups + live(TITAN_MEMORY_COMMUNICATION) - before;
  assert_int_equal(counted, titan_mesh_bytes(s.mesh) + titan_runtime_communication_bytes(s.runtime));
  destroy(&s);
  return counted;
}

// In two levels, shared memory cannot be taken for ranks that are not there: what the formula says of it is compared
// with what is taken by real ones in tests of levels.
static size_t plan_levels(int mesh, int rank) {
  size_t groups;
  stand_in s = create(mesh, "auto", rank, &groups);
  size_t bytes = titan_mesh_bytes(s.mesh) + titan_runtime_communication_bytes(s.runtime);
  destroy(&s);
  return bytes;
}

// --- tables of checkpoints ---

static titan_status take_nothing(void *context, int64_t first, int64_t count, const uint64_t *numbers) {
  (void)numbers;
  *(int64_t *)context += first >= 0 ? count : 0;
  return TITAN_OK;
}

static int64_t longest_rectangle(const titan_checkpoint_layout *layout) {
  int64_t most = 1;
  for (int64_t i = 0; i < layout->rectangle_count; i++) {
    const titan_checkpoint_rectangle *r = &layout->rectangles[i];
    int64_t elements = r->rows * (r->joined ? titan_checkpoint_columns(&layout->parameters[r->parameter]) : r->columns);
    most = elements > most ? elements : most;
  }
  return most;
}

// Adds up what the rank holds or writes, zeros all, of every group, each of which has of_group tiles.
static void add_all(const titan_checkpoint_layout *layout, int64_t of_group, titan_checkpoint_sums *sums) {
  void *zeros = calloc((size_t)longest_rectangle(layout), sizeof(float));
  assert_non_null(zeros);
  for (int kept = 0; kept < layout->kept_count; kept++)
    for (int64_t i = 0; i < layout->rectangle_count; i++) {
      const titan_checkpoint_rectangle *r = &layout->rectangles[i];
      titan_checkpoint_tensor tensor = layout->parameters[r->parameter];
      int64_t begin = 0, end = r->rows, column = r->column, columns = r->columns;
      if (r->joined) {
        titan_checkpoint_deal_rows(r->rows, layout->tp_rank, layout->tp, &begin, &end);
        column = 0;
        columns = titan_checkpoint_columns(&tensor);
      }
      tensor.first_tile += kept * of_group;
      TRY(titan_checkpoint_sums_add(sums, &tensor, r->row + begin, end - begin, column, columns, zeros,
                                    (size_t)columns * sizeof(float)));
    }
  free(zeros);
}

// Of saving (shared) or loading; what the layout, the sums and the part of the table take.
static size_t check_tables(stand_in *s, bool shared) {
  titan_checkpoint_layout *layout;
  size_t general = live(TITAN_MEMORY_GENERAL), staging = live(TITAN_MEMORY_CHECKPOINT);
  TRY(titan_checkpoint_layout_create(s->runtime, shared, &layout));
  size_t bytes = titan_checkpoint_layout_bytes(layout);
  assert_int_equal(live(TITAN_MEMORY_GENERAL) - general, bytes);
  titan_checkpoint_sums sums = {.tile_bytes = TITAN_CHECKPOINT_TILE_BYTES, .tag = TITAN_MEMORY_CHECKPOINT};
  int64_t count = titan_checkpoint_layout_sums(layout, sums.tile_bytes), taken = 0,
          of_group = titan_checkpoint_number_tiles(layout->parameter_count, layout->parameters, sums.tile_bytes),
          tiles = of_group * layout->kept_count;
  TRY(titan_checkpoint_sums_reserve(&sums, count));
  titan_memory_reset_peaks();
  add_all(layout, of_group, &sums);
  assert_int_equal(sums.count, count);
  assert_int_equal(live(TITAN_MEMORY_CHECKPOINT) - staging, titan_checkpoint_sums_bytes(count));
  TRY(titan_checkpoint_sums_reduce(&sums, tiles, MPI_COMM_SELF, false, take_nothing, &taken));
  size_t peak = titan_memory_usage_of(TITAN_MEMORY_CHECKPOINT).peak_bytes - staging;
  assert_int_equal(taken, tiles);
  assert_int_equal(peak, titan_checkpoint_sums_bytes(count) + titan_checkpoint_sums_table_bytes(tiles));
  // The names and places of the file's tensors, twice: the saver's and the writer's, or the file's.
  bytes += peak + 2 * (size_t)(layout->kept_count * layout->parameter_count) * sizeof *layout->parameters;
  titan_checkpoint_sums_destroy(&sums);
  titan_checkpoint_layout_destroy(&layout);
  return bytes;
}

// --- the estimate ---

static size_t check_estimate(int mesh) {
  titan_config *config = config_of(mesh, "auto");
  titan_estimate_question question = titan_estimate_question_of(config, &topology, 1, 0);
  titan_estimate *estimate;
  size_t before = titan_memory_usage_total().live_bytes, general = live(TITAN_MEMORY_GENERAL);
  titan_memory_reset_peaks();
  TRY(titan_estimate_create(&question, &estimate));
  size_t peak = titan_memory_usage_total().peak_bytes - before;
  assert_int_equal(live(TITAN_MEMORY_GENERAL) - general, sizeof *estimate + 2 * RANKS * sizeof(int) +
                                                             (size_t)estimate->sample_count * sizeof *estimate->kinds);
  int ranks = 0;
  for (int i = 0; i < estimate->kind_count; i++)
    ranks += estimate->kinds[i].ranks;
  assert_int_equal(ranks, RANKS);
  titan_estimate_destroy(&estimate);
  titan_config_destroy(&config);
  return peak;
}

// --- together ---

static size_t larger(size_t a, size_t b) {
  return a > b ? a : b;
}

static void a_rank_of_16384_keeps_what_the_formulas_say(void **unused) {
  (void)unused;
  for (int mesh = 0; mesh < MESHES; mesh++) {
    size_t estimate = check_estimate(mesh), communication = 0, saving = 0, loading = 0;
    for (int i = 0; i < SOME_RANKS; i++) {
      size_t groups;
      communication = larger(communication, check_communication(mesh, some_ranks[i]));
      communication = larger(communication, plan_levels(mesh, some_ranks[i]));
      stand_in s = create(mesh, "auto", some_ranks[i], &groups);
      saving = larger(saving, check_tables(&s, true));
      loading = larger(loading, check_tables(&s, false));
      destroy(&s);
    }
    printf("replicas %s, stages %s, tp %s: communication %.2f MiB, tables of saving %.2f MiB, of loading %.2f MiB, "
           "estimate %.2f MiB\n",
           meshes[mesh].replicas, meshes[mesh].stages, meshes[mesh].tp, (double)communication / MIB,
           (double)saving / MIB, (double)loading / MIB, (double)estimate / MIB);
    assert_true(communication + larger(saving, loading) + estimate < meshes[mesh].most * MIB);
  }
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(a_rank_of_16384_keeps_what_the_formulas_say)};
  begin_mpi_tests(&argc, &argv);
  return end_mpi_tests(cmocka_run_group_tests(tests, NULL, NULL));
}
