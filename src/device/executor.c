// SPDX-License-Identifier: Apache-2.0
#include "device/executor.h"

#include "base/clock.h"
#include "device/queue.h"

#include <stdio.h>
#include <string.h>

struct titan_executable {
  titan_device *device;
  titan_plan *plan;
  void **states[TITAN_PHASES]; // by instruction
  bool prepared;
};

static bool timing_on;
static titan_op_timing timings[TITAN_OP_COUNT];

static size_t workspace_of(void *context, const titan_op_call *call) {
  titan_device *device = context;
  const titan_kernel *kernel = device->kernel(device, call->kind);
  return kernel->workspace != NULL ? kernel->workspace(device, call) : 0;
}

titan_status titan_executable_prepare(titan_executable *executable) {
  titan_device *device = executable->device;
  for (int phase = 0; phase < TITAN_PHASES && !executable->prepared; phase++) {
    const titan_plan_phase *list = &executable->plan->phases[phase];
    TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, (size_t)list->count + 1, sizeof(void *),
                                           &executable->states[phase]));
    for (int i = 0; i < list->count; i++) {
      const titan_op_call *call = &list->instructions[i].node->call;
      const titan_kernel *kernel = device->kernel(device, call->kind);
      if (kernel->prepare != NULL)
        TITAN_TRY(kernel->prepare(device, call, &executable->states[phase][i]));
    }
  }
  executable->prepared = true;
  return TITAN_OK;
}

titan_status titan_executable_create(titan_device *device, const titan_graph *graph, bool merge_phases,
                                     titan_executable **out) {
  titan_executable *executable;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, 1, sizeof *executable, &executable));
  executable->device = device;
  titan_plan_options options = {
      .merge_phases = merge_phases, .alignment = device->alignment, .workspace = workspace_of, .context = device};
  titan_status status = titan_plan_create(graph, &options, &executable->plan);
  if (status != TITAN_OK)
    titan_executable_destroy(&executable);
  *out = executable;
  return status;
}

void titan_executable_destroy(titan_executable **executable) {
  titan_executable *e = *executable;
  if (e == NULL)
    return;
  for (int phase = 0; phase < TITAN_PHASES; phase++) {
    for (int i = 0; e->states[phase] != NULL && i < e->plan->phases[phase].count; i++) {
      const titan_kernel *kernel = e->device->kernel(e->device, e->plan->phases[phase].instructions[i].node->call.kind);
      if (e->states[phase][i] != NULL && kernel->release != NULL)
        kernel->release(e->device, e->states[phase][i]);
    }
    titan_memory_free(e->states[phase]);
  }
  titan_plan_destroy(&e->plan);
  titan_memory_free(e);
  *executable = NULL;
}

const titan_plan *titan_executable_plan(const titan_executable *executable) {
  return executable->plan;
}

static void *address(const titan_bindings *bindings, titan_operand operand) {
  char *base = NULL;
  switch (operand.base) {
  case TITAN_BASE_SCRATCH:
    base = bindings->scratch;
    break;
  case TITAN_BASE_SAVED:
    base = bindings->saved;
    break;
  case TITAN_BASE_KEPT:
    base = bindings->kept;
    break;
  case TITAN_BASE_PASSED:
    base = bindings->passed;
    break;
  case TITAN_BASE_PARAMETERS:
    base = (char *)bindings->parameters; // kernels get it as const
    break;
  case TITAN_BASE_GRADIENTS:
    base = (char *)bindings->gradients;
    break;
  default:
    base = bindings->externals[operand.base - TITAN_BASE_EXTERNAL];
  }
  return base + operand.offset;
}

static void record(const titan_op_call *call, double seconds) {
  titan_op_cost cost = titan_op_cost_of(call);
  titan_op_timing *row = &timings[call->kind];
  row->seconds += seconds;
  row->flops += cost.flops;
  row->bytes += cost.bytes;
  row->calls++;
}

static titan_status run_kernel(const titan_executable *executable, const titan_op_call *call, void *state,
                               titan_comm *const *groups, const void *const *inputs, void *const *outputs,
                               void *workspace) {
  titan_device *device = executable->device;
  const titan_kernel *kernel = device->kernel(device, call->kind);
  if (kernel->run_in_group == NULL)
    return kernel->run(device, call, state, inputs, outputs, workspace);
  titan_comm *group = groups != NULL ? groups[call->attributes.collective.dimension] : NULL;
  if (group == NULL)
    return titan_error(TITAN_ERROR_INTERNAL, "graph %s: %s has no group in dimension %d",
                       titan_graph_name(executable->plan->graph), titan_op_name(call->kind),
                       call->attributes.collective.dimension);
  return kernel->run_in_group(device, call, state, group, inputs, outputs, workspace);
}

// Where an instruction finds its operands.
typedef struct operands {
  const void *inputs[TITAN_MAX_INPUTS];
  void *outputs[TITAN_MAX_OUTPUTS], *workspace;
} operands;

static inline void bind(const titan_bindings *bindings, const titan_instruction *instruction, operands *out) {
  const titan_op_call *call = &instruction->node->call;
  for (int k = 0; k < call->input_count; k++)
    out->inputs[k] = address(bindings, instruction->inputs[k]);
  for (int k = 0; k < call->output_count; k++)
    out->outputs[k] = address(bindings, instruction->outputs[k]);
  out->workspace = instruction->workspace_bytes > 0 ? address(bindings, instruction->workspace) : NULL;
}

static titan_status check_prepared(const titan_executable *executable) {
  return executable->prepared ? TITAN_OK
                              : titan_error(TITAN_ERROR_INTERNAL, "graph %s runs before its kernels are prepared",
                                            titan_graph_name(executable->plan->graph));
}

