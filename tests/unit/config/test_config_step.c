// SPDX-License-Identifier: Apache-2.0
// Property: the options of the learning rate's curve, of the optimizer, of the global batch and of validation take what
// they should, refuse the rest with file, line and key, and warn where they have less effect than they say. Oracle: the
// messages, written out here.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include "base/memory.h"
#include "config/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINES = 8 };

static char path[] = "/tmp/titan_config_step_XXXXXX.toml";

static titan_status read_text(const char *text, titan_config **config) {
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  assert_true(fputs(text, file) >= 0);
  assert_int_equal(fclose(file), 0);
  const char *const argv[] = {"titan-hpc", "--job.config_file", path};
  return titan_config_create(3, argv, config);
}

static titan_config *read_well(const char *text) {
  titan_config *config;
  if (read_text(text, &config) != TITAN_OK)
    fail_msg("%s: %s", text, titan_error_message());
  return config;
}

// One wrong line after a section's: the message is "FILE:2: " and `expected`.
static void expect_refused(const char *section, const char *line, const char *expected) {
  char text[256], message[512];
  titan_config *config;
  snprintf(text, sizeof text, "[%s]\n%s\n", section, line);
  snprintf(message, sizeof message, "%s:2: %s.%s", path, section, expected);
  assert_int_equal(read_text(text, &config), TITAN_ERROR_USAGE);
  assert_null(config);
  assert_string_equal(titan_error_message(), message);
}

typedef struct lines {
  int count;
  char text[LINES][512];
} lines;

static void collect(void *context, const char *line) {
  lines *all = context;
  assert_true(all->count < LINES);
  snprintf(all->text[all->count++], sizeof all->text[0], "%s", line);
}

// Warnings of a file with these lines; "@" in `expected` stands for the file.
static void expect_warning(const char *text, const char *expected) {
  titan_config *config = read_well(text);
  lines warnings = {0};
  assert_int_equal(titan_config_warnings(config, collect, &warnings), TITAN_OK);
  titan_config_destroy(&config);
  if (expected == NULL) {
    if (warnings.count > 0)
      fail_msg("%s: a warning: %s", text, warnings.text[0]);
    return;
  }
  char message[512] = "";
  const char *at = strchr(expected, '@');
  assert_non_null(at);
  snprintf(message, sizeof message, "%.*s%s%s", (int)(at - expected), expected, path, at + 1);
  assert_int_equal(warnings.count, 1);
  assert_string_equal(warnings.text[0], message);
}

static void a_curve_outside_of_its_range_is_refused(void **state) {
  (void)state;
  expect_refused("lr_scheduler", "decay_type = 'exponential'",
                 "decay_type: expected one of linear, sqrt, cosine, got \"exponential\"");
  expect_refused("lr_scheduler", "decay_ratio = 1.01", "decay_ratio: expected a number from 0 to 1, or -1, got 1.01");
  expect_refused("lr_scheduler", "decay_ratio = -0.5", "decay_ratio: expected a number from 0 to 1, or -1, got -0.5");
  expect_refused("lr_scheduler", "decay_ratio = nan", "decay_ratio: expected a number from 0 to 1, or -1, got nan");
  expect_refused("lr_scheduler", "lr_min = 1.5", "lr_min: expected a number from 0 to 1, got 1.5");
  expect_refused("lr_scheduler", "lr_min = -0.1", "lr_min: expected a number from 0 to 1, got -0.1");
  expect_refused("lr_scheduler", "total_steps = 0", "total_steps: expected an integer of at least 1, or -1, got 0");
  titan_config *config =
      read_well("[lr_scheduler]\ndecay_type = 'sqrt'\ndecay_ratio = 1\nlr_min = 1\ntotal_steps = 7\n");
  assert_string_equal(config->lr_scheduler.decay_type, "sqrt");
  assert_true(config->lr_scheduler.decay_ratio == 1 && config->lr_scheduler.lr_min == 1);
  assert_int_equal(config->lr_scheduler.total_steps, 7);
  assert_int_equal(titan_config_validate(config, 1), TITAN_OK);
  config->lr_scheduler.decay_ratio = 2;
  config->lr_scheduler.lr_min = -1;
  assert_int_equal(titan_config_validate(config, 1), TITAN_ERROR_USAGE);
  assert_non_null(
      strstr(titan_error_message(), "lr_scheduler.decay_ratio = 2.0: expected a number from 0 to 1, or -1"));
  assert_non_null(strstr(titan_error_message(), "lr_scheduler.lr_min = -1.0: expected a number from 0 to 1"));
  titan_config_destroy(&config);
}

