// SPDX-License-Identifier: Apache-2.0
// Property: the log lines have the reference's form to the letter. Oracle: strings written out by hand from the
// reference's format specifications; compared exactly.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include "base/memory.h"
#include "observe/energy.h"
#include "observe/report.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const titan_report_step first_step = {.step = 1,
                                             .loss = 8.22113,
                                             .memory_gib = 1.494,
                                             .memory_percent = 12.345,
                                             .tps = 1234567.6,
                                             .mfu = 23.456,
                                             .grad_norm = 1.23456,
                                             .tflops = 0.126,
                                             .lr = 0.00026666,
                                             .seconds_left = 3723.4};

static void a_plain_step_line_is_the_references(void **state) {
  (void)state;
  char text[TITAN_REPORT_BYTES];
  titan_report_step_line(&first_step, false, text, sizeof text);
  assert_string_equal(text, "step:  1  loss:  8.2211  memory:  1.49GiB(12.35%)  tps: 1,234,568  mfu: 23.46%"
                            "  grad_norm:  1.2346  tflops: 0.13  lr: 2.667e-04  time_left: 1:02:03");
}

// Oracle: 1,769,858,000 s is 2026-01-31 11:13:20 in UTC; the end is 3,723 s later.
static void the_end_and_the_slowest_rank_follow_where_they_say_something(void **state) {
  (void)state;
  char text[TITAN_REPORT_BYTES];
  titan_report_step step = first_step;
  setenv("TZ", "UTC", 1);
  tzset();
  step.now = 1769858000;
  step.ranks = 4;
  step.slowest_rank = 3;
  step.slower_percent = 12.4;
  titan_report_step_line(&step, false, text, sizeof text);
  const char *rest = strstr(text, "  time_left");
  assert_non_null(rest);
  assert_string_equal(rest, "  time_left: 1:02:03  end: 01-31 12:15  slowest: rank 3 (+12%)");
  step.seconds_left = 0;
  step.ranks = 1;
  titan_report_step_line(&step, false, text, sizeof text);
  assert_string_equal(strstr(text, "  time_left"), "  time_left: 0:00:00");
}

static void a_coloured_step_line_has_one_colour_a_quantity(void **state) {
  (void)state;
  char text[TITAN_REPORT_BYTES];
  titan_report_step_line(&first_step, true, text, sizeof text);
  assert_string_equal(text, "\033[31mstep:  1  \033[32mloss:  8.2211  \033[33mmemory:  1.49GiB(12.35%)  "
                            "\033[34mtps: 1,234,568  \033[35mmfu: 23.46%\033[39m"
                            "  grad_norm:  1.2346  tflops: 0.13  lr: 2.667e-04  time_left: 1:02:03");
}

static void wide_and_non_finite_numbers_keep_their_digits(void **state) {
  (void)state;
  char text[TITAN_REPORT_BYTES];
  titan_report_step step = {.step = 12345,
                            .loss = 12345.678,
                            .memory_gib = 131.0625,
                            .memory_percent = 100,
                            .tps = 999.4,
                            .seconds_left = 123456};
  step.grad_norm = INFINITY;
  step.loss = NAN;
  titan_report_step_line(&step, false, text, sizeof text);
  assert_string_equal(text, "step: 12345  loss:     nan  memory: 131.06GiB(100.00%)  tps: 999  mfu: 0.00%"
                            "  grad_norm:     inf  tflops: 0.00  lr: 0.000e+00  time_left: 34:17:36");
}

static void integers_get_separators(void **state) {
  (void)state;
  const struct {
    int64_t value;
    const char *text;
  } cases[] = {{0, "0"},
               {999, "999"},
               {1000, "1,000"},
               {7975168, "7,975,168"},
               {-1234567, "-1,234,567"},
               {-100, "-100"},
               {INT64_MAX, "9,223,372,036,854,775,807"},
               {INT64_MIN, "-9,223,372,036,854,775,808"}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    char text[TITAN_REPORT_BYTES];
    titan_report_integer(cases[i].value, text, sizeof text);
    assert_string_equal(text, cases[i].text);
  }
}

static void the_end_line_gives_total_time_and_mean_throughput(void **state) {
  (void)state;
  char text[TITAN_REPORT_BYTES];
  titan_report_end_line(10, 163840, 82.512, text, sizeof text);
  assert_string_equal(text, "Training completed: 10 steps, 163,840 tokens in 82.51 s, mean 1,986 tokens/s");
  titan_report_end_line(1, 16384, 3723.4, text, sizeof text);
  assert_string_equal(text, "Training completed: 1 step, 16,384 tokens in 1 h 02 min 03 s, mean 4 tokens/s");
  titan_report_end_line(0, 0, 0, text, sizeof text);
  assert_string_equal(text, "Training completed: 0 steps, 0 tokens in 0.00 s, mean 0 tokens/s");
}

