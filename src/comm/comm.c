// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"
#include "comm/backend.h"
#include "comm/levels.h"
#include "comm/mpi_error.h"
#include "comm/nodes.h"
#include "comm/recorder_private.h"
#include "comm/staging.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>

// --- creation ---

static titan_status find_nodes(titan_comm *comm) {
  titan_node_place *places;
  TITAN_TRY(titan_nodes_places(comm->mpi, comm->size, &places));
  comm->nodes = titan_nodes_count(places, comm->size, comm->rank);
  titan_memory_free(places);
  return TITAN_OK;
}

// Not collective.
static titan_status find_leader(titan_comm *comm) {
  MPI_Group group, world;
  int first = 0;
  TITAN_TRY_MPI(MPI_Comm_group(comm->mpi, &group));
  TITAN_TRY_MPI(MPI_Comm_group(MPI_COMM_WORLD, &world));
  TITAN_TRY_MPI(MPI_Group_translate_ranks(group, 1, &first, world, &comm->leader));
  TITAN_TRY_MPI(MPI_Group_free(&group));
  return TITAN_MPI(MPI_Group_free(&world));
}

static bool backend_is_complete(const titan_comm_backend *backend) {
  return backend->name && backend->all_gather && backend->reduce_scatter && backend->all_reduce && backend->broadcast &&
         backend->all_to_all && backend->send && backend->recv && backend->barrier;
}

titan_status titan_comm_create(const titan_comm_backend *backend, MPI_Comm mpi, const char *name, titan_comm **out) {
  *out = NULL;
  titan_comm *comm = NULL;
  titan_status status = TITAN_OK;
  if (!backend_is_complete(backend)) {
    MPI_Comm_free(&mpi);
    return titan_error(TITAN_ERROR_INTERNAL, "a communication backend lacks an operation");
  }
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_COMMUNICATION, 1, sizeof *comm, &comm));
  comm->backend = backend;
  comm->mpi = mpi;
  TITAN_TRY_CLEANUP(titan_memory_duplicate(TITAN_MEMORY_COMMUNICATION, name, &comm->name));
  TITAN_TRY_CLEANUP(TITAN_MPI(MPI_Comm_set_errhandler(mpi, MPI_ERRORS_RETURN)));
  TITAN_TRY_CLEANUP(TITAN_MPI(MPI_Comm_rank(mpi, &comm->rank)));
  TITAN_TRY_CLEANUP(TITAN_MPI(MPI_Comm_size(mpi, &comm->size)));
  TITAN_TRY_CLEANUP(find_leader(comm));
  comm->nodes = (titan_comm_nodes){1, 1, 1, 1};
  if (comm->size > 1)
    TITAN_TRY_CLEANUP(find_nodes(comm));
  TITAN_TRY_CLEANUP(titan_comm_reserve(comm, titan_comm_reservation_least(comm)));
  *out = comm;
  return TITAN_OK;
cleanup:
  if (comm != NULL)
    titan_comm_destroy(&comm);
  else
    MPI_Comm_free(&mpi);
  return status;
}

titan_status titan_comm_create_over(const titan_comm_backend *backend, titan_comm *host, void *state,
                                    titan_comm **out) {
  *out = NULL;
  titan_comm *comm = NULL;
  titan_status status = titan_memory_allocate_zeroed(TITAN_MEMORY_COMMUNICATION, 1, sizeof *comm, &comm);
  if (status != TITAN_OK)
    return status;
  *comm = (titan_comm){.backend = backend,
                       .state = state,
                       .rank = host->rank,
                       .size = host->size,
                       .nodes = host->nodes,
                       .leader = host->leader,
                       .mpi = MPI_COMM_NULL};
  TITAN_TRY_CLEANUP(titan_memory_duplicate(TITAN_MEMORY_COMMUNICATION, host->name, &comm->name));
  TITAN_TRY_CLEANUP(titan_comm_reserve(comm, titan_comm_reservation_least(comm)));
  *out = comm;
  return TITAN_OK;
cleanup:
  titan_comm_destroy(&comm);
  return status;
}

