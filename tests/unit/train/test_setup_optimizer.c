// SPDX-License-Identifier: Apache-2.0
// Property: each option of the optimizer and of its schedule arrives in titan_optimizer_options. Oracle: the values
// given.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include "base/memory.h"
#include "setup/setup.h"

#include <stdio.h>
#include <string.h>

static titan_optimizer_options options_with(const char *const (*settings)[2], int count) {
  titan_config *config;
  assert_int_equal(titan_config_create_default(&config), TITAN_OK);
  for (int i = 0; i < count; i++)
    if (titan_config_set(config, settings[i][0], settings[i][1]) != TITAN_OK)
      fail_msg("%s", titan_error_message());
  titan_optimizer_options options = titan_setup_optimizer_options(config);
  titan_config_destroy(&config);
  return options;
}

static void the_curve_of_the_learning_rate_is_the_one_asked_for(void **state) {
  (void)state;
  titan_optimizer_options options = options_with(NULL, 0);
  assert_int_equal(options.curve.decay, TITAN_LR_LINEAR);
  assert_false(options.curve.has_decay_ratio);
  assert_true(options.curve.minimum == 0);
  assert_int_equal(options.total_steps, 10000);
  assert_int_equal(options.warmup_steps, 200);
  static const struct {
    const char *word;
    titan_lr_decay decay;
  } kinds[] = {{"linear", TITAN_LR_LINEAR}, {"sqrt", TITAN_LR_SQRT}, {"cosine", TITAN_LR_COSINE}};
  for (int i = 0; i < 3; i++) {
    const char *const settings[][2] = {{"lr_scheduler.decay_type", kinds[i].word},
                                       {"lr_scheduler.decay_ratio", "0"},
                                       {"lr_scheduler.lr_min", "0.25"},
                                       {"lr_scheduler.total_steps", "77"},
                                       {"training.steps", "50"}};
    options = options_with(settings, i == 0 ? 3 : 5);
    assert_int_equal(options.curve.decay, kinds[i].decay);
    assert_true(options.curve.has_decay_ratio && options.curve.decay_ratio == 0);
    assert_true(options.curve.minimum == 0.25);
    assert_int_equal(options.total_steps, i == 0 ? 10000 : 77);
  }
}

static void the_constants_of_the_optimizer_are_those_asked_for(void **state) {
  (void)state;
  titan_optimizer_options options = options_with(NULL, 0);
  assert_true(options.rule == &titan_optimizer_rule_adamw && options.learning_rate == 8e-4 && options.beta1 == 0.9 &&
              options.beta2 == 0.95);
  assert_true(options.epsilon == 1e-8 && options.weight_decay == 0.1 && options.max_norm == 1);
  static const char *const settings[][2] = {
      {"optimizer.name", "Adam"},   {"optimizer.lr", "0.5"},   {"optimizer.beta1", "0.25"},
      {"optimizer.beta2", "0.125"}, {"optimizer.eps", "1e-3"}, {"optimizer.weight_decay", "0.75"},
  };
  options = options_with(settings, 6);
  assert_true(options.rule == &titan_optimizer_rule_adam && options.learning_rate == 0.5 && options.beta1 == 0.25 &&
              options.beta2 == 0.125);
  assert_true(options.epsilon == 1e-3 && options.weight_decay == 0.75);
}

static int tear_down(void **state) {
  (void)state;
  return titan_memory_report_leaks() == 0 ? 0 : -1;
}

static char warning[256];

static void keep_warning(void *context, const char *line) {
  (void)context;
  assert_true(warning[0] == '\0'); // one line at most
  snprintf(warning, sizeof warning, "%s", line);
}

// With a device, of what has no effect on it.
static void expect_warning_of(const titan_device *device, const char *const (*settings)[2], int count,
                              const char *expected) {
  titan_config *config;
  warning[0] = '\0';
  assert_int_equal(titan_config_create_default(&config), TITAN_OK);
  for (int i = 0; i < count; i++)
    assert_int_equal(titan_config_set(config, settings[i][0], settings[i][1]), TITAN_OK);
  assert_int_equal(device != NULL ? titan_setup_device_warnings(config, device, keep_warning, NULL)
                                  : titan_setup_warnings(config, keep_warning, NULL),
                   TITAN_OK);
  if (strstr(warning, expected) == NULL || (*expected == '\0') != (*warning == '\0'))
    fail_msg("\"%s\" is not in \"%s\"", expected, warning);
  titan_config_destroy(&config);
}

static void expect_warning(const char *const (*settings)[2], int count, const char *expected) {
  expect_warning_of(NULL, settings, count, expected);
}

static void constants_of_another_optimizer_are_warned_about(void **state) {
  (void)state;
  const char *const of_sgd[][2] = {{"optimizer.momentum", "0.9"}};
  expect_warning(of_sgd, 1, ": no effect, as optimizer.name is AdamW");
  expect_warning(of_sgd, 1, "optimizer.momentum (");
  const char *const of_adam[][2] = {{"optimizer.name", "SGD"}, {"optimizer.beta2", "0.9"}, {"optimizer.eps", "1e-9"}};
  expect_warning(of_adam, 3, "optimizer.beta2 (");
  expect_warning(of_adam, 3, ", optimizer.eps (");
  const char *const own[][2] = {{"optimizer.name", "SGD"}, {"optimizer.momentum", "0.5"}};
  expect_warning(own, 2, "");
  const char *const adam[][2] = {{"optimizer.name", "Adam"}, {"optimizer.beta1", "0.5"}, {"optimizer.eps", "1e-9"}};
  expect_warning(adam, 3, "");
}

static void an_offload_that_moves_nothing_is_told(void **state) {
  (void)state;
  const char *const off[][2] = {{"training.enable_cpu_offload", "false"}};
  const titan_queue_functions queues = {0};
  const titan_device cpu = {.level = "avx2"}, apart = {.level = "avx2", .queues = &queues};
  expect_warning_of(&cpu, off, 1, "");
  const char *const on[][2] = {{"training.enable_cpu_offload", "true"},
                               {"memory_estimation.device", "h100-80g"},
                               {"memory_estimation.enabled", "true"}};
  expect_warning_of(&cpu, on, 1, "training.enable_cpu_offload = true (");
  expect_warning_of(&cpu, on, 1, "nothing is moved");
  expect_warning_of(&cpu, on, 2, "nothing is moved"); // no estimate
  expect_warning_of(&cpu, on, 3, "");
  expect_warning_of(&apart, on, 1, "");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_curve_of_the_learning_rate_is_the_one_asked_for),
      cmocka_unit_test(the_constants_of_the_optimizer_are_those_asked_for),
      cmocka_unit_test(constants_of_another_optimizer_are_warned_about),
      cmocka_unit_test(an_offload_that_moves_nothing_is_told),
  };
  return cmocka_run_group_tests(tests, NULL, tear_down);
}
