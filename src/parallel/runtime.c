// SPDX-License-Identifier: Apache-2.0
#include "device/queue.h"
#include "parallel/runtime_private.h"

#include "base/log.h"
#include "passes/tensor.h"

#include <stdio.h>
#include <string.h>

// --- planning ---

static titan_status create_constants(titan_runtime *runtime) {
  const titan_model_kind *row = runtime->options.model->constants;
  titan_model_shape shape = runtime->options.shape;
  titan_graph *graph;
  if (row == NULL)
    return TITAN_OK;
  // A shorter sequence reads the beginning of what a longer one does.
  if (runtime->options.validation.batch > 0 && runtime->options.validation.length > shape.length)
    shape.length = runtime->options.validation.length;
  TITAN_TRY(titan_runtime_graph_create(runtime, row, &shape, false, NULL, &graph));
  return titan_runtime_program_create(runtime, row, -1, graph, NULL, false, &runtime->constants);
}

static titan_status create_steps(titan_runtime *runtime) {
  size_t count = (size_t)runtime->unit_count;
  runtime->steps[STEP_TRAINING].exists = true;
  runtime->steps[STEP_TRAINING].shape = runtime->options.shape;
  runtime->steps[STEP_VALIDATION].exists = runtime->options.validation.batch > 0;
  runtime->steps[STEP_VALIDATION].shape = runtime->options.validation;
  for (int kind = 0; kind < STEPS; kind++) {
    if (!runtime->steps[kind].exists)
      continue;
    TITAN_TRY(
        titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, count, sizeof(int), &runtime->steps[kind].program_of_unit));
    TITAN_TRY(titan_runtime_programs_create(runtime, (runtime_step_kind)kind));
  }
  return TITAN_OK;
}

static titan_status plan(titan_runtime *runtime) {
  const titan_model_definition *model = runtime->options.model;
  runtime->unit_count = (int)model->unit_count(&runtime->options.arguments);
  size_t count = (size_t)runtime->unit_count;
  if (model->kind_count > KINDS_MOST)
    return titan_error(TITAN_ERROR_INTERNAL, "model %s has %d kinds of units, at most %d are possible", model->name,
                       model->kind_count, KINDS_MOST);
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, count, sizeof *runtime->units, &runtime->units));
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, count, sizeof(int), &runtime->completion));
  TITAN_TRY(titan_runtime_split(runtime));
  TITAN_TRY(create_constants(runtime));
  TITAN_TRY(create_steps(runtime));
  TITAN_TRY(titan_runtime_blocks_create(runtime));
  for (int kind = 0; kind < STEPS; kind++)
    if (runtime->steps[kind].exists)
      TITAN_TRY(titan_runtime_wires_check(runtime, &runtime->steps[kind]));
  TITAN_TRY(titan_runtime_tie_find(runtime));
  titan_runtime_lay_out(runtime);
  if (runtime->steps[STEP_VALIDATION].exists)
    TITAN_TRY(titan_runtime_validation_order_create(runtime));
  for (int kind = 0; kind < STEPS; kind++)
    TITAN_TRY(titan_runtime_list_create(runtime, (runtime_step_kind)kind));
  return TITAN_OK;
}

static const titan_plan *plan_of(const titan_runtime *runtime, int unit) {
  return titan_runtime_program_of(&runtime->steps[STEP_TRAINING], unit)->plan;
}

// Tied units have the tied parameter at the same place of flat vectors of one length.
static void lay_out_unit(titan_runtime *runtime, int unit, const char *prefix) {
  const titan_comm *shard = titan_runtime_shard_group(runtime);
  const titan_runtime_tie *tie = &runtime->tie;
  const titan_plan *plan = plan_of(runtime, unit);
  int64_t lead = 0, elements = plan->flat_elements;
  if (tie->exists && (unit == tie->units[0] || unit == tie->units[1])) {
    int me = unit == tie->units[1];
    const titan_plan *other = plan_of(runtime, tie->units[!me]);
    int64_t difference = other->parameters[tie->parameters[!me]].first - plan->parameters[tie->parameters[me]].first;
    int64_t other_elements = other->flat_elements + (difference < 0 ? -difference : 0);
    lead = difference > 0 ? difference : 0;
    elements = lead + elements > other_elements ? lead + elements : other_elements;
  }
  titan_unit_lay_out_at(&runtime->units[unit], prefix, plan, lead, runtime->holds[unit] ? elements : 0,
                        titan_comm_rank(shard), titan_comm_size(shard));
}

