// SPDX-License-Identifier: Apache-2.0
#include "device/numbers.h"
#include "train/observer.h"
#include "train/plan_files.h"
#include "train/replicas.h"
#include "train/shared_folder.h"
#include "train/signals.h"
#include "train/trainer_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "parallel/pipeline_choice.h"

#include <math.h>
#include <string.h>

static titan_status choose_options(titan_trainer *trainer, size_t auto_budget, titan_runtime_options *options) {
  const titan_config *config = trainer->env.config;
  titan_mesh_degrees degrees = titan_setup_degrees(config);
  TITAN_TRY(titan_mesh_resolve(&degrees, titan_comm_size(titan_trainer_world(trainer))));
  TITAN_TRY(titan_setup_runtime_options(config, titan_tokenizer_vocabulary_size(trainer->env.tokenizer), degrees,
                                        auto_budget, trainer->env.schedule, options));
  int64_t parameters, embedding;
  TITAN_TRY(titan_model_count_parameters(options->model, &options->arguments, &parameters, &embedding));
  trainer->flops_per_token =
      titan_model_flops_per_token(&options->arguments, parameters, embedding, options->shape.length);
  if (trainer->rank != 0)
    return TITAN_OK;
  if (options->async_tensor && degrees.tp == 1)
    titan_log_info("experimental.enable_async_tensor_parallel has nothing to do: the tensor-parallel degree is 1");
  char text[TITAN_REPORT_BYTES];
  titan_report_integer(parameters, text, sizeof text);
  titan_log_info("Building %s %s with %lld layers, dim %lld, vocabulary %lld", config->model.name, config->model.flavor,
                 (long long)options->arguments.layers, (long long)options->arguments.dim,
                 (long long)options->arguments.vocabulary);
  titan_log_info("Model %s %s size: %s total parameters%s", config->model.name, config->model.flavor, text,
                 options->arguments.tied ? ", with tied embedding and output" : "");
  return TITAN_OK;
}

// With the choices that memory allows, the quickest first. *fits: whether it is enough for the last of these.
static titan_status create_runtime(titan_trainer *trainer, titan_runtime_options *options, bool *fits) {
  const titan_trainer_environment *env = &trainer->env;
  titan_comm *world = titan_trainer_world(trainer);
  for (;;) {
    titan_runtime_destroy(&trainer->runtime);
    titan_status status = titan_runtime_create(options, env->mesh, env->device, &trainer->runtime);
    TITAN_TRY(titan_comm_agree(world, titan_setup_pipeline_error(env->config, status)));
    TITAN_TRY(titan_setup_memory_fits(env->config, trainer->runtime, world, env->node, env->topology, fits));
    if (*fits || !titan_setup_take_less(env->config, titan_runtime_prefetch(trainer->runtime), options))
      return TITAN_OK;
  }
}

static void log_choice(const titan_pipeline_candidate *found, int count, int taken) {
  const titan_pipeline_candidate *c = &found[taken];
  titan_log_info("Pipeline schedule: %s with %d stages and %lld microbatches per batch, chosen from %d; predicted idle "
                 "time %.1f %%",
                 c->schedule->title, c->stages, (long long)c->parts, count, 100 * c->bubble);
  if (taken > 0)
    titan_log_info("%d faster ones do not fit the memory; the fastest of these would take %.1f %% less time", taken,
                   100 * (1 - found[0].time / c->time));
  int next = taken + 1;
  while (next < count && found[next].schedule == c->schedule)
    next++;
  if (next < count)
    titan_log_info("The next schedule, %s with %d stages and %lld microbatches, would take %.1f %% more time",
                   found[next].schedule->title, found[next].stages, (long long)found[next].parts,
                   100 * (found[next].time / c->time - 1));
}

// experimental.pipeline_parallel_schedule = auto: the quickest schedule, as predicted, that fits.
static titan_status choose_schedule(titan_trainer *trainer, titan_runtime_options *options) {
  const titan_trainer_environment *env = &trainer->env;
  titan_runtime_options uncut = *options;
  titan_pipeline_candidate *found = NULL;
  int count = 0, taken = 0;
  bool fits = false;
  titan_status status = titan_pipeline_candidates(options, titan_mesh_degree(env->mesh, TITAN_MESH_PP), &found, &count);
  TITAN_TRY(titan_comm_agree(titan_trainer_world(trainer), titan_setup_pipeline_error(env->config, status)));
  for (int i = 0; i < count && !fits; i++) {
    *options = uncut;
    titan_pipeline_take(&found[i], options);
    TITAN_TRY_CLEANUP(create_runtime(trainer, options, &fits));
    taken = i;
  }
  if (trainer->rank == 0)
    log_choice(found, count, taken);
cleanup:
  titan_memory_free(found);
  return status;
}

