// SPDX-License-Identifier: Apache-2.0
// Saving beside the computation, failing, and the file's contents.
#include "state.h"

#include <sys/resource.h>
#include <sys/stat.h>

static titan_checkpoint_file *open_good(const char *path) {
  titan_checkpoint_file *file = NULL;
  titan_checkpoint_fault fault;
  expect_on_all(titan_checkpoint_file_open(path, &file, &fault) == TITAN_OK);
  expect_on_all(titan_checkpoint_file_verify(file, NULL, NULL, NULL) == TITAN_OK);
  return file;
}

static void a_save_beside_the_computation_writes_the_state_at_its_start(void **unused) {
  (void)unused;
  static const titan_save_mode modes[] = {TITAN_SAVE_ASYNC, TITAN_SAVE_ASYNC_PINNED};
  shape all = {test_size() % 4 == 0 ? 2 : 1, test_size() % 4 == 0 ? test_size() / 2 : test_size(), 1};
  for (int m = 0; m < 2; m++) {
    titan_checkpoint_fault fault;
    state s = state_create(all, TITAN_FLOAT32);
    titan_save_request request = {.path = state_path("step-7.h5")};
    state_each(&s, state_set);
    // Once the copy is made, state_save writes over the state.
    expect_on_all(state_save(&s, modes[m], &request) == TITAN_OK);
    expect_on_all(!state_each(&s, state_check));
    expect_on_all(state_load(&s, true, request.path, &fault) == TITAN_OK);
    expect_on_all(state_each(&s, state_check));
    state_destroy(&s);
  }
}

static void the_file_gives_back_its_contents(void **unused) {
  (void)unused;
  shape all = {1, test_size(), 1};
  state s = state_create(all, TITAN_FLOAT32);
  titan_save_request request = {.path = state_path("step-7.h5")};
  titan_checkpoint_contents wanted = state_contents();
  state_each(&s, state_set);
  expect_on_all(state_save(&s, TITAN_SAVE_AT_ONCE, &request) == TITAN_OK);
  titan_checkpoint_file *file = open_good(request.path);
  const titan_checkpoint_contents *c = &file->contents;
  expect_on_all(c->step == wanted.step && c->tokens == wanted.tokens && c->tokenizer == wanted.tokenizer);
  expect_on_all(strcmp(c->configuration, wanted.configuration) == 0 && strcmp(c->model_flavor, "small") == 0);
  expect_on_all(c->program == NULL && strcmp(c->optimizer, "AdamW") == 0);
  expect_on_all(c->model.dim == wanted.model.dim && c->model.vocabulary == SMALL_VOCABULARY &&
                c->model.norm_type == wanted.model.norm_type && c->model.rope_theta == wanted.model.rope_theta);
  expect_on_all(c->has_state && c->log_count == 2 && c->log_steps[1] == 5 && c->log_mean[1] == 6.25 &&
                c->log_max[0] == 8);
  expect_on_all(c->has_data && c->lane_count == 2 && c->seq_len == 16 && c->corpus == wanted.corpus);
  expect_on_all(memcmp(c->cursors, wanted.cursors, 8 * sizeof *c->cursors) == 0);
  titan_checkpoint_group moments;
  expect_on_all(titan_checkpoint_group_of("exp_avg", &moments) == TITAN_OK);
  int embedding = titan_checkpoint_file_find(file, moments, "tok_embeddings.weight");
  expect_on_all(embedding >= 0 && file->tensors[embedding].dims[0] == SMALL_VOCABULARY);
  titan_checkpoint_file_close(&file);
  state_destroy(&s);
}

