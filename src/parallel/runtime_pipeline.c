// SPDX-License-Identifier: Apache-2.0
// Pipeline parallelism in the runtime: which units a rank holds, the order in which all ranks compute, and the
// transfers between them. What is sent has the compute type; with tensor parallelism each rank sends its own rows.
#include "base/memory.h"
#include "parallel/pipeline_costs.h"
#include "parallel/runtime_private.h"
#include "step/schedule_csv.h"
#include "step/split.h"

#include <string.h>

// --- which units a rank holds ---

// Cuts "a, b,c" in place into names without blanks around them.
static void cut_names(char *text, int count, const char **names) {
  for (int i = 0; i < count; i++) {
    text += strspn(text, " ");
    names[i] = text;
    size_t length = strcspn(text, ",");
    char *end = text + length;
    text = *end == ',' ? end + 1 : end;
    while (end > names[i] && end[-1] == ' ')
      end--;
    *end = '\0';
  }
}

// At the names of pipeline.points.
static titan_status split_at_points(titan_runtime *runtime, int count) {
  const titan_runtime_options *options = &runtime->options;
  const char **points = NULL;
  titan_step_unit *units = NULL;
  char(*names)[UNIT_NAME_BYTES] = NULL, *text = NULL;
  titan_status status = TITAN_OK;
  size_t length = strlen(options->pipeline.points) + 1, unit_count = (size_t)runtime->unit_count;
  TITAN_TRY_CLEANUP(titan_memory_allocate(TITAN_MEMORY_GRAPH, (size_t)count * sizeof *points, &points));
  TITAN_TRY_CLEANUP(titan_memory_allocate(TITAN_MEMORY_GRAPH, length, &text));
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, unit_count, sizeof *units, &units));
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, unit_count, sizeof *names, &names));
  memcpy(text, options->pipeline.points, length);
  cut_names(text, count, points);
  for (int unit = 0; unit < runtime->unit_count; unit++) {
    titan_model_unit_name(options->model, &options->arguments, unit, names[unit], UNIT_NAME_BYTES);
    units[unit].name = names[unit];
  }
  status = titan_split_at(units, runtime->unit_count, points, count,
                          titan_comm_size(titan_runtime_pipeline_group(runtime)), runtime->first_unit);
cleanup:
  titan_memory_free(points);
  titan_memory_free(text);
  titan_memory_free(units);
  titan_memory_free(names);
  return status;
}

static titan_status split_balanced(titan_runtime *runtime, const titan_order *order) {
  titan_pipeline_costs costs;
  titan_status status = titan_pipeline_costs_create(&runtime->options, &costs);
  if (status == TITAN_OK)
    status = titan_pipeline_split_balanced(&costs, order, runtime->first_unit);
  titan_pipeline_costs_destroy(&costs);
  return status;
}

// Of all pipeline ranks; runtime->stages is known unless a file tells it.
static titan_status make_training_order(const titan_runtime *runtime, titan_order *order) {
  const titan_pipeline_options *pipeline = &runtime->options.pipeline;
  int ranks = titan_comm_size(titan_runtime_pipeline_group(runtime)),
      microbatches = titan_runtime_microbatches(runtime, STEP_TRAINING);
  if (pipeline->file != NULL)
    return titan_schedule_read_csv(pipeline->file_text, pipeline->file, pipeline->single_stage, ranks, microbatches,
                                   order);
  const titan_schedule_row *row = pipeline->schedule != NULL ? pipeline->schedule : titan_schedule_find("plain");
  return titan_schedule_make(row, ranks, runtime->stages, microbatches, order);
}

// Those of a file come with its order.
static int count_stages(const titan_runtime *runtime, int points) {
  const titan_pipeline_options *pipeline = &runtime->options.pipeline;
  int ranks = titan_comm_size(titan_runtime_pipeline_group(runtime));
  if (points > 0)
    return points + 1;
  if (pipeline->stages > 0)
    return pipeline->stages;
  return pipeline->schedule == NULL ? ranks : ranks * titan_schedule_stages_per_rank(pipeline->schedule);
}

