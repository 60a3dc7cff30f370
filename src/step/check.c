// Whether the lists of all pipeline ranks can run, and compute what a step is.
#include "step/list.h"

#include "base/memory.h"

// What has happened to a unit in a microbatch. Of the input of the unit: HERE on the rank that reads it. Of the
// gradient of that input: MADE on the rank of the unit, HERE on the rank of the unit before.
enum {
  FORWARD_DONE = 1,
  INPUT_HERE = 2,
  INPUT_GRADIENT_DONE = 4,
  WEIGHT_GRADIENT_DONE = 8,
  GRADIENT_HERE = 16,
  INPUT_SENT = 32,
  GRADIENT_SENT = 64,
};

typedef struct message {
  int unit, microbatch;
  titan_compute compute;
} message;

// Messages from one rank to another, in the order in which they were sent.
typedef struct channel {
  message *messages;
  int sent, received, capacity;
} channel;

typedef struct unit_state {
  int rank;          // where it lies
  bool whole;        // gathered
  int runs, reduces; // with gradients, so far
  int reduce_at;     // place of the REDUCE that completed it; -1
  bool tied;         // its gradients have those of the tied unit added
  bool updated;
} unit_state;

typedef struct checker {
  const titan_order *order;
  const titan_step_shape *shape;
  const titan_step_list *lists;
  unsigned char *flags; // [units][microbatches]
  bool *loaded;         // [ranks][microbatches]
  unit_state *units;
  channel *channels; // [from][to]
  int *next;         // by rank: place of the next action
  int *waited;       // by rank: the latest REDUCE that was waited for; -1
  int *in_flight;    // by rank: REDUCEs after it
  titan_status status;
} checker;

static titan_status fault(const checker *c, int rank, int place, const char *reason) {
  titan_text text = {0};
  if (place < c->lists[rank].count)
    TITAN_TRY(titan_action_print(&c->lists[rank].actions[place], c->shape, &text));
  titan_status status = titan_error(TITAN_ERROR_INTERNAL, "the step of pipeline rank %d, action #%d (%s): %s", rank,
                                    place, text.data != NULL ? text.data : "the end of the list", reason);
  titan_text_destroy(&text);
  return status;
}

static unsigned char *flags_of(const checker *c, int unit, int microbatch) {
  return &c->flags[(size_t)unit * (size_t)c->order->microbatches + (size_t)microbatch];
}

static bool has(const checker *c, int unit, int microbatch, unsigned flag) {
  return *flags_of(c, unit, microbatch) & flag;
}

static void set(const checker *c, int unit, int microbatch, unsigned flag) {
  *flags_of(c, unit, microbatch) |= (unsigned char)flag;
}

// Each returns the reason of a fault, or NULL.

static const char *forward(checker *c, int rank, const titan_action *action) {
  int unit = action->unit, m = action->microbatch;
  if (has(c, unit, m, FORWARD_DONE))
    return "this forward has run already";
  if (unit > 0 && !has(c, unit, m, INPUT_HERE))
    return "its input is not here";
  set(c, unit, m, FORWARD_DONE);
  if (unit + 1 < c->shape->unit_count && c->units[unit + 1].rank == rank)
    set(c, unit + 1, m, INPUT_HERE);
  if (!c->shape->backward || !c->shape->units[unit].merged)
    return NULL;
  set(c, unit, m, INPUT_GRADIENT_DONE | WEIGHT_GRADIENT_DONE);
  if (unit > 0 && c->units[unit - 1].rank == rank)
    set(c, unit, m, GRADIENT_HERE);
  return NULL;
}

static const char *backward(checker *c, int rank, const titan_action *action) {
  int unit = action->unit, m = action->microbatch;
  bool input = action->compute != TITAN_COMPUTE_WEIGHT_GRADIENT;
  bool weights = action->compute != TITAN_COMPUTE_INPUT_GRADIENT;
  if (!c->shape->backward || c->shape->units[unit].merged)
    return "this unit has no backward of its own";
  if (!has(c, unit, m, FORWARD_DONE))
    return "its forward has not run";
  if (unit + 1 >= c->shape->unit_count || !has(c, unit + 1, m, GRADIENT_HERE))
    return "the gradient of its output is not here";
  if ((input && has(c, unit, m, INPUT_GRADIENT_DONE)) || (weights && has(c, unit, m, WEIGHT_GRADIENT_DONE)))
    return "this backward has run already";
  if (!input && unit > 0 && !has(c, unit, m, INPUT_GRADIENT_DONE))
    return "its gradient of the input comes first";
  if (input) {
    set(c, unit, m, INPUT_GRADIENT_DONE);
    if (unit > 0 && c->units[unit - 1].rank == rank)
      set(c, unit, m, GRADIENT_HERE);
  }
  if (weights)
    set(c, unit, m, WEIGHT_GRADIENT_DONE);
  return NULL;
}

