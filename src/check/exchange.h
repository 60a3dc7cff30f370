// SPDX-License-Identifier: Apache-2.0
// A group of the device with buffers to exchange, for the timing of links and groups.
#ifndef TITAN_CHECK_EXCHANGE_H
#define TITAN_CHECK_EXCHANGE_H

#include "check/check.h"

typedef struct titan_check_exchange {
  titan_device *device;
  titan_comm *host, *group; // group: of the device, over host
  float *send, *recv;       // device memory
  size_t count;             // elements of float32 that a rank contributes
} titan_check_exchange;

// Collective over the world; each rank gives its own group. Buffers of so many elements, filled with ones, and the
// working memory of a reduce_scatter of `count`. Ranks agree: where one fails, all get its error. *out is to be
// destroyed then too.
titan_status titan_check_exchange_create(const titan_check_environment *environment, titan_comm *host,
                                         titan_queue queue, size_t count, size_t send_count, size_t recv_count,
                                         titan_check_exchange *out);
// Collective over host.
void titan_check_exchange_destroy(titan_check_exchange *exchange);

#endif
