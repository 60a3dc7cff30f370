// SPDX-License-Identifier: Apache-2.0
// Property: over simulated nodes, a group's collectives in two levels give the bits of messages between all ranks where
// nodes hold aligned blocks of a power of two of the ranks, and else those of the same tree over nodes and over ranks
// of a node; they send what the formulas say, take the memory that titan_comm_level_bytes says, and need none beside.
// Oracle: a second group of the same ranks without levels, and naive sums. Tolerance: none.
// Runs under TITAN_SIMULATED_NODES.
#include "comm/comm.h"
#include "mpi_test.h"

#include <string.h>
#include <unistd.h>

static titan_comm *levelled, *plain, *node;
static int node_index; // of this rank
static bool aligned;   // all nodes but the last hold the same power of two

static const titan_dtype dtypes[] = {TITAN_FLOAT32, TITAN_BFLOAT16, TITAN_FLOAT64, TITAN_INT32, TITAN_INT64};
static const size_t counts[] = {1, 3, 17, 1000, 20011};
enum { DTYPES = 5, COUNTS = 5, MOST = 160001 };

static unsigned char *send_buffer, *got, *expected;

// Sums of these round differently in different orders.
static double formula(int r, size_t i, int round) {
  uint64_t x = (i + 1) * 0x9e3779b97f4a7c15u + (uint64_t)r * 0xbf58476d1ce4e5b9u + (uint64_t)round * 977;
  x ^= x >> 29;
  x *= 0x94d049bb133111ebu;
  x ^= x >> 32;
  return ((double)(x % 2000003) - 1000001) / 997.0;
}

static void fill(titan_dtype dtype, void *to, size_t count, int round) {
  for (size_t i = 0; i < count; i++) {
    double value = formula(test_rank(), i, round);
    if (dtype == TITAN_FLOAT32)
      ((float *)to)[i] = (float)value;
    else if (dtype == TITAN_BFLOAT16)
      ((titan_bf16 *)to)[i] = titan_bf16_from_float((float)value);
    else if (dtype == TITAN_FLOAT64)
      ((double *)to)[i] = value;
    else if (dtype == TITAN_INT32)
      ((int32_t *)to)[i] = (int32_t)value;
    else
      ((int64_t *)to)[i] = (int64_t)value * 1000000007;
  }
}

typedef enum collective { GATHER, SCATTER, SUM, LARGEST, SMALLEST, COLLECTIVES } collective;

static titan_status run(titan_comm *comm, collective which, const void *from, void *to, size_t count, titan_dtype dtype,
                        bool blocks) {
  titan_work *work = NULL, **handle = blocks ? NULL : &work;
  titan_status status;
  if (which == GATHER)
    status = titan_comm_all_gather(comm, from, to, count, dtype, handle);
  else if (which == SCATTER)
    status = titan_comm_reduce_scatter(comm, from, to, count, dtype, TITAN_SUM, handle);
  else
    status = titan_comm_all_reduce(comm, from, to, count, dtype, (titan_reduction)(which - SUM), handle);
  titan_status waited = titan_work_wait(&work);
  return status == TITAN_OK ? waited : status;
}

// Whether the order of additions counts.
static bool is_exact(collective which, titan_dtype dtype) {
  return which == GATHER || which > SUM || dtype == TITAN_INT32 || dtype == TITAN_INT64;
}

static void every_collective_gives_the_bits_of_messages(void **state) {
  (void)state;
  size_t size = (size_t)test_size();
  int round = 0;
  for (int which = 0; which < COLLECTIVES; which++)
    for (int d = 0; d < DTYPES; d++)
      for (int c = 0; c < COUNTS; c++, round++) {
        size_t count = counts[c], bytes = titan_dtype_bytes(dtypes[d]);
        size_t sent = which == SCATTER ? count * size : count, result = which == GATHER ? count * size : count;
        bool compares = aligned || is_exact((collective)which, dtypes[d]), ok;
        memset(got, 0xee, result * bytes);
        memset(expected, 0xdd, result * bytes);
        fill(dtypes[d], send_buffer, sent, round);
        ok = run(levelled, (collective)which, send_buffer, got, count, dtypes[d], round % 2) == TITAN_OK;
        ok = run(plain, (collective)which, send_buffer, expected, count, dtypes[d], true) == TITAN_OK && ok;
        expect_on_all(ok && (!compares || memcmp(got, expected, result * bytes) == 0));
        // In place: gathering from its own part, scattering into its own part, reducing where it lies.
        size_t own = which == GATHER || which == SCATTER ? (size_t)test_rank() * count * bytes : 0;
        unsigned char *from = which == GATHER ? got + own : got, *to = which == SCATTER ? got + own : got;
        fill(dtypes[d], from, sent, round);
        ok = run(levelled, (collective)which, from, to, count, dtypes[d], round % 2 == 0) == TITAN_OK;
        expect_on_all(ok && (!compares || memcmp(to, expected, result * bytes) == 0));
      }
}

