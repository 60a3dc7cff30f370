// SPDX-License-Identifier: Apache-2.0
// From compute order to actions. First pass: what is computed, with batches and transfers. Second pass, over all ranks:
// where sends have certainly ended (transfers.c). Third pass: parameters are gathered ahead of their use, gradients
// reduced after it, and units updated.
#include "step/transfers.h"

#include "base/memory.h"

typedef struct lowering {
  const titan_order *order;
  const titan_step_shape *shape;
  int rank;
  const titan_step_list *computes; // LOAD, RUN and transfers
  int *next_use; // by RUN of `computes`: the next RUN that reads its unit's parameters, or their number
  int *runs;     // places of RUNs in `computes`
  int run_count;
  bool *whole;        // by unit: gathered and not released
  bool *complete;     // by unit: its gradients are, and those of the unit tied to it are not
  int *gradient_runs; // by unit: so far
  int *reduces;       // places of the REDUCEs in the list
  int *reduced_units;
  int reduce_count, waited, used; // REDUCEs; of these, waited for; of those, used: offloaded or updated
  titan_step_list *out;
} lowering;

// --- computing ---

static titan_action action_of(titan_action_kind kind, int unit, int microbatch) {
  return (titan_action){.kind = kind, .unit = unit, .microbatch = microbatch, .peer = -1, .message = -1, .after = -1};
}

// The first pass, of one rank.
typedef struct computing {
  const titan_order *order;
  const titan_step_shape *shape;
  int rank;
  bool *loaded; // by microbatch
  titan_step_list *out;
} computing;

static titan_status add_run(computing *c, titan_compute compute, int unit, int microbatch) {
  titan_action run = action_of(TITAN_ACTION_RUN, unit, microbatch);
  run.compute = compute;
  if (c->shape->units[unit].reads_batch && !c->loaded[microbatch]) {
    TITAN_TRY(titan_step_list_add(c->out, action_of(TITAN_ACTION_LOAD, -1, microbatch)));
    c->loaded[microbatch] = true;
  }
  return titan_step_list_add(c->out, run);
}

// The input of `unit` or its gradient, from or to the rank of a neighbouring stage, where that is another.
static titan_status add_transfer(computing *c, titan_action_kind kind, titan_compute compute, int stage, int unit,
                                 int microbatch) {
  if (stage < 0 || stage >= c->order->stages || c->order->rank_of_stage[stage] == c->rank)
    return TITAN_OK;
  titan_action transfer = action_of(kind, unit, microbatch);
  transfer.compute = compute;
  transfer.peer = c->order->rank_of_stage[stage];
  return titan_step_list_add(c->out, transfer);
}

// What cell number `index` of the rank needs from another one. RECV stands a cell ahead, so that what comes has a place
// while the rank computes.
static titan_status add_receive(computing *c, titan_action_kind kind, int index) {
  if (index >= c->order->counts[c->rank])
    return TITAN_OK;
  const titan_cell *cell = &c->order->cells[c->rank][index];
  if (cell->compute == TITAN_COMPUTE_FORWARD)
    return add_transfer(c, kind, TITAN_COMPUTE_FORWARD, cell->stage - 1, c->shape->first_unit[cell->stage],
                        cell->microbatch);
  if (cell->compute == TITAN_COMPUTE_WEIGHT_GRADIENT)
    return TITAN_OK;
  return add_transfer(c, kind, TITAN_COMPUTE_BACKWARD, cell->stage + 1, c->shape->first_unit[cell->stage + 1],
                      cell->microbatch);
}

static titan_status add_forward(computing *c, const titan_cell *cell, int first, int end) {
  for (int unit = first; unit < end; unit++)
    TITAN_TRY(add_run(c, TITAN_COMPUTE_FORWARD, unit, cell->microbatch));
  return add_transfer(c, TITAN_ACTION_SEND, TITAN_COMPUTE_FORWARD, cell->stage + 1, end, cell->microbatch);
}