void titan_runtime_lay_out(titan_runtime *runtime) {
  for (int unit = 0; unit < runtime->unit_count; unit++) {
    char prefix[TITAN_PREFIX_BYTES];
    titan_model_unit_prefix(runtime->options.model, &runtime->options.arguments, unit, prefix, sizeof prefix);
    lay_out_unit(runtime, unit, prefix);
  }
}

titan_status titan_runtime_create(const titan_runtime_options *options, titan_mesh *mesh, titan_device *device,
                                  titan_runtime **out) {
  titan_runtime *runtime;
  *out = NULL;
  if (options->pipeline.automatic)
    return titan_error(TITAN_ERROR_INTERNAL, "the schedule of the pipeline was not chosen");
  if (options->global_tokens < 1)
    return titan_error(TITAN_ERROR_INTERNAL, "a step of %lld counted tokens, expected at least 1",
                       (long long)options->global_tokens);
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, 1, sizeof *runtime, &runtime));
  runtime->options = *options;
  if (runtime->options.microbatches < 1)
    runtime->options.microbatches = 1;
  runtime->mesh = mesh;
  runtime->device = device;
  runtime->options.offload = options->offload && !titan_device_is_host(device);
  if (device->queues != NULL) // windows of shared memory are the host's
    runtime->options.intra_node = TITAN_INTRA_NODE_MPI;
  titan_status status = plan(runtime);
  if (status != TITAN_OK)
    titan_runtime_destroy(&runtime);
  *out = runtime;
  return status;
}

titan_status titan_runtime_choose(titan_runtime *runtime, size_t fixed) {
  return runtime->options.activations.mode == TITAN_ACTIVATIONS_BUDGET ? titan_runtime_budget_choose(runtime, fixed)
                                                                       : TITAN_OK;
}

titan_status titan_runtime_plan(const titan_runtime_options *options, titan_mesh *mesh, titan_device *device,
                                titan_runtime **out) {
  TITAN_TRY(titan_runtime_create(options, mesh, device, out));
  titan_status status = titan_runtime_choose(*out, options->activations.fixed);
  if (status != TITAN_OK)
    titan_runtime_destroy(out);
  return status;
}

// --- memory ---

static bool is_result(const titan_plan *plan, int external) {
  return plan->externals[external].written;
}

size_t titan_runtime_constant_bytes(const titan_runtime *runtime) {
  const titan_plan *plan = runtime->constants.plan;
  size_t bytes = 0;
  for (int i = 0; plan != NULL && i < plan->external_count; i++)
    bytes += is_result(plan, i) ? titan_tensor_bytes(&plan->externals[i].type) : 0;
  return bytes;
}

static size_t constants_scratch_bytes(const titan_runtime *runtime) {
  return runtime->constants.plan != NULL ? runtime->constants.plan->phases[TITAN_FORWARD].scratch_bytes : 0;
}

// Constants are computed before the first step, in the arena of activations.
static size_t activation_bytes(const titan_runtime *runtime) {
  size_t arena = titan_runtime_arena_bytes(runtime, TITAN_ARENA_ACTIVATIONS),
         scratch = constants_scratch_bytes(runtime);
  return arena > scratch ? arena : scratch;
}

titan_reduce_options titan_runtime_reduce_options(titan_runtime *runtime) {
  return (titan_reduce_options){
      .shard = titan_runtime_shard_group(runtime),
      .replicate = titan_runtime_replicate_group(runtime),
      .device = runtime->device,
      .intra_node = runtime->options.intra_node,
      .unit_count = runtime->unit_count,
      .units = runtime->units,
      .order = runtime->completion,
      .exchange_bytes = titan_runtime_arena_bytes(runtime, TITAN_ARENA_EXCHANGE),
      .own_shards = titan_runtime_owns_shards(runtime),
  };
}

