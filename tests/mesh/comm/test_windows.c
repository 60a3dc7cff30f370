// SPDX-License-Identifier: Apache-2.0
// Property: reductions whose ranks exchange window by window, and small ones that go up several levels of ranks, give
// the sums of the tree of reduce.h, take no more memory than titan_comm_reduce_scatter_bytes and
// titan_comm_all_reduce_bytes say, and that of 16,384 ranks is not more than that of 64. Oracles: the sum along the
// tree, taken naively; the allocator's counts. Tolerance: none.
#include "comm/mpi.h"
#include "comm/reduce.h"
#include "mpi_test.h"

#include <string.h>

static titan_comm *world;

enum { MOST = 70000, RANKS = 16 };

// Sums of these round differently in different orders.
static float formula(int r, size_t i) {
  uint64_t x = (i + 1) * 0x9e3779b97f4a7c15u + (uint64_t)r * 0xbf58476d1ce4e5b9u;
  x ^= x >> 29;
  x *= 0x94d049bb133111ebu;
  x ^= x >> 32;
  return titan_bf16_to_float(titan_bf16_from_float(((float)(x % 2000003) - 1000001) / 997.0f));
}

static float sum_of(int first, int count, size_t i) {
  int left = 1;
  if (count == 1)
    return formula(first, i);
  while (2 * left < count)
    left *= 2;
  return sum_of(first, left, i) + sum_of(first + left, count - left, i);
}

static void fill(titan_dtype dtype, void *to, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (dtype == TITAN_FLOAT32)
      ((float *)to)[i] = formula(test_rank(), i);
    else
      ((titan_bf16 *)to)[i] = titan_bf16_from_float(formula(test_rank(), i));
}

static bool is_sum(titan_dtype dtype, const void *got, size_t first, size_t count) {
  bool right = true;
  for (size_t i = 0; i < count; i++) {
    float sum = sum_of(0, test_size(), first + i);
    right = right && (dtype == TITAN_FLOAT32 ? ((const float *)got)[i] == sum
                                             : ((const titan_bf16 *)got)[i] == titan_bf16_from_float(sum));
  }
  return right;
}

// In place, or not; and with a buffer reserved, after which nothing is allocated.
static bool check(bool scatters, titan_dtype dtype, size_t count, bool in_place) {
  static float in[MOST * RANKS], out[MOST];
  size_t bytes = titan_dtype_bytes(dtype), own = scatters ? (size_t)test_rank() * count : 0;
  void *to = in_place ? (char *)in + own * bytes : (char *)out;
  size_t buffer = scatters ? titan_comm_reduce_scatter_bytes(world, count, dtype)
                           : titan_comm_all_reduce_bytes(world, count, dtype);
  titan_comm_reservation reservation = {.works = 1, .buffers = 1, .buffer_bytes = buffer};
  bool right = titan_comm_reserve(world, reservation) == TITAN_OK;
  titan_memory_usage before = titan_memory_usage_of(TITAN_MEMORY_COMMUNICATION);
  titan_memory_reset_peaks();
  fill(dtype, in, scatters ? count * (size_t)test_size() : count);
  titan_status status = scatters ? titan_comm_reduce_scatter(world, in, to, count, dtype, TITAN_SUM, NULL)
                                 : titan_comm_all_reduce(world, in, to, count, dtype, TITAN_SUM, NULL);
  right = right && status == TITAN_OK && is_sum(dtype, to, own, count);
  return right && titan_memory_usage_of(TITAN_MEMORY_COMMUNICATION).peak_bytes == before.live_bytes;
}

static void any_window_gives_the_sums_of_the_tree(void **state) {
  (void)state;
  static const size_t counts[] = {1, 1000, 2049, 30011, MOST};
  for (int window = 1; window <= 8; window *= 2) {
    titan_mpi_set_window(window);
    bool right = true;
    for (int scatters = 0; scatters < 2; scatters++)
      for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
        for (int wide = 0; wide < 2; wide++)
          right = check(scatters, wide ? TITAN_FLOAT32 : TITAN_BFLOAT16, counts[c], (c + (size_t)wide) % 2) && right;
    expect_on_all(right);
  }
  titan_mpi_set_window(64);
}

// Blocks beyond the first: 4 MiB for a lane's pieces of all ranks of a window.
static void a_window_goes_on_over_several_blocks(void **state) {
  (void)state;
  titan_mpi_set_window(2);
  size_t count = ((size_t)2 << 20) / 4 + 13, size = (size_t)test_size(); // two pieces at least, and a short one
  int32_t *in = NULL, *out = NULL;
  expect_on_all(titan_memory_allocate(TITAN_MEMORY_GENERAL, count * size * sizeof *in, &in) == TITAN_OK &&
                titan_memory_allocate(TITAN_MEMORY_GENERAL, count * sizeof *out, &out) == TITAN_OK);
  for (size_t i = 0; i < count * size; i++)
    in[i] = (int32_t)(i % 1009) * (test_rank() + 1);
  bool right = titan_comm_reduce_scatter(world, in, out, count, TITAN_INT32, TITAN_SUM, NULL) == TITAN_OK;
  for (size_t i = 0; i < count; i++)
    right =
        right && out[i] == (int32_t)(((size_t)test_rank() * count + i) % 1009) * test_size() * (test_size() + 1) / 2;
  expect_on_all(right);
  titan_memory_free(in);
  titan_memory_free(out);
  titan_mpi_set_window(64);
}

static size_t working_memory(int ranks, titan_comm_nodes nodes, bool levels) {
  titan_comm *fake = NULL;
  size_t bytes = 0;
  assert_int_equal(titan_comm_create_fake("many", 1, ranks, nodes, &fake), TITAN_OK);
  bytes = titan_comm_reduce_scatter_bytes(fake, 1 << 24, TITAN_FLOAT32);
  if (titan_comm_all_reduce_bytes(fake, (size_t)1 << 40, TITAN_BFLOAT16) > bytes)
    bytes = titan_comm_all_reduce_bytes(fake, (size_t)1 << 40, TITAN_BFLOAT16);
  if (levels)
    bytes = titan_comm_level_bytes(fake);
  titan_comm_destroy(&fake);
  return bytes;
}

// 128 nodes of 128 ranks.
static void working_memory_does_not_grow_with_the_ranks(void **state) {
  (void)state;
  const size_t tables = 1 << 20, most = (size_t)9 << 20;
  titan_comm_nodes few = {1, 64, 64, 64}, many = {128, 128, 128, 128};
  assert_true(working_memory(64, few, false) < most);
  assert_true(working_memory(16384, many, false) < most);
  // In two levels: four slots of 1 MiB, a node's group, and tables of four bytes a rank.
  assert_true(working_memory(16384, many, true) < ((size_t)4 << 20) + tables);
  titan_comm *fake = NULL;
  assert_int_equal(titan_comm_create_fake("many", 1, 16384, many, &fake), TITAN_OK);
  assert_true(titan_comm_bytes(fake) < 16 << 10);
  titan_comm_destroy(&fake);
}

int main(int argc, char **argv) {
  begin_mpi_tests(&argc, &argv);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(any_window_gives_the_sums_of_the_tree),
      cmocka_unit_test(a_window_goes_on_over_several_blocks),
      cmocka_unit_test(working_memory_does_not_grow_with_the_ranks),
  };
  if (titan_comm_create_mpi(MPI_COMM_WORLD, "world", &world) != TITAN_OK)
    return 1;
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  titan_comm_destroy(&world);
  return end_mpi_tests(failures);
}