static bool synchronous;

void titan_executor_synchronous(bool on) {
  synchronous = on;
}

// The error of a device with the operation that it is of.
static titan_status wait_for(const titan_executable *executable, const titan_op_call *call) {
  char message[512];
  titan_status status = titan_queue_finish(executable->device, TITAN_QUEUE_COMPUTE);
  if (status == TITAN_OK)
    return TITAN_OK;
  snprintf(message, sizeof message, "%s", titan_error_message());
  return titan_error(status, "graph %s, operation %s: %s", titan_graph_name(executable->plan->graph),
                     titan_op_name(call->kind), message);
}

static titan_status run_instruction(const titan_executable *executable, titan_phase phase, int index,
                                    const titan_bindings *bindings) {
  const titan_instruction *instruction = &executable->plan->phases[phase].instructions[index];
  const titan_op_call *call = &instruction->node->call;
  operands at;
  bind(bindings, instruction, &at);
  TITAN_TRY(run_kernel(executable, call, executable->states[phase][index], bindings->groups, at.inputs, at.outputs,
                       at.workspace));
  return synchronous ? wait_for(executable, call) : TITAN_OK;
}

static void (*watch)(void *context, const titan_op_call *call, double begin, double end);
static void *watch_context;

static void note(const titan_op_call *call, double begin, double end) {
  if (timing_on)
    record(call, end - begin);
  if (watch != NULL)
    watch(watch_context, call, begin, end);
}

// --- by the device's clock: instant 0 is one that the host knows too, 2k + 1 and 2k + 2 are around operation k ---

enum { TIMED_AT_A_TIME = (TITAN_INSTANTS - 1) / 2 };

// The time of instant 0.
static titan_status set_clock(titan_device *device, double *zero) {
  TITAN_TRY(device->queues->instant(device, 0));
  TITAN_TRY(titan_queue_finish(device, TITAN_QUEUE_COMPUTE));
  *zero = titan_clock_seconds();
  return TITAN_OK;
}

static titan_status note_operations(const titan_executable *executable, titan_phase phase, int first, int count,
                                    double zero) {
  titan_device *device = executable->device;
  for (int k = 0; k < count; k++) {
    double begin = 0, end = 0;
    TITAN_TRY(device->queues->seconds(device, 0, 2 * k + 1, &begin));
    TITAN_TRY(device->queues->seconds(device, 0, 2 * k + 2, &end));
    note(&executable->plan->phases[phase].instructions[first + k].node->call, zero + begin, zero + end);
  }
  return TITAN_OK;
}

static titan_status run_by_its_clock(titan_executable *executable, titan_phase phase, const titan_bindings *bindings,
                                     void (*progress)(void)) {
  titan_device *device = executable->device;
  int all = executable->plan->phases[phase].count;
  double zero = 0;
  for (int first = 0; first < all; first += TIMED_AT_A_TIME) {
    int count = all - first < TIMED_AT_A_TIME ? all - first : TIMED_AT_A_TIME;
    TITAN_TRY(set_clock(device, &zero));
    for (int k = 0; k < count; k++) {
      TITAN_TRY(device->queues->instant(device, 2 * k + 1));
      TITAN_TRY(run_instruction(executable, phase, first + k, bindings));
      TITAN_TRY(device->queues->instant(device, 2 * k + 2));
      if (progress != NULL)
        progress();
    }
    TITAN_TRY(note_operations(executable, phase, first, count, zero));
  }
  return TITAN_OK;
}

titan_status titan_executable_run(titan_executable *executable, titan_phase phase, const titan_bindings *bindings,
                                  void (*progress)(void)) {
  const titan_plan_phase *list = &executable->plan->phases[phase];
  const titan_queue_functions *queues = executable->device->queues;
  bool timed = timing_on || watch != NULL;
  TITAN_TRY(check_prepared(executable));
  if (timed && queues != NULL && queues->instant != NULL)
    return run_by_its_clock(executable, phase, bindings, progress);
  for (int i = 0; i < list->count; i++) {
    double start = timed ? titan_clock_seconds() : 0;
    TITAN_TRY(run_instruction(executable, phase, i, bindings));
    if (timed)
      note(&list->instructions[i].node->call, start, titan_clock_seconds());
    if (progress != NULL)
      progress();
  }
  return TITAN_OK;
}

titan_status titan_executable_run_inspected(titan_executable *executable, titan_phase phase,
                                            const titan_bindings *bindings, void (*progress)(void),
                                            const titan_inspector *inspector) {
  const titan_plan_phase *list = &executable->plan->phases[phase];
  TITAN_TRY(check_prepared(executable));
  for (int i = 0; i < list->count; i++) {
    const titan_instruction *instruction = &list->instructions[i];
    operands at;
    bind(bindings, instruction, &at);
    TITAN_TRY(run_kernel(executable, &instruction->node->call, executable->states[phase][i], bindings->groups,
                         at.inputs, at.outputs, at.workspace));
    TITAN_TRY(inspector->inspect(inspector->context, instruction->node, phase, i, at.outputs));
    if (progress != NULL)
      progress();
  }
  return TITAN_OK;
}

void titan_executor_watch(void (*watcher)(void *context, const titan_op_call *call, double begin, double end),
                          void *context) {
  watch = watcher;
  watch_context = context;
}

bool titan_executor_is_synchronous(void) {
  return synchronous;
}

bool titan_executor_is_observed(void) {
  return timing_on || watch != NULL || synchronous;
}

void titan_executor_timing_start(void) {
  memset(timings, 0, sizeof timings);
  timing_on = true;
}

void titan_executor_timing_stop(titan_op_timing *out) {
  timing_on = false;
  memcpy(out, timings, sizeof timings);
}
