// SPDX-License-Identifier: Apache-2.0
// Property: each collective gives what its definition says, blocking and not, in place and not, on every type, at every
// number of ranks. Oracle: the same result computed naively on each rank from a formula for every rank's data.
// Tolerance: none. Sums are promised in one fixed order: along a binary tree over the ranks.
#include "comm/comm.h"
#include "mpi_test.h"

#include <math.h>
#include <pthread.h>
#include <unistd.h>

static titan_comm *world;

static const titan_dtype dtypes[] = {TITAN_FLOAT32, TITAN_BFLOAT16, TITAN_FLOAT64, TITAN_INT32, TITAN_INT64};
enum { DTYPES = 5 };

// Element i of rank r's data: sums of these round differently in different orders.
static double formula(int r, size_t i) {
  uint64_t x = (i + 1) * 0x9e3779b97f4a7c15u + (uint64_t)r * 0xbf58476d1ce4e5b9u;
  x ^= x >> 29;
  x *= 0x94d049bb133111ebu;
  x ^= x >> 32;
  return ((double)(x % 2000003) - 1000001) / 997.0;
}

static void store(void *buffer, titan_dtype dtype, size_t i, double value) {
  if (dtype == TITAN_FLOAT32)
    ((float *)buffer)[i] = (float)value;
  else if (dtype == TITAN_BFLOAT16)
    ((titan_bf16 *)buffer)[i] = titan_bf16_from_float((float)value);
  else if (dtype == TITAN_FLOAT64)
    ((double *)buffer)[i] = value;
  else if (dtype == TITAN_INT32)
    ((int32_t *)buffer)[i] = (int32_t)value;
  else
    ((int64_t *)buffer)[i] = (int64_t)value * 1000000007;
}

static void fill(void *buffer, titan_dtype dtype, int r, size_t first, size_t count) {
  for (size_t i = 0; i < count; i++)
    store(buffer, dtype, i, formula(r, first + i));
}

static void *allocate(titan_dtype dtype, size_t count) {
  void *buffer = NULL;
  size_t bytes = count * titan_dtype_bytes(dtype);
  assert_int_equal(titan_memory_allocate(TITAN_MEMORY_GENERAL, bytes, &buffer), TITAN_OK);
  memset(buffer, 0xa5, bytes); // anything not written by the operation shows
  return buffer;
}

static double combine(titan_reduction reduction, double a, double b) {
  return reduction == TITAN_SUM ? a + b : reduction == TITAN_MAX ? fmax(a, b) : fmin(a, b);
}

// What a rank has for element i, or a sum of such, in the type's own arithmetic (bfloat16: in float32).
typedef struct number {
  float f;
  double d;
  int64_t n;
} number;

static number number_of(titan_dtype dtype, int r, size_t i) {
  unsigned char element[8] = {0}; // shorter types leave the rest
  number x;
  int32_t narrow = 0;
  titan_bf16 half = 0;
  store(element, dtype, 0, formula(r, i));
  memcpy(&half, element, 2);
  memcpy(&x.f, element, 4);
  memcpy(&x.d, element, 8);
  memcpy(&x.n, element, 8);
  memcpy(&narrow, element, 4);
  if (dtype == TITAN_BFLOAT16)
    x.f = titan_bf16_to_float(half);
  if (dtype == TITAN_INT32)
    x.n = narrow;
  return x;
}

// Over ranks [first, first + count): the ranks up to the largest power of two below count, and then the others.
static number reduced(titan_dtype dtype, titan_reduction reduction, int first, int count, size_t i) {
  if (count == 1)
    return number_of(dtype, first, i);
  int left = 1;
  while (2 * left < count)
    left *= 2;
  number a = reduced(dtype, reduction, first, left, i), b = reduced(dtype, reduction, first + left, count - left, i);
  return (number){.f = (float)combine(reduction, a.f, b.f),
                  .d = combine(reduction, a.d, b.d),
                  .n = reduction == TITAN_SUM   ? (int64_t)((uint64_t)a.n + (uint64_t)b.n)
                       : reduction == TITAN_MAX ? (a.n > b.n ? a.n : b.n)
                       : a.n < b.n              ? a.n
                                                : b.n};
}

