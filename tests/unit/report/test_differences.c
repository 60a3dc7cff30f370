// SPDX-License-Identifier: Apache-2.0
// Property: options whose values differ between runs are found, in whatever form the saved configurations have them,
// and no others. Oracle: the differences, written down here.
#include "base/memory.h"
#include "report/differences.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include <string.h>

typedef struct found {
  titan_text text;
  size_t count; // runs
} found;

static titan_status note(void *context, const char *name, const char *const *values) {
  found *all = context;
  TITAN_TRY(titan_text_printf(&all->text, "%s", name));
  for (size_t i = 0; i < all->count; i++)
    TITAN_TRY(titan_text_printf(&all->text, "|%s", values[i] != NULL ? values[i] : "-"));
  return titan_text_printf(&all->text, "\n");
}

// The differences of runs with these configurations (NULL: none) and numbers of ranks.
static void expect(size_t count, const char *const *configurations, const char *const *ranks, const char *wanted) {
  titan_run runs[3] = {0};
  found all = {.count = count};
  for (size_t i = 0; i < count; i++) {
    if (configurations[i] != NULL)
      assert_int_equal(titan_text_printf(&runs[i].texts[TITAN_RUN_configuration], "%s", configurations[i]), TITAN_OK);
    assert_int_equal(titan_text_printf(&runs[i].texts[TITAN_RUN_ranks], "%s", ranks[i]), TITAN_OK);
  }
  assert_int_equal(titan_differences(runs, count, note, &all), TITAN_OK);
  assert_string_equal(all.text.data != NULL ? all.text.data : "", wanted);
  titan_text_destroy(&all.text);
  for (size_t i = 0; i < count; i++)
    titan_run_destroy(&runs[i]);
}

static const char *const same_ranks[] = {"2", "2", "2"};

static void values_that_differ_are_found(void **state) {
  (void)state;
  const char *const configurations[] = {
      "# a comment = 1\n[job]\ndump_folder = \"a\"  # command line\n[training]\nsteps = 10  # run.toml:3\n# seed = 1\n",
      "[job]\ndump_folder = \"b\"\n[training]\n# steps = 10\nseed = 2  # command line\n"};
  const char *const ranks[] = {"2", "4"};
  expect(2, configurations, ranks, "ranks|2|4\ntraining.seed|1|2\n");
}

static void texts_keep_their_marks(void **state) {
  (void)state;
  const char *const configurations[] = {"[model]\nname = \"a  # \\\" b\"  # x:1\n",
                                        "[model]\nname = \"a  # \\\" c\"  # x:1\n"};
  expect(2, configurations, same_ranks, "model.name|\"a  # \\\" b\"|\"a  # \\\" c\"\n");
}

static void options_of_one_version_are_differences(void **state) {
  (void)state;
  const char *const configurations[] = {"[a]\nx = 1\n", "[a]\nx = 1\n[b]\n# y = true\n", NULL};
  expect(3, configurations, same_ranks, "b.y|-|true|-\n");
}

static void runs_without_a_configuration_are_left_out(void **state) {
  (void)state;
  const char *const configurations[] = {"[a]\nx = 1\n", NULL};
  expect(2, configurations, same_ranks, "");
}

static void one_run_does_not_differ(void **state) {
  (void)state;
  const char *const configurations[] = {"[a]\nx = 1\nx_y = 2\n"};
  expect(1, configurations, same_ranks, "");
}

static int no_leaks(void **state) {
  (void)state;
  return (int)titan_memory_report_leaks();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(values_that_differ_are_found),
      cmocka_unit_test(texts_keep_their_marks),
      cmocka_unit_test(options_of_one_version_are_differences),
      cmocka_unit_test(runs_without_a_configuration_are_left_out),
      cmocka_unit_test(one_run_does_not_differ),
  };
  return cmocka_run_group_tests(tests, NULL, no_leaks);
}
