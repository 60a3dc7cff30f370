// SPDX-License-Identifier: Apache-2.0
#include "report/page.h"

#include "report/asset.h"

#include <string.h>

// What page.html has places for, as "@NAME@".
typedef struct place {
  const char *name;
  const char *bytes;
  size_t length;
} place;

static const place *find_place(const place *places, size_t count, const char *at, size_t left) {
  for (size_t i = 0; i < count; i++) {
    size_t length = strlen(places[i].name);
    if (length <= left && memcmp(at, places[i].name, length) == 0)
      return &places[i];
  }
  return NULL;
}

static titan_status fill(const place *places, size_t count, titan_output *output) {
  const char *at = titan_asset_page.bytes, *end = at + titan_asset_page.length, *written = at;
  while (at < end) {
    const place *found = *at == '@' ? find_place(places, count, at, (size_t)(end - at)) : NULL;
    if (found == NULL) {
      at++;
      continue;
    }
    TITAN_TRY(titan_output_write(output, written, (size_t)(at - written)));
    TITAN_TRY(titan_output_write(output, found->bytes, found->length));
    at += strlen(found->name);
    written = at;
  }
  return titan_output_write(output, written, (size_t)(end - written));
}

titan_status titan_page_write(const titan_report_data *data, titan_output *output) {
  titan_text json = {0};
  titan_status status = titan_report_to_json(data, &json);
  const place places[] = {
      {"@STYLE@", titan_asset_style.bytes, titan_asset_style.length},
      {"@SCRIPT@", titan_asset_script.bytes, titan_asset_script.length},
      {"@LIBRARY@", titan_asset_library.bytes, titan_asset_library.length},
      {"@LIBRARY_STYLE@", titan_asset_library_style.bytes, titan_asset_library_style.length},
      {"@LIBRARY_LICENCE@", titan_asset_library_licence.bytes, titan_asset_library_licence.length},
      {"@DATA@", json.data, json.length},
  };
  if (status == TITAN_OK)
    status = fill(places, sizeof places / sizeof *places, output);
  titan_text_destroy(&json);
  return status;
}
