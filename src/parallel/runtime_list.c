// SPDX-License-Identifier: Apache-2.0
// The lists of a runtime: what the lowering goes by, and the sizes of blocks, from its programs.
#include "parallel/runtime_private.h"
#include "step/in_order.h"

// --- what the lowering goes by ---

static bool has_external(const titan_plan *plan, const char *name) {
  return titan_plan_external_find(plan, name) >= 0;
}

static bool reads_in_phase(const titan_plan *plan, titan_phase phase, int base) {
  for (int i = 0; i < plan->phases[phase].count; i++) {
    const titan_instruction *instruction = &plan->phases[phase].instructions[i];
    for (int k = 0; k < instruction->node->call.input_count; k++)
      if (instruction->inputs[k].base == base)
        return true;
  }
  return false;
}

// A merged unit runs all phases in its forward.
static void set_parameter_use(const titan_plan *plan, titan_step_unit *unit) {
  bool reads[TITAN_PHASES];
  for (int phase = 0; phase < TITAN_PHASES; phase++)
    reads[phase] = reads_in_phase(plan, (titan_phase)phase, TITAN_BASE_PARAMETERS);
  bool backward = reads[TITAN_BACKWARD] || reads[TITAN_WEIGHT_GRADIENTS];
  unit->leaves_parameters[TITAN_COMPUTE_FORWARD] = !reads[TITAN_FORWARD] && !(unit->merged && backward);
  unit->leaves_parameters[TITAN_COMPUTE_INPUT_GRADIENT] = !reads[TITAN_BACKWARD];
  unit->leaves_parameters[TITAN_COMPUTE_WEIGHT_GRADIENT] = !reads[TITAN_WEIGHT_GRADIENTS];
  unit->leaves_parameters[TITAN_COMPUTE_BACKWARD] = !backward;
}

static titan_status name_units(titan_runtime *runtime, runtime_step *step) {
  const titan_model_definition *model = runtime->options.model;
  size_t count = (size_t)runtime->unit_count;
  if (step->units != NULL)
    return TITAN_OK;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, count, sizeof *step->units, &step->units));
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, count, sizeof *step->unit_sizes, &step->unit_sizes));
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, count, UNIT_NAME_BYTES, &step->names));
  for (int unit = 0; unit < runtime->unit_count; unit++) {
    const runtime_program *program = titan_runtime_program_of(step, unit);
    titan_model_unit_name(model, &runtime->options.arguments, unit, step->names[unit], UNIT_NAME_BYTES);
    step->units[unit] = (titan_step_unit){
        .name = step->names[unit],
        .merged = model->kinds[program->kind].merged,
        .reads_batch = has_external(program->plan, "tokens") || has_external(program->plan, "labels"),
    };
    set_parameter_use(program->plan, &step->units[unit]);
  }
  return TITAN_OK;
}

static void set_lowering(const titan_runtime *runtime, runtime_step *step, bool backward) {
  const titan_comm *shard = titan_runtime_shard_group(runtime);
  step->lowering = (titan_step_shape){
      .unit_count = runtime->unit_count,
      .units = step->units,
      .first_unit = runtime->first_unit,
      .backward = backward,
      .gathers = titan_gather_is_needed(shard, runtime->options.intra_node),
      .keeps_gathered = backward && runtime->options.keep_gathered,
      .look_ahead = titan_runtime_prefetch(runtime),
      // In a group of one rank there is nothing to add over: the shard is where gradients add up.
      .reduce = titan_comm_size(shard) == 1 ? TITAN_REDUCE_LAST : runtime->options.reduce,
      .reduces_in_flight = TITAN_REDUCE_SCATTERS_IN_FLIGHT,
      .early_update = runtime->options.early_update,
      .offloads = runtime->options.offload,
      .tied = {runtime->tie.units[0], runtime->tie.units[1]},
  };
}

// --- sizes ---