// Plans the model, and compares the memory it will take with what there is.
static titan_status plan_model(titan_trainer *trainer) {
  const titan_trainer_environment *env = &trainer->env;
  titan_comm *world = titan_trainer_world(trainer);
  size_t auto_budget = 0, fixed = 0;
  titan_runtime_options options;
  TITAN_TRY(titan_setup_available_bytes(env->device, world, env->node, env->topology, &auto_budget));
  TITAN_TRY(titan_comm_agree(world, choose_options(trainer, auto_budget, &options)));
  bool fits;
  TITAN_TRY(options.pipeline.automatic ? choose_schedule(trainer, &options) : create_runtime(trainer, &options, &fits));
  TITAN_TRY(titan_setup_share_budget(env->config, trainer->runtime, world, env->node, &fixed));
  titan_status status = titan_runtime_choose(trainer->runtime, fixed);
  TITAN_TRY(titan_comm_agree(world, titan_setup_budget_error(env->config, status)));
  titan_setup_beside beside = titan_setup_beside_of(env->config, trainer->runtime, world, env->node);
  return titan_setup_check_memory(trainer->runtime, &beside, env->mesh, env->device, env->node, env->topology);
}

static titan_status find_peak(titan_trainer *trainer) {
  const titan_trainer_environment *env = &trainer->env;
  trainer->peak_flops = env->config->metrics.peak_flops;
  if (trainer->peak_flops > 0)
    return TITAN_OK;
  TITAN_TRY(titan_setup_measure_peak(env->device, titan_runtime_options_of(trainer->runtime)->shape.dtype,
                                     titan_trainer_world(trainer), env->node, env->topology, &trainer->peak_flops));
  if (trainer->rank == 0)
    titan_log_info("Peak FLOPS used for computing MFU: %.3e (this machine's own matrix product, per rank)",
                   trainer->peak_flops);
  return TITAN_OK;
}

typedef titan_status describer(const titan_runtime *runtime, titan_text *text);

static titan_status log_line(const titan_trainer *trainer, describer *describe) {
  titan_text text = {0};
  titan_status status = describe(trainer->runtime, &text);
  if (status == TITAN_OK && text.length > 0)
    titan_log_info("%s", text.data);
  titan_text_destroy(&text);
  return status;
}

static titan_status log_prefetch(const titan_trainer *trainer) {
  titan_text text = {0};
  titan_status status =
      titan_setup_describe_prefetch(trainer->env.config, titan_runtime_prefetch(trainer->runtime), &text);
  if (status == TITAN_OK && text.length > 0)
    titan_log_info("%s", text.data);
  titan_text_destroy(&text);
  return status;
}

// Collective. Ranks of a pipeline need different amounts.
static titan_status log_plan(const titan_trainer *trainer) {
  double mine = (double)titan_runtime_memory_of(trainer->runtime).total, ends[2] = {mine, -mine}, all[2];
  TITAN_TRY(titan_comm_all_reduce(titan_trainer_world(trainer), ends, all, 2, TITAN_FLOAT64, TITAN_MAX, NULL));
  if (trainer->rank != 0)
    return TITAN_OK;
  if (all[0] == -all[1])
    titan_log_info("Memory planned for each rank: %.2f GiB; parameters gathered through: %s", mine / TITAN_GIB,
                   titan_runtime_gathering(trainer->runtime));
  else
    titan_log_info("Memory planned for a rank: %.2f to %.2f GiB, for rank 0 %.2f GiB; parameters gathered through: %s",
                   -all[1] / TITAN_GIB, all[0] / TITAN_GIB, mine / TITAN_GIB,
                   titan_runtime_gathering(trainer->runtime));
  TITAN_TRY(log_prefetch(trainer));
  TITAN_TRY(log_line(trainer, titan_runtime_describe_pipeline));
  TITAN_TRY(log_line(trainer, titan_runtime_describe_compile));
  return log_line(trainer, titan_runtime_describe_activations);
}

