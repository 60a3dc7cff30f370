// SPDX-License-Identifier: Apache-2.0
#include "comm/verdict.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

enum { MOST_NAMED = 8 };

static titan_status name_rank(const titan_side_peer *peers, int rank, titan_text *text) {
  return titan_text_printf(text, "rank %d (host %s, process %d)", rank, peers[rank].host, (int)peers[rank].process);
}

// "all_gather #45 of group dp (4096 bytes a rank, 4 ranks from rank 0 on)"
static titan_status describe(const titan_record *record, titan_text *text) {
  TITAN_TRY(titan_text_printf(text, "%s ", record->operation));
  if (record->peer < 0 || strcmp(record->operation, "broadcast") == 0)
    TITAN_TRY(titan_text_printf(text, "#%" PRIu64 " ", record->sequence));
  else
    TITAN_TRY(titan_text_printf(text, "with its rank %d ", (int)record->peer));
  if (record->outside)
    return titan_text_printf(text, "of group %s (%d ranks)", record->group, (int)record->size);
  return titan_text_printf(text, "of group %s (%" PRIu64 " bytes a rank, %d ranks from rank %d on)", record->group,
                           record->bytes, (int)record->size, (int)record->leader);
}

static titan_status describe_phase(const titan_whereabouts *where, titan_text *text) {
  TITAN_TRY(titan_text_printf(text, "%s", where->phase));
  return where->step >= 0 ? titan_text_printf(text, ", step %" PRId64, where->step) : TITAN_OK;
}

static bool same_group(const titan_record *a, const titan_record *b) {
  return strcmp(a->group, b->group) == 0 && a->leader == b->leader;
}

static bool same_operation(const titan_record *a, const titan_record *b) {
  return strcmp(a->operation, b->operation) == 0 && a->bytes == b->bytes && a->peer == b->peer;
}

// Whether two ranks wait for one operation together, as far as that is known.
static bool same_wait(const titan_record *a, const titan_record *b) {
  return same_group(a, b) && same_operation(a, b) && (a->outside || a->sequence == b->sequence);
}

static const char *state_of(const titan_side_peer *peer) {
  char host[TITAN_SIDE_HOST_BYTES] = "";
  gethostname(host, sizeof host - 1);
  const char *state = strcmp(host, peer->host) == 0 ? titan_stack_state_of(peer->process) : "";
  return state[0] != '\0' ? state : "it is stopped, gone, or cut off";
}

static titan_status tell_silent(const titan_verdict_rank *ranks, const titan_side_peer *peers, int size,
                                titan_text *text, int *count) {
  *count = 0;
  for (int rank = 0; rank < size; rank++)
    if (!ranks[rank].answered && (*count)++ < MOST_NAMED) {
      TITAN_TRY(titan_text_printf(text, "; "));
      TITAN_TRY(name_rank(peers, rank, text));
      TITAN_TRY(titan_text_printf(text, " does not answer: %s", state_of(&peers[rank])));
    }
  return *count > MOST_NAMED ? titan_text_printf(text, "; %d more do not answer either", *count - MOST_NAMED)
                             : TITAN_OK;
}

// Whether a rank calls another collective of the same group: at the same place, or, with `any_place`, at another one.
// Operations that no group of titan_comm makes have no place among its collectives: a rank may have finished the start
// of NCCL, and wait in the next collective for one that has not.
static bool calls_another(const titan_whereabouts *where, const titan_record *mine, bool any_place) {
  const titan_record *other = &where->operation;
  if (!where->waits || !same_group(other, mine) || other->outside || mine->outside ||
      (other->peer >= 0 && strcmp(other->operation, "broadcast") != 0))
    return false;
  return other->sequence == mine->sequence ? !same_operation(other, mine) : any_place;
}

