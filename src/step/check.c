// SPDX-License-Identifier: Apache-2.0
// Whether the lists of all pipeline ranks can run, and compute what a step is.
#include "step/list.h"

#include "base/memory.h"

// What has happened to a unit in a microbatch. Of the input of the unit: HERE on the rank that reads it. Of the
// gradient of that input: DONE on the rank of the unit, HERE on the rank of the unit before.
enum {
  FORWARD_DONE = 1,
  INPUT_HERE = 2,
  INPUT_GRADIENT_DONE = 4,
  WEIGHT_GRADIENT_DONE = 8,
  GRADIENT_HERE = 16,
};

// What has happened to a message.
enum { SENT = 1, SEND_ENDED = 2, RECEIVE_BEGUN = 4 };

typedef struct unit_state {
  int rank;          // where it lies
  bool whole;        // gathered
  int runs, reduces; // with gradients, so far
  int reduce_at;     // place of the REDUCE that completed it; -1
  bool tied;         // its gradients have those of the tied unit added
  bool offloaded, updated;
} unit_state;

typedef struct checker {
  const titan_order *order;
  const titan_step_shape *shape;
  const titan_step_list *lists;
  unsigned char *flags;    // [units][microbatches]
  unsigned char *messages; // [units][microbatches][2]: the input, and its gradient
  bool *loaded;            // [ranks][microbatches]
  unit_state *units;
  int *next;      // by rank: place of the next action
  int *waited;    // by rank: the latest REDUCE that was waited for; -1
  int *in_flight; // by rank: REDUCEs after it
} checker;

// The stage on this rank that an action is about; -1: none. A transfer may name the unit after the rank's own.
static int stage_of(const checker *c, int rank, int unit) {
  if (unit < 0 || unit >= c->shape->unit_count)
    return -1;
  int stage = titan_step_stage_of(c->shape, unit);
  return stage > 0 && c->order->rank_of_stage[stage] != rank ? stage - 1 : stage;
}

// A fault about a stage and microbatch, which name a cell of the order; -1: about none.
static titan_status fault_of(const checker *c, int rank, int place, int stage, int microbatch, const char *reason) {
  titan_text text = {0}, where = {0};
  titan_status status = TITAN_OK;
  const titan_action *action = place < c->lists[rank].count ? &c->lists[rank].actions[place] : NULL;
  if (action != NULL && action->unit < c->shape->unit_count)
    TITAN_TRY_CLEANUP(titan_action_print(action, c->shape, &text));
  if (stage >= 0)
    TITAN_TRY_CLEANUP(titan_text_printf(&where, ", of stage %d", stage));
  if (microbatch >= 0)
    TITAN_TRY_CLEANUP(titan_text_printf(&where, "%s microbatch %d", stage >= 0 ? " and" : ", of", microbatch));
  status = titan_error(TITAN_ERROR_INTERNAL, "the step of pipeline rank %d, action #%d (%s)%s: %s", rank, place,
                       text.data != NULL ? text.data
                       : action != NULL  ? "of no unit"
                                         : "the end of the list",
                       where.data != NULL ? where.data : "", reason);
cleanup:
  titan_text_destroy(&text);
  titan_text_destroy(&where);
  return status;
}

static titan_status fault(const checker *c, int rank, int place, const char *reason) {
  const titan_action *action = &c->lists[rank].actions[place];
  return fault_of(c, rank, place, stage_of(c, rank, action->unit), action->microbatch, reason);
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
    return "`last` is at the wrong microbatch";
  unit->runs++;
  return NULL;
}

static const char *run(checker *c, int rank, const titan_action *action) {
  const titan_step_unit *row = &c->shape->units[action->unit];
  unit_state *unit = &c->units[action->unit];
  if (row->reads_batch && !c->loaded[rank * c->order->microbatches + action->microbatch])
    return "its batch is not loaded";
  if (c->shape->gathers && !unit->whole && titan_action_reads_parameters(action, c->shape))
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
      return "a unit that it adds to is on another rank";
    if (!is_complete(c, rank, tied[i]))
      return "the gradients that it adds up are not complete";
    if (unit->tied || unit->offloaded || unit->updated)
      return "these gradients are added up already, or used";
    unit->tied = true;
  }
  return NULL;
}