// A merged unit has run both ways in its forward; the first unit of the model has no gradient of its input.
static titan_status add_backward(computing *c, const titan_cell *cell, int first, int end) {
  bool input_only = cell->compute == TITAN_COMPUTE_INPUT_GRADIENT;
  for (int unit = end - 1; unit >= first; unit--)
    if (!c->shape->units[unit].merged && !(input_only && unit == 0))
      TITAN_TRY(add_run(c, cell->compute, unit, cell->microbatch));
  return cell->compute == TITAN_COMPUTE_WEIGHT_GRADIENT
             ? TITAN_OK
             : add_transfer(c, TITAN_ACTION_SEND, TITAN_COMPUTE_BACKWARD, cell->stage - 1, first, cell->microbatch);
}

static titan_status add_cells(computing *c) {
  TITAN_TRY(add_receive(c, TITAN_ACTION_RECV, 0));
  for (int i = 0; i < c->order->counts[c->rank]; i++) {
    const titan_cell *cell = &c->order->cells[c->rank][i];
    int first = c->shape->first_unit[cell->stage], end = c->shape->first_unit[cell->stage + 1];
    TITAN_TRY(add_receive(c, TITAN_ACTION_RECV, i + 1));
    TITAN_TRY(add_receive(c, TITAN_ACTION_RECEIVED, i));
    TITAN_TRY(cell->compute == TITAN_COMPUTE_FORWARD ? add_forward(c, cell, first, end)
                                                     : add_backward(c, cell, first, end));
  }
  return TITAN_OK;
}

static titan_status add_computes(const titan_order *order, const titan_step_shape *shape, int rank,
                                 titan_step_list *out) {
  computing c = {.order = order, .shape = shape, .rank = rank, .out = out};
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, (size_t)order->microbatches, sizeof *c.loaded, &c.loaded));
  titan_status status = add_cells(&c);
  titan_memory_free(c.loaded);
  return status;
}

// --- parameters ---

static titan_status find_uses(lowering *l) {
  size_t count = (size_t)l->computes->count + 1;
  int *next; // by unit
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GRAPH, count * sizeof(int), &l->runs));
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GRAPH, count * sizeof(int), &l->next_use));
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GRAPH, (size_t)l->shape->unit_count * sizeof(int), &next));
  for (int i = 0; i < l->computes->count; i++)
    if (l->computes->actions[i].kind == TITAN_ACTION_RUN)
      l->runs[l->run_count++] = i;
  for (int unit = 0; unit < l->shape->unit_count; unit++)
    next[unit] = l->run_count;
  for (int run = l->run_count - 1; run >= 0; run--) {
    const titan_action *action = &l->computes->actions[l->runs[run]];
    l->next_use[run] = next[action->unit];
    if (titan_action_reads_parameters(action, l->shape))
      next[action->unit] = run;
  }
  titan_memory_free(next);
  return TITAN_OK;
}

// The units of this RUN and of those ahead of it whose parameters are read and are not whole yet.
static titan_status add_gathers(lowering *l, int run) {
  for (int ahead = run; l->shape->gathers && ahead <= run + l->shape->look_ahead && ahead < l->run_count; ahead++) {
    const titan_action *action = &l->computes->actions[l->runs[ahead]];
    if (l->whole[action->unit] || !titan_action_reads_parameters(action, l->shape))
      continue;
    l->whole[action->unit] = true;
    TITAN_TRY(titan_step_list_add(l->out, action_of(TITAN_ACTION_GATHER, action->unit, -1)));
  }
  return TITAN_OK;
}

// A unit that would be gathered again at once is kept, and one that is to stay whole until the last RUN that reads it.
static titan_status add_release(lowering *l, int run) {
  int unit = l->computes->actions[l->runs[run]].unit;
  bool again = l->next_use[run] < l->run_count,
       soon = l->shape->keeps_gathered || l->next_use[run] <= run + 1 + l->shape->look_ahead;
  if (!l->shape->gathers || !l->whole[unit] || (again && soon))
    return TITAN_OK;
  l->whole[unit] = false;
  return titan_step_list_add(l->out, action_of(TITAN_ACTION_RELEASE, unit, -1));
}

// --- gradients ---