static titan_status cut(titan_runtime *runtime, int points, const titan_order *order) {
  if (points > 0)
    return split_at_points(runtime, points);
  if (runtime->stages == 1) {
    runtime->first_unit[1] = runtime->unit_count;
    return TITAN_OK;
  }
  return runtime->options.pipeline.even ? titan_split_even(runtime->unit_count, runtime->stages, runtime->first_unit)
                                        : split_balanced(runtime, order);
}

static titan_status split(titan_runtime *runtime, int points, const titan_order *order) {
  int rank = titan_comm_rank(titan_runtime_pipeline_group(runtime));
  if (points > 0 && order->stages != points + 1)
    return titan_error(TITAN_ERROR_USAGE,
                       "experimental.pipeline_parallel_split_points: %d name%s make %d stages, and %s has %d", points,
                       points == 1 ? "" : "s", points + 1, runtime->options.pipeline.file, order->stages);
  runtime->stages = order->stages;
  for (int r = 0; r < order->ranks; r++)
    for (int i = 0; i < order->counts[r]; i++)
      runtime->splits_backward |= order->cells[r][i].compute == TITAN_COMPUTE_INPUT_GRADIENT;
  TITAN_TRY(
      titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, (size_t)runtime->stages + 1, sizeof(int), &runtime->first_unit));
  TITAN_TRY(
      titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, (size_t)runtime->unit_count, sizeof(bool), &runtime->holds));
  TITAN_TRY(cut(runtime, points, order));
  for (int stage = 0; stage < runtime->stages; stage++)
    for (int unit = runtime->first_unit[stage]; unit < runtime->first_unit[stage + 1]; unit++)
      runtime->holds[unit] = order->rank_of_stage[stage] == rank;
  return TITAN_OK;
}

titan_status titan_runtime_split(titan_runtime *runtime) {
  int points = titan_pipeline_count_points(&runtime->options.pipeline);
  titan_order *order = &runtime->steps[STEP_TRAINING].order;
  runtime->stages = count_stages(runtime, points);
  TITAN_TRY(make_training_order(runtime, order));
  return split(runtime, points, order);
}

// --- the order ---

int titan_runtime_microbatches(const titan_runtime *runtime, runtime_step_kind kind) {
  const titan_runtime_options *options = &runtime->options;
  int64_t count = kind == STEP_TRAINING ? options->microbatches : options->validation_microbatches;
  return count > 1 ? (int)count : 1;
}

titan_status titan_runtime_validation_order_create(titan_runtime *runtime) {
  return titan_schedule_make_forwards(&runtime->steps[STEP_TRAINING].order,
                                      titan_runtime_microbatches(runtime, STEP_VALIDATION),
                                      &runtime->steps[STEP_VALIDATION].order);
}

bool titan_runtime_uses(const titan_runtime *runtime, const runtime_step *step, int program) {
  for (int unit = 0; unit < runtime->unit_count; unit++)
    if (runtime->holds[unit] && step->program_of_unit[unit] == program)
      return true;
  return false;
}

// --- transfers ---

// Tags of MPI are few; so many messages between two ranks are never in flight.
enum { TAGS = 16384 };

static const titan_tensor_type *type_of_input(const runtime_step *step, int unit) {
  const titan_plan *plan = titan_runtime_program_of(step, unit)->plan;
  return &plan->externals[titan_plan_external_find(plan, "x")].type;
}

titan_status titan_runtime_transfer(titan_runtime *runtime, runtime_step *step, int place, void *block) {
  const titan_action *action = &step->list.actions[place];
  titan_comm *group = runtime->device_groups[GROUP_PIPELINE];
  if (action->kind == TITAN_ACTION_SENT || action->kind == TITAN_ACTION_RECEIVED)
    return titan_work_wait(&step->works[step->begun_at[place]]);
  const titan_tensor_type *type = type_of_input(step, action->unit);
  size_t count = (size_t)titan_tensor_elements(type);
  int tag = action->message % TAGS;
  return action->kind == TITAN_ACTION_SEND
             ? titan_comm_send(group, block, count, type->dtype, action->peer, tag, &step->works[place])
             : titan_comm_recv(group, block, count, type->dtype, action->peer, tag, &step->works[place]);
}

