// SPDX-License-Identifier: Apache-2.0
// Memory shared by the ranks of one node: one block (segment.h). Before the parts lies one cache line per rank with two
// counters, by which ranks wait for each other without messages: each operation on the block takes the next ticket; a
// rank that starts operation t stores arrived = t, and one that has taken what it needs from the others' parts stores
// departed = t. Operations complete in the order of their tickets.
#include "base/memory.h"
#include "comm/backend.h"
#include "comm/reduce.h"
#include "comm/segment.h"

#include <stdatomic.h>

typedef struct counters {
  _Alignas(TITAN_MEMORY_ALIGNMENT) _Atomic uint64_t arrived;
  _Atomic uint64_t departed;
} counters;

_Static_assert(sizeof(counters) == TITAN_MEMORY_ALIGNMENT, "one cache line a rank");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "counters work between processes");

struct titan_shared {
  titan_comm *comm; // borrowed
  counters *lines;  // one per rank; the beginning of the block, NULL for a group of one rank
  char *parts;
  size_t bytes_per_rank;
  titan_memory_tag tag;
  uint64_t ticket;    // of the newest operation
  uint64_t completed; // tickets up to this have departed here
  const void **sources;
};

enum { PAGE = 4096 };

static size_t header_bytes(int size) {
  return titan_round_up((size_t)size * sizeof(counters), PAGE);
}

static size_t block_bytes(const titan_shared *shared) {
  return header_bytes(shared->comm->size) + shared->bytes_per_rank * (size_t)shared->comm->size;
}

// Each rank takes the pages of its own part, the first one those of the counters too.
static titan_status allocate_block(titan_shared *shared) {
  titan_comm *comm = shared->comm;
  size_t header = header_bytes(comm->size), first = header + (size_t)comm->rank * shared->bytes_per_rank;
  size_t count = shared->bytes_per_rank;
  if (comm->rank == 0)
    count += first, first = 0;
  char *base = NULL;
  TITAN_TRY(titan_segment_create(comm, block_bytes(shared), first, count, &base));
  shared->lines = (counters *)(void *)base;
  shared->parts = base + header;
  titan_memory_account(shared->tag, shared->bytes_per_rank);
  return TITAN_OK;
}

// A group of one rank shares with nobody.
static titan_status allocate_alone(titan_shared *shared) {
  return titan_memory_allocate_zeroed(shared->tag, shared->bytes_per_rank, 1, &shared->parts);
}

static titan_status prepare(titan_comm *comm, size_t bytes_per_rank, titan_memory_tag tag, titan_shared **out) {
  titan_shared *shared = NULL;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_COMMUNICATION, 1, sizeof *shared, &shared));
  *shared = (titan_shared){.comm = comm, .bytes_per_rank = bytes_per_rank, .tag = tag};
  *out = shared;
  return titan_memory_allocate(TITAN_MEMORY_COMMUNICATION, (size_t)comm->size * sizeof(void *), &shared->sources);
}

titan_status titan_shared_create(titan_comm *comm, size_t bytes_per_rank, titan_memory_tag tag, titan_shared **out) {
  *out = NULL;
  if (comm->nodes.count > 1)
    return titan_error(TITAN_ERROR_INTERNAL, "the ranks of group %s are on several nodes and share no memory",
                       comm->name);
  if (bytes_per_rank % TITAN_MEMORY_ALIGNMENT != 0)
    return titan_error(TITAN_ERROR_INTERNAL, "shared parts of %zu bytes are not a multiple of %d", bytes_per_rank,
                       TITAN_MEMORY_ALIGNMENT);
  titan_shared *shared = NULL;
  titan_status status = TITAN_OK;
  TITAN_TRY_CLEANUP(titan_comm_agree(comm, prepare(comm, bytes_per_rank, tag, &shared)));
  TITAN_TRY_CLEANUP(comm->size == 1 ? allocate_alone(shared) : allocate_block(shared));
  *out = shared;
  return TITAN_OK;
cleanup:
  if (shared != NULL) {
    titan_memory_free(shared->sources);
    titan_memory_free(shared);
  }
  return status;
}

size_t titan_shared_handle_bytes(const titan_comm *comm) {
  return sizeof(titan_shared) + (size_t)comm->size * sizeof(void *);
}

void titan_shared_destroy(titan_shared **handle) {
  titan_shared *shared = *handle;
  if (shared == NULL)
    return;
  *handle = NULL;
  if (shared->comm->size == 1) {
    titan_memory_free(shared->parts);
  } else {
    titan_memory_unaccount(shared->tag, shared->bytes_per_rank);
    titan_segment_destroy((char *)shared->lines, block_bytes(shared));
  }
  titan_memory_free(shared->sources);
  titan_memory_free(shared);
}