// out[i] = the reduction over all ranks of their element first + i.
static void reduce_naively(titan_dtype dtype, titan_reduction reduction, size_t first, size_t count, void *out) {
  for (size_t i = 0; i < count; i++) {
    number x = reduced(dtype, reduction, 0, test_size(), first + i);
    if (dtype == TITAN_FLOAT32)
      ((float *)out)[i] = x.f;
    else if (dtype == TITAN_BFLOAT16)
      ((titan_bf16 *)out)[i] = titan_bf16_from_float(x.f);
    else if (dtype == TITAN_FLOAT64)
      ((double *)out)[i] = x.d;
    else if (dtype == TITAN_INT32)
      ((int32_t *)out)[i] = (int32_t)x.n;
    else
      ((int64_t *)out)[i] = x.n;
  }
}

static bool same(const void *a, const void *b, titan_dtype dtype, size_t count) {
  return memcmp(a, b, count * titan_dtype_bytes(dtype)) == 0;
}

// Starts and ends an operation: blocking, waiting, or testing until done.
enum { BLOCKING, WAITING, TESTING, WAYS };

static titan_status complete(titan_work **work, int way) {
  bool done = false;
  while (way == TESTING && !done)
    TITAN_TRY(titan_work_test(*work, &done));
  return titan_work_wait(work);
}

static void all_gather_puts_every_part_in_its_place(void **state) {
  (void)state;
  const size_t counts[] = {0, 1, 3, 17, 1000, 70001};
  int size = test_size(), rank = test_rank();
  for (int t = 0; t < DTYPES; t++)
    for (int c = 0; c < 6; c++) {
      size_t count = counts[c], bytes = count * titan_dtype_bytes(dtypes[t]);
      char *send = allocate(dtypes[t], count), *recv = allocate(dtypes[t], count * (size_t)size);
      char *expected = allocate(dtypes[t], count * (size_t)size);
      fill(send, dtypes[t], rank, 0, count);
      for (int r = 0; r < size; r++)
        fill(expected + (size_t)r * bytes, dtypes[t], r, 0, count);
      for (int way = 0; way < 2 * WAYS; way++) {
        bool in_place = way >= WAYS;
        memset(recv, 0x5a, bytes * (size_t)size);
        char *own = recv + (size_t)rank * bytes;
        if (in_place)
          memcpy(own, send, bytes);
        titan_work *work = NULL;
        titan_status status = titan_comm_all_gather(world, in_place ? own : send, recv, count, dtypes[t],
                                                    way % WAYS == BLOCKING ? NULL : &work);
        expect_on_all(status == TITAN_OK && complete(&work, way % WAYS) == TITAN_OK);
        expect_on_all(same(recv, expected, dtypes[t], count * (size_t)size));
      }
      titan_memory_free(send);
      titan_memory_free(recv);
      titan_memory_free(expected);
    }
}

static void check_reduce_scatter(titan_dtype dtype, titan_reduction reduction, size_t count, int way, bool in_place) {
  int size = test_size(), rank = test_rank();
  size_t bytes = count * titan_dtype_bytes(dtype);
  char *send = allocate(dtype, count * (size_t)size), *recv = allocate(dtype, count),
       *expected = allocate(dtype, count);
  fill(send, dtype, rank, 0, count * (size_t)size);
  reduce_naively(dtype, reduction, (size_t)rank * count, count, expected);
  char *result = in_place ? send + (size_t)rank * bytes : recv;
  titan_work *work = NULL;
  titan_status status =
      titan_comm_reduce_scatter(world, send, result, count, dtype, reduction, way == BLOCKING ? NULL : &work);
  expect_on_all(status == TITAN_OK && complete(&work, way) == TITAN_OK);
  expect_on_all(same(result, expected, dtype, count));
  titan_memory_free(send);
  titan_memory_free(recv);
  titan_memory_free(expected);
}

