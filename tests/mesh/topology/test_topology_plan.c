// SPDX-License-Identifier: Apache-2.0
// Property: a node's cores are shared fairly, and ranks are bound anew exactly when a binding that nobody asked for
// leaves one of them short. Oracle: small cases worked out by hand. Tolerance: none.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include <string.h>

#include "comm/topology.h"
#include "comm/topology_plan.h"

enum { MOST = 128 };
static titan_rank_binding ranks[MOST];

// `size` ranks on `cores` cores; rank r is bound to `width` cores from first + r * step on.
static void prepare(int size, int cores, int first, int step, int width, bool by_default) {
  for (int r = 0; r < size; r++) {
    ranks[r] = (titan_rank_binding){.binding_is_default = by_default};
    for (int c = 0; c < cores; c++)
      titan_core_set_add(&ranks[r].usable, 2 * c); // two hardware threads a core
    for (int c = 0; c < width; c++)
      titan_core_set_add(&ranks[r].bound, 2 * (first + r * step + c));
  }
}

static void one_rank_on_one_core_gets_the_node(void **state) {
  (void)state;
  prepare(1, 16, 3, 0, 1, true);
  titan_topology_plan plan = titan_topology_plan_create(ranks, 1, 0, true);
  assert_true(plan.rebind && plan.first == 0 && plan.count == 16 && plan.threads == 16 && plan.sharing_ranks == 1);
  plan = titan_topology_plan_create(ranks, 1, 0, false);
  assert_true(!plan.rebind && plan.threads == 1 && plan.cores == 1);
}

static void two_ranks_on_a_core_each_get_halves(void **state) {
  (void)state;
  prepare(2, 17, 0, 1, 1, true);
  titan_topology_plan first = titan_topology_plan_create(ranks, 2, 0, true);
  titan_topology_plan second = titan_topology_plan_create(ranks, 2, 1, true);
  assert_true(first.rebind && second.rebind && first.first == 0 && first.count == 8);
  assert_true(second.first == 8 && second.count == 9 && second.threads == 9 && second.fair_cores == 8);
}

static void a_binding_that_was_asked_for_stays(void **state) {
  (void)state;
  prepare(2, 16, 0, 1, 1, true);
  ranks[1].binding_is_default = false;
  titan_topology_plan plan = titan_topology_plan_create(ranks, 2, 0, true);
  assert_true(!plan.rebind && plan.threads == 1 && plan.cores == 1 && plan.sharing_ranks == 1);
}

static void ranks_bound_to_a_socket_share_its_cores(void **state) {
  (void)state;
  prepare(4, 16, 0, 0, 8, true); // two by two on sockets of eight cores
  for (int r = 2; r < 4; r++) {
    ranks[r].bound = (titan_core_set){0};
    for (int c = 8; c < 16; c++)
      titan_core_set_add(&ranks[r].bound, 2 * c);
  }
  for (int r = 0; r < 4; r++) {
    titan_topology_plan plan = titan_topology_plan_create(ranks, 4, r, true);
    assert_true(!plan.rebind && plan.threads == 4 && plan.sharing_ranks == 2 && plan.cores == 8);
  }
}

static void overlapping_bindings_divide_each_core_among_its_users(void **state) {
  (void)state;
  prepare(2, 8, 0, 0, 6, false); // both have cores 0 to 5; the second one also 6 and 7
  titan_core_set_add(&ranks[1].bound, 12);
  titan_core_set_add(&ranks[1].bound, 14);
  assert_int_equal(titan_topology_plan_create(ranks, 2, 0, true).threads, 3);
  assert_int_equal(titan_topology_plan_create(ranks, 2, 1, true).threads, 5);
}

static void more_ranks_than_cores_get_one_thread_each(void **state) {
  (void)state;
  prepare(64, 2, 0, 0, 2, true);
  for (int r = 0; r < 64; r++) {
    titan_topology_plan plan = titan_topology_plan_create(ranks, 64, r, true);
    assert_true(!plan.rebind && plan.threads == 1 && plan.sharing_ranks == 64 && plan.fair_cores == 1);
  }
}

