// SPDX-License-Identifier: Apache-2.0
// Groups of ranks that are not there, for plans of a mesh made by one process.
#include "comm/mpi.h"

static titan_status refuse(titan_work *work) {
  return titan_error(TITAN_ERROR_INTERNAL, "%s in group %s, which is a substitute without communication",
                     titan_operation_name(work->operation.kind), work->comm->name);
}

static const titan_comm_backend fake_backend = {
    .name = "fake",
    .all_gather = refuse,
    .reduce_scatter = refuse,
    .all_reduce = refuse,
    .broadcast = refuse,
    .all_to_all = refuse,
    .send = refuse,
    .recv = refuse,
    .barrier = refuse,
    .buffer_bytes = titan_mpi_buffer_bytes,
    .reserve = titan_mpi_reserve, // takes the memory, so that it can be counted
    .destroy = titan_mpi_drop_scratches,
};

titan_status titan_comm_create_fake(const char *name, int rank, int size, titan_comm_nodes nodes, titan_comm **out) {
  *out = NULL;
  titan_comm *comm = NULL;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_COMMUNICATION, 1, sizeof *comm, &comm));
  *comm = (titan_comm){.backend = &fake_backend, .rank = rank, .size = size, .nodes = nodes, .mpi = MPI_COMM_NULL};
  titan_status status = titan_memory_duplicate(TITAN_MEMORY_COMMUNICATION, name, &comm->name);
  if (status == TITAN_OK)
    *out = comm;
  else
    titan_memory_free(comm);
  return status;
}
