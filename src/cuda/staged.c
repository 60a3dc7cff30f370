// SPDX-License-Identifier: Apache-2.0
// An operation goes piece by piece through pinned memory of its own:
//   the group's queue, after what COMPUTE had got when the operation began, copies a piece out;
//   the host, when that has been done, does the operation on the piece over MPI;
//   the group's queue copies the piece in, and the next one out.
// The host's part goes on whenever communication is looked after (titan_comm_progress), and at the latest when the
// operation is waited for. It uses a communicator of its own, so that the order of pieces depends on the order of the
// group's operations alone. Collectives of a group are done one after another, and so are transfers that have one
// partner and one tag; other transfers go on beside each other, whatever the ranks wait for first.
#include "cuda/staged.h"
#include "base/clock.h"
#include "comm/backend.h"
#include "comm/recorder_private.h"
#include "cuda/nccl.h"
#include "device/queue.h"

#include <sched.h>

// Pinned memory of an operation.
enum { STAGE_BYTES = 4 << 20 };
// CUDA's pitches end at 2 GiB.
static const size_t most_pitch = (size_t)1 << 30;

typedef struct staged_group staged_group;

enum { PHASE_OUT, PHASE_HOST };

// An operation, with its pinned memory. One that is idle waits for its next use.
typedef struct staged_operation staged_operation;
struct staged_operation {
  titan_work driver; // among the works in flight of the process: it does the host's part
  titan_work part;   // the operation on one piece, over MPI
  staged_group *group;
  staged_operation *next; // in issue order until the host's part is done; among the idle ones
  char *stage;
  titan_mark mark;     // of its last copy, out or in
  titan_status status; // of a wait for the device
  int phase;
  bool runs;           // part has begun
  size_t first, count; // of the piece, elements
};

struct staged_group {
  titan_device *device;
  titan_comm *inner; // ranks as the host's group
  titan_queue queue;
  staged_operation *oldest, *newest, *idle;
};

// --- pieces: where an operation's elements lie on the device and in pinned memory ---

static bool is_transfer(const titan_operation *o) {
  return o->kind == TITAN_OPERATION_SEND || o->kind == TITAN_OPERATION_RECV;
}

// Elements of a piece, at most.
static size_t capacity(const titan_operation *o, size_t ranks) {
  size_t elements = STAGE_BYTES / titan_dtype_bytes(o->dtype);
  switch (o->kind) {
  case TITAN_OPERATION_ALL_GATHER:
  case TITAN_OPERATION_REDUCE_SCATTER:
    return elements / ranks;
  case TITAN_OPERATION_ALL_TO_ALL:
    return elements / ranks / 2;
  default:
    return elements;
  }
}

static bool goes_out(const titan_operation *o, int rank) {
  return o->kind == TITAN_OPERATION_BROADCAST ? o->peer == rank
                                              : o->kind != TITAN_OPERATION_RECV && o->kind != TITAN_OPERATION_BARRIER;
}

static bool comes_in(const titan_operation *o, int rank) {
  return o->kind == TITAN_OPERATION_BROADCAST ? o->peer != rank
                                              : o->kind != TITAN_OPERATION_SEND && o->kind != TITAN_OPERATION_BARRIER;
}

// A piece of one part, or of each rank's part, on the way out or in. `operand`: the part, or rank 0's.
static titan_status copy_piece(const staged_operation *op, const char *operand, char *stage, bool of_each_rank,
                               bool out) {
  const titan_operation *o = &op->driver.operation;
  size_t bytes = titan_dtype_bytes(o->dtype), piece = op->count * bytes, whole = o->count * bytes;
  size_t rows = of_each_rank ? (size_t)op->group->inner->size : 1;
  char *memory = (char *)(uintptr_t)operand + op->first * bytes;
  if (piece == 0)
    return TITAN_OK;
  for (size_t row = 0; rows > 1 && whole > most_pitch && row < rows; row++)
    TITAN_TRY(titan_queue_copy(op->group->device, op->group->queue, out ? stage + row * piece : memory + row * whole,
                               out ? memory + row * whole : stage + row * piece, piece));
  if (rows > 1 && whole > most_pitch)
    return TITAN_OK;
  return titan_queue_copy_rows(op->group->device, op->group->queue, out ? stage : memory, out ? piece : whole,
                               out ? memory : stage, out ? whole : piece, piece, rows);
}

