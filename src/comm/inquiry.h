// SPDX-License-Identifier: Apache-2.0
// Inside the watchdog: whom a rank asks that waits too long, in which order, and for how long.
#ifndef TITAN_COMM_INQUIRY_H
#define TITAN_COMM_INQUIRY_H

#include "comm/side_channel.h"
#include "comm/verdict.h"

// Milliseconds. LOOK: from one look at the own wait to the next. LEAVE: at most for one question to lower ranks, of
// which there are three. TELL: at most for all that one asks who tells; ranks may outnumber cores, and answer late.
// END: at most for the ranks' flight recorders, after the message.
enum { TITAN_INQUIRY_LOOK = 100, TITAN_INQUIRY_LEAVE = 900, TITAN_INQUIRY_TELL = 2100, TITAN_INQUIRY_END = 2000 };
_Static_assert(TITAN_INQUIRY_LOOK + 3 * TITAN_INQUIRY_LEAVE + TITAN_INQUIRY_TELL <= 5000,
               "a message comes within five seconds after the timeout");

typedef struct titan_inquiry {
  titan_side_question question;
  titan_side_dialogue *dialogues; // by rank
  titan_verdict_rank *ranks;      // by rank: what has been answered
} titan_inquiry;

// Not collective, as all of these. peers: by rank, borrowed. titan_inquiry_destroy is called in any case.
// TITAN_ERROR_MEMORY.
titan_status titan_inquiry_create(const titan_side_peer *peers, int self, int size, uint64_t secret,
                                  const titan_side_time *time, titan_inquiry *out);
// Leaves it to the lowest rank that answers, so that one speaks: rank 0, else the lowest of the 64 after it. Whether
// there is one below this.
bool titan_inquiry_leave(titan_inquiry *inquiry);
// Asks all ranks where they are and, where all answer, those that wait for nothing for their stacks, of which a message
// names a few; these stay where they are until they end. false: the wait of `waiter` has not lasted for `timeout`
// seconds; it is over meanwhile.
bool titan_inquiry_ask(titan_inquiry *inquiry, int waiter, double timeout);
// Has all ranks write their flight recorders; they end when the inquiry is destroyed, or this process ends.
void titan_inquiry_end(titan_inquiry *inquiry);
void titan_inquiry_destroy(titan_inquiry *inquiry);

#endif
