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
                 "curve; the decay takes the steps that the warm-up leaves");
  expect_warning("[training]\nsteps = 10\nwarmup_steps = 4\n[lr_scheduler]\ndecay_ratio = 0.6\n", NULL);
  expect_warning("[training]\nsteps = 10\nwarmup_steps = 4\n[lr_scheduler]\ndecay_ratio = 0.6\ntotal_steps = 10\n",
                 NULL);
  expect_warning(
      "[training]\nsteps = 10\nwarmup_steps = 4\n[lr_scheduler]\ntotal_steps = 9\n",
      "lr_scheduler.total_steps = 9 (@:5): training.steps = 10 is more; from step 10 on, the learning rate is "
      "where the decay ends");
  expect_warning("[training]\nsteps = 10\nwarmup_steps = 4\n[lr_scheduler]\ntotal_steps = 20\ndecay_ratio = 0.7\n",
                 NULL);
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

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_curve_outside_of_its_range_is_refused),
      cmocka_unit_test(a_curve_that_is_not_what_its_options_say_is_warned_about),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
