// SPDX-License-Identifier: Apache-2.0
#include "comm/levels.h"
#include "comm/mpi.h"
#include "comm/mpi_error.h"
#include "comm/reduce.h"
#include "comm/staging.h"

// --- what an operation's steps are ---

// Each rank has a share of the operation's vector: of all_gather and reduce_scatter what one rank passes or gets. The
// steps of a range of all shares follow one another; those of a reduction come before those that gather its result.
typedef struct plan {
  size_t share, total;      // elements; the last shares of an all_reduce may be short, or empty
  size_t bytes;             // of an element of the operation
  titan_dtype sum;          // what is reduced, and travels: float32 for bfloat16
  size_t sum_bytes;         // of an element
  size_t reduced, gathered; // elements of a range
  uint64_t reducing, steps; // steps that reduce, and all
} plan;

typedef struct step {
  bool gathers;
  size_t first, most; // the range in each share, elements
  int turn, phase;    // its number among those of the range, and the nodes' distance
  int node;           // that this one meets
} step;

// A slot's elements for each of its parts, a whole number of cache lines where there are so many.
static size_t range_of(int parts, size_t element_bytes) {
  size_t elements = TITAN_LEVELS_SLOT_BYTES / (size_t)parts / element_bytes;
  return elements > TITAN_MEMORY_ALIGNMENT ? elements / TITAN_MEMORY_ALIGNMENT * TITAN_MEMORY_ALIGNMENT : elements;
}

static plan plan_of(const titan_work *work) {
  const titan_operation *operation = &work->operation;
  titan_comm_nodes nodes = work->comm->nodes;
  size_t size = (size_t)work->comm->size;
  bool whole = operation->kind == TITAN_OPERATION_ALL_REDUCE;
  plan p = {.share = whole ? (operation->count + size - 1) / size : operation->count,
            .total = whole ? operation->count : operation->count * size,
            .bytes = titan_dtype_bytes(operation->dtype),
            .sum = titan_reduce_sum_type(operation->dtype)};
  p.sum_bytes = titan_dtype_bytes(p.sum);
  p.reduced = range_of(nodes.most, p.sum_bytes);
  p.gathered = range_of((nodes.most + nodes.least - 1) / nodes.least, p.bytes);
  if (operation->kind != TITAN_OPERATION_ALL_GATHER)
    p.reducing = (p.share + p.reduced - 1) / p.reduced * (uint64_t)nodes.count;
  p.steps = p.reducing;
  if (operation->kind != TITAN_OPERATION_REDUCE_SCATTER)
    p.steps += (p.share + p.gathered - 1) / p.gathered * (uint64_t)nodes.count;
  return p;
}

static step step_of(const titan_levels *levels, const plan *p, uint64_t number) {
  step s = {.gathers = number >= p->reducing};
  uint64_t nodes = (uint64_t)levels->comm->nodes.count, among = s.gathers ? number - p->reducing : number;
  s.most = s.gathers ? p->gathered : p->reduced;
  s.first = (size_t)(among / nodes) * s.most;
  s.turn = (int)(among % nodes);
  s.phase = titan_reduce_tree_distance(levels->own, levels->comm->nodes.count, s.turn);
  s.node = levels->own ^ s.phase;
  return s;
}

// The elements of a rank's share that a step is about, as they lie in the vector.
static titan_mpi_span span_of(const plan *p, const step *s, int rank) {
  size_t begin = (size_t)rank * p->share + s->first, left = p->share - s->first;
  size_t count = left < s->most ? left : s->most;
  if (begin >= p->total)
    return (titan_mpi_span){p->total, 0};
  return (titan_mpi_span){begin, p->total - begin < count ? p->total - begin : count};
}

static int ranks_of(const titan_levels *levels, int node) {
  return levels->firsts[node + 1] - levels->firsts[node];
}

static int rank_of(const titan_levels *levels, int node, int index) {
  return levels->ranks[levels->firsts[node] + index];
}

static int own_index(const titan_levels *levels) {
  return levels->node->rank;
}

// --- messages ---

static titan_levels_lane *lane_of(titan_levels *levels, uint64_t ticket) {
  return &levels->lanes[ticket % TITAN_LEVELS_SLOTS];
}

static titan_status receive(titan_work *work, titan_levels_lane *lane, const step *s, int from, void *to,
                            size_t bytes) {
  return TITAN_MPI(MPI_Irecv(to, (int)bytes, MPI_BYTE, from, titan_mpi_internal_tag(work, s->gathers), work->comm->mpi,
                             &lane->receives[lane->receive_count++]));
}

static titan_status send(titan_work *work, titan_levels_lane *lane, const step *s, int to, const void *from,
                         size_t bytes) {
  titan_comm *comm = work->comm;
  comm->traffic.between_nodes += bytes;
  comm->traffic.messages_between_nodes++;
  return TITAN_MPI(MPI_Isend(from, (int)bytes, MPI_BYTE, to, titan_mpi_internal_tag(work, s->gathers), comm->mpi,
                             &lane->sends[lane->send_count++]));
}

// --- reducing ---

