// SPDX-License-Identifier: Apache-2.0
// Property: groups of a device give what the host's group gives, on each type, in place and not, with more elements
// than a piece has, sums of chunks that are given one by one too; they begin after what COMPUTE has got before, and
// COMPUTE goes on after them; transfers end whatever the ranks wait for first (those of NCCL, if they begin in one
// order); and they hold the bytes that a plan counts. Oracle: the host's group. Tolerance: none.
#include "device_test.h"

#include "comm/chunks.h"

#include <string.h>

static titan_comm *world, *group, *pipeline;

// More elements than go at once in any of the groups.
enum { MANY = 3000000, WORKS = 3 };

static int begin(void **state) {
  titan_status status = begin_device(state) == 0 ? TITAN_OK : TITAN_ERROR_DEVICE;
  if (status == TITAN_OK)
    status = titan_comm_create_mpi(MPI_COMM_WORLD, "world", &world);
  if (status == TITAN_OK)
    status = titan_device_group_create(device, world, TITAN_QUEUE_REDUCE, WORKS, &group);
  if (status == TITAN_OK)
    status = titan_device_group_create(device, world, TITAN_QUEUE_PIPELINE, WORKS, &pipeline);
  if (status != TITAN_OK)
    fprintf(stderr, "%s\n", titan_error_message());
  return status != TITAN_OK;
}

static int end(void **state) {
  titan_device_group_destroy(world, &pipeline);
  titan_device_group_destroy(world, &group);
  titan_comm_destroy(&world);
  return end_device(state);
}

static bool goes_over_nccl(void) {
  const char *transport = getenv("TITAN_TEST_TRANSPORT");
  return transport != NULL && strcmp(transport, "nccl") == 0;
}

static void *allocate(titan_space space, size_t bytes) {
  void *memory = NULL;
  assert_int_equal(device->allocate(device, space, TITAN_MEMORY_GENERAL, bytes + 1, &memory), TITAN_OK);
  return memory;
}

// Numbers whose sums round differently in different orders.
static void make(void *memory, titan_dtype dtype, size_t count, uint64_t seed) {
  for (size_t i = 0; i < count; i++) {
    uint64_t x = (i + 1) * 0x9e3779b97f4a7c15u + seed * 0xbf58476d1ce4e5b9u;
    x ^= x >> 29;
    x *= 0x94d049bb133111ebu;
    double value = ((double)((x ^ (x >> 32)) % 2000003) - 1000001) / 997.0;
    if (dtype == TITAN_FLOAT32)
      ((float *)memory)[i] = (float)value;
    else if (dtype == TITAN_BFLOAT16)
      ((titan_bf16 *)memory)[i] = titan_bf16_from_float((float)value);
    else
      ((double *)memory)[i] = value;
  }
}

static void copy(void *to, const void *from, size_t bytes) {
  assert_int_equal(titan_queue_copy(device, TITAN_QUEUE_COMPUTE, to, from, bytes), TITAN_OK);
}

// One operation, of `count` elements a rank.
typedef struct operation {
  const char *name;
  titan_status (*run)(titan_comm *comm, const void *send, void *recv, size_t count, titan_dtype dtype,
                      titan_work **work);
  bool sends_all, receives_all; // `count` elements of each rank
} operation;

static titan_status gather(titan_comm *comm, const void *send, void *recv, size_t count, titan_dtype dtype,
                           titan_work **work) {
  return titan_comm_all_gather(comm, send, recv, count, dtype, work);
}

static titan_status scatter(titan_comm *comm, const void *send, void *recv, size_t count, titan_dtype dtype,
                            titan_work **work) {
  return titan_comm_reduce_scatter(comm, send, recv, count, dtype, TITAN_SUM, work);
}

static titan_status sum(titan_comm *comm, const void *send, void *recv, size_t count, titan_dtype dtype,
                        titan_work **work) {
  return titan_comm_all_reduce(comm, send, recv, count, dtype, TITAN_SUM, work);
}

static titan_status largest(titan_comm *comm, const void *send, void *recv, size_t count, titan_dtype dtype,
                            titan_work **work) {
  return titan_comm_all_reduce(comm, send, recv, count, dtype, TITAN_MAX, work);
}

static titan_status exchange(titan_comm *comm, const void *send, void *recv, size_t count, titan_dtype dtype,
                             titan_work **work) {
  return titan_comm_all_to_all(comm, send, recv, count, dtype, work);
}

