// SPDX-License-Identifier: Apache-2.0
// Property: each schedule gives the order of its paper: as text where it is short, and by its warm-up, its bubble and
// its activations in flight. Oracle: orders written by hand; a table of idle shares and peaks that a simulator of its
// own gave from the papers' rules (to its digits). Tolerance: half of the last digit.
#include "leaks.h"
#include "schedules.h"
#include "step/predict.h"
#include "step/schedule.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void make(const char *title, int ranks, int per_rank, int microbatches, titan_order *order) {
  const titan_schedule_row *row = titan_schedule_find(title);
  assert_non_null(row);
  if (titan_schedule_make(row, ranks, ranks * per_rank, microbatches, order) != TITAN_OK)
    fail_msg("%s", titan_error_message());
}

static void expect_order(const char *title, int ranks, int per_rank, int microbatches, const char *expected) {
  titan_order order;
  titan_text text = {0};
  make(title, ranks, per_rank, microbatches, &order);
  assert_int_equal(titan_order_print(&order, &text), TITAN_OK);
  assert_string_equal(text.data, expected);
  titan_text_destroy(&text);
  titan_order_destroy(&order);
}

static void short_orders_are_those_of_the_papers(void **state) {
  (void)state;
  expect_order("gpipe", 2, 1, 3, "0F0 0F1 0F2 0B0 0B1 0B2\n1F0 1F1 1F2 1B0 1B1 1B2\n");
  expect_order("1f1b", 2, 1, 3, "0F0 0F1 0B0 0F2 0B1 0B2\n1F0 1B0 1F1 1B1 1F2 1B2\n");
  expect_order("LoopedBFS", 2, 2, 2, "0F0 0F1 2F0 2F1 2B1 2B0 0B1 0B0\n1F0 1F1 3F0 3F1 3B1 3B0 1B1 1B0\n");
  expect_order("Interleaved1F1B", 2, 2, 2, "0F0 0F1 2F0 2F1 2B0 2B1 0B0 0B1\n1F0 1F1 3F0 3B0 3F1 3B1 1B0 1B1\n");
  expect_order("InterleavedZeroBubble", 2, 2, 2,
               "0F0 0F1 2F0 2F1 2I0 2W0 2I1 2W1 0I0 0W0 0I1 0W1\n1F0 1F1 3F0 3I0 3F1 3I1 3W0 1I0 3W1 1I1 1W0 1W1\n");
  expect_order("ZBVZeroBubble", 2, 2, 2,
               "0F0 0F1 3F0 3I0 3W0 3F1 3I1 3W1 0I0 0W0 0I1 0W1\n1F0 2F0 1F1 2F1 2I0 2W0 1I0 1W0 2I1 2W1 1I1 1W1\n");
  expect_order("DualPipeV", 2, 2, 4,
               "0F0 0F1 0F2 3F0 3I0 3W0 3F1 0F3 3B1 3F2 0B0 3B2 3F3 0B1 3B3 0I2 0W2 0I3 0W3\n"
               "1F0 2F0 1F1 2F1 1F2 2B0 2F2 1B0 1F3 2B1 2F3 1B1 2B2 1B2 2I3 1I3 2W3 1W3\n");
}

// --- idle time and activations in flight ---

enum { MOST_STAGES = 64 };

// pair: 0 for cells one after the other, 1 for pairs that overlap without gaining by it.
static void predict(const titan_order *order, double forward, double input, double weights, double pair,
                    titan_prediction *out) {
  double compute[MOST_STAGES][TITAN_COMPUTES];
  titan_step_times times = {.compute = compute, .pair = pair};
  assert_true(order->stages <= MOST_STAGES);
  for (int stage = 0; stage < order->stages; stage++) {
    compute[stage][TITAN_COMPUTE_FORWARD] = forward;
    compute[stage][TITAN_COMPUTE_INPUT_GRADIENT] = input;
    compute[stage][TITAN_COMPUTE_WEIGHT_GRADIENT] = weights;
    compute[stage][TITAN_COMPUTE_BACKWARD] = input + weights;
  }
  assert_int_equal(titan_step_predict(order, &times, out), TITAN_OK);
}