static int transfers_in_flight(const runtime_step *step) {
  int now = 0, most = 0;
  for (int place = 0; place < step->list.count; place++) {
    titan_action_kind kind = step->list.actions[place].kind;
    now += kind == TITAN_ACTION_SEND || kind == TITAN_ACTION_RECV;
    now -= kind == TITAN_ACTION_SENT || kind == TITAN_ACTION_RECEIVED;
    most = now > most ? now : most;
  }
  return most;
}

int titan_runtime_transfers_in_flight(const titan_runtime *runtime) {
  int training = transfers_in_flight(&runtime->steps[STEP_TRAINING]),
      validation = transfers_in_flight(&runtime->steps[STEP_VALIDATION]);
  return training > validation ? training : validation;
}

// --- what is predicted ---

// What a budget recomputes on this rank stands for what it recomputes on the others.
static void count_recomputed(const titan_runtime *runtime, titan_pipeline_costs *costs) {
  const titan_runtime_options *options = &runtime->options;
  const runtime_step *step = &runtime->steps[STEP_TRAINING];
  double forward = 0; // of this rank's layers, a step
  if (options->activations.mode != TITAN_ACTIVATIONS_BUDGET)
    return;
  for (int stage = 0; stage < runtime->stages; stage++)
    for (int unit = runtime->first_unit[stage]; unit < runtime->first_unit[stage + 1]; unit++)
      if (step->order.rank_of_stage[stage] == titan_comm_rank(titan_runtime_pipeline_group(runtime)) &&
          titan_pipeline_costs_is_layer(options, unit))
        forward += costs->units[unit][TITAN_COMPUTE_FORWARD] * step->order.microbatches;
  forward /= titan_comm_size(titan_mesh_comm(runtime->mesh, TITAN_MESH_TP));
  double share = forward > 0 ? titan_runtime_work_of(runtime).recomputed / forward : 0;
  titan_pipeline_costs_set_recomputed(costs, options, share < 1 ? share : 1);
}

titan_status titan_runtime_predict(const titan_runtime *runtime, double scale, titan_prediction *out) {
  titan_pipeline_costs costs;
  titan_status status = titan_pipeline_costs_create(&runtime->options, &costs);
  if (status == TITAN_OK) {
    count_recomputed(runtime, &costs);
    status = titan_pipeline_predict(&costs, &runtime->steps[STEP_TRAINING].order, runtime->first_unit, scale, 0, out);
  }
  titan_pipeline_costs_destroy(&costs);
  return status;
}

static titan_status print_stages(const titan_runtime *runtime, titan_text *text) {
  const runtime_step *step = &runtime->steps[STEP_TRAINING];
  for (int stage = 0; stage < runtime->stages; stage++) {
    int first = runtime->first_unit[stage], last = runtime->first_unit[stage + 1] - 1;
    TITAN_TRY(titan_text_printf(text, "%s%s", stage > 0 ? " | " : "", step->names[first]));
    if (last > first)
      TITAN_TRY(titan_text_printf(text, " to %s", step->names[last]));
  }
  return TITAN_OK;
}

const char *titan_runtime_schedule_name(const titan_runtime *runtime) {
  const titan_pipeline_options *pipeline = &runtime->options.pipeline;
  return pipeline->file != NULL ? pipeline->file : pipeline->schedule != NULL ? pipeline->schedule->title : "plain";
}

titan_status titan_runtime_describe_pipeline(const titan_runtime *runtime, titan_text *text) {
  const titan_order *order = &runtime->steps[STEP_TRAINING].order;
  titan_prediction prediction;
  if (order->ranks == 1)
    return TITAN_OK;
  TITAN_TRY(titan_runtime_predict(runtime, 1, &prediction));
  titan_status status = titan_text_printf(text, "Pipeline: %s, %d stages on %d ranks (",
                                          titan_runtime_schedule_name(runtime), runtime->stages, order->ranks);
  if (status == TITAN_OK)
    status = print_stages(runtime, text);
  if (status == TITAN_OK)
    status =
        titan_text_printf(text, "), %d microbatches of %lld sequence%s; predicted: ranks wait %.1f %% of the step",
                          order->microbatches, (long long)runtime->options.shape.batch,
                          runtime->options.shape.batch == 1 ? "" : "s", 100 * titan_prediction_bubble(&prediction));
  titan_prediction_destroy(&prediction);
  return status;
}
