// SPDX-License-Identifier: Apache-2.0
// Property: a group's blocking collectives give the same bits and count the same traffic through staging memory as
// through messages, again and again with ranks that come late, and take the memory that titan_comm_stage_bytes says.
// Oracle: a second group of the same ranks without staging. Tolerance: none, both reduce along the same tree.
#include "comm/chunks.h"
#include "mpi_test.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

enum { MOST = 40000, ROUNDS = 12 };

static titan_comm *staged, *plain;

// Elements of a dtype from a formula of rank, index and round, with sums that rounding changes.
static void fill(titan_dtype dtype, void *to, size_t count, int round) {
  for (size_t i = 0; i < count; i++) {
    float value =
        (float)((i * 2654435761u + (size_t)test_rank() * 40503u + (size_t)round * 97u) % 100003) / 333.0f - 150.0f;
    if (dtype == TITAN_FLOAT32)
      ((float *)to)[i] = value;
    else if (dtype == TITAN_BFLOAT16)
      ((titan_bf16 *)to)[i] = titan_bf16_from_float(value);
    else
      ((double *)to)[i] = value;
  }
}

typedef enum collective { GATHER, SCATTER, SUM, LARGEST, COLLECTIVES } collective;

static titan_status run(titan_comm *comm, collective which, const void *send, void *recv, size_t count,
                        titan_dtype dtype) {
  switch (which) {
  case GATHER:
    return titan_comm_all_gather(comm, send, recv, count, dtype, NULL);
  case SCATTER:
    return titan_comm_reduce_scatter(comm, send, recv, count, dtype, TITAN_SUM, NULL);
  default:
    return titan_comm_all_reduce(comm, send, recv, count, dtype, which == SUM ? TITAN_SUM : TITAN_MAX, NULL);
  }
}

static void every_collective_gives_the_bits_of_messages(void **state) {
  (void)state;
  static const titan_dtype dtypes[] = {TITAN_FLOAT32, TITAN_BFLOAT16, TITAN_FLOAT64};
  static const size_t counts[] = {1, 7, 1000, 4999};
  static unsigned char send[MOST * 8], a[MOST * 8], b[MOST * 8];
  size_t size = (size_t)test_size();
  for (int round = 0; round < ROUNDS; round++)
    for (int which = 0; which < COLLECTIVES; which++) {
      size_t count = counts[(round + which) % 4];
      titan_dtype dtype = dtypes[round % 3];
      size_t bytes = titan_dtype_bytes(dtype), whole = count * size * bytes;
      size_t sent = which == SCATTER ? count * size : count, got = which == GATHER ? whole : count * bytes;
      memset(a, 0xee, whole);
      memset(b, 0xdd, whole);
      usleep((useconds_t)((test_rank() * 31 + round * 7 + which) % 4 * 300));
      fill(dtype, send, sent, round);
      bool ok = run(staged, (collective)which, send, a, count, dtype) == TITAN_OK;
      ok = run(plain, (collective)which, send, b, count, dtype) == TITAN_OK && ok;
      expect_on_all(ok && memcmp(a, b, got) == 0);
      // In place: gathering from its own part, scattering into its own part, reducing where it lies.
      size_t own = (which == GATHER || which == SCATTER) ? (size_t)test_rank() * count * bytes : 0;
      void *from = which == GATHER ? a + own : a, *to = which == SCATTER ? a + own : a;
      fill(dtype, from, sent, round);
      expect_on_all(run(staged, (collective)which, from, to, count, dtype) == TITAN_OK && memcmp(to, b, got) == 0);
      send[0] = 0; // whoever still read would see it
    }
}

// Exact, so that a sum's order does not matter.
static float whole_number(int rank, size_t i, int round) {
  return (float)((i * 7 + (size_t)rank * 13 + (size_t)round * 29) % 1009);
}