static void reduce_scatter_reduces_along_the_tree(void **state) {
  (void)state;
  const size_t counts[] = {0, 1, 3, 17, 1025, 20011};
  for (int t = 0; t < DTYPES; t++)
    for (int reduction = TITAN_SUM; reduction <= TITAN_MIN; reduction++)
      for (int c = 0; c < 6; c++)
        check_reduce_scatter(dtypes[t], (titan_reduction)reduction, counts[c], c % WAYS, c % 2 == 1);
  for (int way = 0; way < WAYS; way++)
    for (int in_place = 0; in_place < 2; in_place++)
      check_reduce_scatter(TITAN_FLOAT32, TITAN_SUM, 5000, way, in_place);
}

// Sizes that take several blocks on each lane, the last one short, at every number of ranks.
static void reduce_scatter_goes_on_over_several_blocks(void **state) {
  (void)state;
  size_t piece = (4u << 20) / 4 / (size_t)test_size();
  check_reduce_scatter(TITAN_FLOAT32, TITAN_SUM, 4 * piece + 13, WAITING, false);
  check_reduce_scatter(TITAN_BFLOAT16, TITAN_SUM, 3 * piece + 5, TESTING, true);
  check_reduce_scatter(TITAN_FLOAT32, TITAN_SUM, 2 * piece, BLOCKING, true);
}

static void check_all_reduce(titan_dtype dtype, titan_reduction reduction, size_t count, int way, bool in_place) {
  char *send = allocate(dtype, count), *recv = allocate(dtype, count), *expected = allocate(dtype, count);
  fill(send, dtype, test_rank(), 0, count);
  reduce_naively(dtype, reduction, 0, count, expected);
  char *result = in_place ? send : recv;
  titan_work *work = NULL;
  titan_status status =
      titan_comm_all_reduce(world, send, result, count, dtype, reduction, way == BLOCKING ? NULL : &work);
  expect_on_all(status == TITAN_OK && complete(&work, way) == TITAN_OK);
  // Equal to the same naive result everywhere, so every rank has the same bits.
  expect_on_all(same(result, expected, dtype, count));
  titan_memory_free(send);
  titan_memory_free(recv);
  titan_memory_free(expected);
}

static void all_reduce_gives_every_rank_the_same_bits(void **state) {
  (void)state;
  // Around the size where rank 0 stops reducing alone (64 KiB over all ranks), and blocks with ranks that have no
  // share.
  size_t small = (64u << 10) / 4 / (size_t)test_size();
  const size_t counts[] = {0, 1, 2, 5, 1000, small, small + 1, 50021};
  for (int t = 0; t < DTYPES; t++)
    for (int reduction = TITAN_SUM; reduction <= TITAN_MIN; reduction++)
      for (int c = 0; c < 8; c++)
        check_all_reduce(dtypes[t], (titan_reduction)reduction, counts[c], c % WAYS, c % 2 == 1);
  check_all_reduce(TITAN_FLOAT32, TITAN_SUM, (9u << 20) / 4 + 3, WAITING, true);
  check_all_reduce(TITAN_FLOAT32, TITAN_SUM, (13u << 20) / 4 + 1, TESTING, false);
  check_all_reduce(TITAN_BFLOAT16, TITAN_SUM, (8u << 20) / 2 + 1, BLOCKING, true);
}

// Ranks start at different times, so messages arrive in a different order each time.
static void results_repeat_bitwise_whatever_arrives_first(void **state) {
  (void)state;
  enum { COUNT = 30011 };
  int size = test_size(), rank = test_rank();
  size_t total = (size_t)COUNT * (size_t)size;
  float *send = allocate(TITAN_FLOAT32, total), *first = allocate(TITAN_FLOAT32, total),
        *again = allocate(TITAN_FLOAT32, total);
  fill(send, TITAN_FLOAT32, rank, 0, total);
  for (int run = 0; run < 6; run++) {
    float *out = run == 0 ? first : again;
    usleep((useconds_t)(((rank + run) * 7919) % 5 * 1000));
    expect_on_all(titan_comm_reduce_scatter(world, send, out, COUNT, TITAN_FLOAT32, TITAN_SUM, NULL) == TITAN_OK);
    expect_on_all(run == 0 || same(first, again, TITAN_FLOAT32, COUNT));
  }
  for (int run = 0; run < 6; run++) {
    float *out = run == 0 ? first : again;
    usleep((useconds_t)(((rank + run) * 7919) % 5 * 1000));
    expect_on_all(titan_comm_all_reduce(world, send, out, COUNT, TITAN_FLOAT32, TITAN_SUM, NULL) == TITAN_OK);
    expect_on_all(run == 0 || same(first, again, TITAN_FLOAT32, COUNT));
  }
  titan_memory_free(send);
  titan_memory_free(first);
  titan_memory_free(again);
}

