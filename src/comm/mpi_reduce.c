// SPDX-License-Identifier: Apache-2.0
// Reductions over MPI point-to-point messages. The arithmetic is ours: every element is reduced by one rank, along the
// tree of reduce.h, whatever arrives first, so results repeat bitwise, all ranks of an all_reduce get the same bits, and
// bfloat16 is summed in float32. Later phases begin at a different time on each rank, so they must not be MPI collectives (whose
// order has to agree); messages are told apart by tags made from the group's sequence number.
#include "base/memory.h"
#include "comm/mpi.h"
#include "comm/mpi_error.h"
#include "comm/reduce.h"

enum { LANES = TITAN_MPI_LANES };
// Bytes that a lane receives at a time from all ranks together, and at least from each.
enum { LANE_BYTES = 4 << 20, PIECE_BYTES = 16 << 10 };
// all_reduce: up to this many bytes over all ranks, rank 0 reduces and answers.
enum { SMALL_BYTES = 64 << 10 };

// A reduction goes block by block; each of two lanes takes every other block, so that one block travels while another
// is reduced. Phases of a block:
enum { PHASE_EXCHANGE, PHASE_GATHER, PHASE_DONE };

typedef struct reduction_lane {
  int phase, request_count;
  size_t first, count;   // of the block, elements
  MPI_Request *requests; // 2 (size - 1)
  char *received;        // size pieces; this rank's stays unused
} reduction_lane;

typedef struct reduction_state {
  reduction_lane lanes[LANES];
  titan_mpi_scratch *scratch;
  size_t block;         // elements
  size_t piece;         // elements between the pieces in `received`
  const void **sources; // size
} reduction_state;

titan_mpi_span titan_mpi_piece_of(titan_operation_kind kind, size_t count, int ranks, size_t block_first,
                                  size_t block_count, int rank) {
  if (kind == TITAN_OPERATION_REDUCE_SCATTER)
    return (titan_mpi_span){(size_t)rank * count + block_first, block_count};
  size_t share = (block_count + (size_t)ranks - 1) / (size_t)ranks;
  size_t begin = (size_t)rank * share < block_count ? (size_t)rank * share : block_count;
  size_t end = begin + share < block_count ? begin + share : block_count;
  return (titan_mpi_span){block_first + begin, end - begin};
}

// Rank p's piece of a lane's block.
static titan_mpi_span piece_of(const titan_work *work, const reduction_lane *lane, int p) {
  return titan_mpi_piece_of(work->operation.kind, work->operation.count, work->comm->size, lane->first, lane->count, p);
}

static titan_status post_exchange(titan_work *work, reduction_state *state, int index) {
  const titan_operation *operation = &work->operation;
  const titan_comm *comm = work->comm;
  reduction_lane *lane = &state->lanes[index];
  size_t bytes = titan_dtype_bytes(operation->dtype), own = piece_of(work, lane, comm->rank).count;
  int tag = titan_mpi_internal_tag(work, index);
  lane->phase = PHASE_EXCHANGE;
  lane->request_count = 0;
  for (int step = 1; step < comm->size && own > 0; step++) {
    int from = (comm->rank + comm->size - step) % comm->size;
    TITAN_TRY_MPI(MPI_Irecv(lane->received + (size_t)from * state->piece * bytes, (int)(own * bytes), MPI_BYTE, from,
                            tag, comm->mpi, &lane->requests[lane->request_count++]));
  }
  for (int step = 1; step < comm->size; step++) {
    int to = (comm->rank + step) % comm->size;
    titan_mpi_span piece = piece_of(work, lane, to);
    if (piece.count > 0)
      TITAN_TRY_MPI(MPI_Isend((const char *)operation->send + piece.first * bytes, (int)(piece.count * bytes), MPI_BYTE,
                              to, tag, comm->mpi, &lane->requests[lane->request_count++]));
  }
  return TITAN_OK;
}

static titan_status reduce_own_piece(titan_work *work, reduction_state *state, reduction_lane *lane) {
  const titan_operation *operation = &work->operation;
  size_t bytes = titan_dtype_bytes(operation->dtype);
  titan_mpi_span own = piece_of(work, lane, work->comm->rank);
  for (int p = 0; p < work->comm->size; p++)
    state->sources[p] = lane->received + (size_t)p * state->piece * bytes;
  state->sources[work->comm->rank] = (const char *)operation->send + own.first * bytes;
  size_t place = operation->kind == TITAN_OPERATION_REDUCE_SCATTER ? lane->first : own.first;
  return titan_reduce(operation->dtype, operation->reduction, state->sources, work->comm->size,
                      (char *)operation->recv + place * bytes, own.count);
}