// percent < 0: the schedule refuses the numbers.
static void expect_bubble(const char *title, int ranks, int per_rank, int microbatches, double input, double weights,
                          double pair, double percent) {
  const titan_schedule_row *row = titan_schedule_find(title);
  titan_order order;
  titan_prediction prediction;
  if (percent < 0) {
    assert_int_equal(titan_schedule_make(row, ranks, ranks * per_rank, microbatches, &order), TITAN_ERROR_USAGE);
    return;
  }
  make(title, ranks, per_rank, microbatches, &order);
  predict(&order, 1, input, weights, pair, &prediction);
  double bubble = 100 * titan_prediction_bubble(&prediction);
  if (!(fabs(bubble - percent) <= 0.05 + 1e-9))
    fail_msg("%s, %d ranks, %d microbatches: %.3f %% idle, not %.1f", title, ranks, microbatches, bubble, percent);
  titan_prediction_destroy(&prediction);
  titan_order_destroy(&order);
}

static void idle_time_is_that_of_the_table(void **state) {
  (void)state;
  static const struct {
    int ranks, microbatches;
    double one, two, four, zero_one, zero_two, zbv, dual;
  } rows[] = {{2, 2, 33.3, 20.0, 11.1, 14.3, 7.7, 14.3, -1},  {4, 4, 42.9, 27.3, 15.8, 20.0, 11.1, 20.0, -1},
              {4, 8, 27.3, 15.8, 8.6, 11.1, 5.9, 5.9, 11.1},  {4, 16, 15.8, 8.6, 4.5, 5.9, 3.0, 3.0, 5.9},
              {8, 8, 46.7, 30.4, 17.9, 22.6, 12.7, 22.6, -1}, {8, 16, 30.4, 17.9, 9.9, 12.7, 6.8, 6.8, 12.7},
              {8, 32, 17.9, 9.9, 5.2, 6.8, 3.5, 3.5, 6.8}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    int p = rows[i].ranks, n = rows[i].microbatches;
    expect_bubble("GPipe", p, 1, n, 1, 1, 0, rows[i].one);
    expect_bubble("1F1B", p, 1, n, 1, 1, 0, rows[i].one);
    expect_bubble("Interleaved1F1B", p, 2, n, 1, 1, 0, rows[i].two);
    expect_bubble("LoopedBFS", p, 2, n, 1, 1, 0, rows[i].two);
    expect_bubble("Interleaved1F1B", p, 4, n, 1, 1, 0, rows[i].four);
    expect_bubble("InterleavedZeroBubble", p, 1, n, 1, 1, 0, rows[i].zero_one);
    expect_bubble("InterleavedZeroBubble", p, 2, n, 1, 1, 0, rows[i].zero_two);
    expect_bubble("ZBVZeroBubble", p, 2, n, 1, 1, 0, rows[i].zbv);
    expect_bubble("DualPipeV", p, 2, n, 1, 1, 1, rows[i].dual);
  }
}

// The gradient of the input takes longer than that of the weights, or also pays for recomputing the forward.
static void idle_time_with_unequal_backwards_is_that_of_the_table(void **state) {
  (void)state;
  expect_bubble("1F1B", 8, 1, 32, 1.2, 0.8, 0, 17.9);
  expect_bubble("Interleaved1F1B", 8, 2, 32, 1.2, 0.8, 0, 9.9);
  expect_bubble("InterleavedZeroBubble", 8, 1, 32, 1.2, 0.8, 0, 9.3);
  expect_bubble("InterleavedZeroBubble", 8, 2, 32, 1.2, 0.8, 0, 4.9);
  expect_bubble("ZBVZeroBubble", 8, 2, 32, 1.2, 0.8, 0, 4.2);
  expect_bubble("DualPipeV", 8, 2, 32, 1.2, 0.8, 1, 8.2);
  expect_bubble("InterleavedZeroBubble", 8, 1, 32, 2, 1, 0, 9.9);
  expect_bubble("InterleavedZeroBubble", 8, 2, 32, 2, 1, 0, 5.2);
  expect_bubble("ZBVZeroBubble", 8, 2, 32, 2, 1, 0, 5.2);
}