static void asked_for_threads_are_given(void **state) {
  (void)state;
  prepare(2, 16, 0, 1, 1, true);
  ranks[0].wanted_threads = ranks[1].wanted_threads = 1; // one core is enough for that
  titan_topology_plan plan = titan_topology_plan_create(ranks, 2, 1, true);
  assert_true(!plan.rebind && plan.threads == 1);
  ranks[0].wanted_threads = ranks[1].wanted_threads = 4;
  plan = titan_topology_plan_create(ranks, 2, 1, true);
  assert_true(plan.rebind && plan.threads == 4 && plan.count == 8);
  ranks[0].wanted_threads = ranks[1].wanted_threads = 32; // more than there are: as many cores as can be
  plan = titan_topology_plan_create(ranks, 2, 1, true);
  assert_true(plan.rebind && plan.threads == 32 && plan.count == 8);
}

static void ranks_that_see_different_cores_are_left_alone(void **state) {
  (void)state;
  prepare(2, 16, 0, 1, 1, true);
  titan_core_set_add(&ranks[1].usable, 100);
  assert_false(titan_topology_plan_create(ranks, 2, 0, true).rebind);
  assert_false(titan_topology_plan_create(ranks, 2, 1, true).rebind);
}

static void memory_that_is_left_is_known(void **state) {
  (void)state;
  uint64_t node = 0, rank = 0;
  titan_topology_memory(&node, &rank);
  assert_true(node > (uint64_t)1 << 20 && node < (uint64_t)1 << 60);
  assert_true(rank > (uint64_t)1 << 20);
}

// Four ranks on core 0 of a node of 8; four on cores of their own; two unbound ranks with more threads than cores.
static void ranks_that_crowd_on_few_cores_are_counted(void **state) {
  (void)state;
  static titan_rank_binding four[4];
  int threads[4] = {1, 1, 1, 1};
  memset(four, 0, sizeof four);
  for (int r = 0; r < 4; r++) {
    titan_core_set_add(&four[r].bound, 0);
    for (int core = 0; core < 8; core++)
      titan_core_set_add(&four[r].allowed, core);
  }
  titan_topology_crowd crowd = titan_topology_crowd_of(four, threads, 4, 2);
  assert_true(crowd.ranks == 4 && crowd.cores == 1 && crowd.threads == 4 && crowd.free_cores == 7);
  for (int r = 0; r < 4; r++) {
    four[r].bound = (titan_core_set){0};
    titan_core_set_add(&four[r].bound, 2 * r);
  }
  crowd = titan_topology_crowd_of(four, threads, 4, 2);
  assert_true(crowd.ranks == 1 && crowd.cores == 1 && crowd.threads == 1 && crowd.free_cores == 4);
  four[0].bound = four[1].bound = four[0].allowed;
  threads[0] = threads[1] = 6;
  crowd = titan_topology_crowd_of(four, threads, 2, 0);
  assert_true(crowd.ranks == 2 && crowd.cores == 8 && crowd.threads == 12 && crowd.free_cores == 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(ranks_that_crowd_on_few_cores_are_counted),
      cmocka_unit_test(one_rank_on_one_core_gets_the_node),
      cmocka_unit_test(two_ranks_on_a_core_each_get_halves),
      cmocka_unit_test(a_binding_that_was_asked_for_stays),
      cmocka_unit_test(ranks_bound_to_a_socket_share_its_cores),
      cmocka_unit_test(overlapping_bindings_divide_each_core_among_its_users),
      cmocka_unit_test(more_ranks_than_cores_get_one_thread_each),
      cmocka_unit_test(asked_for_threads_are_given),
      cmocka_unit_test(ranks_that_see_different_cores_are_left_alone),
      cmocka_unit_test(memory_that_is_left_is_known),
  };
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  return failures != 0 || titan_memory_report_leaks() != 0;
}