// recv has this rank's numbers before.
static titan_status broadcast(titan_comm *comm, const void *send, void *recv, size_t count, titan_dtype dtype,
                              titan_work **work) {
  (void)send;
  return titan_comm_broadcast(comm, recv, count, dtype, titan_comm_size(comm) - 1, work);
}

static const operation operations[] = {
    {"all_gather", gather, false, true},  {"reduce_scatter", scatter, true, false},
    {"all_reduce", sum, false, false},    {"all_reduce (max)", largest, false, false},
    {"all_to_all", exchange, true, true}, {"broadcast", broadcast, false, false}};
enum { OPERATIONS = sizeof operations / sizeof *operations };

// Where an operation in place has its smaller side: this rank's part of the larger one.
static size_t place(const operation *o, size_t bytes) {
  return o->sends_all != o->receives_all ? (size_t)test_rank() * bytes : 0;
}

// Whether the device's group gives what the host's gives.
static bool is_the_hosts(const operation *o, titan_dtype dtype, size_t count, bool in_place) {
  size_t bytes = count * titan_dtype_bytes(dtype), all = bytes * (size_t)test_size();
  char *host = allocate(TITAN_SPACE_HOST, 3 * all), *expected = host + all, *got = host + 2 * all;
  char *there = allocate(TITAN_SPACE_EXCHANGE, 2 * all);
  make(host, dtype, count * (size_t)test_size(), (uint64_t)test_rank() + 1);
  memcpy(expected, host, all);
  size_t recv_bytes = o->receives_all ? all : bytes;
  assert_int_equal(o->run(world, host, expected, count, dtype, NULL), TITAN_OK);
  char *send = there, *recv = there + all;
  copy(send, host, all);
  copy(recv, host, all);
  if (in_place && !o->sends_all && o->receives_all)
    send = recv + place(o, bytes), copy(send, host, bytes);
  else if (in_place)
    recv = send + place(o, bytes);
  titan_work *work = NULL;
  titan_status status = o->run(group, send, recv, count, dtype, &work);
  if (status == TITAN_OK)
    status = titan_work_wait(&work);
  if (status == TITAN_OK) {
    copy(got, recv, recv_bytes);
    status = titan_device_drain(device);
  }
  bool same = status == TITAN_OK && memcmp(got, expected, recv_bytes) == 0;
  if (!same)
    fprintf(stderr, "rank %d: %s of %zu elements of %s%s is not the host's (%s)\n", test_rank(), o->name, count,
            titan_dtype_name(dtype), in_place ? ", in place," : "", status == TITAN_OK ? "" : titan_error_message());
  device->free(device, TITAN_SPACE_EXCHANGE, there);
  device->free(device, TITAN_SPACE_HOST, host);
  return same;
}

static void each_operation_gives_what_the_hosts_gives(void **state) {
  (void)state;
  static const titan_dtype dtypes[] = {TITAN_FLOAT32, TITAN_BFLOAT16, TITAN_FLOAT64};
  static const size_t counts[] = {1, 7, 1000};
  bool same = true;
  for (int o = 0; o < OPERATIONS; o++) {
    bool can_be_in_place = operations[o].run != exchange && operations[o].run != broadcast;
    for (int in_place = 0; in_place <= can_be_in_place; in_place++) {
      for (int t = 0; t < 3; t++)
        for (int c = 0; c < 3; c++)
          same = is_the_hosts(&operations[o], dtypes[t], counts[c], in_place) && same;
      same = is_the_hosts(&operations[o], TITAN_FLOAT32, MANY / (size_t)test_size() + 3, in_place) && same;
    }
  }
  expect_on_all(same);
}

// Whether the sum of chunks, each of which is written when its place is free, is the host's.
static bool sum_of_chunks_is_the_hosts(titan_dtype dtype, size_t count) {
  size_t size = (size_t)test_size(), bytes = count * titan_dtype_bytes(dtype), all = bytes * size;
  char *host = allocate(TITAN_SPACE_HOST, all + 2 * bytes), *expected = host + all, *got = expected + bytes;
  char *there = allocate(TITAN_SPACE_DEVICE, 3 * all + bytes), *buffer = there + all, *recv = buffer + 2 * all;
  titan_work *work = NULL;
  make(host, dtype, count * size, (uint64_t)test_rank() + 1);
  copy(there, host, all);
  assert_int_equal(titan_comm_reduce_scatter(world, host, expected, count, dtype, TITAN_SUM, NULL), TITAN_OK);
  titan_status status = titan_chunks_reduce(group, buffer, recv, count, dtype, &work);
  for (int index = 0; index < test_size() && status == TITAN_OK; index++) {
    int rank = titan_chunk_reduced(group, index);
    copy(titan_chunks_place(work, rank), there + (size_t)rank * bytes, bytes);
    status = titan_chunks_give(work, rank);
  }
  assert_int_equal(status, TITAN_OK);
  assert_int_equal(titan_work_wait(&work), TITAN_OK);
  copy(got, recv, bytes);
  bool same = titan_device_drain(device) == TITAN_OK && memcmp(got, expected, bytes) == 0;
  device->free(device, TITAN_SPACE_DEVICE, there);
  device->free(device, TITAN_SPACE_HOST, host);
  return same;
}

