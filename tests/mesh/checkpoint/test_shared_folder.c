// SPDX-License-Identifier: Apache-2.0
// Ranks that do not see one folder are told apart at the start. Two folders stand for one path on two nodes.
#include "state.h"

#include "comm/bootstrap.h"
#include "train/shared_folder.h"

#include <sys/stat.h>

static void a_folder_that_one_rank_does_not_see_is_an_error_with_its_host(void **unused) {
  (void)unused;
  static char mine[160];
  titan_comm *world;
  char host[72] = "";
  gethostname(host, sizeof host - 1);
  expect_on_all(titan_comm_create_mpi(MPI_COMM_WORLD, "world", &world) == TITAN_OK);
  for (int missing = 0; missing < 2; missing++) {
    snprintf(mine, sizeof mine, "%s/node%d", state_folder, missing ? 2 * test_rank() : test_rank());
    expect_on_all((missing && test_rank() > 0) || mkdir(mine, 0777) == 0 || missing);
    expect_on_all(titan_shared_folder_check(world, mine) == TITAN_ERROR_USAGE);
    expect_on_all(strstr(titan_error_message(), "rank 1: host ") != NULL &&
                  strstr(titan_error_message(), host) != NULL);
    expect_on_all(strstr(titan_error_message(), "does not see the folder") != NULL);
  }
  expect_on_all(titan_shared_folder_check(world, state_folder) == TITAN_OK);
  expect_on_all(titan_shared_folder_check(world, state_path("nowhere")) == TITAN_ERROR_USAGE);
  MPI_Barrier(MPI_COMM_WORLD);
  snprintf(mine, sizeof mine, "%s/node%d", state_folder, test_rank());
  expect_on_all(rmdir(mine) == 0); // nothing is left in it
  titan_comm_destroy(&world);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_folder_that_one_rank_does_not_see_is_an_error_with_its_host),
  };
  begin_mpi_tests(&argc, &argv);
  return end_mpi_tests(cmocka_run_group_tests(tests, state_make_folder, state_remove_folder));
}
