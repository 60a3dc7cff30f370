// SPDX-License-Identifier: Apache-2.0
// Running a step's list: one loop over its actions.
#include "base/clock.h"
#include "comm/recorder.h"
#include "parallel/runtime_private.h"

static void *address(const titan_runtime *runtime, const runtime_step *step, int block) {
  if (block < 0)
    return NULL;
  const titan_step_block *b = &step->memory.blocks[block];
  return runtime->arenas[b->arena] + b->offset;
}

// --- RUN ---

void *titan_runtime_wire_address(const titan_runtime *runtime, const runtime_step *step, int place, int wire) {
  const titan_action *run = &step->list.actions[place];
  const titan_step_places *places = &step->memory.places[place];
  size_t tokens = (size_t)(step->shape.batch * step->shape.length) * (size_t)run->microbatch;
  switch (wire) {
  case WIRE_TOKENS:
    return runtime->tokens + tokens;
  case WIRE_LABELS:
    return runtime->labels + tokens;
  case WIRE_INPUT:
    return address(runtime, step, places->input);
  case WIRE_OUTPUT:
    return address(runtime, step, places->output);
  case WIRE_INPUT_GRADIENT:
    return address(runtime, step, places->input_gradient);
  case WIRE_OUTPUT_GRADIENT:
    return address(runtime, step, places->output_gradient);
  case WIRE_LOSS:
    return runtime->losses + run->microbatch;
  case WIRE_LOSS_GRADIENT:
    return runtime->d_loss;
  case WIRE_LOGITS:
    return NULL;
  default:
    return runtime->constant_values[wire - WIRE_CONSTANT];
  }
}

// Where a RUN writes its gradients, and where they are added afterwards; NULL: nowhere.
typedef struct gradient_places {
  float *written, *add_to, *add;
} gradient_places;

// See titan_step_places: straight into the shard that is the whole, or into a new sum, or into a flat block that is
// then added to one of these; the last microbatch has the sum added to its flat block instead, which is reduced.
static gradient_places gradient_places_of(const titan_runtime *runtime, const runtime_step *step,
                                          const titan_action *run, const titan_step_places *places) {
  float *flat = address(runtime, step, places->flat), *sum = address(runtime, step, places->sum);
  float *shard = runtime->units[run->unit].gradient;
  if (!titan_action_has_gradients(run, &step->lowering))
    return (gradient_places){0};
  if (step->sizes.whole_shards)
    return run->add ? (gradient_places){flat, shard, flat} : (gradient_places){.written = shard};
  if (sum == NULL)
    return (gradient_places){.written = flat};
  if (!run->add)
    return (gradient_places){.written = sum};
  return run->last ? (gradient_places){flat, flat, sum} : (gradient_places){flat, sum, flat};
}

const void *titan_runtime_plan_parameters(const titan_runtime *runtime, int unit, const void *whole) {
  if (whole == NULL)
    return NULL;
  return (const char *)whole + (size_t)runtime->units[unit].lead * titan_dtype_bytes(runtime->options.shape.dtype);
}

// A backward is both of its phases; the second is empty unless the program's backward is split.
static titan_status run_phases(titan_runtime *runtime, const runtime_program *program, titan_compute compute,
                               const titan_bindings *bindings) {
  static const struct {
    titan_phase first, last;
  } phases[TITAN_COMPUTES] = {
      [TITAN_COMPUTE_FORWARD] = {TITAN_FORWARD, TITAN_FORWARD},
      [TITAN_COMPUTE_BACKWARD] = {TITAN_BACKWARD, TITAN_WEIGHT_GRADIENTS},
      [TITAN_COMPUTE_INPUT_GRADIENT] = {TITAN_BACKWARD, TITAN_BACKWARD},
      [TITAN_COMPUTE_WEIGHT_GRADIENT] = {TITAN_WEIGHT_GRADIENTS, TITAN_WEIGHT_GRADIENTS},
  };
  for (int phase = (int)phases[compute].first; phase <= (int)phases[compute].last; phase++)
    TITAN_TRY(runtime->search != NULL
                  ? titan_runtime_search_phase(runtime, program, (titan_phase)phase, bindings)
                  : titan_executable_run(program->executable, (titan_phase)phase, bindings, titan_comm_progress));
  return TITAN_OK;
}

