// SPDX-License-Identifier: Apache-2.0
// A communicator: one group of ranks and its collectives. Backends: MPI (host memory); groups of a device
// (titan_device.group) for its memory, whose operations begin after all that the device's COMPUTE has got so far, and
// whose waits make COMPUTE wait, not the host.
//
// Every call marked "Collective" is made by all ranks of the group in the same order. The non-blocking form is asked
// for with work != NULL: buffers stay untouched by the caller until titan_work_wait. With work == NULL the call blocks.
// A group owns a duplicate of its MPI communicator with MPI_ERRORS_RETURN; a failure comes back as
// TITAN_ERROR_COMMUNICATION with the library's own text. Counts are elements. Results repeat bitwise from run to run
// (sums are taken along one binary tree over the ranks, see reduce.h), and all_reduce gives every rank the same bits.
#ifndef TITAN_COMM_COMM_H
#define TITAN_COMM_COMM_H

#include "base/dtype.h"
#include "base/memory.h"
#include "base/status.h"
#include "base/text.h"
#include <mpi.h>
#include <stdbool.h>

typedef struct titan_comm titan_comm;
typedef struct titan_work titan_work;
typedef struct titan_shared titan_shared;

typedef enum titan_reduction { TITAN_SUM, TITAN_MAX, TITAN_MIN } titan_reduction;

// Collective over `parent`. Duplicates it. `name` (copied) appears in messages.
titan_status titan_comm_create_mpi(MPI_Comm parent, const char *name, titan_comm **out);
// Collective over `parent`: one group per color, ranks ordered by key (as MPI_Comm_split; a color is >= 0).
titan_status titan_comm_create_split(MPI_Comm parent, int color, int key, const char *name, titan_comm **out);
// Collective over `parent`: the ranks that share this node's memory, in the order of their ranks in parent.
titan_status titan_comm_create_node(MPI_Comm parent, const char *name, titan_comm **out);
// Collective over comm (it frees the duplicate); no work of the group may be in flight. NULL handle is fine; the handle
// becomes NULL.
void titan_comm_destroy(titan_comm **comm);

int titan_comm_rank(const titan_comm *comm);
int titan_comm_size(const titan_comm *comm);
const char *titan_comm_name(const titan_comm *comm);
// Whether all ranks of the group share one node's memory.
bool titan_comm_is_one_node(const titan_comm *comm);
// How the group's ranks lie on nodes: on how many, and how many of them are on the node that has most, on the one that
// has least, and on this rank's.
typedef struct titan_comm_nodes {
  int count, most, least, own;
} titan_comm_nodes;
titan_comm_nodes titan_comm_nodes_of(const titan_comm *comm);
// The group's own MPI communicator, borrowed: for duplicating, not for messages.
MPI_Comm titan_comm_mpi(const titan_comm *comm);

// Collective. recv[r*count .. (r+1)*count) = send of rank r. send may be recv + rank*count (in place).
titan_status titan_comm_all_gather(titan_comm *comm, const void *send, void *recv, size_t count, titan_dtype dtype,
                                   titan_work **work);
// Collective. recv[0 .. count) = reduction over ranks of send[rank*count .. (rank+1)*count). float32, float64, bfloat16
// (bfloat16 is summed in float32), int32, int64. recv may be send + rank*count.
titan_status titan_comm_reduce_scatter(titan_comm *comm, const void *send, void *recv, size_t count, titan_dtype dtype,
                                       titan_reduction reduction, titan_work **work);
// Collective. send may equal recv.
titan_status titan_comm_all_reduce(titan_comm *comm, const void *send, void *recv, size_t count, titan_dtype dtype,
                                   titan_reduction reduction, titan_work **work);
// Collective. Any byte count (larger than 2^31 too).
titan_status titan_comm_broadcast(titan_comm *comm, void *buffer, size_t count, titan_dtype dtype, int root,
                                  titan_work **work);
// Collective. Part r of send goes to rank r; `count` elements per pair.
titan_status titan_comm_all_to_all(titan_comm *comm, const void *send, void *recv, size_t count, titan_dtype dtype,
                                   titan_work **work);
// Point to point within the group. tag: 0 to 16383.
titan_status titan_comm_send(titan_comm *comm, const void *send, size_t count, titan_dtype dtype, int peer, int tag,
                             titan_work **work);
titan_status titan_comm_recv(titan_comm *comm, void *recv, size_t count, titan_dtype dtype, int peer, int tag,
                             titan_work **work);
titan_status titan_comm_barrier(titan_comm *comm, titan_work **work);

// Not collective. Makes progress; *done tells whether a wait would return at once.
titan_status titan_work_test(titan_work *work, bool *done);
// Completes and frees *work (NULL is fine), and sets it to NULL.
titan_status titan_work_wait(titan_work **work);

