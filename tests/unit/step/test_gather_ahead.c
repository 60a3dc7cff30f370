// SPDX-License-Identifier: Apache-2.0
// Property: the time of a list is that of its RUNs and gathers, each in its own order; and parameters are gathered as
// few units ahead as come within 1 % of the best with each of three balances of gathering and computing. Oracle:
// schedules of four units, by hand. Tolerance: none.
#include "toy.h"

#include "leaks.h"
#include "step/gather_ahead.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { UNITS = 4, MOST = 8 };

static double time_of(toy *t, const titan_gather_times *times, int ahead) {
  titan_step_list list = {0};
  double time = 0;
  t->shape.look_ahead = ahead;
  assert_int_equal(titan_step_lower(&t->order, &t->shape, 0, &list), TITAN_OK);
  assert_int_equal(titan_step_gather_time(&list, &t->shape, times, &time), TITAN_OK);
  titan_step_list_destroy(&list);
  return time;
}

// The head is large: a unit ahead, its gather begins when that of the third unit is used.
static void a_large_unit_is_gathered_two_ahead(void **state) {
  (void)state;
  const double compute[UNITS][TITAN_COMPUTES] = {{1}, {2}, {2}, {2}}, gather[UNITS] = {1, 1, 1, 4};
  const titan_gather_times times = {compute, gather, 1}, half = {compute, gather, 0.5}, twice = {compute, gather, 2};
  toy t;
  int ahead = 0;
  toy_create(&t, UNITS, 1, false);
  assert_true(time_of(&t, &times, 1) == 10);
  assert_true(time_of(&t, &times, 2) == 9);
  assert_true(time_of(&t, &times, 3) == 9);
  // With gathers half as long, and twice as long, it is the same how many.
  assert_true(time_of(&t, &half, 1) == 7.5 && time_of(&t, &half, 2) == 7.5);
  assert_true(time_of(&t, &twice, 1) == 16 && time_of(&t, &twice, 2) == 16);
  assert_int_equal(titan_step_choose_look_ahead(&t.order, &t.shape, &times, MOST, &ahead), TITAN_OK);
  assert_int_equal(ahead, 2);
  assert_int_equal(titan_step_choose_look_ahead(&t.order, &t.shape, &times, 1, &ahead), TITAN_OK);
  assert_int_equal(ahead, 1);
  toy_destroy(&t);
}

// Only how the gathers' times compare counts.
static void times_of_gathers_are_relative(void **state) {
  (void)state;
  const double compute[UNITS][TITAN_COMPUTES] = {{1}, {2}, {2}, {2}}, gather[UNITS] = {1e6, 1e6, 1e6, 4e6};
  const titan_gather_times times = {compute, gather, 1};
  toy t;
  int ahead = 0;
  toy_create(&t, UNITS, 1, false);
  assert_int_equal(titan_step_choose_look_ahead(&t.order, &t.shape, &times, MOST, &ahead), TITAN_OK);
  assert_int_equal(ahead, 2);
  toy_destroy(&t);
}

static void units_alike_are_gathered_one_ahead(void **state) {
  (void)state;
  const double compute[UNITS][TITAN_COMPUTES] = {{1}, {1}, {1}, {1}}, gather[UNITS] = {1, 1, 1, 1};
  const titan_gather_times times = {compute, gather, 1};
  toy t;
  int ahead = 0;
  toy_create(&t, UNITS, 1, false);
  assert_true(time_of(&t, &times, 1) == 5);
  assert_int_equal(titan_step_choose_look_ahead(&t.order, &t.shape, &times, MOST, &ahead), TITAN_OK);
  assert_int_equal(ahead, 1);
  toy_destroy(&t);
}

// Of two pipeline ranks the second has the large unit.
static void the_slowest_rank_counts(void **state) {
  (void)state;
  enum { ALL = 2 * UNITS };
  const double forward = 2, backward = 4;
  double compute[ALL][TITAN_COMPUTES], gather[ALL];
  titan_order order;
  toy t;
  int ahead = 0;
  for (int unit = 0; unit < ALL; unit++) {
    gather[unit] = unit == ALL - 1 ? 12 : 1;
    for (int c = 0; c < TITAN_COMPUTES; c++)
      compute[unit][c] = c == TITAN_COMPUTE_FORWARD ? forward : backward;
  }
  const titan_gather_times times = {(const double(*)[TITAN_COMPUTES])compute, gather, 1};
  assert_int_equal(titan_schedule_make(titan_schedule_find("GPipe"), 2, 2, 2, &order), TITAN_OK);
  toy_create_pipeline(&t, &order, (const int[]){UNITS, UNITS});
  assert_int_equal(titan_step_choose_look_ahead(&t.order, &t.shape, &times, MOST, &ahead), TITAN_OK);
  assert_true(ahead > 1);
  toy_destroy(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_large_unit_is_gathered_two_ahead),
      cmocka_unit_test(times_of_gathers_are_relative),
      cmocka_unit_test(units_alike_are_gathered_one_ahead),
      cmocka_unit_test(the_slowest_rank_counts),
  };
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  return failures != 0 || titan_memory_report_leaks() != 0;
}
