// SPDX-License-Identifier: Apache-2.0
#include "storage/path.h"

titan_status titan_path_join(titan_text *path, const char *folder, const char *name) {
  return name[0] == '/' ? titan_text_printf(path, "%s", name) : titan_text_printf(path, "%s/%s", folder, name);
}