static titan_status tell_others(const titan_verdict_rank *ranks, const titan_side_peer *peers, int size, int waiter,
                                bool any_place, titan_text *text, int *count) {
  *count = 0;
  for (int rank = 0; rank < size; rank++) {
    const titan_whereabouts *where = &ranks[rank].where;
    if (!calls_another(where, &ranks[waiter].where.operation, any_place) || (*count)++ >= MOST_NAMED)
      continue;
    TITAN_TRY(titan_text_printf(text, *count == 1 ? "; ranks call different collectives: " : "; "));
    TITAN_TRY(name_rank(peers, rank, text));
    TITAN_TRY(titan_text_printf(text, " calls "));
    TITAN_TRY(describe(&where->operation, text));
    TITAN_TRY(titan_text_printf(text, " in "));
    TITAN_TRY(describe_phase(where, text));
  }
  return TITAN_OK;
}

static titan_status tell_late(const titan_verdict_rank *ranks, const titan_side_peer *peers, int size, titan_text *text,
                              int *count) {
  *count = 0;
  for (int rank = 0; rank < size; rank++) {
    const titan_whereabouts *where = &ranks[rank].where;
    if (where->waits || (*count)++ >= MOST_NAMED)
      continue;
    TITAN_TRY(titan_text_printf(text, "; "));
    TITAN_TRY(name_rank(peers, rank, text));
    TITAN_TRY(titan_text_printf(text, " is late: for %.1f s it has been in ", where->action_seconds));
    TITAN_TRY(describe_phase(where, text));
    if (where->action[0] != '\0')
      TITAN_TRY(titan_text_printf(text, ", %s", where->action));
    if (where->operations > 0)
      TITAN_TRY(titan_text_printf(text, ", after %" PRIu64 " operations", where->operations));
    if (ranks[rank].stack[0] != '\0')
      TITAN_TRY(titan_text_printf(text, ", at %s", ranks[rank].stack));
  }
  return *count > MOST_NAMED ? titan_text_printf(text, "; %d more are late too", *count - MOST_NAMED) : TITAN_OK;
}

// Who waits for what, but for those that wait for the waiter's operation; and where nobody waits for another one, that.
static titan_status tell_waits(const titan_verdict_rank *ranks, const titan_side_peer *peers, int size, int waiter,
                               titan_text *text) {
  const titan_record *mine = &ranks[waiter].where.operation;
  int count = 0;
  for (int rank = 0; rank < size; rank++) {
    const titan_record *other = &ranks[rank].where.operation;
    if (same_wait(other, mine) || count++ >= MOST_NAMED)
      continue;
    TITAN_TRY(
        titan_text_printf(text, count == 1 ? "; no rank computes, and ranks wait for different operations; " : "; "));
    TITAN_TRY(name_rank(peers, rank, text));
    TITAN_TRY(titan_text_printf(text, " waits for "));
    TITAN_TRY(describe(other, text));
    TITAN_TRY(titan_text_printf(text, " in "));
    TITAN_TRY(describe_phase(&ranks[rank].where, text));
  }
  if (count > MOST_NAMED)
    return titan_text_printf(text, "; %d more wait for others too", count - MOST_NAMED);
  return count > 0 ? TITAN_OK
                   : titan_text_printf(text, "; every rank waits for this operation, which does not end: a device, "
                                             "the network or the library that transfers hangs");
}

titan_status titan_verdict_tell(const titan_verdict_rank *ranks, const titan_side_peer *peers, int size, int waiter,
                                const char *option, titan_text *text) {
  const titan_whereabouts *where = &ranks[waiter].where;
  int count;
  TITAN_TRY(describe_phase(where, text));
  TITAN_TRY(titan_text_printf(text, ": "));
  TITAN_TRY(describe(&where->operation, text));
  TITAN_TRY(titan_text_printf(text, " has kept rank %d waiting for %.1f s (%s)", waiter, where->wait_seconds, option));
  TITAN_TRY(tell_silent(ranks, peers, size, text, &count));
  if (count == 0)
    TITAN_TRY(tell_others(ranks, peers, size, waiter, false, text, &count));
  if (count == 0)
    TITAN_TRY(tell_late(ranks, peers, size, text, &count));
  if (count == 0)
    TITAN_TRY(tell_others(ranks, peers, size, waiter, true, text, &count));
  return count == 0 ? tell_waits(ranks, peers, size, waiter, text) : TITAN_OK;
}