static const char *gradients(checker *c, const titan_action *action) {
  unit_state *unit = &c->units[action->unit];
  bool each = c->shape->reduce == TITAN_REDUCE_EACH;
  if (each && unit->runs != unit->reduces)
    return "the gradients of the microbatch before were not reduced";
  if (action->add != (!each && unit->runs > 0))
    return action->add ? "nothing is there to add to" : "it would overwrite gradients";
  if (action->last != (unit->runs == c->order->microbatches - 1))
    return "`last` stands at the wrong microbatch";
  unit->runs++;
  return NULL;
}

static const char *run(checker *c, int rank, const titan_action *action) {
  const titan_step_unit *row = &c->shape->units[action->unit];
  unit_state *unit = &c->units[action->unit];
  if (row->reads_batch && !c->loaded[rank * c->order->microbatches + action->microbatch])
    return "its batch is not loaded";
  if (c->shape->gathers && !unit->whole)
    return "its parameters are not gathered";
  if (unit->updated)
    return "the unit is updated already";
  const char *reason = action->compute == TITAN_COMPUTE_FORWARD ? forward(c, rank, action) : backward(c, rank, action);
  if (reason == NULL && titan_action_has_gradients(action, c->shape))
    reason = gradients(c, action);
  return reason;
}

static const char *reduce(checker *c, int rank, int place, const titan_action *action) {
  unit_state *unit = &c->units[action->unit];
  bool each = c->shape->reduce == TITAN_REDUCE_EACH, complete = unit->runs == c->order->microbatches;
  if (!c->shape->backward || unit->runs == 0 || unit->reduce_at >= 0 ||
      (each ? unit->reduces >= unit->runs : !complete))
    return "there are no gradients to reduce";
  if (action->add != (each && unit->reduces > 0) || action->last != complete)
    return "`add` or `last` is wrong here";
  if (!has(c, action->unit, action->microbatch, WEIGHT_GRADIENT_DONE))
    return "the gradients of this microbatch are not there";
  if (++c->in_flight[rank] > c->shape->reduces_in_flight)
    return "too many reductions are in flight";
  unit->reduces++;
  unit->reduce_at = action->last ? place : -1;
  return NULL;
}

static bool is_complete(const checker *c, int rank, int unit) {
  return c->units[unit].reduce_at >= 0 && c->units[unit].reduce_at <= c->waited[rank];
}

static const char *tie(checker *c, int rank, const titan_action *action) {
  const int *tied = c->shape->tied;
  if (tied[0] == tied[1] || action->unit != tied[0])
    return "this unit shares no parameter, or is not the first of those that do";
  for (int i = 0; i < 2; i++) {
    unit_state *unit = &c->units[tied[i]];
    if (unit->rank != rank)
      return "a unit that it adds to lies on another rank";
    if (!is_complete(c, rank, tied[i]))
      return "the gradients that it adds up are not complete";
    if (unit->tied || unit->updated)
      return "these gradients are added up already, or used";
    unit->tied = true;
  }
  return NULL;
}

static const char *update(checker *c, int rank, const titan_action *action) {
  unit_state *unit = &c->units[action->unit];
  if (unit->updated)
    return "the unit is updated already";
  if (!is_complete(c, rank, action->unit))
    return "its gradients are not complete";
  if (titan_step_tied_unit(c->shape, action->unit) >= 0 && !unit->tied)
    return "its gradients lack those of the unit tied to it";
  for (int m = 0; m < c->order->microbatches; m++)
    if (!has(c, action->unit, m, WEIGHT_GRADIENT_DONE) ||
        (action->unit > 0 && !has(c, action->unit, m, INPUT_GRADIENT_DONE)))
      return "the unit is still used";
  for (int other = 0; !c->shape->early_update && other < c->shape->unit_count; other++)
    if (c->units[other].rank == rank && !is_complete(c, rank, other))
      return "the norm needs the gradients of all units first";
  unit->updated = true;
  return NULL;
}

static const char *gather_or_release(checker *c, const titan_action *action) {
  unit_state *unit = &c->units[action->unit];
  bool gather = action->kind == TITAN_ACTION_GATHER;
  if (!c->shape->gathers)
    return "parameters are whole without it";
  if (gather == unit->whole)
    return gather ? "the unit is whole already" : "the unit is not whole";
  if (gather && unit->updated)
    return "the unit is updated already";
  unit->whole = gather;
  return NULL;
}

