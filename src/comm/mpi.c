// SPDX-License-Identifier: Apache-2.0
#include "comm/mpi.h"
#include "comm/mpi_datatype.h"
#include "comm/mpi_error.h"
#include "comm/nodes.h"

#include <limits.h>

// --- operations without arithmetic: one MPI request each ---

static titan_status request_advance(titan_work *work, bool *done) {
  int flag = 0;
  TITAN_TRY_MPI(MPI_Test(&work->state.request, &flag, MPI_STATUS_IGNORE));
  *done = flag;
  return TITAN_OK;
}

static size_t operation_bytes(const titan_operation *operation) {
  return operation->count * titan_dtype_bytes(operation->dtype);
}

static titan_status all_gather_start(titan_work *work) {
  const titan_operation *operation = &work->operation;
  const titan_comm *comm = work->comm;
  size_t bytes = operation_bytes(operation);
  bool in_place = operation->send == (char *)operation->recv + (size_t)comm->rank * bytes;
  titan_mpi_message message;
  TITAN_TRY(titan_mpi_message_create(bytes, (size_t)comm->size, INT_MAX, &message));
  work->advance = request_advance;
  titan_status status =
      TITAN_MPI(MPI_Iallgather(in_place ? MPI_IN_PLACE : operation->send, message.count, message.type, operation->recv,
                               message.count, message.type, comm->mpi, &work->state.request));
  titan_mpi_message_destroy(&message);
  return status;
}

static titan_status all_to_all_start(titan_work *work) {
  const titan_operation *operation = &work->operation;
  const titan_comm *comm = work->comm;
  titan_mpi_message message;
  TITAN_TRY(titan_mpi_message_create(operation_bytes(operation), (size_t)comm->size, INT_MAX, &message));
  work->advance = request_advance;
  titan_status status = TITAN_MPI(MPI_Ialltoall(operation->send, message.count, message.type, operation->recv,
                                                message.count, message.type, comm->mpi, &work->state.request));
  titan_mpi_message_destroy(&message);
  return status;
}

static titan_status broadcast_start(titan_work *work) {
  const titan_operation *operation = &work->operation;
  titan_mpi_message message;
  TITAN_TRY(titan_mpi_message_create(operation_bytes(operation), 1, INT_MAX, &message));
  work->advance = request_advance;
  titan_status status = TITAN_MPI(
      MPI_Ibcast(operation->recv, message.count, message.type, operation->peer, work->comm->mpi, &work->state.request));
  titan_mpi_message_destroy(&message);
  return status;
}

static titan_status check_tag(const titan_operation *operation) {
  if (operation->tag < 0 || operation->tag >= TITAN_MPI_USER_TAGS)
    return titan_error(TITAN_ERROR_INTERNAL, "message tag %d is outside 0 to %d", operation->tag,
                       TITAN_MPI_USER_TAGS - 1);
  return TITAN_OK;
}

static titan_status send_start(titan_work *work) {
  const titan_operation *operation = &work->operation;
  titan_mpi_message message;
  TITAN_TRY(check_tag(operation));
  TITAN_TRY(titan_mpi_message_create(operation_bytes(operation), 1, INT_MAX, &message));
  work->advance = request_advance;
  titan_status status = TITAN_MPI(MPI_Isend(operation->send, message.count, message.type, operation->peer,
                                            operation->tag, work->comm->mpi, &work->state.request));
  titan_mpi_message_destroy(&message);
  return status;
}

static titan_status recv_start(titan_work *work) {
  const titan_operation *operation = &work->operation;
  titan_mpi_message message;
  TITAN_TRY(check_tag(operation));
  TITAN_TRY(titan_mpi_message_create(operation_bytes(operation), 1, INT_MAX, &message));
  work->advance = request_advance;
  titan_status status = TITAN_MPI(MPI_Irecv(operation->recv, message.count, message.type, operation->peer,
                                            operation->tag, work->comm->mpi, &work->state.request));
  titan_mpi_message_destroy(&message);
  return status;
}

