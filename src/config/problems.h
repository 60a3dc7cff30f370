// All problems of one reading or check, one line each, to be reported at once.
#ifndef TITAN_CONFIG_PROBLEMS_H
#define TITAN_CONFIG_PROBLEMS_H

#include "base/text.h"

#include <stdint.h>

typedef struct titan_problem {
  int64_t order; // problems are reported by rising order, then as they were added
  size_t index;
  char *line;
} titan_problem;

// Start with {0}.
typedef struct titan_problems {
  titan_problem *items;
  size_t count, capacity;
} titan_problems;

titan_status titan_problems_add(titan_problems *problems, int64_t order, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// TITAN_OK when there is none, else TITAN_ERROR_USAGE with the lines as message.
titan_status titan_problems_status(titan_problems *problems);

void titan_problems_destroy(titan_problems *problems);

#endif
