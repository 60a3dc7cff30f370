// SPDX-License-Identifier: Apache-2.0
// Handles and working memory that a group keeps from one operation to the next.
#include "comm/backend.h"

#include <string.h>

static size_t buffer_bytes(const titan_comm *comm, titan_operation_kind kind, size_t count, titan_dtype dtype) {
  return comm->backend->buffer_bytes != NULL ? comm->backend->buffer_bytes(comm, kind, count, dtype) : 0;
}

size_t titan_comm_all_reduce_bytes(const titan_comm *comm, size_t count, titan_dtype dtype) {
  return buffer_bytes(comm, TITAN_OPERATION_ALL_REDUCE, count, dtype);
}

size_t titan_comm_reduce_scatter_bytes(const titan_comm *comm, size_t count, titan_dtype dtype) {
  return buffer_bytes(comm, TITAN_OPERATION_REDUCE_SCATTER, count, dtype);
}

titan_comm_reservation titan_comm_reservation_least(const titan_comm *comm) {
  return (titan_comm_reservation){
      .works = 1,
      .buffers = 1,
      .buffer_bytes = titan_comm_all_reduce_bytes(comm, TITAN_COMM_LEAST_BYTES / sizeof(double), TITAN_FLOAT64)};
}

titan_comm_reservation titan_comm_reservation_join(titan_comm_reservation a, titan_comm_reservation b) {
  return (titan_comm_reservation){.works = a.works > b.works ? a.works : b.works,
                                  .buffers = a.buffers > b.buffers ? a.buffers : b.buffers,
                                  .buffer_bytes = a.buffer_bytes > b.buffer_bytes ? a.buffer_bytes : b.buffer_bytes};
}

size_t titan_comm_reservation_bytes(const titan_comm *comm, titan_comm_reservation reservation) {
  if (comm->size == 1)
    return 0;
  reservation = titan_comm_reservation_join(reservation, titan_comm_reservation_least(comm));
  return (size_t)reservation.works * sizeof(titan_work) + (size_t)reservation.buffers * reservation.buffer_bytes;
}

size_t titan_comm_bytes(const titan_comm *comm) {
  return sizeof *comm + strlen(comm->name) + 1 + titan_comm_reservation_bytes(comm, titan_comm_reservation_least(comm));
}

size_t titan_comm_over_bytes(const titan_comm *host, int works) {
  return sizeof *host + strlen(host->name) + 1 + (size_t)(works > 1 ? works : 1) * sizeof(titan_work);
}

static titan_status reserve_works(titan_comm *comm, int count) {
  int idle = 0;
  for (const titan_work *work = comm->idle_works; work != NULL; work = work->next)
    idle++;
  for (; idle < count; idle++) {
    titan_work *work;
    TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_COMMUNICATION, sizeof *work, &work));
    work->next = comm->idle_works;
    comm->idle_works = work;
  }
  for (; idle > count; idle--) {
    titan_work *work = comm->idle_works;
    comm->idle_works = work->next;
    titan_memory_free(work);
  }
  return TITAN_OK;
}

titan_status titan_comm_reserve(titan_comm *comm, titan_comm_reservation reservation) {
  if (comm->size == 1)
    return TITAN_OK;
  if (comm->in_flight > 0)
    return titan_error(TITAN_ERROR_INTERNAL, "a reservation for group %s, which has operations in flight", comm->name);
  reservation = titan_comm_reservation_join(reservation, titan_comm_reservation_least(comm));
  TITAN_TRY(reserve_works(comm, reservation.works));
  return comm->backend->reserve != NULL ? comm->backend->reserve(comm, reservation.buffers, reservation.buffer_bytes)
                                        : TITAN_OK;
}
