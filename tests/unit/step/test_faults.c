// SPDX-License-Identifier: Apache-2.0
// Property: a list with one action removed, doubled or moved is refused by the checker, with rank, place and action, or
// runs right; transfers between pipeline ranks that cannot go together are refused. Oracle: the toy model.
#include "leaks.h"
#include "toy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

static uint64_t next_random(uint64_t *state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return *state >> 33;
}

// `after` names an action by its place: it moves with it; what was removed is waited for no more.
static void renumber(titan_step_list *list, const int *new_place, int old_count) {
  for (int i = 0; i < list->count; i++) {
    int after = list->actions[i].after;
    if (after >= 0 && after < old_count)
      list->actions[i].after = new_place[after];
  }
}

static void mutate(titan_step_list *list, uint64_t *random) {
  int count = list->count, from = (int)(next_random(random) % (uint64_t)count), way = (int)(next_random(random) % 4);
  int *new_place = malloc((size_t)(count + 1) * sizeof *new_place);
  for (int i = 0; i < count; i++)
    new_place[i] = i;
  titan_action taken = list->actions[from];
  if (way == 0) { // removed
    memmove(list->actions + from, list->actions + from + 1, (size_t)(count - from - 1) * sizeof taken);
    list->count--;
    new_place[from] = -1;
    for (int i = from + 1; i < count; i++)
      new_place[i] = i - 1;
  } else if (way == 1) { // doubled, somewhere after it
    assert_int_equal(titan_step_list_add(list, taken), TITAN_OK);
    int to = from + 1 + (int)(next_random(random) % (uint64_t)(count - from));
    memmove(list->actions + to + 1, list->actions + to, (size_t)(count - to) * sizeof taken);
    list->actions[to] = taken;
    for (int i = to; i < count; i++)
      new_place[i] = i + 1;
  } else if (way == 2) { // moved
    int to = (int)(next_random(random) % (uint64_t)count);
    if (from < to)
      memmove(list->actions + from, list->actions + from + 1, (size_t)(to - from) * sizeof taken);
    else
      memmove(list->actions + to + 1, list->actions + to, (size_t)(from - to) * sizeof taken);
    list->actions[to] = taken;
    for (int i = 0; i < count; i++)
      new_place[i] = i == from ? to : from < to ? i - (i > from && i <= to) : i + (i >= to && i < from);
  } else { // another flag or wait
    titan_action *action = &list->actions[from];
    switch (next_random(random) % 3) {
    case 0:
      action->add = !action->add;
      break;
    case 1:
      action->last = !action->last;
      break;
    default:
      action->after = -1;
    }
  }
  if (way != 3)
    renumber(list, new_place, count);
  free(new_place);
}

static void a_list_with_one_fault_is_refused_or_runs_right(void **state) {
  (void)state;
  uint64_t random = 12345;
  int refused = 0, right = 0;
  for (int round = 0; round < 4000; round++) {
    toy t;
    titan_step_list list;
    toy_create(&t, 3 + (int)(next_random(&random) % 3), 1 + (int)(next_random(&random) % 3), round % 7 != 0);
    if (round % 2 == 0)
      toy_tie(&t);
    t.shape.gathers = next_random(&random) % 2;
    t.shape.reduce = next_random(&random) % 2 ? TITAN_REDUCE_LAST : TITAN_REDUCE_EACH;
    t.shape.early_update = next_random(&random) % 2;
    t.shape.offloads = next_random(&random) % 2;
    t.sizes.own_shards = !t.shape.early_update && !t.shape.offloads;
    assert_int_equal(titan_step_lower(&t.order, &t.shape, 0, &list), TITAN_OK);
    mutate(&list, &random);
    if (titan_step_check(&t.order, &t.shape, &list) == TITAN_OK) {
      assert_true(toy_run(&t, &list));
      right++;
    } else {
      assert_non_null(strstr(titan_error_message(), "pipeline rank 0, action #"));
      refused++;
    }
    titan_step_list_destroy(&list);
    toy_destroy(&t);
  }
  print_message("%d refused, %d run right\n", refused, right);
  assert_true(refused > 2500 && right > 0);
}