void titan_comm_destroy(titan_comm **handle) {
  titan_comm *comm = *handle;
  if (comm == NULL)
    return;
  *handle = NULL;
  assert(comm->in_flight == 0);
  if (comm->backend->destroy != NULL)
    comm->backend->destroy(comm);
  while (comm->idle_works != NULL) {
    titan_work *work = comm->idle_works;
    comm->idle_works = work->next;
    titan_memory_free(work);
  }
  if (comm->mpi != MPI_COMM_NULL)
    MPI_Comm_free(&comm->mpi);
  titan_memory_free(comm->name);
  titan_memory_free(comm);
}

int titan_comm_rank(const titan_comm *comm) {
  return comm->rank;
}

int titan_comm_size(const titan_comm *comm) {
  return comm->size;
}

const char *titan_comm_name(const titan_comm *comm) {
  return comm->name;
}

bool titan_comm_is_one_node(const titan_comm *comm) {
  return comm->nodes.count == 1;
}

titan_comm_nodes titan_comm_nodes_of(const titan_comm *comm) {
  return comm->nodes;
}

MPI_Comm titan_comm_mpi(const titan_comm *comm) {
  return comm->mpi;
}

titan_comm_traffic titan_comm_traffic_of(const titan_comm *comm) {
  return comm->traffic;
}

titan_status titan_comm_register(titan_comm *comm, void *memory, size_t bytes) {
  if (comm->backend->register_memory == NULL || comm->size == 1 || memory == NULL || bytes == 0)
    return TITAN_OK;
  return comm->backend->register_memory(comm, memory, bytes);
}

// All communication comes from one thread.
static double exposed_seconds_of_all;
static uint64_t bytes_of_all;

uint64_t titan_comm_bytes_of_all(void) {
  return bytes_of_all;
}

void titan_comm_count_repeated(uint64_t bytes) {
  bytes_of_all += bytes;
}

bool titan_comm_is_recordable(const titan_comm *comm) {
  return comm->size == 1 || comm->backend->recordable;
}

double titan_comm_exposed_seconds_of_all(void) {
  return exposed_seconds_of_all;
}

void titan_comm_observe(titan_comm *comm, void (*observer)(void *context, const titan_comm_stretch *stretch),
                        void *context) {
  comm->observer = observer;
  comm->observer_context = context;
}

void titan_comm_count_exposed(titan_comm *comm, const titan_operation *operation, bool contributes, double begun,
                              double ended) {
  exposed_seconds_of_all += ended - begun;
  if (comm->observer == NULL)
    return;
  titan_comm_stretch stretch = {.operation = "progress", .contributes = contributes, .begun = begun, .ended = ended};
  if (operation != NULL) {
    stretch.operation = titan_operation_name(operation->kind);
    stretch.bytes = operation->count * titan_dtype_bytes(operation->dtype);
    stretch.sequence = operation->sequence;
  }
  comm->observer(comm->observer_context, &stretch);
}

// --- the way into every operation ---

const char *titan_operation_name(titan_operation_kind kind) {
  static const char *const names[] = {
      [TITAN_OPERATION_ALL_GATHER] = "all_gather",
      [TITAN_OPERATION_REDUCE_SCATTER] = "reduce_scatter",
      [TITAN_OPERATION_ALL_REDUCE] = "all_reduce",
      [TITAN_OPERATION_BROADCAST] = "broadcast",
      [TITAN_OPERATION_ALL_TO_ALL] = "all_to_all",
      [TITAN_OPERATION_SEND] = "send",
      [TITAN_OPERATION_RECV] = "recv",
      [TITAN_OPERATION_BARRIER] = "barrier",
      [TITAN_OPERATION_SHARED_REDUCE_SCATTER] = "reduce_scatter in shared memory",
      [TITAN_OPERATION_SHARED_SYNCHRONIZE] = "synchronization of shared memory",
  };
  return names[kind];
}

static bool is_point_to_point(titan_operation_kind kind) {
  return kind == TITAN_OPERATION_SEND || kind == TITAN_OPERATION_RECV;
}

static bool is_synchronization(titan_operation_kind kind) {
  return kind == TITAN_OPERATION_BARRIER || kind == TITAN_OPERATION_SHARED_SYNCHRONIZE;
}