// Before the optimizer or host memory gets a unit's gradients.
static const char *use(const checker *c, int rank, int index) {
  const unit_state *unit = &c->units[index];
  if (!is_complete(c, rank, index))
    return "its gradients are not complete";
  if (titan_step_tied_unit(c->shape, index) >= 0 && !unit->tied)
    return "its gradients lack those of the unit tied to it";
  return NULL;
}

static const char *offload(checker *c, int rank, const titan_action *action) {
  unit_state *unit = &c->units[action->unit];
  const char *reason = use(c, rank, action->unit);
  if (!c->shape->offloads || unit->offloaded)
    return c->shape->offloads ? "its gradients are offloaded already" : "gradients stay in the device's memory";
  unit->offloaded = true;
  return reason;
}

static const char *update(checker *c, int rank, const titan_action *action) {
  unit_state *unit = &c->units[action->unit];
  if (unit->updated)
    return "the unit is updated already";
  const char *reason = use(c, rank, action->unit);
  if (reason != NULL)
    return reason;
  if (c->shape->offloads && !unit->offloaded)
    return "its gradients are not in host memory";
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
    return "parameters are complete without it";
  if (gather == unit->whole)
    return gather ? "the unit is gathered already" : "the unit is not gathered";
  if (gather && unit->updated)
    return "the unit is updated already";
  unit->whole = gather;
  return NULL;
}

// The ranks between which the input of a unit, or its gradient, travels; false: it does not.
static bool ends_of(const checker *c, const titan_action *action, int *from, int *to) {
  if (action->unit == 0)
    return false;
  bool forward = action->compute == TITAN_COMPUTE_FORWARD;
  *from = c->units[forward ? action->unit - 1 : action->unit].rank;
  *to = c->units[forward ? action->unit : action->unit - 1].rank;
  return *from != *to;
}

static unsigned char *message_of(const checker *c, const titan_action *action) {
  size_t gradient = action->compute != TITAN_COMPUTE_FORWARD;
  return &c->messages[((size_t)action->unit * (size_t)c->order->microbatches + (size_t)action->microbatch) * 2 +
                      gradient];
}

// *blocked: what it waits for has not happened yet.
static const char *transfer(checker *c, int rank, const titan_action *action, bool *blocked) {
  int unit = action->unit, m = action->microbatch, from, to;
  bool forward = action->compute == TITAN_COMPUTE_FORWARD;
  bool sends = action->kind == TITAN_ACTION_SEND || action->kind == TITAN_ACTION_SENT;
  unsigned here = forward ? INPUT_HERE : GRADIENT_HERE;
  if (!ends_of(c, action, &from, &to) || rank != (sends ? from : to) || action->peer != (sends ? to : from))
    return "these ranks have nothing to exchange";
  unsigned char *message = message_of(c, action);
  switch (action->kind) {
  case TITAN_ACTION_SEND:
    if (forward ? !has(c, unit - 1, m, FORWARD_DONE) : !has(c, unit, m, INPUT_GRADIENT_DONE))
      return "what it sends is not there";
    if (*message & SENT)
      return "it was sent already";
    *message |= SENT;
    return NULL;
  case TITAN_ACTION_SENT:
    if (!(*message & SENT) || *message & SEND_ENDED)
      return "there is no send that it could wait for";
    *blocked = !(*message & RECEIVE_BEGUN);
    *message |= *blocked ? 0 : SEND_ENDED;
    return NULL;
  case TITAN_ACTION_RECV:
    if (*message & RECEIVE_BEGUN)
      return "it was received already";
    *message |= RECEIVE_BEGUN;
    return NULL;
  default:
    if (!(*message & RECEIVE_BEGUN) || has(c, unit, m, here))
      return "there is no receive that it could wait for";
    *blocked = !(*message & SENT);
    if (!*blocked)
      set(c, unit, m, here);
    return NULL;
  }
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
    return "it waits for an action that is not an earlier reduction";
  for (int i = c->waited[rank] + 1; i <= action->after; i++)
    c->in_flight[rank] -= list->actions[i].kind == TITAN_ACTION_REDUCE;
  c->waited[rank] = action->after > c->waited[rank] ? action->after : c->waited[rank];
  return NULL;
}

