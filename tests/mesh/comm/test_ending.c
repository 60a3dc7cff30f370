// SPDX-License-Identifier: Apache-2.0
// Property: ranks that fail without having agreed on it end together where all of them fail, the lowest one speaking;
// a rank that fails while the others wait for it learns that it is alone, and soon. Oracle: which ranks call is decided
// here. One order is possible only: what is begun with too few ranks stays open.
#include "mpi_test.h"

#include "comm/bootstrap.h"

static void failing_ranks_end_together_or_learn_that_they_are_alone(void **state) {
  (void)state;
  int last = test_size() - 1, speaker = -1;
  bool alone = test_size() > 1 && test_rank() == last;
  if (alone)
    assert_false(titan_mpi_end_together(0.1, &speaker));
  MPI_Barrier(MPI_COMM_WORLD);
  // Now the others come too: what the last one began is complete for them.
  bool together = alone || titan_mpi_end_together(60, &speaker);
  expect_on_all(together);
  expect_on_all(alone || speaker == 0);
}

int main(int argc, char **argv) {
  begin_mpi_tests(&argc, &argv);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(failing_ranks_end_together_or_learn_that_they_are_alone),
  };
  return end_mpi_tests(cmocka_run_group_tests(tests, NULL, NULL));
}