// This rank's place among the ranks' pieces.
static char *own_place(const staged_operation *op) {
  return op->stage + (size_t)op->group->inner->rank * op->count * titan_dtype_bytes(op->driver.operation.dtype);
}

static char *received_place(const staged_operation *op) {
  bool apart = op->driver.operation.kind == TITAN_OPERATION_ALL_TO_ALL;
  size_t bytes = op->count * titan_dtype_bytes(op->driver.operation.dtype) * (size_t)op->group->inner->size;
  return apart ? op->stage + bytes : op->stage;
}

static titan_status copy_out(staged_operation *op) {
  const titan_operation *o = &op->driver.operation;
  if (!goes_out(o, op->group->inner->rank))
    return TITAN_OK;
  switch (o->kind) {
  case TITAN_OPERATION_ALL_GATHER:
    return copy_piece(op, o->send, own_place(op), false, true);
  case TITAN_OPERATION_REDUCE_SCATTER:
  case TITAN_OPERATION_ALL_TO_ALL:
    return copy_piece(op, o->send, op->stage, true, true);
  case TITAN_OPERATION_BROADCAST:
    return copy_piece(op, o->recv, op->stage, false, true);
  default:
    return copy_piece(op, o->send, op->stage, false, true);
  }
}

static titan_status copy_in(staged_operation *op) {
  const titan_operation *o = &op->driver.operation;
  if (!comes_in(o, op->group->inner->rank))
    return TITAN_OK;
  bool of_each_rank = o->kind == TITAN_OPERATION_ALL_GATHER || o->kind == TITAN_OPERATION_ALL_TO_ALL;
  char *from = o->kind == TITAN_OPERATION_REDUCE_SCATTER ? own_place(op) : received_place(op);
  return copy_piece(op, o->recv, from, of_each_rank, false);
}

// --- the host's part ---

static titan_work_start *start_of(const titan_comm *inner, titan_operation_kind kind) {
  const titan_comm_backend *backend = inner->backend;
  switch (kind) {
  case TITAN_OPERATION_ALL_GATHER:
    return backend->all_gather;
  case TITAN_OPERATION_REDUCE_SCATTER:
    return backend->reduce_scatter;
  case TITAN_OPERATION_ALL_REDUCE:
    return backend->all_reduce;
  case TITAN_OPERATION_BROADCAST:
    return backend->broadcast;
  case TITAN_OPERATION_ALL_TO_ALL:
    return backend->all_to_all;
  case TITAN_OPERATION_SEND:
    return backend->send;
  case TITAN_OPERATION_RECV:
    return backend->recv;
  default:
    return backend->barrier;
  }
}

static void end_part(staged_operation *op) {
  if (op->runs && op->part.release != NULL)
    op->part.release(&op->part);
  op->runs = false;
}

static titan_status begin_part(staged_operation *op) {
  titan_comm *inner = op->group->inner;
  op->part = (titan_work){.comm = inner, .operation = op->driver.operation};
  titan_operation *o = &op->part.operation;
  o->count = op->count;
  o->send = o->kind == TITAN_OPERATION_ALL_GATHER ? own_place(op) : op->stage;
  o->recv = o->kind == TITAN_OPERATION_REDUCE_SCATTER ? own_place(op) : received_place(op);
  if (!is_transfer(o))
    o->sequence = inner->sequence++;
  op->phase = PHASE_HOST;
  op->runs = true;
  return start_of(inner, o->kind)(&op->part);
}

// The next piece, from element `first` on: it is copied out.
static titan_status begin_piece(staged_operation *op, size_t first) {
  const staged_group *g = op->group;
  const titan_operation *o = &op->driver.operation;
  size_t most = capacity(o, (size_t)g->inner->size);
  op->first = first;
  op->count = o->count - first < most ? o->count - first : most;
  op->phase = PHASE_OUT;
  TITAN_TRY(copy_out(op));
  // What is received takes the memory as soon as that was copied in which lay there before.
  return o->kind == TITAN_OPERATION_RECV ? TITAN_OK : titan_queue_mark(g->device, g->queue, &op->mark);
}

// Whether `op` may go on only when `earlier` has ended.
static bool follows(const staged_operation *op, const staged_operation *earlier) {
  const titan_operation *a = &op->driver.operation, *b = &earlier->driver.operation;
  if (!is_transfer(a) && !is_transfer(b))
    return true;
  return a->kind == b->kind && a->peer == b->peer && a->tag == b->tag;
}