// all_reduce: every rank sends its reduced piece to the others.
static titan_status post_gather(titan_work *work, reduction_state *state, int index) {
  const titan_operation *operation = &work->operation;
  const titan_comm *comm = work->comm;
  reduction_lane *lane = &state->lanes[index];
  size_t bytes = titan_dtype_bytes(operation->dtype);
  titan_mpi_span own = piece_of(work, lane, comm->rank);
  int tag = titan_mpi_internal_tag(work, index);
  lane->phase = PHASE_GATHER;
  lane->request_count = 0;
  for (int step = 1; step < comm->size; step++) {
    int from = (comm->rank + comm->size - step) % comm->size;
    titan_mpi_span piece = piece_of(work, lane, from);
    if (piece.count > 0)
      TITAN_TRY_MPI(MPI_Irecv((char *)operation->recv + piece.first * bytes, (int)(piece.count * bytes), MPI_BYTE, from,
                              tag, comm->mpi, &lane->requests[lane->request_count++]));
  }
  for (int step = 1; step < comm->size && own.count > 0; step++) {
    int to = (comm->rank + step) % comm->size;
    TITAN_TRY_MPI(MPI_Isend((char *)operation->recv + own.first * bytes, (int)(own.count * bytes), MPI_BYTE, to, tag,
                            comm->mpi, &lane->requests[lane->request_count++]));
  }
  return TITAN_OK;
}

static titan_status begin_block(titan_work *work, reduction_state *state, int index, size_t first) {
  reduction_lane *lane = &state->lanes[index];
  size_t left = first < work->operation.count ? work->operation.count - first : 0;
  lane->first = first;
  lane->count = left < state->block ? left : state->block;
  lane->request_count = 0;
  lane->phase = PHASE_DONE;
  return lane->count > 0 ? post_exchange(work, state, index) : TITAN_OK;
}

static titan_status advance_lane(titan_work *work, reduction_state *state, int index) {
  reduction_lane *lane = &state->lanes[index];
  while (lane->phase != PHASE_DONE) {
    int flag = 0;
    TITAN_TRY_MPI(MPI_Testall(lane->request_count, lane->requests, &flag, MPI_STATUSES_IGNORE));
    if (!flag)
      return TITAN_OK;
    if (lane->phase == PHASE_EXCHANGE)
      TITAN_TRY(reduce_own_piece(work, state, lane));
    if (lane->phase == PHASE_EXCHANGE && work->operation.kind == TITAN_OPERATION_ALL_REDUCE)
      TITAN_TRY(post_gather(work, state, index));
    else
      TITAN_TRY(begin_block(work, state, index, lane->first + LANES * state->block));
  }
  return TITAN_OK;
}

static titan_status blocks_advance(titan_work *work, bool *done) {
  reduction_state *state = work->state.pointer;
  *done = true;
  for (int index = 0; index < LANES; index++) {
    TITAN_TRY(advance_lane(work, state, index));
    *done = *done && state->lanes[index].phase == PHASE_DONE;
  }
  return TITAN_OK;
}

static void blocks_release(titan_work *work) {
  reduction_state *state = work->state.pointer;
  titan_mpi_scratch_give_back(work->comm, state->scratch);
}

static size_t aligned(size_t bytes) {
  return titan_round_up(bytes, TITAN_MEMORY_ALIGNMENT);
}

// What one reduction works in: the state, the sources, and each lane's requests and received pieces.
typedef struct layout {
  size_t piece; // elements
  size_t state_bytes, sources_bytes, requests_bytes, received_bytes, total;
} layout;

// `pieces` is the most elements that one rank's share of the whole operation has.
static layout lay_out(int ranks, titan_dtype dtype, size_t pieces) {
  size_t size = (size_t)ranks, bytes = titan_dtype_bytes(dtype);
  size_t piece_bytes = LANE_BYTES / size > PIECE_BYTES ? LANE_BYTES / size : PIECE_BYTES;
  layout l = {.piece = piece_bytes / bytes < pieces ? piece_bytes / bytes : pieces,
              .state_bytes = aligned(sizeof(reduction_state)),
              .sources_bytes = aligned(size * sizeof(void *)),
              .requests_bytes = aligned(2 * size * sizeof(MPI_Request))};
  l.received_bytes = aligned(size * l.piece * bytes);
  l.total = l.state_bytes + l.sources_bytes + LANES * (l.requests_bytes + l.received_bytes);
  return l;
}

static bool is_small(size_t count, titan_dtype dtype, size_t size) {
  return count * titan_dtype_bytes(dtype) <= SMALL_BYTES / size;
}

static size_t pieces_of(titan_operation_kind kind, size_t count, titan_dtype dtype, size_t size) {
  return kind == TITAN_OPERATION_REDUCE_SCATTER || is_small(count, dtype, size) ? count : (count + size - 1) / size;
}

size_t titan_mpi_buffer_bytes(const titan_comm *comm, titan_operation_kind kind, size_t count, titan_dtype dtype) {
  if (comm->size == 1 || (kind != TITAN_OPERATION_ALL_REDUCE && kind != TITAN_OPERATION_REDUCE_SCATTER))
    return 0;
  size_t pieces = pieces_of(kind, count, dtype, (size_t)comm->size);
  return sizeof(titan_mpi_scratch) + lay_out(comm->size, dtype, pieces).total;
}

