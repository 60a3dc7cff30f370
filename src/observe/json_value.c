// SPDX-License-Identifier: Apache-2.0
#include "observe/json_value.h"

#include "base/text.h"

#include <math.h>

json_t *titan_json_number(double value) {
  // Whole numbers without a decimal point, as far as a double has them exactly.
  if (isfinite(value) && value == floor(value) && fabs(value) < 9007199254740992.0)
    return json_integer((json_int_t)value);
  return isfinite(value) ? json_real(value) : json_null();
}

json_t *titan_json_text(const char *text) {
  titan_text clean = {0};
  json_t *string = titan_text_append_utf8(&clean, text) == TITAN_OK ? json_string(clean.data) : NULL;
  titan_text_destroy(&clean);
  return string;
}