// debug.dump_graph and debug.dump_plan, on rank 0.
static titan_status write_graphs_and_plans(const titan_trainer *trainer) {
  const titan_config *config = trainer->env.config;
  if (config->debug.dump_graph)
    TITAN_TRY(titan_trainer_by_product(titan_graph_files_write(trainer->runtime, config->job.dump_folder)));
  if (config->debug.dump_plan)
    TITAN_TRY(titan_trainer_by_product(titan_plan_files_write(trainer->runtime, config->job.dump_folder)));
  return TITAN_OK;
}

static titan_status take_memory(titan_trainer *trainer) {
  const titan_config *config = trainer->env.config;
  titan_status status = titan_runtime_allocate(trainer->runtime);
  if (status == TITAN_ERROR_MEMORY)
    titan_trainer_memory_ran_out(trainer);
  TITAN_TRY(status);
  if (!titan_trainer_checkpoint_loads(trainer) || config->debug.dump_initial_weights)
    TITAN_TRY(titan_runtime_initialize(trainer->runtime, (uint64_t)config->training.seed));
  TITAN_TRY(log_plan(trainer));
  if (config->debug.dump_plan && titan_trainer_is_pipeline(trainer))
    TITAN_TRY(titan_comm_agree(titan_trainer_world(trainer), titan_runtime_measure(trainer->runtime)));
  if (config->debug.dump_graph || config->debug.dump_plan)
    TITAN_TRY(titan_comm_agree(titan_trainer_world(trainer),
                               trainer->rank == 0 ? write_graphs_and_plans(trainer) : TITAN_OK));
  if (config->debug.dump_initial_weights)
    TITAN_TRY(titan_trainer_dump_weights(trainer));
  return TITAN_OK;
}

// A configuration file may be shared by terminals and batch jobs: what it says of colours holds for terminals.
static titan_report_color color_wish(const titan_config *config) {
  if (!titan_config_is_set(config, "metrics.enable_color_printing"))
    return TITAN_COLOR_AUTOMATIC;
  if (!config->metrics.enable_color_printing)
    return TITAN_COLOR_NEVER;
  titan_config_source source = config->entries[TITAN_OPTION_metrics_enable_color_printing].source;
  return source == TITAN_SOURCE_COMMAND_LINE ? TITAN_COLOR_ALWAYS : TITAN_COLOR_AUTOMATIC;
}

// Collective.
static titan_status check_dump_folder(titan_trainer *trainer) {
  const titan_config *config = trainer->env.config;
  titan_status status = titan_shared_folder_check(titan_trainer_world(trainer), config->job.dump_folder);
  if (status != TITAN_OK)
    status = titan_error(status, "job.dump_folder = %s (%s): %s", config->job.dump_folder,
                         titan_config_origin(config, "job.dump_folder"), titan_error_message());
  return titan_comm_agree(titan_trainer_world(trainer), status);
}

static titan_status create(titan_trainer *trainer) {
  TITAN_TRY(titan_observers_watch_warnings(trainer));
  TITAN_TRY(titan_trainer_lock_outputs(trainer));
  TITAN_TRY(check_dump_folder(trainer));
  TITAN_TRY(titan_trainer_about_create(trainer));
  TITAN_TRY(titan_trainer_checkpoint_open(trainer));
  TITAN_TRY(titan_trainer_open_corpus(trainer));
  TITAN_TRY(plan_model(trainer));
  // From here on the loader reads ahead while the model is made.
  TITAN_TRY(titan_trainer_open_loader(trainer));
  TITAN_TRY(titan_trainer_validation_open(trainer));
  TITAN_TRY(take_memory(trainer));
  TITAN_TRY(titan_trainer_ask_open(trainer));
  TITAN_TRY(titan_trainer_checkpoint_load(trainer));
  TITAN_TRY(titan_trainer_open_outputs(trainer));
  TITAN_TRY(titan_trainer_validation_resume(trainer));
  return find_peak(trainer);
}

// What a signal makes this rank say: one rank of a group that is signalled as a whole is enough.
static const char *promise_of(const titan_trainer *trainer) {
  if (trainer->rank != 0)
    return NULL;
  return trainer->env.config->checkpoint.enable_checkpoint
             ? "the run finishes this step, saves a checkpoint and ends"
             : "the run finishes this step and ends, without a checkpoint (checkpoint.enable_checkpoint is off)";
}