// 256 + 1/2 + 1/2 + ... : in bfloat16 arithmetic each half would be lost.
static void bfloat16_is_summed_in_float32(void **state) {
  (void)state;
  int size = test_size(), rank = test_rank();
  titan_bf16 value = titan_bf16_from_float(rank == 0 ? 256.0f : 0.5f), sum = 0;
  expect_on_all(titan_comm_all_reduce(world, &value, &sum, 1, TITAN_BFLOAT16, TITAN_SUM, NULL) == TITAN_OK);
  expect_on_all(sum == titan_bf16_from_float(256.0f + 0.5f * (float)(size - 1)));
}

static void a_nan_shows_in_every_reduction(void **state) {
  (void)state;
  for (int bad = 0; bad < test_size(); bad++)
    for (int reduction = TITAN_SUM; reduction <= TITAN_MIN; reduction++) {
      float value = test_rank() == bad ? NAN : 1.0f;
      double wide = value;
      expect_on_all(titan_comm_all_reduce(world, &value, &value, 1, TITAN_FLOAT32, (titan_reduction)reduction, NULL) ==
                    TITAN_OK);
      expect_on_all(titan_comm_all_reduce(world, &wide, &wide, 1, TITAN_FLOAT64, (titan_reduction)reduction, NULL) ==
                    TITAN_OK);
      expect_on_all(isnan(value) && isnan(wide));
    }
}

static void broadcast_copies_from_every_root(void **state) {
  (void)state;
  const size_t counts[] = {1, 257, 100003};
  for (int c = 0; c < 3; c++) {
    double *buffer = allocate(TITAN_FLOAT64, counts[c]), *expected = allocate(TITAN_FLOAT64, counts[c]);
    for (int root = 0; root < test_size(); root++) {
      fill(buffer, TITAN_FLOAT64, test_rank(), 0, counts[c]);
      fill(expected, TITAN_FLOAT64, root, 0, counts[c]);
      titan_work *work = NULL;
      titan_status status =
          titan_comm_broadcast(world, buffer, counts[c], TITAN_FLOAT64, root, root % 2 == 0 ? NULL : &work);
      expect_on_all(status == TITAN_OK && complete(&work, WAITING) == TITAN_OK);
      expect_on_all(same(buffer, expected, TITAN_FLOAT64, counts[c]));
    }
    titan_memory_free(buffer);
    titan_memory_free(expected);
  }
}

static void all_to_all_transposes_the_parts(void **state) {
  (void)state;
  const size_t counts[] = {1, 7, 20003};
  int size = test_size(), rank = test_rank();
  for (int c = 0; c < 3; c++) {
    size_t count = counts[c], total = count * (size_t)size;
    float *send = allocate(TITAN_FLOAT32, total), *recv = allocate(TITAN_FLOAT32, total),
          *expected = allocate(TITAN_FLOAT32, total);
    fill(send, TITAN_FLOAT32, rank, 0, total);
    for (int r = 0; r < size; r++)
      fill(expected + (size_t)r * count, TITAN_FLOAT32, r, (size_t)rank * count, count);
    titan_work *work = NULL;
    expect_on_all(titan_comm_all_to_all(world, send, recv, count, TITAN_FLOAT32, &work) == TITAN_OK &&
                  complete(&work, TESTING) == TITAN_OK);
    expect_on_all(same(recv, expected, TITAN_FLOAT32, total));
    titan_memory_free(send);
    titan_memory_free(recv);
    titan_memory_free(expected);
  }
}

