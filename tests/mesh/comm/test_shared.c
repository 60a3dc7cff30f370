// SPDX-License-Identifier: Apache-2.0
// Property: memory shared by a node's ranks holds what each rank wrote, and reduce-scatter out of it adds in rank
// order. Oracle: the numbers as a function of rank, element and round. Tolerance: none.
#include "comm/comm.h"
#include "mpi_test.h"

#include <unistd.h>

static titan_comm *world;

static float formula(int r, size_t i, int round) {
  return (float)((i * 2654435761u + (size_t)r * 40503u + (size_t)round * 97u) % 100003) / 333.0f - 100.0f;
}

static void the_block_is_contiguous_zero_aligned_and_counted(void **state) {
  (void)state;
  enum { BYTES = 64 * 1001 };
  titan_shared *shared = NULL;
  size_t before = titan_memory_usage_of(TITAN_MEMORY_PARAMETERS).live_bytes;
  expect_on_all(titan_shared_create(world, BYTES, TITAN_MEMORY_PARAMETERS, &shared) == TITAN_OK);
  expect_on_all(titan_memory_usage_of(TITAN_MEMORY_PARAMETERS).live_bytes == before + BYTES);
  const unsigned char *base = titan_shared_part(shared, 0);
  bool zero = true;
  for (size_t i = 0; i < (size_t)BYTES * (size_t)test_size(); i++)
    zero = zero && base[i] == 0;
  expect_on_all(zero && (uintptr_t)base % 64 == 0);
  expect_on_all((const unsigned char *)titan_shared_part(shared, test_size() - 1) ==
                base + (size_t)BYTES * (size_t)(test_size() - 1));
  titan_shared_destroy(&shared);
  expect_on_all(shared == NULL && titan_memory_usage_of(TITAN_MEMORY_PARAMETERS).live_bytes == before);
}

static void what_ranks_write_is_seen_by_all_after_synchronizing(void **state) {
  (void)state;
  enum { COUNT = 4096, ROUNDS = 50 };
  int size = test_size(), rank = test_rank();
  titan_shared *shared = NULL;
  expect_on_all(titan_shared_create(world, COUNT * sizeof(float), TITAN_MEMORY_GENERAL, &shared) == TITAN_OK);
  bool right = true, ok = true;
  for (int round = 0; round < ROUNDS; round++) {
    float *own = titan_shared_part(shared, rank);
    if (round < 2 * size)
      one_rank_is_late(round / 2);
    for (size_t i = 0; i < COUNT; i++)
      own[i] = formula(rank, i, round);
    titan_work *work = NULL;
    ok = titan_shared_synchronize(shared, round % 2 ? &work : NULL) == TITAN_OK && ok;
    ok = titan_work_wait(&work) == TITAN_OK && ok;
    for (int r = 0; r < size; r++) {
      const float *part = titan_shared_part(shared, r);
      for (size_t i = 0; i < COUNT; i += 61)
        right = right && part[i] == formula(r, i, round);
    }
    ok = titan_shared_synchronize(shared, NULL) == TITAN_OK && ok; // all have read
  }
  expect_on_all(ok);
  expect_on_all(right);
  titan_shared_destroy(&shared);
}

// Over ranks [first, first + count), along the tree of titan_reduce.
static float sum_of(int first, int count, size_t i, int round) {
  if (count == 1)
    return formula(first, i, round);
  int left = 1;
  while (2 * left < count)
    left *= 2;
  return sum_of(first, left, i, round) + sum_of(first + left, count - left, i, round);
}

static bool is_sum(const float *result, size_t count, int round) {
  for (size_t i = 0; i < count; i++) {
    float expected = sum_of(0, test_size(), (size_t)test_rank() * count + i, round);
    if (result[i] != expected)
      return false;
  }
  return true;
}

// Buffers are written again as soon as the work is complete, so a rank that read late would show.
static void reduce_scatter_sums_along_the_tree_what_each_rank_wrote(void **state) {
  (void)state;
  enum { COUNT = 30001, OFFSET = 192, ROUNDS = 16 };
  size_t total = (size_t)COUNT * (size_t)test_size(), bytes = (OFFSET + total * sizeof(float) + 63) / 64 * 64;
  titan_shared *shared = NULL;
  float *result = NULL;
  expect_on_all(titan_shared_create(world, bytes, TITAN_MEMORY_GRADIENTS, &shared) == TITAN_OK);
  assert_int_equal(titan_memory_allocate(TITAN_MEMORY_GENERAL, COUNT * sizeof(float), &result), TITAN_OK);
  float *own = (float *)(void *)((char *)titan_shared_part(shared, test_rank()) + OFFSET);
  bool ok = true, right = true;
  for (int round = 0; round < ROUNDS; round++) {
    for (size_t i = 0; i < total; i++)
      own[i] = formula(test_rank(), i, round);
    float *out = round % 2 ? own + (size_t)test_rank() * COUNT : result; // in place, or not
    titan_work *work = NULL;
    one_rank_is_late(round);
    ok = titan_shared_reduce_scatter(shared, OFFSET, out, COUNT, TITAN_FLOAT32, TITAN_SUM,
                                     round % 4 < 2 ? NULL : &work) == TITAN_OK &&
         ok;
    ok = titan_work_wait(&work) == TITAN_OK && ok;
    right = is_sum(out, COUNT, round) && right;
  }
  expect_on_all(ok);
  expect_on_all(right);
  expect_on_all(titan_shared_reduce_scatter(shared, bytes, result, COUNT, TITAN_FLOAT32, TITAN_SUM, NULL) ==
                TITAN_ERROR_INTERNAL);
  titan_memory_free(result);
  titan_shared_destroy(&shared);
}