// What a cell of a pair gives need not wait for the other: one after the other, DualPipeV is as idle as ZBVZeroBubble.
static void pairs_one_after_the_other_are_less_idle(void **state) {
  (void)state;
  expect_bubble("DualPipeV", 4, 2, 8, 1, 1, 0, 5.9);
  expect_bubble("DualPipeV", 4, 2, 16, 1, 1, 0, 3.0);
  expect_bubble("DualPipeV", 8, 2, 16, 1, 1, 0, 6.8);
  expect_bubble("DualPipeV", 8, 2, 32, 1, 1, 0, 3.5);
  expect_bubble("DualPipeV", 8, 2, 32, 1.2, 0.8, 0, 5.0);
}

static int warm_up_of(const titan_order *order, int rank) {
  int count = 0;
  while (order->cells[rank][count].compute == TITAN_COMPUTE_FORWARD)
    count++;
  return count;
}

static void warm_up_is_that_of_the_rules(void **state) {
  (void)state;
  static const struct {
    const char *title;
    int per_rank, counts[4]; // of 4 ranks and 8 microbatches; one forward more where forwards come first in turn
  } rows[] = {{"1F1B", 1, {4, 3, 2, 1}},
              {"Interleaved1F1B", 2, {11, 9, 7, 5}},
              {"InterleavedZeroBubble", 2, {8, 7, 6, 5}},
              {"ZBVZeroBubble", 2, {8, 8, 8, 8}},
              {"GPipe", 1, {8, 8, 8, 8}},
              {"LoopedBFS", 2, {16, 16, 16, 16}}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    titan_order order;
    make(rows[i].title, 4, rows[i].per_rank, 8, &order);
    for (int rank = 0; rank < 4; rank++)
      if (warm_up_of(&order, rank) != rows[i].counts[rank])
        fail_msg("%s, rank %d: %d forwards first", rows[i].title, rank, warm_up_of(&order, rank));
    titan_order_destroy(&order);
  }
}

// Of all layers of a rank: the stages in flight over the stages of the rank.
static void expect_in_flight(const char *title, int ranks, int per_rank, int microbatches, int rank, double expected) {
  titan_order order;
  titan_prediction prediction;
  make(title, ranks, per_rank, microbatches, &order);
  predict(&order, 1, 1, 1, 0, &prediction);
  double most = (double)prediction.ranks[rank].most_in_flight / per_rank;
  if (most != expected)
    fail_msg("%s, %d ranks, %d microbatches, rank %d: %.2f in flight, not %.2f", title, ranks, microbatches, rank, most,
             expected);
  titan_prediction_destroy(&prediction);
  titan_order_destroy(&order);
}

static void activations_in_flight_are_those_of_the_table(void **state) {
  (void)state;
  for (int rank = 0; rank < 4; rank++)
    for (int n = 8; n <= 16; n += 8) {
      expect_in_flight("GPipe", 4, 1, n, rank, n);
      expect_in_flight("1F1B", 4, 1, n, rank, 4 - rank);
      expect_in_flight("LoopedBFS", 4, 2, n, rank, n);
      expect_in_flight("Interleaved1F1B", 4, 2, n, rank, 5.5 - rank);
      expect_in_flight("InterleavedZeroBubble", 4, 1, n, rank, 4);
      expect_in_flight("InterleavedZeroBubble", 4, 2, n, rank, 4);
      expect_in_flight("ZBVZeroBubble", 4, 2, n, rank, 4);
      expect_in_flight("DualPipeV", 4, 2, n, rank, 4.5);
    }
  for (int rank = 0; rank < 8; rank++)
    expect_in_flight("Interleaved1F1B", 8, 4, 16, rank, 9.75 - 0.5 * rank);
}

// 405B on 8 pipeline ranks: with 8 microbatches, interleaved against 1F1B was measured at 128 against 100.
static void interleaving_pays_as_published_for_few_microbatches(void **state) {
  (void)state;
  titan_order order;
  titan_prediction one, two;
  make("1F1B", 8, 1, 8, &order);
  predict(&order, 2, 2, 2, 0, &one);
  titan_order_destroy(&order);
  make("Interleaved1F1B", 8, 2, 8, &order);
  predict(&order, 1, 1, 1, 0, &two);
  titan_order_destroy(&order);
  assert_true(fabs(one.makespan / two.makespan - 15 / 11.5) < 1e-9);
  titan_prediction_destroy(&one);
  titan_prediction_destroy(&two);
}