static void a_curve_that_is_not_what_its_options_say_is_warned_about(void **state) {
  (void)state;
  expect_warning("[training]\nsteps = 10\nwarmup_steps = 4\n[lr_scheduler]\ndecay_ratio = 0.7\n",
                 "lr_scheduler.decay_ratio = 0.7 (@:5): 4 steps of warm-up and 7 of decay are more than the 10 of the "
                 "curve; the decay gets the steps after the warm-up");
  expect_warning("[training]\nsteps = 10\nwarmup_steps = 4\n[lr_scheduler]\ndecay_ratio = 0.6\n", NULL);
  expect_warning("[training]\nsteps = 10\nwarmup_steps = 4\n[lr_scheduler]\ndecay_ratio = 0.6\ntotal_steps = 10\n",
                 NULL);
  expect_warning("[training]\nsteps = 10\nwarmup_steps = 4\n[lr_scheduler]\ntotal_steps = 9\n",
                 "lr_scheduler.total_steps = 9 (@:5): training.steps = 10 is more; from step 10 on, the learning rate "
                 "stays at the end of the decay");
  expect_warning("[training]\nsteps = 10\nwarmup_steps = 4\n[lr_scheduler]\ntotal_steps = 20\ndecay_ratio = 0.7\n",
                 NULL);
}

static void constants_of_optimizers_outside_of_their_range_are_refused(void **state) {
  (void)state;
  expect_refused("optimizer", "beta1 = 1", "beta1: expected a number of at least 0 and below 1, got 1");
  expect_refused("optimizer", "beta1 = -0.1", "beta1: expected a number of at least 0 and below 1, got -0.1");
  expect_refused("optimizer", "beta2 = 1.0", "beta2: expected a number of at least 0 and below 1, got 1.0");
  expect_refused("optimizer", "eps = 0", "eps: expected a number above 0, got 0");
  expect_refused("optimizer", "weight_decay = -0.1", "weight_decay: expected a number of at least 0, got -0.1");
  expect_refused("optimizer", "momentum = 1", "momentum: expected a number of at least 0 and below 1, got 1");
  titan_config *config = read_well("[optimizer]\nbeta1 = 0\nbeta2 = 0.999\neps = 1e-6\nweight_decay = 0\n");
  assert_true(config->optimizer.beta1 == 0 && config->optimizer.beta2 == 0.999);
  assert_true(config->optimizer.eps == 1e-6 && config->optimizer.weight_decay == 0);
  assert_int_equal(titan_config_validate(config, 1), TITAN_OK);
  titan_config_destroy(&config);
}

static void roles_without_weight_decay_are_known_words(void **state) {
  (void)state;
  static const char expected[] = "no_decay: expected a comma-separated list or an array of strings, each one of norm, "
                                 "embedding, output, got ";
  static const char *const wrong[][2] = {{"'bias'", "\"bias\""},
                                         {"'norm,bias'", "\"norm,bias\""},
                                         {"['norm', 'bias']", "\"norm,bias\""},
                                         {"'norm,'", "\"norm,\""},
                                         {"',norm'", "\",norm\""},
                                         {"'nor'", "\"nor\""},
                                         {"'norms'", "\"norms\""},
                                         {"3", "3"}};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    char line[64], message[256];
    snprintf(line, sizeof line, "no_decay = %s", wrong[i][0]);
    snprintf(message, sizeof message, "%s%s", expected, wrong[i][1]);
    expect_refused("optimizer", line, message);
  }
  static const char *const right[][2] = {{"'norm'", "norm"},
                                         {"'output,norm,embedding'", "output,norm,embedding"},
                                         {"['embedding', 'norm']", "embedding,norm"},
                                         {"''", NULL},
                                         {"[]", NULL}};
  for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
    char text[64];
    snprintf(text, sizeof text, "[optimizer]\nno_decay = %s\n", right[i][0]);
    titan_config *config = read_well(text);
    if (right[i][1] == NULL)
      assert_null(config->optimizer.no_decay);
    else
      assert_string_equal(config->optimizer.no_decay, right[i][1]);
    titan_config_destroy(&config);
  }
}

