// SPDX-License-Identifier: Apache-2.0
#include "config/config.h"

#include "config/option.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

// "training.steps = 0"
static titan_status append_setting(const titan_config *config, const titan_option *option, titan_text *text) {
  TITAN_TRY(titan_text_printf(text, "%s = ", option->name));
  return titan_option_format(config, option, false, text);
}

// " (run.toml:12)", or nothing for a default.
static titan_status append_place(const titan_config *config, const titan_option *option, titan_text *text) {
  const char *origin = config->entries[option - titan_options].origin;
  return origin == NULL ? TITAN_OK : titan_text_printf(text, " (%s)", origin);
}

// An estimate reads no corpus and runs nothing.
static bool is_estimate(const titan_config *config) {
  return config->memory_estimation.enabled && !config->memory_estimation.disable_fake_mode;
}

// An option that changes little of the memory: an estimate for a configuration that asks for it is made without it as
// long as this build does not have it, and says so.
static bool estimate_goes_without(const titan_config *config, const titan_option *option) {
  return is_estimate(config) && option == &titan_options[TITAN_OPTION_float8_enable_float8_linear];
}

// A problem of one option: its constraint, or that it asks for something this build does not have.
static titan_status check_option(const titan_config *config, const titan_option *option, titan_problems *problems) {
  titan_text text = {0};
  titan_status status = TITAN_OK;
  titan_availability_kind kind = option->availability.kind;
  TITAN_TRY_CLEANUP(append_setting(config, option, &text));
  if (!titan_option_holds(config, option)) {
    TITAN_TRY_CLEANUP(titan_text_printf(&text, ": expected "));
    TITAN_TRY_CLEANUP(titan_option_expected(option, &text));
  } else if (kind == TITAN_LATER && titan_option_is_asked_for(config, option) &&
             !estimate_goes_without(config, option)) {
    TITAN_TRY_CLEANUP(titan_text_printf(&text, ": not available in this build yet"));
  } else if (kind == TITAN_REFUSED && titan_option_is_asked_for(config, option)) {
    TITAN_TRY_CLEANUP(titan_text_printf(&text, ": %s", option->availability.note));
  } else {
    goto cleanup;
  }
  TITAN_TRY_CLEANUP(append_place(config, option, &text));
  TITAN_TRY_CLEANUP(titan_problems_add(problems, "%s", text.data));
cleanup:
  titan_text_destroy(&text);
  return status;
}

// The degrees that are not 1: "training.tensor_parallel_degree = 8 (run.toml:12), ...".
static titan_status append_degrees(const titan_config *config, titan_text *text) {
  const struct {
    int option;
    int64_t degree;
  } degrees[] = {
      {TITAN_OPTION_training_data_parallel_replicate_degree, config->training.data_parallel_replicate_degree},
      {TITAN_OPTION_training_data_parallel_shard_degree, config->training.data_parallel_shard_degree},
      {TITAN_OPTION_experimental_context_parallel_degree, config->experimental.context_parallel_degree},
      {TITAN_OPTION_training_tensor_parallel_degree, config->training.tensor_parallel_degree},
      {TITAN_OPTION_experimental_pipeline_parallel_degree, config->experimental.pipeline_parallel_degree},
  };
  const char *comma = "";
  for (size_t i = 0; i < sizeof degrees / sizeof *degrees; i++) {
    const titan_option *option = &titan_options[degrees[i].option];
    if (degrees[i].degree == 1 && !titan_config_is_set(config, option->name))
      continue;
    TITAN_TRY(titan_text_printf(text, "%s", comma));
    TITAN_TRY(append_setting(config, option, text));
    TITAN_TRY(titan_text_printf(text, degrees[i].degree == -1 ? " (%s; the remaining ranks)" : " (%s)",
                                titan_config_origin(config, option->name)));
    comma = ", ";
  }
  return TITAN_OK;
}

// What is wrong, in the reference's words, then what to change.
static titan_status report_mesh(const titan_config *config, const char *invalid, int64_t world_size,
                                titan_problems *problems) {
  bool asked = is_estimate(config) && config->memory_estimation.world_size > 0;
  titan_text degrees = {0};
  titan_status status = append_degrees(config, &degrees);
  if (status == TITAN_OK)
    status =
        titan_problems_add(problems, "%s: the product of %s must be the number of ranks, %" PRId64 " (%s%s)", invalid,
                           degrees.data, world_size, asked ? "memory_estimation.world_size, " : "mpirun -np",
                           asked ? titan_config_origin(config, "memory_estimation.world_size") : "");
  titan_text_destroy(&degrees);
  return status;
}

