// SPDX-License-Identifier: Apache-2.0
#include "step/transfers.h"

#include "base/memory.h"
#include "step/in_order.h"

// A message: an input of a unit in a microbatch, or its gradient.
typedef struct message {
  int number;   // among those from its sender to its receiver, in the order of the sends
  int sent_at;  // place of the SEND in the sender's list; -1: there is none
  int begun_at; // place of the RECV in the receiver's list
} message;

typedef struct transfers {
  const titan_order *order;
  titan_step_list *lists;
  message *messages; // [units + 1][microbatches][2]
  int *counts;       // [ranks][ranks]: messages from one to the other
  int *known;        // by peer: the latest place of its list that this rank knows to be behind it
  int *pending;      // places of SENDs without a SENT so far
  int pending_count;
} transfers;

static message *message_of(const transfers *t, const titan_action *action) {
  size_t gradient = action->compute != TITAN_COMPUTE_FORWARD;
  return &t->messages[((size_t)action->unit * (size_t)t->order->microbatches + (size_t)action->microbatch) * 2 +
                      gradient];
}

static void number_messages(const transfers *t) {
  for (int rank = 0; rank < t->order->ranks; rank++)
    for (int place = 0; place < t->lists[rank].count; place++) {
      const titan_action *action = &t->lists[rank].actions[place];
      if (action->kind == TITAN_ACTION_SEND)
        message_of(t, action)->number = t->counts[rank * t->order->ranks + action->peer]++;
    }
  for (int rank = 0; rank < t->order->ranks; rank++)
    for (int place = 0; place < t->lists[rank].count; place++) {
      titan_action *action = &t->lists[rank].actions[place];
      if (titan_action_is_transfer(action))
        action->message = message_of(t, action)->number;
    }
}

static void find_messages(const transfers *t) {
  for (int rank = 0; rank < t->order->ranks; rank++)
    for (int place = 0; place < t->lists[rank].count; place++) {
      const titan_action *action = &t->lists[rank].actions[place];
      if (action->kind == TITAN_ACTION_SEND)
        message_of(t, action)->sent_at = place;
      else if (action->kind == TITAN_ACTION_RECV)
        message_of(t, action)->begun_at = place;
    }
}

// SENTs for the sends that have certainly ended by now; at the list's end for all.
static titan_status add_ends(transfers *t, const titan_step_list *list, bool all, titan_step_list *out) {
  int left = 0;
  for (int i = 0; i < t->pending_count; i++) {
    titan_action send = list->actions[t->pending[i]];
    if (!all && message_of(t, &send)->begun_at >= t->known[send.peer]) {
      t->pending[left++] = t->pending[i];
      continue;
    }
    send.kind = TITAN_ACTION_SENT;
    TITAN_TRY(titan_step_list_add(out, send));
  }
  t->pending_count = left;
  return TITAN_OK;
}

static titan_status end_sends_of(transfers *t, const titan_step_list *list, titan_step_list *out) {
  t->pending_count = 0;
  for (int peer = 0; peer < t->order->ranks; peer++)
    t->known[peer] = -1;
  for (int place = 0; place < list->count; place++) {
    const titan_action *action = &list->actions[place];
    TITAN_TRY(titan_step_list_add(out, *action));
    if (action->kind == TITAN_ACTION_SEND)
      t->pending[t->pending_count++] = place;
    if (action->kind != TITAN_ACTION_RECEIVED)
      continue;
    int sent_at = message_of(t, action)->sent_at;
    t->known[action->peer] = sent_at > t->known[action->peer] ? sent_at : t->known[action->peer];
    TITAN_TRY(add_ends(t, list, false, out));
  }
  return add_ends(t, list, true, out);
}

static titan_status end_sends(transfers *t, const titan_step_shape *shape) {
  size_t ranks = (size_t)t->order->ranks;
  size_t messages = ((size_t)shape->unit_count + 1) * (size_t)t->order->microbatches * 2, longest = 0;
  titan_step_list *ended = NULL; // of all ranks: places refer to the lists as they were
  titan_status status = TITAN_OK;
  for (int rank = 0; rank < t->order->ranks; rank++)
    longest = (size_t)t->lists[rank].count > longest ? (size_t)t->lists[rank].count : longest;
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GRAPH, messages * sizeof *t->messages, &t->messages));
  for (size_t i = 0; i < messages; i++)
    t->messages[i] = (message){-1, -1, -1};
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, ranks * ranks, sizeof *t->counts, &t->counts));
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, ranks, sizeof *t->known, &t->known));
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, longest + 1, sizeof *t->pending, &t->pending));
  number_messages(t);
  TITAN_TRY(titan_step_begin_in_order(t->order, t->lists));
  find_messages(t);
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, ranks, sizeof *ended, &ended));
  for (int rank = 0; rank < t->order->ranks; rank++)
    TITAN_TRY_CLEANUP(end_sends_of(t, &t->lists[rank], &ended[rank]));
  for (int rank = 0; rank < t->order->ranks; rank++) {
    titan_step_list_destroy(&t->lists[rank]);
    t->lists[rank] = ended[rank];
    ended[rank] = (titan_step_list){0};
  }
cleanup:
  for (int rank = 0; rank < t->order->ranks; rank++)
    titan_step_list_destroy(&ended[rank]);
  titan_memory_free(ended);
  return status;
}

titan_status titan_step_end_sends(const titan_order *order, const titan_step_shape *shape, titan_step_list *lists) {
  transfers t = {.order = order, .lists = lists};
  if (order->ranks == 1)
    return TITAN_OK;
  titan_status status = end_sends(&t, shape);
  titan_memory_free(t.messages);
  titan_memory_free(t.counts);
  titan_memory_free(t.known);
  titan_memory_free(t.pending);
  return status;
}
