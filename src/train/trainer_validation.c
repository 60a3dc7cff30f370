// SPDX-License-Identifier: Apache-2.0
// Validation: the loss on text that is not trained on. Nothing of the training depends on it.
#include "train/observer.h"

#include "base/clock.h"
#include "base/log.h"
#include "comm/recorder.h"

#include <inttypes.h>

titan_status titan_trainer_validation_open(titan_trainer *trainer) {
  const titan_config *config = trainer->env.config;
  if (!config->validation.enabled)
    return TITAN_OK;
  titan_validation_data_options options = {
      .corpus = trainer->validation_corpus,
      .tokenizer = trainer->env.tokenizer,
      .seq_len = titan_runtime_options_of(trainer->runtime)->validation.length,
      .document_limit = titan_setup_document_limit(config),
      .quiet = trainer->rank != 0,
  };
  return titan_comm_agree(titan_trainer_world(trainer),
                          titan_validation_data_create(&options, &trainer->validation_data));
}

// Sequences of a batch on this rank.
static int64_t rows_of(const titan_trainer *trainer) {
  const titan_runtime_options *options = titan_runtime_options_of(trainer->runtime);
  return options->validation.batch * (options->validation_microbatches > 1 ? options->validation_microbatches : 1);
}

// This rank's rows of the batch that begins at window `first`. *counted: its labels that count. *exists: whether the
// corpus has that window, alike on all ranks.
static titan_status load_batch(titan_trainer *trainer, int64_t first, bool *exists, int64_t *counted) {
  int64_t rows = rows_of(trainer), length = titan_runtime_options_of(trainer->runtime)->validation.length;
  TITAN_TRY(titan_runtime_next_batch(trainer->runtime));
  int32_t *labels = titan_runtime_labels(trainer->runtime);
  int64_t mine = first + rows * titan_comm_rank(titan_mesh_comm(trainer->env.mesh, TITAN_MESH_DP));
  *counted = 0;
  TITAN_TRY(titan_validation_data_has(trainer->validation_data, first, exists));
  if (!*exists)
    return TITAN_OK;
  TITAN_TRY(
      titan_validation_data_next(trainer->validation_data, mine, rows, titan_runtime_tokens(trainer->runtime), labels));
  for (int64_t i = 0; i < rows * length; i++)
    *counted += labels[i] >= 0;
  return titan_runtime_check_validation_batch(trainer->runtime);
}

// What the ranks must know of each other before a batch is computed. Flags are 1 on the ranks that raise them.
enum { FLAG_STOP, FLAG_BATCH, FLAG_NO_BATCH, FLAG_DIFFER, FLAGS };

static titan_status corpus_differs(const titan_trainer *trainer) {
  titan_status status =
      titan_error(TITAN_ERROR_DATA,
                  "validation after step %" PRId64 ": ranks read different text from %s; the corpus "
                  "differs between nodes, or has changed during the run; %s",
                  trainer->step, titan_corpus_name(trainer->validation_corpus), titan_trainer_checkpoint_last(trainer));
  titan_error_mark_agreed();
  return status;
}

// Ranks that disagree about the end of the corpus would wait for each other for ever; those of a tp group or a pipeline
// that have different tokens would compute nonsense.
static titan_status compare_batch(const titan_trainer *trainer, bool exists, bool *stop) {
  int64_t tokens = rows_of(trainer) * titan_runtime_options_of(trainer->runtime)->validation.length;
  const titan_mesh *mesh = trainer->env.mesh;
  int64_t mine[FLAGS] = {
      [FLAG_STOP] = titan_trainer_stop_is_asked(trainer), [FLAG_BATCH] = exists, [FLAG_NO_BATCH] = !exists};
  int64_t all[FLAGS];
  if (titan_mesh_degree(mesh, TITAN_MESH_PP | TITAN_MESH_TP) > 1) {
    int64_t hash = exists ? (int64_t)titan_trainer_hash_batch(trainer, (size_t)tokens) : 0;
    int64_t pair[2] = {hash, -hash}, of_tp[2], largest[2];
    TITAN_TRY(
        titan_comm_all_reduce(titan_mesh_comm(mesh, TITAN_MESH_TP), pair, of_tp, 2, TITAN_INT64, TITAN_MAX, NULL));
    TITAN_TRY(
        titan_comm_all_reduce(titan_mesh_comm(mesh, TITAN_MESH_PP), of_tp, largest, 2, TITAN_INT64, TITAN_MAX, NULL));
    mine[FLAG_DIFFER] = largest[0] != -largest[1];
  }
  TITAN_TRY(titan_comm_all_reduce(titan_trainer_world(trainer), mine, all, FLAGS, TITAN_INT64, TITAN_MAX, NULL));
  *stop = all[FLAG_STOP] > 0;
  bool same = (all[FLAG_BATCH] == 0 || all[FLAG_NO_BATCH] == 0) && all[FLAG_DIFFER] == 0;
  return same ? TITAN_OK : corpus_differs(trainer);
}

