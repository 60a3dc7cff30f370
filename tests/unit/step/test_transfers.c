// SPDX-License-Identifier: Apache-2.0
// Property: the list of a pipeline's rank is what its order asks for, as text; each action of a transfer is needed
// where it stands or may stand elsewhere: a list without it is refused, and one in which it was moved is refused or
// runs right. Oracle: lists written by hand; the toy model. Tolerance: none.
#include "leaks.h"
#include "schedules.h"
#include "toy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

enum { MOST_RANKS = 3 };

typedef struct pipeline {
  toy t;
  titan_step_list lists[MOST_RANKS];
} pipeline;

// A stage has two units, embedding and head among them.
static void create(pipeline *p, const char *title, int ranks, int per_rank, int microbatches) {
  const titan_schedule_row *row = titan_schedule_find(title);
  titan_order order;
  int sizes[2 * MOST_RANKS], stages = ranks * per_rank;
  for (int stage = 0; stage < stages; stage++)
    sizes[stage] = 2;
  if (titan_schedule_make(row, ranks, stages, microbatches, &order) != TITAN_OK)
    fail_msg("%s", titan_error_message());
  toy_create_pipeline(&p->t, &order, sizes);
  p->t.shape.gathers = false;
  p->t.shape.reduce = TITAN_REDUCE_LAST;
  assert_int_equal(titan_step_lower_all(&p->t.order, &p->t.shape, p->lists), TITAN_OK);
}

static void destroy(pipeline *p) {
  for (int rank = 0; rank < p->t.order.ranks; rank++)
    titan_step_list_destroy(&p->lists[rank]);
  toy_destroy(&p->t);
}

// --- text ---

static void expect_text(const char *title, const char *const *expected) {
  pipeline p = {0};
  create(&p, title, 2, 1, 2);
  assert_int_equal(titan_step_check(&p.t.order, &p.t.shape, p.lists), TITAN_OK);
  for (int rank = 0; rank < 2; rank++) {
    titan_text text = {0};
    assert_int_equal(titan_step_print(&p.lists[rank], &p.t.shape, &text), TITAN_OK);
    assert_string_equal(text.data, expected[rank]);
    titan_text_destroy(&text);
  }
  assert_true(toy_run(&p.t, p.lists));
  destroy(&p);
}

static void one_f_one_b_of_two_stages_and_microbatches(void **state) {
  (void)state;
  expect_text("1F1B", (const char *const[]){"#0     LOAD m0\n"
                                            "#1     RUN embedding forward m0\n"
                                            "#2     RUN layers.0 forward m0\n"
                                            "#3     SEND layers.1 input m0 to rank 1\n"
                                            "#4     RECV layers.1 input_gradient m0 from rank 1\n"
                                            "#5     LOAD m1\n"
                                            "#6     RUN embedding forward m1\n"
                                            "#7     RUN layers.0 forward m1\n"
                                            "#8     SEND layers.1 input m1 to rank 1\n"
                                            "#9     RECV layers.1 input_gradient m1 from rank 1\n"
                                            "#10    RECEIVED layers.1 input_gradient m0 from rank 1\n"
                                            "#11    SENT layers.1 input m0 to rank 1\n"
                                            "#12    SENT layers.1 input m1 to rank 1\n"
                                            "#13    RUN layers.0 backward m0 set\n"
                                            "#14    RUN embedding backward m0 set\n"
                                            "#15    RECEIVED layers.1 input_gradient m1 from rank 1\n"
                                            "#16    RUN layers.0 backward m1 add last\n"
                                            "#17    REDUCE layers.0 m1 set last\n"
                                            "#18    RUN embedding backward m1 add last\n"
                                            "#19    REDUCE embedding m1 set last\n"
                                            "#20    UPDATE embedding after #19\n"
                                            "#21    UPDATE layers.0\n",
                                            "#0     RECV layers.1 input m0 from rank 0\n"
                                            "#1     RECEIVED layers.1 input m0 from rank 0\n"
                                            "#2     RUN layers.1 forward m0\n"
                                            "#3     LOAD m0\n"
                                            "#4     RUN head forward+backward m0 set\n"
                                            "#5     RECV layers.1 input m1 from rank 0\n"
                                            "#6     RUN layers.1 backward m0 set\n"
                                            "#7     SEND layers.1 input_gradient m0 to rank 0\n"
                                            "#8     RECEIVED layers.1 input m1 from rank 0\n"
                                            "#9     SENT layers.1 input_gradient m0 to rank 0\n"
                                            "#10    RUN layers.1 forward m1\n"
                                            "#11    LOAD m1\n"
                                            "#12    RUN head forward+backward m1 add last\n"
                                            "#13    REDUCE head m1 set last\n"
                                            "#14    RUN layers.1 backward m1 add last\n"
                                            "#15    REDUCE layers.1 m1 set last\n"
                                            "#16    SEND layers.1 input_gradient m1 to rank 0\n"
                                            "#17    SENT layers.1 input_gradient m1 to rank 0\n"
                                            "#18    UPDATE layers.1 after #15\n"
                                            "#19    UPDATE head\n"});
}