static bool is_right(collective which, const float *got, size_t count, int round) {
  bool right = true;
  for (size_t i = 0; i < count * (which == GATHER ? (size_t)test_size() : 1); i++) {
    size_t at = which == GATHER ? i % count : which == SCATTER ? (size_t)test_rank() * count + i : i;
    float expected = which == GATHER ? whole_number((int)(i / count), at, round) : 0;
    for (int r = 0; r < test_size() && which != GATHER; r++)
      expected = which == LARGEST ? fmaxf(expected, whole_number(r, at, round)) : expected + whole_number(r, at, round);
    right = right && got[i] == expected;
  }
  return right;
}

// One operation after the other, nothing but them: a rank that read too late, or wrote a slot that another one still
// reads, would show.
static void ranks_that_are_late_find_and_leave_what_belongs_to_each_operation(void **state) {
  (void)state;
  enum { COUNT = 1500 };
  static float send[8 * COUNT], got[8 * COUNT];
  bool ok = true, right = true;
  for (int round = 0; round < 48; round++) {
    collective which = (collective)(round % COLLECTIVES);
    for (size_t i = 0; i < (size_t)COUNT * (size_t)test_size(); i++)
      send[i] = whole_number(test_rank(), i, round);
    one_rank_is_late(round / 3);
    ok = run(staged, which, send, got, COUNT, TITAN_FLOAT32) == TITAN_OK && ok;
    right = is_right(which, got, COUNT, round) && right;
  }
  expect_on_all(ok);
  expect_on_all(right);
}

// A rank that took or gave chunks in another order, or reused a slot too early, would show.
static void chunks_give_the_bits_of_whole_collectives(void **state) {
  (void)state;
  enum { COUNT = 4999 };
  static float send[8 * COUNT], whole[8 * COUNT], buffer[16 * COUNT], sum[COUNT], expected[COUNT];
  titan_comm *groups[2] = {staged, plain};
  int size = test_size();
  for (int round = 0; round < ROUNDS && size > 1; round++) {
    titan_comm *comm = groups[round % 2];
    titan_comm_traffic before = titan_comm_traffic_of(comm);
    titan_work *work = NULL;
    bool same = true;
    fill(TITAN_FLOAT32, send, COUNT * (size_t)size, round);
    expect_on_all(titan_comm_all_gather(plain, send, whole, COUNT, TITAN_FLOAT32, NULL) == TITAN_OK);
    expect_on_all(titan_chunks_gather(comm, send, buffer, COUNT, TITAN_FLOAT32, &work) == TITAN_OK);
    for (int index = 0; index < size; index++) {
      int rank = titan_chunk_gathered(comm, index);
      const void *chunk = NULL;
      usleep((useconds_t)((test_rank() + round + index) % 3 * 200));
      same = titan_chunks_take(work, rank, &chunk) == TITAN_OK &&
             memcmp(chunk, whole + rank * COUNT, COUNT * sizeof(float)) == 0 && same;
      titan_chunks_poll(comm);
    }
    expect_on_all(titan_work_wait(&work) == TITAN_OK && same);

    expect_on_all(titan_comm_reduce_scatter(plain, send, expected, COUNT, TITAN_FLOAT32, TITAN_SUM, NULL) == TITAN_OK);
    expect_on_all(titan_chunks_reduce(comm, buffer, sum, COUNT, TITAN_FLOAT32, &work) == TITAN_OK);
    bool ok = true;
    for (int index = 0; index < size; index++) {
      int rank = titan_chunk_reduced(comm, index);
      usleep((useconds_t)((test_rank() * 5 + round + index) % 3 * 200));
      memcpy(titan_chunks_place(work, rank), send + rank * COUNT, COUNT * sizeof(float));
      ok = titan_chunks_give(work, rank) == TITAN_OK && ok;
      titan_chunks_poll(comm);
    }
    ok = titan_work_wait(&work) == TITAN_OK && ok;
    expect_on_all(ok && memcmp(sum, expected, sizeof sum) == 0);
    titan_comm_traffic after = titan_comm_traffic_of(comm);
    uint64_t bytes = COUNT * sizeof(float) * (uint64_t)(size - 1), own = comm == plain ? 2 : 1;
    expect_on_all(after.all_gather - before.all_gather == own * bytes &&
                  after.reduce_scatter - before.reduce_scatter == own * bytes &&
                  after.point_to_point == before.point_to_point);
  }
}

