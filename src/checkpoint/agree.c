// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/agree.h"

#include "comm/mpi_error.h"
#include "comm/recorder.h"

#include <stdio.h>
#include <unistd.h>

enum { MESSAGE_BYTES = 4096, PAUSE_MICROSECONDS = 1000 };

titan_status titan_checkpoint_wait(int count, MPI_Request *requests, bool patient) {
  int done = 0, rank = 0, size = 1;
  titan_status status = TITAN_OK;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  if (!patient) { // by the thread that communicates
    titan_recorder_wait_begins("checkpoint", "exchange", rank, size);
    status = TITAN_MPI(MPI_Waitall(count, requests, MPI_STATUSES_IGNORE));
    titan_recorder_wait_ends();
    return status;
  }
  titan_recorder_aside_wait_begins("exchange", rank, size);
  while (status == TITAN_OK && !done) {
    status = TITAN_MPI(MPI_Testall(count, requests, &done, MPI_STATUSES_IGNORE));
    if (status == TITAN_OK && !done)
      usleep(PAUSE_MICROSECONDS);
  }
  titan_recorder_aside_wait_ends();
  return status;
}

static titan_status wait(MPI_Request *request, bool patient) {
  return titan_checkpoint_wait(1, request, patient);
}

titan_status titan_checkpoint_broadcast(MPI_Comm comm, void *data, size_t bytes, bool patient) {
  enum { MOST = 1 << 30 };
  MPI_Request request;
  for (size_t done = 0, count; done < bytes; done += count) {
    count = bytes - done < MOST ? bytes - done : MOST;
    TITAN_TRY_MPI(MPI_Ibcast((char *)data + done, (int)count, MPI_BYTE, 0, comm, &request));
    TITAN_TRY(wait(&request, patient));
  }
  return TITAN_OK;
}

titan_status titan_checkpoint_agree(MPI_Comm comm, titan_status status, bool patient) {
  int rank = 0, size = 1, mine, failing;
  MPI_Request request;
  struct {
    int32_t status;
    char message[MESSAGE_BYTES];
  } report = {(int32_t)status, ""};
  MPI_Comm_rank(comm, &rank);
  MPI_Comm_size(comm, &size);
  mine = status == TITAN_OK ? size : rank;
  TITAN_TRY_MPI(MPI_Iallreduce(&mine, &failing, 1, MPI_INT, MPI_MIN, comm, &request));
  TITAN_TRY(wait(&request, patient));
  if (failing == size)
    return TITAN_OK;
  if (rank == failing && rank == 0)
    snprintf(report.message, sizeof report.message, "%s", titan_error_message());
  else if (rank == failing)
    snprintf(report.message, sizeof report.message, "rank %d: %s", rank, titan_error_message());
  TITAN_TRY_MPI(MPI_Ibcast(&report, (int)sizeof report, MPI_BYTE, failing, comm, &request));
  TITAN_TRY(wait(&request, patient));
  titan_status agreed = titan_error((titan_status)report.status, "%s", report.message);
  titan_error_mark_agreed();
  return agreed;
}

titan_status titan_checkpoint_count(MPI_Comm comm, int64_t mine, int64_t *before, int64_t *all, bool patient) {
  MPI_Request request;
  int rank = 0;
  *before = 0;
  TITAN_TRY_MPI(MPI_Iexscan(&mine, before, 1, MPI_INT64_T, MPI_SUM, comm, &request));
  TITAN_TRY(wait(&request, patient));
  MPI_Comm_rank(comm, &rank);
  if (rank == 0)
    *before = 0;
  TITAN_TRY_MPI(MPI_Iallreduce(&mine, all, 1, MPI_INT64_T, MPI_SUM, comm, &request));
  return wait(&request, patient);
}