static void each_cell_may_take_its_own_time(void **state) {
  (void)state;
  titan_order order;
  titan_prediction prediction;
  const double *const cells[] = {(const double[]){1, 2, 3, 4}, (const double[]){1, 1, 5, 1}};
  titan_step_times times = {.cells = cells};
  make("1F1B", 2, 1, 2, &order);
  assert_int_equal(titan_step_predict(&order, &times, &prediction), TITAN_OK);
  // rank 0: 0F0 0..1, 0F1 1..3, 0B0 3..6, 0B1 9..13; rank 1: 1F0 1..2, 1B0 2..3, 1F1 3..8, 1B1 8..9
  const titan_span expected[2][4] = {{{0, 1}, {1, 3}, {3, 6}, {9, 13}}, {{1, 2}, {2, 3}, {3, 8}, {8, 9}}};
  for (int rank = 0; rank < 2; rank++)
    for (int cell = 0; cell < 4; cell++) {
      titan_span span = prediction.ranks[rank].spans[cell];
      assert_true(span.begin == expected[rank][cell].begin && span.end == expected[rank][cell].end);
    }
  assert_true(prediction.makespan == 13 && prediction.ranks[0].busy == 10 && prediction.ranks[1].busy == 8);
  titan_prediction_destroy(&prediction);
  titan_order_destroy(&order);
}

static void a_transfer_delays_what_needs_it_on_another_rank_alone(void **state) {
  (void)state;
  titan_order order;
  titan_prediction prediction;
  const double compute[4][TITAN_COMPUTES] = {{1, 2, 1, 1}, {1, 2, 1, 1}, {1, 2, 1, 1}, {1, 2, 1, 1}};
  titan_step_times times = {.compute = compute, .transfer = 0.25};
  make("ZBVZeroBubble", 2, 2, 1, &order);
  assert_int_equal(titan_step_predict(&order, &times, &prediction), TITAN_OK);
  // 0F 1F 2F 3F 3I 3W | 2I 2W ...: a transfer from 0 to 1, none from 1 to 2, one from 2 to 3 and one back.
  assert_true(prediction.ranks[1].spans[0].begin == 1.25);
  assert_true(prediction.ranks[1].spans[1].begin == 2.25);
  assert_true(prediction.ranks[0].spans[1].begin == 3.5);
  assert_true(prediction.ranks[1].spans[2].begin == 5.75);
  for (int rank = 0; rank < 2; rank++)
    assert_true(prediction.ranks[rank].busy == 6 && prediction.ranks[rank].idle == prediction.makespan - 6);
  titan_prediction_destroy(&prediction);
  titan_order_destroy(&order);
}

// --- what is refused ---

static void expect_refused(const char *title, int ranks, int stages, int microbatches, const char *words) {
  titan_order order;
  assert_int_equal(titan_schedule_make(titan_schedule_find(title), ranks, stages, microbatches, &order),
                   TITAN_ERROR_USAGE);
  if (strstr(titan_error_message(), words) == NULL)
    fail_msg("\"%s\" is not in \"%s\"", words, titan_error_message());
}

static void numbers_that_a_schedule_refuses_get_the_reason_and_the_nearest_that_works(void **state) {
  (void)state;
  expect_refused("1F1B", 4, 4, 3, "as many microbatches as stages; the nearest number that works is 4");
  expect_refused("Interleaved1F1B", 4, 8, 9, "the nearest number that works is 8");
  expect_refused("Interleaved1F1B", 4, 8, 11, "the nearest number that works is 10");
  expect_refused("InterleavedZeroBubble", 4, 8, 9, "the nearest number that works is 8");
  expect_refused("DualPipeV", 4, 8, 7, "twice as many microbatches as ranks; the nearest number that works is 8");
  expect_refused("GPipe", 4, 4, 0, "the nearest number that works is 1");
  expect_refused("GPipe", 4, 8, 8, "needs one stage a rank, not 8 stages on 4 ranks");
  expect_refused("LoopedBFS", 4, 6, 8, "the same number of stages on each rank");
  expect_refused("Interleaved1F1B", 4, 4, 8, "at least 2, not 4 stages on 4 ranks");
  expect_refused("ZBVZeroBubble", 4, 12, 8, "needs 2 stages a rank, not 12");
  expect_refused("plain", 2, 2, 8, "it needs a pipeline of one rank");
  for (int n = 1; n <= 20; n++) {
    titan_order order;
    static const int works[] = {4, 5, 6, 7, 8, 10, 12, 15, 16, 20};
    bool expected = n < 4;
    for (size_t i = 0; i < sizeof works / sizeof *works; i++)
      expected |= n == works[i];
    titan_status status = titan_schedule_make(titan_schedule_find("Interleaved1F1B"), 4, 8, n, &order);
    assert_int_equal(status, expected ? TITAN_OK : TITAN_ERROR_USAGE);
    if (status == TITAN_OK)
      titan_order_destroy(&order);
  }
}

