// SPDX-License-Identifier: Apache-2.0
#include "comm/staging.h"

#include "base/memory.h"
#include "comm/reduce.h"

#include <stdatomic.h>

// Copies of at least so many bytes are divided among the threads.
enum { PARALLEL_BYTES = 1 << 20, COPY_BLOCK = 256 << 10 };

typedef struct header {
  _Alignas(TITAN_MEMORY_ALIGNMENT) _Atomic uint64_t arrived;
} header;

static header *header_of(const titan_staging *staging, int rank) {
  return titan_shared_part(staging->shared, rank);
}

static size_t aligned(size_t bytes) {
  return titan_round_up(bytes, TITAN_MEMORY_ALIGNMENT);
}

// --- creation ---

static size_t part_bytes(size_t bytes) {
  return sizeof(header) + 2 * aligned(bytes);
}

size_t titan_comm_stage_bytes(const titan_comm *comm, size_t bytes) {
  return comm->size == 1 ? 0
                         : sizeof(titan_staging) + (size_t)comm->size * sizeof(void *) +
                               titan_shared_handle_bytes(comm) + part_bytes(bytes);
}

bool titan_comm_stages_all_reduce(size_t bytes) {
  return bytes <= TITAN_STAGING_ALL_REDUCE_BYTES;
}

static titan_status create(titan_comm *comm, size_t bytes) {
  titan_staging *staging = NULL;
  titan_status status = titan_memory_allocate_zeroed(TITAN_MEMORY_COMMUNICATION, 1, sizeof *staging, &staging);
  if (status == TITAN_OK)
    status = titan_memory_allocate(TITAN_MEMORY_COMMUNICATION, (size_t)comm->size * sizeof(void *), &staging->sources);
  status = titan_comm_agree(comm, status);
  if (status == TITAN_OK)
    status = titan_shared_create(comm, part_bytes(bytes), TITAN_MEMORY_COMMUNICATION, &staging->shared);
  if (status != TITAN_OK) {
    if (staging != NULL)
      titan_memory_free(staging->sources);
    titan_memory_free(staging);
    return status;
  }
  staging->comm = comm;
  staging->slot_bytes = aligned(bytes);
  comm->staging = staging;
  return TITAN_OK;
}

titan_status titan_comm_stage(titan_comm *comm, size_t bytes) {
  if (comm->size > 1 && comm->staging == NULL)
    TITAN_TRY(create(comm, bytes));
  if (comm->staging != NULL)
    comm->staging->users++;
  return TITAN_OK;
}

void titan_comm_unstage(titan_comm *comm) {
  titan_staging *staging = comm->staging;
  if (staging == NULL || --staging->users > 0)
    return;
  comm->staging = NULL;
  titan_shared_destroy(&staging->shared);
  titan_memory_free(staging->sources);
  titan_memory_free(staging);
}

bool titan_comm_is_staged(const titan_comm *comm) {
  return comm->staging != NULL;
}

bool titan_staging_takes(const titan_comm *comm, size_t bytes) {
  return comm->staging != NULL && bytes <= comm->staging->slot_bytes;
}

// --- slots ---

char *titan_staging_slot(const titan_staging *staging, int rank, uint64_t ticket) {
  return (char *)titan_shared_part(staging->shared, rank) + sizeof(header) + ticket % 2 * staging->slot_bytes;
}

uint64_t titan_staging_next(titan_staging *staging) {
  return ++staging->ticket;
}

titan_status titan_staging_arrive(titan_staging *staging, uint64_t ticket) {
  titan_shared_fence();
  atomic_store_explicit(&header_of(staging, staging->comm->rank)->arrived, ticket, memory_order_release);
  return TITAN_OK;
}

bool titan_staging_has_arrived(const titan_staging *staging, int rank, uint64_t ticket) {
  return atomic_load_explicit(&header_of(staging, rank)->arrived, memory_order_acquire) >= ticket;
}

titan_status titan_staging_see(const titan_staging *staging) {
  (void)staging;
  titan_shared_fence();
  return TITAN_OK;
}

