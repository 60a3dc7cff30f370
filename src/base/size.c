// SPDX-License-Identifier: Apache-2.0
#include "base/size.h"

#include <stdio.h>
#include <string.h>

enum { LEAST_DIGITS = 2, MOST_DIGITS = 9 };

void titan_size_pair(double first, double second, char first_text[TITAN_SIZE_BYTES],
                     char second_text[TITAN_SIZE_BYTES]) {
  for (int digits = LEAST_DIGITS; digits <= MOST_DIGITS; digits++) {
    snprintf(first_text, TITAN_SIZE_BYTES, "%.*f GiB", digits, first / TITAN_GIB);
    snprintf(second_text, TITAN_SIZE_BYTES, "%.*f GiB", digits, second / TITAN_GIB);
    if (first == second || strcmp(first_text, second_text) != 0)
      return;
  }
  snprintf(first_text, TITAN_SIZE_BYTES, "%.0f bytes", first);
  snprintf(second_text, TITAN_SIZE_BYTES, "%.0f bytes", second);
}
