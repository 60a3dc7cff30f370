// SPDX-License-Identifier: Apache-2.0
// Property: a model is split into stages evenly by TorchTitan's rule, at the points that users name, or so that the
// costliest stage costs least. Oracle: splits of that rule worked out by hand; all splits of small models tried.
// Tolerance: rounding of sums for costs that are no whole numbers, else none.
#include "leaks.h"
#include "step/split.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { MOST_UNITS = 130 };

static void expect_layers(int layers, int stages, const int *expected) {
  int first_unit[MOST_UNITS];
  assert_int_equal(titan_split_even(layers + 2, stages, first_unit), TITAN_OK);
  assert_int_equal(first_unit[0], 0);
  assert_int_equal(first_unit[stages], layers + 2);
  for (int stage = 0; stage < stages; stage++) {
    int units = first_unit[stage + 1] - first_unit[stage] - (stage == 0) - (stage == stages - 1);
    if (units != expected[stage])
      fail_msg("%d layers, stage %d of %d: %d layers, not %d", layers, stage, stages, units, expected[stage]);
  }
}

static void an_even_split_gives_the_remainder_to_the_stages_after_the_first(void **state) {
  (void)state;
  expect_layers(32, 8, (int[]){4, 4, 4, 4, 4, 4, 4, 4});
  expect_layers(126, 8, (int[]){15, 16, 16, 16, 16, 16, 16, 15});
  expect_layers(80, 16, (int[]){5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5});
  expect_layers(6, 4, (int[]){1, 2, 2, 1});
  expect_layers(7, 4, (int[]){1, 2, 2, 2});
  expect_layers(5, 4, (int[]){1, 2, 1, 1});
  expect_layers(15, 8, (int[]){1, 2, 2, 2, 2, 2, 2, 2});
  expect_layers(3, 2, (int[]){1, 2});
  expect_layers(3, 1, (int[]){3});
}

static void more_stages_than_layers_are_refused(void **state) {
  (void)state;
  int first_unit[MOST_UNITS];
  const double costs[] = {1, 1, 1};
  assert_int_equal(titan_split_even(8 + 2, 9, first_unit), TITAN_ERROR_USAGE);
  assert_non_null(strstr(titan_error_message(), "9 pipeline stages need at least as many layers; the model has 8"));
  assert_int_equal(titan_split_balanced(costs, 3, 4, first_unit), TITAN_ERROR_USAGE);
}

static const titan_step_unit units[] = {{.name = "embedding"}, {.name = "layers.0"}, {.name = "layers.1"},
                                        {.name = "layers.2"},  {.name = "layers.3"}, {.name = "head"}};

static void named_parts_begin_stages(void **state) {
  (void)state;
  int first_unit[8];
  const char *const points[] = {"layers.0", "layers.2", "head"};
  assert_int_equal(titan_split_at(units, 6, points, 3, 2, first_unit), TITAN_OK);
  assert_memory_equal(first_unit, ((int[]){0, 1, 3, 5, 6}), 5 * sizeof(int));
  assert_int_equal(titan_split_at(units, 6, points + 1, 1, 2, first_unit), TITAN_OK);
  assert_memory_equal(first_unit, ((int[]){0, 3, 6}), 3 * sizeof(int));
}

static void expect_refused(int ranks, int count, const char *const *points, const char *words) {
  int first_unit[8];
  assert_int_equal(titan_split_at(units, 6, points, count, ranks, first_unit), TITAN_ERROR_USAGE);
  if (strstr(titan_error_message(), words) == NULL ||
      strstr(titan_error_message(), "experimental.pipeline_parallel_split_points: ") == NULL)
    fail_msg("\"%s\" is not in \"%s\"", words, titan_error_message());
}

static void points_that_do_not_exist_or_are_out_of_order_are_refused(void **state) {
  (void)state;
  expect_refused(2, 1, (const char *const[]){"layers.4"},
                 "\"layers.4\" is not a part of the model: expected layers.0 to head");
  expect_refused(2, 1, (const char *const[]){""}, "\"\" is not a part");
  expect_refused(2, 3, (const char *const[]){"layers.1", "layers.3", "layers.2"},
                 "\"layers.2\" comes after \"layers.3\"");
  expect_refused(2, 3, (const char *const[]){"layers.1", "layers.1", "layers.2"}, "each name once");
  expect_refused(2, 1, (const char *const[]){"embedding"}, "always begins the first stage");
  expect_refused(2, 2, (const char *const[]){"layers.1", "layers.2"}, "3 stages, which 2 pipeline ranks cannot share");
}

// --- balanced ---

static double next_cost(uint64_t *random) {
  *random = *random * 6364136223846793005u + 1442695040888963407u;
  return (double)((*random >> 33) % 12);
}

// The best of all splits of the units from `unit` on, where `stages` are left.
static double try_all(const double *costs, int unit, int count, int stages) {
  double sum = 0, best = INFINITY;
  if (stages == 1) {
    for (; unit < count; unit++)
      sum += costs[unit];
    return sum;
  }
  for (int end = unit + 1; end <= count - (stages - 1); end++) {
    sum += costs[end - 1];
    double rest = try_all(costs, end, count, stages - 1), largest = sum > rest ? sum : rest;
    best = largest < best ? largest : best;
  }
  return best;
}

static void a_balanced_split_is_the_best_of_all(void **state) {
  (void)state;
  uint64_t random = 5;
  for (int round = 0; round < 2000; round++) {
    double costs[10];
    int count = 1 + round % 10, stages = 1 + round / 10 % count, first_unit[11];
    for (int unit = 0; unit < count; unit++)
      costs[unit] = next_cost(&random);
    assert_int_equal(titan_split_balanced(costs, count, stages, first_unit), TITAN_OK);
    assert_int_equal(first_unit[0], 0);
    assert_int_equal(first_unit[stages], count);
    for (int stage = 0; stage < stages; stage++)
      assert_true(first_unit[stage] < first_unit[stage + 1]);
    assert_true(titan_split_largest(costs, first_unit, stages) == try_all(costs, 0, count, stages));
  }
}