static void weight_gradients_of_a_zero_bubble_follow_what_they_send(void **state) {
  (void)state;
  expect_text("InterleavedZeroBubble", (const char *const[]){"#0     LOAD m0\n"
                                                             "#1     RUN embedding forward m0\n"
                                                             "#2     RUN layers.0 forward m0\n"
                                                             "#3     SEND layers.1 input m0 to rank 1\n"
                                                             "#4     RECV layers.1 input_gradient m0 from rank 1\n"
                                                             "#5     LOAD m1\n"
                                                             "#6     RUN embedding forward m1\n"
                                                             "#7     RUN layers.0 forward m1\n"
                                                             "#8     SEND layers.1 input m1 to rank 1\n"
                                                             "#9     RECEIVED layers.1 input_gradient m0 from rank 1\n"
                                                             "#10    SENT layers.1 input m0 to rank 1\n"
                                                             "#11    SENT layers.1 input m1 to rank 1\n"
                                                             "#12    RUN layers.0 input_gradient m0\n"
                                                             "#13    RECV layers.1 input_gradient m1 from rank 1\n"
                                                             "#14    RUN layers.0 weight_gradient m0 set\n"
                                                             "#15    RUN embedding weight_gradient m0 set\n"
                                                             "#16    RECEIVED layers.1 input_gradient m1 from rank 1\n"
                                                             "#17    RUN layers.0 input_gradient m1\n"
                                                             "#18    RUN layers.0 weight_gradient m1 add last\n"
                                                             "#19    REDUCE layers.0 m1 set last\n"
                                                             "#20    RUN embedding weight_gradient m1 add last\n"
                                                             "#21    REDUCE embedding m1 set last\n"
                                                             "#22    UPDATE embedding after #21\n"
                                                             "#23    UPDATE layers.0\n",
                                                             "#0     RECV layers.1 input m0 from rank 0\n"
                                                             "#1     RECEIVED layers.1 input m0 from rank 0\n"
                                                             "#2     RUN layers.1 forward m0\n"
                                                             "#3     LOAD m0\n"
                                                             "#4     RUN head forward+backward m0 set\n"
                                                             "#5     RECV layers.1 input m1 from rank 0\n"
                                                             "#6     RUN layers.1 input_gradient m0\n"
                                                             "#7     SEND layers.1 input_gradient m0 to rank 0\n"
                                                             "#8     RECEIVED layers.1 input m1 from rank 0\n"
                                                             "#9     SENT layers.1 input_gradient m0 to rank 0\n"
                                                             "#10    RUN layers.1 forward m1\n"
                                                             "#11    LOAD m1\n"
                                                             "#12    RUN head forward+backward m1 add last\n"
                                                             "#13    REDUCE head m1 set last\n"
                                                             "#14    RUN layers.1 input_gradient m1\n"
                                                             "#15    SEND layers.1 input_gradient m1 to rank 0\n"
                                                             "#16    RUN layers.1 weight_gradient m0 set\n"
                                                             "#17    RUN layers.1 weight_gradient m1 add last\n"
                                                             "#18    REDUCE layers.1 m1 set last\n"
                                                             "#19    SENT layers.1 input_gradient m1 to rank 0\n"
                                                             "#20    UPDATE layers.1 after #18\n"
                                                             "#21    UPDATE head\n"});
}