static void validation_outside_of_its_range_is_refused(void **state) {
  (void)state;
  expect_refused("validation", "freq = 0", "freq: expected an integer of at least 1, got 0");
  expect_refused("validation", "freq = -1", "freq: expected an integer of at least 1, got -1");
  expect_refused("validation", "steps = 0", "steps: expected an integer of at least 1, or -1, got 0");
  expect_refused("validation", "seq_len = -1", "seq_len: expected an integer of at least 0, got -1");
  expect_refused("validation", "local_batch_size = -1", "local_batch_size: expected an integer of at least 0, got -1");
  expect_refused("validation", "dataset = 'pile'",
                 "dataset: expected one of c4_validation, c4_test, c4_mini, c4, got \"pile\"");
}

// A corpus that is not read needs no files.
static void a_validation_corpus_that_is_not_installed_needs_its_path(void **state) {
  (void)state;
  static const char *const names[] = {"c4", "c4_validation"};
  for (int i = 0; i < 2; i++)
    for (int enabled = 0; enabled < 2; enabled++)
      for (int path_given = 0; path_given < 2; path_given++) {
        char text[160], expected[160];
        snprintf(text, sizeof text, "[validation]\nenabled = %s\ndataset = '%s'\n%s", enabled ? "true" : "false",
                 names[i], path_given ? "dataset_path = 'x.jsonl'\n" : "");
        snprintf(expected, sizeof expected,
                 "validation.dataset = %s: this corpus is not installed with the program; give "
                 "its file or folder as validation.dataset_path, or use c4_test or c4_mini",
                 names[i]);
        titan_config *config = read_well(text);
        titan_status status = titan_config_validate(config, 1);
        const char *message = status == TITAN_OK ? "" : titan_error_message();
        assert_int_equal(strstr(message, expected) != NULL, enabled && !path_given);
        titan_config_destroy(&config);
      }
}

static void options_of_a_pipeline_without_one_are_warned_about_on_the_command_line(void **state) {
  (void)state;
  const char *const argv[] = {"titan-hpc", "--experimental.pipeline_parallel_schedule", "GPipe",
                              "--experimental.pipeline_parallel_microbatches", "2"};
  titan_config *config;
  lines warnings = {0};
  assert_int_equal(titan_config_create(5, argv, &config), TITAN_OK);
  assert_int_equal(titan_config_warnings(config, collect, &warnings), TITAN_OK);
  assert_int_equal(warnings.count, 1);
  assert_string_equal(warnings.text[0], "experimental.pipeline_parallel_schedule = GPipe (command line), "
                                        "experimental.pipeline_parallel_microbatches = 2 (command line): no effect, as "
                                        "experimental.pipeline_parallel_degree is 1");
  config->experimental.pipeline_parallel_degree = 2;
  warnings.count = 0;
  assert_int_equal(titan_config_warnings(config, collect, &warnings), TITAN_OK);
  assert_int_equal(warnings.count, 0);
  titan_config_destroy(&config);
}

static void options_of_validation_without_it_are_warned_about_on_the_command_line(void **state) {
  (void)state;
  const char *const argv[] = {"titan-hpc", "--validation.freq", "5", "--validation.steps", "2"};
  titan_config *config;
  lines warnings = {0};
  assert_int_equal(titan_config_create(5, argv, &config), TITAN_OK);
  assert_int_equal(titan_config_warnings(config, collect, &warnings), TITAN_OK);
  assert_int_equal(warnings.count, 1);
  assert_string_equal(warnings.text[0], "validation.freq (command line) has no effect: validation.enabled is off");
  config->validation.enabled = true;
  warnings.count = 0;
  assert_int_equal(titan_config_warnings(config, collect, &warnings), TITAN_OK);
  assert_int_equal(warnings.count, 0);
  titan_config_destroy(&config);
  expect_warning("[validation]\nfreq = 5\n", NULL); // a file has it for the day when it is turned on
}