static double costliest_rank(const double *costs, const int *rank_of_stage, int ranks, int stages,
                             const int *first_unit) {
  double of_rank[8] = {0}, most = 0;
  for (int stage = 0; stage < stages; stage++)
    for (int unit = first_unit[stage]; unit < first_unit[stage + 1]; unit++)
      of_rank[rank_of_stage[stage]] += costs[unit];
  for (int rank = 0; rank < ranks; rank++)
    most = of_rank[rank] > most ? of_rank[rank] : most;
  return most;
}

// The least cost of the costliest rank of all splits, with the cuts before `stage` as they are.
static double try_all_ranks(const double *costs, int count, const int *rank_of_stage, int ranks, int stages, int stage,
                            int *first_unit) {
  double best = INFINITY;
  if (stage == stages)
    return costliest_rank(costs, rank_of_stage, ranks, stages, first_unit);
  for (int cut = first_unit[stage - 1] + 1; cut <= count - (stages - stage); cut++) {
    first_unit[stage] = cut;
    double cost = try_all_ranks(costs, count, rank_of_stage, ranks, stages, stage + 1, first_unit);
    best = cost < best ? cost : best;
  }
  return best;
}

// Layers of one cost between an embedding that costs little and a head of any cost: no split in a V has a cheaper
// costliest rank.
static void ranks_of_a_v_are_as_even_as_can_be(void **state) {
  (void)state;
  uint64_t random = 11;
  for (int round = 0; round < 400; round++) {
    int ranks = 2 + round % 2, stages = 2 * ranks, count = stages + round / 2 % 8, rank_of_stage[6], first_unit[14],
        other[14] = {0};
    double costs[14];
    for (int stage = 0; stage < stages; stage++)
      rank_of_stage[stage] = stage < ranks ? stage : stages - 1 - stage;
    for (int unit = 0; unit < count; unit++)
      costs[unit] = 10;
    costs[0] = 1;
    costs[count - 1] = 3 * next_cost(&random);
    assert_int_equal(titan_split_balanced(costs, count, stages, first_unit), TITAN_OK);
    double before = costliest_rank(costs, rank_of_stage, ranks, stages, first_unit);
    assert_int_equal(titan_split_even_ranks(costs, count, rank_of_stage, ranks, stages, first_unit), TITAN_OK);
    for (int stage = 0; stage < stages; stage++)
      assert_true(first_unit[stage] < first_unit[stage + 1]);
    assert_true(first_unit[0] == 0 && first_unit[stages] == count);
    double after = costliest_rank(costs, rank_of_stage, ranks, stages, first_unit);
    other[stages] = count;
    double best = try_all_ranks(costs, count, rank_of_stage, ranks, stages, 1, other);
    if (!(after <= before && after <= best * (1 + 1e-12)))
      fail_msg("%d units on %d ranks, a head of %g: %g, before %g, best %g", count, ranks, costs[count - 1], after,
               before, best);
  }
}

// 8B: the head costs as much as 2.4 layers, which the even split puts on top of its last stage.
static void a_balanced_split_counts_the_head(void **state) {
  (void)state;
  double costs[34] = {0};
  int first_unit[5], even[5];
  for (int unit = 1; unit <= 32; unit++)
    costs[unit] = 1;
  costs[33] = 2.4;
  assert_int_equal(titan_split_even(34, 4, even), TITAN_OK);
  assert_int_equal(titan_split_balanced(costs, 34, 4, first_unit), TITAN_OK);
  assert_true(fabs(titan_split_largest(costs, even, 4) - 10.4) < 1e-12);
  assert_true(titan_split_largest(costs, first_unit, 4) == 9);
  // Of the splits whose largest stage costs 9, the one with stages of 9, 9, 8 and 8.4 in some order of the first three.
  assert_int_equal(34 - first_unit[3], 7);
}

static void stages_below_the_costliest_are_even(void **state) {
  (void)state;
  const double costs[] = {1, 1, 1, 1, 1, 1, 5};
  int first_unit[4];
  assert_int_equal(titan_split_balanced(costs, 7, 3, first_unit), TITAN_OK);
  assert_memory_equal(first_unit, ((int[]){0, 3, 6, 7}), sizeof first_unit);
}

static void a_large_model_is_split_exactly(void **state) {
  (void)state;
  double costs[128] = {0};
  int first_unit[65];
  for (int unit = 1; unit <= 126; unit++)
    costs[unit] = 1;
  costs[127] = 1.5;
  assert_int_equal(titan_split_balanced(costs, 128, 64, first_unit), TITAN_OK);
  assert_true(titan_split_largest(costs, first_unit, 64) == 2);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_even_split_gives_the_remainder_to_the_stages_after_the_first),
      cmocka_unit_test(more_stages_than_layers_are_refused),
      cmocka_unit_test(named_parts_begin_stages),
      cmocka_unit_test(points_that_do_not_exist_or_are_out_of_order_are_refused),
      cmocka_unit_test(a_balanced_split_is_the_best_of_all),
      cmocka_unit_test(a_balanced_split_counts_the_head),
      cmocka_unit_test(ranks_of_a_v_are_as_even_as_can_be),
      cmocka_unit_test(stages_below_the_costliest_are_even),
      cmocka_unit_test(a_large_model_is_split_exactly),
  };
  return cmocka_run_group_tests(tests, NULL, expect_no_leaks);
}