// A limit on the size of files stands for a full disk: the system refuses to give room beyond it.
static void without_room_a_save_fails_and_the_next_one_is_good(void **unused) {
  (void)unused;
  shape all = {1, test_size(), 1};
  state s = state_create(all, TITAN_FLOAT32);
  titan_save_request request = {.path = state_path("step-8.h5")};
  struct rlimit before, small;
  getrlimit(RLIMIT_FSIZE, &before);
  small = before;
  state_each(&s, state_set);
  for (rlim_t bytes = 1000; bytes < 3000000; bytes *= 10) {
    small.rlim_cur = bytes;
    setrlimit(RLIMIT_FSIZE, &small);
    expect_on_all(state_save(&s, TITAN_SAVE_AT_ONCE, &request) == TITAN_ERROR_CHECKPOINT);
    setrlimit(RLIMIT_FSIZE, &before);
    expect_on_all(strstr(titan_error_message(), "step-8.h5") != NULL);
    expect_on_all(access(state_path("step-8.h5"), F_OK) != 0 && access(state_path("step-8.h5.partial"), F_OK) != 0);
  }
  request.path = state_path("step-8.h5");
  expect_on_all(state_save(&s, TITAN_SAVE_AT_ONCE, &request) == TITAN_OK);
  titan_checkpoint_file *file = open_good(request.path);
  titan_checkpoint_file_close(&file);
  state_destroy(&s);
}

static bool enlarge(float *element, int64_t parameter, int group, int64_t row, int64_t column) {
  *element = parameter == 1 && group == TITAN_CHECKPOINT_MODEL && row == 0 && column == 3
                 ? 65520.0f
                 : state_value(parameter, group, row, column);
  return true;
}

// What float16 cannot hold is not saved as infinite, and what was saved before stays.
static void a_value_too_large_for_float16_fails_the_save(void **unused) {
  (void)unused;
  shape all = {1, test_size(), 1};
  state s = state_create(all, TITAN_FLOAT32);
  titan_checkpoint_layout *layout;
  titan_save_request request = {.path = state_path("step-7.h5"), .model_only = true, .number = TITAN_NUMBER_FLOAT16};
  expect_on_all(titan_checkpoint_layout_create(s.runtime, false, &layout) == TITAN_OK);
  state_each(&s, state_set);
  expect_on_all(state_save(&s, TITAN_SAVE_AT_ONCE, &request) == TITAN_OK);
  state_each(&s, enlarge);
  expect_on_all(state_save(&s, TITAN_SAVE_AT_ONCE, &request) == TITAN_ERROR_CHECKPOINT);
  expect_on_all(strstr(titan_error_message(), "holds 65520, which float16 cannot (65504 at most)") != NULL);
  expect_on_all(strstr(titan_error_message(), layout->parameters[1].name) != NULL);
  expect_on_all(access(state_path("step-7.h5.partial"), F_OK) != 0);
  titan_checkpoint_file *file = open_good(state_path("step-7.h5"));
  titan_checkpoint_file_close(&file);
  request.path = state_path("step-7.h5");
  request.number = TITAN_NUMBER_BFLOAT16;
  expect_on_all(state_save(&s, TITAN_SAVE_AT_ONCE, &request) == TITAN_OK);
  titan_checkpoint_layout_destroy(&layout);
  state_destroy(&s);
}

static void make_text(const char *path) {
  if (test_rank() == 0) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("mine", file);
    fclose(file);
  }
  MPI_Barrier(MPI_COMM_WORLD);
}

static bool is_text(const char *path) {
  char text[8] = "";
  FILE *file = fopen(path, "r");
  bool good = file != NULL && fgets(text, sizeof text, file) != NULL && strcmp(text, "mine") == 0;
  if (file != NULL)
    fclose(file);
  return good;
}

// Neither the finished file nor the one it is written as; through a symbolic link neither.
static void what_is_in_the_way_is_not_written_over(void **unused) {
  (void)unused;
  shape all = {1, test_size(), 1};
  state s = state_create(all, TITAN_FLOAT32);
  static char path[160], partial[180], other[160];
  snprintf(path, sizeof path, "%s", state_path("step-9.h5"));
  snprintf(other, sizeof other, "%s", state_path("mine.txt"));
  snprintf(partial, sizeof partial, "%s.partial", path);
  titan_save_request request = {.path = path};
  state_each(&s, state_set);
  make_text(path);
  expect_on_all(state_save_new(&s, TITAN_SAVE_AT_ONCE, &request) == TITAN_ERROR_CHECKPOINT);
  expect_on_all(strstr(titan_error_message(), "step-9.h5 exists") != NULL && is_text(path));
  for (int link = 0; link < 2; link++) {
    make_text(other);
    if (test_rank() == 0)
      assert_int_equal(link ? symlink(other, partial) : rename(other, partial), 0);
    MPI_Barrier(MPI_COMM_WORLD);
    expect_on_all(state_save(&s, TITAN_SAVE_AT_ONCE, &request) == TITAN_ERROR_CHECKPOINT);
    expect_on_all(strstr(titan_error_message(), "step-9.h5.partial is in the way") != NULL);
    expect_on_all(is_text(partial) && is_text(path));
    MPI_Barrier(MPI_COMM_WORLD);
    if (test_rank() == 0)
      unlink(partial);
  }
  MPI_Barrier(MPI_COMM_WORLD);
  expect_on_all(state_save(&s, TITAN_SAVE_AT_ONCE, &request) == TITAN_OK);
  state_destroy(&s);
}