// 4 sequences on each rank; tensor parallelism takes ranks away from the data.
static void a_global_batch_is_a_whole_number_of_batches_on_each_rank(void **state) {
  (void)state;
  static const struct {
    int global, replicate, tensor, ranks;
    const char *wrong; // after the file's place
  } cases[] = {
      {8, 1, 1, 2, NULL},
      {24, 1, 1, 2, NULL},
      {4, 1, 2, 2, NULL},
      {24, 2, 2, 12, NULL},
      {4, 1, 1, 2, "times the number of data-parallel ranks, 2; the nearest: 8"},
      {1, 1, 1, 1, "times the number of data-parallel ranks, 1; the nearest: 4"},
      {12, 1, 1, 2, "times the number of data-parallel ranks, 2; the nearest: 8 or 16"},
      {36, 2, 2, 12, "times the number of data-parallel ranks, 6; the nearest: 24 or 48"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char text[256], expected[512];
    snprintf(text, sizeof text,
             "[training]\nglobal_batch_size = %d\nbatch_size = 4\ndata_parallel_replicate_degree = %d\n"
             "tensor_parallel_degree = %d\n",
             cases[i].global, cases[i].replicate, cases[i].tensor);
    titan_config *config = read_well(text);
    titan_status status = titan_config_validate(config, cases[i].ranks);
    const char *message = status == TITAN_OK ? "" : titan_error_message();
    snprintf(expected, sizeof expected,
             "training.global_batch_size = %d (%s:2): expected a whole multiple of training.batch_size = 4 (%s:3) %s",
             cases[i].global, path, path, cases[i].wrong != NULL ? cases[i].wrong : "");
    bool told = strstr(message, expected) != NULL;
    if (told != (cases[i].wrong != NULL) || (strstr(message, "whole multiple") != NULL) != told)
      fail_msg("global batch %d, %d ranks: %s", cases[i].global, cases[i].ranks, message);
    titan_config_destroy(&config);
  }
}

static int set_up(void **state) {
  (void)state;
  int file = mkstemps(path, 5);
  return file < 0 ? -1 : close(file);
}

static int tear_down(void **state) {
  (void)state;
  unlink(path);
  return titan_memory_report_leaks() == 0 ? 0 : -1;
}

static void a_choice_of_true_and_false_may_be_a_boolean(void **state) {
  (void)state;
  static const char *const right[][2] = {
      {"true", "true"}, {"false", "false"}, {"\"true\"", "true"}, {"\"auto\"", "auto"}};
  for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
    char text[64];
    snprintf(text, sizeof text, "[model]\ntie_embeddings = %s\n", right[i][0]);
    titan_config *config = read_well(text);
    assert_string_equal(config->model.tie_embeddings, right[i][1]);
    titan_config_destroy(&config);
  }
  expect_refused("model", "tie_embeddings = 1", "tie_embeddings: expected one of auto, true, false, got 1");
  expect_refused("metrics", "log_freq = true", "log_freq: expected an integer of at least 1, got true");
  expect_refused("model", "norm_type = true",
                 "norm_type: expected one of layernorm, np_layernorm, rmsnorm, fused_rmsnorm, got true");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_choice_of_true_and_false_may_be_a_boolean),
      cmocka_unit_test(a_curve_outside_of_its_range_is_refused),
      cmocka_unit_test(a_curve_that_is_not_what_its_options_say_is_warned_about),
      cmocka_unit_test(constants_of_optimizers_outside_of_their_range_are_refused),
      cmocka_unit_test(roles_without_weight_decay_are_known_words),
      cmocka_unit_test(validation_outside_of_its_range_is_refused),
      cmocka_unit_test(a_validation_corpus_that_is_not_installed_needs_its_path),
      cmocka_unit_test(options_of_a_pipeline_without_one_are_warned_about_on_the_command_line),
      cmocka_unit_test(options_of_validation_without_it_are_warned_about_on_the_command_line),
      cmocka_unit_test(a_global_batch_is_a_whole_number_of_batches_on_each_rank),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