static char *part_of(const titan_levels *levels, const plan *p, int node_rank, uint64_t ticket, int index) {
  return titan_levels_slot(levels, node_rank, ticket) + (size_t)index * p->reduced * p->sum_bytes;
}

static char *received_of(const titan_levels *levels, uint64_t ticket) {
  return levels->received + ticket % TITAN_LEVELS_SLOTS * levels->tree.stride;
}

static titan_status place_parts(titan_work *work, titan_levels *levels, const plan *p, const step *s, uint64_t ticket) {
  const char *from = work->operation.send;
  for (int i = 0; i < ranks_of(levels, s->node); i++) {
    titan_mpi_span span = span_of(p, s, rank_of(levels, s->node, i));
    titan_reduce_widen(work->operation.dtype, part_of(levels, p, own_index(levels), ticket, i),
                       from + span.first * p->bytes, span.count);
  }
  titan_mpi_span own = span_of(p, s, work->comm->rank);
  if (s->phase == 0 || own.count == 0)
    return TITAN_OK;
  int sender = rank_of(levels, s->node, own_index(levels) % ranks_of(levels, s->node));
  return receive(work, lane_of(levels, ticket), s, sender, received_of(levels, ticket), own.count * p->sum_bytes);
}

static titan_status sum_parts(titan_work *work, titan_levels *levels, const plan *p, const step *s, uint64_t ticket) {
  int size = levels->node->size;
  for (int i = own_index(levels); i < ranks_of(levels, s->node); i += size) {
    int rank = rank_of(levels, s->node, i);
    size_t count = span_of(p, s, rank).count;
    char *sum = part_of(levels, p, own_index(levels), ticket, i);
    for (int other = 0; other < size; other++)
      levels->sources[other] = part_of(levels, p, other, ticket, i);
    if (count == 0)
      continue;
    TITAN_TRY(titan_reduce(p->sum, work->operation.reduction, levels->sources, size, sum, count));
    if (s->phase != 0)
      TITAN_TRY(send(work, lane_of(levels, ticket), s, rank, sum, count * p->sum_bytes));
  }
  return TITAN_OK;
}

static titan_status join(titan_work *work, titan_levels *levels, const plan *p, const step *s, uint64_t ticket) {
  const titan_operation *operation = &work->operation;
  titan_mpi_span own = span_of(p, s, work->comm->rank);
  void *sum =
      s->phase == 0 ? part_of(levels, p, own_index(levels), ticket, own_index(levels)) : received_of(levels, ticket);
  const void *result;
  if (own.count == 0)
    return TITAN_OK;
  levels->tree.dtype = p->sum;
  levels->tree.reduction = operation->reduction;
  TITAN_TRY(titan_reduce_tree_take(&levels->tree, s->turn, sum, own.count, &result));
  if (result == NULL)
    return TITAN_OK;
  size_t place = operation->kind == TITAN_OPERATION_REDUCE_SCATTER ? s->first : own.first;
  titan_reduce_narrow(operation->dtype, (char *)operation->recv + place * p->bytes, result, own.count);
  return TITAN_OK;
}

// --- gathering ---

static char *place_of(const titan_levels *levels, const plan *p, int index, uint64_t ticket) {
  int size = levels->node->size;
  return titan_levels_slot(levels, index % size, ticket) + (size_t)(index / size) * p->gathered * p->bytes;
}

// What this rank gives.
static const char *given(const titan_work *work, const plan *p, const step *s, titan_mpi_span own) {
  if (work->operation.kind == TITAN_OPERATION_ALL_GATHER)
    return (const char *)work->operation.send + s->first * p->bytes;
  return (const char *)work->operation.recv + own.first * p->bytes; // it was reduced there
}

static titan_status place_range(titan_work *work, titan_levels *levels, const plan *p, const step *s, uint64_t ticket) {
  titan_levels_lane *lane = lane_of(levels, ticket);
  titan_mpi_span own = span_of(p, s, work->comm->rank);
  const char *from = given(work, p, s, own);
  if (s->phase == 0) {
    titan_staging_copy(place_of(levels, p, own_index(levels), ticket), from, own.count * p->bytes);
    return TITAN_OK;
  }
  for (int i = own_index(levels); i < ranks_of(levels, s->node); i += levels->node->size) {
    int rank = rank_of(levels, s->node, i);
    size_t count = span_of(p, s, rank).count;
    if (count > 0)
      TITAN_TRY(receive(work, lane, s, rank, place_of(levels, p, i, ticket), count * p->bytes));
  }
  int to = rank_of(levels, s->node, own_index(levels) % ranks_of(levels, s->node));
  return own.count > 0 ? send(work, lane, s, to, from, own.count * p->bytes) : TITAN_OK;
}

static void take_range(titan_work *work, titan_levels *levels, const plan *p, const step *s, uint64_t ticket) {
  for (int i = 0; i < ranks_of(levels, s->node); i++) {
    titan_mpi_span span = span_of(p, s, rank_of(levels, s->node, i));
    char *to = (char *)work->operation.recv + span.first * p->bytes;
    const char *from = place_of(levels, p, i, ticket);
    if (s->phase == 0 && i == own_index(levels))
      from = given(work, p, s, span);
    if (from != to)
      titan_staging_copy(to, from, span.count * p->bytes);
  }
}

