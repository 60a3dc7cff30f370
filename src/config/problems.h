// SPDX-License-Identifier: Apache-2.0
// All problems of one reading or check, one line each, to be reported at once.
#ifndef TITAN_CONFIG_PROBLEMS_H
#define TITAN_CONFIG_PROBLEMS_H

#include "base/text.h"

// Start with {0}.
typedef struct titan_problems {
  char **lines; // in the order in which they were found
  size_t count, capacity;
} titan_problems;

titan_status titan_problems_add(titan_problems *problems, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// TITAN_OK when there is none, else TITAN_ERROR_USAGE with the lines as message.
titan_status titan_problems_status(titan_problems *problems);

void titan_problems_destroy(titan_problems *problems);

#endif