// Shares longer than what a slot has room for: 2^18 numbers of a rank (gathering), 2^17 for each of two ranks.
static void ranges_of_long_shares_follow_one_another(void **state) {
  (void)state;
  const size_t size = (size_t)test_size(), long_counts[] = {300001, 140001, 140001 * size + 5};
  for (int which = GATHER; which <= SUM; which++) {
    size_t count = long_counts[which];
    fill(TITAN_INT32, send_buffer, which == SCATTER ? count * size : count, which);
    bool ok = run(levelled, (collective)which, send_buffer, got, count, TITAN_INT32, false) == TITAN_OK;
    ok = run(plain, (collective)which, send_buffer, expected, count, TITAN_INT32, true) == TITAN_OK && ok;
    expect_on_all(ok && memcmp(got, expected, (which == GATHER ? count * size : count) * sizeof(int32_t)) == 0);
  }
}

// Over elements [first, first + count) of `values`: those up to the largest power of two below count, then the rest.
static float sum_of(const float *values, int first, int count) {
  int left = 1;
  if (count == 1)
    return values[first];
  while (2 * left < count)
    left *= 2;
  return sum_of(values, first, left) + sum_of(values, first + left, count - left);
}

// Of what ranks have for element i: of each node, and then of the nodes.
static float sum_in_levels(const int *node_of, size_t i, int round) {
  float of_nodes[8], values[8];
  int nodes = 0, count = 0;
  for (int r = 0; r < test_size(); r++) {
    values[count++] = (float)formula(r, i, round);
    if (r + 1 < test_size() && node_of[r + 1] == node_of[r])
      continue;
    of_nodes[nodes++] = sum_of(values, 0, count);
    count = 0;
  }
  return sum_of(of_nodes, 0, nodes);
}

static void sums_are_those_of_nodes_and_then_of_all(void **state) {
  (void)state;
  enum { COUNT = 5003 };
  int node_of[8];
  size_t size = (size_t)test_size();
  float *in = (float *)(void *)send_buffer, *out = (float *)(void *)got;
  MPI_Allgather(&node_index, 1, MPI_INT, node_of, 1, MPI_INT, MPI_COMM_WORLD);
  fill(TITAN_FLOAT32, in, COUNT * size, 1);
  bool right = run(levelled, SCATTER, in, out, COUNT, TITAN_FLOAT32, true) == TITAN_OK;
  for (size_t i = 0; i < COUNT; i++)
    right = right && out[i] == sum_in_levels(node_of, (size_t)test_rank() * COUNT + i, 1);
  right = run(levelled, SUM, in, out, COUNT, TITAN_FLOAT32, true) == TITAN_OK && right;
  for (size_t i = 0; i < COUNT; i++)
    right = right && out[i] == sum_in_levels(node_of, i, 1);
  expect_on_all(right);
}

// Several in flight, one rank late, buffers written again as soon as each work is complete: a rank that read or wrote a
// slot at the wrong time would show.
static void operations_in_flight_do_not_disturb_each_other(void **state) {
  (void)state;
  enum { COUNT = 20011, WORKS = 4, ROUNDS = 12 };
  static const collective kinds[WORKS] = {GATHER, SCATTER, SUM, GATHER};
  size_t size = (size_t)test_size(), most = COUNT * size;
  float *in[WORKS], *out[WORKS], *want[WORKS];
  bool right = true;
  for (int w = 0; w < WORKS; w++) {
    in[w] = (float *)(void *)send_buffer + (size_t)w * most;
    out[w] = (float *)(void *)got + (size_t)w * most;
    want[w] = (float *)(void *)expected + (size_t)w * most;
  }
  for (int round = 0; round < ROUNDS; round++) {
    titan_work *works[WORKS] = {NULL};
    titan_status status = TITAN_OK;
    for (int w = 0; w < WORKS; w++) {
      fill(TITAN_INT32, in[w], kinds[w] == SCATTER ? most : COUNT, round * WORKS + w);
      right = run(plain, kinds[w], in[w], want[w], COUNT, TITAN_INT32, true) == TITAN_OK && right;
    }
    one_rank_is_late(round);
    for (int w = 0; w < WORKS && status == TITAN_OK; w++) {
      if (kinds[w] == GATHER)
        status = titan_comm_all_gather(levelled, in[w], out[w], COUNT, TITAN_INT32, &works[w]);
      else if (kinds[w] == SCATTER)
        status = titan_comm_reduce_scatter(levelled, in[w], out[w], COUNT, TITAN_INT32, TITAN_SUM, &works[w]);
      else
        status = titan_comm_all_reduce(levelled, in[w], out[w], COUNT, TITAN_INT32, TITAN_SUM, &works[w]);
      titan_comm_progress();
    }
    right = right && status == TITAN_OK;
    for (int i = 0; i < WORKS; i++) {
      int w = test_rank() % 2 ? WORKS - 1 - i : (i + test_rank()) % WORKS;
      right = titan_work_wait(&works[w]) == TITAN_OK && right;
      right = memcmp(out[w], want[w], (kinds[w] == GATHER ? most : COUNT) * sizeof(float)) == 0 && right;
      memset(in[w], 0x7f, COUNT * sizeof(float));
    }
  }
  expect_on_all(right);
}