// Where an operation's payload is counted; NULL: it has none. *times: how often, with what a rank passes as the unit.
static uint64_t *counter_of(titan_comm *comm, titan_operation_kind kind, uint64_t *times) {
  titan_comm_traffic *traffic = &comm->traffic;
  uint64_t others = (uint64_t)comm->size - 1;
  *times = others;
  switch (kind) {
  case TITAN_OPERATION_ALL_GATHER:
    return &traffic->all_gather;
  case TITAN_OPERATION_REDUCE_SCATTER:
  case TITAN_OPERATION_SHARED_REDUCE_SCATTER:
    return &traffic->reduce_scatter;
  case TITAN_OPERATION_ALL_TO_ALL:
    return &traffic->all_to_all;
  case TITAN_OPERATION_ALL_REDUCE:
    *times = others > 0;
    return &traffic->all_reduce;
  case TITAN_OPERATION_BROADCAST:
    *times = others > 0;
    return &traffic->broadcast;
  case TITAN_OPERATION_SEND:
  case TITAN_OPERATION_RECV:
    *times = 1;
    return &traffic->point_to_point;
  default:
    return NULL;
  }
}

static void count_traffic(titan_comm *comm, const titan_operation *operation) {
  uint64_t times, *counter = counter_of(comm, operation->kind, &times);
  comm->traffic.operations++;
  if (counter == NULL)
    return;
  uint64_t bytes = operation->count * titan_dtype_bytes(operation->dtype) * times;
  *counter += bytes;
  bytes_of_all += bytes;
}

// A group of one rank: nothing but a copy is left of a collective.
static titan_status complete_alone(titan_comm *comm, const titan_operation *operation) {
  const void *send = operation->send;
  size_t bytes = operation->count * titan_dtype_bytes(operation->dtype);
  if (operation->kind == TITAN_OPERATION_SHARED_REDUCE_SCATTER)
    send = (const char *)titan_shared_part(operation->shared, 0) + operation->offset;
  if (send == NULL || operation->recv == NULL || send == operation->recv)
    return TITAN_OK;
  if (comm->backend->alone != NULL)
    return comm->backend->alone(comm, operation->recv, send, bytes);
  memcpy(operation->recv, send, bytes);
  return TITAN_OK;
}

static bool is_communication_thread(void) {
  static pthread_t thread;
  static bool known;
  if (!known)
    thread = pthread_self(), known = true;
  return pthread_equal(thread, pthread_self());
}

static titan_status take_work(titan_comm *comm, titan_work **out) {
  titan_work *work = comm->idle_works;
  if (work != NULL)
    comm->idle_works = work->next;
  else
    TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_COMMUNICATION, sizeof *work, &work));
  *work = (titan_work){.comm = comm};
  *out = work;
  return TITAN_OK;
}

titan_status titan_comm_begin(titan_comm *comm, const titan_operation *operation, titan_work_start *start,
                              titan_work **handle) {
  if (handle != NULL)
    *handle = NULL;
  if (!is_communication_thread())
    return titan_error(TITAN_ERROR_INTERNAL, "%s in group %s was called from a second thread",
                       titan_operation_name(operation->kind), comm->name);
  bool point_to_point = is_point_to_point(operation->kind);
  count_traffic(comm, operation);
  if (operation->count == 0 && !is_synchronization(operation->kind) && !point_to_point)
    return TITAN_OK;
  if (comm->size == 1 && !point_to_point)
    return complete_alone(comm, operation);
  titan_work *work = NULL;
  TITAN_TRY(take_work(comm, &work));
  work->operation = *operation;
  if (!point_to_point)
    work->operation.sequence = comm->sequence++;
  titan_status status = titan_comm_checks(comm, operation) ? titan_comm_check(comm, &work->operation) : TITAN_OK;
  double begun = titan_clock_seconds();
  work->record = titan_recorder_begin(comm, &work->operation, begun);
  if (status == TITAN_OK)
    status = start(work);
  double ended = titan_clock_seconds();
  titan_recorder_begin_ended(work->record, ended);
  titan_comm_count_exposed(comm, &work->operation, true, begun, ended);
  if (status != TITAN_OK) {
    titan_recorder_end(work->record, true);
    if (work->release != NULL)
      work->release(work);
    work->next = comm->idle_works;
    comm->idle_works = work;
    return titan_error_pass(status, __FILE__, __LINE__);
  }
  if (comm->backend->join == NULL)
    titan_work_list_append(work);
  else
    comm->in_flight++;
  if (handle != NULL) {
    *handle = work;
    return TITAN_OK;
  }
  return titan_work_wait(&work);
}

