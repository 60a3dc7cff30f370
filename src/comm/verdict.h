// SPDX-License-Identifier: Apache-2.0
// Inside the watchdog: which rank keeps the others waiting, as text.
#ifndef TITAN_COMM_VERDICT_H
#define TITAN_COMM_VERDICT_H

#include "base/text.h"
#include "comm/side_channel.h"

// What a rank has answered.
typedef struct titan_verdict_rank {
  bool answered;
  titan_whereabouts where;
  char stack[TITAN_STACK_BYTES]; // of a rank that is late; "": not known
} titan_verdict_rank;

// Not collective. Appends what is wrong: the operation that `waiter` waits for, and the ranks that do not answer,
// with the state of their processes on this node; else those that call another operation of the same group at the same
// place; else those that wait for nothing, and where they are; else those that are at another place of the same group;
// else who waits for what, or that all wait for this operation. ranks, peers: by rank of the world.
titan_status titan_verdict_tell(const titan_verdict_rank *ranks, const titan_side_peer *peers, int size, int waiter,
                                const char *option, titan_text *text);

#endif