// Whether masters lie apart from what is gathered.
static bool owns_masters(const titan_runtime *runtime) {
  return runtime->options.shape.dtype != TITAN_FLOAT32 || runtime->options.offload;
}

titan_runtime_memory titan_runtime_memory_of(const titan_runtime *runtime) {
  titan_runtime_memory memory = {0};
  titan_dtype dtype = runtime->options.shape.dtype;
  titan_reduce_options reduce = titan_runtime_reduce_options((titan_runtime *)runtime);
  size_t *by_tag = memory.by_tag,
         shards = (size_t)titan_units_shard_elements(runtime->unit_count, runtime->units) * sizeof(float),
         computed = titan_device_exchange_bytes(runtime->device,
                                                titan_gather_shard_bytes(dtype, runtime->unit_count, runtime->units));
  by_tag[TITAN_MEMORY_PARAMETERS] =
      titan_device_exchange_bytes(runtime->device, titan_runtime_arena_bytes(runtime, TITAN_ARENA_PARAMETERS)) +
      (owns_masters(runtime) ? computed : 0);
  if (!runtime->options.offload) {
    by_tag[TITAN_MEMORY_MASTERS] = owns_masters(runtime) ? shards : computed;
    by_tag[TITAN_MEMORY_OPTIMIZER] = (size_t)runtime->options.slot_count * shards;
  }
  by_tag[TITAN_MEMORY_GRADIENTS] =
      titan_reduce_bytes_of(&reduce) + titan_runtime_arena_bytes(runtime, TITAN_ARENA_GRADIENTS);
  memory.chosen = activation_bytes(runtime);
  by_tag[TITAN_MEMORY_ACTIVATIONS] = titan_runtime_constant_bytes(runtime) + memory.chosen;
  by_tag[TITAN_MEMORY_COMMUNICATION] = titan_runtime_communication_bytes(runtime);
  by_tag[TITAN_MEMORY_BATCH] = 2 * titan_runtime_batch_bytes(runtime) + titan_runtime_numbers_bytes(runtime);
  size_t host = titan_runtime_numbers_host_bytes(runtime);
  if (runtime->device->queues != NULL)
    memory.pinned_by_tag[TITAN_MEMORY_BATCH] = 2 * PAIRS * titan_runtime_batch_bytes(runtime) + host;
  else
    by_tag[TITAN_MEMORY_BATCH] += host;
  if (runtime->options.offload)
    titan_runtime_offload_add_bytes(runtime, memory.pinned_by_tag);
  for (int tag = 0; tag < TITAN_MEMORY_TAG_COUNT; tag++) {
    memory.total += by_tag[tag];
    memory.pinned += memory.pinned_by_tag[tag];
  }
  return memory;
}

static titan_space space_of_states(const titan_runtime *runtime) {
  return runtime->options.offload ? TITAN_SPACE_HOST : TITAN_SPACE_DEVICE;
}

static titan_status allocate_shards(titan_runtime *runtime, titan_memory_tag tag, float **out) {
  titan_device *device = runtime->device, *optimizer = titan_runtime_optimizer_device(runtime);
  int64_t elements = titan_units_shard_elements(runtime->unit_count, runtime->units);
  TITAN_TRY(device->allocate(device, space_of_states(runtime), tag, (size_t)elements * sizeof(float), out));
  return optimizer->vector->fill(optimizer, elements, *out, 0);
}

static titan_status allocate_states(titan_runtime *runtime) {
  bool own_masters = owns_masters(runtime);
  for (int slot = 0; slot < runtime->options.slot_count; slot++)
    TITAN_TRY(allocate_shards(runtime, TITAN_MEMORY_OPTIMIZER, &runtime->slots[slot]));
  if (own_masters)
    TITAN_TRY(allocate_shards(runtime, TITAN_MEMORY_MASTERS, &runtime->masters));
  int64_t first = 0;
  for (int i = 0; i < runtime->unit_count; i++) {
    titan_unit *unit = &runtime->units[i];
    for (int slot = 0; slot < runtime->options.slot_count; slot++)
      unit->slots[slot] = runtime->slots[slot] + first;
    if (own_masters)
      unit->master = runtime->masters + first;
    first += unit->shard_elements;
  }
  return runtime->options.offload ? titan_runtime_offload_allocate(runtime) : TITAN_OK;
}