static void titles_are_found_in_any_case(void **state) {
  (void)state;
  assert_non_null(titan_schedule_find("zbvZEROBUBBLE"));
  assert_ptr_equal(titan_schedule_find("dualpipev"), titan_schedule_find("DualPipeV"));
  assert_null(titan_schedule_find("1F2B"));
}

// A row of the table that trains over two ranks is in the list of schedules.h, by which the tests of this and other
// folders go; and the list has no more.
static void the_list_of_the_tests_is_that_of_the_table(void **state) {
  (void)state;
  int found = 0;
  for (int i = 0; titan_schedule_at(i) != NULL; i++) {
    const titan_schedule_row *row = titan_schedule_at(i);
    if (!row->backward || row->refuses(2, titan_schedule_stages_per_rank(row), 4) != NULL)
      continue;
    bool listed = false;
    for (int k = 0; k < SCHEDULES; k++)
      listed |= strcmp(schedules[k], row->title) == 0;
    if (!listed)
      fail_msg("tests/support/schedules.h lacks %s", row->title);
    found++;
  }
  assert_int_equal(found, SCHEDULES);
}

// Schedules that ascend add gradients in the same order.
static void only_looped_bfs_adds_gradients_in_another_order(void **state) {
  (void)state;
  for (int i = 0; i < SCHEDULES; i++)
    for (int n = 8; n <= 24; n += 4) {
      const titan_schedule_row *row = titan_schedule_find(schedules[i]);
      titan_order order;
      make(schedules[i], 4, titan_schedule_stages_per_rank(row), n, &order);
      assert_int_equal(titan_order_ascends(&order), strcmp(schedules[i], "LoopedBFS") != 0);
      titan_order_destroy(&order);
    }
}

static void forwards_alone_lie_where_the_training_order_has_its_stages(void **state) {
  (void)state;
  titan_order training, forwards;
  titan_order_fault fault;
  make("ZBVZeroBubble", 3, 2, 5, &training);
  assert_int_equal(titan_schedule_make_forwards(&training, 2, &forwards), TITAN_OK);
  assert_memory_equal(forwards.rank_of_stage, ((int[]){0, 1, 2, 2, 1, 0}), 6 * sizeof(int));
  assert_int_equal(titan_order_check(&forwards, false, &fault), TITAN_OK);
  assert_string_equal(fault.reason, "");
  titan_order_destroy(&training);
  titan_order_destroy(&forwards);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(short_orders_are_those_of_the_papers),
      cmocka_unit_test(idle_time_is_that_of_the_table),
      cmocka_unit_test(idle_time_with_unequal_backwards_is_that_of_the_table),
      cmocka_unit_test(pairs_one_after_the_other_are_less_idle),
      cmocka_unit_test(warm_up_is_that_of_the_rules),
      cmocka_unit_test(activations_in_flight_are_those_of_the_table),
      cmocka_unit_test(interleaving_pays_as_published_for_few_microbatches),
      cmocka_unit_test(each_cell_may_take_its_own_time),
      cmocka_unit_test(a_transfer_delays_what_needs_it_on_another_rank_alone),
      cmocka_unit_test(numbers_that_a_schedule_refuses_get_the_reason_and_the_nearest_that_works),
      cmocka_unit_test(titles_are_found_in_any_case),
      cmocka_unit_test(the_list_of_the_tests_is_that_of_the_table),
      cmocka_unit_test(only_looped_bfs_adds_gradients_in_another_order),
      cmocka_unit_test(forwards_alone_lie_where_the_training_order_has_its_stages),
  };
  return cmocka_run_group_tests(tests, NULL, expect_no_leaks);
}
