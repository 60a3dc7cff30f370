// SPDX-License-Identifier: Apache-2.0
#include "device/device_table.h"

#include <string.h>

static const titan_device_facts rows[] = {
#define TITAN_DEVICE_ROW(name, text, capability, mib, bfloat16, float32, ranks)                                        \
  {name, text, capability, (size_t)(mib) << 20, bfloat16, float32, ranks},
#include "device/device_table.def"
#undef TITAN_DEVICE_ROW
};

enum { ROWS = sizeof rows / sizeof *rows };

const titan_device_facts *titan_device_facts_find(const char *name) {
  for (int i = 0; i < ROWS; i++)
    if (strcmp(rows[i].name, name) == 0)
      return &rows[i];
  return NULL;
}

titan_status titan_device_facts_names(titan_text *text) {
  for (int i = 0; i < ROWS; i++)
    TITAN_TRY(titan_text_printf(text, "%s%s", i > 0 ? ", " : "", rows[i].name));
  return TITAN_OK;
}