const char *titan_runtime_action_name(const titan_action *action) {
  static const char *const computes[TITAN_COMPUTES] = {
      [TITAN_COMPUTE_FORWARD] = "forward",
      [TITAN_COMPUTE_BACKWARD] = "backward",
      [TITAN_COMPUTE_INPUT_GRADIENT] = "gradients of inputs",
      [TITAN_COMPUTE_WEIGHT_GRADIENT] = "gradients of weights",
  };
  static const char *const others[TITAN_ACTIONS] = {
      [TITAN_ACTION_LOAD] = "load",       [TITAN_ACTION_GATHER] = "gather",     [TITAN_ACTION_RELEASE] = "release",
      [TITAN_ACTION_SEND] = "send",       [TITAN_ACTION_SENT] = "sent",         [TITAN_ACTION_RECV] = "receive",
      [TITAN_ACTION_REDUCE] = "reduce",   [TITAN_ACTION_RECEIVED] = "received", [TITAN_ACTION_TIE] = "tie",
      [TITAN_ACTION_OFFLOAD] = "offload", [TITAN_ACTION_UPDATE] = "update",
  };
  return action->kind == TITAN_ACTION_RUN ? computes[action->compute] : others[action->kind];
}

static titan_status run_unit(titan_runtime *runtime, runtime_step *step, int place) {
  const titan_action *run = &step->list.actions[place];
  const titan_step_places *places = &step->memory.places[place];
  bool measured = runtime->measured != NULL && step == &runtime->steps[STEP_TRAINING];
  runtime_program *program = titan_runtime_program_of(step, run->unit);
  const titan_unit *unit = &runtime->units[run->unit];
  gradient_places gradients = gradient_places_of(runtime, step, run, places);
  const void *parameters = NULL;
  if (titan_action_reads_parameters(run, &step->lowering))
    TITAN_TRY(titan_gather_wait(runtime->gather, run->unit, &parameters));
  for (int i = 0; i < program->plan->external_count; i++)
    program->externals[i] = titan_runtime_wire_address(runtime, step, place, program->wires[i]);
  titan_bindings bindings = {.scratch = address(runtime, step, places->scratch),
                             .saved = address(runtime, step, places->saved),
                             .kept = address(runtime, step, places->kept),
                             .passed = address(runtime, step, places->passed),
                             .parameters = titan_runtime_plan_parameters(runtime, run->unit, parameters),
                             .gradients = gradients.written != NULL ? gradients.written + unit->lead : NULL,
                             .externals = program->externals,
                             .groups = runtime->groups};
  titan_recorder_set_action(titan_runtime_action_name(run), step->names[run->unit]);
  double begin = measured ? titan_clock_seconds() : 0, processor = measured ? titan_clock_thread_seconds() : 0;
  if (runtime->search != NULL)
    TITAN_TRY(titan_runtime_search_inputs(runtime, step, place));
  TITAN_TRY(run_phases(runtime, program, run->compute, &bindings));
  if (gradients.written != NULL)
    TITAN_TRY(titan_unit_clear_gaps(unit, runtime->device, gradients.written));
  if (gradients.add_to != NULL)
    TITAN_TRY(
        runtime->device->vector->accumulate(runtime->device, unit->flat_elements, gradients.add_to, gradients.add));
  if (measured)
    runtime->measured[place] = (runtime_measurement){.span = {begin, titan_clock_seconds()},
                                                     .processor = titan_clock_thread_seconds() - processor};
  return TITAN_OK;
}

// --- the others ---

static titan_status begin_reduce(titan_runtime *runtime, const runtime_step *step, const titan_action *action,
                                 const titan_step_places *places) {
  int number;
  titan_reduce_request request = {
      .unit = action->unit,
      .offset = places->flat >= 0 ? step->memory.blocks[places->flat].offset : 0,
      .part = address(runtime, step, places->part),
      .last = action->last,
  };
  if (places->shard >= 0)
    runtime->units[action->unit].gradient = address(runtime, step, places->shard);
  return titan_reduce_begin(runtime->reduce, &request, &number);
}

static titan_status update(titan_runtime *runtime, const titan_action *action) {
  const titan_updater *updater = &runtime->updater;
  if (updater->update == NULL)
    return titan_error(TITAN_ERROR_INTERNAL, "a unit is to be updated, and no optimizer was given");
  // An early update needs the sums over replicas of this unit; otherwise all were waited for.
  if (runtime->options.early_update && titan_comm_size(titan_runtime_replicate_group(runtime)) > 1)
    TITAN_TRY(titan_reduce_finish(runtime->reduce));
  if (runtime->options.offload)
    return titan_runtime_offload_update(runtime, action->unit);
  return updater->update(updater->context, runtime, action->unit);
}

static titan_status offload(titan_runtime *runtime, int unit) {
  if (titan_comm_size(titan_runtime_replicate_group(runtime)) > 1)
    TITAN_TRY(titan_reduce_finish(runtime->reduce));
  return titan_runtime_offload_begin(runtime, unit);
}

// Needs the sums over replicas of both units.
static titan_status tie(titan_runtime *runtime) {
  TITAN_TRY(titan_reduce_finish(runtime->reduce));
  return titan_runtime_tie_gradients(runtime);
}

