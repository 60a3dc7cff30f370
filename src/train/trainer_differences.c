// SPDX-License-Identifier: Apache-2.0
// What a run that goes on has otherwise than the one that saved the checkpoint: said, one line each. On rank 0.
#include "base/log.h"
#include "optim/optimizer.h"
#include "train/trainer_checkpoint.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

// The options that results depend on, and what is to be known beside their values. (The optimizer, the tokenizer, the
// corpus and the mesh are told of elsewhere.)
static const struct {
  const char *name, *remark;
} telling[] = {
    {"model.norm_type", ""},
    {"optimizer.lr", ""},
    {"training.batch_size", ""},
    {"training.seq_len", ": the lanes of the data continue at their positions, in windows of the new length"},
    {"training.warmup_steps", ""},
    {"training.max_norm", ""},
    {"training.steps", ""},
    {"training.seed", ", which has no effect: the weights are the checkpoint's"},
    {"training.mixed_precision_param", ""},
    {"training.mixed_precision_reduce", ""},
    {"training.compile", ""},
    {"training.enable_loss_parallel", ""},
    {"experimental.enable_async_tensor_parallel", ""},
    {"optimizer.early_step_in_backward", ""},
    {"float8.enable_float8_linear", ""},
};

static titan_status tell_option(const titan_trainer *trainer, const char *toml, const char *name, const char *remark) {
  titan_text theirs = {0}, mine = {0};
  bool differ;
  titan_status status = titan_config_compare(trainer->env.config, toml, name, &theirs, &mine, &differ);
  if (status == TITAN_OK && differ)
    titan_log_info("Changed since the checkpoint: %s = %s (%s), in the checkpoint %s%s", name, mine.data,
                   titan_config_origin(trainer->env.config, name), theirs.data, remark);
  titan_text_destroy(&theirs);
  titan_text_destroy(&mine);
  return status;
}

static void tell_machine(const titan_trainer *trainer, const titan_checkpoint_contents *c) {
  char mesh[256];
  size_t verb = strlen("Building "); // both begin so
  titan_mesh_describe(trainer->env.mesh, mesh, sizeof mesh);
  if (c->mesh != NULL && strcmp(c->mesh, mesh) != 0)
    titan_log_info("Changed since the checkpoint: a %s, in the checkpoint a %s: sums have another order, and results "
                   "differ by rounding",
                   mesh + verb, strlen(c->mesh) > verb ? c->mesh + verb : c->mesh);
  if (c->threads > 0 && c->threads != trainer->env.topology->threads)
    titan_log_info("Changed since the checkpoint: %d threads a rank, in the checkpoint %" PRId64 ": sums have another "
                   "order, and results differ by rounding",
                   trainer->env.topology->threads, c->threads);
}

// The next step's learning rate, where the schedule gives another one than the checkpoint's own would.
static void warn_of_rate(const titan_trainer *trainer, const titan_checkpoint_contents *c) {
  int64_t next = trainer->step + 1;
  titan_optimizer_options theirs = trainer->optimizer;
  if (c->total_steps < 1 || trainer->step < 1 || trainer->step >= trainer->env.config->training.steps)
    return;
  theirs.learning_rate = c->peak;
  theirs.warmup_steps = c->warmup_steps;
  theirs.total_steps = c->total_steps;
  theirs.schedule_first = c->schedule_first;
  double mine = titan_optimizer_learning_rate(&trainer->optimizer, next);
  double other = titan_optimizer_learning_rate(&theirs, next);
  if (fabs(mine - other) <= 1e-9 * fmax(mine, other))
    return;
  titan_log_warning("The learning rate of step %" PRId64 " is %.4g; it was %.4g in step %" PRId64
                    ", and would be %.4g by the checkpoint's schedule (optimizer.lr = %g, training.warmup_steps = "
                    "%" PRId64 ", training.steps = %" PRId64 ")",
                    next, mine, c->learning_rate, trainer->step, other, c->peak, c->warmup_steps, c->total_steps);
}

titan_status titan_trainer_log_differences(const titan_trainer *trainer, const titan_checkpoint_contents *contents) {
  if (!contents->has_state)
    return TITAN_OK;
  if (contents->configuration != NULL)
    for (size_t i = 0; i < sizeof telling / sizeof *telling; i++)
      TITAN_TRY(tell_option(trainer, contents->configuration, telling[i].name, telling[i].remark));
  tell_machine(trainer, contents);
  if (!trainer->checkpoint->left_out[TITAN_EXCLUDE_SCHEDULE])
    warn_of_rate(trainer, contents);
  return TITAN_OK;
}