// Not collective, but alike on all ranks. Whether from now on ranks compare, before each collective, what they are
// about to call: one more collective each, and TITAN_ERROR_COMMUNICATION with both calls where they differ.
void titan_comm_check_collectives(bool check);

// Not collective, cheap. Lets every operation in flight of this process advance (called between instructions).
void titan_comm_progress(void);

// Collective. Ranks agree on failure: gives TITAN_OK when every rank passes TITAN_OK; otherwise every rank gets the
// status and the message of the lowest failing rank (its number is put before the message where it is not rank 0).
titan_status titan_comm_agree(titan_comm *comm, titan_status status);
// Collective. Rank 0's text for all, who agree on failure. *text is owned; on other ranks it comes in empty.
titan_status titan_comm_broadcast_text(titan_comm *comm, titan_text *text);

// Payload bytes that this process has moved through the group so far, by kind, for comparison with the plan. With b
// bytes in `count` elements and n ranks: (n-1) b for all_gather, reduce_scatter (also in shared memory) and all_to_all,
// b for all_reduce and broadcast, nothing in a group of one rank; b for each send and each recv.
typedef struct titan_comm_traffic {
  uint64_t all_gather, reduce_scatter, all_reduce, broadcast, all_to_all, point_to_point;
  uint64_t operations; // calls
  // What this process has sent to other nodes in collectives in two levels, sums of bfloat16 as float32.
  uint64_t between_nodes, messages_between_nodes;
} titan_comm_traffic;
titan_comm_traffic titan_comm_traffic_of(const titan_comm *comm);

// Those bytes of all groups together, of all kinds.
uint64_t titan_comm_bytes_of_all(void);
// Adds to them what a device moves by itself when it does recorded work again.
void titan_comm_count_repeated(uint64_t bytes);

// Not collective. Whether operations of the group may be recorded (titan_queue_functions.record): a group of a device
// that does them without the host, or of one rank.
bool titan_comm_is_recordable(const titan_comm *comm);

// Seconds that this process has spent so far inside calls that begin an operation of any group or wait for one, its own
// copying and summing included: transfer that nothing hides.
double titan_comm_exposed_seconds_of_all(void);

// A stretch of that time, for those who ask where it goes.
typedef struct titan_comm_stretch {
  const char *operation; // static; "progress": looking after all in flight, with no bytes and no sequence
  size_t bytes;          // that a rank contributes to the operation
  uint64_t sequence;     // of the operation in this group, alike on every rank
  // What this rank contributes is on its way from `begun` on: the others need not wait for it any longer. Otherwise the
  // rank waits for others, or finishes its own part.
  bool contributes;
  double begun, ended; // as titan_clock_seconds
} titan_comm_stretch;
// Not collective. From now on `observer` is called for every stretch, from the thread that communicates; NULL: no more.
void titan_comm_observe(titan_comm *comm, void (*observer)(void *context, const titan_comm_stretch *stretch),
                        void *context);

// Collective, with as many bytes on every rank. `memory` will often be an operand of the group's operations, which may
// then go faster; it is freed after the group is destroyed. NULL is fine.
titan_status titan_comm_register(titan_comm *comm, void *memory, size_t bytes);

// --- memory of the group itself ---

// Handles and working memory that a group keeps between operations. Operations that together need no more than this
// allocate nothing. In a group of one rank nothing is ever taken.
typedef struct titan_comm_reservation {
  int works;           // operations in flight at once
  int buffers;         // of these, all_reduce and reduce_scatter
  size_t buffer_bytes; // the most that one of those takes: titan_comm_all_reduce_bytes, .._reduce_scatter_bytes
} titan_comm_reservation;

// Bytes of working memory of an all_reduce, or of a reduce_scatter that receives `count` elements, while it is in
// flight.
size_t titan_comm_all_reduce_bytes(const titan_comm *comm, size_t count, titan_dtype dtype);
size_t titan_comm_reduce_scatter_bytes(const titan_comm *comm, size_t count, titan_dtype dtype);

// What every group has from its creation on: enough for one operation of a few numbers at a time.
titan_comm_reservation titan_comm_reservation_least(const titan_comm *comm);
// The larger of each member.
titan_comm_reservation titan_comm_reservation_join(titan_comm_reservation a, titan_comm_reservation b);
// Not collective; nothing of the group is in flight. From now on the group holds this much (never less than the least),
// all under the tag COMMUNICATION: as many bytes as titan_comm_reservation_bytes gives.
titan_status titan_comm_reserve(titan_comm *comm, titan_comm_reservation reservation);
size_t titan_comm_reservation_bytes(const titan_comm *comm, titan_comm_reservation reservation);
// Bytes of a new group, under the tag COMMUNICATION.
size_t titan_comm_bytes(const titan_comm *comm);

