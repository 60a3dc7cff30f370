// SPDX-License-Identifier: Apache-2.0
// Property: messages of more bytes than an int counts are described completely. Oracle: sizes and extents that MPI
// reports for lengths up to 10 GB (nothing is sent), and real transfers with the limit set low, so that every form of
// type is used.
#include "comm/mpi_datatype.h"
#include "mpi_test.h"

#include <limits.h>
#include <stdbool.h>
#include <string.h>

static void long_messages_have_their_length_and_extent(void **state) {
  (void)state;
  const size_t lengths[] = {0,
                            1,
                            INT_MAX - 1,
                            INT_MAX,
                            (size_t)INT_MAX + 1,
                            (size_t)INT_MAX + 2,
                            (size_t)1 << 32,
                            ((size_t)3 << 31) + 7,
                            10000000019u};
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
    for (size_t messages = 1; messages <= 1000; messages += 333) {
      titan_mpi_message message;
      expect_on_all(titan_mpi_message_create(lengths[i], messages, INT_MAX, &message) == TITAN_OK);
      MPI_Count size = 0, low = 0, extent = 0;
      MPI_Type_size_x(message.type, &size);
      MPI_Type_get_extent_x(message.type, &low, &extent);
      expect_on_all(message.count >= 0 && (size_t)(size * message.count) == lengths[i]);
      expect_on_all(low == 0 && (size_t)(extent * message.count) == lengths[i]);
      // Every rank's offset must fit where libraries compute rank * count in ints.
      expect_on_all((size_t)message.count * messages <= INT_MAX);
      titan_mpi_message_destroy(&message);
    }
}

static void short_blocks_carry_the_same_bytes(void **state) {
  (void)state;
  enum { MOST = 5000 };
  int size = test_size(), rank = test_rank();
  unsigned char *send = NULL, *recv = NULL;
  assert_int_equal(titan_memory_allocate(TITAN_MEMORY_GENERAL, MOST, &send), TITAN_OK);
  assert_int_equal(titan_memory_allocate(TITAN_MEMORY_GENERAL, MOST * (size_t)size, &recv), TITAN_OK);
  for (int i = 0; i < MOST; i++)
    send[i] = (unsigned char)(i * 31 + rank * 7 + i / 256);
  const size_t lengths[] = {1, 99, 100, 101, 250, 4999, 5000};
  for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
    titan_mpi_message message;
    MPI_Request request;
    expect_on_all(titan_mpi_message_create(lengths[l], (size_t)size, 100, &message) == TITAN_OK);
    expect_on_all(message.type == MPI_BYTE || lengths[l] * (size_t)size > 100);
    memset(recv, 0, MOST * (size_t)size);
    int code =
        MPI_Iallgather(send, message.count, message.type, recv, message.count, message.type, MPI_COMM_WORLD, &request);
    titan_mpi_message_destroy(&message); // while the operation is in flight
    expect_on_all(code == MPI_SUCCESS && MPI_Wait(&request, MPI_STATUS_IGNORE) == MPI_SUCCESS);
    bool right = true;
    for (int r = 0; r < size; r++)
      for (size_t i = 0; i < lengths[l]; i++)
        right = right && recv[(size_t)r * lengths[l] + i] == (unsigned char)(i * 31 + (size_t)r * 7 + i / 256);
    expect_on_all(right);
  }
  titan_memory_free(send);
  titan_memory_free(recv);
}

int main(int argc, char **argv) {
  begin_mpi_tests(&argc, &argv);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(long_messages_have_their_length_and_extent),
      cmocka_unit_test(short_blocks_carry_the_same_bytes),
  };
  return end_mpi_tests(cmocka_run_group_tests(tests, NULL, NULL));
}
