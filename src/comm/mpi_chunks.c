// SPDX-License-Identifier: Apache-2.0
// Chunks over MPI: one message a chunk, straight from the rank that has it to the one that wants it.
#include "comm/mpi.h"
#include "comm/mpi_datatype.h"
#include "comm/mpi_error.h"
#include "comm/reduce.h"

#include <limits.h>

typedef struct chunk_state {
  titan_mpi_scratch *scratch;
  int sends;               // begun
  MPI_Request *requests;   // receives in ring order, then sends; size - 1 of each
  const void **sources;    // of a reduction
  titan_mpi_message chunk; // for sends to come
} chunk_state;

static size_t chunk_bytes(const titan_work *work) {
  return work->operation.count * titan_dtype_bytes(work->operation.dtype);
}

static int receives(const titan_work *work) {
  return work->comm->size - 1;
}

size_t titan_mpi_chunk_bytes(const titan_comm *comm) {
  return sizeof(chunk_state) + (size_t)comm->size * (2 * sizeof(MPI_Request) + sizeof(void *));
}

static titan_status create_state(titan_work *work, chunk_state **out) {
  size_t size = (size_t)work->comm->size;
  titan_mpi_scratch *scratch = NULL;
  TITAN_TRY(titan_mpi_scratch_take(work->comm, titan_mpi_chunk_bytes(work->comm), &scratch));
  chunk_state *state = (chunk_state *)(void *)scratch->memory;
  *state = (chunk_state){.scratch = scratch};
  state->requests = (MPI_Request *)(void *)(state + 1);
  state->sources = (const void **)(void *)(state->requests + 2 * size);
  for (size_t i = 0; i < 2 * size; i++)
    state->requests[i] = MPI_REQUEST_NULL;
  work->state.pointer = state;
  titan_status status = titan_mpi_message_create(chunk_bytes(work), size, INT_MAX, &state->chunk);
  if (status != TITAN_OK)
    titan_mpi_scratch_give_back(work->comm, scratch);
  else
    *out = state;
  return status;
}

static void release(titan_work *work) {
  chunk_state *state = work->state.pointer;
  titan_mpi_message_destroy(&state->chunk);
  titan_mpi_scratch_give_back(work->comm, state->scratch);
}

static titan_status receive(titan_work *work, chunk_state *state, int index, int from, void *to) {
  return TITAN_MPI(MPI_Irecv(to, state->chunk.count, state->chunk.type, from, titan_mpi_internal_tag(work, 0),
                             work->comm->mpi, &state->requests[index]));
}

static titan_status send(titan_work *work, chunk_state *state, int to, const void *from) {
  return TITAN_MPI(MPI_Isend(from, state->chunk.count, state->chunk.type, to, titan_mpi_internal_tag(work, 0),
                             work->comm->mpi, &state->requests[receives(work) + state->sends++]));
}

static titan_status sends_done(const titan_work *work, chunk_state *state, bool *done) {
  int flag = 0;
  TITAN_TRY_MPI(MPI_Testall(state->sends, state->requests + receives(work), &flag, MPI_STATUSES_IGNORE));
  *done = flag;
  return TITAN_OK;
}

// --- gathering ---

static titan_status gather_advance(titan_work *work, bool *done) {
  chunk_state *state = work->state.pointer;
  int flag = 1;
  while (work->cursor < work->comm->size && flag) {
    TITAN_TRY_MPI(MPI_Test(&state->requests[work->cursor - 1], &flag, MPI_STATUS_IGNORE));
    work->cursor += flag;
  }
  return work->cursor == work->comm->size ? sends_done(work, state, done) : TITAN_OK;
}

titan_status titan_mpi_gather_chunks_start(titan_work *work) {
  const titan_comm *comm = work->comm;
  chunk_state *state = NULL;
  TITAN_TRY(create_state(work, &state));
  work->advance = gather_advance;
  work->release = release;
  work->cursor = 1; // its own
  for (int step = 1; step < comm->size; step++) {
    int from = (comm->rank + step) % comm->size;
    TITAN_TRY(receive(work, state, step - 1, from, (char *)work->operation.recv + (size_t)from * chunk_bytes(work)));
  }
  for (int step = 1; step < comm->size; step++)
    TITAN_TRY(send(work, state, (comm->rank + comm->size - step) % comm->size, work->operation.send));
  return TITAN_OK;
}

// --- reducing: the caller's buffer has the chunks to give, then those that were received ---

static char *received(const titan_work *work, int rank) {
  return (char *)(uintptr_t)work->operation.send + (size_t)(work->comm->size + rank) * chunk_bytes(work);
}

static titan_status reduce_advance(titan_work *work, bool *done) {
  chunk_state *state = work->state.pointer;
  const titan_operation *operation = &work->operation;
  int flag = 0, size = work->comm->size, own = work->comm->rank;
  TITAN_TRY_MPI(MPI_Testall(receives(work), state->requests, &flag, MPI_STATUSES_IGNORE));
  if (!flag || work->cursor < size)
    return TITAN_OK;
  TITAN_TRY(sends_done(work, state, done));
  if (!*done)
    return TITAN_OK;
  for (int rank = 0; rank < size; rank++)
    state->sources[rank] = received(work, rank);
  state->sources[own] = (const char *)operation->send + (size_t)own * chunk_bytes(work);
  return titan_reduce(operation->dtype, operation->reduction, state->sources, size, operation->recv, operation->count);
}

titan_status titan_mpi_reduce_chunks_start(titan_work *work) {
  const titan_comm *comm = work->comm;
  chunk_state *state = NULL;
  TITAN_TRY(create_state(work, &state));
  work->advance = reduce_advance;
  work->release = release;
  for (int step = 1; step < comm->size; step++) {
    int from = (comm->rank + comm->size - step) % comm->size;
    TITAN_TRY(receive(work, state, step - 1, from, received(work, from)));
  }
  return TITAN_OK;
}

titan_status titan_mpi_give_chunk(titan_work *work, int rank) {
  return send(work, work->state.pointer, rank, (const char *)work->operation.send + (size_t)rank * chunk_bytes(work));
}