// The global batch is a whole number of batches on each of the data-parallel ranks.
static titan_status check_global_batch(const titan_config *config, int64_t ranks, titan_problems *problems) {
  int64_t global = config->training.global_batch_size, batch = config->training.batch_size;
  if (global < 1 || batch < 1 || ranks < 1 || batch > INT64_MAX / ranks || global % (batch * ranks) == 0)
    return TITAN_OK;
  int64_t once = batch * ranks, below = global / once * once;
  titan_text nearest = {0};
  titan_status status = TITAN_OK;
  if (below > 0)
    TITAN_TRY_CLEANUP(titan_text_printf(&nearest, "%" PRId64 " or ", below));
  TITAN_TRY_CLEANUP(titan_text_printf(&nearest, "%" PRId64, below + once));
  TITAN_TRY_CLEANUP(titan_problems_add(problems,
                                       "training.global_batch_size = %" PRId64
                                       " (%s): expected a whole multiple of training.batch_size = %" PRId64
                                       " (%s) times the number of data-parallel ranks, %" PRId64 "; the nearest: %s",
                                       global, titan_config_origin(config, "training.global_batch_size"), batch,
                                       titan_config_origin(config, "training.batch_size"), ranks, nearest.data));
cleanup:
  titan_text_destroy(&nearest);
  return status;
}

static titan_status check_mesh(const titan_config *config, int64_t world_size, titan_problems *problems) {
  int64_t replicate = config->training.data_parallel_replicate_degree;
  int64_t shard = config->training.data_parallel_shard_degree;
  int64_t context = config->experimental.context_parallel_degree;
  int64_t tensor = config->training.tensor_parallel_degree;
  int64_t pipeline = config->experimental.pipeline_parallel_degree;
  const int64_t others[] = {replicate, context, tensor, pipeline};
  int64_t product = 1;
  for (int i = 0; i < 4; i++) {
    if (others[i] < 1)
      return TITAN_OK; // reported as out of its range
    product = product > world_size / others[i] ? world_size + 1 : product * others[i];
  }
  if (shard == -1)
    shard = world_size / product > 1 ? world_size / product : 1;
  if (shard < 1)
    return TITAN_OK;
  if (product <= world_size / shard && product * shard == world_size)
    return check_global_batch(config, replicate * shard, problems);
  char invalid[320];
  snprintf(invalid, sizeof invalid,
           "Invalid parallel dims: dp_replicate(%" PRId64 ") * dp_shard(%" PRId64 ") * cp(%" PRId64 ") * tp(%" PRId64
           ") * pp(%" PRId64 ") != WORLD_SIZE(%" PRId64 ")",
           replicate, shard, context, tensor, pipeline, world_size);
  return report_mesh(config, invalid, world_size, problems);
}

// For a message that asks the user to set this option.
static const char *note_unless_available(const char *name) {
  bool negated;
  const titan_option *option = &titan_options[titan_option_find(name, &negated)];
  return option->availability.kind == TITAN_AVAILABLE ? "" : ", which is not available in this build yet either";
}

// A corpus that is not installed needs its files.
static titan_status check_corpora(const titan_config *config, titan_problems *problems) {
  const struct {
    const char *section, *dataset, *path;
    bool read;
  } corpora[] = {
      {"training", config->training.dataset, config->training.dataset_path, true},
      {"validation", config->validation.dataset, config->validation.dataset_path, config->validation.enabled},
  };
  for (int i = 0; i < 2; i++)
    if (corpora[i].read && !is_estimate(config) && corpora[i].path == NULL &&
        (strcmp(corpora[i].dataset, "c4") == 0 || strcmp(corpora[i].dataset, "c4_validation") == 0))
      TITAN_TRY(titan_problems_add(problems,
                                   "%s.dataset = %s: this corpus is not installed with the program; give its file or "
                                   "folder as %s.dataset_path, or use c4_test or c4_mini",
                                   corpora[i].section, corpora[i].dataset, corpora[i].section));
  return TITAN_OK;
}

