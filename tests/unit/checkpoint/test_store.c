// SPDX-License-Identifier: Apache-2.0
// What is kept of a folder of checkpoints, and which names are theirs. Oracle: the names that are left.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include "base/memory.h"
#include "checkpoint/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];

static void write_file(const char *name, const char *bytes) {
  char path[128];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fputs(bytes, file);
  assert_int_equal(fclose(file), 0);
}

// Files that begin as a checkpoint does.
static void write_steps(int64_t last) {
  char name[64];
  for (int64_t step = 1; step <= last; step++) {
    snprintf(name, sizeof name, "step-%d.h5", (int)step);
    write_file(name, "titan-hpc checkpoint\n");
  }
}

// "1 2 5"
static void expect_steps(const char *wanted) {
  int64_t *steps, count;
  char text[256] = "";
  assert_int_equal(titan_store_list(folder, &steps, &count), TITAN_OK);
  for (int64_t i = 0; i < count; i++)
    snprintf(text + strlen(text), sizeof text - strlen(text), "%s%d", i > 0 ? " " : "", (int)steps[i]);
  titan_memory_free(steps);
  assert_string_equal(text, wanted);
}

static void the_newest_up_to_the_latest_are_kept(void **unused) {
  (void)unused;
  write_steps(8);
  assert_int_equal(titan_store_retain(folder, 0, 8), TITAN_OK);
  expect_steps("1 2 3 4 5 6 7 8");
  assert_int_equal(titan_store_retain(folder, 2, 5), TITAN_OK);
  expect_steps("4 5 6 7 8");
  assert_int_equal(titan_store_retain(folder, 1, 3), TITAN_OK);
  expect_steps("4 5 6 7 8");
  assert_int_equal(titan_store_retain(folder, 9, 8), TITAN_OK);
  expect_steps("4 5 6 7 8");
  assert_int_equal(titan_store_retain(folder, 1, 8), TITAN_OK);
  expect_steps("8");
}

static void what_another_program_wrote_is_not_removed(void **unused) {
  (void)unused;
  write_steps(6);
  write_file("step-3.h5", "a text of mine, nothing else");
  assert_int_equal(titan_store_retain(folder, 1, 6), TITAN_OK);
  expect_steps("3 6");
}

static void only_unfinished_files_are_removed(void **unused) {
  (void)unused;
  char path[128];
  write_steps(2);
  write_file("step-3.h5.partial", "");
  write_file("step-03.h5.partial", "");
  write_file("mine.partial", "");
  snprintf(path, sizeof path, "%s/step-4.h5.partial", folder);
  assert_int_equal(mkdir(path, 0777), 0);
  assert_int_equal(titan_store_remove_partial(folder), TITAN_OK);
  assert_int_equal(access(path, F_OK), 0);
  snprintf(path, sizeof path, "%s/step-03.h5.partial", folder);
  assert_int_equal(access(path, F_OK), 0);
  snprintf(path, sizeof path, "%s/step-3.h5.partial", folder);
  assert_int_not_equal(access(path, F_OK), 0);
  expect_steps("1 2");
}

static void a_step_is_written_in_one_way(void **unused) {
  (void)unused;
  static const char *const others[] = {"step-01.h5", "step-+1.h5", "step-1.h5.partial", "step- 1.h5", "step--1.h5",
                                       "step-.h5",   "Step-1.h5",  "xstep-1.h5",        "step-1",     ""};
  assert_int_equal(titan_store_step_of("step-0.h5"), 0);
  assert_int_equal(titan_store_step_of("step-120.h5"), 120);
  for (size_t i = 0; i < sizeof others / sizeof *others; i++)
    assert_int_equal(titan_store_step_of(others[i]), -1);
}

static int make(void **unused) {
  (void)unused;
  snprintf(folder, sizeof folder, "/tmp/titan-store-XXXXXX");
  return mkdtemp(folder) == NULL;
}

static int remove_all(void **unused) {
  char command[128];
  (void)unused;
  snprintf(command, sizeof command, "rm -rf '%s'", folder);
  return system(command) != 0 || titan_memory_report_leaks() != 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(the_newest_up_to_the_latest_are_kept, make, remove_all),
      cmocka_unit_test_setup_teardown(what_another_program_wrote_is_not_removed, make, remove_all),
      cmocka_unit_test_setup_teardown(only_unfinished_files_are_removed, make, remove_all),
      cmocka_unit_test(a_step_is_written_in_one_way),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
