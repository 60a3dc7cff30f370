// SPDX-License-Identifier: Apache-2.0
// A runtime on part of the ranks, with a state in which every element of every tensor has a value of its own, known
// from the tensor's name and the element's place in the whole: so any mesh can tell whether it holds the right one.
#ifndef TITAN_TESTS_CHECKPOINT_STATE_H
#define TITAN_TESTS_CHECKPOINT_STATE_H

#include "small_model.h"

#include "checkpoint/tiles.h"
#include "state/layout.h"
#include "state/load.h"
#include "state/save.h"

#include <string.h>
#include <unistd.h>

enum { STATE_TOKENIZER = 77, STATE_STEP = 7 };

// How saves and loads are made: bytes at once, and of a tile (0: as the program does), and as if the ranks were on
// several nodes.
static size_t state_piece, state_tile;
static bool state_apart, state_verify;
static bool state_tiny; // a model of 4,400 elements instead of 160,000

typedef struct state {
  MPI_Comm comm;
  titan_mesh *mesh;
  titan_device *device;
  titan_runtime *runtime;
} state;

typedef struct shape {
  int replicate, shard, tp;
} shape;

static inline titan_runtime_options state_options(int ranks, titan_dtype dtype) {
  titan_runtime_options options = small_model_options(2, ranks, dtype, TITAN_INTRA_NODE_AUTO);
  if (state_tiny) {
    options.arguments.dim = 16;
    options.arguments.layers = 1;
    options.arguments.vocabulary = 40;
  }
  return options;
}

static inline int shape_ranks(shape s) {
  return s.replicate * s.shard * s.tp;
}

// Collective over the first shape_ranks ranks; the others get a runtime of NULL.
static inline state state_create(shape s, titan_dtype dtype) {
  state out = {.comm = MPI_COMM_NULL};
  titan_mesh_degrees degrees = {1, s.replicate, s.shard, 1, s.tp};
  bool takes_part = test_rank() < shape_ranks(s), good = true;
  MPI_Comm_split(MPI_COMM_WORLD, takes_part ? 0 : MPI_UNDEFINED, test_rank(), &out.comm);
  if (takes_part) {
    titan_runtime_options options = state_options(s.replicate * s.shard, dtype);
    good = titan_mesh_create(out.comm, degrees, &out.mesh) == TITAN_OK &&
           titan_device_create_cpu(1, &out.device) == TITAN_OK &&
           titan_runtime_plan(&options, out.mesh, out.device, &out.runtime) == TITAN_OK &&
           titan_runtime_allocate(out.runtime) == TITAN_OK;
  }
  expect_on_all(good);
  return out;
}

static inline void state_destroy(state *s) {
  titan_runtime_destroy(&s->runtime);
  titan_mesh_destroy(&s->mesh);
  titan_device_destroy(&s->device);
  if (s->comm != MPI_COMM_NULL)
    MPI_Comm_free(&s->comm);
}

// Of an element of parameter `parameter` (among all), in group `group`. Not exact in 16 bits.
static inline float state_value(int64_t parameter, int group, int64_t row, int64_t column) {
  uint64_t z =
      ((uint64_t)parameter * 3 + (uint64_t)group) * 0x9e3779b97f4a7c15u + (uint64_t)row * 1000003u + (uint64_t)column;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  return (float)((double)(z >> 40) / (1 << 24) - 0.5);
}

// Calls visit for each element that this rank holds, with a pointer to it.
typedef bool state_visit(float *element, int64_t parameter, int group, int64_t row, int64_t column);

static inline bool state_each(state *s, state_visit *visit) {
  titan_checkpoint_layout *layout;
  bool good = true;
  if (s->runtime == NULL)
    return true;
  if (titan_checkpoint_layout_create(s->runtime, false, &layout) != TITAN_OK)
    return false;
  for (int group = 0; group < layout->kept_count; group++)
    for (int64_t i = 0; i < layout->rectangle_count; i++) {
      const titan_checkpoint_rectangle *r = &layout->rectangles[i];
      float *shard = titan_checkpoint_shard(titan_runtime_unit(s->runtime, r->unit), group);
      for (int64_t row = 0; row < r->rows; row++)
        for (int64_t column = 0; column < r->columns; column++)
          good = visit(&shard[r->first_in_shard + row * r->stride + column], r->parameter, group, r->row + row,
                       r->column + column) &&
                 good;
    }
  titan_checkpoint_layout_destroy(&layout);
  return good;
}

