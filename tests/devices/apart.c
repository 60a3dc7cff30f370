// SPDX-License-Identifier: Apache-2.0
#include "apart_private.h"

#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

static void apart_destroy(titan_device *device) {
  apart *a = apart_of(device);
  apart_execute(a);
  apart_memory_destroy(a);
  titan_device_destroy(&a->cpu);
  free(a->ops);
  free(a);
  titan_memory_free(device);
}

uint64_t titan_apart_seed(void) {
  const char *text = getenv("TITAN_APART_SEED");
  return text != NULL ? strtoull(text, NULL, 10) : 1;
}

static uint64_t rank_of_process(void) {
  int initialized = 0, rank = 0;
  MPI_Initialized(&initialized);
  if (initialized)
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return (uint64_t)rank;
}

titan_status titan_apart_create(titan_device *cpu, uint64_t seed, titan_device **out) {
  titan_device *device = NULL;
  apart *a = calloc(1, sizeof *a);
  titan_status status = titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, 1, sizeof *device, &device);
  *out = NULL;
  if (a == NULL || status != TITAN_OK) {
    free(a);
    titan_memory_free(device);
    titan_device_destroy(&cpu);
    return titan_error(TITAN_ERROR_MEMORY, "apart device: no memory");
  }
  a->cpu = cpu;
  a->seed = seed;
  a->random = (seed * 1000003 + rank_of_process() + 1) * 0x9e3779b97f4a7c15u | 1;
  a->first = 1;
  snprintf(a->description, sizeof a->description, "%s, memory apart (seed %llu)", cpu->description,
           (unsigned long long)seed);
  *device = (titan_device){.name = "apart",
                           .level = cpu->level,
                           .description = a->description,
                           .threads = cpu->threads,
                           .alignment = cpu->alignment,
                           .host = cpu,
                           .allocate = apart_allocate,
                           .free = apart_free,
                           .kernel = apart_kernel,
                           .vector = &apart_vector,
                           .queues = &apart_queues,
                           .memory = apart_memory,
                           .group = apart_group,
                           .destroy = apart_destroy,
                           .implementation = a};
  status = apart_memory_create(a);
  if (status == TITAN_OK)
    status = titan_device_check(device);
  if (status != TITAN_OK)
    titan_device_destroy(&device);
  *out = device;
  return status;
}