titan_status titan_trainer_create(const titan_trainer_environment *environment, titan_trainer **out) {
  titan_trainer *trainer;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, 1, sizeof *trainer, &trainer));
  trainer->env = *environment;
  trainer->validated_step = trainer->before.validated_step = -1;
  trainer->rank = titan_comm_rank(titan_trainer_world(trainer));
  trainer->dp = titan_comm_size(titan_mesh_comm(environment->mesh, TITAN_MESH_DP));
  trainer->optimizer = titan_setup_optimizer_options(environment->config);
  trainer->color = titan_report_wants_color(color_wish(environment->config));
  titan_signals_watch(promise_of(trainer));
  titan_status status = create(trainer);
  if (status != TITAN_OK)
    titan_trainer_destroy(&trainer);
  *out = trainer;
  return status;
}

void titan_trainer_destroy(titan_trainer **trainer) {
  titan_trainer *t = *trainer;
  if (t == NULL)
    return;
  titan_trainer_checkpoint_destroy(t); // ends a save that is under way
  titan_trainer_history_destroy(&t->history);
  titan_loader_destroy(&t->loader);
  titan_validation_data_destroy(&t->validation_data);
  titan_corpus_destroy(&t->validation_corpus);
  titan_corpus_destroy(&t->corpus);
  titan_runtime_destroy(&t->runtime);
  titan_observers_destroy(t);
  titan_memory_free(t->ranks);
  titan_memory_free(t->parts);
  titan_trainer_about_destroy(&t->about);
  titan_energy_destroy(&t->totals.energy);
  titan_lock_release(&t->lock);
  titan_memory_free(t);
  *trainer = NULL;
}

titan_status titan_trainer_add_over_pipeline(const titan_trainer *trainer, const double *mine, double *all,
                                             size_t count) {
  return titan_comm_all_reduce(titan_mesh_comm(trainer->env.mesh, TITAN_MESH_PP), mine, all, count, TITAN_FLOAT64,
                               TITAN_SUM, NULL);
}

// Everything of a step that the device does; the host waits for nothing but the loader.
static titan_status begin_step(titan_trainer *trainer) {
  titan_runtime *runtime = trainer->runtime;
  int64_t step = trainer->begun + 1;
  double start = titan_clock_seconds();
  if (trainer->begun == trainer->step) {
    trainer->step_start = start;
    trainer->step_exposed = titan_comm_exposed_seconds_of_all();
    trainer->step_bytes = titan_comm_bytes_of_all();
  }
  titan_trainer_put_off(trainer, titan_observers_step_begins(trainer, step));
  titan_observers_stage(trainer, "data");
  titan_status status = titan_trainer_put_off_until_now(trainer);
  if (status == TITAN_OK)
    status = titan_runtime_next_batch(runtime);
  if (status == TITAN_OK)
    status = titan_loader_next(trainer->loader, titan_runtime_tokens(runtime), titan_runtime_labels(runtime));
  if (status == TITAN_OK)
    status = titan_runtime_check_batch(runtime);
  trainer->data_seconds += titan_clock_seconds() - start;
  TITAN_TRY(titan_comm_agree(titan_trainer_world(trainer), status));
  TITAN_TRY(titan_trainer_ask(trainer, step));
  titan_observers_stage(trainer, "report");
  trainer->begun = step;
  return TITAN_OK;
}

// Waits for the oldest step that was begun.
static titan_status end_step(titan_trainer *trainer, trainer_step *step) {
  titan_step_numbers numbers;
  *step = (trainer_step){.step = trainer->step + 1};
  TITAN_TRY(titan_runtime_numbers(trainer->runtime, step->step, &numbers));
  step->local_loss = numbers.own_loss * trainer->dp;
  step->loss = numbers.loss;
  step->grad_norm = numbers.norm;
  step->same_tokens = numbers.same_tokens > 0;
  step->stop = numbers.sums[TITAN_NUMBER_STOP] > 0;
  step->save_due = numbers.sums[TITAN_NUMBER_DUE] > 0;
  step->save_ended = numbers.sums[TITAN_NUMBER_ENDED] == titan_comm_size(titan_trainer_world(trainer));
  TITAN_TRY(titan_trainer_check_numbers(trainer, step));
  if (trainer->env.config->debug.check_replicas)
    TITAN_TRY(titan_replicas_check(trainer->runtime, step->step));
  trainer->step = step->step;
  trainer->tokens += titan_runtime_options_of(trainer->runtime)->global_tokens;
  double now = titan_clock_seconds();
  double exposed = titan_comm_exposed_seconds_of_all();
  step->seconds = now - trainer->step_start;
  step->exposed_seconds = exposed - trainer->step_exposed;
  step->data_seconds = trainer->data_seconds;
  trainer->step_start = now;
  trainer->step_exposed = exposed;
  step->communication_bytes = titan_comm_bytes_of_all() - trainer->step_bytes;
  trainer->step_bytes += step->communication_bytes;
  trainer->data_seconds = 0;
  return TITAN_OK;
}