// Several operations on two windows at once, mixed with messages, waited for in an order that differs between ranks.
static void works_on_windows_complete_in_any_order_of_waiting(void **state) {
  (void)state;
  enum { COUNT = 5003, PARTS = 4, ROUNDS = 40 };
  int size = test_size(), rank = test_rank();
  size_t part_bytes = ((size_t)COUNT * (size_t)size * 4 + 63) / 64 * 64;
  titan_shared *windows[2] = {NULL};
  for (int w = 0; w < 2; w++)
    expect_on_all(titan_shared_create(world, part_bytes * PARTS, TITAN_MEMORY_GRADIENTS, &windows[w]) == TITAN_OK);
  float *results = NULL;
  assert_int_equal(titan_memory_allocate(TITAN_MEMORY_GENERAL, 2 * PARTS * COUNT * sizeof(float), &results), TITAN_OK);
  bool right = true, ok = true;
  for (int round = 0; round < ROUNDS; round++) {
    titan_work *works[2 * PARTS + 1] = {NULL};
    float one = 1, sum = 0;
    for (int w = 0; w < 2 * PARTS; w++) {
      size_t offset = (size_t)(w / 2) * part_bytes;
      float *own = (float *)(void *)((char *)titan_shared_part(windows[w % 2], rank) + offset);
      for (size_t i = 0; i < (size_t)COUNT * (size_t)size; i++)
        own[i] = (float)((i + (size_t)rank * 3 + (size_t)w * 5 + (size_t)round) % 1024);
      ok = titan_shared_reduce_scatter(windows[w % 2], offset, results + (size_t)w * COUNT, COUNT, TITAN_FLOAT32,
                                       TITAN_SUM, &works[w]) == TITAN_OK &&
           ok;
    }
    ok = titan_comm_all_reduce(world, &one, &sum, 1, TITAN_FLOAT32, TITAN_SUM, &works[2 * PARTS]) == TITAN_OK && ok;
    for (int i = 0; i <= 2 * PARTS; i++)
      ok = titan_work_wait(&works[(rank + round) % 2 ? 2 * PARTS - i : i]) == TITAN_OK && ok;
    right = right && sum == (float)size;
    for (int w = 0; w < 2 * PARTS; w++)
      for (size_t i = 0; i < COUNT; i++) {
        float expected = 0;
        for (int r = 0; r < size; r++)
          expected += (float)(((size_t)rank * COUNT + i + (size_t)r * 3 + (size_t)w * 5 + (size_t)round) % 1024);
        right = right && results[(size_t)w * COUNT + i] == expected;
      }
  }
  expect_on_all(ok);
  expect_on_all(right);
  titan_memory_free(results);
  for (int w = 0; w < 2; w++)
    titan_shared_destroy(&windows[w]);
}

static void too_little_shared_memory_is_an_error_on_every_rank(void **state) {
  (void)state;
  titan_shared *shared = NULL;
  size_t too_much = (size_t)1 << 46;
  if (test_size() > 1) { // one rank shares with nobody
    expect_on_all(titan_shared_create(world, too_much, TITAN_MEMORY_GENERAL, &shared) == TITAN_ERROR_MEMORY);
    expect_on_all(shared == NULL && strstr(titan_error_message(), "shared memory") != NULL);
  }
  expect_on_all(titan_shared_create(world, 100, TITAN_MEMORY_GENERAL, &shared) == TITAN_ERROR_INTERNAL);
  // Nothing is broken by it.
  expect_on_all(titan_shared_create(world, 64, TITAN_MEMORY_GENERAL, &shared) == TITAN_OK);
  titan_shared_destroy(&shared);
}

int main(int argc, char **argv) {
  begin_mpi_tests(&argc, &argv);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_block_is_contiguous_zero_aligned_and_counted),
      cmocka_unit_test(what_ranks_write_is_seen_by_all_after_synchronizing),
      cmocka_unit_test(reduce_scatter_sums_along_the_tree_what_each_rank_wrote),
      cmocka_unit_test(works_on_windows_complete_in_any_order_of_waiting),
      cmocka_unit_test(too_little_shared_memory_is_an_error_on_every_rank),
  };
  if (titan_comm_create_node(MPI_COMM_WORLD, "node", &world) != TITAN_OK)
    return 1;
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  titan_comm_destroy(&world);
  return end_mpi_tests(failures);
}