static titan_status allocate_arena(titan_runtime *runtime, titan_arena arena, titan_memory_tag tag, size_t bytes) {
  titan_device *device = runtime->device;
  titan_space space = arena == TITAN_ARENA_PARAMETERS ? TITAN_SPACE_EXCHANGE : TITAN_SPACE_DEVICE;
  return bytes > 0 ? device->allocate(device, space, tag, bytes, &runtime->arenas[arena]) : TITAN_OK;
}

static titan_status allocate_step(titan_runtime *runtime) {
  titan_device *device = runtime->device;
  const titan_plan *constants = runtime->constants.plan;
  TITAN_TRY(allocate_arena(runtime, TITAN_ARENA_ACTIVATIONS, TITAN_MEMORY_ACTIVATIONS, activation_bytes(runtime)));
  TITAN_TRY(allocate_arena(runtime, TITAN_ARENA_PARAMETERS, TITAN_MEMORY_PARAMETERS,
                           titan_runtime_arena_bytes(runtime, TITAN_ARENA_PARAMETERS)));
  TITAN_TRY(allocate_arena(runtime, TITAN_ARENA_GRADIENTS, TITAN_MEMORY_GRADIENTS,
                           titan_runtime_arena_bytes(runtime, TITAN_ARENA_GRADIENTS)));
  for (int i = 0; constants != NULL && i < constants->external_count; i++)
    if (is_result(constants, i))
      TITAN_TRY(device->allocate(device, TITAN_SPACE_DEVICE, TITAN_MEMORY_ACTIVATIONS,
                                 titan_tensor_bytes(&constants->externals[i].type), &runtime->constant_values[i]));
  TITAN_TRY(titan_runtime_batch_allocate(runtime));
  return titan_runtime_numbers_allocate(runtime);
}

static titan_status prepare_kernels(titan_runtime *runtime) {
  for (int kind = 0; kind < STEPS; kind++)
    for (int i = 0; i < runtime->steps[kind].program_count; i++)
      if (titan_runtime_uses(runtime, &runtime->steps[kind], i))
        TITAN_TRY(titan_executable_prepare(runtime->steps[kind].programs[i].executable));
  return runtime->constants.executable != NULL ? titan_executable_prepare(runtime->constants.executable) : TITAN_OK;
}

// The constants that programs read: computed once.
static titan_status run_constants(titan_runtime *runtime) {
  runtime_program *program = &runtime->constants;
  if (program->executable == NULL)
    return TITAN_OK;
  for (int i = 0; i < program->plan->external_count; i++)
    program->externals[i] = runtime->constant_values[i];
  titan_bindings bindings = {
      .scratch = runtime->arenas[TITAN_ARENA_ACTIVATIONS], .externals = program->externals, .groups = runtime->groups};
  return titan_executable_run(program->executable, TITAN_FORWARD, &bindings, NULL);
}

