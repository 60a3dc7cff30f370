// Validation: the loss on text that is not trained on. Nothing of the training depends on it.
#include "train/trainer_private.h"

#include "base/clock.h"
#include "base/log.h"

#include <inttypes.h>
#include <math.h>

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

// This rank's rows of the batch that begins at window `first`. *counted: its labels that count. *exists: whether the
// corpus has that window, alike on all ranks.
static titan_status load_batch(titan_trainer *trainer, int64_t first, bool *exists, int64_t *counted) {
  const titan_model_shape *shape = &titan_runtime_options_of(trainer->runtime)->validation;
  int32_t *labels = titan_runtime_labels(trainer->runtime);
  int64_t mine = first + shape->batch * titan_comm_rank(titan_mesh_comm(trainer->env.mesh, TITAN_MESH_DP));
  *counted = 0;
  TITAN_TRY(titan_validation_data_has(trainer->validation_data, first, exists));
  if (!*exists)
    return TITAN_OK;
  TITAN_TRY(titan_validation_data_next(trainer->validation_data, mine, shape->batch,
                                       titan_runtime_tokens(trainer->runtime), labels));
  for (int64_t i = 0; i < shape->batch * shape->length; i++)
    *counted += labels[i] >= 0;
  return titan_runtime_check_validation_batch(trainer->runtime);
}

// Sum of losses and number of tokens of this rank, over the whole round. *batches: alike on all ranks.
static titan_status run_round(titan_trainer *trainer, double sums[2], int64_t *batches) {
  const titan_config *config = trainer->env.config;
  int64_t rows = titan_runtime_options_of(trainer->runtime)->validation.batch * trainer->dp;
  sums[0] = sums[1] = 0;
  *batches = 0;
  TITAN_TRY(titan_comm_agree(titan_trainer_world(trainer), titan_validation_data_rewind(trainer->validation_data)));
  while (config->validation.steps < 0 || *batches < config->validation.steps) {
    bool exists = false;
    int64_t counted;
    double loss;
    titan_status status = load_batch(trainer, *batches * rows, &exists, &counted);
    TITAN_TRY(titan_comm_agree(titan_trainer_world(trainer), status));
    if (!exists)
      break;
    TITAN_TRY(titan_runtime_validate(trainer->runtime, &loss));
    sums[0] += loss;
    sums[1] += (double)counted;
    ++*batches;
  }
  return TITAN_OK;
}

static titan_status validate(titan_trainer *trainer) {
  double start = titan_clock_seconds(), mine[2], all[2];
  int64_t batches;
  TITAN_TRY(run_round(trainer, mine, &batches));
  TITAN_TRY(titan_comm_all_reduce(titan_mesh_comm(trainer->env.mesh, TITAN_MESH_DP_CP), mine, all, 2, TITAN_FLOAT64,
                                  TITAN_SUM, NULL));
  double seconds = titan_clock_seconds() - start;
  trainer->window.start += seconds; // no part of the training's speed
  trainer->validated_step = trainer->step;
  if (trainer->rank == 0)
    titan_log_info("validate step: %" PRId64 "  loss: %7.4f  tokens: %.0f  seconds: %.2f", trainer->step,
                   all[0] / all[1], all[1], seconds);
  return TITAN_OK;
}

titan_status titan_trainer_validate(titan_trainer *trainer, bool at_end) {
  const titan_config *config = trainer->env.config;
  if (trainer->validation_data == NULL || trainer->validated_step == trainer->step ||
      (!at_end && trainer->step % config->validation.freq != 0))
    return TITAN_OK;
  return titan_comm_agree(titan_trainer_world(trainer), validate(trainer));
}
