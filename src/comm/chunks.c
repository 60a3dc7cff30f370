// SPDX-License-Identifier: Apache-2.0
#include "comm/chunks.h"

#include "base/clock.h"
#include "comm/staging.h"

// work->phase: how it goes. work->cursor: chunks that are there, in ring order; or that were given.
enum { BY_MESSAGES, STAGED };

// --- in memory that the group shares ---

static titan_status staged_gather_advance(titan_work *work, bool *done) {
  titan_staging *staging = work->comm->staging;
  for (; work->cursor < work->comm->size; work->cursor++) {
    if (!titan_staging_has_arrived(staging, titan_chunk_gathered(work->comm, work->cursor), work->state.number))
      return TITAN_OK;
    TITAN_TRY(titan_staging_see(staging));
  }
  *done = true;
  return TITAN_OK;
}

static titan_status staged_gather_start(titan_work *work) {
  titan_staging *staging = work->comm->staging;
  const titan_operation *operation = &work->operation;
  work->phase = STAGED;
  work->advance = staged_gather_advance;
  work->state.number = titan_staging_next(staging);
  titan_staging_copy(titan_staging_slot(staging, work->comm->rank, work->state.number), operation->send,
                     operation->count * titan_dtype_bytes(operation->dtype));
  return titan_staging_arrive(staging, work->state.number);
}

// The sum is taken when this rank has given all of its chunks and the others have arrived.
static titan_status staged_reduce_advance(titan_work *work, bool *done) {
  titan_staging *staging = work->comm->staging;
  if (work->cursor < work->comm->size)
    return TITAN_OK;
  for (int rank = 0; rank < work->comm->size; rank++)
    if (!titan_staging_has_arrived(staging, rank, work->state.number))
      return TITAN_OK;
  TITAN_TRY(titan_staging_see(staging));
  *done = true;
  return titan_staging_reduce(staging, work, work->state.number, work->comm->rank);
}

static titan_status staged_reduce_start(titan_work *work) {
  work->phase = STAGED;
  work->advance = staged_reduce_advance;
  work->state.number = titan_staging_next(work->comm->staging);
  return TITAN_OK;
}

// --- either way ---

bool titan_chunks_can_gather(const titan_comm *comm) {
  return comm->size > 1 && comm->backend->gather_chunks != NULL;
}

bool titan_chunks_can_reduce(const titan_comm *comm) {
  return comm->size > 1 && comm->backend->reduce_chunks != NULL;
}

size_t titan_chunks_bytes(const titan_comm *comm) {
  return comm->backend->buffer_bytes != NULL
             ? comm->backend->buffer_bytes(comm, TITAN_OPERATION_ALL_GATHER, 1, TITAN_BYTE)
             : 0;
}

titan_status titan_chunks_gather(titan_comm *comm, const void *send, void *recv, size_t count, titan_dtype dtype,
                                 titan_work **work) {
  titan_operation operation = {
      .kind = TITAN_OPERATION_ALL_GATHER, .send = send, .recv = recv, .count = count, .dtype = dtype};
  bool staged = titan_staging_takes(comm, count * titan_dtype_bytes(dtype));
  if (comm->size == 1 || (!staged && comm->backend->gather_chunks == NULL))
    return titan_error(TITAN_ERROR_INTERNAL, "group %s gathers no chunks", comm->name);
  return titan_comm_begin(comm, &operation, staged ? staged_gather_start : comm->backend->gather_chunks, work);
}

titan_status titan_chunks_reduce(titan_comm *comm, void *buffer, void *recv, size_t count, titan_dtype dtype,
                                 titan_work **work) {
  titan_operation operation = {
      .kind = TITAN_OPERATION_REDUCE_SCATTER, .send = buffer, .recv = recv, .count = count, .dtype = dtype};
  bool staged = titan_staging_takes(comm, count * titan_dtype_bytes(dtype) * (size_t)comm->size);
  if (comm->size == 1 || (!staged && comm->backend->reduce_chunks == NULL))
    return titan_error(TITAN_ERROR_INTERNAL, "group %s reduces no chunks", comm->name);
  return titan_comm_begin(comm, &operation, staged ? staged_reduce_start : comm->backend->reduce_chunks, work);
}

titan_status titan_chunks_take(titan_work *work, int rank, const void **chunk) {
  titan_comm *comm = work->comm;
  const titan_operation *operation = &work->operation;
  int index = (rank - comm->rank + comm->size) % comm->size;
  size_t bytes = operation->count * titan_dtype_bytes(operation->dtype);
  *chunk = rank == comm->rank      ? operation->send
           : work->phase == STAGED ? titan_staging_slot(comm->staging, rank, work->state.number)
                                   : (char *)operation->recv + (size_t)rank * bytes;
  if (rank == comm->rank || work->cursor > index)
    return TITAN_OK;
  if (comm->backend->join_chunk != NULL)
    return comm->backend->join_chunk(work, index);
  double begun = titan_clock_seconds();
  while (!work->done && work->cursor <= index) {
    titan_comm_progress();
    if (!work->done && work->cursor <= index)
      titan_comm_pause(comm);
  }
  titan_comm_count_exposed(comm, operation, false, begun, titan_clock_seconds());
  return work->status == TITAN_OK ? TITAN_OK : titan_error(work->status, "%s", work->message);
}

void *titan_chunks_place(titan_work *work, int rank) {
  const titan_operation *operation = &work->operation;
  size_t offset = (size_t)rank * operation->count * titan_dtype_bytes(operation->dtype);
  if (work->phase == STAGED)
    return titan_staging_slot(work->comm->staging, work->comm->rank, work->state.number) + offset;
  if (work->comm->backend->place_chunk != NULL)
    return work->comm->backend->place_chunk(work, rank);
  return (char *)(uintptr_t)operation->send + offset; // the caller's own buffer
}

titan_status titan_chunks_give(titan_work *work, int rank) {
  titan_comm *comm = work->comm;
  work->cursor++;
  if (rank == comm->rank || work->done)
    return TITAN_OK;
  double begun = titan_clock_seconds();
  titan_status status = TITAN_OK;
  if (work->phase != STAGED)
    status = comm->backend->give_chunk(work, rank);
  else if (work->cursor == comm->size - 1)
    // The others' chunks are complete: they may come for them while this rank computes its own.
    status = titan_staging_arrive(comm->staging, work->state.number);
  titan_comm_count_exposed(comm, &work->operation, true, begun, titan_clock_seconds());
  return status;
}

void titan_chunks_poll(titan_comm *comm) {
  double begun = titan_clock_seconds();
  titan_comm_progress();
  titan_comm_count_exposed(comm, NULL, false, begun, titan_clock_seconds());
}
