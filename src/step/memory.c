// SPDX-License-Identifier: Apache-2.0
#include "step/memory.h"

#include "base/memory.h"
#include "step/pack.h"

static const titan_arena arena_of[TITAN_BLOCK_KINDS] = {
    [TITAN_BLOCK_INPUT] = TITAN_ARENA_ACTIVATIONS,   [TITAN_BLOCK_INPUT_GRADIENT] = TITAN_ARENA_ACTIVATIONS,
    [TITAN_BLOCK_SAVED] = TITAN_ARENA_ACTIVATIONS,   [TITAN_BLOCK_SCRATCH] = TITAN_ARENA_ACTIVATIONS,
    [TITAN_BLOCK_KEPT] = TITAN_ARENA_ACTIVATIONS,    [TITAN_BLOCK_PASSED] = TITAN_ARENA_ACTIVATIONS,
    [TITAN_BLOCK_GATHERED] = TITAN_ARENA_PARAMETERS, [TITAN_BLOCK_FLAT] = TITAN_ARENA_EXCHANGE,
    [TITAN_BLOCK_SUM] = TITAN_ARENA_GRADIENTS,       [TITAN_BLOCK_PART] = TITAN_ARENA_GRADIENTS,
    [TITAN_BLOCK_SHARD] = TITAN_ARENA_GRADIENTS,
};

typedef struct builder {
  const titan_step_list *list;
  const titan_step_shape *shape;
  const titan_step_sizes *sizes;
  int microbatches, capacity;
  int *open;                  // [kinds][units + 1][microbatches]: the block, or -1
  int pending, pending_count; // REDUCEs whose blocks are alive: the first, as places in `reduces`
  int *reduces;
  int offloaded; // block of the OFFLOAD that has not ended; -1: there is none
  titan_step_memory *out;
} builder;

static int *open_at(const builder *b, titan_block_kind kind, int unit, int microbatch) {
  size_t units = (size_t)b->shape->unit_count + 1;
  return &b->open[((size_t)kind * units + (size_t)unit) * (size_t)b->microbatches + (size_t)microbatch];
}

static size_t aligned(size_t bytes, const titan_step_sizes *sizes) {
  return titan_round_up(bytes, sizes->alignment);
}

// The block is alive at action `place`; it is new where it was not. *index: -1 where it takes no bytes.
static titan_status use(builder *b, titan_block_kind kind, int unit, int microbatch, size_t bytes, int place,
                        int *index) {
  int *open = open_at(b, kind, unit, microbatch < 0 ? 0 : microbatch);
  *index = -1;
  if (bytes == 0)
    return TITAN_OK;
  if (*open < 0) {
    if (b->out->block_count == b->capacity) {
      b->capacity = b->capacity > 0 ? 2 * b->capacity : 256;
      TITAN_TRY(titan_memory_resize(TITAN_MEMORY_GRAPH, (size_t)b->capacity * sizeof *b->out->blocks, &b->out->blocks));
    }
    *open = b->out->block_count++;
    b->out->blocks[*open] = (titan_step_block){.kind = kind,
                                               .arena = arena_of[kind],
                                               .unit = unit,
                                               .microbatch = microbatch,
                                               .bytes = aligned(bytes, b->sizes),
                                               .first = place};
  }
  b->out->blocks[*open].last = place;
  *index = *open;
  return TITAN_OK;
}

static void close_block(const builder *b, titan_block_kind kind, int unit, int microbatch) {
  *open_at(b, kind, unit, microbatch < 0 ? 0 : microbatch) = -1;
}

static size_t input_bytes(const builder *b, int unit) {
  return unit < b->shape->unit_count ? b->sizes->units[unit].input : 0;
}

static titan_status use_shard(builder *b, int unit, int place, int *index) {
  size_t bytes = b->sizes->own_shards ? 0 : b->sizes->units[unit].shard;
  return use(b, TITAN_BLOCK_SHARD, unit, -1, bytes, place, index);
}

// Where a RUN's gradients go: straight to the shard where that is the whole, or to the sum where it begins one; else
// into a flat block of their own, which is then added.
static titan_status use_gradients(builder *b, const titan_action *run, int place, titan_step_places *places) {
  int unit = run->unit;
  bool whole = b->sizes->whole_shards, sums = !whole && b->shape->reduce == TITAN_REDUCE_LAST && b->microbatches > 1;
  size_t flat = b->sizes->units[unit].flat;
  if (whole)
    TITAN_TRY(use_shard(b, unit, place, &places->shard));
  if (sums)
    TITAN_TRY(use(b, TITAN_BLOCK_SUM, unit, -1, flat, place, &places->sum));
  if (whole ? run->add : !sums || run->add)
    TITAN_TRY(use(b, TITAN_BLOCK_FLAT, unit, run->microbatch, flat, place, &places->flat));
  if (places->flat >= 0 && (whole || (sums && !run->last)))
    close_block(b, TITAN_BLOCK_FLAT, unit, run->microbatch);
  return TITAN_OK;
}