// The same of the lists of several pipeline ranks, of which one has the fault.
static void a_pipeline_with_one_fault_is_refused_or_runs_right(void **state) {
  (void)state;
  static const char *const titles[] = {"1F1B", "Interleaved1F1B", "LoopedBFS", "ZBVZeroBubble", "DualPipeV"};
  uint64_t random = 54321;
  int refused = 0, right = 0;
  for (int round = 0; round < 4000; round++) {
    toy t;
    titan_order order;
    titan_step_list lists[3];
    const titan_schedule_row *row = titan_schedule_find(titles[round % 5]);
    int ranks = 2 + (int)(next_random(&random) % 2), sizes[6];
    int stages = ranks * titan_schedule_stages_per_rank(row);
    for (int stage = 0; stage < stages; stage++)
      sizes[stage] = 1 + (int)(next_random(&random) % 2);
    assert_int_equal(titan_schedule_make(row, ranks, stages, 2 * ranks, &order), TITAN_OK);
    toy_create_pipeline(&t, &order, sizes);
    t.shape.gathers = next_random(&random) % 2;
    t.shape.reduce = next_random(&random) % 2 ? TITAN_REDUCE_LAST : TITAN_REDUCE_EACH;
    assert_int_equal(titan_step_lower_all(&t.order, &t.shape, lists), TITAN_OK);
    mutate(&lists[next_random(&random) % (uint64_t)ranks], &random);
    if (titan_step_check(&t.order, &t.shape, lists) == TITAN_OK) {
      assert_true(toy_run(&t, lists));
      right++;
    } else {
      assert_non_null(strstr(titan_error_message(), "the step of pipeline rank "));
      refused++;
    }
    for (int rank = 0; rank < ranks; rank++)
      titan_step_list_destroy(&lists[rank]);
    toy_destroy(&t);
  }
  print_message("%d refused, %d run right\n", refused, right);
  assert_true(refused > 2000 && right > 200);
}

// --- pipelines: orders written by hand, one character a cell ---

typedef struct pipeline {
  toy t;
  int first_unit[5];
  titan_step_list lists[4];
} pipeline;

// cells[rank]: "F00" stage 0, microbatch 0. Two units a stage but the last, which has the head too.
static titan_status make(pipeline *p, int ranks, int stages, int microbatches, const char *const *cells) {
  toy_create(&p->t, 2 * stages, 1, true);
  titan_order_destroy(&p->t.order);
  assert_int_equal(titan_order_create(ranks, stages, microbatches, &p->t.order), TITAN_OK);
  for (int stage = 0; stage <= stages; stage++)
    p->first_unit[stage] = 2 * stage;
  p->t.shape.first_unit = p->first_unit;
  p->t.shape.reduce = TITAN_REDUCE_LAST;
  for (int rank = 0; rank < ranks; rank++) {
    for (const char *c = cells[rank]; *c != '\0'; c += 3 + (c[3] == ' ')) {
      titan_compute compute = *c == 'F'   ? TITAN_COMPUTE_FORWARD
                              : *c == 'B' ? TITAN_COMPUTE_BACKWARD
                              : *c == 'I' ? TITAN_COMPUTE_INPUT_GRADIENT
                                          : TITAN_COMPUTE_WEIGHT_GRADIENT;
      assert_int_equal(titan_order_add(&p->t.order, rank, compute, c[1] - '0', c[2] - '0'), TITAN_OK);
    }
  }
  assert_int_equal(titan_step_lower_all(&p->t.order, &p->t.shape, p->lists), TITAN_OK);
  return titan_step_check(&p->t.order, &p->t.shape, p->lists);
}

static void destroy(pipeline *p) {
  for (int rank = 0; rank < p->t.order.ranks; rank++)
    titan_step_list_destroy(&p->lists[rank]);
  toy_destroy(&p->t);
}