static titan_status create_state(titan_work *work, reduction_state **out) {
  const titan_operation *operation = &work->operation;
  size_t pieces = pieces_of(operation->kind, operation->count, operation->dtype, (size_t)work->comm->size);
  layout l = lay_out(work->comm->size, operation->dtype, pieces);
  titan_mpi_scratch *scratch = NULL;
  TITAN_TRY(titan_mpi_scratch_take(work->comm, l.total, &scratch));
  unsigned char *memory = scratch->memory;
  reduction_state *state = (reduction_state *)(void *)memory;
  *state = (reduction_state){.scratch = scratch, .piece = l.piece};
  memory += l.state_bytes;
  state->sources = (const void **)(void *)memory;
  memory += l.sources_bytes;
  for (int index = 0; index < LANES; index++) {
    state->lanes[index].requests = (MPI_Request *)(void *)memory;
    state->lanes[index].received = (char *)memory + l.requests_bytes;
    memory += l.requests_bytes + l.received_bytes;
  }
  *out = state;
  return TITAN_OK;
}

static titan_status begin_lanes(titan_work *work, reduction_state *state) {
  work->state.pointer = state;
  work->advance = blocks_advance;
  work->release = blocks_release;
  for (int index = 0; index < LANES; index++)
    TITAN_TRY(begin_block(work, state, index, (size_t)index * state->block));
  return TITAN_OK;
}

titan_status titan_mpi_reduce_scatter_start(titan_work *work) {
  reduction_state *state = NULL;
  TITAN_TRY(create_state(work, &state));
  state->block = state->piece;
  return begin_lanes(work, state);
}

// --- small all_reduce: rank 0 receives, reduces and answers ---

static titan_status small_send_result(titan_work *work, reduction_state *state) {
  const titan_operation *operation = &work->operation;
  const titan_comm *comm = work->comm;
  reduction_lane *lane = &state->lanes[0];
  size_t bytes = operation->count * titan_dtype_bytes(operation->dtype);
  for (int p = 0; p < comm->size; p++)
    state->sources[p] = lane->received + (size_t)p * bytes;
  state->sources[0] = operation->send;
  TITAN_TRY(titan_reduce(operation->dtype, operation->reduction, state->sources, comm->size, operation->recv,
                         operation->count));
  lane->request_count = 0;
  for (int p = 1; p < comm->size; p++)
    TITAN_TRY_MPI(MPI_Isend(operation->recv, (int)bytes, MPI_BYTE, p, titan_mpi_internal_tag(work, 0), comm->mpi,
                            &lane->requests[lane->request_count++]));
  return TITAN_OK;
}

static titan_status small_advance(titan_work *work, bool *done) {
  reduction_state *state = work->state.pointer;
  reduction_lane *lane = &state->lanes[0];
  for (;;) {
    int flag = 0;
    TITAN_TRY_MPI(MPI_Testall(lane->request_count, lane->requests, &flag, MPI_STATUSES_IGNORE));
    if (!flag)
      return TITAN_OK;
    if (work->comm->rank != 0 || lane->phase == PHASE_GATHER) {
      *done = true;
      return TITAN_OK;
    }
    lane->phase = PHASE_GATHER;
    TITAN_TRY(small_send_result(work, state));
  }
}

static titan_status small_start(titan_work *work) {
  const titan_operation *operation = &work->operation;
  const titan_comm *comm = work->comm;
  size_t bytes = operation->count * titan_dtype_bytes(operation->dtype);
  int tag = titan_mpi_internal_tag(work, 0);
  reduction_state *state = NULL;
  TITAN_TRY(create_state(work, &state));
  work->state.pointer = state;
  work->advance = small_advance;
  work->release = blocks_release;
  reduction_lane *lane = &state->lanes[0];
  lane->phase = PHASE_EXCHANGE;
  if (comm->rank == 0) {
    for (int p = 1; p < comm->size; p++)
      TITAN_TRY_MPI(MPI_Irecv(lane->received + (size_t)p * bytes, (int)bytes, MPI_BYTE, p, tag, comm->mpi,
                              &lane->requests[lane->request_count++]));
    return TITAN_OK;
  }
  // A copy is sent: send and recv may be one buffer.
  memcpy(lane->received, operation->send, bytes);
  TITAN_TRY_MPI(
      MPI_Irecv(operation->recv, (int)bytes, MPI_BYTE, 0, tag, comm->mpi, &lane->requests[lane->request_count++]));
  TITAN_TRY_MPI(
      MPI_Isend(lane->received, (int)bytes, MPI_BYTE, 0, tag, comm->mpi, &lane->requests[lane->request_count++]));
  return TITAN_OK;
}

titan_status titan_mpi_all_reduce_start(titan_work *work) {
  size_t size = (size_t)work->comm->size;
  if (is_small(work->operation.count, work->operation.dtype, size))
    return small_start(work);
  reduction_state *state = NULL;
  TITAN_TRY(create_state(work, &state));
  state->block = state->piece * size;
  return begin_lanes(work, state);
}