// Bytes under the tag COMMUNICATION of a group on a device's memory (backend.h: titan_comm_create_over) beside its host
// group, once it is reserved for so many operations in flight.
size_t titan_comm_over_bytes(const titan_comm *host, int works);

// Not collective, no communication: a group that stands for one which is not there, to plan for it. It has a rank, a
// size and a place; its reservations are those of an MPI group; its operations are errors (TITAN_ERROR_INTERNAL)
// unless it has one rank.
titan_status titan_comm_create_fake(const char *name, int rank, int size, titan_comm_nodes nodes, titan_comm **out);

// --- memory shared by the ranks of one node ---

// Collective; needs titan_comm_is_one_node. One contiguous block of size*bytes_per_rank bytes mapped by every rank;
// rank r's part begins at base + r*bytes_per_rank (bytes_per_rank is a multiple of 64; part 0 is 64-byte aligned). Each
// rank accounts bytes_per_rank under `tag`. Filled with zeros. comm outlives it. TITAN_ERROR_MEMORY, on every rank,
// where the system has too little shared memory (a container's /dev/shm may be small): the caller can do without.
titan_status titan_shared_create(titan_comm *comm, size_t bytes_per_rank, titan_memory_tag tag, titan_shared **out);
// Bytes under the tag COMMUNICATION that come with it.
size_t titan_shared_handle_bytes(const titan_comm *comm);
// Collective.
void titan_shared_destroy(titan_shared **shared);
void *titan_shared_part(const titan_shared *shared, int rank);

// Collective. As titan_comm_reduce_scatter with rank r's send buffer at byte `offset` of its part, summed straight out
// of the other ranks' parts, without a copy. The parts may be written again once the work is complete.
titan_status titan_shared_reduce_scatter(titan_shared *shared, size_t offset, void *recv, size_t count,
                                         titan_dtype dtype, titan_reduction reduction, titan_work **work);
// Collective. Makes what each rank wrote to its part visible to all (memory barriers and a barrier of the group).
titan_status titan_shared_synchronize(titan_shared *shared, titan_work **work);

// --- blocking collectives of a group inside one node, through shared memory ---

// Collective; needs titan_comm_is_one_node. From now on blocking all_gather, reduce_scatter and small all_reduce of the
// group go through memory that its ranks share, as far as a rank passes at most `bytes` bytes as `send`; all else goes
// through messages as before, and so does everything when ranks are alone. Results and traffic are the same, to the bit
// and the byte. Takes titan_comm_stage_bytes on each rank, under TITAN_MEMORY_COMMUNICATION. TITAN_ERROR_MEMORY, on
// every rank, where the system has too little shared memory. A group that has such memory already keeps what it has. To
// be undone by titan_comm_unstage (collective), before the group is destroyed.
titan_status titan_comm_stage(titan_comm *comm, size_t bytes);
void titan_comm_unstage(titan_comm *comm);
bool titan_comm_is_staged(const titan_comm *comm);
// 0 in a group of one rank.
size_t titan_comm_stage_bytes(const titan_comm *comm, size_t bytes);
// Whether a staged group passes all_reduces of so many bytes through shared memory.
bool titan_comm_stages_all_reduce(size_t bytes);

// --- collectives in two levels, of a group that spans nodes ---

// Whether the group has several nodes, and a node several of its ranks.
bool titan_comm_can_level(const titan_comm *comm);
// Collective; nothing of the group is in flight. From now on all_gather, reduce_scatter and all_reduce of the group,
// blocking or not, go through shared memory inside nodes, and between nodes each byte goes once a node: of the s bytes
// that are gathered or scattered, a node sends and receives s (nodes - 1) / nodes where nodes have equally many ranks.
// Takes titan_comm_level_bytes on each rank, under TITAN_MEMORY_COMMUNICATION, and no buffer in flight. Nothing changes
// in other groups. TITAN_ERROR_MEMORY, on every rank, where a node has too little shared memory. To be undone by
// titan_comm_unlevel (collective), as often as it was called, before the group is destroyed.
titan_status titan_comm_level(titan_comm *comm);
void titan_comm_unlevel(titan_comm *comm);
bool titan_comm_is_levelled(const titan_comm *comm);
// For a group that can.
size_t titan_comm_level_bytes(const titan_comm *comm);
// Whether a group passes all_reduces of so many bytes in two levels. The backend does the others, which need no more
// buffer than every group has.
bool titan_comm_levels_all_reduce(size_t bytes);

#endif