static void expect_fault(int ranks, int stages, int microbatches, const char *const *cells, const char *reason) {
  pipeline p = {0};
  assert_int_equal(make(&p, ranks, stages, microbatches, cells), TITAN_ERROR_INTERNAL);
  if (strstr(titan_error_message(), reason) == NULL)
    fail_msg("\"%s\" is not in \"%s\"", reason, titan_error_message());
  destroy(&p);
}

static void a_pipeline_of_two_ranks_passes(void **state) {
  (void)state;
  pipeline p = {0};
  const char *const one_f_one_b[] = {"F00 F01 B00 B01", "F10 B10 F11 B11"};
  if (make(&p, 2, 2, 2, one_f_one_b) != TITAN_OK)
    fail_msg("%s", titan_error_message());
  destroy(&p);
  const char *const apart[] = {"F00 F01 I00 W00 I01 W01", "F10 I10 F11 I11 W10 W11"};
  if (make(&p, 2, 2, 2, apart) != TITAN_OK)
    fail_msg("%s", titan_error_message());
  destroy(&p);
  const char *const looped[] = {"F00 F01 F20 F21 B20 B21 B00 B01", "F10 F11 F30 F31 B30 B31 B10 B11"};
  if (make(&p, 2, 4, 2, looped) != TITAN_OK)
    fail_msg("%s", titan_error_message());
  destroy(&p);
}

// What comes is told by its name: a rank may use it in another order than the one in which it was sent.
static void receives_need_not_be_in_the_order_of_the_sends(void **state) {
  (void)state;
  pipeline p = {0};
  const char *const crossed[] = {"F00 F01 B00 B01", "F11 B11 F10 B10"};
  if (make(&p, 2, 2, 2, crossed) != TITAN_OK)
    fail_msg("%s", titan_error_message());
  destroy(&p);
}

static void orders_that_cannot_run_are_refused_with_rank_and_action(void **state) {
  (void)state;
  expect_fault(2, 2, 1, (const char *const[]){"B00 F00", "F10 B10"}, "pipeline rank 0, action #");
  expect_fault(2, 2, 2, (const char *const[]){"F00 B00 F01 B01", "F11 B11 F10 B10"},
               "of stage 0 and microbatch 0: it deadlocks");
  // Without a forward the head has no gradient to send.
  expect_fault(2, 2, 2, (const char *const[]){"F00 F01 B00 B01", "F10 B10 B11"},
               "of stage 1 and microbatch 1: its forward has not run");
  expect_fault(2, 2, 1, (const char *const[]){"F00 I00", "F10 B10"}, "of stage 0 and microbatch 0: a forward or back");
  expect_fault(2, 2, 1, (const char *const[]){"F00 B00", "F10 W10 I10"}, "its gradient of the input comes first");
  expect_fault(2, 2, 1, (const char *const[]){"F00", "F10 B10"},
               "SENT layers.1 input_gradient m0 to rank 0), of stage 1 and microbatch 0: it deadlocks");
  // Rank 0 wants a gradient that rank 1 sends only after an activation that rank 0 has still to send.
  expect_fault(2, 2, 2, (const char *const[]){"F00 B01 F01 B00", "F10 F11 B11 B10"}, "it deadlocks");
}

// Moves the TIE by `away` places, where it waits for nothing.
static void expect_moved_tie_is_refused(bool early, int away, const char *reason) {
  toy t;
  titan_step_list list;
  int from = 0;
  toy_create(&t, 4, 2, true);
  toy_tie(&t);
  t.shape.early_update = early;
  t.sizes.own_shards = !early;
  assert_int_equal(titan_step_lower(&t.order, &t.shape, 0, &list), TITAN_OK);
  while (list.actions[from].kind != TITAN_ACTION_TIE)
    from++;
  titan_action tie = list.actions[from];
  for (int i = from; i != from + away; i += away > 0 ? 1 : -1)
    list.actions[i] = list.actions[i + (away > 0 ? 1 : -1)];
  list.actions[from + away] = tie;
  list.actions[from + away].after = -1;
  assert_int_equal(titan_step_check(&t.order, &t.shape, &list), TITAN_ERROR_INTERNAL);
  if (strstr(titan_error_message(), reason) == NULL)
    fail_msg("\"%s\" is not in \"%s\"", reason, titan_error_message());
  titan_step_list_destroy(&list);
  toy_destroy(&t);
}

