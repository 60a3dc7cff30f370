// SPDX-License-Identifier: Apache-2.0
// A pipeline's schedule as a file. The first three bytes give the ranks, the microbatches, and whether a rank has one
// stage; the others are the file. Property: any bytes are an order or TITAN_ERROR_USAGE; an order that was read is
// lowered to lists that pass the check of steps and give the toy model's result.
#include "fuzz.h"
#include "toy.h"

#include "step/schedule_csv.h"

enum { MOST_RANKS = 4, MOST_MICROBATCHES = 8 };

static void run(titan_order *order) {
  toy t;
  int sizes[TOY_UNITS];
  titan_step_list lists[MOST_RANKS];
  for (int stage = 0; stage < order->stages; stage++)
    sizes[stage] = 1;
  toy_create_pipeline(&t, order, sizes); // owns the order
  FUZZ_REQUIRE(titan_step_lower_all(&t.order, &t.shape, lists) == TITAN_OK);
  FUZZ_REQUIRE(titan_step_check(&t.order, &t.shape, lists) == TITAN_OK);
  FUZZ_REQUIRE(toy_run(&t, lists));
  for (int rank = 0; rank < t.order.ranks; rank++)
    titan_step_list_destroy(&lists[rank]);
  toy_destroy(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  uint64_t live = fuzz_live();
  titan_order order;
  if (size < 3)
    return 0;
  int ranks = 1 + data[0] % MOST_RANKS, microbatches = 1 + data[1] % MOST_MICROBATCHES;
  bool single = data[2] % 2 == 1;
  titan_text text = {0};
  const char *path = fuzz_file(".csv", data + 3, size - 3);
  titan_status status = titan_schedule_load_csv(path, &text);
  if (status == TITAN_OK)
    status = titan_schedule_read_csv(&text, path, single, ranks, microbatches, &order);
  titan_text_destroy(&text);
  FUZZ_REQUIRE(status == TITAN_OK || status == TITAN_ERROR_USAGE);
  if (status == TITAN_OK && order.stages <= TOY_UNITS)
    run(&order);
  else if (status == TITAN_OK)
    titan_order_destroy(&order);
  fuzz_require_no_leak(live);
  return 0;
}