static titan_status use_run(builder *b, const titan_action *run, int place, titan_step_places *places) {
  int unit = run->unit, m = run->microbatch, next = unit + 1;
  const titan_step_unit_sizes *sizes = &b->sizes->units[unit];
  bool forward = run->compute == TITAN_COMPUTE_FORWARD, merged = b->shape->backward && b->shape->units[unit].merged;
  bool backward = !forward || merged, input_gradient = backward && run->compute != TITAN_COMPUTE_WEIGHT_GRADIENT;
  if (forward || sizes->reads_input[run->compute])
    TITAN_TRY(use(b, TITAN_BLOCK_INPUT, unit, m, sizes->input, place, &places->input));
  if (forward)
    TITAN_TRY(use(b, TITAN_BLOCK_INPUT, next, m, input_bytes(b, next), place, &places->output));
  if (!forward && sizes->reads_output_gradient[run->compute])
    TITAN_TRY(use(b, TITAN_BLOCK_INPUT_GRADIENT, next, m, input_bytes(b, next), place, &places->output_gradient));
  if (input_gradient)
    TITAN_TRY(use(b, TITAN_BLOCK_INPUT_GRADIENT, unit, m, sizes->input, place, &places->input_gradient));
  bool weights_apart = run->compute == TITAN_COMPUTE_WEIGHT_GRADIENT;
  if (b->shape->backward && !weights_apart)
    TITAN_TRY(use(b, TITAN_BLOCK_SAVED, unit, m, sizes->saved, place, &places->saved));
  if (b->shape->backward)
    TITAN_TRY(use(b, TITAN_BLOCK_KEPT, unit, m, sizes->kept, place, &places->kept));
  if (!forward)
    TITAN_TRY(use(b, TITAN_BLOCK_PASSED, unit, m, sizes->passed, place, &places->passed));
  TITAN_TRY(use(b, TITAN_BLOCK_SCRATCH, unit, m, sizes->scratch[run->compute], place, &places->scratch));
  close_block(b, TITAN_BLOCK_SCRATCH, unit, m);
  if (b->shape->gathers && titan_action_reads_parameters(run, b->shape))
    TITAN_TRY(use(b, TITAN_BLOCK_GATHERED, unit, -1, sizes->gathered, place, &places->gathered));
  return titan_action_has_gradients(run, b->shape) ? use_gradients(b, run, place, places) : TITAN_OK;
}

static titan_status use_reduce(builder *b, const titan_action *reduce, int place, titan_step_places *places) {
  int unit = reduce->unit;
  const titan_step_unit_sizes *sizes = &b->sizes->units[unit];
  if (!b->sizes->whole_shards) {
    TITAN_TRY(use(b, TITAN_BLOCK_FLAT, unit, reduce->microbatch, sizes->flat, place, &places->flat));
    if (reduce->add)
      TITAN_TRY(use(b, TITAN_BLOCK_PART, unit, reduce->microbatch, sizes->shard, place, &places->part));
  }
  b->reduces[b->pending_count++] = place;
  return use_shard(b, unit, place, &places->shard);
}

// What the REDUCEs up to action `after` held is alive until the action before `place`, and no longer.
static void complete_reduces(builder *b, int after, int place) {
  for (; b->pending < b->pending_count && b->reduces[b->pending] <= after; b->pending++) {
    const titan_step_places *places = &b->out->places[b->reduces[b->pending]];
    const titan_action *reduce = &b->list->actions[b->reduces[b->pending]];
    if (places->flat >= 0)
      b->out->blocks[places->flat].last = place - 1;
    if (places->part >= 0)
      b->out->blocks[places->part].last = place - 1;
    if (places->shard >= 0)
      b->out->blocks[places->shard].last = place - 1;
    close_block(b, TITAN_BLOCK_FLAT, reduce->unit, reduce->microbatch);
    close_block(b, TITAN_BLOCK_PART, reduce->unit, reduce->microbatch);
  }
}

// The block of the OFFLOAD before action `place` is alive until then.
static void end_offload(builder *b, int place) {
  if (b->offloaded >= 0)
    b->out->blocks[b->offloaded].last = place - 1;
  b->offloaded = -1;
}