// Sum of losses and number of tokens of this rank, over the whole round. *stop: the run is asked to end, and the
// round was left; alike on all ranks.
static titan_status run_round(titan_trainer *trainer, double sums[2], bool *stop) {
  const titan_config *config = trainer->env.config;
  int64_t rows = rows_of(trainer) * trainer->dp;
  sums[0] = sums[1] = 0;
  TITAN_TRY(titan_comm_agree(titan_trainer_world(trainer), titan_validation_data_rewind(trainer->validation_data)));
  for (int64_t batch = 0; config->validation.steps < 0 || batch < config->validation.steps; batch++) {
    bool exists = false;
    int64_t counted = 0;
    double loss;
    titan_status status = load_batch(trainer, batch * rows, &exists, &counted);
    TITAN_TRY(titan_comm_agree(titan_trainer_world(trainer), status));
    TITAN_TRY(compare_batch(trainer, exists, stop));
    if (!exists || *stop)
      break;
    TITAN_TRY(titan_runtime_validate(trainer->runtime, &loss));
    sums[0] += loss;
    sums[1] += (double)counted;
  }
  return TITAN_OK;
}

static titan_status report(titan_trainer *trainer, const double sums[2], double seconds) {
  const trainer_validation validation = {
      .row = {.step = (double)trainer->step, .loss = sums[0] / sums[1], .tokens = sums[1]}, .seconds = seconds};
  return titan_observers_validation(trainer, &validation);
}

static titan_status validate(titan_trainer *trainer, bool *stop) {
  double start = titan_clock_seconds(), mine[2], dp[2], all[2];
  titan_recorder_set_phase("validation", trainer->step);
  TITAN_TRY(run_round(trainer, mine, stop));
  if (*stop) {
    if (trainer->rank == 0)
      titan_log_info("The run is stopping: the validation after step %" PRId64 " is skipped", trainer->step);
    return TITAN_OK;
  }
  TITAN_TRY(titan_comm_all_reduce(titan_mesh_comm(trainer->env.mesh, TITAN_MESH_DP_CP), mine, dp, 2, TITAN_FLOAT64,
                                  TITAN_SUM, NULL));
  double tokens = dp[1]; // alike on all ranks of a pipeline
  TITAN_TRY(titan_trainer_add_over_pipeline(trainer, dp, all, 2));
  all[1] = tokens;
  double seconds = titan_clock_seconds() - start;
  trainer->window.start += seconds; // no part of the training's speed
  trainer->validated_step = trainer->step;
  return titan_comm_agree(titan_trainer_world(trainer), report(trainer, all, seconds));
}

bool titan_trainer_validation_is_numbered(const titan_trainer *trainer, int64_t step) {
  return trainer->validation_data != NULL && step > 0 && step % trainer->env.config->validation.freq == 0;
}

titan_status titan_trainer_validate(titan_trainer *trainer, bool at_end, bool *stop) {
  bool is_time = at_end || titan_trainer_validation_is_numbered(trainer, trainer->step);
  if (trainer->validation_data == NULL || trainer->validated_step == trainer->step || !is_time)
    return TITAN_OK;
  return validate(trainer, stop);
}

titan_status titan_trainer_validation_resume(titan_trainer *trainer) {
  trainer->validated_step = trainer->before.validated_step;
  return titan_comm_broadcast(titan_trainer_world(trainer), &trainer->validated_step, 1, TITAN_INT64, 0, NULL);
}