// --- the operations ---

// How an operation of `bytes` bytes is done that the backend does with `start`.
static titan_work_start *way_of(const titan_comm *comm, titan_work_start *start, titan_work_start *staged, size_t bytes,
                                bool blocks) {
  if (comm->levels != NULL)
    return titan_levels_start;
  return blocks && titan_staging_takes(comm, bytes) ? staged : start;
}

titan_status titan_comm_all_gather(titan_comm *comm, const void *send, void *recv, size_t count, titan_dtype dtype,
                                   titan_work **work) {
  titan_operation operation = {
      .kind = TITAN_OPERATION_ALL_GATHER, .send = send, .recv = recv, .count = count, .dtype = dtype};
  titan_work_start *start = way_of(comm, comm->backend->all_gather, titan_staging_all_gather_start,
                                   count * titan_dtype_bytes(dtype), work == NULL);
  return titan_comm_begin(comm, &operation, start, work);
}

titan_status titan_comm_reduce_scatter(titan_comm *comm, const void *send, void *recv, size_t count, titan_dtype dtype,
                                       titan_reduction reduction, titan_work **work) {
  titan_operation operation = {.kind = TITAN_OPERATION_REDUCE_SCATTER,
                               .send = send,
                               .recv = recv,
                               .count = count,
                               .dtype = dtype,
                               .reduction = reduction};
  titan_work_start *start = way_of(comm, comm->backend->reduce_scatter, titan_staging_reduce_scatter_start,
                                   count * titan_dtype_bytes(dtype) * (size_t)comm->size, work == NULL);
  return titan_comm_begin(comm, &operation, start, work);
}

titan_status titan_comm_all_reduce(titan_comm *comm, const void *send, void *recv, size_t count, titan_dtype dtype,
                                   titan_reduction reduction, titan_work **work) {
  titan_operation operation = {.kind = TITAN_OPERATION_ALL_REDUCE,
                               .send = send,
                               .recv = recv,
                               .count = count,
                               .dtype = dtype,
                               .reduction = reduction};
  size_t bytes = count * titan_dtype_bytes(dtype);
  titan_work_start *start = comm->backend->all_reduce;
  if (comm->levels != NULL ? titan_comm_levels_all_reduce(bytes) : titan_comm_stages_all_reduce(bytes))
    start = way_of(comm, start, titan_staging_all_reduce_start, bytes, work == NULL);
  return titan_comm_begin(comm, &operation, start, work);
}

titan_status titan_comm_broadcast(titan_comm *comm, void *buffer, size_t count, titan_dtype dtype, int root,
                                  titan_work **work) {
  titan_operation operation = {
      .kind = TITAN_OPERATION_BROADCAST, .recv = buffer, .count = count, .dtype = dtype, .peer = root};
  return titan_comm_begin(comm, &operation, comm->backend->broadcast, work);
}

titan_status titan_comm_all_to_all(titan_comm *comm, const void *send, void *recv, size_t count, titan_dtype dtype,
                                   titan_work **work) {
  titan_operation operation = {
      .kind = TITAN_OPERATION_ALL_TO_ALL, .send = send, .recv = recv, .count = count, .dtype = dtype};
  return titan_comm_begin(comm, &operation, comm->backend->all_to_all, work);
}

titan_status titan_comm_send(titan_comm *comm, const void *send, size_t count, titan_dtype dtype, int peer, int tag,
                             titan_work **work) {
  titan_operation operation = {
      .kind = TITAN_OPERATION_SEND, .send = send, .count = count, .dtype = dtype, .peer = peer, .tag = tag};
  return titan_comm_begin(comm, &operation, comm->backend->send, work);
}

titan_status titan_comm_recv(titan_comm *comm, void *recv, size_t count, titan_dtype dtype, int peer, int tag,
                             titan_work **work) {
  titan_operation operation = {
      .kind = TITAN_OPERATION_RECV, .recv = recv, .count = count, .dtype = dtype, .peer = peer, .tag = tag};
  return titan_comm_begin(comm, &operation, comm->backend->recv, work);
}

titan_status titan_comm_barrier(titan_comm *comm, titan_work **work) {
  titan_operation operation = {.kind = TITAN_OPERATION_BARRIER};
  return titan_comm_begin(comm, &operation, comm->backend->barrier, work);
}
