// SPDX-License-Identifier: Apache-2.0
// The logits of a batch, for comparisons with other programs: no part of training, so not in the runtime's arenas.
#include "device/queue.h"
#include "parallel/runtime_private.h"

// The head's program, with scratch and a result of its own.
static titan_status run(titan_runtime *runtime, runtime_step *step, int place, void *scratch, float *result) {
  runtime_program *program = &runtime->logits;
  int unit = step->list.actions[place].unit;
  const void *parameters;
  TITAN_TRY(titan_gather_wait(runtime->gather, unit, &parameters));
  for (int i = 0; i < program->plan->external_count; i++)
    program->externals[i] =
        program->wires[i] == WIRE_LOGITS ? result : titan_runtime_wire_address(runtime, step, place, program->wires[i]);
  titan_bindings bindings = {.scratch = scratch,
                             .parameters = titan_runtime_plan_parameters(runtime, unit, parameters),
                             .externals = program->externals,
                             .groups = runtime->groups};
  return titan_executable_run(program->executable, TITAN_FORWARD, &bindings, NULL);
}

static titan_status run_head(titan_runtime *runtime, runtime_step *step, int place, float *logits) {
  titan_device *device = runtime->device;
  const titan_plan *plan = runtime->logits.plan;
  size_t bytes = titan_tensor_bytes(&plan->externals[titan_plan_external_find(plan, "logits")].type);
  void *scratch = NULL;
  float *result = NULL;
  titan_status status = device->allocate(device, TITAN_SPACE_DEVICE, TITAN_MEMORY_GENERAL,
                                         plan->phases[TITAN_FORWARD].scratch_bytes, &scratch);
  TITAN_TRY_CLEANUP(status);
  TITAN_TRY_CLEANUP(device->allocate(device, TITAN_SPACE_DEVICE, TITAN_MEMORY_GENERAL, bytes, &result));
  TITAN_TRY_CLEANUP(run(runtime, step, place, scratch, result));
  TITAN_TRY_CLEANUP(titan_queue_copy(device, TITAN_QUEUE_COMPUTE, logits, result, bytes));
  status = titan_queue_finish(device, TITAN_QUEUE_COMPUTE);
cleanup:
  device->free(device, TITAN_SPACE_DEVICE, result);
  device->free(device, TITAN_SPACE_DEVICE, scratch);
  return status;
}

titan_status titan_runtime_logits(titan_runtime *runtime, float *logits) {
  runtime_step *step = &runtime->steps[STEP_TRAINING];
  runtime_program *program = &runtime->logits;
  const titan_model_kind *row = runtime->options.model->logits;
  int last = runtime->unit_count - 1, head = 0;
  if (row == NULL)
    return titan_error(TITAN_ERROR_USAGE, "model %s offers no logits", runtime->options.model->name);
  if (program->graph == NULL) {
    titan_graph *graph;
    TITAN_TRY(titan_runtime_graph_create(runtime, row, &step->shape, false, NULL, &graph));
    TITAN_TRY(titan_runtime_program_create(runtime, row, -1, graph, NULL, false, program));
  }
  TITAN_TRY(titan_executable_prepare(program->executable));
  if (titan_comm_size(titan_runtime_pipeline_group(runtime)) > 1)
    return titan_error(TITAN_ERROR_USAGE, "logits need all units on one rank, and these are on %d pipeline ranks",
                       titan_comm_size(titan_runtime_pipeline_group(runtime)));
  while (step->list.actions[head].kind != TITAN_ACTION_RUN || step->list.actions[head].unit != last)
    head++;
  TITAN_TRY(titan_runtime_batch_begin(runtime));
  TITAN_TRY(titan_runtime_run(runtime, step, 0, head));
  return run_head(runtime, step, head, logits);
}
