// SPDX-License-Identifier: Apache-2.0
// Time to make the list of a step, before any rank runs: the order, its lowering, the check, and the packing of memory.
// The units are those of llama3 405B on 512 ranks (dp_shard 64, tp 8): embedding, 126 blocks, head. Needs no MPI.
//
//   step_list
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "step/memory.h"
#include "step/schedule.h"

enum { UNITS = 128, REPEATS = 10, PARTS = 3 };

static titan_step_unit units[UNITS];
static titan_step_unit_sizes unit_sizes[UNITS];

static void fill(void) {
  for (int u = 0; u < UNITS; u++) {
    bool head = u == UNITS - 1, ends = head || u == 0;
    size_t parameters = (size_t)(ends ? 2101346304 : 3187703808) / 8;
    units[u] = (titan_step_unit){.name = "unit", .merged = head, .reads_batch = ends};
    unit_sizes[u] = (titan_step_unit_sizes){.input = u > 0 ? 33554432 : 0,
                                            .saved = ends ? 0 : 318767104,
                                            .scratch = {head ? 600000000 : 287309824, 482344960, 0, 0},
                                            .gathered = parameters * 2,
                                            .flat = parameters * 4,
                                            .shard = parameters / 16,
                                            .reads_input = {[TITAN_COMPUTE_BACKWARD] = !ends},
                                            .reads_output_gradient = {[TITAN_COMPUTE_BACKWARD] = !head}};
  }
}

static void must(titan_status status) {
  if (status == TITAN_OK)
    return;
  fprintf(stderr, "step_list: %s\n", titan_error_message());
  exit(1);
}

// Seconds of each part; the number of actions.
static int make(int microbatches, titan_reduce_when reduce, double seconds[PARTS]) {
  int first_unit[] = {0, UNITS};
  titan_step_shape shape = {.unit_count = UNITS,
                            .units = units,
                            .first_unit = first_unit,
                            .backward = true,
                            .gathers = true,
                            .look_ahead = 1,
                            .reduces_in_flight = 2,
                            .reduce = reduce};
  titan_step_sizes sizes = {.units = unit_sizes, .own_shards = true, .alignment = 64};
  titan_order order;
  titan_step_list list;
  titan_step_memory memory;
  double times[PARTS + 1];
  times[0] = titan_clock_seconds();
  must(titan_schedule_make(titan_schedule_find("plain"), 1, 1, microbatches, &order));
  must(titan_step_lower(&order, &shape, 0, &list));
  times[1] = titan_clock_seconds();
  must(titan_step_check(&order, &shape, &list));
  times[2] = titan_clock_seconds();
  must(titan_step_memory_create(&list, &shape, &sizes, &memory));
  times[3] = titan_clock_seconds();
  for (int part = 0; part < PARTS; part++)
    if (times[part + 1] - times[part] < seconds[part])
      seconds[part] = times[part + 1] - times[part];
  int actions = list.count;
  titan_step_memory_destroy(&memory);
  titan_step_list_destroy(&list);
  titan_order_destroy(&order);
  return actions;
}

int main(void) {
  fill();
  printf("the least of %d, milliseconds\n%-12s %-6s %8s %8s %8s %8s %8s\n", REPEATS, "microbatches", "reduce",
         "actions", "list", "check", "memory", "all");
  for (int microbatches = 1; microbatches <= 16; microbatches *= 4)
    for (int last = 0; last < 2; last++) {
      double seconds[PARTS] = {1e9, 1e9, 1e9};
      int actions = 0;
      for (int repeat = 0; repeat < REPEATS; repeat++)
        actions = make(microbatches, last == 1 ? TITAN_REDUCE_LAST : TITAN_REDUCE_EACH, seconds);
      printf("%-12d %-6s %8d %8.2f %8.2f %8.2f %8.2f\n", microbatches, last == 1 ? "last" : "each", actions,
             seconds[0] * 1e3, seconds[1] * 1e3, seconds[2] * 1e3, (seconds[0] + seconds[1] + seconds[2]) * 1e3);
    }
  return 0;
}
