// SPDX-License-Identifier: Apache-2.0
#include "train/observers/json.h"

json_t *titan_json_row(const titan_metrics_row *row) {
  json_t *object = json_object();
#define MEMBER(name, unit, description) json_object_set_new(object, #name, titan_json_number(row->name));
  TITAN_METRICS_LIST(MEMBER)
#undef MEMBER
  return object;
}

json_t *titan_json_validation(const titan_metrics_validation_row *row) {
  json_t *object = json_object();
  json_object_set_new(object, "step", titan_json_number(row->step));
  json_object_set_new(object, "loss", titan_json_number(row->loss));
  json_object_set_new(object, "tokens", titan_json_number(row->tokens));
  return object;
}

json_t *titan_json_save(const trainer_save *save) {
  json_t *object = json_object();
  json_object_set_new(object, "step", json_integer(save->step));
  json_object_set_new(object, "path", titan_json_text(save->path));
  json_object_set_new(object, "bytes", titan_json_number(save->bytes));
  return object;
}

json_t *titan_json_part(const titan_report_part *part) {
  json_t *object = json_object();
  double rate = part->seconds > 0 ? (double)part->tokens / part->seconds : 0;
  json_object_set_new(object, "first_step", json_integer(part->first_step));
  json_object_set_new(object, "last_step", json_integer(part->last_step));
  json_object_set_new(object, "tokens", json_integer(part->tokens));
  json_object_set_new(object, "seconds", titan_json_number(part->seconds));
  json_object_set_new(object, "tokens_per_second", titan_json_number(rate));
  json_object_set_new(object, "mfu", titan_json_number(part->mfu));
  json_object_set_new(object, "node_hours", titan_json_number(part->node_hours));
  if (part->memory_gib > 0)
    json_object_set_new(object, "memory_max", titan_json_number(part->memory_gib));
  if (part->joule > 0)
    json_object_set_new(object, "joule", titan_json_number(part->joule));
  return object;
}
