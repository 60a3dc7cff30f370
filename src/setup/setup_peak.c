// SPDX-License-Identifier: Apache-2.0
#include "device/product.h"
#include "setup/setup.h"

#include <time.h>

// The best of several counts: what else the machine does makes some of them slow. They take half a second where a few
// do not end sooner.
enum { SIZE = 768, LEAST_REPETITIONS = 3, MOST_REPETITIONS = 12 };
static const double most_seconds = 0.5;

static titan_status measure(titan_device *device, titan_dtype dtype, double *flops) {
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

// Whether this rank measures. Where the ranks of a node have more threads than it has cores, as many do as it has cores
// for; they stand for the others, which would only take the cores away from each other.
static bool measures(const titan_device *device, const titan_topology *topology) {
  if (!titan_device_is_host(device) || topology->sharing_ranks < topology->node_size ||
      topology->node_size * topology->threads <= topology->node_cores)
    return true;
  int fitting = topology->node_cores / topology->threads;
  return topology->node_rank < (fitting > 1 ? fitting : 1);
}

// Asleep, as a wait that looks all the time takes a core from those who measure.
static titan_status wait_asleep(titan_work **work) {
  const struct timespec nap = {.tv_nsec = 1000000};
  for (bool done = false; !done;) {
    TITAN_TRY(titan_work_test(*work, &done));
    if (!done)
      nanosleep(&nap, NULL);
  }
  return titan_work_wait(work);
}

titan_status titan_setup_measure_peak(titan_device *device, titan_dtype dtype, titan_comm *world, titan_comm *node,
                                      const titan_topology *topology, double *flops) {
  double mine = 0, sum;
  bool measuring = measures(device, topology);
  titan_work *work = NULL;
  TITAN_TRY(titan_comm_barrier(node, NULL));
  titan_status status = measuring ? measure(device, dtype, &mine) : TITAN_OK;
  TITAN_TRY(titan_comm_all_reduce(world, &mine, &sum, 1, TITAN_FLOAT64, TITAN_SUM, &work));
  TITAN_TRY(measuring ? titan_work_wait(&work) : wait_asleep(&work));
  *flops = sum / titan_comm_size(world);
  return titan_comm_agree(world, status);
}