static void the_same_traffic_is_counted(void **state) {
  (void)state;
  static float send[4000], recv[4000];
  titan_comm *groups[2] = {staged, plain};
  titan_comm_traffic difference[2];
  for (int g = 0; g < 2; g++) {
    titan_comm_traffic before = titan_comm_traffic_of(groups[g]);
    for (int which = 0; which < COLLECTIVES; which++)
      expect_on_all(run(groups[g], (collective)which, send, recv, 100, TITAN_FLOAT32) == TITAN_OK);
    titan_comm_traffic after = titan_comm_traffic_of(groups[g]);
    difference[g] = (titan_comm_traffic){.all_gather = after.all_gather - before.all_gather,
                                         .reduce_scatter = after.reduce_scatter - before.reduce_scatter,
                                         .all_reduce = after.all_reduce - before.all_reduce,
                                         .operations = after.operations - before.operations};
  }
  expect_on_all(memcmp(&difference[0], &difference[1], sizeof difference[0]) == 0);
  expect_on_all(difference[0].all_gather == (uint64_t)(test_size() - 1) * 400);
}

static void memory_is_as_told_and_given_back_by_the_last_user(void **state) {
  (void)state;
  enum { BYTES = 10001 };
  size_t before = titan_memory_usage_of(TITAN_MEMORY_COMMUNICATION).live_bytes;
  titan_comm *comm = NULL;
  expect_on_all(titan_comm_create_mpi(MPI_COMM_WORLD, "one more", &comm) == TITAN_OK);
  size_t without = titan_memory_usage_of(TITAN_MEMORY_COMMUNICATION).live_bytes;
  expect_on_all(titan_comm_stage(comm, BYTES) == TITAN_OK && titan_comm_stage(comm, BYTES) == TITAN_OK);
  size_t with = titan_memory_usage_of(TITAN_MEMORY_COMMUNICATION).live_bytes;
  expect_on_all(with - without == titan_comm_stage_bytes(comm, BYTES) && (with > without || test_size() == 1));
  titan_comm_unstage(comm);
  expect_on_all(titan_comm_is_staged(comm) == (test_size() > 1));
  titan_comm_unstage(comm);
  expect_on_all(!titan_comm_is_staged(comm));
  expect_on_all(titan_memory_usage_of(TITAN_MEMORY_COMMUNICATION).live_bytes == without);
  titan_comm_destroy(&comm);
  expect_on_all(titan_memory_usage_of(TITAN_MEMORY_COMMUNICATION).live_bytes == before);
}

static int begin(void **state) {
  (void)state;
  // The longest sums of doubles do not fit and go by messages, all else goes through it.
  return titan_comm_create_mpi(MPI_COMM_WORLD, "staged", &staged) != TITAN_OK ||
         titan_comm_create_mpi(MPI_COMM_WORLD, "plain", &plain) != TITAN_OK ||
         titan_comm_stage(staged, MOST * sizeof(float)) != TITAN_OK;
}

static int finish(void **state) {
  (void)state;
  titan_comm_unstage(staged);
  titan_comm_destroy(&staged);
  titan_comm_destroy(&plain);
  return 0;
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_collective_gives_the_bits_of_messages),
      cmocka_unit_test(ranks_that_are_late_find_and_leave_what_belongs_to_each_operation),
      cmocka_unit_test(chunks_give_the_bits_of_whole_collectives),
      cmocka_unit_test(the_same_traffic_is_counted),
      cmocka_unit_test(memory_is_as_told_and_given_back_by_the_last_user),
  };
  begin_mpi_tests(&argc, &argv);
  return end_mpi_tests(cmocka_run_group_tests(tests, begin, finish));
}
