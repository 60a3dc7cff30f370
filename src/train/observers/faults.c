// SPDX-License-Identifier: Apache-2.0
// debug.inject_nan_step and debug.raise_signal_step: what a run does when a step goes wrong, to be looked at.
#include "train/observer.h"
#include "train/signals.h"

static titan_status faults_create(titan_trainer *trainer, void **state) {
  const titan_config *config = trainer->env.config;
  if (config->debug.inject_nan_step >= 0 || config->debug.raise_signal_step >= 0)
    *state = trainer;
  return TITAN_OK;
}

static void faults_computed(void *state, titan_trainer *trainer, int64_t step, bool *spoil) {
  (void)state;
  const titan_config *config = trainer->env.config;
  int last = titan_comm_size(titan_trainer_world(trainer)) - 1;
  int64_t raiser = config->debug.raise_signal_rank < 0 ? last : config->debug.raise_signal_rank;
  if (step == config->debug.inject_nan_step && trainer->rank == last)
    *spoil = true;
  if (step == config->debug.raise_signal_step && trainer->rank == raiser)
    titan_signals_raise(titan_signals_find(config->debug.raise_signal));
}

const titan_observer titan_observer_faults = {.name = "faults", .create = faults_create, .computed = faults_computed};