// A backward runs both phases of a plan whose backward is split.
static void set_phases(const titan_plan *plan, titan_step_unit_sizes *sizes) {
  static const titan_compute computes[TITAN_PHASES] = {
      [TITAN_FORWARD] = TITAN_COMPUTE_FORWARD,
      [TITAN_BACKWARD] = TITAN_COMPUTE_INPUT_GRADIENT,
      [TITAN_WEIGHT_GRADIENTS] = TITAN_COMPUTE_WEIGHT_GRADIENT,
  };
  int x = titan_plan_external_find(plan, "x"), dy = titan_plan_external_find(plan, "d(y)");
  titan_runtime_set_scratch(plan, sizes->scratch);
  for (int phase = 0; phase < TITAN_PHASES; phase++) {
    sizes->reads_input[computes[phase]] = x >= 0 && reads_in_phase(plan, (titan_phase)phase, TITAN_BASE_EXTERNAL + x);
    sizes->reads_output_gradient[computes[phase]] =
        dy >= 0 && reads_in_phase(plan, (titan_phase)phase, TITAN_BASE_EXTERNAL + dy);
  }
  sizes->reads_input[TITAN_COMPUTE_BACKWARD] =
      sizes->reads_input[TITAN_COMPUTE_INPUT_GRADIENT] || sizes->reads_input[TITAN_COMPUTE_WEIGHT_GRADIENT];
  sizes->reads_output_gradient[TITAN_COMPUTE_BACKWARD] = sizes->reads_output_gradient[TITAN_COMPUTE_INPUT_GRADIENT] ||
                                                         sizes->reads_output_gradient[TITAN_COMPUTE_WEIGHT_GRADIENT];
}

void titan_runtime_set_scratch(const titan_plan *plan, size_t scratch[TITAN_COMPUTES]) {
  size_t input = plan->phases[TITAN_BACKWARD].scratch_bytes,
         weights = plan->phases[TITAN_WEIGHT_GRADIENTS].scratch_bytes;
  scratch[TITAN_COMPUTE_FORWARD] = plan->phases[TITAN_FORWARD].scratch_bytes;
  scratch[TITAN_COMPUTE_INPUT_GRADIENT] = input;
  scratch[TITAN_COMPUTE_WEIGHT_GRADIENT] = weights;
  scratch[TITAN_COMPUTE_BACKWARD] = input > weights ? input : weights;
}

static void list_sizes(titan_runtime *runtime, runtime_step_kind kind) {
  runtime_step *step = &runtime->steps[kind];
  const titan_comm *shard = titan_runtime_shard_group(runtime);
  size_t element = titan_dtype_bytes(runtime->options.shape.dtype);
  for (int unit = 0; unit < runtime->unit_count; unit++) {
    const titan_plan *plan = titan_runtime_program_of(step, unit)->plan;
    const titan_unit *layout = &runtime->units[unit];
    int x = titan_plan_external_find(plan, "x");
    step->unit_sizes[unit] = (titan_step_unit_sizes){
        .input = x >= 0 ? titan_tensor_bytes(&plan->externals[x].type) : 0,
        .saved = plan->saved_bytes,
        .kept = plan->kept_bytes,
        .passed = plan->passed_bytes,
        .gathered = (size_t)layout->flat_elements * element,
        .flat = (size_t)layout->flat_elements * sizeof(float),
        .shard = (size_t)layout->shard_elements * sizeof(float),
    };
    set_phases(plan, &step->unit_sizes[unit]);
  }
  size_t alignment = runtime->device->alignment > 0 ? runtime->device->alignment : TITAN_PLAN_ALIGNMENT;
  step->sizes = (titan_step_sizes){.units = step->unit_sizes,
                                   .whole_shards = titan_comm_size(shard) == 1,
                                   .own_shards = titan_runtime_owns_shards(runtime),
                                   .alignment = alignment};
}

// --- the list ---

// The place of the SEND or RECV that an action ends.
static int find_begin(const titan_step_list *list, int place) {
  const titan_action *end = &list->actions[place];
  titan_action_kind kind = end->kind == TITAN_ACTION_SENT ? TITAN_ACTION_SEND : TITAN_ACTION_RECV;
  while (--place >= 0) {
    const titan_action *begin = &list->actions[place];
    if (begin->kind == kind && begin->peer == end->peer && begin->message == end->message)
      break;
  }
  return place;
}

