// SPDX-License-Identifier: Apache-2.0
// Whether the units of a model fit together: a wrong table of kinds is told with the unit and the input.
#include "parallel/runtime_private.h"

// dims[0] of a constant may be longer than what is read of it.
static bool same_type(const titan_tensor_type *a, const titan_tensor_type *b, bool longer) {
  bool same = a->dtype == b->dtype && a->rank == b->rank;
  for (int i = 0; same && i < a->rank; i++)
    same = a->dims[i] == b->dims[i] || (longer && i == 0 && a->dims[i] < b->dims[i]);
  return same;
}

static titan_status check_constants(const titan_runtime *runtime, const runtime_program *program, const char *name) {
  for (int i = 0; i < program->plan->external_count; i++) {
    const titan_plan_external *external = &program->plan->externals[i];
    int constant = program->wires[i] - WIRE_CONSTANT;
    if (program->wires[i] >= 0 && constant < 0)
      continue;
    if (constant < 0)
      return titan_error(TITAN_ERROR_INTERNAL,
                         "model %s: %s has %s, expected a wire (tokens, labels, x, y, loss) or one of the constants",
                         runtime->options.model->name, name, external->name);
    if (external->written || !same_type(&external->type, &runtime->constants.plan->externals[constant].type, true))
      return titan_error(TITAN_ERROR_INTERNAL, "model %s: %s of %s is not of the constant's type",
                         runtime->options.model->name, external->name, name);
  }
  return TITAN_OK;
}

// The type of a program's external value; NULL where it has none of this name.
static const titan_tensor_type *type_of(const runtime_program *program, const char *name) {
  int external = titan_plan_external_find(program->plan, name);
  return external < 0 ? NULL : &program->plan->externals[external].type;
}

titan_status titan_runtime_wires_check(const titan_runtime *runtime, const runtime_step *step) {
  const titan_model_definition *model = runtime->options.model;
  int last = runtime->unit_count - 1;
  for (int unit = 0; unit <= last; unit++) {
    const runtime_program *program = titan_runtime_program_of(step, unit);
    const titan_tensor_type *x = type_of(program, "x"), *y = type_of(program, "y");
    const titan_tensor_type *before = unit == 0 ? NULL : type_of(titan_runtime_program_of(step, unit - 1), "y");
    char name[UNIT_NAME_BYTES];
    titan_model_unit_name(model, &runtime->options.arguments, unit, name, sizeof name);
    TITAN_TRY(check_constants(runtime, program, name));
    if ((x == NULL) != (unit == 0) || (x != NULL && (before == NULL || !same_type(x, before, false))))
      return titan_error(TITAN_ERROR_INTERNAL, "model %s: x of %s is not the y of the unit before it", model->name,
                         name);
    if ((y == NULL) != (unit == last) || (type_of(program, "loss") != NULL) != (unit == last) ||
        model->kinds[program->kind].merged != (unit == last))
      return titan_error(TITAN_ERROR_INTERNAL,
                         "model %s: %s, expected y of every unit but the last, which gives loss and is merged",
                         model->name, name);
  }
  return TITAN_OK;
}
