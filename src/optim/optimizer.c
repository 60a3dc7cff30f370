// SPDX-License-Identifier: Apache-2.0
#include "optim/optimizer.h"

#include "device/numbers.h"
#include "parallel/shard_view.h"

#include <math.h>
#include <string.h>

static titan_status add_squares(titan_runtime *runtime, int index, int *count) {
  titan_device *device = titan_runtime_optimizer_device(runtime);
  const titan_unit *unit = titan_runtime_unit(runtime, index);
  bool first = titan_comm_rank(titan_mesh_comm(titan_runtime_mesh(runtime), TITAN_MESH_TP)) == 0;
  for (int p = 0; p < unit->plan->parameter_count; p++) {
    titan_unit_slice slice;
    bool counts = (first || unit->plan->parameters[p].sharded) && !titan_runtime_is_copy(runtime, index, p);
    if (counts && titan_unit_slice_of(unit, p, &slice))
      TITAN_TRY(device->vector->sum_of_squares(device, slice.count, unit->gradient + slice.first_in_shard,
                                               titan_runtime_squares(runtime) + (*count)++));
  }
  return TITAN_OK;
}

titan_status titan_optimizer_add_squares(titan_optimizer_step_state *state, titan_runtime *runtime) {
  for (int i = 0; !state->early && i < titan_runtime_unit_count(runtime); i++)
    TITAN_TRY(add_squares(runtime, i, &state->squares));
  return TITAN_OK;
}

titan_status titan_optimizer_read_squares(titan_optimizer_step_state *state, titan_runtime *runtime, double *sum) {
  titan_shard_view view;
  *sum = 0;
  TITAN_TRY(titan_optimizer_add_squares(state, runtime));
  int64_t floats = state->squares * (int64_t)(sizeof(double) / sizeof(float));
  TITAN_TRY(titan_shard_view_open(titan_runtime_optimizer_device(runtime),
                                  (float *)(void *)titan_runtime_squares(runtime), floats, TITAN_ACCESS_READ,
                                  TITAN_MEMORY_GENERAL, &view));
  for (int i = 0; i < state->squares; i++)
    *sum += ((const double *)(const void *)view.values)[i];
  return titan_shard_view_close(&view);
}

double titan_optimizer_sum_of_squares(titan_runtime *runtime) {
  titan_optimizer_step_state state = {0};
  double sum;
  return titan_optimizer_read_squares(&state, runtime, &sum) == TITAN_OK ? sum : NAN;
}

double titan_optimizer_learning_rate(const titan_optimizer_options *options, int64_t step) {
  return options->learning_rate * titan_lr_factor(&options->curve, step - 1 - options->schedule_first,
                                                  options->warmup_steps,
                                                  options->total_steps - options->schedule_first);
}

