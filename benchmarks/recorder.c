// SPDX-License-Identifier: Apache-2.0
// What the flight recorder adds to each operation, and to each action of a step: processor time, so that other programs
// on the machine do not count.
#include "comm/recorder.h"
#include "base/clock.h"
#include "comm/recorder_private.h"

#include <stdio.h>

enum { CALLS = 1000000 };

static titan_status run(void) {
  const titan_operation operation = {.kind = TITAN_OPERATION_ALL_REDUCE, .count = 1000, .dtype = TITAN_FLOAT32};
  const int64_t capacities[] = {0, 20000};
  titan_comm *comm;
  TITAN_TRY(titan_comm_create_fake("dp_shard", 0, 4, (titan_comm_nodes){1, 4, 4, 4}, &comm));
  for (int i = 0; i < 2; i++) {
    TITAN_TRY(titan_recorder_create(capacities[i]));
    double begun = titan_clock_thread_seconds();
    for (int call = 0; call < CALLS; call++) {
      uint64_t number = titan_recorder_begin(comm, &operation, 1);
      titan_recorder_begin_ended(number, 1);
      titan_recorder_wait(comm, &operation, number, 1);
      titan_recorder_end(number, false);
      titan_recorder_waited(1);
    }
    printf("comm.trace_buf_size %lld: %.0f ns an operation that is waited for\n", (long long)capacities[i],
           1e9 * (titan_clock_thread_seconds() - begun) / CALLS);
    titan_recorder_destroy();
  }
  double begun = titan_clock_thread_seconds();
  for (int call = 0; call < CALLS; call++)
    titan_recorder_set_action("forward", "layers.3");
  printf("%.0f ns an action\n", 1e9 * (titan_clock_thread_seconds() - begun) / CALLS);
  titan_comm_destroy(&comm);
  return TITAN_OK;
}

int main(void) {
  titan_status status = run();
  if (status != TITAN_OK)
    fprintf(stderr, "%s\n", titan_error_message());
  return titan_status_exit_code(status);
}
