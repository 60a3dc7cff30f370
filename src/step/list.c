// SPDX-License-Identifier: Apache-2.0
#include "step/list.h"

#include "base/memory.h"

void titan_step_list_destroy(titan_step_list *list) {
  titan_memory_free(list->actions);
  *list = (titan_step_list){0};
}

titan_status titan_step_list_add(titan_step_list *list, titan_action action) {
  if (list->count == list->capacity) {
    int capacity = list->capacity > 0 ? 2 * list->capacity : 256;
    TITAN_TRY(titan_memory_resize(TITAN_MEMORY_GRAPH, (size_t)capacity * sizeof action, &list->actions));
    list->capacity = capacity;
  }
  list->actions[list->count++] = action;
  return TITAN_OK;
}

bool titan_action_is_transfer(const titan_action *action) {
  return action->kind >= TITAN_ACTION_SEND && action->kind <= TITAN_ACTION_RECEIVED;
}

bool titan_action_reads_parameters(const titan_action *action, const titan_step_shape *shape) {
  return !shape->units[action->unit].leaves_parameters[action->compute];
}

bool titan_action_has_gradients(const titan_action *action, const titan_step_shape *shape) {
  if (action->kind != TITAN_ACTION_RUN || !shape->backward)
    return false;
  return action->compute == TITAN_COMPUTE_BACKWARD || action->compute == TITAN_COMPUTE_WEIGHT_GRADIENT ||
         shape->units[action->unit].merged;
}

int titan_step_tied_unit(const titan_step_shape *shape, int unit) {
  const int *tied = shape->tied;
  return tied[0] == tied[1] ? -1 : unit == tied[0] ? tied[1] : unit == tied[1] ? tied[0] : -1;
}

int titan_step_stage_of(const titan_step_shape *shape, int unit) {
  int stage = 0;
  while (shape->first_unit[stage + 1] <= unit)
    stage++;
  return stage;
}
