// SPDX-License-Identifier: Apache-2.0
// The step's list as text.
#include "step/list.h"

static const char *const kind_names[TITAN_ACTIONS] = {
    [TITAN_ACTION_LOAD] = "LOAD", [TITAN_ACTION_GATHER] = "GATHER",     [TITAN_ACTION_RELEASE] = "RELEASE",
    [TITAN_ACTION_RUN] = "RUN",   [TITAN_ACTION_SEND] = "SEND",         [TITAN_ACTION_RECV] = "RECV",
    [TITAN_ACTION_SENT] = "SENT", [TITAN_ACTION_RECEIVED] = "RECEIVED", [TITAN_ACTION_REDUCE] = "REDUCE",
    [TITAN_ACTION_TIE] = "TIE",   [TITAN_ACTION_OFFLOAD] = "OFFLOAD",   [TITAN_ACTION_UPDATE] = "UPDATE",
};
static const char *const compute_names[TITAN_COMPUTES] = {
    [TITAN_COMPUTE_FORWARD] = "forward",
    [TITAN_COMPUTE_BACKWARD] = "backward",
    [TITAN_COMPUTE_INPUT_GRADIENT] = "input_gradient",
    [TITAN_COMPUTE_WEIGHT_GRADIENT] = "weight_gradient",
};

static const char *phase_name(const titan_action *action, const titan_step_shape *shape) {
  bool merged = shape->backward && shape->units[action->unit].merged && action->compute == TITAN_COMPUTE_FORWARD;
  return merged ? "forward+backward" : compute_names[action->compute];
}

titan_status titan_action_print(const titan_action *action, const titan_step_shape *shape, titan_text *text) {
  bool gradients = titan_action_has_gradients(action, shape) || action->kind == TITAN_ACTION_REDUCE;
  bool transfer = titan_action_is_transfer(action);
  bool sends = action->kind == TITAN_ACTION_SEND || action->kind == TITAN_ACTION_SENT;
  TITAN_TRY(titan_text_printf(text, "%s", kind_names[action->kind]));
  if (action->unit >= 0)
    TITAN_TRY(titan_text_printf(text, " %s", shape->units[action->unit].name));
  if (action->kind == TITAN_ACTION_TIE)
    TITAN_TRY(titan_text_printf(text, " %s", shape->units[shape->tied[1]].name));
  if (action->kind == TITAN_ACTION_RUN)
    TITAN_TRY(titan_text_printf(text, " %s", phase_name(action, shape)));
  if (transfer)
    TITAN_TRY(titan_text_printf(text, " %s", action->compute == TITAN_COMPUTE_FORWARD ? "input" : "input_gradient"));
  if (action->microbatch >= 0)
    TITAN_TRY(titan_text_printf(text, " m%d", action->microbatch));
  if (transfer)
    TITAN_TRY(titan_text_printf(text, " %s rank %d", sends ? "to" : "from", action->peer));
  if (gradients)
    TITAN_TRY(titan_text_printf(text, " %s%s", action->add ? "add" : "set", action->last ? " last" : ""));
  return action->after >= 0 ? titan_text_printf(text, " after #%d", action->after) : TITAN_OK;
}

titan_status titan_step_print(const titan_step_list *list, const titan_step_shape *shape, titan_text *text) {
  for (int i = 0; i < list->count; i++) {
    TITAN_TRY(titan_text_printf(text, "#%-5d ", i));
    TITAN_TRY(titan_action_print(&list->actions[i], shape, text));
    TITAN_TRY(titan_text_printf(text, "\n"));
  }
  return TITAN_OK;
}
