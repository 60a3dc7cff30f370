// SPDX-License-Identifier: Apache-2.0
// Optimizers: what each keeps for a parameter, and how it changes one. A new optimizer is a row of rules.def and one
// file.
#ifndef TITAN_OPTIM_RULE_H
#define TITAN_OPTIM_RULE_H

#include "device/device.h"
#include "parallel/unit.h"

// Runs that are updated at once (optimizer.fused).
typedef struct titan_update_batch {
  int count;
  titan_adam_span spans[TITAN_ADAM_SPANS];
} titan_update_batch;

// One step on a run of parameters of one unit, all [count], which lie in the rank's shard, in the device's memory: a
// rule only has the device's functions put to work.
typedef struct titan_update {
  titan_device *device;
  const titan_step_state *state; // of the device: constants, the gradient's scale, and whether to change anything
  double momentum, weight_decay;
  titan_update_batch *batch; // of a rule that gathers runs; NULL: each is updated by itself
  int64_t count;
  float *master;
  float *slots[TITAN_MOST_SLOTS]; // in the order of the rule
  const float *gradient;
  void *compute; // the new master is written there too, in `dtype`; it may be master itself
  titan_dtype dtype;
} titan_update;

typedef struct titan_optimizer_rule {
  const char *name;                    // as in optimizer.name
  const char *slots[TITAN_MOST_SLOTS]; // names of the float32 states it keeps beside the parameter; zero at first
  int slot_count;
  const char *const *constants; // options that it reads and not every optimizer does; ended by NULL
  titan_status (*update)(const titan_update *update);
  // Optional. Updates the runs of the batch, which is empty afterwards; only `device`, `state` and `dtype` of the
  // update are read besides. On devices with adam_spans.
  titan_status (*update_batch)(const titan_update *update);
} titan_optimizer_rule;

// By name; NULL when there is none. The names of all, for messages: "AdamW, Adam, SGD".
const titan_optimizer_rule *titan_optimizer_rule_find(const char *name);
const char *titan_optimizer_rule_names(void);
// The rows of the table, from 0; NULL: there is no such row. Whether an option is one of a rule's constants.
const titan_optimizer_rule *titan_optimizer_rule_at(int index);
bool titan_optimizer_rule_has(const titan_optimizer_rule *rule, const char *option);

#define TITAN_OPTIMIZER(rule, name) extern const titan_optimizer_rule titan_optimizer_rule_##rule;
#include "optim/rules.def"
#undef TITAN_OPTIMIZER

#endif