static bool has_turn(const staged_operation *op) {
  for (const staged_operation *earlier = op->group->oldest; earlier != op; earlier = earlier->next)
    if (follows(op, earlier))
      return false;
  return true;
}

static bool is_copied(const staged_operation *op) {
  titan_device *device = op->group->device;
  return op->mark.number == 0 || device->queues->reached(device, op->mark);
}

// The host's part of a piece has ended.
static titan_status end_piece(staged_operation *op, bool *done) {
  const staged_group *g = op->group;
  size_t next = op->first + op->count;
  end_part(op);
  TITAN_TRY(copy_in(op));
  if (comes_in(&op->driver.operation, g->inner->rank))
    TITAN_TRY(titan_queue_mark(g->device, g->queue, &op->mark));
  *done = next >= op->driver.operation.count;
  return *done ? TITAN_OK : begin_piece(op, next);
}

static titan_status driver_advance(titan_work *work, bool *done) {
  staged_operation *op = work->state.pointer;
  TITAN_TRY(op->status);
  while (!*done) {
    bool part_done = false;
    if (op->phase == PHASE_OUT) {
      if (!has_turn(op) || !is_copied(op))
        return TITAN_OK;
      TITAN_TRY(begin_part(op));
    }
    TITAN_TRY(op->part.advance(&op->part, &part_done));
    if (!part_done)
      return TITAN_OK;
    TITAN_TRY(end_piece(op, done));
  }
  return TITAN_OK;
}

// The host's part has ended, or failed.
static void driver_release(titan_work *work) {
  staged_operation *op = work->state.pointer, **link = &op->group->oldest, *before = NULL;
  end_part(op);
  for (; *link != op; link = &(*link)->next)
    before = *link;
  *link = op->next;
  if (op->group->newest == op)
    op->group->newest = before;
}

// --- operations ---

static titan_status create_operation(staged_group *g) {
  staged_operation *op = NULL;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_COMMUNICATION, 1, sizeof *op, &op));
  titan_status status =
      g->device->allocate(g->device, TITAN_SPACE_HOST, TITAN_MEMORY_COMMUNICATION, STAGE_BYTES, &op->stage);
  if (status != TITAN_OK) {
    titan_memory_free(op);
    return status;
  }
  op->group = g;
  op->next = g->idle;
  g->idle = op;
  return TITAN_OK;
}

static void destroy_idle(staged_group *g) {
  while (g->idle != NULL) {
    staged_operation *op = g->idle;
    g->idle = op->next;
    (void)titan_queue_wait(g->device, op->mark); // its last copy
    g->device->free(g->device, TITAN_SPACE_HOST, op->stage);
    titan_memory_free(op);
  }
}

static titan_status start(titan_work *work) {
  staged_group *g = work->comm->state;
  if (g->idle == NULL) // more in flight than was reserved for
    TITAN_TRY(create_operation(g));
  staged_operation *op = g->idle;
  op->driver = (titan_work){.comm = g->inner,
                            .operation = work->operation,
                            .advance = driver_advance,
                            .release = driver_release,
                            .state.pointer = op,
                            .record = work->record};
  op->status = TITAN_OK;
  TITAN_TRY(titan_queue_follow(g->device, g->queue, TITAN_QUEUE_COMPUTE));
  TITAN_TRY(begin_piece(op, 0));
  g->idle = op->next;
  op->next = NULL;
  if (g->newest != NULL)
    g->newest->next = op;
  else
    g->oldest = op;
  g->newest = op;
  titan_work_list_append(&op->driver);
  work->state.pointer = op;
  return TITAN_OK;
}

// Waits for the copies that the host's part of `op`, and of those before it, waits for.
static void wait_for_copies(staged_operation *op) {
  titan_device *device = op->group->device;
  for (staged_operation *o = op->group->oldest; o != NULL; o = o == op ? NULL : o->next)
    if (o->phase == PHASE_OUT && has_turn(o))
      o->status = titan_queue_wait(device, o->mark);
}

