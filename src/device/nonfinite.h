// SPDX-License-Identifier: Apache-2.0
// Counting the values of a tensor that are infinite or NaN, for a run that has to find where its numbers went wrong.
#ifndef TITAN_DEVICE_NONFINITE_H
#define TITAN_DEVICE_NONFINITE_H

#include "device/device.h"

typedef struct titan_nonfinite {
  int64_t count; // values that are not finite; where there is none, the rest is 0
  int64_t first; // element of the first
  double value;  // infinite or NaN
} titan_nonfinite;

// Not collective. values [count] in host memory. Types other than float32, bfloat16 and float64 have no such values.
titan_nonfinite titan_nonfinite_count(titan_dtype dtype, int64_t count, const void *values);

// Counts in memory of a device. On one with queues the values are copied through `buffer`, piece by piece.
typedef struct titan_nonfinite_scanner {
  titan_device *device; // borrowed
  void *buffer;         // of TITAN_SPACE_HOST; NULL where host code reads the device's memory
} titan_nonfinite_scanner;

// Not collective. TITAN_ERROR_MEMORY where there is no room for the buffer. A zeroed scanner may be destroyed.
titan_status titan_nonfinite_scanner_create(titan_device *device, titan_nonfinite_scanner *out);
void titan_nonfinite_scanner_destroy(titan_nonfinite_scanner *scanner);
// Not collective. values [count] in DEVICE or EXCHANGE space, after all that COMPUTE has got so far, for which the host
// waits.
titan_status titan_nonfinite_scan(const titan_nonfinite_scanner *scanner, titan_dtype dtype, int64_t count,
                                  const void *values, titan_nonfinite *out);

#endif