// Collective; fails alike on all ranks, leaving neither.
static titan_status create_exchange(titan_runtime *runtime) {
  titan_comm *world = titan_mesh_comm(runtime->mesh, TITAN_MESH_WORLD);
  const titan_runtime_options *options = &runtime->options;
  titan_memory_tag tag = owns_masters(runtime) ? TITAN_MEMORY_PARAMETERS : TITAN_MEMORY_MASTERS;
  titan_status status = titan_gather_create(titan_runtime_shard_group(runtime), runtime->device, options->shape.dtype,
                                            tag, options->intra_node, titan_runtime_prefetch(runtime),
                                            runtime->unit_count, runtime->units, &runtime->gather);
  status = titan_comm_agree(world, status);
  if (status == TITAN_OK)
    status = titan_comm_agree(world, titan_gather_register(runtime->gather, runtime->arenas[TITAN_ARENA_PARAMETERS],
                                                           titan_runtime_arena_bytes(runtime, TITAN_ARENA_PARAMETERS)));
  for (int i = 0; status == TITAN_OK && i < runtime->unit_count; i++) {
    titan_unit *unit = &runtime->units[i];
    unit->updated = unit->compute;
    unit->master = owns_masters(runtime) ? unit->master : unit->compute;
  }
  if (status == TITAN_OK) {
    titan_reduce_options reduce = titan_runtime_reduce_options(runtime);
    status = titan_comm_agree(world, titan_reduce_create(&reduce, &runtime->reduce));
  }
  if (status == TITAN_OK)
    status = titan_runtime_share(runtime);
  if (status == TITAN_OK)
    status = titan_comm_agree(world, titan_runtime_groups_create(runtime));
  if (status != TITAN_OK) {
    titan_runtime_groups_destroy(runtime);
    titan_runtime_unshare(runtime);
    titan_reduce_destroy(&runtime->reduce);
    titan_gather_destroy(&runtime->gather);
    return status;
  }
  runtime->arenas[TITAN_ARENA_EXCHANGE] = titan_reduce_exchange(runtime->reduce);
  return TITAN_OK;
}

// Containers often have a small /dev/shm: then units are gathered, which the lists name.
static titan_status go_without_shared_memory(titan_runtime *runtime) {
  titan_device *device = runtime->device;
  if (titan_comm_rank(titan_mesh_comm(runtime->mesh, TITAN_MESH_WORLD)) == 0)
    titan_log_warning("shared memory inside the node is not used: %s", titan_error_message());
  runtime->options.intra_node = TITAN_INTRA_NODE_MPI;
  for (int kind = 0; kind < STEPS; kind++)
    TITAN_TRY(titan_runtime_list_create(runtime, (runtime_step_kind)kind));
  device->free(device, TITAN_SPACE_EXCHANGE, runtime->arenas[TITAN_ARENA_PARAMETERS]);
  runtime->arenas[TITAN_ARENA_PARAMETERS] = NULL;
  TITAN_TRY(allocate_arena(runtime, TITAN_ARENA_PARAMETERS, TITAN_MEMORY_PARAMETERS,
                           titan_runtime_arena_bytes(runtime, TITAN_ARENA_PARAMETERS)));
  return titan_runtime_reserve(runtime);
}

titan_status titan_runtime_allocate(titan_runtime *runtime) {
  titan_comm *world = titan_mesh_comm(runtime->mesh, TITAN_MESH_WORLD);
  // Local allocations first, agreed on, so that no rank enters the collective ones alone.
  titan_status status = allocate_states(runtime);
  if (status == TITAN_OK)
    status = allocate_step(runtime);
  if (status == TITAN_OK)
    status = prepare_kernels(runtime);
  if (status == TITAN_OK)
    status = titan_runtime_reserve(runtime);
  TITAN_TRY(titan_comm_agree(world, status));
  status = create_exchange(runtime);
  if (status == TITAN_ERROR_MEMORY && runtime->options.intra_node == TITAN_INTRA_NODE_AUTO) {
    // Every rank came to the same end.
    TITAN_TRY(titan_comm_agree(world, go_without_shared_memory(runtime)));
    status = create_exchange(runtime);
  }
  TITAN_TRY(status);
  return run_constants(runtime);
}