// --- faults ---

// `after` names an action by its place, and a message its transfer's number: places alone change.
static void move(titan_step_list *list, int from, int to) {
  titan_action taken = list->actions[from];
  for (int i = 0; i < list->count; i++) {
    int *after = &list->actions[i].after;
    if (*after == from)
      *after = to;
    else if (*after > from && *after <= to)
      --*after;
    else if (*after >= to && *after < from && *after >= 0)
      ++*after;
  }
  taken.after = list->actions[from].after;
  if (from < to)
    memmove(list->actions + from, list->actions + from + 1, (size_t)(to - from) * sizeof taken);
  else
    memmove(list->actions + to + 1, list->actions + to, (size_t)(from - to) * sizeof taken);
  list->actions[to] = taken;
}

// At the list's end it does not count; put back it does.
static void expect_needed(pipeline *p, titan_step_list *list, int place) {
  move(list, place, list->count - 1);
  list->count--;
  assert_int_equal(titan_step_check(&p->t.order, &p->t.shape, p->lists), TITAN_ERROR_INTERNAL);
  assert_non_null(strstr(titan_error_message(), "the step of pipeline rank "));
  list->count++;
  move(list, list->count - 1, place);
}

static bool is_good_at(pipeline *p, titan_step_list *list, int from, int to) {
  move(list, from, to);
  bool good = titan_step_check(&p->t.order, &p->t.shape, p->lists) == TITAN_OK;
  if (good && !toy_run(&p->t, p->lists)) {
    titan_text text = {0};
    assert_int_equal(titan_action_print(&list->actions[to], &p->t.shape, &text), TITAN_OK);
    fail_msg("\"%s\", moved from %d to %d, passes and gives a wrong result", text.data, from, to);
  }
  move(list, to, from);
  return good;
}

static void every_part_of_a_transfer_is_needed_and_wherever_it_passes_it_runs_right(void **state) {
  (void)state;
  int good[TITAN_ACTIONS] = {0}, refused[TITAN_ACTIONS] = {0};
  for (size_t title = 0; title < SCHEDULES; title++)
    for (int ranks = 2; ranks <= MOST_RANKS; ranks++) {
      pipeline p = {0};
      create(&p, schedules[title], ranks, titan_schedule_stages_per_rank(titan_schedule_find(schedules[title])),
             2 * ranks);
      for (int rank = 0; rank < ranks; rank++)
        for (int place = 0; place < p.lists[rank].count; place++) {
          titan_action_kind kind = p.lists[rank].actions[place].kind;
          if (!titan_action_is_transfer(&p.lists[rank].actions[place]))
            continue;
          expect_needed(&p, &p.lists[rank], place);
          for (int to = 0; to < p.lists[rank].count; to += ranks == 2 ? 5 : 17)
            ++*(is_good_at(&p, &p.lists[rank], place, to) ? &good[kind] : &refused[kind]);
        }
      assert_true(toy_run(&p.t, p.lists)); // as it was
      destroy(&p);
    }
  for (int kind = TITAN_ACTION_SEND; kind <= TITAN_ACTION_RECEIVED; kind++) {
    print_message("kind %d: %d good, %d refused\n", kind, good[kind], refused[kind]);
    assert_true(good[kind] > 0 && refused[kind] > 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_f_one_b_of_two_stages_and_microbatches),
      cmocka_unit_test(weight_gradients_of_a_zero_bubble_follow_what_they_send),
      cmocka_unit_test(every_part_of_a_transfer_is_needed_and_wherever_it_passes_it_runs_right),
  };
  return cmocka_run_group_tests(tests, NULL, expect_no_leaks);
}
