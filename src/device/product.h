// SPDX-License-Identifier: Apache-2.0
// Times of matrix products on a device, for rates that runs, the check of a machine and benchmarks report.
#ifndef TITAN_DEVICE_PRODUCT_H
#define TITAN_DEVICE_PRODUCT_H

#include "device/device.h"

enum { TITAN_PRODUCTS_MOST = 64 };

// What to time: products A B^T of two matrices [size, size] of `dtype`, with a result of the same type.
typedef struct titan_product_request {
  titan_dtype dtype; // float32 or bfloat16
  int64_t size;
  int least,
      most; // products: `least` at least (>= 1), then until `seconds` are over, `most` at most (TITAN_PRODUCTS_MOST)
  double seconds;
} titan_product_request;

typedef struct titan_product_times {
  double flops; // of one product
  int count;
  double seconds[TITAN_PRODUCTS_MOST]; // of each, to its end on the device
} titan_product_times;

// Not collective. One product warms up and is not counted. Takes 3 size^2 elements of device memory and the kernel's
// workspace, and frees them. TITAN_ERROR_MEMORY, TITAN_ERROR_DEVICE.
titan_status titan_device_time_products(titan_device *device, const titan_product_request *request,
                                        titan_product_times *out);

#endif
