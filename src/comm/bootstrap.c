// SPDX-License-Identifier: Apache-2.0
#include "comm/bootstrap.h"

#include "base/clock.h"
#include "comm/mpi_error.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

const char *titan_mpi_thread_level_name(int level) {
  if (level == MPI_THREAD_MULTIPLE)
    return "multiple";
  if (level == MPI_THREAD_SERIALIZED)
    return "serialized";
  return level == MPI_THREAD_FUNNELED ? "funneled" : "single";
}

// Of MPI_COMM_WORLD, for titan_mpi_end_together alone.
static MPI_Comm ending = MPI_COMM_NULL;

// Levels rise with MPI's constants. The lowest one of all ranks counts, so that all go on or none does.
static titan_status agree_on_thread_level(titan_mpi *mpi) {
  int level = mpi->thread_level;
  TITAN_TRY_MPI(MPI_Allreduce(&level, &mpi->thread_level, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD));
  if (mpi->thread_level >= MPI_THREAD_FUNNELED)
    return TITAN_OK;
  mpi->is_silent = mpi->rank != 0;
  return titan_error(TITAN_ERROR_COMMUNICATION,
                     "the MPI library grants thread level \"%s\", but this program needs \"funneled\" for its OpenMP "
                     "threads and the loader's thread",
                     titan_mpi_thread_level_name(mpi->thread_level));
}

// Tasks that a launcher started beside each other, each alone: task 0 tells, where it is known to be there. The others
// leave it a moment, since some launchers end all tasks at the first that fails.
static titan_status check_launch(titan_mpi *mpi) {
  titan_status status = titan_launch_check(&mpi->launch, mpi->size);
  bool others_tell = mpi->launch.tasks_are_known && mpi->launch.task > 0;
  mpi->is_silent = status != TITAN_OK && (mpi->rank != 0 || others_tell);
  if (status != TITAN_OK && others_tell)
    sleep(1);
  return status;
}

// Open MPI ends the process where srun gave it no means to find the other ranks, and says nothing of srun's options. A
// child of task 0 does, if the process ends before the pipe has a byte. -1: there is nothing to advise.
static int advise_if_it_ends(const titan_launch *launch) {
  int ends[2];
  char byte;
  if (!titan_launch_has_no_pmi(launch) || launch->task != 0 || pipe(ends) != 0)
    return -1;
  titan_launch_check(launch, 1); // makes the message
  pid_t child = fork();
  if (child != 0) {
    close(ends[0]);
    titan_error_clear();
    return ends[1];
  }
  close(ends[1]);
  if (read(ends[0], &byte, 1) == 0)
    dprintf(STDERR_FILENO, "titan-hpc: %s\n", titan_error_message());
  _exit(0);
}

static void keep_advice(int end) {
  if (end < 0)
    return;
  if (write(end, "", 1) < 0)
    titan_error_clear(); // the child has ended
  close(end);
}

// Open MPI tries a lock in the folder of each file that it opens, for shared file pointers, which nothing here uses. On
// a file system whose locks do not answer it would wait for ever. A user's own choice stays.
static void leave_out_locked_files(void) {
  setenv("OMPI_MCA_sharedfp", "^lockedfile", 0);
}

titan_status titan_mpi_initialize(int *argc, char ***argv, titan_mpi *out) {
  int initialized = 0;
  *out = (titan_mpi){.launch = titan_launch_find()}; // MPI may set variables of its own
  TITAN_TRY_MPI(MPI_Initialized(&initialized));
  if (!initialized) {
    leave_out_locked_files();
    int advice = advise_if_it_ends(&out->launch);
    TITAN_TRY_MPI(MPI_Init_thread(argc, argv, MPI_THREAD_MULTIPLE, &out->thread_level));
    keep_advice(advice);
  }
  TITAN_TRY_MPI(MPI_Query_thread(&out->thread_level));
  TITAN_TRY_MPI(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
  TITAN_TRY_MPI(MPI_Comm_rank(MPI_COMM_WORLD, &out->rank));
  TITAN_TRY_MPI(MPI_Comm_size(MPI_COMM_WORLD, &out->size));
  TITAN_TRY(check_launch(out));
  TITAN_TRY(agree_on_thread_level(out));
  if (ending == MPI_COMM_NULL)
    TITAN_TRY_MPI(MPI_Comm_dup(MPI_COMM_WORLD, &ending));
  return TITAN_OK;
}

bool titan_mpi_end_together(double seconds, int *speaker) {
  static int rank, lowest; // they outlive the call where the others do not come
  const struct timespec pause = {.tv_nsec = 1000000};
  double begun = titan_clock_seconds();
  int done = 0;
  MPI_Request request;
  if (ending == MPI_COMM_NULL || MPI_Comm_rank(ending, &rank) != MPI_SUCCESS ||
      MPI_Iallreduce(&rank, &lowest, 1, MPI_INT, MPI_MIN, ending, &request) != MPI_SUCCESS)
    return false;
  while (MPI_Test(&request, &done, MPI_STATUS_IGNORE) == MPI_SUCCESS && !done &&
         titan_clock_seconds() - begun < seconds)
    nanosleep(&pause, NULL);
  *speaker = lowest;
  return done;
}

int titan_mpi_end_badly(int rank, titan_status status, void (*tell)(titan_status status, bool speaks)) {
  static const double patience = 3; // seconds
  int speaker = 0, code = titan_status_exit_code(status);
  bool together = titan_error_was_agreed() || titan_mpi_end_together(patience, &speaker);
  tell(status, !together || rank == speaker);
  fflush(NULL);
  if (!together)
    MPI_Abort(MPI_COMM_WORLD, code);
  if (!titan_error_was_agreed()) { // operations may be under way, for which nothing that they use may be freed
    titan_mpi_finalize();
    _exit(code);
  }
  return code;
}

void titan_mpi_finalize(void) {
  int initialized = 0, finalized = 0;
  if (MPI_Initialized(&initialized) == MPI_SUCCESS && initialized && MPI_Finalized(&finalized) == MPI_SUCCESS &&
      !finalized) {
    if (ending != MPI_COMM_NULL)
      MPI_Comm_free(&ending);
    MPI_Finalize();
  }
}
