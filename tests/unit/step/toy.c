// SPDX-License-Identifier: Apache-2.0
#include "toy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fill(toy *t, int units, bool backward) {
  *t = (toy){0};
  for (int u = 0; u < units; u++) {
    bool head = u == units - 1;
    snprintf(t->names[u], sizeof t->names[u], u == 0 ? "embedding" : head ? "head" : "layers.%d", u - 1);
    t->units[u] = (titan_step_unit){.name = t->names[u], .merged = head, .reads_batch = u == 0 || head};
    size_t flat = 64 * (size_t)(1 + (u * 5 + 3) % 7);
    t->unit_sizes[u] = (titan_step_unit_sizes){
        .input = u > 0 ? 128 : 0,
        .saved = head || u == 0 ? 0 : 192 + 64 * (size_t)(u % 3),
        .kept = head || u == 0 ? 0 : 64 * (size_t)(1 + u % 2),
        .passed = head || u == 0 ? 0 : 64,
        .scratch = {64 * (size_t)(1 + u % 4), 128 * (size_t)(1 + u % 2), 64, 64},
        .gathered = flat / 2,
        .flat = flat,
        .shard = 64,
        .reads_input = {[TITAN_COMPUTE_BACKWARD] = u > 0 && !head, [TITAN_COMPUTE_INPUT_GRADIENT] = u > 0 && !head},
        .reads_output_gradient = {[TITAN_COMPUTE_BACKWARD] = true,
                                  [TITAN_COMPUTE_INPUT_GRADIENT] = true,
                                  [TITAN_COMPUTE_WEIGHT_GRADIENT] = u == 0}};
  }
  t->shape = (titan_step_shape){.unit_count = units,
                                .units = t->units,
                                .first_unit = t->first_unit,
                                .backward = backward,
                                .gathers = true,
                                .look_ahead = 1,
                                .reduce = TITAN_REDUCE_EACH,
                                .reduces_in_flight = 2};
  t->sizes = (titan_step_sizes){.units = t->unit_sizes, .own_shards = true, .alignment = 64};
}

void toy_create(toy *t, int units, int microbatches, bool backward) {
  fill(t, units, backward);
  t->first_unit[1] = units;
  const titan_schedule_row *row = titan_schedule_find(backward ? "plain" : "forward_only");
  if (titan_schedule_make(row, 1, 1, microbatches, &t->order) != TITAN_OK)
    abort();
}

void toy_create_pipeline(toy *t, const titan_order *order, const int *sizes) {
  int units = 0;
  for (int stage = 0; stage < order->stages; stage++)
    units += sizes[stage];
  fill(t, units, true);
  for (int stage = 0; stage < order->stages; stage++)
    t->first_unit[stage + 1] = t->first_unit[stage] + sizes[stage];
  t->order = *order;
}

void toy_tie(toy *t) {
  t->shape.tied[0] = 0;
  t->shape.tied[1] = t->shape.unit_count - 1;
}

void toy_destroy(toy *t) {
  titan_order_destroy(&t->order);
}

// --- what is computed ---

static uint64_t parameter_of(int unit) {
  return 1000003u * (uint64_t)(unit + 1);
}
static uint64_t batch_of(int microbatch) {
  return 7919u * (uint64_t)(microbatch + 1);
}
static uint64_t output_of(int unit, uint64_t x, uint64_t parameter) {
  return x * 31 + parameter * (uint64_t)(unit + 2);
}
static uint64_t input_gradient_of(uint64_t dy, uint64_t x, uint64_t parameter) {
  return dy * 17 + x * 3 + parameter;
}
static uint64_t gradient_of(uint64_t dy, uint64_t x) {
  return dy * 13 + x * 5 + 1;
}

// What all ranks share; a unit is on one of them.
typedef struct message_of_toy {
  uint64_t value;
  int number;
  bool sent, begun;
} message_of_toy;

