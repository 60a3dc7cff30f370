// SPDX-License-Identifier: Apache-2.0
// Groups: an operation begins after all that COMPUTE has got so far, is done in the group's queue through the host's
// group, and COMPUTE goes on after it where it is waited for.
#include "apart_private.h"

#include "device/queue.h"

#include <stdlib.h>
#include <string.h>

typedef struct apart_comm {
  titan_device *device;
  titan_comm *host;
  titan_queue queue;
} apart_comm;

// A transfer between two ranks goes through memory that stays open to the other rank when the host waits: the ranks of
// a pipeline wait at different places. What is sent may not change until the transfer ends, and what is received is
// there only then.
struct apart_transfer {
  titan_work *work;
  void *device; // the block of device memory
  size_t bytes;
  char host[];
};

static titan_status end_transfer(apart *a, apart_op *op) {
  apart_transfer *t = op->of.exchange_of.transfer;
  (void)a;
  titan_status status = titan_work_wait(&t->work);
  bool sends = op->of.exchange_of.operation.kind == TITAN_OPERATION_SEND;
  if (status == TITAN_OK && sends && memcmp(t->host, t->device, t->bytes) != 0)
    status = titan_error(TITAN_ERROR_INTERNAL, "apart device: a block was written over while it was sent");
  if (status == TITAN_OK && !sends)
    memcpy(t->device, t->host, t->bytes);
  free(t);
  return status;
}

static titan_status begin_transfer(titan_comm *host, const titan_operation *o, apart_transfer *t) {
  if (o->kind == TITAN_OPERATION_SEND) {
    memcpy(t->host, t->device, t->bytes);
    return titan_comm_send(host, t->host, o->count, o->dtype, o->peer, o->tag, &t->work);
  }
  memset(t->device, 0xff, t->bytes); // NaN
  return titan_comm_recv(host, t->host, o->count, o->dtype, o->peer, o->tag, &t->work);
}

static titan_status run_operation(apart *a, apart_op *op) {
  const titan_operation *o = &op->of.exchange_of.operation;
  titan_comm *host = op->of.exchange_of.group;
  (void)a;
  switch (o->kind) {
  case TITAN_OPERATION_ALL_GATHER:
    return titan_comm_all_gather(host, o->send, o->recv, o->count, o->dtype, NULL);
  case TITAN_OPERATION_REDUCE_SCATTER:
    return titan_comm_reduce_scatter(host, o->send, o->recv, o->count, o->dtype, o->reduction, NULL);
  case TITAN_OPERATION_ALL_REDUCE:
    return titan_comm_all_reduce(host, o->send, o->recv, o->count, o->dtype, o->reduction, NULL);
  case TITAN_OPERATION_BROADCAST:
    return titan_comm_broadcast(host, o->recv, o->count, o->dtype, o->peer, NULL);
  case TITAN_OPERATION_ALL_TO_ALL:
    return titan_comm_all_to_all(host, o->send, o->recv, o->count, o->dtype, NULL);
  case TITAN_OPERATION_SEND:
  case TITAN_OPERATION_RECV:
    return begin_transfer(host, o, op->of.exchange_of.transfer);
  case TITAN_OPERATION_BARRIER:
    return titan_comm_barrier(host, NULL);
  default:
    return titan_error(TITAN_ERROR_INTERNAL, "apart device: %s in a group", titan_operation_name(o->kind));
  }
}

static bool is_transfer(const titan_operation *operation) {
  return operation->kind == TITAN_OPERATION_SEND || operation->kind == TITAN_OPERATION_RECV;
}

static titan_status add_exchange(const apart_comm *c, titan_status (*run)(apart *a, apart_op *op), apart_op **op) {
  TITAN_TRY(apart_add(apart_of(c->device), c->queue, run, op));
  (*op)->exchange = true;
  (*op)->of.exchange_of.group = c->host;
  return TITAN_OK;
}

// NULL where there is no memory.
static apart_transfer *create_transfer(const titan_operation *o) {
  size_t bytes = o->count * titan_dtype_bytes(o->dtype);
  apart_transfer *t = malloc(sizeof *t + bytes);
  if (t == NULL)
    return NULL;
  *t = (apart_transfer){.device = o->kind == TITAN_OPERATION_SEND ? (void *)(uintptr_t)o->send : o->recv,
                        .bytes = bytes};
  return t;
}

static titan_status start(titan_work *work) {
  const apart_comm *c = work->comm->state;
  apart_transfer *transfer = NULL;
  titan_mark mark;
  apart_op *op = NULL;
  if (is_transfer(&work->operation) && (transfer = create_transfer(&work->operation)) == NULL)
    return titan_error(TITAN_ERROR_MEMORY, "apart device: no memory for a transfer");
  TITAN_TRY(titan_queue_follow(c->device, c->queue, TITAN_QUEUE_COMPUTE));
  TITAN_TRY(add_exchange(c, run_operation, &op));
  op->of.exchange_of.operation = work->operation;
  op->of.exchange_of.transfer = transfer;
  TITAN_TRY(titan_queue_mark(c->device, c->queue, &mark));
  if (transfer != NULL)
    work->state.pointer = transfer;
  else
    work->state.number = mark.number;
  return TITAN_OK;
}

static titan_status join(titan_work *work) {
  const apart_comm *c = work->comm->state;
  titan_mark mark = {work->state.number};
  apart_op *op = NULL;
  if (is_transfer(&work->operation)) {
    TITAN_TRY(add_exchange(c, end_transfer, &op));
    op->of.exchange_of.operation = work->operation;
    op->of.exchange_of.transfer = work->state.pointer;
    TITAN_TRY(titan_queue_mark(c->device, c->queue, &mark));
  }
  return titan_queue_after(c->device, TITAN_QUEUE_COMPUTE, mark);
}

static titan_status alone(titan_comm *comm, void *recv, const void *send, size_t bytes) {
  const apart_comm *c = comm->state;
  return titan_queue_copy(c->device, TITAN_QUEUE_COMPUTE, recv, send, bytes);
}

static void destroy(titan_comm *comm) {
  free(comm->state);
}

static const titan_comm_backend backend = {
    .name = "apart",
    .all_gather = start,
    .reduce_scatter = start,
    .all_reduce = start,
    .broadcast = start,
    .all_to_all = start,
    .send = start,
    .recv = start,
    .barrier = start,
    .join = join,
    .recordable = true,
    .alone = alone,
    .destroy = destroy,
};

titan_status apart_group(titan_device *device, titan_comm *host, titan_queue queue, titan_comm **out) {
  apart_comm *c = malloc(sizeof *c);
  *out = NULL;
  if (c == NULL)
    return titan_error(TITAN_ERROR_MEMORY, "apart device: no memory for a group");
  *c = (apart_comm){device, host, queue};
  return titan_comm_create_over(&backend, host, c, out);
}

titan_comm *apart_host_group(titan_comm *group) {
  return group->backend == &backend ? ((apart_comm *)group->state)->host : group;
}
