// SPDX-License-Identifier: Apache-2.0
#include "device/product.h"
#include "setup/setup.h"

// The best of several counts: what else the machine does makes some of them slow. They take half a second where a few
// do not end sooner.
enum { SIZE = 768, LEAST_REPETITIONS = 3, MOST_REPETITIONS = 12 };
static const double most_seconds = 0.5;

titan_status titan_setup_measure_peak(titan_device *device, titan_dtype dtype, double *flops) {
  const titan_product_request request = {
      .dtype = dtype, .size = SIZE, .least = LEAST_REPETITIONS, .most = MOST_REPETITIONS, .seconds = most_seconds};
  titan_product_times times;
  TITAN_TRY(titan_device_time_products(device, &request, &times));
  double best = times.seconds[0];
  for (int i = 1; i < times.count; i++)
    best = times.seconds[i] < best ? times.seconds[i] : best;
  *flops = times.flops / best;
  return TITAN_OK;
}
