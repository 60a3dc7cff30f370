// SPDX-License-Identifier: Apache-2.0
// Which GPU a rank takes: each GPU has equally many ranks, near ones where the system tells of NUMA domains, and every
// rank finds the same answer.
#include "cuda/choose.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { MOST_RANKS = 16 };

static void check(int gpus, const int *numa_of_gpus, int ranks, const int *numa_of_ranks, const int *expected) {
  for (int rank = 0; rank < ranks; rank++)
    assert_int_equal(titan_cuda_choose(gpus, numa_of_gpus, rank, ranks, numa_of_ranks), expected[rank]);
}

static const int unknown[MOST_RANKS] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};

static void without_numa_ranks_take_gpus_in_order(void **state) {
  (void)state;
  check(4, unknown, 4, NULL, (const int[]){0, 1, 2, 3});
  check(4, unknown, 4, unknown, (const int[]){0, 1, 2, 3});
  check(1, unknown, 3, NULL, (const int[]){0, 0, 0});
  check(4, unknown, 2, NULL, (const int[]){0, 1});
}

static void ranks_take_gpus_of_their_domain(void **state) {
  (void)state;
  const int gpus[] = {0, 0, 1, 1};
  check(4, gpus, 4, (const int[]){0, 0, 1, 1}, (const int[]){0, 1, 2, 3});
  check(4, gpus, 4, (const int[]){0, 1, 0, 1}, (const int[]){0, 2, 1, 3});
  check(4, gpus, 4, (const int[]){1, 1, 0, 0}, (const int[]){2, 3, 0, 1});
  check(4, gpus, 2, (const int[]){1, 0}, (const int[]){2, 0});
}

static void ranks_without_a_near_gpu_take_what_is_left(void **state) {
  (void)state;
  const int gpus[] = {0, 0, 1, 1};
  check(4, gpus, 4, (const int[]){1, 1, 1, 1}, (const int[]){2, 3, 0, 1});
  check(4, gpus, 4, (const int[]){-1, 0, -1, 0}, (const int[]){2, 0, 3, 1});
  check(4, gpus, 4, (const int[]){7, 1, -1, 0}, (const int[]){1, 2, 3, 0});
}

static void every_gpu_has_as_many_ranks_as_another_or_one_less(void **state) {
  (void)state;
  const int gpus[] = {1, 0, 1};
  for (int ranks = 1; ranks <= MOST_RANKS; ranks++)
    for (int pattern = 0; pattern < 729; pattern++) {
      int numa[MOST_RANKS], taken[3] = {0}, digits = pattern;
      for (int rank = 0; rank<ranks; rank++, digits = digits> 2 ? digits / 3 : pattern)
        numa[rank] = digits % 3 - 1;
      for (int rank = 0; rank < ranks; rank++) {
        int gpu = titan_cuda_choose(3, gpus, rank, ranks, numa);
        assert_in_range(gpu, 0, 2);
        taken[gpu]++;
      }
      for (int gpu = 0; gpu < 3; gpu++)
        assert_true(taken[gpu] <= (ranks + 2) / 3);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(without_numa_ranks_take_gpus_in_order),
                                     cmocka_unit_test(ranks_take_gpus_of_their_domain),
                                     cmocka_unit_test(ranks_without_a_near_gpu_take_what_is_left),
                                     cmocka_unit_test(every_gpu_has_as_many_ranks_as_another_or_one_less)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