static titan_status check_together(const titan_config *config, titan_problems *problems) {
  if (config->experimental.enable_async_tensor_parallel && !config->training.compile)
    TITAN_TRY(titan_problems_add(
        problems, "experimental.enable_async_tensor_parallel = true (%s) needs training.compile = true%s",
        titan_config_origin(config, "experimental.enable_async_tensor_parallel"),
        note_unless_available("training.compile")));
  if (strcmp(config->debug.find_nonfinite, "on") == 0 && config->optimizer.early_step_in_backward)
    TITAN_TRY(titan_problems_add(problems,
                                 "debug.find_nonfinite = on (%s) needs optimizer.early_step_in_backward = false: early "
                                 "updates change the weights before a step is known to be bad",
                                 titan_config_origin(config, "debug.find_nonfinite")));
  return check_corpora(config, problems);
}

titan_status titan_config_validate(const titan_config *config, int64_t world_size) {
  titan_problems problems = {0};
  titan_status status = TITAN_OK;
  for (int i = 0; i < TITAN_OPTION_COUNT; i++)
    TITAN_TRY_CLEANUP(check_option(config, &titan_options[i], &problems));
  TITAN_TRY_CLEANUP(check_together(config, &problems));
  TITAN_TRY_CLEANUP(check_mesh(config, world_size, &problems));
  TITAN_TRY_CLEANUP(titan_problems_status(&problems));
cleanup:
  titan_problems_destroy(&problems);
  return status;
}

static titan_status warn_option(const titan_config *config, const titan_option *option, titan_text *text) {
  titan_availability_kind kind = option->availability.kind;
  bool without = kind == TITAN_LATER && estimate_goes_without(config, option);
  if ((kind != TITAN_LATER_WARNED && kind != TITAN_NO_EFFECT && !without) || !titan_option_is_asked_for(config, option))
    return TITAN_OK;
  TITAN_TRY(append_setting(config, option, text));
  if (without) {
    TITAN_TRY(titan_text_printf(text, ": not available in this build yet; the estimate ignores it"));
    return append_place(config, option, text);
  }
  TITAN_TRY(titan_text_printf(text, ": %s; %s",
                              kind == TITAN_NO_EFFECT ? "this option has no effect" : "not available in this build yet",
                              option->availability.note));
  return append_place(config, option, text);
}

// Options of a section that is not turned on (an estimate, validation). Files have them for the day when it is.
static titan_status warn_of_section(const titan_config *config, const char *section, bool enabled, titan_text *text) {
  for (int i = 0; i < TITAN_OPTION_COUNT && !enabled; i++) {
    const titan_option *option = &titan_options[i];
    if (strcmp(option->section, section) != 0 || strcmp(option->key, "enabled") == 0 ||
        strcmp(titan_config_origin(config, option->name), "command line") != 0)
      continue;
    return titan_text_printf(text, "%s (command line) has no effect: %s.enabled is off", option->name, section);
  }
  return TITAN_OK;
}

static titan_status warn_of_estimate(const titan_config *config, titan_text *text) {
  return warn_of_section(config, "memory_estimation", config->memory_estimation.enabled, text);
}

static titan_status warn_of_validation(const titan_config *config, titan_text *text) {
  return warn_of_section(config, "validation", config->validation.enabled, text);
}

// How a pipeline goes, by a run that has none: one line. A file has it for the day when there is one.
static titan_status warn_of_pipeline(const titan_config *config, titan_text *text) {
  static const int options[] = {
      TITAN_OPTION_experimental_pipeline_parallel_schedule, TITAN_OPTION_experimental_pipeline_parallel_schedule_csv,
      TITAN_OPTION_experimental_pipeline_parallel_split_points, TITAN_OPTION_experimental_pipeline_parallel_split,
      TITAN_OPTION_experimental_pipeline_parallel_microbatches};
  if (config->experimental.pipeline_parallel_degree != 1)
    return TITAN_OK;
  for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
    if (config->entries[options[i]].source != TITAN_SOURCE_COMMAND_LINE)
      continue;
    TITAN_TRY(titan_text_printf(text, "%s", text->length > 0 ? ", " : ""));
    TITAN_TRY(append_setting(config, &titan_options[options[i]], text));
    TITAN_TRY(append_place(config, &titan_options[options[i]], text));
  }
  return text->length == 0 ? TITAN_OK
                           : titan_text_printf(text, ": no effect, as experimental.pipeline_parallel_degree is 1");
}

