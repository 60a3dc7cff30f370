// SPDX-License-Identifier: Apache-2.0
// A small all_reduce: up a tree of ranks and down again. At width w = 1, 8, 64, .. the ranks that are a multiple of 8 w
// receive from the seven after them at distances w, 2 w, ..; each reduces what it got and goes on with the next width,
// or sends it to the rank below. So messages and memory of a rank do not grow with the ranks, but for a level or two,
// and up to eight ranks are one level.
#include "base/memory.h"
#include "comm/mpi.h"
#include "comm/mpi_error.h"
#include "comm/reduce.h"

// 8 to the power LEVELS is more than the ranks that MPI can count.
enum { RADIX = 8, LEVELS = 11, REQUESTS = (RADIX - 1) * LEVELS };
// Over the ranks of a level.
enum { SMALL_BYTES = 64 << 10 };

enum { PHASE_UP, PHASE_ANSWER, PHASE_DOWN };

typedef struct small_state {
  titan_mpi_scratch *scratch;
  int width, request_count;
  size_t bytes, stride; // of a partial result, in the type of sums; of its slot
  char *slots;          // this rank's partial result, and those that came; the second slot has the answer
  MPI_Request requests[REQUESTS];
} small_state;

static size_t bytes_of(size_t count, titan_dtype dtype) {
  return count * titan_dtype_bytes(titan_reduce_sum_type(dtype));
}

static size_t slots_of(const titan_comm *comm) {
  return comm->size < RADIX ? (size_t)comm->size : RADIX;
}

static size_t aligned(size_t bytes) {
  return titan_round_up(bytes, TITAN_MEMORY_ALIGNMENT);
}

bool titan_mpi_is_small(const titan_comm *comm, size_t count, titan_dtype dtype) {
  return count * titan_dtype_bytes(dtype) <= SMALL_BYTES / slots_of(comm);
}

size_t titan_mpi_small_bytes(const titan_comm *comm, size_t count, titan_dtype dtype) {
  size_t most = SMALL_BYTES / slots_of(comm) / titan_dtype_bytes(dtype);
  count = count < most ? count : most;
  return aligned(sizeof(small_state)) + slots_of(comm) * aligned(bytes_of(count, dtype));
}

static char *slot(const small_state *state, int index) {
  return state->slots + (size_t)index * state->stride;
}

static titan_status receive(titan_work *work, small_state *state, int from, void *to) {
  return TITAN_MPI(MPI_Irecv(to, (int)state->bytes, MPI_BYTE, from, titan_mpi_internal_tag(work, 0), work->comm->mpi,
                             &state->requests[state->request_count++]));
}

static titan_status send(titan_work *work, small_state *state, int to, const void *from) {
  return TITAN_MPI(MPI_Isend(from, (int)state->bytes, MPI_BYTE, to, titan_mpi_internal_tag(work, 0), work->comm->mpi,
                             &state->requests[state->request_count++]));
}

// Ranks that send to this one at a width.
static int senders(const titan_comm *comm, int width) {
  int count = 0;
  while (count + 1 < RADIX && (int64_t)comm->rank + (int64_t)(count + 1) * width < comm->size)
    count++;
  return count;
}

static titan_status answer(titan_work *work, small_state *state, const char *result) {
  const titan_operation *operation = &work->operation;
  work->phase = PHASE_DOWN;
  titan_reduce_narrow(operation->dtype, operation->recv, result, operation->count);
  for (int width = 1; width < state->width; width *= RADIX)
    for (int i = 1; i <= senders(work->comm, width); i++)
      TITAN_TRY(send(work, state, work->comm->rank + i * width, result));
  return TITAN_OK;
}

// The next width at which this rank receives, or its message to the rank below, or the answer.
static titan_status go_up(titan_work *work, small_state *state) {
  const titan_comm *comm = work->comm;
  if (state->width >= comm->size)
    return answer(work, state, slot(state, 0));
  if (comm->rank / state->width % RADIX != 0) {
    int below = comm->rank - comm->rank / state->width % RADIX * state->width;
    work->phase = PHASE_ANSWER;
    TITAN_TRY(receive(work, state, below, slot(state, 1)));
    return send(work, state, below, slot(state, 0));
  }
  work->phase = PHASE_UP;
  for (int i = 1; i <= senders(comm, state->width); i++)
    TITAN_TRY(receive(work, state, comm->rank + i * state->width, slot(state, i)));
  return TITAN_OK;
}

static titan_status reduce_level(titan_work *work, small_state *state) {
  const titan_operation *operation = &work->operation;
  const void *sources[RADIX];
  int count = 1 + senders(work->comm, state->width);
  for (int i = 0; i < count; i++)
    sources[i] = slot(state, i);
  state->width *= RADIX;
  return titan_reduce(titan_reduce_sum_type(operation->dtype), operation->reduction, sources, count, slot(state, 0),
                      operation->count);
}

static titan_status advance(titan_work *work, bool *done) {
  small_state *state = work->state.pointer;
  for (;;) {
    int flag = 0;
    TITAN_TRY_MPI(MPI_Testall(state->request_count, state->requests, &flag, MPI_STATUSES_IGNORE));
    if (!flag)
      return TITAN_OK;
    state->request_count = 0;
    if (work->phase == PHASE_DOWN) {
      *done = true;
      return TITAN_OK;
    }
    if (work->phase == PHASE_ANSWER) {
      TITAN_TRY(answer(work, state, slot(state, 1)));
      continue;
    }
    TITAN_TRY(reduce_level(work, state));
    TITAN_TRY(go_up(work, state));
  }
}

static void release(titan_work *work) {
  small_state *state = work->state.pointer;
  titan_mpi_scratch_give_back(work->comm, state->scratch);
}

titan_status titan_mpi_small_start(titan_work *work) {
  const titan_operation *operation = &work->operation;
  titan_mpi_scratch *scratch = NULL;
  size_t bytes = titan_mpi_small_bytes(work->comm, operation->count, operation->dtype);
  TITAN_TRY(titan_mpi_scratch_take(work->comm, bytes, &scratch));
  small_state *state = (small_state *)(void *)scratch->memory;
  state->scratch = scratch;
  state->width = 1;
  state->request_count = 0;
  state->bytes = bytes_of(operation->count, operation->dtype);
  state->stride = aligned(state->bytes);
  state->slots = (char *)scratch->memory + aligned(sizeof *state);
  work->state.pointer = state;
  work->advance = advance;
  work->release = release;
  titan_reduce_widen(operation->dtype, slot(state, 0), operation->send, operation->count); // send may be recv
  return go_up(work, state);
}
