// SPDX-License-Identifier: Apache-2.0
// Ping-pongs between neighbours of the world. Each rank is in one ping-pong at a time: links of even ranks first, then
// those of odd ranks, and last the link from the last of an odd number of ranks to rank 0.
#include "check/exchange.h"
#include "check/results.h"

#include "base/clock.h"
#include "base/median.h"
#include "device/queue.h"

enum { TURNS = 3, LATENCY_ROUNDS = 15, RATE_ROUNDS = 5 };

static int turn_of(int link, int ranks) {
  return link == ranks - 1 && ranks % 2 == 1 ? 2 : link % 2;
}

static titan_status ping(const titan_check_exchange *x, int peer, size_t count) {
  TITAN_TRY(titan_comm_send(x->group, x->send, count, TITAN_FLOAT32, peer, 0, NULL));
  TITAN_TRY(titan_comm_recv(x->group, x->recv, count, TITAN_FLOAT32, peer, 0, NULL));
  return titan_device_drain(x->device);
}

static titan_status pong(const titan_check_exchange *x, int peer, size_t count) {
  TITAN_TRY(titan_comm_recv(x->group, x->recv, count, TITAN_FLOAT32, peer, 0, NULL));
  TITAN_TRY(titan_comm_send(x->group, x->send, count, TITAN_FLOAT32, peer, 0, NULL));
  return titan_device_drain(x->device);
}

// Both ranks of the link call it. Median seconds one way, of the rank that begins.
static titan_status time_rounds(const titan_check_exchange *x, bool begins, int peer, size_t bytes, int rounds,
                                double *median) {
  double seconds[LATENCY_ROUNDS];
  for (int i = -1; i < rounds; i++) { // the first warms up
    double start = titan_clock_seconds();
    TITAN_TRY((begins ? ping : pong)(x, peer, bytes / sizeof(float)));
    if (i >= 0)
      seconds[i] = (titan_clock_seconds() - start) / 2;
  }
  *median = titan_median(seconds, rounds);
  return TITAN_OK;
}

static titan_status measure_link(const titan_check_exchange *x, bool begins, int peer, titan_check_record *record) {
  double latency = 0, seconds = 0;
  TITAN_TRY(time_rounds(x, begins, peer, titan_check_small_bytes, LATENCY_ROUNDS, &latency));
  TITAN_TRY(time_rounds(x, begins, peer, titan_check_link_bytes, RATE_ROUNDS, &seconds));
  if (begins) {
    record->link_latency = latency;
    record->link_rate = (double)titan_check_link_bytes / seconds;
  }
  return TITAN_OK;
}

titan_status titan_check_measure_links(const titan_check_environment *e, titan_check_record *record) {
  int ranks = titan_comm_size(e->world), rank = titan_comm_rank(e->world);
  int next = (rank + 1) % ranks, before = (rank + ranks - 1) % ranks;
  size_t count = titan_check_link_bytes / sizeof(float);
  titan_check_exchange x = {0};
  titan_status status = TITAN_OK;
  if (ranks == 1)
    return TITAN_OK;
  TITAN_TRY_CLEANUP(titan_check_exchange_create(e, e->world, TITAN_QUEUE_PIPELINE, count, count, count, &x));
  for (int turn = 0; turn < TURNS; turn++) {
    TITAN_TRY_CLEANUP(titan_comm_barrier(e->world, NULL));
    if (titan_check_has_link(rank, ranks) && turn_of(rank, ranks) == turn)
      TITAN_TRY_CLEANUP(measure_link(&x, true, next, record));
    else if (titan_check_has_link(before, ranks) && turn_of(before, ranks) == turn)
      TITAN_TRY_CLEANUP(measure_link(&x, false, before, record));
  }
cleanup:
  titan_check_exchange_destroy(&x);
  return status;
}
