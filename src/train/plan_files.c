// SPDX-License-Identifier: Apache-2.0
#include "train/plan_files.h"

#include "graph/plan_report.h"
#include "step/draw.h"
#include "storage/folder.h"
#include "storage/output.h"
#include "storage/path.h"

#include <stdio.h>
#include <string.h>

// <folder>/<name>; a failure names the option that asked for it.
static titan_status write_file(const char *option, const char *folder, const char *name, const titan_text *text) {
  titan_text path = {0};
  TITAN_TRY(titan_path_join(&path, folder, name));
  titan_status status = titan_folder_create_for(path.data);
  if (status != TITAN_OK)
    status = titan_error(status, "%s: cannot write %s: %s", option, path.data, titan_error_message());
  else if ((status = titan_output_write_text(path.data, TITAN_OUTPUT_REPLACE, text)) != TITAN_OK)
    status = titan_error(status, "%s: %s", option, titan_error_message());
  titan_text_destroy(&path);
  return status;
}

enum { KIND_BYTES = TITAN_NAME_BYTES + TITAN_PREFIX_BYTES };

static titan_status write_plan(const char *folder, const char *kind, const titan_plan *plan) {
  titan_text text = {0};
  char name[KIND_BYTES + 16];
  snprintf(name, sizeof name, "plans/%s.txt", kind);
  titan_status status = titan_plan_print(plan, &text);
  if (status == TITAN_OK)
    status = write_file("debug.dump_plan", folder, name, &text);
  titan_text_destroy(&text);
  return status;
}

static titan_status write_graph(const char *folder, const char *kind, const titan_graph *graph) {
  static const struct {
    titan_status (*print)(const titan_graph *graph, titan_text *text);
    const char *extension;
  } forms[] = {{titan_graph_print, "txt"}, {titan_graph_print_dot, "dot"}};
  for (int i = 0; i < 2; i++) {
    titan_text text = {0};
    char name[KIND_BYTES + 16];
    snprintf(name, sizeof name, "graphs/%s.%s", kind, forms[i].extension);
    titan_status status = forms[i].print(graph, &text);
    if (status == TITAN_OK)
      status = write_file("debug.dump_graph", folder, name, &text);
    titan_text_destroy(&text);
    TITAN_TRY(status);
  }
  return TITAN_OK;
}

// The list of a step, and under it its blocks.
static titan_status write_list(const char *folder, const char *kind, titan_runtime_list list) {
  titan_text text = {0};
  char name[KIND_BYTES + 16];
  if (list.list == NULL)
    return TITAN_OK;
  snprintf(name, sizeof name, "plans/%s.txt", kind);
  titan_status status = titan_step_print(list.list, list.shape, &text);
  if (status == TITAN_OK)
    status = titan_text_printf(&text, "\n");
  if (status == TITAN_OK)
    status = titan_step_memory_print(list.memory, list.shape, &text);
  if (status == TITAN_OK)
    status = write_file("debug.dump_plan", folder, name, &text);
  titan_text_destroy(&text);
  return status;
}

titan_status titan_schedule_file_write(titan_runtime *runtime, const titan_prediction *times, const char *what,
                                       const char *unit, const char *folder, const char *name) {
  titan_text title = {0}, svg = {0};
  char path[64];
  titan_status status = TITAN_OK;
  snprintf(path, sizeof path, "plans/%s", name);
  const titan_order *order = titan_runtime_pipeline_of(runtime).order;
  TITAN_TRY_CLEANUP(titan_text_printf(&title, "%s, %d stages on %d ranks, %d microbatches, %s",
                                      titan_runtime_schedule_name(runtime), order->stages, order->ranks,
                                      order->microbatches, what));
  TITAN_TRY_CLEANUP(titan_order_draw(order, times, title.data, unit, &svg));
  status = write_file("debug.dump_plan", folder, path, &svg);
cleanup:
  titan_text_destroy(&title);
  titan_text_destroy(&svg);
  return status;
}

// The schedule of a pipeline as it is predicted, in FLOPs of a rank.
static titan_status write_picture(titan_runtime *runtime, const char *folder) {
  titan_prediction prediction;
  if (titan_runtime_pipeline_of(runtime).order->ranks == 1)
    return TITAN_OK;
  TITAN_TRY(titan_runtime_predict(runtime, 1e-9, &prediction));
  titan_status status =
      titan_schedule_file_write(runtime, &prediction, "as predicted", "GFLOP", folder, "schedule.svg");
  titan_prediction_destroy(&prediction);
  return status;
}

titan_status titan_plan_files_write(titan_runtime *runtime, const char *folder) {
  for (int i = 0; i < titan_runtime_program_count(runtime); i++) {
    char name[KIND_BYTES];
    titan_runtime_program_name(runtime, i, name, sizeof name);
    TITAN_TRY(write_plan(folder, name, titan_runtime_program_plan(runtime, i)));
  }
  TITAN_TRY(write_picture(runtime, folder));
  TITAN_TRY(write_list(folder, "step", titan_runtime_list_of(runtime, false)));
  return write_list(folder, "validation", titan_runtime_list_of(runtime, true));
}

titan_status titan_graph_files_write(titan_runtime *runtime, const char *folder) {
  for (int i = 0; i < titan_runtime_program_count(runtime); i++) {
    char name[KIND_BYTES];
    titan_runtime_program_name(runtime, i, name, sizeof name);
    TITAN_TRY(write_graph(folder, name, titan_runtime_program_graph(runtime, i)));
  }
  const titan_graph *constants = titan_runtime_constants(runtime);
  return constants != NULL ? write_graph(folder, titan_graph_name(constants), constants) : TITAN_OK;
}
