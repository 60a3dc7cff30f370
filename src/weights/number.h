// SPDX-License-Identifier: Apache-2.0
// Element types of weights in files, and their conversion.
#ifndef TITAN_WEIGHTS_NUMBER_H
#define TITAN_WEIGHTS_NUMBER_H

#include "base/dtype.h"
#include "base/status.h"

#include <stdbool.h>

typedef enum titan_number { TITAN_NUMBER_FLOAT32, TITAN_NUMBER_BFLOAT16, TITAN_NUMBER_FLOAT16 } titan_number;

static inline size_t titan_number_bytes(titan_number number) {
  return number == TITAN_NUMBER_FLOAT32 ? 4 : 2;
}

// "float32", "bfloat16", "float16".
const char *titan_number_name(titan_number number);
// By its name; false when there is none of it.
bool titan_number_find(const char *name, titan_number *out);

// IEEE 754 half precision. To half: nearest, ties to even; too large becomes infinite; NaN stays NaN.
float titan_half_to_float(uint16_t half);
uint16_t titan_half_from_float(float value);

// The place of the first finite value that becomes infinite in the type (float16 only); -1 when there is none. And the
// failure that it is, TITAN_ERROR_CHECKPOINT, for a tensor of the file `path`.
int64_t titan_number_unfit(titan_number number, int64_t count, const float *values);
titan_status titan_number_unfit_error(const char *path, const char *tensor, float value);

// out[count] = in[count].
void titan_number_to_float(titan_number number, int64_t count, const void *in, float *out);
void titan_number_from_float(titan_number number, int64_t count, const float *in, void *out);

#endif
