// SPDX-License-Identifier: Apache-2.0
// Property: the watchdog's message says what is true of ranks that wait: which does not answer, is late, calls another
// collective or waits for another operation. Oracle: whereabouts that are made up here.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include "base/memory.h"
#include "comm/verdict.h"

#include <stdio.h>
#include <string.h>

enum { RANKS = 4 };

static titan_verdict_rank ranks[RANKS];
static titan_side_peer peers[RANKS];

static titan_whereabouts waits_for(const char *operation, const char *group, int leader, uint64_t sequence,
                                   bool outside) {
  titan_whereabouts where = {.step = 3, .waits = true, .wait_seconds = 7};
  strcpy(where.phase, "training");
  strcpy(where.operation.operation, operation);
  strcpy(where.operation.group, group);
  where.operation.leader = leader;
  where.operation.size = RANKS;
  where.operation.sequence = sequence;
  where.operation.peer = -1;
  where.operation.outside = outside;
  where.operation.bytes = outside ? 0 : 8;
  return where;
}

// All ranks wait for all_reduce #5 of the world.
static int set_up(void **state) {
  (void)state;
  memset(ranks, 0, sizeof ranks);
  memset(peers, 0, sizeof peers);
  for (int rank = 0; rank < RANKS; rank++) {
    strcpy(peers[rank].host, "elsewhere");
    peers[rank].process = 100 + rank;
    ranks[rank] = (titan_verdict_rank){.answered = true, .where = waits_for("all_reduce", "world", 0, 5, false)};
  }
  return 0;
}

// The message of `waiter` has `wanted`, and not `unwanted`.
static void expect(int waiter, const char *wanted, const char *unwanted) {
  titan_text text = {0};
  assert_int_equal(titan_verdict_tell(ranks, peers, RANKS, waiter, "seconds = 5", &text), TITAN_OK);
  if (strstr(text.data, wanted) == NULL || (unwanted != NULL && strstr(text.data, unwanted) != NULL))
    fail_msg("\"%s\" is not in, or \"%s\" is in: %s", wanted, unwanted != NULL ? unwanted : "", text.data);
  titan_text_destroy(&text);
}

static void a_rank_that_does_not_answer_comes_first(void **state) {
  (void)state;
  ranks[2].answered = false;
  ranks[3].where.waits = false;
  expect(0, "all_reduce #5 of group world (8 bytes a rank, 4 ranks from rank 0 on) has kept rank 0 waiting for 7.0 s",
         "is late");
  expect(0, "rank 2 (host elsewhere, process 102) does not answer: it is stopped, gone, or cut off", NULL);
}

static void another_collective_at_the_same_place_is_told(void **state) {
  (void)state;
  ranks[3].where = waits_for("barrier", "world", 0, 5, false);
  ranks[2].where.waits = false; // comes after that
  expect(0, "ranks call different collectives: rank 3 (host elsewhere, process 103) calls barrier #5", "is late");
}

static void a_late_rank_is_told_before_one_at_another_place(void **state) {
  (void)state;
  ranks[2].where.waits = false;
  ranks[2].where.action_seconds = 9;
  strcpy(ranks[2].where.action, "backward of layers.3");
  ranks[3].where = waits_for("all_reduce", "world", 0, 6, false);
  expect(0, "rank 2 (host elsewhere, process 102) is late: for 9.0 s it has been in training, step 3, backward of",
         "different");
  ranks[2].where.waits = true;
  expect(0, "ranks call different collectives: rank 3 (host elsewhere, process 103) calls all_reduce #6", "late");
}

// A rank has finished the start of NCCL, and waits in the next collective for one that has not. They have called the
// same, whatever their numbers are.
static void the_start_of_nccl_is_no_other_collective(void **state) {
  (void)state;
  for (uint64_t sequence = 4; sequence < 7; sequence++) {
    for (int rank = 0; rank < RANKS; rank++)
      ranks[rank].where = waits_for("all_reduce", "dp_shard", 0, 5, false);
    ranks[1].where = waits_for("start of NCCL", "dp_shard", 0, sequence, true);
    expect(0,
           "no rank computes, and ranks wait for different operations; rank 1 (host elsewhere, process 101) waits "
           "for start of NCCL",
           "calls");
    expect(1,
           "of group dp_shard (4 ranks) has kept rank 1 waiting for 7.0 s (seconds = 5); no rank computes, and "
           "ranks wait for different operations; rank 0 (host elsewhere, process 100) waits for all_reduce #5",
           "calls");
  }
}

static void nobody_is_blamed_where_all_wait_for_one_operation(void **state) {
  (void)state;
  expect(0, "every rank waits for this operation, which does not end", "different");
  // Each process counts its own starts of NCCL.
  for (int rank = 0; rank < RANKS; rank++)
    ranks[rank].where = waits_for("start of NCCL", "dp_shard", 0, (uint64_t)rank, true);
  expect(2, "every rank waits for this operation, which does not end", "different");
}

static void groups_of_one_name_are_told_apart(void **state) {
  (void)state;
  ranks[0].where = ranks[1].where = waits_for("all_gather", "tp", 0, 8, false);
  ranks[2].where = ranks[3].where = waits_for("reduce_scatter", "tp", 2, 8, false);
  expect(0,
         "no rank computes, and ranks wait for different operations; rank 2 (host elsewhere, process 102) waits for "
         "reduce_scatter #8 of group tp (8 bytes a rank, 4 ranks from rank 2 on)",
         "calls");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(a_rank_that_does_not_answer_comes_first, set_up),
      cmocka_unit_test_setup(another_collective_at_the_same_place_is_told, set_up),
      cmocka_unit_test_setup(a_late_rank_is_told_before_one_at_another_place, set_up),
      cmocka_unit_test_setup(the_start_of_nccl_is_no_other_collective, set_up),
      cmocka_unit_test_setup(nobody_is_blamed_where_all_wait_for_one_operation, set_up),
      cmocka_unit_test_setup(groups_of_one_name_are_told_apart, set_up),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
