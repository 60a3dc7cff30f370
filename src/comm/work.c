// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"
#include "comm/backend.h"
#include "comm/recorder_private.h"

#include <sched.h>
#include <stdio.h>

// All of a process's communication comes from one thread, so the list needs no lock.
static titan_work *oldest, *newest;

void titan_work_list_append(titan_work *work) {
  work->previous = newest;
  work->next = NULL;
  if (newest != NULL)
    newest->next = work;
  else
    oldest = work;
  newest = work;
  work->comm->in_flight++;
}

static void list_remove(titan_work *work) {
  if (work->previous != NULL)
    work->previous->next = work->next;
  else
    oldest = work->next;
  if (work->next != NULL)
    work->next->previous = work->previous;
  else
    newest = work->previous;
  work->comm->in_flight--;
}

static void work_advance(titan_work *work) {
  bool done = false;
  work->status = work->advance(work, &done);
  if (work->status != TITAN_OK)
    snprintf(work->message, sizeof work->message, "%s in group %s (rank %d of %d): %s",
             titan_operation_name(work->operation.kind), work->comm->name, work->comm->rank, work->comm->size,
             titan_error_message());
  if (!done && work->status == TITAN_OK)
    return;
  work->done = true;
  titan_recorder_end(work->record, work->status != TITAN_OK);
  list_remove(work);
  if (work->release != NULL)
    work->release(work);
}

void titan_comm_progress(void) {
  for (titan_work *work = oldest; work != NULL;) {
    titan_work *next = work->next;
    work_advance(work);
    work = next;
  }
}

// Messages of operations that have ended here may not have left yet, and go on only in calls of MPI. A wait for memory
// that ranks share makes none.
void titan_comm_pause(const titan_comm *comm) {
  int flag;
  if (comm->mpi != MPI_COMM_NULL)
    MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, comm->mpi, &flag, MPI_STATUS_IGNORE);
  sched_yield(); // ranks may outnumber cores
}

titan_status titan_work_test(titan_work *work, bool *done) {
  // Everything moves, not just this work: another rank may wait for a step of ours in an older one.
  bool joined = work != NULL && work->comm->backend->join != NULL; // its wait does not block
  if (work != NULL && !work->done && !joined)
    titan_comm_progress();
  *done = work == NULL || work->done || joined;
  return TITAN_OK;
}

static titan_status recycle(titan_work *work, titan_status status) {
  work->next = work->comm->idle_works;
  work->comm->idle_works = work;
  return status;
}

// Of a group on a device's memory. The host knows no other end of the operation than that nothing is left to do for it.
static titan_status join(titan_work *work) {
  titan_status status = work->comm->backend->join(work);
  titan_recorder_end(work->record, status != TITAN_OK);
  if (work->release != NULL)
    work->release(work);
  work->comm->in_flight--;
  return recycle(work, status);
}

titan_status titan_work_wait(titan_work **handle) {
  titan_work *work = *handle;
  if (work == NULL)
    return TITAN_OK;
  *handle = NULL;
  if (work->comm->backend->join != NULL)
    return join(work);
  if (!work->done) {
    double begun = titan_clock_seconds();
    titan_recorder_wait(work->comm, &work->operation, work->record, begun);
    while (!work->done) {
      titan_comm_progress();
      if (!work->done)
        titan_comm_pause(work->comm);
    }
    double ended = titan_clock_seconds();
    titan_recorder_waited(ended);
    titan_comm_count_exposed(work->comm, &work->operation, false, begun, ended);
  }
  titan_status status = work->status;
  if (status != TITAN_OK)
    titan_error(status, "%s", work->message);
  return recycle(work, status);
}
