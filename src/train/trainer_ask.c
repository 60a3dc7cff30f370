// SPDX-License-Identifier: Apache-2.0
// What the device is asked for in a step: action by action, or from a recording.
#include "base/log.h"
#include "device/numbers.h"
#include "train/observer.h"

#include <math.h>
#include <string.h>

// --- whether steps are recorded ---

static titan_status refuse(const titan_trainer *trainer, const char *reason) {
  return titan_error(TITAN_ERROR_USAGE, "training.record_steps = on (%s): steps cannot be recorded: %s",
                     titan_config_origin(trainer->env.config, "training.record_steps"), reason);
}

// optimizer.fused, on rank 0.
static void tell_of_fusion(const titan_trainer *trainer) {
  const titan_config *config = trainer->env.config;
  const char *obstacle = titan_optimizer_fuse_obstacle(&trainer->optimizer, trainer->runtime);
  if (trainer->rank != 0 || !config->optimizer.fused)
    return;
  if (obstacle == NULL)
    titan_log_info("The shards of %d units are updated with one kernel", titan_runtime_unit_count(trainer->runtime));
  else
    titan_log_warning("optimizer.fused = true (%s): no effect, as %s", titan_config_origin(config, "optimizer.fused"),
                      obstacle);
}

titan_status titan_trainer_ask_open(titan_trainer *trainer) {
  tell_of_fusion(trainer);
  const titan_config *config = trainer->env.config;
  const char *wish = config->training.record_steps, *reason = NULL;
  int64_t obstacle = titan_runtime_recording_obstacle(trainer->runtime);
  TITAN_TRY(titan_comm_all_reduce(titan_trainer_world(trainer), &obstacle, &obstacle, 1, TITAN_INT64, TITAN_MAX, NULL));
  if (obstacle != TITAN_RECORDING_POSSIBLE)
    reason = titan_recording_obstacle_text((titan_recording_obstacle)obstacle);
  if (strcmp(wish, "on") == 0 && reason != NULL)
    return refuse(trainer, reason);
  if (strcmp(wish, "off") == 0)
    reason = "training.record_steps = off";
  else if (strcmp(wish, "auto") == 0 && reason == NULL && !config->training.compile)
    reason = "training.compile is off";
  if (reason == NULL)
    titan_runtime_record_steps(trainer->runtime);
  if (trainer->rank == 0 && reason == NULL)
    titan_log_info("Steps are recorded: from the second on, each is started as a whole");
  else if (trainer->rank == 0 && obstacle != TITAN_RECORDING_NO_QUEUE)
    titan_log_info("Steps are not recorded: %s", reason);
  return TITAN_OK;
}

// --- a step ---

// Of now.
static titan_status set_flags(titan_trainer *trainer, int64_t step, double batch_hash) {
  bool spoil = false;
  titan_observers_computed(trainer, step, &spoil);
  const double flags[TITAN_NUMBERS] = {[TITAN_NUMBER_LOSS] = spoil,
                                       [TITAN_NUMBER_STOP] = titan_trainer_stop_is_asked(trainer),
                                       [TITAN_NUMBER_DUE] = titan_trainer_checkpoint_is_due(trainer),
                                       [TITAN_NUMBER_ENDED] = titan_trainer_checkpoint_has_ended(trainer),
                                       [TITAN_NUMBER_TOKENS] = batch_hash};
  return titan_runtime_set_flags(trainer->runtime, step, flags);
}

// Has the numbers of a step summed over the ranks and judged.
static titan_status sum_numbers(titan_trainer *trainer) {
  const titan_mesh *mesh = trainer->env.mesh;
  titan_numbers_request request = {
      .square_count = trainer->optimizer_step.squares,
      .replicas = titan_comm_size(titan_mesh_comm(mesh, TITAN_MESH_DP_REPLICATE)),
      .max_norm = trainer->optimizer_step.early ? INFINITY : trainer->optimizer.max_norm,
      .token_ranks = titan_mesh_degree(mesh, TITAN_MESH_PP | TITAN_MESH_TP),
  };
  return titan_runtime_sum_numbers(trainer->runtime, &request);
}

// All that is recorded.
static titan_status ask_for_all(void *context) {
  titan_trainer *trainer = context;
  titan_runtime *runtime = trainer->runtime;
  titan_optimizer_step_state *optimizer = &trainer->optimizer_step;
  TITAN_TRY(titan_runtime_step(runtime, NULL));
  TITAN_TRY(titan_optimizer_add_squares(optimizer, runtime));
  TITAN_TRY(sum_numbers(trainer));
  return titan_optimizer_update(optimizer, runtime);
}

static titan_status replay_step(titan_trainer *trainer, int64_t step, double hash) {
  TITAN_TRY(set_flags(trainer, step, hash));
  TITAN_TRY(titan_runtime_replay(trainer->runtime, ask_for_all, trainer));
  return titan_runtime_send_numbers(trainer->runtime, step);
}

static titan_status run_step(titan_trainer *trainer, int64_t step, double hash) {
  titan_runtime *runtime = trainer->runtime;
  titan_optimizer_step_state *optimizer = &trainer->optimizer_step;
  TITAN_TRY(titan_runtime_step(runtime, NULL));
  titan_observers_stage(trainer, "loss and norm");
  TITAN_TRY(set_flags(trainer, step, hash));
  TITAN_TRY(titan_optimizer_add_squares(optimizer, runtime));
  TITAN_TRY(sum_numbers(trainer));
  TITAN_TRY(titan_runtime_send_numbers(runtime, step));
  titan_observers_stage(trainer, "optimizer");
  return titan_optimizer_update(optimizer, runtime);
}

titan_status titan_trainer_ask(titan_trainer *trainer, int64_t step) {
  titan_runtime *runtime = trainer->runtime;
  const titan_runtime_options *options = titan_runtime_options_of(runtime);
  double hash =
      titan_trainer_hash_batch(trainer, (size_t)(options->microbatches * options->shape.batch * options->shape.length));
  TITAN_TRY(titan_optimizer_begin(&trainer->optimizer_step, runtime, &trainer->optimizer, step));
  titan_observers_stage(trainer, "forward and backward");
  return titan_runtime_replays(runtime) ? replay_step(trainer, step, hash) : run_step(trainer, step, hash);
}