void *titan_shared_part(const titan_shared *shared, int rank) {
  return shared->parts + (size_t)rank * shared->bytes_per_rank;
}

void titan_shared_fence(void) {
  atomic_thread_fence(memory_order_seq_cst);
}

// --- operations ---

enum { PHASE_ARRIVE, PHASE_DEPART };

// work->cursor: the ranks below it have been seen to arrive, or depart.
static bool all_arrived(titan_work *work, const titan_shared *shared, uint64_t ticket) {
  for (; work->cursor < shared->comm->size; work->cursor++)
    if (atomic_load_explicit(&shared->lines[work->cursor].arrived, memory_order_acquire) < ticket)
      return false;
  return true;
}

static bool all_departed(titan_work *work, const titan_shared *shared, uint64_t ticket) {
  for (; work->cursor < shared->comm->size; work->cursor++)
    if (atomic_load_explicit(&shared->lines[work->cursor].departed, memory_order_acquire) < ticket)
      return false;
  return true;
}

static void arrive(titan_work *work) {
  titan_shared *shared = work->operation.shared;
  titan_shared_fence();
  work->state.number = ++shared->ticket;
  atomic_store_explicit(&shared->lines[shared->comm->rank].arrived, work->state.number, memory_order_release);
}

static void depart(titan_work *work) {
  titan_shared *shared = work->operation.shared;
  shared->completed = work->state.number;
  atomic_store_explicit(&shared->lines[shared->comm->rank].departed, work->state.number, memory_order_release);
}

// Whether every rank has started this operation, and this rank is through with those before it.
static bool is_ready(titan_work *work) {
  titan_shared *shared = work->operation.shared;
  bool ready = shared->completed == work->state.number - 1 && all_arrived(work, shared, work->state.number);
  if (ready)
    titan_shared_fence();
  return ready;
}

static titan_status synchronize_advance(titan_work *work, bool *done) {
  *done = is_ready(work);
  if (*done)
    depart(work);
  return TITAN_OK;
}

static titan_status synchronize_start(titan_work *work) {
  work->advance = synchronize_advance;
  arrive(work);
  return TITAN_OK;
}

titan_status titan_shared_synchronize(titan_shared *shared, titan_work **work) {
  titan_operation operation = {.kind = TITAN_OPERATION_SHARED_SYNCHRONIZE, .shared = shared};
  return titan_comm_begin(shared->comm, &operation, synchronize_start, work);
}

static titan_status reduce_own_slice(const titan_work *work) {
  const titan_operation *operation = &work->operation;
  const titan_shared *shared = operation->shared;
  size_t slice = operation->count * titan_dtype_bytes(operation->dtype);
  for (int p = 0; p < shared->comm->size; p++)
    shared->sources[p] = (char *)titan_shared_part(shared, p) + operation->offset + (size_t)shared->comm->rank * slice;
  return titan_reduce(operation->dtype, operation->reduction, shared->sources, shared->comm->size, operation->recv,
                      operation->count);
}

static titan_status shared_reduce_scatter_advance(titan_work *work, bool *done) {
  if (work->phase == PHASE_ARRIVE) {
    if (!is_ready(work))
      return TITAN_OK;
    TITAN_TRY(reduce_own_slice(work));
    depart(work);
    work->phase = PHASE_DEPART;
    work->cursor = 0;
  }
  *done = all_departed(work, work->operation.shared, work->state.number);
  return TITAN_OK;
}

static titan_status shared_reduce_scatter_start(titan_work *work) {
  work->advance = shared_reduce_scatter_advance;
  arrive(work);
  return TITAN_OK;
}

titan_status titan_shared_reduce_scatter(titan_shared *shared, size_t offset, void *recv, size_t count,
                                         titan_dtype dtype, titan_reduction reduction, titan_work **work) {
  size_t bytes = count * titan_dtype_bytes(dtype) * (size_t)shared->comm->size;
  if (offset > shared->bytes_per_rank || bytes > shared->bytes_per_rank - offset)
    return titan_error(TITAN_ERROR_INTERNAL, "%zu bytes at %zu are not in shared parts of %zu bytes", bytes, offset,
                       shared->bytes_per_rank);
  titan_operation operation = {.kind = TITAN_OPERATION_SHARED_REDUCE_SCATTER,
                               .recv = recv,
                               .count = count,
                               .dtype = dtype,
                               .reduction = reduction,
                               .shared = shared,
                               .offset = offset};
  return titan_comm_begin(shared->comm, &operation, shared_reduce_scatter_start, work);
}