static void a_tie_before_the_reductions_or_after_an_update_is_refused(void **state) {
  (void)state;
  for (int early = 0; early < 2; early++) {
    expect_moved_tie_is_refused(early, 0, "the gradients that it adds up are not complete");
    expect_moved_tie_is_refused(early, -1, "the gradients that it adds up are not complete");
  }
  expect_moved_tie_is_refused(true, 1, "its gradients are not complete");
}

static void an_update_without_its_tie_is_refused(void **state) {
  (void)state;
  toy t;
  titan_step_list list;
  toy_create(&t, 3, 1, true);
  assert_int_equal(titan_step_lower(&t.order, &t.shape, 0, &list), TITAN_OK);
  toy_tie(&t); // the list does not know of it
  assert_int_equal(titan_step_check(&t.order, &t.shape, &list), TITAN_ERROR_INTERNAL);
  assert_non_null(strstr(titan_error_message(), "its gradients lack those of the unit tied to it"));
  titan_step_list_destroy(&list);
  toy_destroy(&t);
}

// The first OFFLOAD becomes another action, or is taken away.
static void expect_other_offload_is_refused(titan_action_kind kind, const char *reason) {
  toy t;
  titan_step_list list;
  int at = 0;
  toy_create(&t, 4, 1, true);
  t.shape.offloads = true;
  assert_int_equal(titan_step_lower(&t.order, &t.shape, 0, &list), TITAN_OK);
  while (list.actions[at].kind != TITAN_ACTION_OFFLOAD)
    at++;
  if (kind == TITAN_ACTIONS) // doubled
    list.actions[at + 1] = list.actions[at];
  else
    list.actions[at].kind = kind;
  assert_int_equal(titan_step_check(&t.order, &t.shape, &list), TITAN_ERROR_INTERNAL);
  if (strstr(titan_error_message(), reason) == NULL)
    fail_msg("\"%s\" is not in \"%s\"", reason, titan_error_message());
  titan_step_list_destroy(&list);
  toy_destroy(&t);
}

static void an_offload_that_is_missing_or_comes_twice_is_refused(void **state) {
  (void)state;
  expect_other_offload_is_refused(TITAN_ACTION_UPDATE, "its gradients are not in host memory");
  expect_other_offload_is_refused(TITAN_ACTIONS, "its gradients are offloaded already");
}

static void tied_units_on_two_pipeline_ranks_are_refused(void **state) {
  (void)state;
  toy t;
  titan_step_list list;
  int first_unit[] = {0, 2, 4};
  toy_create(&t, 4, 1, true);
  toy_tie(&t);
  titan_order_destroy(&t.order);
  t.shape.first_unit = first_unit;
  assert_int_equal(titan_order_create(2, 2, 1, &t.order), TITAN_OK);
  assert_int_equal(titan_step_lower(&t.order, &t.shape, 0, &list), TITAN_ERROR_USAGE);
  assert_non_null(strstr(titan_error_message(), "are on the pipeline ranks 0 and 1"));
  toy_destroy(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_list_with_one_fault_is_refused_or_runs_right),
      cmocka_unit_test(a_pipeline_with_one_fault_is_refused_or_runs_right),
      cmocka_unit_test(a_tie_before_the_reductions_or_after_an_update_is_refused),
      cmocka_unit_test(an_update_without_its_tie_is_refused),
      cmocka_unit_test(an_offload_that_is_missing_or_comes_twice_is_refused),
      cmocka_unit_test(tied_units_on_two_pipeline_ranks_are_refused),
      cmocka_unit_test(a_pipeline_of_two_ranks_passes),
      cmocka_unit_test(receives_need_not_be_in_the_order_of_the_sends),
      cmocka_unit_test(orders_that_cannot_run_are_refused_with_rank_and_action),
  };
  return cmocka_run_group_tests(tests, NULL, expect_no_leaks);
}
