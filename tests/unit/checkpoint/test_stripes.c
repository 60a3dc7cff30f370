// SPDX-License-Identifier: Apache-2.0
// Hints for stripes of new files: by size, on Lustre alone, and not against the user. Oracle: the table of NERSC.
#include "base/memory.h"
#include "checkpoint/stripes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cmocka.h>

static const uint64_t gib = (uint64_t)1 << 30;
static bool lustre;
static char asked[64];

// In place of the C library's: the folder is on Lustre where the test says so.
int statfs(const char *path, struct statfs *out) {
  int result = (int)syscall(SYS_statfs, path, out);
  snprintf(asked, sizeof asked, "%s", path);
  if (lustre)
    out->f_type = 0x0BD00BD0;
  return result;
}

static void expect_hints(const char *path, uint64_t bytes, const char *hints, const char *expected) {
  titan_text text = {0};
  assert_int_equal(titan_checkpoint_stripes_add(path, bytes, hints, &text), TITAN_OK);
  assert_string_equal(text.data == NULL ? "" : text.data, expected);
  titan_text_destroy(&text);
}

static void stripes_follow_the_size(void **state) {
  (void)state;
  const struct {
    uint64_t bytes;
    int stripes;
  } cases[] = {{0, 0},         {gib - 1, 0},        {gib, 8},        {10 * gib - 1, 8},
               {10 * gib, 24}, {100 * gib - 1, 24}, {100 * gib, 72}, {5000 * gib, 72}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    assert_int_equal(titan_checkpoint_stripes(cases[i].bytes), cases[i].stripes);
}

static void only_lustre_gets_stripes(void **state) {
  (void)state;
  lustre = false;
  expect_hints("/tmp/file", 20 * gib, NULL, "");
  expect_hints("/tmp/file", 20 * gib, "cb_nodes=4", "cb_nodes=4");
  lustre = true;
  expect_hints("/tmp/file", 20 * gib, NULL, "striping_factor=24,stripe_width=24");
  assert_string_equal(asked, "/tmp/");
  expect_hints("/file", gib, "", "striping_factor=8,stripe_width=8");
  assert_string_equal(asked, "/");
  expect_hints("file", gib, "cb_nodes=4", "cb_nodes=4,striping_factor=8,stripe_width=8");
  assert_string_equal(asked, ".");
  expect_hints("/tmp/file", gib - 1, NULL, "");
  expect_hints("/no/such/folder/file", gib, NULL, "");
}

static void what_the_user_says_of_stripes_stays(void **state) {
  (void)state;
  lustre = true;
  expect_hints("/tmp/file", 20 * gib, "striping_factor=2", "striping_factor=2");
  expect_hints("/tmp/file", 20 * gib, "cb_nodes=4,striping_unit=1048576", "cb_nodes=4,striping_unit=1048576");
  expect_hints("/tmp/file", 20 * gib, "stripe_width=3", "stripe_width=3");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(stripes_follow_the_size),
      cmocka_unit_test(only_lustre_gets_stripes),
      cmocka_unit_test(what_the_user_says_of_stripes_stays),
  };
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  return failures != 0 || titan_memory_report_leaks() != 0;
}