// The first ranks of all nodes, then the second ones, ..: no node holds neighbours.
static void ranks_may_be_dealt_to_nodes_in_turn(void **state) {
  (void)state;
  titan_comm *dealt = NULL, *flat = NULL;
  int key = titan_comm_rank(node) * test_size() + test_rank();
  expect_on_all(titan_comm_create_split(MPI_COMM_WORLD, 0, key, "dealt", &dealt) == TITAN_OK &&
                titan_comm_create_split(MPI_COMM_WORLD, 0, key, "flat", &flat) == TITAN_OK);
  expect_on_all(titan_comm_level(dealt) == TITAN_OK && titan_comm_is_levelled(dealt));
  for (int which = 0; which < COLLECTIVES; which++)
    for (int c = 0; c < COUNTS - 1; c++) {
      size_t bytes = counts[c] * sizeof(int32_t) * (which == GATHER ? (size_t)test_size() : 1);
      fill(TITAN_INT32, send_buffer, counts[c] * (which == SCATTER ? (size_t)test_size() : 1), c);
      bool ok = run(dealt, (collective)which, send_buffer, got, counts[c], TITAN_INT32, c % 2) == TITAN_OK;
      ok = run(flat, (collective)which, send_buffer, expected, counts[c], TITAN_INT32, true) == TITAN_OK && ok;
      expect_on_all(ok && memcmp(got, expected, bytes) == 0);
    }
  titan_comm_unlevel(dealt);
  titan_comm_destroy(&dealt);
  titan_comm_destroy(&flat);
}

// What the ranks of this node have sent to others since `before`.
static uint64_t sent_by_node(titan_comm_traffic before, bool messages) {
  titan_comm_traffic now = titan_comm_traffic_of(levelled);
  int64_t own = (int64_t)(messages ? now.messages_between_nodes - before.messages_between_nodes
                                   : now.between_nodes - before.between_nodes),
          all = 0;
  titan_comm_all_reduce(node, &own, &all, 1, TITAN_INT64, TITAN_SUM, NULL);
  return (uint64_t)all;
}

// Of the s bytes of the whole vector a node sends those of its own ranks to each other node (gathering), or a sum for
// each rank that is not its own (scattering): s (nodes - 1) / nodes where nodes are even.
static void a_node_sends_each_byte_once(void **state) {
  (void)state;
  enum { COUNT = 65520 }; // a multiple of up to 8 ranks
  titan_comm_nodes nodes = titan_comm_nodes_of(levelled);
  uint64_t size = (uint64_t)test_size(), share = COUNT * sizeof(float), others = (uint64_t)nodes.count - 1;
  uint64_t own = (uint64_t)nodes.own, apart = size - own;
  const uint64_t bytes[3] = {others * own * share, apart * share, (others * own + apart) * (share / size)};
  for (int which = GATHER; which <= SUM; which++) {
    titan_comm_traffic before = titan_comm_traffic_of(levelled);
    fill(TITAN_FLOAT32, send_buffer, COUNT * size, 0);
    expect_on_all(run(levelled, (collective)which, send_buffer, got, COUNT, TITAN_FLOAT32, true) == TITAN_OK);
    expect_on_all(sent_by_node(before, false) == bytes[which]);
    if (nodes.most == nodes.least && which != SUM)
      expect_on_all(bytes[which] == size * share * others / (uint64_t)nodes.count);
  }
  // In one piece: each rank sends once to each other node (gathering), or to each rank that it looks after
  // (scattering).
  titan_comm_traffic before = titan_comm_traffic_of(levelled);
  expect_on_all(run(levelled, GATHER, send_buffer, got, 1000, TITAN_FLOAT32, true) == TITAN_OK);
  expect_on_all(sent_by_node(before, true) == others * own);
  before = titan_comm_traffic_of(levelled);
  expect_on_all(run(levelled, SCATTER, send_buffer, got, 1000, TITAN_FLOAT32, true) == TITAN_OK);
  expect_on_all(sent_by_node(before, true) == apart);
}

