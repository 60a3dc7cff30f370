// SPDX-License-Identifier: Apache-2.0
// summary.json: how a start of the run ended, its last numbers, and what it warned of, for programs; rank 0.
#include "train/observers/json.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_WARNINGS = 100 }; // kept; all are counted

typedef struct summary {
  json_t *row, *validation, *save; // the last ones; NULL: none
  json_t *warnings;
  int64_t warning_count;
  int64_t steps; // of this start, and this rank's payload in them
  double bytes;
} summary;

static titan_status summary_create(titan_trainer *trainer, void **state) {
  if (trainer->rank != 0)
    return TITAN_OK;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_OBSERVE, 1, sizeof(summary), state));
  ((summary *)*state)->warnings = json_array();
  return TITAN_OK;
}

static void replace(json_t **old, json_t *object) {
  json_decref(*old);
  *old = object;
}

static titan_status summary_step(void *state, titan_trainer *trainer, const trainer_step *step) {
  summary *s = state;
  (void)trainer;
  s->steps++;
  s->bytes += (double)step->communication_bytes;
  return TITAN_OK;
}

static titan_status summary_row(void *state, titan_trainer *trainer, const trainer_row *row) {
  (void)trainer;
  replace(&((summary *)state)->row, titan_json_row(&row->row));
  return TITAN_OK;
}

static titan_status summary_validation(void *state, titan_trainer *trainer, const trainer_validation *validation) {
  (void)trainer;
  replace(&((summary *)state)->validation, titan_json_validation(&validation->row));
  return TITAN_OK;
}

static titan_status summary_save(void *state, titan_trainer *trainer, const trainer_save *save) {
  (void)trainer;
  replace(&((summary *)state)->save, titan_json_save(save));
  return TITAN_OK;
}

static void summary_warning(void *state, titan_trainer *trainer, const char *text) {
  summary *s = state;
  (void)trainer;
  s->warning_count++;
  if (text != NULL && json_array_size(s->warnings) < MOST_WARNINGS)
    json_array_append_new(s->warnings, titan_json_text(text));
}

static void add_about(const titan_trainer *trainer, json_t *object) {
  static const char *const names[] = {"version", "commit", "command", "hosts", "ranks", "job", "date"};
  titan_metrics_attribute attributes[TITAN_TRAINER_ATTRIBUTES];
  titan_trainer_about_attributes(&trainer->about, attributes);
  for (size_t n = 0; n < sizeof names / sizeof *names; n++)
    for (int i = 0; i < TITAN_TRAINER_ATTRIBUTES; i++)
      if (strcmp(attributes[i].name, names[n]) == 0)
        json_object_set_new(object, names[n], titan_json_text(attributes[i].value));
}

static json_t *communication_of(const summary *s) {
  json_t *object = json_object();
  json_object_set_new(object, "bytes_per_step", s->steps > 0 ? json_real(s->bytes / (double)s->steps) : json_null());
  return object;
}

static titan_status summary_end(void *state, titan_trainer *trainer, const trainer_end *end) {
  const summary *s = state;
  json_t *object = json_object();
  titan_text text = {0};
  json_object_set_new(object, "outcome", json_string(end->outcome));
  if (end->message != NULL)
    json_object_set_new(object, "message", titan_json_text(end->message));
  add_about(trainer, object);
  json_object_set_new(object, "this_start", titan_json_part(&end->here));
  if (end->whole_is_known)
    json_object_set_new(object, "whole_run", titan_json_part(&end->whole));
  json_object_set_new(object, "communication", communication_of(s));
  json_object_set(object, "last_row", s->row != NULL ? s->row : json_null());
  json_object_set(object, "last_validation", s->validation != NULL ? s->validation : json_null());
  json_object_set(object, "last_checkpoint", s->save != NULL ? s->save : json_null());
  json_object_set_new(object, "warning_count", json_integer(s->warning_count));
  json_object_set(object, "warnings", s->warnings);
  char *dump = json_dumps(object, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(17));
  json_decref(object);
  titan_status status = dump != NULL ? titan_text_printf(&text, "%s\n", dump)
                                     : titan_error(TITAN_ERROR_MEMORY, "no memory for summary.json");
  free(dump);
  if (status == TITAN_OK)
    status = titan_trainer_write_file(trainer, "summary.json", trainer->first_step == 0, &text);
  titan_text_destroy(&text);
  return status;
}

static void summary_destroy(void **state) {
  summary *s = *state;
  json_decref(s->row);
  json_decref(s->validation);
  json_decref(s->save);
  json_decref(s->warnings);
  titan_memory_free(s);
  *state = NULL;
}

const titan_observer titan_observer_summary = {
    .name = "summary.json",
    .create = summary_create,
    .step = summary_step,
    .row = summary_row,
    .validation = summary_validation,
    .save = summary_save,
    .warning = summary_warning,
    .end = summary_end,
    .destroy = summary_destroy,
};
