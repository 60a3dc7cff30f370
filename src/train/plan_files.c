#include "train/plan_files.h"

#include "graph/plan_report.h"
#include "storage/folder.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static titan_status write_file(const char *path, const titan_text *text) {
  TITAN_TRY(titan_folder_create_for(path));
  FILE *file = fopen(path, "w");
  if (file == NULL || ((fputs(text->data, file) < 0) | (fclose(file) != 0)))
    return titan_error(TITAN_ERROR_OUTPUT, "cannot write %s: %s", path, strerror(errno));
  return TITAN_OK;
}

static titan_status write_plan(const titan_unit *unit, int number, bool second, const char *folder) {
  titan_text path = {0}, text = {0};
  titan_status status = TITAN_OK;
  TITAN_TRY_CLEANUP(titan_text_printf(&path, "%s/plans/%s", folder, titan_graph_name(unit->plan->graph)));
  TITAN_TRY_CLEANUP(second ? titan_text_printf(&path, ".%d.txt", number) : titan_text_printf(&path, ".txt"));
  TITAN_TRY_CLEANUP(titan_plan_print(unit->plan, &text));
  TITAN_TRY_CLEANUP(write_file(path.data, &text));
cleanup:
  titan_text_destroy(&path);
  titan_text_destroy(&text);
  return status;
}

titan_status titan_plan_files_write(titan_runtime *runtime, const char *folder) {
  int units = titan_runtime_unit_count(runtime);
  for (int i = 0; i < units; i++) {
    const titan_unit *unit = titan_runtime_unit(runtime, i);
    bool known = false, second = false;
    for (int k = 0; k < i; k++) {
      const titan_plan *earlier = titan_runtime_unit(runtime, k)->plan;
      known |= earlier == unit->plan;
      second |= strcmp(titan_graph_name(earlier->graph), titan_graph_name(unit->plan->graph)) == 0;
    }
    if (!known)
      TITAN_TRY(write_plan(unit, i, second, folder));
  }
  return TITAN_OK;
}