static void memory_is_what_was_said_and_no_more(void **state) {
  (void)state;
  titan_comm *comm = NULL, *fake = NULL;
  expect_on_all(titan_comm_create_mpi(MPI_COMM_WORLD, "counted", &comm) == TITAN_OK);
  expect_on_all(titan_comm_create_fake("counted", test_rank(), test_size(), titan_comm_nodes_of(comm), &fake) ==
                TITAN_OK);
  size_t before = titan_memory_usage_of(TITAN_MEMORY_COMMUNICATION).live_bytes, planned = titan_comm_level_bytes(fake);
  expect_on_all(titan_comm_can_level(fake) && !titan_comm_is_levelled(comm) && titan_comm_level(comm) == TITAN_OK);
  size_t taken = titan_memory_usage_of(TITAN_MEMORY_COMMUNICATION).live_bytes - before;
  expect_on_all(taken == planned);
  titan_memory_reset_peaks();
  fill(TITAN_FLOAT32, send_buffer, MOST, 0);
  for (int which = 0; which < COLLECTIVES; which++)
    expect_on_all(run(comm, (collective)which, send_buffer, got, 5000, TITAN_FLOAT32, which % 2) == TITAN_OK);
  expect_on_all(titan_memory_usage_of(TITAN_MEMORY_COMMUNICATION).peak_bytes == before + taken);
  titan_comm_unlevel(comm);
  expect_on_all(titan_memory_usage_of(TITAN_MEMORY_COMMUNICATION).live_bytes == before);
  titan_comm_destroy(&fake);
  titan_comm_destroy(&comm);
}

// Whether the nodes that `text` names ("3,1"), of which the last repeats, hold aligned blocks of the ranks.
static bool are_aligned(const char *text) {
  int first = atoi(text);
  return strchr(text, ',') == NULL && (first & (first - 1)) == 0;
}

int main(int argc, char **argv) {
  begin_mpi_tests(&argc, &argv);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_collective_gives_the_bits_of_messages),
      cmocka_unit_test(ranges_of_long_shares_follow_one_another),
      cmocka_unit_test(sums_are_those_of_nodes_and_then_of_all),
      cmocka_unit_test(operations_in_flight_do_not_disturb_each_other),
      cmocka_unit_test(ranks_may_be_dealt_to_nodes_in_turn),
      cmocka_unit_test(a_node_sends_each_byte_once),
      cmocka_unit_test(memory_is_what_was_said_and_no_more),
  };
  const char *nodes = getenv("TITAN_SIMULATED_NODES");
  size_t bytes = (size_t)MOST * 8 * (size_t)test_size();
  if (nodes == NULL || titan_comm_create_mpi(MPI_COMM_WORLD, "levelled", &levelled) != TITAN_OK ||
      titan_comm_create_mpi(MPI_COMM_WORLD, "plain", &plain) != TITAN_OK ||
      titan_comm_create_node(MPI_COMM_WORLD, "node", &node) != TITAN_OK || titan_comm_level(levelled) != TITAN_OK ||
      titan_memory_allocate(TITAN_MEMORY_GENERAL, bytes, &send_buffer) != TITAN_OK ||
      titan_memory_allocate(TITAN_MEMORY_GENERAL, bytes, &got) != TITAN_OK ||
      titan_memory_allocate(TITAN_MEMORY_GENERAL, bytes, &expected) != TITAN_OK) {
    fprintf(stderr, "%s\n", titan_error_message());
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
  aligned = are_aligned(nodes);
  node_index = test_rank() - titan_comm_rank(node); // the number of its first rank
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  titan_memory_free(send_buffer);
  titan_memory_free(got);
  titan_memory_free(expected);
  titan_comm_unlevel(levelled);
  titan_comm_destroy(&node);
  titan_comm_destroy(&levelled);
  titan_comm_destroy(&plain);
  return end_mpi_tests(failures);
}
