// SPDX-License-Identifier: Apache-2.0
// Tells the flight recorder which step it is, and the watchdog when the first step is over.
#include "comm/watchdog.h"
#include "comm/recorder.h"
#include "train/observer.h"

static titan_status watchdog_create(titan_trainer *trainer, void **state) {
  *state = trainer;
  return TITAN_OK;
}

static titan_status watchdog_step_begins(void *state, titan_trainer *trainer, int64_t step) {
  (void)state, (void)trainer;
  titan_recorder_set_phase("training", step);
  return TITAN_OK;
}

static titan_status watchdog_step(void *state, titan_trainer *trainer, const trainer_step *step) {
  const titan_config *config = trainer->env.config;
  (void)state;
  if (step->step != trainer->first_step + 1)
    return TITAN_OK;
  char option[96];
  snprintf(option, sizeof option, "comm.train_timeout_seconds = %lld", (long long)config->comm.train_timeout_seconds);
  titan_watchdog_set_timeout(trainer->env.watchdog, (double)config->comm.train_timeout_seconds, option);
  return TITAN_OK;
}

static titan_status watchdog_end(void *state, titan_trainer *trainer, const trainer_end *end) {
  (void)state, (void)end;
  titan_recorder_set_phase("end", trainer->step);
  return TITAN_OK;
}

const titan_observer titan_observer_watchdog = {
    .name = "the flight recorder",
    .create = watchdog_create,
    .step_begins = watchdog_step_begins,
    .step = watchdog_step,
    .end = watchdog_end,
};