static bool in_range(const checker *c, int rank, const titan_action *action) {
  bool with_unit = action->kind != TITAN_ACTION_LOAD;
  bool of_microbatch = action->kind != TITAN_ACTION_GATHER && action->kind != TITAN_ACTION_RELEASE &&
                       action->kind != TITAN_ACTION_TIE && action->kind != TITAN_ACTION_OFFLOAD &&
                       action->kind != TITAN_ACTION_UPDATE;
  if (with_unit && (action->unit < 0 || action->unit >= c->shape->unit_count))
    return false;
  if (of_microbatch && (action->microbatch < 0 || action->microbatch >= c->order->microbatches))
    return false;
  return !with_unit || titan_action_is_transfer(action) || c->units[action->unit].rank == rank;
}

static titan_status step_once(checker *c, int rank, bool *moved) {
  int place = c->next[rank];
  const titan_action *action = &c->lists[rank].actions[place];
  const char *reason =
      in_range(c, rank, action) ? wait(c, rank, place, action) : "there is no such unit or microbatch on this rank";
  bool blocked = false;
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
    case TITAN_ACTION_SENT:
    case TITAN_ACTION_RECV:
    case TITAN_ACTION_RECEIVED:
      reason = transfer(c, rank, action, &blocked);
      break;
    case TITAN_ACTION_REDUCE:
      reason = reduce(c, rank, place, action);
      break;
    case TITAN_ACTION_TIE:
      reason = tie(c, rank, action);
      break;
    case TITAN_ACTION_OFFLOAD:
      reason = offload(c, rank, action);
      break;
    case TITAN_ACTION_UPDATE:
      reason = update(c, rank, action);
      break;
    case TITAN_ACTIONS:
      reason = "there is no such action";
      break;
    }
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
      return fault(c, rank, c->next[rank], "it deadlocks: the other rank does not reach its part of this");
  return TITAN_OK;
}

// Something is missing at the end of a rank's list.
static titan_status fault_at_end(const checker *c, int rank, int unit, int microbatch, const char *reason) {
  return fault_of(c, rank, c->lists[rank].count, stage_of(c, rank, unit), microbatch, reason);
}

// What is sent of a unit and microbatch is received, and neither is left in flight.
static titan_status check_messages(const checker *c, int unit, int microbatch) {
  for (int gradient = 0; gradient < 2; gradient++) {
    titan_action action = {
        .unit = unit, .microbatch = microbatch, .compute = gradient ? TITAN_COMPUTE_BACKWARD : TITAN_COMPUTE_FORWARD};
    unsigned char message = *message_of(c, &action);
    int from, to;
    if (message == 0 || !ends_of(c, &action, &from, &to))
      continue;
    if (!has(c, unit, microbatch, gradient ? GRADIENT_HERE : INPUT_HERE))
      return fault_at_end(c, to, unit, microbatch, "a message to it is not received");
    if (!(message & SEND_ENDED))
      return fault_at_end(c, from, unit, microbatch, "it does not wait for the end of a send");
  }
  return TITAN_OK;
}

// Everything that a step is has been done.
static titan_status check_end(const checker *c) {
  unsigned wanted = FORWARD_DONE | (c->shape->backward ? WEIGHT_GRADIENT_DONE : 0);
  for (int unit = 0; unit < c->shape->unit_count; unit++) {
    const unit_state *state = &c->units[unit];
    for (int m = 0; m < c->order->microbatches; m++) {
      if ((*flags_of(c, unit, m) & wanted) != wanted)
        return fault_at_end(c, state->rank, unit, m, "a forward or backward is missing");
      TITAN_TRY(check_messages(c, unit, m));
    }
    if (c->shape->backward && state->reduce_at < 0)
      return fault_at_end(c, state->rank, unit, -1, "a unit's gradients are not reduced");
    if (c->shape->backward && !state->updated)
      return fault_at_end(c, state->rank, unit, -1, "a unit is not updated");
    if (state->whole)
      return fault_at_end(c, state->rank, unit, -1, "a unit stays gathered");
  }
  return TITAN_OK;
}

static titan_status begin(checker *c) {
  size_t units = (size_t)c->shape->unit_count, microbatches = (size_t)c->order->microbatches,
         ranks = (size_t)c->order->ranks;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, units * microbatches, 1, &c->flags));
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, units * microbatches, 2, &c->messages));
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, ranks * microbatches, sizeof(bool), &c->loaded));
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, units, sizeof *c->units, &c->units));
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
  titan_memory_free(c.flags);
  titan_memory_free(c.messages);
  titan_memory_free(c.loaded);
  titan_memory_free(c.units);
  titan_memory_free(c.next);
  titan_memory_free(c.waited);
  titan_memory_free(c.in_flight);
  return status;
}