bool titan_optimizer_role_find(const char *name, size_t length, unsigned *bit) {
  static const struct {
    const char *name;
    titan_parameter_role role;
  } rows[] = {
      {"norm", TITAN_PARAMETER_NORM}, {"embedding", TITAN_PARAMETER_EMBEDDING}, {"output", TITAN_PARAMETER_OUTPUT}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (strlen(rows[i].name) == length && strncmp(rows[i].name, name, length) == 0) {
      *bit = 1u << rows[i].role;
      return true;
    }
  return false;
}

const char *titan_optimizer_fuse_obstacle(const titan_optimizer_options *options, titan_runtime *runtime) {
  const titan_runtime_options *wanted = titan_runtime_options_of(runtime);
  if (options->rule->update_batch == NULL)
    return "this optimizer has no such kernel";
  if (titan_runtime_device(runtime)->vector->adam_spans == NULL)
    return "the device updates each shard in one pass anyway";
  if (wanted->offload)
    return "training.enable_cpu_offload updates the weights on the host";
  return wanted->early_update ? "optimizer.early_step_in_backward updates each unit by itself" : NULL;
}

static titan_update update_of(titan_optimizer_step_state *state, titan_runtime *runtime) {
  const titan_optimizer_options *options = state->options;
  return (titan_update){.device = titan_runtime_optimizer_device(runtime),
                        .state = titan_runtime_optimizer_state(runtime),
                        .momentum = options->momentum,
                        .batch = state->fuses ? &state->batch : NULL,
                        .weight_decay = options->weight_decay,
                        .dtype = titan_runtime_options_of(runtime)->shape.dtype};
}

// A run of a unit's shard.
static titan_status update_run(const titan_optimizer_rule *rule, titan_update update, const titan_unit *unit,
                               int64_t first, int64_t count) {
  update.count = count;
  update.master = unit->master + first;
  update.gradient = unit->gradient + first;
  for (int slot = 0; slot < rule->slot_count; slot++)
    update.slots[slot] = unit->slots[slot] + first;
  update.compute = (char *)unit->updated + (size_t)first * titan_dtype_bytes(update.dtype);
  return rule->update(&update);
}

// Runs of parameters that decay alike, with the gaps after them.
static titan_status update_by_role(titan_optimizer_step_state *state, titan_runtime *runtime, const titan_unit *unit,
                                   titan_update update) {
  const titan_optimizer_options *options = state->options;
  const titan_model_definition *model = titan_runtime_options_of(runtime)->model;
  int64_t begin = 0;
  for (int p = 0; p < unit->plan->parameter_count; p++) {
    titan_unit_slice slice, next;
    bool decays = !(options->no_decay >> model->role(unit->plan->parameters[p].name) & 1);
    if (!titan_unit_slice_of(unit, p, &slice))
      continue;
    int64_t end = unit->shard_elements;
    if (p + 1 < unit->plan->parameter_count && titan_unit_slice_of(unit, p + 1, &next))
      end = next.first_in_shard;
    update.weight_decay = decays ? options->weight_decay : 0;
    TITAN_TRY(update_run(options->rule, update, unit, begin, end - begin));
    begin = end;
  }
  return TITAN_OK;
}

static titan_status update_unit(void *context, titan_runtime *runtime, int index) {
  titan_optimizer_step_state *state = context;
  const titan_unit *unit = titan_runtime_unit(runtime, index);
  titan_update update = update_of(state, runtime);
  if (state->early)
    TITAN_TRY(add_squares(runtime, index, &state->squares));
  if (state->options->no_decay != 0)
    return update_by_role(state, runtime, unit, update);
  return update_run(state->options->rule, update, unit, 0, unit->shard_elements);
}

// The runs that are left, before the new parameters are read.
static titan_status finish_units(void *context, titan_runtime *runtime) {
  titan_optimizer_step_state *state = context;
  titan_update update = update_of(state, runtime);
  return state->fuses ? state->options->rule->update_batch(&update) : TITAN_OK;
}

titan_status titan_optimizer_begin(titan_optimizer_step_state *state, titan_runtime *runtime,
                                   const titan_optimizer_options *options, int64_t step) {
  double updates = (double)(step - options->moments_first); // of the states, this one included
  titan_step_constants constants = {
      .learning_rate = (float)titan_optimizer_learning_rate(options, step),
      .beta1 = (float)options->beta1,
      .beta2 = (float)options->beta2,
      .epsilon = (float)options->epsilon,
      .bias_correction1 = (float)(1 - pow(options->beta1, updates)),
      .bias_correction2 = (float)(1 - pow(options->beta2, updates)),
  };
  *state = (titan_optimizer_step_state){
      .options = options,
      .step = step,
      .early = titan_runtime_options_of(runtime)->early_update,
      .fuses = options->fused && titan_optimizer_fuse_obstacle(options, runtime) == NULL,
  };
  titan_runtime_set_updater(runtime, (titan_updater){.update = update_unit, .finish = finish_units, .context = state});
  return titan_runtime_set_constants(runtime, step, &constants);
}

titan_status titan_optimizer_update(titan_optimizer_step_state *state, titan_runtime *runtime) {
  return state->early ? titan_runtime_publish(runtime) : titan_runtime_update(runtime);
}

titan_status titan_optimizer_end(titan_optimizer_step_state *state, titan_runtime *runtime, double norm) {
  titan_shard_view scale;
  if (!state->early) {
    TITAN_TRY(titan_shard_view_open(titan_runtime_device(runtime), &titan_runtime_state(runtime)->gradient_scale, 1,
                                    TITAN_ACCESS_WRITE, TITAN_MEMORY_GENERAL, &scale));
    *scale.values = titan_numbers_scale(state->options->max_norm, norm);
    TITAN_TRY(titan_shard_view_close(&scale));
  }
  return titan_optimizer_update(state, runtime);
}

titan_status titan_optimizer_step(titan_runtime *runtime, const titan_optimizer_options *options, int64_t step,
                                  double norm) {
  titan_optimizer_step_state state;
  TITAN_TRY(titan_optimizer_begin(&state, runtime, options, step));
  return titan_optimizer_end(&state, runtime, norm);
}