static titan_status run_action(titan_runtime *runtime, runtime_step *step, int place) {
  const titan_action *action = &step->list.actions[place];
  const titan_step_places *places = &step->memory.places[place];
  if (action->after >= 0)
    TITAN_TRY(titan_reduce_wait(runtime->reduce, step->reduce_numbers[action->after]));
  switch (action->kind) {
  case TITAN_ACTION_LOAD:
    return titan_runtime_batch_load(runtime, step, action->microbatch);
  case TITAN_ACTION_RELEASE:
    return TITAN_OK;
  case TITAN_ACTION_GATHER:
    return titan_gather_begin(runtime->gather, action->unit, address(runtime, step, places->gathered));
  case TITAN_ACTION_RUN:
    if (places->shard >= 0) // of one rank, placed by the list: written by this RUN
      runtime->units[action->unit].gradient = address(runtime, step, places->shard);
    return run_unit(runtime, step, place);
  case TITAN_ACTION_REDUCE:
    return begin_reduce(runtime, step, action, places);
  case TITAN_ACTION_TIE:
    return tie(runtime);
  case TITAN_ACTION_OFFLOAD:
    return offload(runtime, action->unit);
  case TITAN_ACTION_UPDATE:
    return update(runtime, action);
  case TITAN_ACTION_SEND:
  case TITAN_ACTION_SENT:
  case TITAN_ACTION_RECV:
  case TITAN_ACTION_RECEIVED:
    return titan_runtime_transfer(runtime, step, place, address(runtime, step, places->input));
  case TITAN_ACTIONS:
    break;
  }
  return titan_error(TITAN_ERROR_INTERNAL, "action #%d is none", place);
}

void titan_runtime_watch(titan_runtime *runtime, void (*watcher)(void *context, const titan_runtime_span *span),
                         void *context) {
  runtime->watch = watcher;
  runtime->watch_context = context;
}

static void tell_watcher(const titan_runtime *runtime, const runtime_step *step, int place, double begin) {
  const titan_action *action = &step->list.actions[place];
  const titan_runtime_span span = {.what = titan_runtime_action_name(action),
                                   .unit = action->unit >= 0 ? step->names[action->unit] : "",
                                   .microbatch = action->microbatch,
                                   .begin = begin,
                                   .end = titan_clock_seconds()};
  runtime->watch(runtime->watch_context, &span);
}

titan_status titan_runtime_run(titan_runtime *runtime, runtime_step *step, int first, int end) {
  for (int place = first; place < end; place++) {
    double begin = runtime->watch != NULL ? titan_clock_seconds() : 0;
    TITAN_TRY(run_action(runtime, step, place));
    if (runtime->watch != NULL)
      tell_watcher(runtime, step, place, begin);
  }
  return TITAN_OK;
}

// --- steps ---

void titan_runtime_set_updater(titan_runtime *runtime, titan_updater updater) {
  runtime->updater = updater;
}

titan_status titan_runtime_step(titan_runtime *runtime, double *loss) {
  runtime_step *step = &runtime->steps[STEP_TRAINING];
  runtime->recording.eager += !runtime->recording.is_on;
  TITAN_TRY(titan_runtime_batch_begin(runtime));
  TITAN_TRY(titan_runtime_run(runtime, step, 0, step->first_update));
  TITAN_TRY(titan_reduce_end_step(runtime->reduce));
  if (runtime->options.offload)
    TITAN_TRY(titan_runtime_offload_end(runtime));
  if (loss == NULL)
    return TITAN_OK;
  TITAN_TRY(titan_runtime_read_losses(runtime, STEP_TRAINING, loss));
  *loss /= (double)runtime->options.global_tokens;
  return TITAN_OK;
}

titan_status titan_runtime_update(titan_runtime *runtime) {
  runtime_step *step = &runtime->steps[STEP_TRAINING];
  if (runtime->options.offload && step->first_update < step->list.count)
    TITAN_TRY(titan_runtime_offload_read_state(runtime));
  // The first update waits for the last REDUCE, which the step has ended with.
  for (int place = step->first_update; place < step->list.count; place++)
    TITAN_TRY(update(runtime, &step->list.actions[place]));
  if (runtime->updater.finish != NULL)
    TITAN_TRY(runtime->updater.finish(runtime->updater.context, runtime));
  return titan_runtime_publish(runtime);
}

titan_status titan_runtime_validate(titan_runtime *runtime, double *loss_sum) {
  runtime_step *step = &runtime->steps[STEP_VALIDATION];
  if (!step->exists)
    return titan_error(TITAN_ERROR_INTERNAL, "the runtime was made without validation");
  TITAN_TRY(titan_runtime_batch_begin(runtime));
  TITAN_TRY(titan_runtime_run(runtime, step, 0, step->list.count));
  return titan_runtime_read_losses(runtime, STEP_VALIDATION, loss_sum);
}