static channel *channel_of(const checker *c, int from, int to) {
  return &c->channels[(size_t)from * (size_t)c->order->ranks + (size_t)to];
}

static const char *send(checker *c, int rank, const titan_action *action) {
  int unit = action->unit, m = action->microbatch;
  bool forward = action->compute == TITAN_COMPUTE_FORWARD;
  int from = unit > 0 ? c->units[forward ? unit - 1 : unit].rank : -1,
      to = unit > 0 ? c->units[forward ? unit : unit - 1].rank : -1;
  if (unit == 0 || from != rank || to != action->peer || from == to)
    return "these ranks have nothing to exchange";
  if (forward ? !has(c, unit - 1, m, FORWARD_DONE) : !has(c, unit, m, INPUT_GRADIENT_DONE))
    return "what it sends is not there";
  if (has(c, unit, m, forward ? INPUT_SENT : GRADIENT_SENT))
    return "it was sent already";
  set(c, unit, m, forward ? INPUT_SENT : GRADIENT_SENT);
  channel *to_peer = channel_of(c, rank, action->peer);
  if (to_peer->sent == to_peer->capacity) {
    int capacity = to_peer->capacity > 0 ? 2 * to_peer->capacity : 64;
    c->status = titan_memory_resize(TITAN_MEMORY_GRAPH, (size_t)capacity * sizeof(message), &to_peer->messages);
    if (c->status != TITAN_OK)
      return "out of memory";
    to_peer->capacity = capacity;
  }
  to_peer->messages[to_peer->sent++] = (message){unit, m, action->compute};
  return NULL;
}

// *blocked: the message has not been sent yet.
static const char *recv(checker *c, int rank, const titan_action *action, bool *blocked) {
  if (action->peer < 0 || action->peer >= c->order->ranks || action->peer == rank)
    return "these ranks have nothing to exchange";
  channel *from = channel_of(c, action->peer, rank);
  *blocked = from->received == from->sent;
  if (*blocked)
    return NULL;
  const message *next = &from->messages[from->received];
  if (next->unit != action->unit || next->microbatch != action->microbatch || next->compute != action->compute)
    return "the peer sends something else first";
  from->received++;
  set(c, action->unit, action->microbatch, action->compute == TITAN_COMPUTE_FORWARD ? INPUT_HERE : GRADIENT_HERE);
  return NULL;
}

static const char *load(checker *c, int rank, const titan_action *action) {
  bool *loaded = &c->loaded[rank * c->order->microbatches + action->microbatch];
  if (*loaded)
    return "this batch is loaded already";
  *loaded = true;
  return NULL;
}

// --- the walk ---

static const char *wait(checker *c, int rank, int place, const titan_action *action) {
  const titan_step_list *list = &c->lists[rank];
  if (action->after < 0)
    return NULL;
  if (action->after >= place || list->actions[action->after].kind != TITAN_ACTION_REDUCE)
    return "it waits for what is no reduction before it";
  for (int i = c->waited[rank] + 1; i <= action->after; i++)
    c->in_flight[rank] -= list->actions[i].kind == TITAN_ACTION_REDUCE;
  c->waited[rank] = action->after > c->waited[rank] ? action->after : c->waited[rank];
  return NULL;
}

static bool in_range(const checker *c, int rank, const titan_action *action) {
  bool with_unit = action->kind != TITAN_ACTION_LOAD;
  bool of_microbatch = action->kind != TITAN_ACTION_GATHER && action->kind != TITAN_ACTION_RELEASE &&
                       action->kind != TITAN_ACTION_TIE && action->kind != TITAN_ACTION_UPDATE;
  if (with_unit && (action->unit < 0 || action->unit >= c->shape->unit_count))
    return false;
  if (of_microbatch && (action->microbatch < 0 || action->microbatch >= c->order->microbatches))
    return false;
  bool transfer = action->kind == TITAN_ACTION_SEND || action->kind == TITAN_ACTION_RECV;
  return !with_unit || transfer || c->units[action->unit].rank == rank;
}