void titan_runtime_destroy(titan_runtime **runtime) {
  titan_runtime *r = *runtime;
  if (r == NULL)
    return;
  titan_device *device = r->device;
  titan_device_drain(device);        // of what failed, if anything, the run has told already
  titan_runtime_forget_recording(r); // it uses the groups
  titan_runtime_groups_destroy(r);
  titan_runtime_unshare(r);
  titan_gather_destroy(&r->gather);
  titan_reduce_destroy(&r->reduce);
  r->arenas[TITAN_ARENA_EXCHANGE] = NULL; // it was the reduction's
  for (int i = 0; i < TITAN_ARENAS; i++)
    device->free(device, i == TITAN_ARENA_PARAMETERS ? TITAN_SPACE_EXCHANGE : TITAN_SPACE_DEVICE, r->arenas[i]);
  for (int i = 0; i <= TITAN_MAX_OUTPUTS; i++)
    device->free(device, TITAN_SPACE_DEVICE, r->constant_values[i]);
  for (int i = 0; i < TITAN_MOST_SLOTS; i++)
    device->free(device, space_of_states(r), r->slots[i]);
  device->free(device, space_of_states(r), r->masters);
  titan_runtime_offload_free(r);
  titan_runtime_batch_free(r);
  titan_runtime_numbers_free(r);
  for (int kind = 0; kind < STEPS; kind++)
    titan_runtime_step_destroy(&r->steps[kind]);
  titan_runtime_program_destroy(&r->constants);
  titan_runtime_program_destroy(&r->logits);
  titan_memory_free(r->units);
  titan_memory_free(r->first_unit);
  titan_memory_free(r->holds);
  titan_memory_free(r->measured);
  titan_memory_free(r->completion);
  titan_memory_free(r);
  *runtime = NULL;
}

// --- looking at it ---

titan_status titan_runtime_publish(titan_runtime *runtime) {
  if (runtime->options.offload)
    TITAN_TRY(titan_queue_follow(runtime->device, TITAN_QUEUE_COMPUTE, TITAN_QUEUE_COPY));
  return titan_gather_publish(runtime->gather);
}

int titan_runtime_unit_count(const titan_runtime *runtime) {
  return runtime->unit_count;
}
titan_unit *titan_runtime_unit(titan_runtime *runtime, int unit) {
  return &runtime->units[unit];
}
titan_mesh *titan_runtime_mesh(titan_runtime *runtime) {
  return runtime->mesh;
}
titan_device *titan_runtime_device(titan_runtime *runtime) {
  return runtime->device;
}
const titan_runtime_options *titan_runtime_options_of(const titan_runtime *runtime) {
  return &runtime->options;
}
const char *titan_runtime_gathering(const titan_runtime *runtime) {
  return titan_gather_description(runtime->gather);
}

bool titan_runtime_holds(const titan_runtime *runtime, int unit) {
  return runtime->holds[unit];
}
titan_runtime_pipeline titan_runtime_pipeline_of(const titan_runtime *runtime) {
  return (titan_runtime_pipeline){runtime->stages, runtime->first_unit, &runtime->steps[STEP_TRAINING].order};
}

int titan_runtime_program_count(const titan_runtime *runtime) {
  return runtime->steps[STEP_TRAINING].program_count;
}
const titan_graph *titan_runtime_program_graph(const titan_runtime *runtime, int program) {
  return runtime->steps[STEP_TRAINING].programs[program].graph;
}
const titan_plan *titan_runtime_program_plan(const titan_runtime *runtime, int program) {
  return runtime->steps[STEP_TRAINING].programs[program].plan;
}
int titan_runtime_program_of_unit(const titan_runtime *runtime, int unit) {
  return runtime->steps[STEP_TRAINING].program_of_unit[unit];
}
const titan_graph *titan_runtime_constants(const titan_runtime *runtime) {
  return runtime->constants.graph;
}

void titan_runtime_program_name(const titan_runtime *runtime, int program, char *text, size_t size) {
  const runtime_step *step = &runtime->steps[STEP_TRAINING];
  const char *kind = runtime->options.model->kinds[step->programs[program].kind].name;
  int unit = 0;
  bool other = false;
  for (int i = 0; i < program; i++)
    other |= step->programs[i].kind == step->programs[program].kind;
  while (step->program_of_unit[unit] != program)
    unit++;
  snprintf(text, size, "%s%s%s", kind, other ? "." : "", other ? step->names[unit] : "");
}

titan_runtime_list titan_runtime_list_of(const titan_runtime *runtime, bool validation) {
  const runtime_step *step = &runtime->steps[validation ? STEP_VALIDATION : STEP_TRAINING];
  return step->exists ? (titan_runtime_list){&step->list, &step->lowering, &step->memory} : (titan_runtime_list){0};
}
