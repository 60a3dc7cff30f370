// SPDX-License-Identifier: Apache-2.0
#include "weights/json_file.h"

#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { LARGEST_FILE = 256 << 20 };

static titan_status read_all(const char *path, FILE *file, titan_text *text) {
  int failure;
  TITAN_TRY(titan_text_append_stream(text, file, LARGEST_FILE, &failure));
  if (failure != 0)
    return titan_error(TITAN_ERROR_CHECKPOINT, "cannot read %s: %s", path, strerror(failure));
  if (text->length > LARGEST_FILE)
    return titan_error(TITAN_ERROR_CHECKPOINT, "%s is larger than 256 MiB; expected a JSON object", path);
  return TITAN_OK;
}

titan_status titan_json_file_read(const char *path, json_t **out) {
  titan_text text = {0};
  json_error_t reason;
  *out = NULL;
  FILE *file = fopen(path, "rb");
  if (file == NULL)
    return titan_error(TITAN_ERROR_CHECKPOINT, "cannot open %s: %s", path, strerror(errno));
  titan_status status = read_all(path, file, &text);
  fclose(file);
  if (status == TITAN_OK) {
    *out = json_loadb(text.data, text.length, JSON_REJECT_DUPLICATES, &reason);
    if (*out == NULL)
      status = titan_error(TITAN_ERROR_CHECKPOINT, "%s:%d: %s", path, reason.line, reason.text);
  }
  titan_text_destroy(&text);
  return status;
}