// Steps that go on while the host begins another one: where the device computes later, the host learns a step's numbers
// while it computes the next one. Weights of a step that was bad are as before it (titan_step_state.bad).
static int64_t steps_ahead(const titan_trainer *trainer) {
  return titan_runtime_device(trainer->runtime)->queues != NULL ? 1 : 0;
}

// Whether the host does something with the weights of the step that was begun last, known before it ends.
static bool is_looked_at(const titan_trainer *trainer) {
  const titan_config *config = trainer->env.config;
  return trainer->begun == config->training.steps || config->debug.check_replicas ||
         titan_trainer_checkpoint_is_numbered(trainer, trainer->begun) ||
         titan_trainer_validation_is_numbered(trainer, trainer->begun);
}

// Ends steps until `ahead` of those that were begun go on. What a step asks for is done once none goes on: then all of
// them end.
static titan_status end_steps(titan_trainer *trainer, int64_t ahead, trainer_step *last) {
  bool stop = last->stop, due = last->save_due, ended = last->save_ended;
  while (trainer->begun - trainer->step > (stop || due || ended ? 0 : ahead)) {
    TITAN_TRY(end_step(trainer, last));
    TITAN_TRY(titan_trainer_report(trainer, last));
    stop |= last->stop;
    due |= last->save_due;
    ended |= last->save_ended;
  }
  last->stop = stop;
  last->save_due = due;
  last->save_ended = ended;
  return TITAN_OK;
}

// To the last step, or to the one at which the run is asked to end (*stop).
static titan_status take_steps(titan_trainer *trainer, bool *stop) {
  int64_t steps = trainer->env.config->training.steps;
  *stop = false;
  trainer->begun = trainer->step;
  // What an early end kept an earlier start from; a run whose steps are done is validated at its end.
  if (trainer->step < steps)
    TITAN_TRY(titan_trainer_validate(trainer, false, stop));
  while (!*stop && trainer->step < steps) {
    trainer_step step = {0};
    TITAN_TRY(begin_step(trainer));
    TITAN_TRY(end_steps(trainer, is_looked_at(trainer) ? 0 : steps_ahead(trainer), &step));
    if (trainer->step < trainer->begun)
      continue;
    titan_observers_stage(trainer, "validation");
    if (!step.stop)
      TITAN_TRY(titan_trainer_validate(trainer, false, &step.stop));
    titan_observers_stage(trainer, "save");
    TITAN_TRY(titan_trainer_checkpoint_step(trainer, &step));
    *stop = step.stop && trainer->step < steps;
  }
  return TITAN_OK;
}

static titan_status train(titan_trainer *trainer) {
  const titan_config *config = trainer->env.config;
  bool stop;
  if (config->checkpoint.create_seed_checkpoint)
    return titan_trainer_checkpoint_seed(trainer);
  TITAN_TRY(titan_trainer_report_begin(trainer));
  if (trainer->rank == 0 && trainer->step < config->training.steps)
    titan_log_info("Training starts at step %lld, %.2f s after the program's start", (long long)trainer->step + 1,
                   titan_clock_since_process_start());
  else if (trainer->rank == 0)
    titan_trainer_checkpoint_log_finished(trainer);
  TITAN_TRY(take_steps(trainer, &stop));
  TITAN_TRY(titan_trainer_write_measured(trainer));
  if (stop) {
    TITAN_TRY(titan_trainer_report_end(trainer, false));
    return titan_trainer_stop_error(trainer);
  }
  TITAN_TRY(titan_trainer_validate(trainer, true, &stop));
  titan_trainer_stop_clear(trainer);
  return titan_trainer_report_end(trainer, true);
}

titan_status titan_trainer_run(titan_trainer *trainer) {
  titan_status status = train(trainer);
  if (status != TITAN_OK && status != TITAN_PREEMPTED)
    titan_trainer_report_failure(trainer);
  return status;
}
