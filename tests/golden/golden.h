// SPDX-License-Identifier: Apache-2.0
// Reads golden cases: numbers computed once by another program and kept beside the tests. A case is two files:
// PATH.golden holds tensors (a text header, then raw little-endian data), PATH.txt holds key=value lines.
#ifndef TITAN_TESTS_GOLDEN_H
#define TITAN_TESTS_GOLDEN_H

#include "base/dtype.h"
#include "base/status.h"

enum { TITAN_GOLDEN_MAX_RANK = 4 };

typedef struct titan_golden titan_golden;

// A tensor of an open case, row-major; every pointer is borrowed from the case. Rank 0 is a scalar of count 1.
typedef struct titan_golden_tensor {
  const char *name;
  titan_dtype dtype; // float32, float64 or int32
  int rank;
  int64_t dims[TITAN_GOLDEN_MAX_RANK], count;
  const void *data;
} titan_golden_tensor;

// Reads PATH.golden and PATH.txt whole. A file that cannot be read, or is malformed, cut short or followed by other
// bytes, gives TITAN_ERROR_DATA and *golden NULL. Not collective. The caller owns *golden.
titan_status titan_golden_open(const char *path, titan_golden **golden);

// NULL is fine; nulls the handle. Tensors and texts of the case end with it.
void titan_golden_close(titan_golden **golden);

// The tensors in the file's order, 0 <= index < titan_golden_count.
int titan_golden_count(const titan_golden *golden);
const titan_golden_tensor *titan_golden_at(const titan_golden *golden, int index);

// The tensor of this name; TITAN_ERROR_DATA when the case has none.
titan_status titan_golden_find(const titan_golden *golden, const char *name, const titan_golden_tensor **tensor);

// Element `index` of a tensor as a double, whatever its dtype.
double titan_golden_value(const titan_golden_tensor *tensor, int64_t index);

// The value of a tensor that has one element; TITAN_ERROR_DATA when it is missing or has more.
titan_status titan_golden_scalar(const titan_golden *golden, const char *name, double *value);

// A setting of PATH.txt as text, whole number or real number; TITAN_ERROR_DATA when it is missing or is not one.
titan_status titan_golden_text(const titan_golden *golden, const char *key, const char **value);
titan_status titan_golden_integer(const titan_golden *golden, const char *key, int64_t *value);
titan_status titan_golden_real(const titan_golden *golden, const char *key, double *value);

#endif