// An action that needs the first `reduces` REDUCEs complete.
static titan_status add_after(lowering *l, titan_action_kind kind, int unit, int reduces) {
  titan_action action = action_of(kind, unit, -1);
  if (l->waited < reduces)
    action.after = l->reduces[reduces - 1];
  l->waited = l->waited < reduces ? reduces : l->waited;
  return titan_step_list_add(l->out, action);
}

// With early updates or offloading: what a unit's gradients are used for, once they are complete.
static titan_status add_use(lowering *l, int unit, int reduces) {
  if (l->shape->offloads)
    TITAN_TRY(add_after(l, TITAN_ACTION_OFFLOAD, unit, reduces));
  return l->shape->early_update ? add_after(l, TITAN_ACTION_UPDATE, unit, reduces) : TITAN_OK;
}

// The same of the units whose REDUCE is number `end` at most, each after it; of tied units, of both at once.
static titan_status add_uses(lowering *l, int end) {
  for (; l->used < end; l->used++) {
    int unit = l->reduced_units[l->used], tied = titan_step_tied_unit(l->shape, unit), reduces = l->used + 1;
    if (!l->out->actions[l->reduces[l->used]].last)
      continue;
    l->complete[unit] = true;
    if (tied >= 0 && !l->complete[tied])
      continue;
    if (tied >= 0)
      TITAN_TRY(add_after(l, TITAN_ACTION_TIE, l->shape->tied[0], reduces));
    TITAN_TRY(add_use(l, unit, reduces));
    if (tied >= 0)
      TITAN_TRY(add_use(l, tied, reduces));
  }
  return TITAN_OK;
}

// Before a RUN with gradients: so many REDUCEs may be in flight beside its own.
static titan_status wait_for_reduces(lowering *l, titan_action *run) {
  int done = l->reduce_count + 1 - l->shape->reduces_in_flight;
  if (l->shape->early_update || l->shape->offloads)
    TITAN_TRY(add_uses(l, done));
  if (done > l->waited) {
    run->after = l->reduces[done - 1];
    l->waited = done;
  }
  return TITAN_OK;
}

static titan_status add_reduce(lowering *l, const titan_action *run, int so_far) {
  bool each = l->shape->reduce == TITAN_REDUCE_EACH;
  titan_action reduce = action_of(TITAN_ACTION_REDUCE, run->unit, run->microbatch);
  reduce.last = so_far == l->order->microbatches - 1;
  reduce.add = each && so_far > 0;
  if (!each && !reduce.last)
    return TITAN_OK;
  l->reduces[l->reduce_count] = l->out->count;
  l->reduced_units[l->reduce_count++] = run->unit;
  return titan_step_list_add(l->out, reduce);
}

static titan_status add_run_around(lowering *l, int number) {
  titan_action run = l->computes->actions[l->runs[number]];
  bool gradients = titan_action_has_gradients(&run, l->shape);
  int so_far = l->gradient_runs[run.unit];
  TITAN_TRY(add_gathers(l, number));
  if (gradients) {
    run.add = l->shape->reduce == TITAN_REDUCE_LAST && so_far > 0;
    run.last = so_far == l->order->microbatches - 1;
    TITAN_TRY(wait_for_reduces(l, &run));
    l->gradient_runs[run.unit]++;
  }
  TITAN_TRY(titan_step_list_add(l->out, run));
  TITAN_TRY(add_release(l, number));
  return gradients ? add_reduce(l, &run, so_far) : TITAN_OK;
}

// Without early updates: all units in the order of the forward, once every gradient is complete.
static titan_status add_last_updates(lowering *l) {
  if (!l->shape->backward)
    return TITAN_OK;
  if (l->shape->early_update || l->shape->offloads)
    TITAN_TRY(add_uses(l, l->reduce_count));
  if (l->shape->early_update)
    return TITAN_OK;
  if (!l->shape->offloads && l->shape->tied[0] != l->shape->tied[1] && l->gradient_runs[l->shape->tied[0]] > 0)
    TITAN_TRY(add_after(l, TITAN_ACTION_TIE, l->shape->tied[0], l->reduce_count));
  for (int unit = 0; unit < l->shape->unit_count; unit++)
    if (l->gradient_runs[unit] > 0)
      TITAN_TRY(add_after(l, TITAN_ACTION_UPDATE, unit, l->reduce_count));
  return TITAN_OK;
}

