// SPDX-License-Identifier: Apache-2.0
// Reductions over MPI point-to-point messages. The arithmetic is ours: every element is reduced by one rank, along the
// tree of reduce.h, whatever arrives first, so results repeat bitwise, all ranks of an all_reduce get the same bits,
// and bfloat16 is summed in float32. Later phases begin at a different time on each rank, so they must not be MPI
// collectives (whose order has to agree); messages are told apart by tags made from the group's sequence number.
#include "base/memory.h"
#include "comm/mpi.h"
#include "comm/mpi_error.h"
#include "comm/reduce.h"
#include "comm/reduce_tree.h"

enum { LANES = TITAN_MPI_LANES };
// Bytes that a lane works in.
enum { LANE_BYTES = 4 << 20 };

// A reduction goes block by block; each of two lanes takes every other block, so that one block travels while another
// is reduced. In a block, a rank exchanges with one window of ranks after another, in the order of reduce_tree.h, and
// reduces what came from one before it asks the next: so its memory does not grow with the ranks. Up to MOST_WINDOW
// ranks are one window. Phases of a block:
enum { PHASE_EXCHANGE, PHASE_GATHER, PHASE_DONE };
enum { MOST_WINDOW = 64 }; // a power of two

typedef struct reduction_lane {
  int phase, request_count;
  int turn;              // windows done in this block
  size_t first, count;   // of the block, elements
  MPI_Request *requests; // 2 (window - 1)
  char *received;        // window pieces; this rank's stays unused
  char *sum;             // of a window, where there are several: a piece in the type of sums
  titan_reduce_tree tree;
} reduction_lane;

typedef struct reduction_state {
  reduction_lane lanes[LANES];
  titan_mpi_scratch *scratch;
  int window, windows;  // ranks of one, and their number
  size_t block;         // elements
  size_t piece;         // elements between the pieces in `received`
  const void **sources; // window
} reduction_state;

static int most_window = MOST_WINDOW;

void titan_mpi_set_window(int ranks) {
  most_window = ranks;
}

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

// The first rank of the window that this one exchanges with now, and how many it has.
static titan_mpi_span window_of(const titan_work *work, const reduction_state *state, const reduction_lane *lane) {
  int own = work->comm->rank / state->window;
  int other = own ^ titan_reduce_tree_distance(own, state->windows, lane->turn);
  int first = other * state->window, left = work->comm->size - first;
  return (titan_mpi_span){(size_t)first, (size_t)(left < state->window ? left : state->window)};
}

static titan_status post_exchange(titan_work *work, reduction_state *state, int index) {
  const titan_operation *operation = &work->operation;
  const titan_comm *comm = work->comm;
  reduction_lane *lane = &state->lanes[index];
  size_t bytes = titan_dtype_bytes(operation->dtype), own = piece_of(work, lane, comm->rank).count;
  titan_mpi_span window = window_of(work, state, lane);
  int tag = titan_mpi_internal_tag(work, index), many = (int)window.count;
  lane->phase = PHASE_EXCHANGE;
  lane->request_count = 0;
  for (int step = 0; step < many && own > 0; step++) {
    int i = (comm->rank % many + many - step) % many, from = (int)window.first + i;
    if (from != comm->rank)
      TITAN_TRY_MPI(MPI_Irecv(lane->received + (size_t)i * state->piece * bytes, (int)(own * bytes), MPI_BYTE, from,
                              tag, comm->mpi, &lane->requests[lane->request_count++]));
  }
  for (int step = 0; step < many; step++) {
    int to = (int)window.first + (comm->rank + step) % many;
    titan_mpi_span piece = piece_of(work, lane, to);
    if (piece.count > 0 && to != comm->rank)
      TITAN_TRY_MPI(MPI_Isend((const char *)operation->send + piece.first * bytes, (int)(piece.count * bytes), MPI_BYTE,
                              to, tag, comm->mpi, &lane->requests[lane->request_count++]));
  }
  return TITAN_OK;
}