static titan_status step_once(checker *c, int rank, bool *moved) {
  int place = c->next[rank];
  const titan_action *action = &c->lists[rank].actions[place];
  const char *reason = NULL;
  bool blocked = false;
  if (!in_range(c, rank, action))
    return fault(c, rank, place, "there is no such unit or microbatch on this rank");
  reason = wait(c, rank, place, action);
  if (reason == NULL)
    switch (action->kind) {
    case TITAN_ACTION_LOAD:
      reason = load(c, rank, action);
      break;
    case TITAN_ACTION_GATHER:
    case TITAN_ACTION_RELEASE:
      reason = gather_or_release(c, action);
      break;
    case TITAN_ACTION_RUN:
      reason = run(c, rank, action);
      break;
    case TITAN_ACTION_SEND:
      reason = send(c, rank, action);
      break;
    case TITAN_ACTION_RECV:
      reason = recv(c, rank, action, &blocked);
      break;
    case TITAN_ACTION_REDUCE:
      reason = reduce(c, rank, place, action);
      break;
    case TITAN_ACTION_TIE:
      reason = tie(c, rank, action);
      break;
    case TITAN_ACTION_UPDATE:
      reason = update(c, rank, action);
      break;
    case TITAN_ACTIONS:
      reason = "there is no such action";
      break;
    }
  TITAN_TRY(c->status);
  if (reason != NULL)
    return fault(c, rank, place, reason);
  *moved = !blocked;
  c->next[rank] += !blocked;
  return TITAN_OK;
}

static titan_status walk(checker *c) {
  bool any = true;
  while (any) {
    any = false;
    for (int rank = 0; rank < c->order->ranks; rank++) {
      bool moved = true;
      while (moved && c->next[rank] < c->lists[rank].count) {
        TITAN_TRY(step_once(c, rank, &moved));
        any |= moved;
      }
    }
  }
  for (int rank = 0; rank < c->order->ranks; rank++)
    if (c->next[rank] < c->lists[rank].count)
      return fault(c, rank, c->next[rank], "it waits for ever: what it receives is never sent");
  return TITAN_OK;
}

// Everything that a step is has been done.
static titan_status check_end(const checker *c) {
  unsigned wanted = FORWARD_DONE | (c->shape->backward ? WEIGHT_GRADIENT_DONE : 0);
  for (int unit = 0; unit < c->shape->unit_count; unit++) {
    const unit_state *state = &c->units[unit];
    int end = c->lists[state->rank].count;
    for (int m = 0; m < c->order->microbatches; m++)
      if ((*flags_of(c, unit, m) & wanted) != wanted)
        return fault(c, state->rank, end, "a forward or backward is missing");
    if (c->shape->backward && state->reduce_at < 0)
      return fault(c, state->rank, end, "a unit's gradients are not reduced");
    if (c->shape->backward && !state->updated)
      return fault(c, state->rank, end, "a unit is not updated");
    if (state->whole)
      return fault(c, state->rank, end, "a unit stays gathered");
  }
  for (int from = 0; from < c->order->ranks; from++)
    for (int to = 0; to < c->order->ranks; to++)
      if (channel_of(c, from, to)->received < channel_of(c, from, to)->sent)
        return fault(c, to, c->lists[to].count, "something that was sent to it is not received");
  return TITAN_OK;
}

static titan_status begin(checker *c) {
  size_t units = (size_t)c->shape->unit_count, microbatches = (size_t)c->order->microbatches,
         ranks = (size_t)c->order->ranks;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, units * microbatches, 1, &c->flags));
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, ranks * microbatches, sizeof(bool), &c->loaded));
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, units, sizeof *c->units, &c->units));
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, ranks * ranks, sizeof *c->channels, &c->channels));
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, ranks, sizeof(int), &c->next));
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, ranks, sizeof(int), &c->waited));
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, ranks, sizeof(int), &c->in_flight));
  for (int rank = 0; rank < c->order->ranks; rank++)
    c->waited[rank] = -1;
  for (int stage = 0; stage < c->order->stages; stage++)
    for (int unit = c->shape->first_unit[stage]; unit < c->shape->first_unit[stage + 1]; unit++)
      c->units[unit] = (unit_state){.rank = c->order->rank_of_stage[stage], .reduce_at = -1};
  return TITAN_OK;
}

titan_status titan_step_check(const titan_order *order, const titan_step_shape *shape, const titan_step_list *lists) {
  checker c = {.order = order, .shape = shape, .lists = lists};
  titan_status status = begin(&c);
  if (status == TITAN_OK)
    status = walk(&c);
  if (status == TITAN_OK)
    status = check_end(&c);
  for (int i = 0; c.channels != NULL && i < order->ranks * order->ranks; i++)
    titan_memory_free(c.channels[i].messages);
  titan_memory_free(c.flags);
  titan_memory_free(c.loaded);
  titan_memory_free(c.units);
  titan_memory_free(c.channels);
  titan_memory_free(c.next);
  titan_memory_free(c.waited);
  titan_memory_free(c.in_flight);
  return status;
}