static inline bool state_set(float *element, int64_t parameter, int group, int64_t row, int64_t column) {
  *element = state_value(parameter, group, row, column);
  return true;
}

static inline bool state_spoil(float *element, int64_t parameter, int group, int64_t row, int64_t column) {
  (void)parameter, (void)group, (void)row, (void)column;
  *element = -77;
  return true;
}

static inline bool state_is_spoiled(float *element, int64_t parameter, int group, int64_t row, int64_t column) {
  (void)parameter, (void)group, (void)row, (void)column;
  return *element == -77;
}

static inline bool state_check(float *element, int64_t parameter, int group, int64_t row, int64_t column) {
  return *element == state_value(parameter, group, row, column);
}

static inline titan_checkpoint_contents state_contents(void) {
  static const int64_t steps[] = {1, 5}, cursors[] = {1, 2, 3, 4, 5, 6, 7, 8};
  static const double mean[] = {7.5, 6.25}, max[] = {8, 7};
  return (titan_checkpoint_contents){.step = STATE_STEP,
                                     .configuration = "[training]\nsteps = 9\n",
                                     .model_name = "llama3",
                                     .model_flavor = "small",
                                     .optimizer = "AdamW",
                                     .model = state_options(1, TITAN_FLOAT32).arguments,
                                     .tokenizer = STATE_TOKENIZER,
                                     .has_state = true,
                                     .tokens = 1234,
                                     .learning_rate = 1e-3,
                                     .log_count = 2,
                                     .log_steps = steps,
                                     .log_mean = mean,
                                     .log_max = max,
                                     .has_data = true,
                                     .lane_count = 2,
                                     .seq_len = 16,
                                     .corpus = 0xfedcba9876543210u,
                                     .cursors = cursors};
}

// Collective over the state's ranks.
static inline titan_status state_save_new(state *s, titan_save_mode mode, const titan_save_request *request) {
  titan_checkpoint_contents contents = state_contents();
  titan_saver_options options = {.runtime = s->runtime,
                                 .mode = mode,
                                 .piece = state_piece,
                                 .tile_bytes = state_tile,
                                 .apart = state_apart,
                                 .verify = state_verify};
  titan_save_request full = *request;
  titan_save_result result;
  titan_saver *saver;
  full.contents = &contents;
  if (s->runtime == NULL)
    return TITAN_OK;
  TITAN_TRY(titan_saver_create(&options, &saver));
  titan_status status = titan_saver_start(saver, &full);
  if (status == TITAN_OK && mode != TITAN_SAVE_AT_ONCE)
    state_each(s, state_spoil); // the copy is what is written
  if (status == TITAN_OK)
    status = titan_saver_finish(saver, &result);
  titan_saver_destroy(&saver);
  return status;
}

// Over a file that is there.
static inline titan_status state_save(state *s, titan_save_mode mode, const titan_save_request *request) {
  titan_save_request replacing = *request;
  replacing.replace = true;
  return state_save_new(s, mode, &replacing);
}

static inline titan_status state_load(state *s, bool optimizer, const char *path, titan_checkpoint_fault *fault) {
  titan_checkpoint_load_options options = {
      .runtime = s->runtime, .optimizer = optimizer, .step = STATE_STEP, .piece = state_piece};
  titan_checkpoint_file *file;
  if (s->runtime == NULL)
    return TITAN_OK;
  TITAN_TRY(titan_checkpoint_load(&options, path, &file, fault));
  titan_checkpoint_file_close(&file);
  return TITAN_OK;
}

// A folder of the test's own, the same on all ranks; rank 0 makes it, and removes it at the end.
static char state_folder[64];

static inline int state_make_folder(void **unused) {
  (void)unused;
  snprintf(state_folder, sizeof state_folder, "/tmp/titan-checkpoint-XXXXXX");
  int good = test_rank() != 0 || mkdtemp(state_folder) != NULL;
  MPI_Bcast(state_folder, sizeof state_folder, MPI_CHAR, 0, MPI_COMM_WORLD);
  return good ? 0 : -1;
}

static inline int state_remove_folder(void **unused) {
  char command[128];
  (void)unused;
  MPI_Barrier(MPI_COMM_WORLD);
  snprintf(command, sizeof command, "rm -rf '%s'", state_folder);
  return test_rank() == 0 && system(command) != 0 ? -1 : 0;
}

static inline const char *state_path(const char *name) {
  static char path[160];
  snprintf(path, sizeof path, "%s/%s", state_folder, name);
  return path;
}

#endif