static void messages_go_round_a_ring(void **state) {
  (void)state;
  const size_t counts[] = {0, 1, 50007};
  int size = test_size(), rank = test_rank(), left = (rank + size - 1) % size;
  for (int c = 0; c < 3; c++) {
    float *send = allocate(TITAN_FLOAT32, counts[c]), *recv = allocate(TITAN_FLOAT32, counts[c]),
          *expected = allocate(TITAN_FLOAT32, counts[c]);
    fill(send, TITAN_FLOAT32, rank, 0, counts[c]);
    fill(expected, TITAN_FLOAT32, left, 0, counts[c]);
    titan_work *sending = NULL, *receiving = NULL;
    titan_status status = titan_comm_recv(world, recv, counts[c], TITAN_FLOAT32, left, 16383, &receiving);
    expect_on_all(status == TITAN_OK);
    status = titan_comm_send(world, send, counts[c], TITAN_FLOAT32, (rank + 1) % size, 16383, &sending);
    expect_on_all(status == TITAN_OK);
    expect_on_all(titan_work_wait(&sending) == TITAN_OK && titan_work_wait(&receiving) == TITAN_OK);
    expect_on_all(sending == NULL && receiving == NULL && same(recv, expected, TITAN_FLOAT32, counts[c]));
    titan_memory_free(send);
    titan_memory_free(recv);
    titan_memory_free(expected);
  }
}

// Many works of all kinds, in two groups, waited for in an order that differs between ranks: waiting for one must carry
// the others on, or ranks would wait for each other.
static void works_in_flight_complete_in_any_order_of_waiting(void **state) {
  (void)state;
  enum { WORKS = 12, COUNT = 60007 };
  int size = test_size(), rank = test_rank();
  titan_comm *second = NULL;
  expect_on_all(titan_comm_create_mpi(MPI_COMM_WORLD, "second", &second) == TITAN_OK);
  size_t total = (size_t)COUNT * (size_t)size;
  float *sends[WORKS], *recvs[WORKS];
  titan_work *works[WORKS] = {NULL};
  titan_status status = TITAN_OK;
  for (int w = 0; w < WORKS && status == TITAN_OK; w++) {
    titan_comm *comm = w % 2 ? second : world;
    sends[w] = allocate(TITAN_FLOAT32, total);
    recvs[w] = allocate(TITAN_FLOAT32, total);
    fill(sends[w], TITAN_FLOAT32, rank, (size_t)w, total);
    if (w % 3 == 0)
      status = titan_comm_reduce_scatter(comm, sends[w], recvs[w], COUNT, TITAN_FLOAT32, TITAN_SUM, &works[w]);
    else if (w % 3 == 1)
      status = titan_comm_all_gather(comm, sends[w], recvs[w], COUNT, TITAN_FLOAT32, &works[w]);
    else
      status = titan_comm_all_reduce(comm, sends[w], recvs[w], COUNT, TITAN_FLOAT32, TITAN_MAX, &works[w]);
    titan_comm_progress();
  }
  expect_on_all(status == TITAN_OK);
  for (int i = 0; i < WORKS; i++) {
    int w = rank % 2 ? WORKS - 1 - i : (i + rank) % WORKS;
    if (titan_work_wait(&works[w]) != TITAN_OK)
      status = TITAN_ERROR_COMMUNICATION;
  }
  expect_on_all(status == TITAN_OK);
  bool right = true;
  float *expected = allocate(TITAN_FLOAT32, total);
  for (int w = 0; w < WORKS; w++) {
    size_t count = COUNT;
    if (w % 3 == 0) {
      reduce_naively(TITAN_FLOAT32, TITAN_SUM, (size_t)w + (size_t)rank * COUNT, COUNT, expected);
    } else if (w % 3 == 1) {
      count = total;
      for (int r = 0; r < size; r++)
        fill(expected + (size_t)r * COUNT, TITAN_FLOAT32, r, (size_t)w, COUNT);
    } else {
      reduce_naively(TITAN_FLOAT32, TITAN_MAX, (size_t)w, COUNT, expected);
    }
    right = right && same(recvs[w], expected, TITAN_FLOAT32, count);
    titan_memory_free(sends[w]);
    titan_memory_free(recvs[w]);
  }
  expect_on_all(right);
  titan_memory_free(expected);
  titan_comm_destroy(&second);
}