typedef struct results_of_toy {
  uint64_t shards[TOY_UNITS];
  bool written[TOY_UNITS]; // shards
  uint64_t offloaded[TOY_UNITS], updated[TOY_UNITS];
  int offloads[TOY_UNITS], updates[TOY_UNITS];
  uint64_t losses[TOY_MICROBATCHES];
  message_of_toy messages[TOY_UNITS][TOY_MICROBATCHES][2]; // inputs, and their gradients
  bool good;
} results_of_toy;

// A rank's.
typedef struct memory_of_toy {
  const toy *t;
  const titan_step_list *list;
  results_of_toy *results;
  titan_step_memory memory;
  char *arenas[TITAN_ARENAS];
  int place;   // of the next action
  int pending; // REDUCEs up to here are complete
  // The OFFLOAD that has not ended: its block and unit; -1: there is none.
  int offloaded_block, offloaded_unit;
} memory_of_toy;

static void write_block(memory_of_toy *m, int index, uint64_t value) {
  if (index < 0) {
    m->results->good = false;
    return;
  }
  const titan_step_block *block = &m->memory.blocks[index];
  uint64_t *at = (uint64_t *)(m->arenas[block->arena] + block->offset);
  for (size_t i = 0; i < block->bytes / 8; i++)
    at[i] = value;
}

static uint64_t read_block(memory_of_toy *m, int index) {
  if (index < 0) {
    m->results->good = false;
    return 0;
  }
  const titan_step_block *block = &m->memory.blocks[index];
  const uint64_t *at = (const uint64_t *)(m->arenas[block->arena] + block->offset);
  for (size_t i = 1; i < block->bytes / 8; i++)
    m->results->good &= at[i] == at[0];
  return at[0];
}

static void add_to_shard(memory_of_toy *m, const titan_step_places *places, int unit, uint64_t value, bool add) {
  m->results->good &= add == m->results->written[unit];
  m->results->written[unit] = true;
  if (m->t->sizes.own_shards)
    m->results->shards[unit] = (add ? m->results->shards[unit] : 0) + value;
  else
    write_block(m, places->shard, (add ? read_block(m, places->shard) : 0) + value);
}

static void complete(memory_of_toy *m, int after) {
  for (; m->pending <= after; m->pending++) {
    const titan_action *action = &m->list->actions[m->pending];
    const titan_step_places *places = &m->memory.places[m->pending];
    if (action->kind != TITAN_ACTION_REDUCE || m->t->sizes.whole_shards)
      continue;
    uint64_t value = read_block(m, places->flat);
    if (action->add) // by way of the part
      write_block(m, places->part, value);
    add_to_shard(m, places, action->unit, action->add ? read_block(m, places->part) : value, action->add);
  }
}

static void put_gradients(memory_of_toy *m, const titan_action *run, const titan_step_places *places, uint64_t value) {
  bool sums = places->sum >= 0;
  if (m->t->sizes.whole_shards) {
    if (run->add)
      write_block(m, places->flat, value);
    add_to_shard(m, places, run->unit, run->add ? read_block(m, places->flat) : value, run->add);
    return;
  }
  if (sums && !run->add) {
    write_block(m, places->sum, value);
    return;
  }
  write_block(m, places->flat, value);
  if (sums && !run->last)
    write_block(m, places->sum, read_block(m, places->sum) + read_block(m, places->flat));
  else if (sums)
    write_block(m, places->flat, read_block(m, places->flat) + read_block(m, places->sum));
}