static titan_status number_actions(runtime_step *step) {
  int reduces = 0;
  size_t count = (size_t)step->list.count + 1;
  TITAN_TRY(titan_memory_resize(TITAN_MEMORY_GRAPH, count * sizeof(int), &step->reduce_numbers));
  TITAN_TRY(titan_memory_resize(TITAN_MEMORY_GRAPH, count * sizeof(int), &step->begun_at));
  titan_memory_free(step->works);
  step->works = NULL;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, count, sizeof *step->works, &step->works));
  step->first_update = step->list.count;
  for (int i = 0; i < step->list.count; i++) {
    bool ends =
        titan_action_is_transfer(&step->list.actions[i]) &&
        (step->list.actions[i].kind == TITAN_ACTION_SENT || step->list.actions[i].kind == TITAN_ACTION_RECEIVED);
    step->begun_at[i] = ends ? find_begin(&step->list, i) : -1;
    step->reduce_numbers[i] = reduces;
    reduces += step->list.actions[i].kind == TITAN_ACTION_REDUCE;
    if (step->list.actions[i].kind == TITAN_ACTION_UPDATE && !step->lowering.early_update && i < step->first_update)
      step->first_update = i;
  }
  return TITAN_OK;
}

// Units in the order of their last REDUCE; then those of other pipeline ranks, which have no gradients here.
static void note_completion(titan_runtime *runtime, const runtime_step *step) {
  int count = 0;
  for (int i = 0; i < step->list.count; i++)
    if (step->list.actions[i].kind == TITAN_ACTION_REDUCE && step->list.actions[i].last)
      runtime->completion[count++] = step->list.actions[i].unit;
  for (int unit = 0; unit < runtime->unit_count; unit++)
    if (!runtime->holds[unit])
      runtime->completion[count++] = unit;
}

// The lists of all pipeline ranks are made and checked; this rank's is kept.
static titan_status lower(const titan_runtime *runtime, runtime_step *step) {
  titan_step_list *lists;
  int rank = titan_comm_rank(titan_runtime_pipeline_group(runtime));
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, (size_t)step->order.ranks, sizeof *lists, &lists));
  titan_status status = titan_step_lower_all(&step->order, &step->lowering, lists);
  if (status == TITAN_OK)
    status = titan_step_check(&step->order, &step->lowering, lists);
  if (status == TITAN_OK)
    status = titan_step_check_in_order(&step->order, lists);
  step->list = lists[rank];
  lists[rank] = (titan_step_list){0};
  for (int i = 0; i < step->order.ranks; i++)
    titan_step_list_destroy(&lists[i]);
  titan_memory_free(lists);
  return status;
}

titan_status titan_runtime_list_create(titan_runtime *runtime, runtime_step_kind kind) {
  runtime_step *step = &runtime->steps[kind];
  bool training = kind == STEP_TRAINING;
  if (!step->exists)
    return TITAN_OK;
  runtime->recording.lists += training; // what was recorded of an older one is not valid
  titan_step_list_destroy(&step->list);
  titan_step_memory_destroy(&step->memory);
  TITAN_TRY(name_units(runtime, step));
  set_lowering(runtime, step, training);
  if (training) {
    TITAN_TRY(titan_runtime_prefetch_choose(runtime, step));
    step->lowering.look_ahead = titan_runtime_prefetch(runtime);
  }
  list_sizes(runtime, kind);
  TITAN_TRY(lower(runtime, step));
  TITAN_TRY(titan_step_memory_create(&step->list, &step->lowering, &step->sizes, &step->memory));
  if (training)
    note_completion(runtime, step);
  return number_actions(step);
}

void titan_runtime_step_destroy(runtime_step *step) {
  for (int i = 0; step->works != NULL && i < step->list.count; i++)
    titan_work_wait(&step->works[i]); // of a step that failed
  titan_memory_free(step->works);
  titan_order_destroy(&step->order);
  titan_step_list_destroy(&step->list);
  titan_step_memory_destroy(&step->memory);
  for (int i = 0; i < step->program_count; i++)
    titan_runtime_program_destroy(&step->programs[i]);
  titan_memory_free(step->programs);
  titan_memory_free(step->program_of_unit);
  titan_memory_free(step->units);
  titan_memory_free(step->names);
  titan_memory_free(step->unit_sizes);
  titan_memory_free(step->reduce_numbers);
  titan_memory_free(step->begun_at);
  *step = (runtime_step){0};
}

size_t titan_runtime_arena_bytes(const titan_runtime *runtime, titan_arena arena) {
  size_t most = 0;
  for (int kind = 0; kind < STEPS; kind++)
    most = runtime->steps[kind].memory.bytes[arena] > most ? runtime->steps[kind].memory.bytes[arena] : most;
  return most;
}
