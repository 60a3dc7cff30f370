// SPDX-License-Identifier: Apache-2.0
// Ranks that communicate until one of them does something else; see watchdog.sh.
//
//   watchdog_role ROLE SECONDS FOLDER    under mpirun. ROLE of the last rank:
//     stop     stops (SIGSTOP) before a collective; first_stops: rank 0 does
//     sleep    sleeps for three times the timeout of SECONDS
//     doze     sleeps for half of it, and goes on: the program ends with 0
//     skip     leaves a collective out, and calls another one
//     leave    leaves one of two groups' collectives out
//     check    as skip, with the comparison of collectives
//     crash    raises SIGSEGV
//     nothing  goes on: the program ends with 0
#include "base/log.h"
#include "comm/bootstrap.h"
#include "comm/crash.h"
#include "comm/recorder.h"
#include "comm/watchdog.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void do_role(const char *role, double seconds) {
  if (strcmp(role, "stop") == 0 || strcmp(role, "first_stops") == 0)
    raise(SIGSTOP);
  if (strcmp(role, "crash") == 0)
    raise(SIGSEGV);
  if (strcmp(role, "sleep") == 0 || strcmp(role, "doze") == 0)
    usleep((useconds_t)((role[0] == 's' ? 3 : 0.5) * seconds * 1e6));
}

static titan_status communicate(titan_comm *world, titan_comm *other, const char *role, double seconds) {
  int last = titan_comm_size(world) - 1, rank = titan_comm_rank(world);
  bool acts = rank == (strcmp(role, "first_stops") == 0 ? 0 : last);
  double number = 1, sum;
  for (int step = 1; step <= 5; step++) {
    titan_recorder_set_phase("training", step);
    titan_recorder_set_action("forward", "layers.3");
    TITAN_TRY(titan_comm_all_reduce(world, &number, &sum, 1, TITAN_FLOAT64, TITAN_SUM, NULL));
    bool now = acts && step == 3, skips = strcmp(role, "skip") == 0 || strcmp(role, "check") == 0;
    if (now)
      do_role(role, seconds);
    if (!(now && (skips || strcmp(role, "leave") == 0)))
      TITAN_TRY(titan_comm_all_reduce(world, &number, &sum, 1, TITAN_FLOAT64, TITAN_MAX, NULL));
    TITAN_TRY(titan_comm_barrier(strcmp(role, "leave") == 0 ? other : world, NULL));
  }
  return TITAN_OK;
}

static titan_status run(const char *role, double seconds, const char *folder) {
  titan_comm *world, *other;
  titan_watchdog *watchdog;
  char option[64];
  snprintf(option, sizeof option, "seconds = %g", seconds);
  titan_watchdog_options options = {.timeout = 1000, .option = "none", .folder = folder};
  TITAN_TRY(titan_comm_create_mpi(MPI_COMM_WORLD, "world", &world));
  TITAN_TRY(titan_comm_create_mpi(MPI_COMM_WORLD, "other", &other));
  titan_comm_check_collectives(strcmp(role, "check") == 0);
  TITAN_TRY(titan_recorder_create(4));
  TITAN_TRY(titan_watchdog_create(world, &options, &watchdog));
  titan_watchdog_set_timeout(watchdog, seconds, option);
  TITAN_TRY(communicate(world, other, role, seconds));
  titan_watchdog_destroy(&watchdog);
  titan_recorder_destroy();
  titan_comm_destroy(&other);
  titan_comm_destroy(&world);
  return TITAN_OK;
}

static void tell(titan_status status, bool speaks) {
  (void)status;
  if (speaks)
    titan_log_error("%s", titan_error_message());
}

int main(int argc, char **argv) {
  titan_mpi mpi;
  if (argc != 4 || titan_mpi_initialize(&argc, &argv, &mpi) != TITAN_OK)
    return 2;
  titan_log_configure(mpi.rank, TITAN_LOG_INFO);
  titan_crash_watch(mpi.rank);
  titan_status status = run(argv[1], atof(argv[2]), argv[3]);
  int code = status == TITAN_OK ? 0 : titan_mpi_end_badly(mpi.rank, status, tell);
  bool leaks = titan_memory_report_leaks() != 0;
  titan_mpi_finalize();
  return code != 0 ? code : leaks;
}