static void many_operations_reuse_their_memory(void **state) {
  (void)state;
  uint64_t before = 0;
  float value = 1;
  for (int i = 0; i < 300; i++) {
    float sum = 0;
    titan_work *work = NULL;
    titan_status status = titan_comm_all_reduce(world, &value, &sum, 1, TITAN_FLOAT32, TITAN_SUM, &work);
    if (status == TITAN_OK)
      status = titan_work_wait(&work);
    if (status != TITAN_OK || sum != (float)test_size()) {
      print_error("step %d: %s\n", i, titan_error_message());
      MPI_Abort(MPI_COMM_WORLD, 1);
    }
    if (i == 10)
      before = titan_memory_usage_of(TITAN_MEMORY_COMMUNICATION).live_count;
  }
  expect_on_all(titan_memory_usage_of(TITAN_MEMORY_COMMUNICATION).live_count == before);
}

static void ranks_agree_on_the_lowest_failure(void **state) {
  (void)state;
  int size = test_size(), rank = test_rank();
  expect_on_all(titan_comm_agree(world, TITAN_OK) == TITAN_OK);
  for (int bad = 0; bad < size; bad++) {
    char expected[128], reason[] = "corpus.jsonl:17: no text field";
    titan_status status = TITAN_OK;
    if (rank == bad || rank == size - 1) // the last rank fails too, with another reason
      status = rank == bad ? titan_error(TITAN_ERROR_DATA, "%s", reason) : titan_error(TITAN_ERROR_USAGE, "other");
    status = titan_comm_agree(world, status);
    if (bad == 0)
      snprintf(expected, sizeof expected, "%s", reason);
    else
      snprintf(expected, sizeof expected, "rank %d: %s", bad, reason);
    expect_on_all(status == TITAN_ERROR_DATA && strcmp(titan_error_message(), expected) == 0);
  }
}

static void a_split_gives_groups_of_their_own(void **state) {
  (void)state;
  int size = test_size(), rank = test_rank();
  titan_comm *half = NULL, *alone = NULL;
  expect_on_all(titan_comm_create_split(MPI_COMM_WORLD, rank % 2, -rank, "half", &half) == TITAN_OK);
  int members = (size + 1 - rank % 2) / 2;
  expect_on_all(titan_comm_size(half) == members && titan_comm_rank(half) == members - 1 - rank / 2);
  expect_on_all(strcmp(titan_comm_name(half), "half") == 0 && titan_comm_is_one_node(half));
  int64_t sum = 0, mine = rank;
  expect_on_all(titan_comm_all_reduce(half, &mine, &sum, 1, TITAN_INT64, TITAN_SUM, NULL) == TITAN_OK);
  int64_t expected = 0;
  for (int r = rank % 2; r < size; r += 2)
    expected += r;
  expect_on_all(sum == expected);
  titan_comm_destroy(&half);
  expect_on_all(half == NULL);

  expect_on_all(titan_comm_create_mpi(MPI_COMM_SELF, "alone", &alone) == TITAN_OK);
  float in[3] = {1, 2, 3}, out[3] = {0};
  titan_work *work = (titan_work *)in; // must not stay
  expect_on_all(titan_comm_reduce_scatter(alone, in, out, 3, TITAN_FLOAT32, TITAN_SUM, &work) == TITAN_OK);
  bool done = false;
  expect_on_all(titan_work_test(work, &done) == TITAN_OK && done && titan_work_wait(&work) == TITAN_OK);
  expect_on_all(memcmp(in, out, sizeof in) == 0 && titan_comm_traffic_of(alone).reduce_scatter == 0);
  titan_comm_destroy(&alone);
}