// What is to be loaded, by a run that loads nothing: one line.
static titan_status warn_of_loading(const titan_config *config, titan_text *text) {
  static const int options[] = {TITAN_OPTION_checkpoint_load_step, TITAN_OPTION_checkpoint_exclude_from_loading};
  const char *excluded = config->checkpoint.exclude_from_loading;
  const bool asked[] = {config->checkpoint.load_step >= 0, excluded != NULL && *excluded != '\0'};
  if (config->checkpoint.enable_checkpoint && !config->checkpoint.create_seed_checkpoint)
    return TITAN_OK;
  for (int i = 0; i < 2; i++) {
    if (!asked[i])
      continue;
    TITAN_TRY(titan_text_printf(text, "%s", text->length > 0 ? ", " : ""));
    TITAN_TRY(append_setting(config, &titan_options[options[i]], text));
    TITAN_TRY(append_place(config, &titan_options[options[i]], text));
  }
  const char *reason = config->checkpoint.create_seed_checkpoint
                           ? "a seed checkpoint is made of a new model"
                           : "nothing is loaded without checkpoint.enable_checkpoint";
  return text->length == 0 ? TITAN_OK : titan_text_printf(text, ": no effect, as %s", reason);
}

// A curve of the learning rate that is not what its options say: one line.
static titan_status warn_of_schedule(const titan_config *config, titan_text *text) {
  int64_t steps = config->training.steps, warmup = config->training.warmup_steps;
  int64_t total = config->lr_scheduler.total_steps > 0 ? config->lr_scheduler.total_steps : steps;
  double ratio = config->lr_scheduler.decay_ratio;
  if (total < steps) {
    TITAN_TRY(append_setting(config, &titan_options[TITAN_OPTION_lr_scheduler_total_steps], text));
    TITAN_TRY(append_place(config, &titan_options[TITAN_OPTION_lr_scheduler_total_steps], text));
    return titan_text_printf(text,
                             ": training.steps = %" PRId64 " is more; from step %" PRId64
                             " on, the learning rate stays at the end of the decay",
                             steps, total + 1);
  }
  if (ratio <= 0 || rint((double)total * ratio) + (double)warmup <= (double)total)
    return TITAN_OK;
  TITAN_TRY(append_setting(config, &titan_options[TITAN_OPTION_lr_scheduler_decay_ratio], text));
  TITAN_TRY(append_place(config, &titan_options[TITAN_OPTION_lr_scheduler_decay_ratio], text));
  return titan_text_printf(text,
                           ": %" PRId64 " steps of warm-up and %.0f of decay are more than the %" PRId64
                           " of the curve; the decay gets the steps after the warm-up",
                           warmup, rint((double)total * ratio), total);
}

static titan_status warn_of_warmup(const titan_config *config, titan_text *text) {
  if (config->training.warmup_steps < config->training.steps)
    return TITAN_OK;
  return titan_text_printf(text,
                           "training.warmup_steps = %" PRId64 ", training.steps = %" PRId64
                           ": the learning rate does not reach optimizer.lr before the run ends",
                           config->training.warmup_steps, config->training.steps);
}

// The norm is known when the last gradient is, and by then most units are updated.
static titan_status warn_of_early_step(const titan_config *config, titan_text *text) {
  if (!config->optimizer.early_step_in_backward)
    return TITAN_OK;
  return titan_text_printf(text,
                           "optimizer.early_step_in_backward = true (%s): gradients are not clipped, training.max_norm "
                           "= %g (%s) has no effect",
                           titan_config_origin(config, "optimizer.early_step_in_backward"), config->training.max_norm,
                           titan_config_origin(config, "training.max_norm"));
}

titan_status titan_config_warnings(const titan_config *config, void (*report)(void *context, const char *line),
                                   void *context) {
  static titan_status (*const warners[])(const titan_config *, titan_text *) = {
      warn_of_estimate, warn_of_validation, warn_of_loading,  warn_of_schedule,
      warn_of_warmup,   warn_of_early_step, warn_of_pipeline,
  };
  titan_text text = {0};
  titan_status status = TITAN_OK;
  for (int i = 0; i < TITAN_OPTION_COUNT; i++) {
    TITAN_TRY_CLEANUP(warn_option(config, &titan_options[i], &text));
    if (text.length > 0)
      report(context, text.data);
    titan_text_destroy(&text);
  }
  for (size_t i = 0; i < sizeof warners / sizeof *warners; i++) {
    TITAN_TRY_CLEANUP(warners[i](config, &text));
    if (text.length > 0)
      report(context, text.data);
    titan_text_destroy(&text);
  }
cleanup:
  titan_text_destroy(&text);
  return status;
}
