// SPDX-License-Identifier: Apache-2.0
#include "train/observers/trace_clock.h"

#include "base/clock.h"

enum { ROUNDS = 8, TAG = 0 };

// Rank 0 answers with its time; *ahead: how far its clock is ahead of this rank's.
static titan_status ask(titan_comm *world, double *ahead) {
  double best = 1e300;
  for (int round = 0; round < ROUNDS; round++) {
    double sent = titan_clock_seconds(), there;
    TITAN_TRY(titan_comm_send(world, &sent, 1, TITAN_FLOAT64, 0, TAG, NULL));
    TITAN_TRY(titan_comm_recv(world, &there, 1, TITAN_FLOAT64, 0, TAG, NULL));
    double back = titan_clock_seconds();
    if (back - sent < best) {
      best = back - sent;
      *ahead = there - (sent + back) / 2;
    }
  }
  return TITAN_OK;
}

static titan_status answer(titan_comm *world, int rank) {
  for (int round = 0; round < ROUNDS; round++) {
    double there;
    TITAN_TRY(titan_comm_recv(world, &there, 1, TITAN_FLOAT64, rank, TAG, NULL));
    there = titan_clock_seconds();
    TITAN_TRY(titan_comm_send(world, &there, 1, TITAN_FLOAT64, rank, TAG, NULL));
  }
  return TITAN_OK;
}

titan_status titan_trace_clock(titan_comm *world, double *offset) {
  double ahead = 0, start = titan_clock_seconds();
  for (int rank = 1; rank < titan_comm_size(world) && !titan_comm_is_one_node(world); rank++) {
    if (titan_comm_rank(world) == 0)
      TITAN_TRY(answer(world, rank));
    else if (titan_comm_rank(world) == rank)
      TITAN_TRY(ask(world, &ahead));
  }
  TITAN_TRY(titan_comm_broadcast(world, &start, 1, TITAN_FLOAT64, 0, NULL));
  *offset = ahead - start;
  return TITAN_OK;
}
