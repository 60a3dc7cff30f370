// SPDX-License-Identifier: Apache-2.0
// What one rank does alone: products and copies. All ranks begin each at the same time, as a step's do.
#include "check/results.h"

#include "base/clock.h"
#include "base/median.h"
#include "device/product.h"
#include "device/queue.h"

#include <math.h>

// Products are as large as fits about this time, so that a fast device is not measured by its launches.
static const double product_seconds = 0.02;
enum { LEAST_SIZE = 768, MOST_SIZE = 8192, SIZE_STEP = 256 };
enum { LEAST_PRODUCTS = 5, MOST_PRODUCTS = 15 };
static const double products_seconds = 0.3;

enum { COPIES = 7 };
static const size_t copy_bytes = (size_t)64 << 20;

// Collective. A size for all ranks, by the slowest.
static titan_status choose_size(const titan_check_environment *e, titan_dtype dtype, int64_t *size) {
  const titan_product_request request = {.dtype = dtype, .size = LEAST_SIZE, .least = 1, .most = 1};
  titan_product_times times;
  TITAN_TRY(titan_comm_agree(e->world, titan_device_time_products(e->device, &request, &times)));
  double seconds = times.seconds[0];
  TITAN_TRY(titan_comm_all_reduce(e->world, &seconds, &seconds, 1, TITAN_FLOAT64, TITAN_MAX, NULL));
  double fits = LEAST_SIZE * cbrt(product_seconds / seconds);
  *size = fits > MOST_SIZE ? MOST_SIZE : (int64_t)fits / SIZE_STEP * SIZE_STEP;
  *size = *size < LEAST_SIZE ? LEAST_SIZE : *size;
  return TITAN_OK;
}

static titan_status measure_products(const titan_check_environment *e, titan_dtype dtype, double *rate) {
  titan_product_request request = {
      .dtype = dtype, .least = LEAST_PRODUCTS, .most = MOST_PRODUCTS, .seconds = products_seconds};
  titan_product_times times;
  TITAN_TRY(choose_size(e, dtype, &request.size));
  TITAN_TRY(titan_comm_barrier(e->world, NULL));
  TITAN_TRY(titan_comm_agree(e->world, titan_device_time_products(e->device, &request, &times)));
  *rate = times.flops / titan_median(times.seconds, times.count);
  return TITAN_OK;
}

static titan_status copy_once(titan_device *device, void *to, const void *from) {
  if (device->queues == NULL) // by all threads of the rank
    return device->vector->convert(device, (int64_t)(copy_bytes / sizeof(float)), from, TITAN_FLOAT32, to,
                                   TITAN_FLOAT32);
  TITAN_TRY(titan_queue_copy(device, TITAN_QUEUE_COPY, to, from, copy_bytes));
  return titan_queue_finish(device, TITAN_QUEUE_COPY);
}

static titan_status time_copies(titan_device *device, void *to, const void *from, double *rate) {
  double seconds[COPIES];
  TITAN_TRY(copy_once(device, to, from)); // it touches the pages
  for (int i = 0; i < COPIES; i++) {
    double start = titan_clock_seconds();
    TITAN_TRY(copy_once(device, to, from));
    seconds[i] = titan_clock_seconds() - start;
  }
  *rate = (double)copy_bytes / titan_median(seconds, COPIES);
  return TITAN_OK;
}

// From memory of the space into device memory.
static titan_status measure_copies(const titan_check_environment *e, titan_space space, double *rate) {
  titan_device *device = e->device;
  void *from = NULL, *to = NULL;
  titan_status status = device->allocate(device, space, TITAN_MEMORY_GENERAL, copy_bytes, &from);
  if (status == TITAN_OK)
    status = device->allocate(device, TITAN_SPACE_DEVICE, TITAN_MEMORY_GENERAL, copy_bytes, &to);
  if (status == TITAN_OK && space == TITAN_SPACE_DEVICE)
    status = device->vector->fill(device, (int64_t)(copy_bytes / sizeof(float)), from, 1.0f);
  else if (status == TITAN_OK)
    memset(from, 0, copy_bytes);
  if (status == TITAN_OK)
    status = titan_device_drain(device);
  status = titan_comm_agree(e->world, status); // they begin together, too
  if (status == TITAN_OK)
    status = titan_comm_agree(e->world, time_copies(device, to, from, rate));
  device->free(device, TITAN_SPACE_DEVICE, to);
  device->free(device, space, from);
  return status;
}

titan_status titan_check_measure_rank(const titan_check_environment *e, titan_check_record *record) {
  double *rates = record->rates;
  TITAN_TRY(measure_products(e, TITAN_FLOAT32, &rates[TITAN_CHECK_FLOAT32]));
  TITAN_TRY(measure_products(e, TITAN_BFLOAT16, &rates[TITAN_CHECK_BFLOAT16]));
  TITAN_TRY(measure_copies(e, TITAN_SPACE_DEVICE, &rates[TITAN_CHECK_COPY]));
  return e->device->queues != NULL ? measure_copies(e, TITAN_SPACE_HOST, &rates[TITAN_CHECK_TO_DEVICE]) : TITAN_OK;
}