static void run_unit(memory_of_toy *m, const titan_action *run, const titan_step_places *places) {
  const toy *t = m->t;
  int unit = run->unit;
  bool gathered = t->shape.gathers && titan_action_reads_parameters(run, &t->shape);
  uint64_t parameter = gathered ? read_block(m, places->gathered) : parameter_of(unit);
  bool first = unit == 0, last = unit == t->shape.unit_count - 1;
  write_block(m, places->scratch, 0xdead0000u + (uint64_t)unit);
  uint64_t x = first ? batch_of(run->microbatch) : 0;
  if (!first && (run->compute == TITAN_COMPUTE_FORWARD || t->unit_sizes[unit].reads_input[run->compute]))
    x = read_block(m, places->input);
  else if (!first && !last) // weight gradients know x by what is kept for them
    x = read_block(m, places->kept);
  if (run->compute == TITAN_COMPUTE_FORWARD) {
    uint64_t y = output_of(unit, x, parameter);
    if (places->saved >= 0)
      write_block(m, places->saved, x);
    if (places->kept >= 0)
      write_block(m, places->kept, x);
    if (!last)
      write_block(m, places->output, y);
    else
      m->results->losses[run->microbatch] += y;
    if (!last || !t->shape.backward)
      return;
  }
  bool weights_apart = run->compute == TITAN_COMPUTE_WEIGHT_GRADIENT;
  uint64_t dy = last                      ? batch_of(run->microbatch)
                : weights_apart && !first ? read_block(m, places->passed)
                                          : read_block(m, places->output_gradient);
  if (t->unit_sizes[unit].saved > 0 && !weights_apart)
    m->results->good &= read_block(m, places->saved) == x;
  if (t->unit_sizes[unit].kept > 0)
    m->results->good &= read_block(m, places->kept) == x;
  if (places->passed >= 0 && !weights_apart)
    write_block(m, places->passed, dy);
  if (!first && run->compute != TITAN_COMPUTE_WEIGHT_GRADIENT)
    write_block(m, places->input_gradient, input_gradient_of(dy, x, parameter));
  if (run->compute != TITAN_COMPUTE_INPUT_GRADIENT)
    put_gradients(m, run, places, gradient_of(dy, x));
}

static uint64_t read_shard(memory_of_toy *m, int unit, int block) {
  return m->t->sizes.own_shards ? m->results->shards[unit] : read_block(m, block);
}

static void end_offload(memory_of_toy *m) {
  if (m->offloaded_unit >= 0) {
    m->results->offloaded[m->offloaded_unit] = read_block(m, m->offloaded_block);
    m->results->offloads[m->offloaded_unit]++;
  }
  m->offloaded_unit = -1;
}

static void update(memory_of_toy *m, int unit, const titan_step_places *places) {
  bool offloads = m->t->shape.offloads;
  end_offload(m);
  m->results->good &= m->results->offloads[unit] == offloads;
  m->results->updates[unit]++;
  m->results->updated[unit] = offloads ? m->results->offloaded[unit] : read_shard(m, unit, places->shard);
}

static void tie(memory_of_toy *m, const titan_step_places *places) {
  const int *units = m->t->shape.tied;
  int blocks[2] = {places->shard, places->tied_shard};
  uint64_t sum = read_shard(m, units[0], blocks[0]) + read_shard(m, units[1], blocks[1]);
  for (int i = 0; i < 2; i++) {
    m->results->shards[units[i]] = sum;
    if (!m->t->sizes.own_shards)
      write_block(m, blocks[i], sum);
  }
}

// A send reads its block when it ends, a receive has written rubbish over its own when it begins: both are used only in
// between. false: what it waits for has not happened yet.
static bool transfer(memory_of_toy *m, const titan_action *action, const titan_step_places *places) {
  bool gradient = action->compute != TITAN_COMPUTE_FORWARD;
  message_of_toy *message = &m->results->messages[action->unit][action->microbatch][gradient];
  switch (action->kind) {
  case TITAN_ACTION_SEND:
    message->value = read_block(m, places->input);
    message->number = action->message;
    message->sent = true;
    return true;
  case TITAN_ACTION_SENT:
    if (!message->begun)
      return false;
    m->results->good &= read_block(m, places->input) == message->value;
    return true;
  case TITAN_ACTION_RECV:
    write_block(m, places->input, 0xbad);
    message->begun = true;
    return true;
  default:
    if (!message->sent)
      return false;
    m->results->good &= read_block(m, places->input) == 0xbad && message->number == action->message;
    write_block(m, places->input, message->value);
    return true;
  }
}