// stderr of a test is no terminal under CTest; where the system has terminals to give, one takes its place.
static void colours_follow_the_request_and_no_color(void **state) {
  (void)state;
  setenv("TERM", "xterm", 1);
  setenv("NO_COLOR", "1", 1);
  assert_false(titan_report_wants_color(TITAN_COLOR_AUTOMATIC));
  assert_true(titan_report_wants_color(TITAN_COLOR_ALWAYS));
  unsetenv("NO_COLOR");
  setenv("TERM", "dumb", 1);
  assert_false(titan_report_wants_color(TITAN_COLOR_AUTOMATIC));
  setenv("TERM", "xterm", 1);
  assert_false(titan_report_wants_color(TITAN_COLOR_NEVER));
  int terminal, kept = dup(STDERR_FILENO), main_side = posix_openpt(O_RDWR | O_NOCTTY);
  if (main_side >= 0 && grantpt(main_side) == 0 && unlockpt(main_side) == 0 &&
      (terminal = open(ptsname(main_side), O_RDWR | O_NOCTTY)) >= 0) {
    dup2(terminal, STDERR_FILENO);
    bool automatic = titan_report_wants_color(TITAN_COLOR_AUTOMATIC),
         never = titan_report_wants_color(TITAN_COLOR_NEVER);
    setenv("NO_COLOR", "1", 1);
    bool refused = titan_report_wants_color(TITAN_COLOR_AUTOMATIC);
    dup2(kept, STDERR_FILENO);
    close(terminal);
    assert_true(automatic);
    assert_false(never);
    assert_false(refused);
  }
  close(main_side);
  close(kept);
}

static void a_part_of_a_run_is_told_in_one_line(void **state) {
  (void)state;
  char text[TITAN_REPORT_BYTES];
  titan_report_part part = {.first_step = 6,
                            .last_step = 10,
                            .tokens = 81920,
                            .seconds = 41.2,
                            .mfu = 1.234,
                            .node_hours = 2 * 41.2 / 3600,
                            .memory_gib = 1.494,
                            .joule = 3210};
  titan_report_part_text(&part, text, sizeof text);
  assert_string_equal(text,
                      "steps 6 to 10, 81,920 tokens in 41.20 s, mean 1,988 tokens/s, mfu 1.23%, 0.023 node-hours, "
                      "peak memory 1.49 GiB a rank, 3.21 kJ");
  part.memory_gib = part.joule = 0; // what is not known is not said
  titan_report_part_text(&part, text, sizeof text);
  assert_string_equal(text,
                      "steps 6 to 10, 81,920 tokens in 41.20 s, mean 1,988 tokens/s, mfu 1.23%, 0.023 node-hours");
}

// --- energy ---

static void write_counter(const char *folder, int package, const char *name, const char *value) {
  char path[200];
  snprintf(path, sizeof path, "%s/intel-rapl:%d", folder, package);
  mkdir(path, 0777);
  snprintf(path, sizeof path, "%s/intel-rapl:%d/%s", folder, package, name);
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fputs(value, file);
  fclose(file);
}

// Oracle: counters written by hand, one of which wraps around at its range.
static void energy_is_the_sum_of_the_packages_counters(void **state) {
  (void)state;
  char folder[] = "/tmp/titan-energy-XXXXXX", command[64];
  assert_non_null(mkdtemp(folder));
  titan_energy *energy;
  assert_int_equal(titan_energy_create(folder, &energy), TITAN_OK);
  assert_null(energy); // no counters
  assert_true(titan_energy_joule(energy) == 0);
  for (int package = 0; package < 2; package++) {
    write_counter(folder, package, "max_energy_range_uj", "10000000\n");
    write_counter(folder, package, "energy_uj", package == 0 ? "1000000\n" : "9000000\n");
  }
  assert_int_equal(titan_energy_create(folder, &energy), TITAN_OK);
  assert_true(titan_energy_joule(energy) == 0);
  write_counter(folder, 0, "energy_uj", "3500000\n");
  write_counter(folder, 1, "energy_uj", "1000000\n");
  assert_true(fabs(titan_energy_joule(energy) - (2.5 + 2)) < 1e-9);
  write_counter(folder, 1, "energy_uj", "1500000\n");
  assert_true(fabs(titan_energy_joule(energy) - (2.5 + 2.5)) < 1e-9);
  titan_energy_destroy(&energy);
  snprintf(command, sizeof command, "rm -r %s", folder);
  assert_int_equal(system(command), 0);
}

static int nothing_is_left(void **state) {
  (void)state;
  return titan_memory_report_leaks() == 0 ? 0 : -1;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_plain_step_line_is_the_references),
      cmocka_unit_test(the_end_and_the_slowest_rank_follow_where_they_say_something),
      cmocka_unit_test(a_coloured_step_line_has_one_colour_a_quantity),
      cmocka_unit_test(wide_and_non_finite_numbers_keep_their_digits),
      cmocka_unit_test(integers_get_separators),
      cmocka_unit_test(the_end_line_gives_total_time_and_mean_throughput),
      cmocka_unit_test(colours_follow_the_request_and_no_color),
      cmocka_unit_test(a_part_of_a_run_is_told_in_one_line),
      cmocka_unit_test(energy_is_the_sum_of_the_packages_counters),
  };
  return cmocka_run_group_tests(tests, NULL, nothing_is_left);
}
