// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/stripes.h"

#include "storage/folder.h"

#include <string.h>
#include <sys/vfs.h>

enum { LUSTRE = 0x0BD00BD0 }; // statfs's number of the file system

int titan_checkpoint_stripes(uint64_t bytes) {
  static const struct {
    uint64_t gib;
    int stripes;
  } classes[] = {{100, 72}, {10, 24}, {1, 8}};
  for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
    if (bytes >> 30 >= classes[i].gib)
      return classes[i].stripes;
  return 0;
}

static bool is_on_lustre(const char *path) {
  char folder[TITAN_FOLDER_BYTES];
  struct statfs system;
  titan_folder_of(path, folder);
  return statfs(folder, &system) == 0 && (uint32_t)system.f_type == LUSTRE;
}

titan_status titan_checkpoint_stripes_add(const char *path, uint64_t bytes, const char *hints, titan_text *out) {
  bool given = hints != NULL && *hints != '\0';
  int stripes = titan_checkpoint_stripes(bytes);
  if (given)
    TITAN_TRY(titan_text_printf(out, "%s", hints));
  if (stripes == 0 || (given && strstr(hints, "strip") != NULL) || !is_on_lustre(path))
    return TITAN_OK;
  // The name that MPI reserves, and the older one of Open MPI.
  return titan_text_printf(out, "%sstriping_factor=%d,stripe_width=%d", given ? "," : "", stripes, stripes);
}