// The host goes on when its own part is done; COMPUTE, when all is.
static titan_status join(titan_work *work) {
  staged_operation *op = work->state.pointer;
  staged_group *g = op->group;
  double begun = titan_clock_seconds();
  titan_recorder_wait(work->comm, &work->operation, work->record, begun);
  while (!op->driver.done) {
    wait_for_copies(op);
    titan_comm_progress();
    if (titan_cuda_nccl_is_used()) // another group's operation may have failed
      TITAN_TRY(titan_cuda_nccl_check());
    if (!op->driver.done)
      sched_yield(); // ranks may outnumber cores
  }
  double ended = titan_clock_seconds();
  titan_recorder_waited(ended);
  titan_comm_count_exposed(work->comm, &work->operation, false, begun, ended);
  op->next = g->idle;
  g->idle = op;
  if (op->driver.status != TITAN_OK)
    return titan_error(op->driver.status, "%s", op->driver.message);
  return g->queue == TITAN_QUEUE_COMPUTE || !comes_in(&work->operation, g->inner->rank)
             ? TITAN_OK
             : titan_queue_after(g->device, TITAN_QUEUE_COMPUTE, op->mark);
}

// --- groups ---

static titan_status alone(titan_comm *comm, void *recv, const void *send, size_t bytes) {
  const staged_group *g = comm->state;
  return titan_queue_copy(g->device, TITAN_QUEUE_COMPUTE, recv, send, bytes);
}

static size_t buffer_bytes(const titan_comm *comm, titan_operation_kind kind, size_t count, titan_dtype dtype) {
  (void)comm, (void)kind, (void)count, (void)dtype;
  return sizeof(staged_operation) + STAGE_BYTES;
}

static titan_status reserve(titan_comm *comm, int buffers, size_t bytes) {
  staged_group *g = comm->state;
  (void)bytes;
  destroy_idle(g);
  for (int i = 0; i < buffers; i++)
    TITAN_TRY(create_operation(g));
  return TITAN_OK;
}

static void destroy(titan_comm *comm) {
  staged_group *g = comm->state;
  destroy_idle(g);
  titan_comm_destroy(&g->inner);
  titan_memory_free(g);
}

static const titan_comm_backend staged_backend = {
    .name = "cuda, staged",
    .all_gather = start,
    .reduce_scatter = start,
    .all_reduce = start,
    .broadcast = start,
    .all_to_all = start,
    .send = start,
    .recv = start,
    .barrier = start,
    .buffer_bytes = buffer_bytes,
    .reserve = reserve,
    .join = join,
    .alone = alone,
    .destroy = destroy,
};

// What the host's part takes from its group: a reduction of one piece at a time.
static titan_comm_reservation reservation_of(const titan_comm *host) {
  static const titan_dtype dtypes[] = {TITAN_BFLOAT16, TITAN_FLOAT32, TITAN_FLOAT64};
  titan_comm_reservation most = titan_comm_reservation_least(host);
  for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
    size_t count = STAGE_BYTES / titan_dtype_bytes(dtypes[i]), each = count / (size_t)titan_comm_size(host);
    titan_comm_reservation all = {
        .works = 1, .buffers = 1, .buffer_bytes = titan_comm_all_reduce_bytes(host, count, dtypes[i])};
    titan_comm_reservation scatter = {.buffer_bytes = titan_comm_reduce_scatter_bytes(host, each, dtypes[i])};
    most = titan_comm_reservation_join(most, titan_comm_reservation_join(all, scatter));
  }
  return most;
}

static titan_status create_inner(titan_comm *host, titan_comm **inner) {
  TITAN_TRY(titan_comm_create_mpi(titan_comm_mpi(host), titan_comm_name(host), inner));
  titan_status status = titan_comm_reserve(*inner, reservation_of(host));
  if (status != TITAN_OK)
    titan_comm_destroy(inner);
  return status;
}

titan_status titan_cuda_staged_group(titan_device *device, titan_comm *host, titan_queue queue, titan_comm **out) {
  staged_group *g = NULL;
  titan_comm *inner = NULL;
  *out = NULL;
  TITAN_TRY(create_inner(host, &inner));
  titan_status status = titan_memory_allocate_zeroed(TITAN_MEMORY_COMMUNICATION, 1, sizeof *g, &g);
  if (status != TITAN_OK) {
    titan_comm_destroy(&inner);
    return status;
  }
  *g = (staged_group){.device = device, .inner = inner, .queue = queue};
  return titan_comm_create_over(&staged_backend, host, g, out);
}

size_t titan_cuda_staged_group_bytes(const titan_comm *host, int works) {
  size_t operations = (size_t)(works > 1 ? works : 1), handle = titan_comm_bytes(host);
  handle -= titan_comm_reservation_bytes(host, titan_comm_reservation_least(host));
  return titan_comm_over_bytes(host, works) + sizeof(staged_group) +
         operations * (sizeof(staged_operation) + STAGE_BYTES) + handle +
         titan_comm_reservation_bytes(host, reservation_of(host));
}
