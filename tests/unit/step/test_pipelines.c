// SPDX-License-Identifier: Apache-2.0
// Property: every pipeline schedule, lowered for all ranks, passes the checker and computes what one rank computes;
// what it holds in memory is what its order says; numbers that do not work are refused with a reason. Oracle: the toy
// model; the count of activations that the prediction gives; for 1F1B the count of its paper. Tolerance: none.
#include "leaks.h"
#include "schedules.h"
#include "toy.h"

#include "step/in_order.h"
#include "step/predict.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

enum { MOST_RANKS = 8, MOST_STAGES = 32 };

static int draw(uint64_t *state, int count) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return (int)((*state >> 33) % (uint64_t)count);
}

typedef struct pipeline {
  toy t;
  titan_step_list lists[MOST_RANKS];
} pipeline;

// Takes the order. spare: units beyond one a stage and, where there is one stage alone, a head.
static void create(pipeline *p, const titan_order *order, int spare, uint64_t *random) {
  int sizes[MOST_STAGES];
  for (int stage = 0; stage < order->stages; stage++)
    sizes[stage] = 1;
  sizes[order->stages - 1] += order->stages == 1;
  for (int i = 0; i < spare; i++)
    sizes[draw(random, order->stages)]++;
  toy_create_pipeline(&p->t, order, sizes);
}

// Some RUNs read no parameter of their unit.
static void draw_parameter_use(pipeline *p, uint64_t *random) {
  for (int unit = 0; unit < p->t.shape.unit_count; unit++)
    for (int compute = 0; compute < TITAN_COMPUTES; compute++)
      p->t.units[unit].leaves_parameters[compute] = draw(random, 4) == 0;
}

static void lower(pipeline *p) {
  assert_int_equal(titan_step_lower_all(&p->t.order, &p->t.shape, p->lists), TITAN_OK);
  if (titan_step_check(&p->t.order, &p->t.shape, p->lists) != TITAN_OK)
    fail_msg("%s", titan_error_message());
  if (titan_step_check_in_order(&p->t.order, p->lists) != TITAN_OK)
    fail_msg("%s", titan_error_message());
}

static void destroy(pipeline *p) {
  for (int rank = 0; rank < p->t.order.ranks; rank++)
    titan_step_list_destroy(&p->lists[rank]);
  toy_destroy(&p->t);
}

// The reason is there, and the number of microbatches that it names works.
static void expect_reason(const titan_schedule_row *row, int ranks, int stages) {
  const char *message = titan_error_message(), *other = strstr(message, "the nearest number that works is ");
  assert_true(strstr(message, "it needs ") != NULL || strstr(message, " stages on ") != NULL);
  int microbatches;
  if (other != NULL) {
    assert_int_equal(sscanf(other, "the nearest number that works is %d", &microbatches), 1);
    assert_int_equal(titan_schedule_accepts(row, ranks, stages, microbatches), TITAN_OK);
  }
}

static void gradients_ascend(const pipeline *p) {
  for (int rank = 0; rank < p->t.order.ranks; rank++) {
    int before[TOY_UNITS];
    memset(before, -1, sizeof before);
    for (int i = 0; i < p->lists[rank].count; i++) {
      const titan_action *action = &p->lists[rank].actions[i];
      if (!titan_action_has_gradients(action, &p->t.shape))
        continue;
      assert_true(action->microbatch > before[action->unit]);
      before[action->unit] = action->microbatch;
    }
  }
}

static void any_schedule_passes_the_checker_or_is_refused_with_a_reason(void **state) {
  (void)state;
  uint64_t random = 2026;
  int made = 0, refused = 0, run = 0;
  for (int round = 0; round < 10000; round++) {
    const titan_schedule_row *row = titan_schedule_find(schedules[draw(&random, SCHEDULES)]);
    int ranks = 1 + draw(&random, MOST_RANKS), microbatches = 1 + draw(&random, 24);
    int per_rank = draw(&random, 8) == 0 ? 1 + draw(&random, 4) : row->most == 1 ? 1 : row->least + draw(&random, 2);
    titan_order order;
    if (row->most == 0)
      per_rank = 1 + draw(&random, 4);
    titan_status status = titan_schedule_make(row, ranks, ranks * per_rank, microbatches, &order);
    if (status != TITAN_OK) {
      assert_int_equal(status, TITAN_ERROR_USAGE);
      expect_reason(row, ranks, ranks * per_rank);
      refused++;
      continue;
    }
    pipeline p = {0};
    create(&p, &order, draw(&random, 8), &random);
    draw_parameter_use(&p, &random);
    p.t.shape.gathers = draw(&random, 2);
    p.t.shape.look_ahead = 1 + draw(&random, 3);
    p.t.shape.reduce = draw(&random, 2) ? TITAN_REDUCE_LAST : TITAN_REDUCE_EACH;
    p.t.shape.early_update = draw(&random, 2);
    p.t.shape.offloads = draw(&random, 2);
    p.t.sizes.own_shards = !p.t.shape.early_update && !p.t.shape.offloads;
    lower(&p);
    if (titan_order_ascends(&p.t.order))
      gradients_ascend(&p);
    if (round % 64 == 0) {
      assert_true(toy_run(&p.t, p.lists));
      run++;
    }
    destroy(&p);
    made++;
  }
  print_message("%d made, %d of them run, %d refused\n", made, run, refused);
  assert_true(made > 5000 && refused > 1000 && run > 60);
}