static titan_status use_offload(builder *b, int unit, int place, titan_step_places *places) {
  end_offload(b, place);
  TITAN_TRY(use_shard(b, unit, place, &places->shard));
  b->offloaded = places->shard;
  return TITAN_OK;
}

static titan_status use_action(builder *b, int place) {
  const titan_action *action = &b->list->actions[place];
  titan_step_places *places = &b->out->places[place];
  *places = (titan_step_places){-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
  if (action->after >= 0)
    complete_reduces(b, action->after, place);
  switch (action->kind) {
  case TITAN_ACTION_RUN:
    return use_run(b, action, place, places);
  case TITAN_ACTION_GATHER:
  case TITAN_ACTION_RELEASE:
    TITAN_TRY(use(b, TITAN_BLOCK_GATHERED, action->unit, -1, b->sizes->units[action->unit].gathered, place,
                  &places->gathered));
    if (action->kind == TITAN_ACTION_RELEASE)
      close_block(b, TITAN_BLOCK_GATHERED, action->unit, -1);
    return TITAN_OK;
  case TITAN_ACTION_SEND:
  case TITAN_ACTION_SENT:
  case TITAN_ACTION_RECV:
  case TITAN_ACTION_RECEIVED:
    return use(b, action->compute == TITAN_COMPUTE_FORWARD ? TITAN_BLOCK_INPUT : TITAN_BLOCK_INPUT_GRADIENT,
               action->unit, action->microbatch, input_bytes(b, action->unit), place, &places->input);
  case TITAN_ACTION_REDUCE:
    return use_reduce(b, action, place, places);
  case TITAN_ACTION_TIE:
    TITAN_TRY(use_shard(b, b->shape->tied[1], place, &places->tied_shard));
    return use_shard(b, action->unit, place, &places->shard);
  case TITAN_ACTION_OFFLOAD:
    return use_offload(b, action->unit, place, places);
  case TITAN_ACTION_UPDATE:
    end_offload(b, place);
    return b->shape->offloads ? TITAN_OK : use_shard(b, action->unit, place, &places->shard);
  case TITAN_ACTION_LOAD:
  case TITAN_ACTIONS:
    break;
  }
  return TITAN_OK;
}

static titan_status list_blocks(builder *b) {
  size_t entries = (size_t)TITAN_BLOCK_KINDS * ((size_t)b->shape->unit_count + 1) * (size_t)b->microbatches;
  size_t count = (size_t)b->list->count + 1;
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GRAPH, entries * sizeof(int), &b->open));
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GRAPH, count * sizeof(int), &b->reduces));
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GRAPH, count * sizeof *b->out->places, &b->out->places));
  for (size_t i = 0; i < entries; i++)
    b->open[i] = -1;
  for (int place = 0; place < b->list->count; place++)
    TITAN_TRY(use_action(b, place));
  complete_reduces(b, b->list->count, b->list->count);
  return TITAN_OK;
}

static int count_microbatches(const titan_step_list *list) {
  int most = 0;
  for (int i = 0; i < list->count; i++)
    most = list->actions[i].microbatch > most ? list->actions[i].microbatch : most;
  return most + 1;
}

static titan_status create_blocks(const titan_step_list *list, const titan_step_shape *shape,
                                  const titan_step_sizes *sizes, titan_step_memory *out) {
  builder b = {.list = list,
               .shape = shape,
               .sizes = sizes,
               .microbatches = count_microbatches(list),
               .offloaded = -1,
               .out = out};
  *out = (titan_step_memory){0};
  titan_status status = list_blocks(&b);
  titan_memory_free(b.open);
  titan_memory_free(b.reduces);
  return status;
}

titan_status titan_step_memory_list(const titan_step_list *list, const titan_step_shape *shape,
                                    const titan_step_sizes *sizes, titan_step_memory *out) {
  titan_status status = create_blocks(list, shape, sizes, out);
  if (status != TITAN_OK)
    titan_step_memory_destroy(out);
  return status;
}

void titan_step_memory_resize(titan_step_memory *memory, const titan_step_list *list, const titan_step_sizes *sizes) {
  for (int i = 0; i < memory->block_count; i++) {
    titan_step_block *block = &memory->blocks[i];
    const titan_step_unit_sizes *unit = &sizes->units[block->unit];
    if (block->kind == TITAN_BLOCK_SAVED)
      block->bytes = aligned(unit->saved, sizes);
    else if (block->kind == TITAN_BLOCK_KEPT)
      block->bytes = aligned(unit->kept, sizes);
    else if (block->kind == TITAN_BLOCK_PASSED)
      block->bytes = aligned(unit->passed, sizes);
    else if (block->kind == TITAN_BLOCK_SCRATCH)
      block->bytes = aligned(unit->scratch[list->actions[block->first].compute], sizes);
  }
}