static void traffic_is_counted_by_kind(void **state) {
  (void)state;
  int size = test_size(), rank = test_rank();
  size_t others = (size_t)size - 1;
  titan_comm *comm = NULL;
  expect_on_all(titan_comm_create_mpi(MPI_COMM_WORLD, "counted", &comm) == TITAN_OK);
  float *a = allocate(TITAN_FLOAT32, 100 * (size_t)size), *b = allocate(TITAN_FLOAT32, 100 * (size_t)size);
  memset(a, 0, 400 * (size_t)size);
  titan_status status = titan_comm_all_gather(comm, a, b, 100, TITAN_FLOAT32, NULL);
  status |= titan_comm_reduce_scatter(comm, a, b, 50, TITAN_FLOAT32, TITAN_SUM, NULL);
  status |= titan_comm_all_reduce(comm, a, b, 25, TITAN_FLOAT32, TITAN_SUM, NULL);
  status |= titan_comm_broadcast(comm, a, 10, TITAN_FLOAT32, 0, NULL);
  status |= titan_comm_all_to_all(comm, a, b, 5, TITAN_FLOAT32, NULL);
  status |= titan_comm_barrier(comm, NULL);
  expect_on_all(status == TITAN_OK);
  titan_comm_traffic traffic = titan_comm_traffic_of(comm);
  expect_on_all(traffic.all_gather == 400 * others && traffic.reduce_scatter == 200 * others);
  expect_on_all(traffic.all_reduce == (size > 1 ? 100 : 0) && traffic.broadcast == (size > 1 ? 40 : 0));
  expect_on_all(traffic.all_to_all == 20 * others && traffic.operations == 6 && traffic.point_to_point == 0);
  (void)rank;
  titan_memory_free(a);
  titan_memory_free(b);
  titan_comm_destroy(&comm);
}

static void *call_from_a_second_thread(void *out) {
  *(titan_status *)out = titan_comm_barrier(world, NULL);
  return NULL;
}

static void mistakes_come_back_as_errors(void **state) {
  (void)state;
  float value = 0;
  expect_on_all(titan_comm_send(world, &value, 1, TITAN_FLOAT32, test_size() + 3, 0, NULL) ==
                TITAN_ERROR_COMMUNICATION);
  expect_on_all(strstr(titan_error_message(), "MPI_Isend failed") != NULL);
  expect_on_all(titan_comm_send(world, &value, 1, TITAN_FLOAT32, 0, 16384, NULL) == TITAN_ERROR_INTERNAL);
  titan_status status = TITAN_OK;
  pthread_t thread;
  expect_on_all(pthread_create(&thread, NULL, call_from_a_second_thread, &status) == 0);
  pthread_join(thread, NULL);
  expect_on_all(status == TITAN_ERROR_INTERNAL);
  // The group still works.
  expect_on_all(titan_comm_barrier(world, NULL) == TITAN_OK);
}

int main(int argc, char **argv) {
  begin_mpi_tests(&argc, &argv);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(all_gather_puts_every_part_in_its_place),
      cmocka_unit_test(reduce_scatter_reduces_along_the_tree),
      cmocka_unit_test(reduce_scatter_goes_on_over_several_blocks),
      cmocka_unit_test(all_reduce_gives_every_rank_the_same_bits),
      cmocka_unit_test(results_repeat_bitwise_whatever_arrives_first),
      cmocka_unit_test(bfloat16_is_summed_in_float32),
      cmocka_unit_test(a_nan_shows_in_every_reduction),
      cmocka_unit_test(broadcast_copies_from_every_root),
      cmocka_unit_test(all_to_all_transposes_the_parts),
      cmocka_unit_test(messages_go_round_a_ring),
      cmocka_unit_test(works_in_flight_complete_in_any_order_of_waiting),
      cmocka_unit_test(many_operations_reuse_their_memory),
      cmocka_unit_test(ranks_agree_on_the_lowest_failure),
      cmocka_unit_test(a_split_gives_groups_of_their_own),
      cmocka_unit_test(traffic_is_counted_by_kind),
      cmocka_unit_test(mistakes_come_back_as_errors),
  };
  if (titan_comm_create_mpi(MPI_COMM_WORLD, "world", &world) != TITAN_OK)
    return 1;
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  titan_comm_destroy(&world);
  return end_mpi_tests(failures);
}