static void every_schedule_gives_the_results_of_one_rank(void **state) {
  (void)state;
  uint64_t random = 7;
  for (size_t title = 0; title < SCHEDULES; title++)
    for (int ranks = 1; ranks <= 4; ranks++)
      for (int bits = 0; bits < 32; bits++) {
        const titan_schedule_row *row = titan_schedule_find(schedules[title]);
        titan_order order;
        pipeline p = {0};
        int per_rank = titan_schedule_stages_per_rank(row);
        assert_int_equal(titan_schedule_make(row, ranks, ranks * per_rank, 2 * ranks, &order), TITAN_OK);
        create(&p, &order, draw(&random, 6), &random);
        p.t.shape.gathers = bits & 1;
        p.t.shape.reduce = bits & 2 ? TITAN_REDUCE_LAST : TITAN_REDUCE_EACH;
        p.t.shape.early_update = bits & 4;
        p.t.shape.offloads = bits & 16;
        p.t.sizes.own_shards = !(bits & (4 | 16));
        p.t.sizes.whole_shards = (bits & 8) && (bits & 2);
        lower(&p);
        if (!toy_run(&p.t, p.lists))
          fail_msg("%s, %d ranks, case %d: a result is wrong", schedules[title], ranks, bits);
        destroy(&p);
      }
}

// --- what is held ---

// The most blocks of a kind, of the units `first` to `end` - 1, that are alive at once.
static int most_alive(const titan_step_memory *memory, titan_block_kind kind, int first, int end, int actions) {
  int most = 0;
  for (int action = 0; action < actions; action++) {
    int alive = 0;
    for (int i = 0; i < memory->block_count; i++) {
      const titan_step_block *block = &memory->blocks[i];
      alive += block->kind == kind && block->unit >= first && block->unit < end && block->first <= action &&
               action <= block->last;
    }
    most = alive > most ? alive : most;
  }
  return most;
}

static void plan(pipeline *p, const char *title, int ranks, int per_rank, int microbatches) {
  titan_order order;
  int sizes[MOST_STAGES];
  assert_int_equal(titan_schedule_make(titan_schedule_find(title), ranks, ranks * per_rank, microbatches, &order),
                   TITAN_OK);
  // One block a stage; the embedding before the first, the head after the last.
  for (int stage = 0; stage < order.stages; stage++)
    sizes[stage] = 1 + (stage == 0) + (stage == order.stages - 1);
  toy_create_pipeline(&p->t, &order, sizes);
  lower(p);
}

static void one_f_one_b_holds_as_many_microbatches_as_stages_follow_and_not_one_more(void **state) {
  (void)state;
  for (int ranks = 1; ranks <= 6; ranks++)
    for (int microbatches = ranks; microbatches <= ranks + 7; microbatches += 7)
      for (int rank = 0; rank < ranks; rank++) {
        pipeline p = {0};
        titan_step_memory memory;
        plan(&p, "1F1B", ranks, 1, microbatches);
        assert_int_equal(titan_step_memory_create(&p.lists[rank], &p.t.shape, &p.t.sizes, &memory), TITAN_OK);
        int block = p.t.first_unit[rank] + (rank == 0), actions = p.lists[rank].count;
        assert_int_equal(most_alive(&memory, TITAN_BLOCK_SAVED, block, block + 1, actions), ranks - rank);
        // One more input may be on its way while the rank computes.
        int inputs = most_alive(&memory, TITAN_BLOCK_INPUT, block, block + 1, actions);
        assert_in_range(inputs, ranks - rank, ranks - rank + (rank > 0));
        titan_step_memory_destroy(&memory);
        destroy(&p);
      }
}

static void what_is_planned_is_what_the_prediction_counts(void **state) {
  (void)state;
  double compute[MOST_STAGES][TITAN_COMPUTES];
  for (int stage = 0; stage < MOST_STAGES; stage++)
    for (int i = 0; i < TITAN_COMPUTES; i++)
      compute[stage][i] = 1;
  titan_step_times times = {.compute = compute};
  for (size_t title = 0; title < SCHEDULES; title++)
    for (int ranks = 1; ranks <= 4; ranks++) {
      pipeline p = {0};
      titan_prediction prediction;
      plan(&p, schedules[title], ranks, titan_schedule_stages_per_rank(titan_schedule_find(schedules[title])),
           2 * ranks);
      assert_int_equal(titan_step_predict(&p.t.order, &times, &prediction), TITAN_OK);
      for (int rank = 0; rank < ranks; rank++) {
        titan_step_memory memory;
        assert_int_equal(titan_step_memory_create(&p.lists[rank], &p.t.shape, &p.t.sizes, &memory), TITAN_OK);
        assert_int_equal(most_alive(&memory, TITAN_BLOCK_KEPT, 0, TOY_UNITS, p.lists[rank].count),
                         prediction.ranks[rank].most_in_flight);
        titan_step_memory_destroy(&memory);
      }
      titan_prediction_destroy(&prediction);
      destroy(&p);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(any_schedule_passes_the_checker_or_is_refused_with_a_reason),
      cmocka_unit_test(every_schedule_gives_the_results_of_one_rank),
      cmocka_unit_test(one_f_one_b_holds_as_many_microbatches_as_stages_follow_and_not_one_more),
      cmocka_unit_test(what_is_planned_is_what_the_prediction_counts),
  };
  return cmocka_run_group_tests(tests, NULL, expect_no_leaks);
}
