// SPDX-License-Identifier: Apache-2.0
// What a communicator backend implements (mpi.c does), and what the interface (comm.c, work.c) keeps for it.
//
// Every operation enters through titan_comm_begin, is advanced by titan_comm_progress and leaves through
// titan_work_wait, whatever the backend: timeouts and records of operations belong there.
#ifndef TITAN_COMM_BACKEND_H
#define TITAN_COMM_BACKEND_H

#include "comm/comm.h"

typedef enum titan_operation_kind {
  TITAN_OPERATION_ALL_GATHER,
  TITAN_OPERATION_REDUCE_SCATTER,
  TITAN_OPERATION_ALL_REDUCE,
  TITAN_OPERATION_BROADCAST,
  TITAN_OPERATION_ALL_TO_ALL,
  TITAN_OPERATION_SEND,
  TITAN_OPERATION_RECV,
  TITAN_OPERATION_BARRIER,
  TITAN_OPERATION_SHARED_REDUCE_SCATTER,
  TITAN_OPERATION_SHARED_SYNCHRONIZE,
  TITAN_OPERATION_KINDS
} titan_operation_kind;

// The arguments of one call; fields that a kind does not have are zero.
typedef struct titan_operation {
  titan_operation_kind kind;
  const void *send;
  void *recv;
  size_t count;
  titan_dtype dtype;
  titan_reduction reduction;
  int peer; // root of a broadcast, partner of a send or recv
  int tag;
  titan_shared *shared;
  size_t offset;     // into the shared parts, bytes
  uint64_t sequence; // of collectives in this group, counted alike on every rank
} titan_operation;

struct titan_work {
  titan_comm *comm;
  titan_operation operation;
  // Moves the work on as far as it goes without waiting. Not called again once *done is true or it has failed.
  titan_status (*advance)(titan_work *work, bool *done);
  // Frees what `start` took. May be NULL. Called once, when the work is done or failed.
  void (*release)(titan_work *work);
  int phase, cursor; // for `advance`
  union {
    MPI_Request request;
    void *pointer;
    uint64_t number;
  } state;         // for `advance`
  uint64_t record; // its number in the flight recorder
  bool done;
  titan_status status;
  char message[512];           // of the failure
  titan_work *previous, *next; // among the works in flight; next also among the group's idle works
};

// Bytes of the largest operation that every group is ready for.
enum { TITAN_COMM_LEAST_BYTES = 64 };

// Starts an operation: fills work->advance (required, but where the group is joined), release and state.
// work->operation is filled already.
typedef titan_status titan_work_start(titan_work *work);

typedef struct titan_comm_backend {
  const char *name;
  // required
  titan_work_start *all_gather;
  titan_work_start *reduce_scatter;
  titan_work_start *all_reduce;
  titan_work_start *broadcast;
  titan_work_start *all_to_all;
  titan_work_start *send;
  titan_work_start *recv;
  titan_work_start *barrier;
  // optional, together (chunks.h): work->cursor counts chunks that are there, in ring order, or that were given
  titan_work_start *gather_chunks;
  titan_work_start *reduce_chunks;
  titan_status (*give_chunk)(titan_work *work, int rank);
  // Of groups that are joined, with reduce_chunks: where the chunk for `rank` is to be written. NULL: as number `rank`.
  void *(*place_chunk)(titan_work *work, int rank);
  // Of groups that are joined, with gather_chunks: COMPUTE goes on after the chunk that comes as number `index` is
  // there.
  titan_status (*join_chunk)(titan_work *work, int index);
  // Optional, both or neither. Bytes that an operation of this kind takes from the group while in flight, all told; an
  // all_gather: where its chunks come one by one.
  size_t (*buffer_bytes)(const titan_comm *comm, titan_operation_kind kind, size_t count, titan_dtype dtype);
  // Makes the group keep exactly so many buffers of so many bytes each. Nothing is in flight.
  titan_status (*reserve)(titan_comm *comm, int buffers, size_t bytes);
  // Of groups on the memory of a device, both or neither. An operation has been put into the device's queue when it has
  // started. join: who waits for it is the device's COMPUTE, which goes on after it; the host does not wait.
  titan_status (*join)(titan_work *work);
  // With join: operations may be recorded, as the device does them without the host.
  bool recordable;
  // A collective in a group of one rank: recv = send.
  titan_status (*alone)(titan_comm *comm, void *recv, const void *send, size_t bytes);
  // Optional. Tells the group's library of memory that operations will read and write; it stays until the group is
  // destroyed. That the library refuses is no error.
  titan_status (*register_memory)(titan_comm *comm, void *memory, size_t bytes);
  // optional: frees comm->state
  void (*destroy)(titan_comm *comm);
} titan_comm_backend;

struct titan_comm {
  const titan_comm_backend *backend;
  char *name;
  int rank, size;
  titan_comm_nodes nodes;
  int leader;   // the group's first rank, in the world
  MPI_Comm mpi; // owned, MPI_COMM_NULL for a stand-in; what a backend of another kind uses to set itself up
  void *state;  // the backend's
  uint64_t sequence;
  int in_flight;
  titan_comm_traffic traffic;
  void (*observer)(void *context, const titan_comm_stretch *stretch);
  void *observer_context;
  struct titan_staging *staging; // NULL: all goes through the backend
  struct titan_levels *levels;   // NULL: not in two levels
  titan_work *idle_works;
};

// Wraps `mpi`, which it owns from now on (also when it fails). Collective over mpi.
titan_status titan_comm_create(const titan_comm_backend *backend, MPI_Comm mpi, const char *name, titan_comm **out);

// A group of the same ranks as `host`, which must outlive it, without an MPI communicator of its own: for backends that
// know how to set themselves up. `state` is the backend's from now on, also when it fails. Not collective.
titan_status titan_comm_create_over(const titan_comm_backend *backend, titan_comm *host, void *state, titan_comm **out);

// The one way into every operation. `operation` is copied. work as in comm.h.
titan_status titan_comm_begin(titan_comm *comm, const titan_operation *operation, titan_work_start *start,
                              titan_work **work);
const char *titan_operation_name(titan_operation_kind kind);

// Counts the time from `begun` to `ended` as exposed seconds, and tells the group's observer. operation: NULL where it
// serves all in flight. contributes: as in titan_comm_stretch.
void titan_comm_count_exposed(titan_comm *comm, const titan_operation *operation, bool contributes, double begun,
                              double ended);

// debug.check_collectives (check.c). Whether this one is compared; and the comparison, collective:
// TITAN_ERROR_COMMUNICATION on all ranks of the group where they differ.
bool titan_comm_checks(const titan_comm *comm, const titan_operation *operation);
titan_status titan_comm_check(titan_comm *comm, const titan_operation *operation);

// The works in flight of this process, oldest first.
void titan_work_list_append(titan_work *work);
// For a loop that waits for a work of the group, after titan_comm_progress: lets MPI and other processes go on.
void titan_comm_pause(const titan_comm *comm);

// Orders this process's reads and writes of shared parts, those past the caches too, against the others'.
void titan_shared_fence(void);

#endif