static void sums_of_chunks_are_the_hosts(void **state) {
  (void)state;
  static const titan_dtype dtypes[] = {TITAN_FLOAT32, TITAN_BFLOAT16};
  static const size_t counts[] = {1, 8, 1000, 4099};
  bool same = true;
  expect_on_all(titan_chunks_can_reduce(group) || !goes_over_nccl());
  for (int turn = 0; turn < 4 && titan_chunks_can_reduce(group); turn++)
    for (int t = 0; t < 2; t++)
      for (int c = 0; c < 4; c++)
        same = sum_of_chunks_is_the_hosts(dtypes[t], counts[c]) && same;
  expect_on_all(same);
}

static void fill(float *x, int64_t n, float value) {
  assert_int_equal(device->vector->fill(device, n, x, value), TITAN_OK);
}

// Several sums are on their way while COMPUTE writes what they read before and after.
static void operations_are_ordered_with_compute(void **state) {
  (void)state;
  enum { N = 5000, ROUNDS = 12 };
  float *x = allocate(TITAN_SPACE_EXCHANGE, WORKS * N * sizeof *x),
        *total = allocate(TITAN_SPACE_DEVICE, N * sizeof *x);
  titan_work *works[WORKS] = {NULL};
  float expected = 0, ranks = (float)test_size(), rank_sum = ranks * (ranks - 1) / 2;
  fill(total, N, 0);
  for (int round = 0; round < ROUNDS; round++) {
    int slot = round % WORKS;
    assert_int_equal(titan_work_wait(&works[slot]), TITAN_OK);
    if (round >= WORKS)
      assert_int_equal(device->vector->accumulate(device, N, total, x + slot * N), TITAN_OK);
    fill(x + slot * N, N, (float)(test_rank() + round));
    assert_int_equal(
        titan_comm_all_reduce(group, x + slot * N, x + slot * N, N, TITAN_FLOAT32, TITAN_SUM, &works[slot]), TITAN_OK);
    expected += rank_sum + ranks * (float)round;
    titan_comm_progress();
  }
  for (int round = ROUNDS; round < ROUNDS + WORKS; round++) {
    assert_int_equal(titan_work_wait(&works[round % WORKS]), TITAN_OK);
    assert_int_equal(device->vector->accumulate(device, N, total, x + round % WORKS * N), TITAN_OK);
  }
  const float *got = host_floats(device, total, N);
  bool right = got != NULL;
  for (int i = 0; right && i < N; i++)
    right = got[i] == expected;
  expect_on_all(right);
  device->free(device, TITAN_SPACE_EXCHANGE, x);
  device->free(device, TITAN_SPACE_DEVICE, total);
}

// Each rank receives from, and sends to, each other one: `ways` blocks, the last two of which have one tag.
enum { WAYS = 3 };

typedef struct transfers {
  size_t count;
  float *sent, *received; // [ranks][WAYS][count]
  titan_work *sends[8][WAYS], *receives[8][WAYS];
} transfers;

static float *block(const transfers *t, float *blocks, int peer, int way) {
  return blocks + (size_t)(peer * WAYS + way) * t->count;
}

static void begin_transfers(transfers *t, bool receive) {
  for (int step = 1; step < test_size(); step++)
    for (int way = 0; way < WAYS; way++) {
      int peer = (test_rank() + step) % test_size(), tag = way == 0 ? 5 : 6;
      if (receive)
        assert_int_equal(titan_comm_recv(pipeline, block(t, t->received, peer, way), t->count, TITAN_FLOAT32, peer, tag,
                                         &t->receives[peer][way]),
                         TITAN_OK);
      else
        assert_int_equal(titan_comm_send(pipeline, block(t, t->sent, peer, way), t->count, TITAN_FLOAT32, peer, tag,
                                         &t->sends[peer][way]),
                         TITAN_OK);
    }
}

static float value(int from, int to, int way) {
  return (float)(100 * from + 10 * to + way + 1);
}