// Of this rank's piece, what the window has for it.
static titan_status reduce_window(titan_work *work, reduction_state *state, reduction_lane *lane) {
  const titan_operation *operation = &work->operation;
  size_t bytes = titan_dtype_bytes(operation->dtype);
  titan_mpi_span own = piece_of(work, lane, work->comm->rank), window = window_of(work, state, lane);
  for (size_t i = 0; i < window.count; i++)
    state->sources[i] = window.first + i == (size_t)work->comm->rank ? (const char *)operation->send + own.first * bytes
                                                                     : lane->received + i * state->piece * bytes;
  size_t place = operation->kind == TITAN_OPERATION_REDUCE_SCATTER ? lane->first : own.first;
  char *to = (char *)operation->recv + place * bytes;
  if (state->windows == 1)
    return titan_reduce(operation->dtype, operation->reduction, state->sources, (int)window.count, to, own.count);
  const void *result;
  TITAN_TRY(titan_reduce_wide(operation->dtype, operation->reduction, state->sources, (int)window.count, lane->sum,
                              own.count));
  TITAN_TRY(titan_reduce_tree_take(&lane->tree, lane->turn, lane->sum, own.count, &result));
  if (result != NULL)
    titan_reduce_narrow(operation->dtype, to, result, own.count);
  return TITAN_OK;
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
  lane->request_count = lane->turn = 0;
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
      TITAN_TRY(reduce_window(work, state, lane));
    if (lane->phase == PHASE_EXCHANGE && ++lane->turn < state->windows)
      TITAN_TRY(post_exchange(work, state, index));
    else if (lane->phase == PHASE_EXCHANGE && work->operation.kind == TITAN_OPERATION_ALL_REDUCE)
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

// What one reduction works in: the state, the sources, and each lane's requests, received pieces and sums.
typedef struct layout {
  int window, windows;
  size_t piece; // elements
  size_t state_bytes, sources_bytes, requests_bytes, received_bytes, sum_bytes, total;
} layout;

// `pieces` is the most elements that one rank's share of the whole operation has.
static layout lay_out(int ranks, titan_dtype dtype, size_t pieces) {
  layout l = {.window = ranks < most_window ? ranks : most_window, .state_bytes = aligned(sizeof(reduction_state))};
  l.windows = (ranks + l.window - 1) / l.window;
  size_t window = (size_t)l.window, bytes = titan_dtype_bytes(dtype);
  size_t sums = l.windows > 1 ? 1 + (size_t)titan_reduce_tree_levels(l.windows) : 0;
  size_t sum_bytes = titan_dtype_bytes(titan_reduce_sum_type(dtype));
  size_t piece = LANE_BYTES / (window * bytes + sums * sum_bytes);
  l.piece = piece < pieces ? piece : pieces;
  l.sources_bytes = aligned(window * sizeof(void *));
  l.requests_bytes = aligned(2 * window * sizeof(MPI_Request));
  l.received_bytes = aligned(window * l.piece * bytes);
  l.sum_bytes = aligned(l.piece * sum_bytes);
  l.total = l.state_bytes + l.sources_bytes + LANES * (l.requests_bytes + l.received_bytes + sums * l.sum_bytes);
  return l;
}

static size_t pieces_of(titan_operation_kind kind, size_t count, size_t size) {
  return kind == TITAN_OPERATION_REDUCE_SCATTER ? count : (count + size - 1) / size;
}

size_t titan_mpi_buffer_bytes(const titan_comm *comm, titan_operation_kind kind, size_t count, titan_dtype dtype) {
  if (comm->size > 1 && kind == TITAN_OPERATION_ALL_GATHER)
    return sizeof(titan_mpi_scratch) + titan_mpi_chunk_bytes(comm);
  if (comm->size == 1 || (kind != TITAN_OPERATION_ALL_REDUCE && kind != TITAN_OPERATION_REDUCE_SCATTER))
    return 0;
  // As much as one of fewer elements too.
  size_t small = kind == TITAN_OPERATION_ALL_REDUCE ? titan_mpi_small_bytes(comm, count, dtype) : 0;
  size_t blocks = lay_out(comm->size, dtype, pieces_of(kind, count, (size_t)comm->size)).total;
  bool is_small = kind == TITAN_OPERATION_ALL_REDUCE && titan_mpi_is_small(comm, count, dtype);
  return sizeof(titan_mpi_scratch) + (is_small || small > blocks ? small : blocks);
}

static void place_lane(const titan_work *work, const layout *l, unsigned char *memory, reduction_lane *lane) {
  lane->requests = (MPI_Request *)(void *)memory;
  lane->received = (char *)memory + l->requests_bytes;
  lane->sum = lane->received + l->received_bytes;
  lane->tree = (titan_reduce_tree){.dtype = titan_reduce_sum_type(work->operation.dtype),
                                   .reduction = work->operation.reduction,
                                   .own = work->comm->rank / l->window,
                                   .sources = l->windows,
                                   .sums = lane->sum + l->sum_bytes,
                                   .stride = l->sum_bytes};
}

static titan_status create_state(titan_work *work, reduction_state **out) {
  const titan_operation *operation = &work->operation;
  size_t pieces = pieces_of(operation->kind, operation->count, (size_t)work->comm->size);
  layout l = lay_out(work->comm->size, operation->dtype, pieces);
  titan_mpi_scratch *scratch = NULL;
  TITAN_TRY(titan_mpi_scratch_take(work->comm, l.total, &scratch));
  unsigned char *memory = scratch->memory;
  reduction_state *state = (reduction_state *)(void *)memory;
  *state = (reduction_state){.scratch = scratch, .window = l.window, .windows = l.windows, .piece = l.piece};
  memory += l.state_bytes;
  state->sources = (const void **)(void *)memory;
  memory += l.sources_bytes;
  size_t lane_bytes = (l.total - l.state_bytes - l.sources_bytes) / LANES;
  for (int index = 0; index < LANES; index++)
    place_lane(work, &l, memory + (size_t)index * lane_bytes, &state->lanes[index]);
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

titan_status titan_mpi_all_reduce_start(titan_work *work) {
  size_t size = (size_t)work->comm->size;
  if (titan_mpi_is_small(work->comm, work->operation.count, work->operation.dtype))
    return titan_mpi_small_start(work);
  reduction_state *state = NULL;
  TITAN_TRY(create_state(work, &state));
  state->block = state->piece * size;
  return begin_lanes(work, state);
}