static void a_folder_that_is_missing_is_told_and_leaves_the_saver_usable(void **unused) {
  (void)unused;
  shape all = {1, test_size(), 1};
  state s = state_create(all, TITAN_FLOAT32);
  static char path[160];
  snprintf(path, sizeof path, "%s", state_path("nowhere/step-7.h5"));
  titan_save_request request = {.path = path};
  for (int mode = TITAN_SAVE_AT_ONCE; mode <= TITAN_SAVE_ASYNC_PINNED; mode++) {
    expect_on_all(state_save(&s, (titan_save_mode)mode, &request) == TITAN_ERROR_CHECKPOINT);
    expect_on_all(strstr(titan_error_message(), "No such file") != NULL);
  }
  state_destroy(&s);
}

// Saves beside the training take less than the last save, which is at once, where the copy is small; `beside` is what
// is then expected: the copy, and what verifying adds.
static void check_staging(state *s, titan_save_mode mode, size_t *beside) {
  titan_save_request request = {.path = state_path("step-7.h5")};
  titan_memory_reset_peaks();
  expect_on_all(state_save(s, mode, &request) == TITAN_OK);
  size_t peak = titan_memory_usage_of(TITAN_MEMORY_CHECKPOINT).peak_bytes;
  size_t announced = titan_checkpoint_staging_bytes(s->runtime, mode, state_verify);
  expect_on_all(peak <= announced && peak > 0);
  expect_on_all(mode != TITAN_SAVE_AT_ONCE || peak == announced);
  expect_on_all(titan_memory_usage_of(TITAN_MEMORY_CHECKPOINT).live_bytes == 0);
  *beside = peak;
}

static void a_save_takes_the_staging_memory_that_was_announced(void **unused) {
  (void)unused;
  for (int tp = 1; tp <= 2 && tp <= test_size(); tp++) {
    shape all = {1, test_size() / tp, tp};
    state s = state_create(all, TITAN_FLOAT32);
    titan_checkpoint_layout *layout;
    expect_on_all(titan_checkpoint_layout_create(s.runtime, true, &layout) == TITAN_OK);
    uint64_t written = (uint64_t)(layout->kept_count * layout->slab_elements) * sizeof(float);
    state_each(&s, state_set);
    for (int mode = TITAN_SAVE_AT_ONCE; mode <= TITAN_SAVE_ASYNC_PINNED; mode++) {
      size_t plain, verified;
      state_verify = false;
      check_staging(&s, (titan_save_mode)mode, &plain);
      state_verify = true;
      check_staging(&s, (titan_save_mode)mode, &verified);
      size_t more = mode == TITAN_SAVE_AT_ONCE ? 0 : titan_checkpoint_writer_verify_bytes(written);
      expect_on_all(verified == plain + more);
    }
    state_verify = false;
    titan_checkpoint_layout_destroy(&layout);
    state_destroy(&s);
  }
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_save_beside_the_computation_writes_the_state_at_its_start),
      cmocka_unit_test(the_file_gives_back_its_contents),
      cmocka_unit_test(without_room_a_save_fails_and_the_next_one_is_good),
      cmocka_unit_test(a_value_too_large_for_float16_fails_the_save),
      cmocka_unit_test(what_is_in_the_way_is_not_written_over),
      cmocka_unit_test(a_folder_that_is_missing_is_told_and_leaves_the_saver_usable),
      cmocka_unit_test(a_save_takes_the_staging_memory_that_was_announced),
  };
  begin_mpi_tests(&argc, &argv);
  return end_mpi_tests(cmocka_run_group_tests(tests, state_make_folder, state_remove_folder));
}
