// SPDX-License-Identifier: Apache-2.0
#include "check/exchange.h"

#include "device/queue.h"

// Host groups keep the working memory of a reduction; groups of a device have their own.
static titan_status reserve(const titan_check_exchange *x) {
  if (x->group != x->host || titan_comm_size(x->host) == 1)
    return TITAN_OK;
  titan_comm_reservation reservation = titan_comm_reservation_least(x->host);
  size_t bytes = titan_comm_reduce_scatter_bytes(x->host, x->count, TITAN_FLOAT32);
  reservation.buffer_bytes = bytes > reservation.buffer_bytes ? bytes : reservation.buffer_bytes;
  return titan_comm_reserve(x->host, reservation);
}

static titan_status allocate(titan_check_exchange *x, size_t count, float **out) {
  TITAN_TRY(x->device->allocate(x->device, TITAN_SPACE_EXCHANGE, TITAN_MEMORY_GENERAL, count * sizeof(float), out));
  return x->device->vector->fill(x->device, (int64_t)count, *out, 1.0f);
}

titan_status titan_check_exchange_create(const titan_check_environment *e, titan_comm *host, titan_queue queue,
                                         size_t count, size_t send_count, size_t recv_count,
                                         titan_check_exchange *out) {
  *out = (titan_check_exchange){.device = e->device, .host = host, .count = count};
  titan_status status = titan_device_group_create(e->device, host, queue, 1, &out->group);
  if (status == TITAN_OK)
    status = reserve(out);
  if (status == TITAN_OK)
    status = allocate(out, send_count, &out->send);
  if (status == TITAN_OK)
    status = allocate(out, recv_count, &out->recv);
  if (status == TITAN_OK)
    status = titan_device_drain(e->device);
  return titan_comm_agree(e->world, status);
}

void titan_check_exchange_destroy(titan_check_exchange *x) {
  if (x->device == NULL)
    return;
  x->device->free(x->device, TITAN_SPACE_EXCHANGE, x->send);
  x->device->free(x->device, TITAN_SPACE_EXCHANGE, x->recv);
  if (x->group == x->host)
    (void)titan_comm_reserve(x->host, titan_comm_reservation_least(x->host)); // gives memory back, which cannot fail
  titan_device_group_destroy(x->host, &x->group);
}