titan_status titan_step_memory_most(const titan_step_memory *memory, titan_arena arena, int actions, size_t *bytes,
                                    int *peak) {
  int64_t *changes, alive = 0, most = 0;
  *peak = -1;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, (size_t)actions + 1, sizeof *changes, &changes));
  for (int i = 0; i < memory->block_count; i++) {
    const titan_step_block *block = &memory->blocks[i];
    if (block->arena == arena) {
      changes[block->first] += (int64_t)block->bytes;
      changes[block->last + 1] -= (int64_t)block->bytes;
    }
  }
  for (int action = 0; action < actions; action++) {
    alive += changes[action];
    if (alive > most) {
      most = alive;
      *peak = action;
    }
  }
  *bytes = (size_t)most;
  titan_memory_free(changes);
  return TITAN_OK;
}

static titan_status pack_arena(titan_step_memory *memory, titan_arena arena, int actions) {
  TITAN_TRY(titan_step_memory_most(memory, arena, actions, &memory->bounds[arena], &memory->peaks[arena]));
  return titan_step_pack(memory->blocks, memory->block_count, arena, actions, memory->bounds[arena],
                         &memory->bytes[arena]);
}

titan_status titan_step_memory_create(const titan_step_list *list, const titan_step_shape *shape,
                                      const titan_step_sizes *sizes, titan_step_memory *out) {
  titan_status status = create_blocks(list, shape, sizes, out);
  for (int arena = 0; arena < TITAN_ARENAS && status == TITAN_OK; arena++)
    status = pack_arena(out, (titan_arena)arena, list->count);
  if (status != TITAN_OK)
    titan_step_memory_destroy(out);
  return status;
}

void titan_step_memory_destroy(titan_step_memory *memory) {
  titan_memory_free(memory->blocks);
  titan_memory_free(memory->places);
  *memory = (titan_step_memory){0};
}

static const char *const kind_names[TITAN_BLOCK_KINDS] = {
    [TITAN_BLOCK_INPUT] = "input",
    [TITAN_BLOCK_INPUT_GRADIENT] = "input_gradient",
    [TITAN_BLOCK_SAVED] = "saved",
    [TITAN_BLOCK_SCRATCH] = "scratch",
    [TITAN_BLOCK_KEPT] = "kept",
    [TITAN_BLOCK_PASSED] = "passed",
    [TITAN_BLOCK_GATHERED] = "gathered",
    [TITAN_BLOCK_FLAT] = "gradients",
    [TITAN_BLOCK_SUM] = "gradient_sum",
    [TITAN_BLOCK_PART] = "gradient_part",
    [TITAN_BLOCK_SHARD] = "gradient_shard",
};
static const char *const arena_names[TITAN_ARENAS] = {
    [TITAN_ARENA_ACTIVATIONS] = "activations",
    [TITAN_ARENA_PARAMETERS] = "parameters",
    [TITAN_ARENA_EXCHANGE] = "exchange",
    [TITAN_ARENA_GRADIENTS] = "gradients",
};

const char *titan_block_kind_name(titan_block_kind kind) {
  return kind_names[kind];
}

const char *titan_arena_name(titan_arena arena) {
  return arena_names[arena];
}

titan_status titan_step_memory_print(const titan_step_memory *memory, const titan_step_shape *shape, titan_text *text) {
  for (int arena = 0; arena < TITAN_ARENAS; arena++)
    if (memory->bounds[arena] > 0)
      TITAN_TRY(titan_text_printf(text, "arena %s: %zu bytes, at most %zu of them alive at once (%.3f)\n",
                                  arena_names[arena], memory->bytes[arena], memory->bounds[arena],
                                  (double)memory->bytes[arena] / (double)memory->bounds[arena]));
  for (int i = 0; i < memory->block_count; i++) {
    const titan_step_block *block = &memory->blocks[i];
    TITAN_TRY(titan_text_printf(text, "%-11s %12zu bytes at %12zu  #%d..#%d  %s %s", arena_names[block->arena],
                                block->bytes, block->offset, block->first, block->last, kind_names[block->kind],
                                shape->units[block->unit].name));
    TITAN_TRY(block->microbatch >= 0 ? titan_text_printf(text, " m%d\n", block->microbatch)
                                     : titan_text_printf(text, "\n"));
  }
  return TITAN_OK;
}