titan_status titan_staging_reduce(titan_staging *staging, const titan_work *work, uint64_t ticket, int slice) {
  const titan_operation *operation = &work->operation;
  size_t offset = (size_t)slice * operation->count * titan_dtype_bytes(operation->dtype);
  for (int p = 0; p < staging->comm->size; p++)
    staging->sources[p] = titan_staging_slot(staging, p, ticket) + offset;
  return titan_reduce(operation->dtype, operation->reduction, staging->sources, staging->comm->size, operation->recv,
                      operation->count);
}

void titan_staging_copy(void *to, const void *from, size_t bytes) {
  if (bytes < PARALLEL_BYTES) {
    memcpy(to, from, bytes);
    return;
  }
#pragma omp parallel for schedule(static)
  for (size_t first = 0; first < bytes; first += COPY_BLOCK)
    memcpy((char *)to + first, (const char *)from + first, bytes - first < COPY_BLOCK ? bytes - first : COPY_BLOCK);
}

static size_t operation_bytes(const titan_work *work) {
  return work->operation.count * titan_dtype_bytes(work->operation.dtype);
}

// work->cursor: ranks seen to arrive, counted from this one on.
static int next_rank(const titan_work *work) {
  return (work->comm->rank + work->cursor) % work->comm->size;
}

// Whether all have arrived; their slots may then be read.
static titan_status all_arrived(titan_work *work, bool *ready) {
  titan_staging *staging = work->comm->staging;
  while (work->cursor < work->comm->size && titan_staging_has_arrived(staging, next_rank(work), work->state.number))
    work->cursor++;
  *ready = work->cursor == work->comm->size;
  return *ready ? titan_staging_see(staging) : TITAN_OK;
}

// --- operations ---

// Each rank's part is copied as soon as it is there.
static titan_status all_gather_advance(titan_work *work, bool *done) {
  titan_staging *staging = work->comm->staging;
  const titan_operation *operation = &work->operation;
  size_t bytes = operation_bytes(work);
  for (; work->cursor < work->comm->size; work->cursor++) {
    int rank = next_rank(work);
    char *to = (char *)operation->recv + (size_t)rank * bytes;
    if (rank == work->comm->rank) {
      if (to != operation->send)
        titan_staging_copy(to, operation->send, bytes);
      continue;
    }
    if (!titan_staging_has_arrived(staging, rank, work->state.number))
      return TITAN_OK;
    TITAN_TRY(titan_staging_see(staging));
    titan_staging_copy(to, titan_staging_slot(staging, rank, work->state.number), bytes);
  }
  *done = true;
  return TITAN_OK;
}

titan_status titan_staging_all_gather_start(titan_work *work) {
  titan_staging *staging = work->comm->staging;
  work->advance = all_gather_advance;
  work->state.number = titan_staging_next(staging);
  titan_staging_copy(titan_staging_slot(staging, work->comm->rank, work->state.number), work->operation.send,
                     operation_bytes(work));
  return titan_staging_arrive(staging, work->state.number);
}

static titan_status reduce_scatter_advance(titan_work *work, bool *done) {
  bool ready = false;
  TITAN_TRY(all_arrived(work, &ready));
  if (!ready)
    return TITAN_OK;
  *done = true;
  return titan_staging_reduce(work->comm->staging, work, work->state.number, work->comm->rank);
}

titan_status titan_staging_reduce_scatter_start(titan_work *work) {
  titan_staging *staging = work->comm->staging;
  work->advance = reduce_scatter_advance;
  work->state.number = titan_staging_next(staging);
  titan_staging_copy(titan_staging_slot(staging, work->comm->rank, work->state.number), work->operation.send,
                     operation_bytes(work) * (size_t)work->comm->size);
  return titan_staging_arrive(staging, work->state.number);
}

static titan_status all_reduce_advance(titan_work *work, bool *done) {
  bool ready = false;
  TITAN_TRY(all_arrived(work, &ready));
  if (!ready)
    return TITAN_OK;
  *done = true;
  return titan_staging_reduce(work->comm->staging, work, work->state.number, 0);
}

titan_status titan_staging_all_reduce_start(titan_work *work) {
  titan_staging *staging = work->comm->staging;
  work->advance = all_reduce_advance;
  work->state.number = titan_staging_next(staging);
  titan_staging_copy(titan_staging_slot(staging, work->comm->rank, work->state.number), work->operation.send,
                     operation_bytes(work));
  return titan_staging_arrive(staging, work->state.number);
}