static bool run_action(memory_of_toy *m) {
  const titan_action *action = &m->list->actions[m->place];
  const titan_step_places *places = &m->memory.places[m->place];
  if (action->after >= 0)
    complete(m, action->after);
  switch (action->kind) {
  case TITAN_ACTION_RUN:
    run_unit(m, action, places);
    break;
  case TITAN_ACTION_GATHER:
    write_block(m, places->gathered, parameter_of(action->unit) + m->results->updated[action->unit]);
    break;
  case TITAN_ACTION_SEND:
  case TITAN_ACTION_SENT:
  case TITAN_ACTION_RECV:
  case TITAN_ACTION_RECEIVED:
    if (!transfer(m, action, places))
      return false;
    break;
  case TITAN_ACTION_TIE:
    tie(m, places);
    break;
  case TITAN_ACTION_OFFLOAD:
    end_offload(m);
    m->offloaded_block = places->shard;
    m->offloaded_unit = action->unit;
    break;
  case TITAN_ACTION_UPDATE:
    update(m, action->unit, places);
    break;
  default:
    break;
  }
  m->place++;
  return true;
}

static bool is_right(const toy *t, const results_of_toy *results) {
  int units = t->shape.unit_count;
  uint64_t sums[TOY_UNITS] = {0};
  for (int microbatch = 0; microbatch < t->order.microbatches; microbatch++) {
    uint64_t x[TOY_UNITS + 1] = {batch_of(microbatch)}, dy = batch_of(microbatch);
    for (int u = 0; u < units; u++)
      x[u + 1] = output_of(u, x[u], parameter_of(u));
    if (results->losses[microbatch] != x[units])
      return false;
    for (int u = units - 1; u >= 0; u--) {
      sums[u] += gradient_of(dy, x[u]);
      dy = input_gradient_of(dy, x[u], parameter_of(u));
    }
  }
  const int *tied = t->shape.tied;
  if (tied[0] != tied[1])
    sums[tied[0]] = sums[tied[1]] = sums[tied[0]] + sums[tied[1]];
  for (int u = 0; u < units && t->shape.backward; u++)
    if (results->updates[u] != 1 || results->updated[u] != sums[u])
      return false;
  return results->good;
}

static bool create(memory_of_toy *m, const toy *t, const titan_step_list *list, results_of_toy *results) {
  *m = (memory_of_toy){.t = t, .list = list, .results = results, .offloaded_unit = -1};
  if (titan_step_memory_create(list, &t->shape, &t->sizes, &m->memory) != TITAN_OK)
    return false;
  for (int arena = 0; arena < TITAN_ARENAS; arena++) {
    m->arenas[arena] = malloc(m->memory.bytes[arena] + 1);
    memset(m->arenas[arena], 0x5a, m->memory.bytes[arena]);
  }
  return true;
}

static void destroy(memory_of_toy *m) {
  for (int arena = 0; arena < TITAN_ARENAS; arena++)
    free(m->arenas[arena]);
  titan_step_memory_destroy(&m->memory);
}

bool toy_run(const toy *t, const titan_step_list *lists) {
  results_of_toy *results = calloc(1, sizeof *results);
  memory_of_toy *ranks = calloc((size_t)t->order.ranks, sizeof *ranks);
  bool right = true, any = true;
  results->good = true;
  for (int rank = 0; rank < t->order.ranks; rank++)
    right &= create(&ranks[rank], t, &lists[rank], results);
  while (right && any) {
    any = false;
    for (int rank = 0; rank < t->order.ranks; rank++)
      while (ranks[rank].place < lists[rank].count && run_action(&ranks[rank]))
        any = true;
  }
  for (int rank = 0; rank < t->order.ranks; rank++) {
    right &= ranks[rank].place == lists[rank].count;
    destroy(&ranks[rank]);
  }
  right &= is_right(t, results);
  free(ranks);
  free(results);
  return right;
}
