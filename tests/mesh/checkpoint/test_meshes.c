// SPDX-License-Identifier: Apache-2.0
// What one mesh saves, every other loads. Oracle: state_value, a function of the tensor and the place in it. Bitwise,
// as nothing computes.
#include "state.h"

static const shape shapes[] = {{1, 1, 1}, {1, 2, 1}, {2, 1, 1}, {1, 1, 2}, {1, 3, 1}, {1, 4, 1},
                               {2, 2, 1}, {1, 2, 2}, {2, 1, 2}, {1, 8, 1}, {2, 2, 2}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

// Saves on each mesh, and loads on each, or on the same and on one rank.
static void save_and_load(bool on_each) {
  for (int a = 0; a < SHAPES; a++) {
    if (shape_ranks(shapes[a]) > test_size())
      continue;
    state from = state_create(shapes[a], a % 2 ? TITAN_BFLOAT16 : TITAN_FLOAT32);
    titan_save_request request = {.path = state_path("step-7.h5")};
    state_each(&from, state_set);
    expect_on_all(state_save(&from, a % 3 == 2 ? TITAN_SAVE_ASYNC : TITAN_SAVE_AT_ONCE, &request) == TITAN_OK);
    expect_on_all(access(state_path("step-7.h5.partial"), F_OK) != 0);
    for (int b = 0; b < SHAPES; b++) {
      titan_checkpoint_fault fault = TITAN_CHECKPOINT_SYSTEM;
      if (shape_ranks(shapes[b]) > test_size())
        continue;
      if (test_size() == 8 && shape_ranks(shapes[a]) < 8 && shape_ranks(shapes[b]) < 8)
        continue; // seen with fewer ranks
      if (!on_each && b != a && b != 0)
        continue;
      state to = state_create(shapes[b], TITAN_FLOAT32);
      state_each(&to, state_spoil);
      expect_on_all(state_load(&to, true, state_path("step-7.h5"), &fault) == TITAN_OK);
      expect_on_all(state_each(&to, state_check));
      state_destroy(&to);
    }
    state_destroy(&from);
  }
}

static void every_mesh_loads_what_every_mesh_saves(void **unused) {
  (void)unused;
  save_and_load(true);
}

// No tensor of the small model is as long as the program's pieces; with pieces of 4 KiB nearly all are longer.
static void every_mesh_loads_and_saves_in_small_pieces(void **unused) {
  (void)unused;
  state_piece = 4096;
  save_and_load(false);
  state_piece = 0;
}

// As on several nodes: every page of the file has one rank that writes it.
static void every_mesh_saves_without_sharing_pages(void **unused) {
  (void)unused;
  state_apart = true;
  save_and_load(false);
  state_apart = false;
}

static bool moment_is_zero(float *element, int64_t parameter, int group, int64_t row, int64_t column) {
  return group == TITAN_CHECKPOINT_MODEL ? state_check(element, parameter, group, row, column) : *element == 0;
}

static void moments_that_are_not_wanted_or_not_there_begin_at_zero(void **unused) {
  (void)unused;
  titan_checkpoint_fault fault;
  shape all = {1, test_size(), 1};
  state s = state_create(all, TITAN_FLOAT32);
  titan_save_request request = {.path = state_path("step-7.h5")};
  state_each(&s, state_set);
  expect_on_all(state_save(&s, TITAN_SAVE_AT_ONCE, &request) == TITAN_OK);
  state_each(&s, state_spoil);
  expect_on_all(state_load(&s, false, request.path, &fault) == TITAN_OK);
  expect_on_all(state_each(&s, moment_is_zero));
  request.model_only = true;
  state_each(&s, state_set);
  expect_on_all(state_save(&s, TITAN_SAVE_AT_ONCE, &request) == TITAN_OK);
  state_each(&s, state_spoil);
  expect_on_all(state_load(&s, true, request.path, &fault) == TITAN_OK);
  expect_on_all(state_each(&s, moment_is_zero));
  state_destroy(&s);
}

static bool is_half(float *element, int64_t parameter, int group, int64_t row, int64_t column) {
  uint16_t half = titan_half_from_float(state_value(parameter, group, row, column));
  return group != TITAN_CHECKPOINT_MODEL || *element == titan_half_to_float(half);
}

static bool is_bfloat16(float *element, int64_t parameter, int group, int64_t row, int64_t column) {
  titan_bf16 rounded = titan_bf16_from_float(state_value(parameter, group, row, column));
  return group != TITAN_CHECKPOINT_MODEL || *element == titan_bf16_to_float(rounded);
}

static void weights_are_saved_in_16_bits_rounded_to_nearest(void **unused) {
  (void)unused;
  titan_checkpoint_fault fault;
  shape all = {1, test_size(), 1};
  state s = state_create(all, TITAN_FLOAT32);
  titan_save_request request = {.path = state_path("step-7.h5"), .model_only = true, .number = TITAN_NUMBER_FLOAT16};
  for (int round = 0; round < 2; round++) {
    state_each(&s, state_set);
    expect_on_all(state_save(&s, TITAN_SAVE_AT_ONCE, &request) == TITAN_OK);
    expect_on_all(state_load(&s, true, request.path, &fault) == TITAN_OK);
    expect_on_all(state_each(&s, round == 0 ? is_half : is_bfloat16));
    request.number = TITAN_NUMBER_BFLOAT16;
  }
  state_destroy(&s);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_mesh_loads_what_every_mesh_saves),
      cmocka_unit_test(every_mesh_loads_and_saves_in_small_pieces),
      cmocka_unit_test(every_mesh_saves_without_sharing_pages),
      cmocka_unit_test(moments_that_are_not_wanted_or_not_there_begin_at_zero),
      cmocka_unit_test(weights_are_saved_in_16_bits_rounded_to_nearest),
  };
  begin_mpi_tests(&argc, &argv);
  return end_mpi_tests(cmocka_run_group_tests(tests, state_make_folder, state_remove_folder));
}
