// SPDX-License-Identifier: Apache-2.0
// The part of a vocabulary that a matrix of logits stands for.
#ifndef TITAN_DEVICE_LOGITS_H
#define TITAN_DEVICE_LOGITS_H

#include "graph/op.h"

// Columns of the call's logits (its first input) that count; the rest is padding.
static inline int64_t titan_logits_columns(const titan_op_call *call) {
  int64_t columns = call->attributes.cross_entropy.columns;
  return columns > 0 ? columns : titan_tensor_columns(&call->inputs[0]);
}

#endif