// --- all of it ---

// The gradients of tied units are added up on one pipeline rank.
static titan_status check_tied(const titan_order *order, const titan_step_shape *shape) {
  int ranks[2];
  for (int i = 0; i < 2; i++)
    ranks[i] = order->rank_of_stage[titan_step_stage_of(shape, shape->tied[i])];
  if (ranks[0] == ranks[1])
    return TITAN_OK;
  return titan_error(TITAN_ERROR_USAGE,
                     "%s and %s share a parameter (model.tie_embeddings) and are on the pipeline ranks %d and %d; "
                     "expected a schedule that has both on one rank, or model.tie_embeddings = false",
                     shape->units[shape->tied[0]].name, shape->units[shape->tied[1]].name, ranks[0], ranks[1]);
}

static titan_status lower(lowering *l) {
  size_t units = (size_t)l->shape->unit_count, microbatches = (size_t)l->order->microbatches;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, units, sizeof(bool), &l->whole));
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, units, sizeof(bool), &l->complete));
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, units, sizeof(int), &l->gradient_runs));
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, units * microbatches, sizeof(int), &l->reduces));
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, units * microbatches, sizeof(int), &l->reduced_units));
  TITAN_TRY(find_uses(l));
  for (int i = 0, run = 0; i < l->computes->count; i++)
    TITAN_TRY(l->computes->actions[i].kind == TITAN_ACTION_RUN ? add_run_around(l, run++)
                                                               : titan_step_list_add(l->out, l->computes->actions[i]));
  return add_last_updates(l);
}

static titan_status lower_rank(const titan_order *order, const titan_step_shape *shape, const titan_step_list *computes,
                               titan_step_list *out) {
  lowering l = {.order = order, .shape = shape, .computes = computes, .out = out};
  titan_status status = lower(&l);
  titan_memory_free(l.next_use);
  titan_memory_free(l.runs);
  titan_memory_free(l.whole);
  titan_memory_free(l.complete);
  titan_memory_free(l.gradient_runs);
  titan_memory_free(l.reduces);
  titan_memory_free(l.reduced_units);
  return status;
}

// The lists of ranks first .. end - 1 go to lists[0] and up.
static titan_status lower_ranks(const titan_order *order, const titan_step_shape *shape, int first, int end,
                                titan_step_list *lists) {
  titan_status status = TITAN_OK;
  titan_step_list *computes = NULL; // of all ranks: where a send ends depends on others
  for (int rank = first; rank < end; rank++)
    lists[rank - first] = (titan_step_list){0};
  TITAN_TRY(check_tied(order, shape));
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, (size_t)order->ranks, sizeof *computes, &computes));
  for (int rank = 0; rank < order->ranks; rank++)
    TITAN_TRY_CLEANUP(add_computes(order, shape, rank, &computes[rank]));
  TITAN_TRY_CLEANUP(titan_step_end_sends(order, shape, computes));
  for (int rank = first; rank < end; rank++)
    TITAN_TRY_CLEANUP(lower_rank(order, shape, &computes[rank], &lists[rank - first]));
cleanup:
  for (int rank = 0; rank < order->ranks; rank++)
    titan_step_list_destroy(&computes[rank]);
  titan_memory_free(computes);
  for (int rank = first; status != TITAN_OK && rank < end; rank++)
    titan_step_list_destroy(&lists[rank - first]);
  return status;
}

titan_status titan_step_lower_all(const titan_order *order, const titan_step_shape *shape, titan_step_list *lists) {
  return lower_ranks(order, shape, 0, order->ranks, lists);
}

titan_status titan_step_lower(const titan_order *order, const titan_step_shape *shape, int rank, titan_step_list *out) {
  return lower_ranks(order, shape, rank, rank + 1, out);
}