// Of NCCL, messages of two ranks and one direction end in the order in which they begin, and go between neighbours.
static bool is_neighbour(int peer) {
  int ahead = (peer - test_rank() + test_size()) % test_size();
  return !goes_over_nccl() || ahead == 1 || ahead == test_size() - 1;
}

static void begin_in_order(transfers *t) {
  for (int way = 0; way < WAYS; way++)
    for (int peer = 0; peer < test_size(); peer++) {
      if (peer == test_rank() || !is_neighbour(peer))
        continue;
      assert_int_equal(titan_comm_recv(pipeline, block(t, t->received, peer, way), t->count, TITAN_FLOAT32, peer, 5,
                                       &t->receives[peer][way]),
                       TITAN_OK);
      assert_int_equal(titan_comm_send(pipeline, block(t, t->sent, peer, way), t->count, TITAN_FLOAT32, peer, 5,
                                       &t->sends[peer][way]),
                       TITAN_OK);
    }
}

// Even ranks wait for what they receive first, and odd ranks for what they send; what was sent is written over.
static void end_transfers(transfers *t) {
  for (int turn = 0; turn < 2; turn++)
    for (int peer = 0; peer < test_size(); peer++)
      for (int way = 0; way < WAYS && peer != test_rank(); way++) {
        bool receives = (turn + test_rank()) % 2 == 0;
        assert_int_equal(titan_work_wait(receives ? &t->receives[peer][way] : &t->sends[peer][way]), TITAN_OK);
        if (!receives)
          fill(block(t, t->sent, peer, way), (int64_t)t->count, -1);
      }
}

static void transfer(size_t count, bool receives_first) {
  size_t all = (size_t)test_size() * WAYS * count;
  transfers t = {.count = count,
                 .sent = allocate(TITAN_SPACE_DEVICE, all * sizeof(float)),
                 .received = allocate(TITAN_SPACE_DEVICE, all * sizeof(float))};
  bool right = true;
  for (int peer = 0; peer < test_size(); peer++)
    for (int way = 0; way < WAYS; way++) {
      fill(block(&t, t.sent, peer, way), (int64_t)count, value(test_rank(), peer, way));
      fill(block(&t, t.received, peer, way), (int64_t)count, -2);
    }
  if (goes_over_nccl()) {
    begin_in_order(&t);
  } else {
    begin_transfers(&t, receives_first);
    begin_transfers(&t, !receives_first);
  }
  end_transfers(&t);
  for (int peer = 0; peer < test_size(); peer++)
    for (int way = 0; way < WAYS && peer != test_rank() && is_neighbour(peer); way++) {
      const float *got = host_floats(device, block(&t, t.received, peer, way), (int64_t)count);
      for (size_t i = 0; got != NULL && i < count; i++)
        right = right && got[i] == value(peer, test_rank(), way);
      right = right && got != NULL;
    }
  expect_on_all(right);
  device->free(device, TITAN_SPACE_DEVICE, t.sent);
  device->free(device, TITAN_SPACE_DEVICE, t.received);
}

static void transfers_end_whatever_is_waited_for_first(void **state) {
  (void)state;
  transfer(1, true);
  transfer(3000, false);
  transfer((size_t)MANY / 2, true);
}

static void groups_hold_the_bytes_that_are_counted(void **state) {
  (void)state;
  for (int works = 1; works <= 4; works += 3) {
    titan_comm *other = NULL;
    size_t before = titan_memory_usage_of(TITAN_MEMORY_COMMUNICATION).live_bytes;
    expect_on_all(titan_device_group_create(device, world, TITAN_QUEUE_GATHER, works, &other) == TITAN_OK);
    size_t held = titan_memory_usage_of(TITAN_MEMORY_COMMUNICATION).live_bytes - before;
    expect_on_all(held == titan_device_group_bytes(device, world, TITAN_QUEUE_GATHER, works));
    titan_device_group_destroy(world, &other);
    expect_on_all(titan_memory_usage_of(TITAN_MEMORY_COMMUNICATION).live_bytes == before);
  }
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(each_operation_gives_what_the_hosts_gives),
                                     cmocka_unit_test(sums_of_chunks_are_the_hosts),
                                     cmocka_unit_test(operations_are_ordered_with_compute),
                                     cmocka_unit_test(transfers_end_whatever_is_waited_for_first),
                                     cmocka_unit_test(groups_hold_the_bytes_that_are_counted)};
  begin_mpi_tests(&argc, &argv);
  return end_mpi_tests(cmocka_run_group_tests(tests, begin, end));
}
