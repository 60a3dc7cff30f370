#include "train/plan_files.h"

#include "graph/plan_report.h"
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

static titan_status write_graph_of(const char *folder, const char *kind, const titan_plan *plan) {
  return write_graph(folder, kind, plan->graph);
}

typedef titan_status kind_writer(const char *folder, const char *kind, const titan_plan *plan);

// Each different plan of the units, with the name of its part; a later one of a part also has that of its first unit,
// as the parameters do: block.layers.1.
static titan_status for_each_kind(titan_runtime *runtime, const char *folder, kind_writer *write) {
  for (int i = 0; i < titan_runtime_unit_count(runtime); i++) {
    const titan_unit *unit = titan_runtime_unit(runtime, i);
    const char *part = titan_graph_name(unit->plan->graph);
    bool known = false, later = false;
    for (int k = 0; k < i; k++) {
      const titan_plan *earlier = titan_runtime_unit(runtime, k)->plan;
      known |= earlier == unit->plan;
      later |= strcmp(titan_graph_name(earlier->graph), part) == 0;
    }
    char kind[KIND_BYTES];
    int length = later && unit->prefix[0] != '\0' ? (int)strlen(unit->prefix) - 1 : 0; // without the dot at its end
    snprintf(kind, sizeof kind, "%s%s%.*s", part, length > 0 ? "." : "", length, unit->prefix);
    if (!known)
      TITAN_TRY(write(folder, kind, unit->plan));
  }
  return TITAN_OK;
}

titan_status titan_plan_files_write(titan_runtime *runtime, const char *folder) {
  return for_each_kind(runtime, folder, write_plan);
}

titan_status titan_graph_files_write(titan_runtime *runtime, const char *folder) {
  const titan_graph *setup = titan_runtime_graph(runtime, TITAN_PART_SETUP);
  TITAN_TRY(for_each_kind(runtime, folder, write_graph_of));
  return write_graph(folder, titan_graph_name(setup), setup);
}