static titan_status barrier_start(titan_work *work) {
  work->advance = request_advance;
  return TITAN_MPI(MPI_Ibarrier(work->comm->mpi, &work->state.request));
}

// --- scratch ---

titan_status titan_mpi_scratch_take(titan_comm *comm, size_t bytes, titan_mpi_scratch **out) {
  titan_mpi_scratch *first = comm->state;
  for (titan_mpi_scratch **link = &first; *link != NULL; link = &(*link)->next)
    if ((*link)->bytes >= bytes) {
      *out = *link;
      *link = (*link)->next;
      comm->state = first;
      return TITAN_OK;
    }
  if (first != NULL) { // too small: it gives way, so that the pool holds no more than were ever in use at once
    comm->state = first->next;
    titan_memory_free(first);
  }
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_COMMUNICATION, sizeof(titan_mpi_scratch) + bytes, out));
  (*out)->bytes = bytes;
  return TITAN_OK;
}

void titan_mpi_scratch_give_back(titan_comm *comm, titan_mpi_scratch *scratch) {
  scratch->next = comm->state;
  comm->state = scratch;
}

void titan_mpi_drop_scratches(titan_comm *comm) {
  while (comm->state != NULL) {
    titan_mpi_scratch *scratch = comm->state;
    comm->state = scratch->next;
    titan_memory_free(scratch);
  }
}

titan_status titan_mpi_reserve(titan_comm *comm, int buffers, size_t bytes) {
  titan_mpi_drop_scratches(comm);
  for (int i = 0; i < buffers; i++) {
    titan_mpi_scratch *scratch;
    TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_COMMUNICATION, bytes, &scratch));
    scratch->bytes = bytes - sizeof *scratch;
    titan_mpi_scratch_give_back(comm, scratch);
  }
  return TITAN_OK;
}

// --- groups ---

static const titan_comm_backend mpi_backend = {
    .name = "mpi",
    .all_gather = all_gather_start,
    .reduce_scatter = titan_mpi_reduce_scatter_start,
    .all_reduce = titan_mpi_all_reduce_start,
    .broadcast = broadcast_start,
    .all_to_all = all_to_all_start,
    .send = send_start,
    .recv = recv_start,
    .barrier = barrier_start,
    .gather_chunks = titan_mpi_gather_chunks_start,
    .reduce_chunks = titan_mpi_reduce_chunks_start,
    .give_chunk = titan_mpi_give_chunk,
    .buffer_bytes = titan_mpi_buffer_bytes,
    .reserve = titan_mpi_reserve,
    .destroy = titan_mpi_drop_scratches,
};

titan_status titan_comm_create_mpi(MPI_Comm parent, const char *name, titan_comm **out) {
  MPI_Comm mpi;
  *out = NULL;
  TITAN_TRY_MPI(MPI_Comm_dup(parent, &mpi));
  return titan_comm_create(&mpi_backend, mpi, name, out);
}

titan_status titan_comm_create_split(MPI_Comm parent, int color, int key, const char *name, titan_comm **out) {
  MPI_Comm mpi;
  *out = NULL;
  TITAN_TRY_MPI(MPI_Comm_split(parent, color, key, &mpi));
  return titan_comm_create(&mpi_backend, mpi, name, out);
}

titan_status titan_comm_create_node(MPI_Comm parent, const char *name, titan_comm **out) {
  MPI_Comm mpi;
  *out = NULL;
  MPI_Comm machine;
  int rank = 0, simulated = 0;
  TITAN_TRY(titan_nodes_simulated(&simulated));
  TITAN_TRY_MPI(MPI_Comm_rank(parent, &rank));
  TITAN_TRY_MPI(MPI_Comm_split_type(parent, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &machine));
  TITAN_TRY_MPI(MPI_Comm_split(machine, simulated, rank, &mpi));
  MPI_Comm_free(&machine);
  return titan_comm_create(&mpi_backend, mpi, name, out);
}
