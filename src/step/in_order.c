// SPDX-License-Identifier: Apache-2.0
#include "step/in_order.h"

#include "base/memory.h"

#include <string.h>

// By sender and receiver: messages that have begun on either side. One has ended when it has begun on both.
typedef struct message_pair {
  int sends, receives;
} message_pair;

typedef struct walk {
  const titan_order *order;
  const titan_step_list *lists;
  message_pair *pairs; // [ranks][ranks]
  int *next;           // by rank: place of the next action
} walk;

static bool is_send(const titan_action *action) {
  return action->kind == TITAN_ACTION_SEND || action->kind == TITAN_ACTION_SENT;
}

static message_pair *pair_of(const walk *w, int rank, const titan_action *action) {
  return is_send(action) ? &w->pairs[rank * w->order->ranks + action->peer]
                         : &w->pairs[action->peer * w->order->ranks + rank];
}

static int ended(const message_pair *pair) {
  return pair->sends < pair->receives ? pair->sends : pair->receives;
}

// Whether the rank gets past the transfer.
static bool passes(const walk *w, int rank, const titan_action *action) {
  message_pair *pair = pair_of(w, rank, action);
  int *begun = is_send(action) ? &pair->sends : &pair->receives;
  if (action->kind == TITAN_ACTION_SENT || action->kind == TITAN_ACTION_RECEIVED)
    return ended(pair) > action->message;
  if (*begun != action->message || ended(pair) < action->message)
    return false;
  ++*begun;
  return true;
}

static void walk_on(const walk *w) {
  for (bool any = true; any;) {
    any = false;
    for (int rank = 0; rank < w->order->ranks; rank++)
      for (; w->next[rank] < w->lists[rank].count; w->next[rank]++, any = true) {
        const titan_action *action = &w->lists[rank].actions[w->next[rank]];
        if (titan_action_is_transfer(action) && !passes(w, rank, action))
          break;
      }
  }
}

static titan_status walk_create(const titan_order *order, const titan_step_list *lists, walk *w) {
  size_t ranks = (size_t)order->ranks;
  *w = (walk){.order = order, .lists = lists};
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, ranks * ranks, sizeof *w->pairs, &w->pairs));
  titan_status status = titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, ranks, sizeof *w->next, &w->next);
  if (status != TITAN_OK)
    titan_memory_free(w->pairs);
  return status;
}

static void walk_destroy(const walk *w) {
  titan_memory_free(w->pairs);
  titan_memory_free(w->next);
}

// --- moving receives ---

static void move(titan_step_list *list, int from, int to) {
  titan_action moved = list->actions[from];
  if (from > to)
    memmove(list->actions + to + 1, list->actions + to, (size_t)(from - to) * sizeof moved);
  else
    memmove(list->actions + from, list->actions + from + 1, (size_t)(to - from) * sizeof moved);
  list->actions[to] = moved;
}

// The next message that `rank` has not begun to receive from `peer` is received from its next place on.
static bool receive_here(const walk *w, titan_step_list *list, int rank, int peer) {
  int number = w->pairs[peer * w->order->ranks + rank].receives;
  for (int place = w->next[rank]; place < list->count; place++) {
    const titan_action *action = &list->actions[place];
    if (action->kind != TITAN_ACTION_RECV || action->peer != peer || action->message != number)
      continue;
    move(list, place, w->next[rank]);
    return true;
  }
  return false;
}

// Puts the RECV at the next place of a rank one place later; false: what it brings is waited for there.
static bool receive_later(titan_step_list *list, int place) {
  const titan_action *action = &list->actions[place], *behind = action + 1;
  if (place + 1 >= list->count ||
      (behind->kind == TITAN_ACTION_RECEIVED && behind->peer == action->peer && behind->message == action->message))
    return false;
  move(list, place, place + 1);
  return true;
}

// Lets one rank go on that waits at its next place; false: it is for something else that it waits. A RECV that is moved
// to a rank's next place passes there, and others move on: this ends.
static bool let_go_on(const walk *w, titan_step_list *lists, int rank) {
  titan_step_list *list = &lists[rank];
  int place = w->next[rank];
  if (place >= list->count)
    return false;
  const titan_action *action = &list->actions[place];
  const message_pair *pair = pair_of(w, rank, action);
  if (action->kind == TITAN_ACTION_SEND)
    return pair->receives < pair->sends && receive_here(w, &lists[action->peer], action->peer, rank);
  if (action->kind != TITAN_ACTION_RECV)
    return false;
  bool earlier_passes = pair->receives < action->message && pair->sends >= pair->receives;
  return (earlier_passes && receive_here(w, list, rank, action->peer)) || receive_later(list, place);
}

titan_status titan_step_begin_in_order(const titan_order *order, titan_step_list *lists) {
  walk w;
  TITAN_TRY(walk_create(order, lists, &w));
  for (bool moved = true; moved;) {
    walk_on(&w);
    moved = false;
    for (int rank = 0; rank < order->ranks && !moved; rank++)
      moved = let_go_on(&w, lists, rank);
  }
  walk_destroy(&w);
  return TITAN_OK;
}

// --- the check ---

titan_status titan_step_check_in_order(const titan_order *order, const titan_step_list *lists) {
  walk w;
  titan_status status = TITAN_OK;
  TITAN_TRY(walk_create(order, lists, &w));
  walk_on(&w);
  for (int rank = 0; status == TITAN_OK && rank < order->ranks; rank++)
    if (w.next[rank] < lists[rank].count)
      status = titan_error(TITAN_ERROR_INTERNAL,
                           "the step of pipeline rank %d, action #%d: it deadlocks where transfers wait for each other",
                           rank, w.next[rank]);
  walk_destroy(&w);
  return status;
}
