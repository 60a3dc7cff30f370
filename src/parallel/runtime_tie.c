// SPDX-License-Identifier: Apache-2.0
// Two parameters that are one: which they are, and the sum of their gradients.
//
// Both units have the parameter at the same elements of flat vectors of one length, so that each rank holds the same
// elements of both, and their gradients are added up where the sums over ranks have left them, without communication.
// The sum is copied, so that both have the same bits whatever the order in which the ranks' terms were added.
#include "parallel/runtime_private.h"

#include <string.h>

static int find_unit(const titan_runtime *runtime, int kind) {
  int found = -1;
  for (int unit = 0; unit < runtime->unit_count; unit++)
    if (runtime->options.model->kind_of(&runtime->options.arguments, unit) == kind)
      found = found < 0 ? unit : runtime->unit_count; // of several
  return found < runtime->unit_count ? found : -1;
}

static int find_parameter(const titan_plan *plan, const char *name) {
  for (int p = 0; p < plan->parameter_count; p++)
    if (strcmp(plan->parameters[p].name, name) == 0)
      return p;
  return -1;
}

// Whether a rank holds the same block of both.
static bool are_alike(const titan_plan_parameter *a, const titan_plan_parameter *b) {
  bool alike = a->type.rank == b->type.rank && a->sharded == b->sharded;
  for (int i = 0; alike && i < a->type.rank; i++)
    alike = a->type.dims[i] == b->type.dims[i] && a->place.first[i] == b->place.first[i] &&
            a->place.whole[i] == b->place.whole[i];
  return alike;
}

titan_status titan_runtime_tie_find(titan_runtime *runtime) {
  const titan_model_definition *model = runtime->options.model;
  const titan_model_tie *tie = titan_model_tie_of(model, &runtime->options.arguments);
  titan_runtime_tie found = {.exists = true};
  const titan_plan_parameter *parameters[2];
  if (tie == NULL)
    return runtime->options.arguments.tied
               ? titan_error(TITAN_ERROR_INTERNAL, "model %s has no parameters that can be tied", model->name)
               : TITAN_OK;
  for (int i = 0; i < 2; i++) {
    found.units[i] = find_unit(runtime, tie->kinds[i]);
    const titan_plan *plan =
        found.units[i] < 0 ? NULL : titan_runtime_program_of(&runtime->steps[STEP_TRAINING], found.units[i])->plan;
    found.parameters[i] = plan == NULL ? -1 : find_parameter(plan, tie->parameters[i]);
    if (found.parameters[i] < 0)
      return titan_error(TITAN_ERROR_INTERNAL, "model %s ties %s of kind %s, expected one unit that has it",
                         model->name, tie->parameters[i], model->kinds[tie->kinds[i]].name);
    parameters[i] = &plan->parameters[found.parameters[i]];
  }
  if (found.units[0] >= found.units[1])
    return titan_error(TITAN_ERROR_INTERNAL, "model %s ties units %d and %d, expected the lower first", model->name,
                       found.units[0], found.units[1]);
  if (!are_alike(parameters[0], parameters[1]))
    return titan_error(TITAN_ERROR_INTERNAL,
                       "model %s ties %s and %s, of which a rank of this mesh holds different blocks; expected two "
                       "parameters of one shape that tensor parallelism divides in the same manner",
                       model->name, tie->parameters[0], tie->parameters[1]);
  runtime->tie = found;
  return TITAN_OK;
}

titan_status titan_runtime_tie_gradients(titan_runtime *runtime) {
  const titan_device *device = runtime->device;
  const titan_runtime_tie *tie = &runtime->tie;
  titan_unit_slice slices[2];
  float *gradients[2];
  for (int i = 0; i < 2; i++) {
    const titan_unit *unit = &runtime->units[tie->units[i]];
    if (!titan_unit_slice_of(unit, tie->parameters[i], &slices[i]))
      return TITAN_OK; // of the other neither
    gradients[i] = unit->gradient + slices[i].first_in_shard;
  }
  TITAN_TRY(device->vector->accumulate(runtime->device, slices[0].count, gradients[0], gradients[1]));
  return device->vector->convert(runtime->device, slices[0].count, gradients[0], TITAN_FLOAT32, gradients[1],
                                 TITAN_FLOAT32);
}

titan_runtime_tie titan_runtime_tie_of(const titan_runtime *runtime) {
  return runtime->tie;
}

bool titan_runtime_is_copy(const titan_runtime *runtime, int unit, int parameter) {
  const titan_runtime_tie *tie = &runtime->tie;
  return tie->exists && unit == tie->units[1] && parameter == tie->parameters[1];
}
