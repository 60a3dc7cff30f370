// SPDX-License-Identifier: Apache-2.0
// debug.check_collectives: before each collective, ranks compare what they are about to call.
#include "base/clock.h"
#include "comm/backend.h"
#include "comm/mpi_error.h"
#include "comm/recorder_private.h"

#include <inttypes.h>
#include <sched.h>
#include <string.h>

// What has to be alike on all ranks of a group.
typedef struct call {
  int64_t kind, count, dtype, reduction, root;
  uint64_t sequence;
} call;

static bool checking;

void titan_comm_check_collectives(bool check) {
  checking = check;
}

bool titan_comm_checks(const titan_comm *comm, const titan_operation *operation) {
  return checking && comm->size > 1 && comm->mpi != MPI_COMM_NULL && operation->kind != TITAN_OPERATION_SEND &&
         operation->kind != TITAN_OPERATION_RECV;
}

static titan_status gather(titan_comm *comm, const titan_operation *operation, const call *mine, call *all) {
  MPI_Request request;
  int done = 0;
  TITAN_TRY_MPI(
      MPI_Iallgather(mine, (int)sizeof *mine, MPI_BYTE, all, (int)sizeof *mine, MPI_BYTE, comm->mpi, &request));
  titan_recorder_wait(comm, operation, UINT64_MAX, titan_clock_seconds());
  titan_status status = TITAN_OK;
  while (!done && status == TITAN_OK) {
    titan_comm_progress(); // another rank may wait for a step of ours in an older one
    status = TITAN_MPI(MPI_Test(&request, &done, MPI_STATUS_IGNORE));
    if (!done)
      sched_yield();
  }
  titan_recorder_waited(titan_clock_seconds());
  return status;
}

static const char *name_of(const call *one) {
  return one->kind >= 0 && one->kind < TITAN_OPERATION_KINDS ? titan_operation_name((titan_operation_kind)one->kind)
                                                             : "nothing known";
}

static titan_status differ(const titan_comm *comm, const call *all, int other) {
  return titan_error(TITAN_ERROR_COMMUNICATION,
                     "ranks call different collectives in group %s of %d ranks (debug.check_collectives): its rank 0 "
                     "calls %s of %" PRId64 " elements, #%" PRIu64 ", and its rank %d calls %s of %" PRId64
                     " elements, #%" PRIu64,
                     comm->name, comm->size, name_of(&all[0]), all[0].count, all[0].sequence, other,
                     name_of(&all[other]), all[other].count, all[other].sequence);
}

titan_status titan_comm_check(titan_comm *comm, const titan_operation *operation) {
  call mine = {.kind = operation->kind,
               .count = (int64_t)operation->count,
               .dtype = operation->dtype,
               .reduction = operation->reduction,
               .root = operation->peer,
               .sequence = operation->sequence};
  call *all;
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_OBSERVE, (size_t)comm->size * sizeof *all, &all));
  titan_status status = gather(comm, operation, &mine, all);
  for (int rank = 1; rank < comm->size && status == TITAN_OK; rank++)
    if (memcmp(&all[rank], &all[0], sizeof *all) != 0)
      status = differ(comm, all, rank);
  titan_memory_free(all);
  return status;
}