// --- stages ---

// A stage takes one step on, if it can: *moved.
typedef titan_status stage(titan_work *work, titan_levels *levels, const plan *p, const step *s, uint64_t ticket,
                           bool *moved);

// The number of the next step of a stage among the work's own, from 0; beyond them while others are to be seen to.
static uint64_t next_of(const titan_work *work, uint64_t reached) {
  return reached - work->state.number;
}

static titan_status try_to_place(titan_work *work, titan_levels *levels, const plan *p, const step *s, uint64_t ticket,
                                 bool *moved) {
  bool has_result = !s->gathers || p->reducing == 0 || levels->retired >= work->state.number + p->reducing;
  uint64_t before = ticket > TITAN_LEVELS_SLOTS ? ticket - TITAN_LEVELS_SLOTS : 0;
  if (!has_result || levels->retired < before || !titan_levels_all_used(levels, before))
    return TITAN_OK;
  titan_levels_lane *lane = lane_of(levels, ticket);
  lane->receive_count = lane->send_count = 0;
  *moved = true;
  levels->placed = ticket;
  return s->gathers ? place_range(work, levels, p, s, ticket) : place_parts(work, levels, p, s, ticket);
}

static titan_status received_all(titan_levels_lane *lane, bool *all) {
  int flag = 0;
  titan_status status = TITAN_MPI(MPI_Testall(lane->receive_count, lane->receives, &flag, MPI_STATUSES_IGNORE));
  *all = flag;
  return status;
}

static titan_status try_to_arrive(titan_work *work, titan_levels *levels, const plan *p, const step *s, uint64_t ticket,
                                  bool *moved) {
  (void)work, (void)p;
  *moved = levels->placed >= ticket;
  if (*moved && s->gathers)
    TITAN_TRY(received_all(lane_of(levels, ticket), moved));
  if (*moved) {
    levels->arrived = ticket;
    titan_levels_tell_arrived(levels);
  }
  return TITAN_OK;
}

static titan_status try_to_use(titan_work *work, titan_levels *levels, const plan *p, const step *s, uint64_t ticket,
                               bool *moved) {
  *moved = levels->arrived >= ticket && titan_levels_all_arrived(levels, ticket);
  if (!*moved)
    return TITAN_OK;
  if (s->gathers)
    take_range(work, levels, p, s, ticket);
  else
    TITAN_TRY(sum_parts(work, levels, p, s, ticket));
  levels->used = ticket;
  titan_levels_tell_used(levels);
  return TITAN_OK;
}

static titan_status try_to_retire(titan_work *work, titan_levels *levels, const plan *p, const step *s, uint64_t ticket,
                                  bool *moved) {
  titan_levels_lane *lane = lane_of(levels, ticket);
  int sent = 0;
  if (levels->used < ticket)
    return TITAN_OK;
  TITAN_TRY(received_all(lane, moved));
  TITAN_TRY_MPI(MPI_Testall(lane->send_count, lane->sends, &sent, MPI_STATUSES_IGNORE));
  *moved = *moved && sent;
  if (!*moved)
    return TITAN_OK;
  if (!s->gathers)
    TITAN_TRY(join(work, levels, p, s, ticket));
  levels->retired = ticket;
  return TITAN_OK;
}

// Takes one stage on as far as it goes. *reached is where the stage is in the levels.
static titan_status run_stage(titan_work *work, titan_levels *levels, const plan *p, stage *try,
                              const uint64_t *reached, bool *any) {
  bool moved = true;
  while (moved && *reached >= work->state.number && next_of(work, *reached) < p->steps) {
    step s = step_of(levels, p, next_of(work, *reached));
    moved = false;
    TITAN_TRY(try(work, levels, p, &s, *reached + 1, &moved));
    *any = *any || moved;
  }
  return TITAN_OK;
}

// A rank that waits for the others of its node has messages that others wait for, and those go on only in calls of MPI.
static titan_status progress_messages(const titan_comm *comm) {
  int flag;
  return TITAN_MPI(MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, comm->mpi, &flag, MPI_STATUS_IGNORE));
}

static titan_status advance(titan_work *work, bool *done) {
  titan_levels *levels = work->comm->levels;
  plan p = plan_of(work);
  for (bool moved = true; moved;) {
    moved = false;
    TITAN_TRY(run_stage(work, levels, &p, try_to_place, &levels->placed, &moved));
    TITAN_TRY(run_stage(work, levels, &p, try_to_arrive, &levels->arrived, &moved));
    TITAN_TRY(run_stage(work, levels, &p, try_to_use, &levels->used, &moved));
    TITAN_TRY(run_stage(work, levels, &p, try_to_retire, &levels->retired, &moved));
  }
  *done = levels->retired >= work->state.number + p.steps;
  return *done ? TITAN_OK : progress_messages(work->comm);
}

titan_status titan_levels_start(titan_work *work) {
  titan_levels *levels = work->comm->levels;
  work->advance = advance;
  work->state.number = levels->given;
  levels->given += plan_of(work).steps;
  return TITAN_OK;
}
