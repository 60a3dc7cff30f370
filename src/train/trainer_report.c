// SPDX-License-Identifier: Apache-2.0
// What a run tells of its steps and at its end: the log's lines and the rows of metrics.h5; and its initial weights.
#include "train/replicas.h"
#include "train/trainer_private.h"

#include "base/clock.h"
#include "base/log.h"

#include <inttypes.h>
#include <string.h>

static const double gib = 1024.0 * 1024 * 1024;

titan_status titan_trainer_history_append(trainer_history *history, int64_t step, double mean, double max) {
  if (history->count == history->capacity) {
    int64_t capacity = history->capacity > 0 ? 2 * history->capacity : 256;
    size_t bytes = (size_t)capacity * sizeof(double);
    TITAN_TRY(titan_memory_resize(TITAN_MEMORY_OBSERVE, bytes, &history->steps));
    TITAN_TRY(titan_memory_resize(TITAN_MEMORY_OBSERVE, bytes, &history->mean));
    TITAN_TRY(titan_memory_resize(TITAN_MEMORY_OBSERVE, bytes, &history->max));
    history->capacity = capacity;
  }
  history->steps[history->count] = step;
  history->mean[history->count] = mean;
  history->max[history->count++] = max;
  return TITAN_OK;
}

void titan_trainer_history_destroy(trainer_history *history) {
  titan_memory_free(history->steps);
  titan_memory_free(history->mean);
  titan_memory_free(history->max);
  *history = (trainer_history){0};
}

// Seconds to the last step, at the mean pace of this start's steps; its first one makes ready, and counts only alone.
static double seconds_left(const titan_trainer *trainer, double now) {
  const trainer_totals *totals = &trainer->totals;
  int64_t done = trainer->step - trainer->first_step, to_do = trainer->env.config->training.steps - trainer->step;
  double each = done > 1 ? (now - totals->first_step_end) / (double)(done - 1) : now - totals->start;
  return each * (double)to_do;
}

// What the earlier starts of this run add to its time, as far as metrics.h5 tells; NULL where there was none.
static const titan_metrics_row *row_before(const titan_trainer *trainer) {
  return trainer->metrics != NULL ? titan_metrics_last_before(trainer->metrics) : NULL;
}

static double node_hours(const titan_trainer *trainer, double seconds) {
  return seconds / 3600 * trainer->totals.nodes;
}

// A share above 100 % is no share: the peak is wrong, which is said once.
static void check_mfu(titan_trainer *trainer, double mfu) {
  if (!(mfu > 100) || trainer->mfu_is_told)
    return;
  trainer->mfu_is_told = true;
  if (trainer->env.config->metrics.peak_flops > 0)
    titan_log_warning("mfu is above 100 %%: metrics.peak_flops = %.3e (%s) is less than what a rank reaches",
                      trainer->peak_flops, titan_config_origin(trainer->env.config, "metrics.peak_flops"));
  else
    titan_log_warning("mfu is above 100 %%: the peak of %.3e FLOP/s that was measured at the start is too low (other "
                      "programs were running then); metrics.peak_flops sets it",
                      trainer->peak_flops);
}

static void log_step(titan_trainer *trainer, const titan_metrics_row *row, double now) {
  const titan_topology *topology = trainer->env.topology;
  double available = (double)topology->node_bytes / topology->node_size;
  titan_report_step report = {
      .step = (int64_t)row->step,
      .loss = row->loss,
      .memory_gib = row->memory,
      .memory_percent = 100 * row->memory * gib / available,
      .tps = row->tps,
      .mfu = row->mfu,
      .grad_norm = row->grad_norm,
      .tflops = trainer->flops_per_token * row->tps / 1e12,
      .lr = row->lr,
      .seconds_left = seconds_left(trainer, now),
  };
  char line[TITAN_REPORT_BYTES];
  titan_report_step_line(&report, trainer->color, line, sizeof line);
  titan_log_info("%s", line);
  check_mfu(trainer, row->mfu);
}

titan_status titan_trainer_row_written(titan_trainer *trainer, titan_status status) {
  if (status != TITAN_OK && status != TITAN_ERROR_OUTPUT)
    return status;
  bool fails = status != TITAN_OK;
  if (fails && !trainer->metrics_fail)
    titan_log_warning("%s; the training goes on, and the rows are written when that is possible again",
                      titan_error_message());
  else if (!fails && trainer->metrics_fail)
    titan_log_info("metrics.h5 is written again, with the rows that were missing");
  trainer->metrics_fail = fails;
  return TITAN_OK;
}

static titan_status write_row(titan_trainer *trainer, const trainer_step *step, double now, double mean,
                              double loss_max) {
  const titan_runtime_options *options = titan_runtime_options_of(trainer->runtime);
  const titan_metrics_row *before = row_before(trainer);
  double elapsed = now - trainer->totals.start;
  double sharing = titan_mesh_degree(trainer->env.mesh, TITAN_MESH_PP | TITAN_MESH_CP | TITAN_MESH_TP);
  double tokens = (double)(options->microbatches * options->shape.batch * options->shape.length *
                           (trainer->window.steps - trainer->window.restored));
  double tps = tokens / ((now - trainer->window.start) * sharing);
  titan_metrics_row row = {
      .step = (double)step->step,
      .loss = mean,
      .loss_max = loss_max,
      .grad_norm = step->grad_norm,
      .lr = titan_optimizer_learning_rate(&trainer->optimizer, step->step),
      .tokens = (double)trainer->tokens,
      .seconds = step->seconds,
      .tps = tps,
      .mfu = 100 * trainer->flops_per_token * tps / trainer->peak_flops,
      .memory = (double)titan_memory_usage_total().peak_bytes / gib,
      .elapsed = elapsed + (before != NULL ? before->elapsed : 0),
      .node_hours = node_hours(trainer, elapsed) + (before != NULL ? before->node_hours : 0),
  };
  log_step(trainer, &row, now);
  TITAN_TRY(titan_trainer_history_append(&trainer->history, step->step, mean, loss_max));
  return trainer->metrics == NULL ? TITAN_OK
                                  : titan_trainer_row_written(trainer, titan_metrics_append(trainer->metrics, &row));
}

titan_status titan_trainer_report(titan_trainer *trainer, const trainer_step *step) {
  trainer_window *window = &trainer->window;
  window->loss_sum += step->loss;
  if (window->steps == 0 || step->local_loss > window->loss_max)
    window->loss_max = step->local_loss;
  window->steps++;
  if (trainer->totals.first_step_end == 0)
    trainer->totals.first_step_end = titan_clock_seconds();
  titan_energy_joule(trainer->totals.energy); // before its counters wrap around
  titan_trainer_record_step(trainer, step);
  int64_t log_freq = trainer->env.config->metrics.log_freq;
  if (step->step != 1 && step->step % log_freq != 0)
    return TITAN_OK;
  titan_comm *group = titan_trainer_world(trainer); // ranks without the pipeline's last stage have 0
  double mean = window->loss_sum / (double)window->steps, loss_max, now = titan_clock_seconds();
  TITAN_TRY(titan_comm_all_reduce(group, &window->loss_max, &loss_max, 1, TITAN_FLOAT64, TITAN_MAX, NULL));
  titan_status status = trainer->rank == 0 ? write_row(trainer, step, now, mean, loss_max) : TITAN_OK;
  *window = (trainer_window){.start = now};
  return titan_comm_agree(titan_trainer_world(trainer), status);
}

// --- the end ---

titan_status titan_trainer_report_begin(titan_trainer *trainer) {
  trainer->totals.joule_before = titan_energy_joule(trainer->totals.energy);
  trainer->totals.start = trainer->window.start = titan_clock_seconds();
  if (trainer->rank == 0 && !trainer->env.config->checkpoint.enable_checkpoint &&
      !trainer->env.config->memory_estimation.enabled)
    titan_log_warning("checkpoint.enable_checkpoint is off: the trained weights are lost when this run ends");
  return TITAN_OK;
}

static titan_report_part part_of_this_start(const titan_trainer *trainer, double seconds) {
  int64_t tokens = trainer->tokens - trainer->first_tokens;
  int ranks = titan_comm_size(titan_trainer_world(trainer));
  return (titan_report_part){
      .first_step = trainer->first_step + 1,
      .last_step = trainer->step,
      .tokens = tokens,
      .seconds = seconds,
      .mfu =
          seconds > 0 ? 100 * trainer->flops_per_token * (double)tokens / (seconds * ranks * trainer->peak_flops) : 0,
      .node_hours = node_hours(trainer, seconds),
  };
}

static void log_whole_run(const titan_trainer *trainer, const titan_report_part *here) {
  const titan_metrics_row *before = row_before(trainer);
  char text[TITAN_REPORT_BYTES];
  if (before == NULL) {
    titan_log_info("The whole run: steps 1 to %lld; the time of its earlier starts is not known, as metrics.h5 has no "
                   "rows of them",
                   (long long)trainer->step);
    return;
  }
  double seconds = here->seconds + before->elapsed;
  titan_report_part whole = {
      .first_step = 1,
      .last_step = trainer->step,
      .tokens = trainer->tokens,
      .seconds = seconds,
      .mfu = seconds > 0
                 ? (here->mfu * here->seconds + titan_metrics_mfu_before(trainer->metrics) * before->elapsed) / seconds
                 : 0,
      .node_hours = here->node_hours + before->node_hours,
  };
  titan_report_part_text(&whole, text, sizeof text);
  titan_log_info("The whole run: %s", text);
}

static void log_how_to_go_on(const titan_trainer *trainer, bool complete) {
  const titan_config *config = trainer->env.config;
  titan_log_info("Everything the run wrote is in %s; its options are in %s/configuration.toml", config->job.dump_folder,
                 config->job.dump_folder);
  if (!config->checkpoint.enable_checkpoint)
    titan_log_info("It cannot go on: checkpoint.enable_checkpoint is off. The command was: %s",
                   trainer->about.command.data);
  else if (complete)
    titan_log_info("To train further, start the same command with a larger training.steps: %s",
                   trainer->about.command.data);
  else
    titan_log_info("To go on, start the same command again: %s", trainer->about.command.data);
}

titan_status titan_trainer_report_end(titan_trainer *trainer, bool complete) {
  titan_comm *world = titan_trainer_world(trainer);
  double seconds = titan_clock_seconds() - trainer->totals.start, joule, memory;
  double mine = titan_energy_joule(trainer->totals.energy) - trainer->totals.joule_before;
  double my_memory = (double)titan_memory_usage_total().peak_bytes / gib;
  TITAN_TRY(titan_comm_all_reduce(world, &mine, &joule, 1, TITAN_FLOAT64, TITAN_SUM, NULL));
  TITAN_TRY(titan_comm_all_reduce(world, &my_memory, &memory, 1, TITAN_FLOAT64, TITAN_MAX, NULL));
  char text[TITAN_REPORT_BYTES];
  if (trainer->rank != 0)
    return TITAN_OK;
  int64_t steps = trainer->step - trainer->first_step;
  if (trainer->metrics != NULL && titan_metrics_pending(trainer->metrics) > 0)
    titan_log_warning("metrics.h5 lacks the last %llu rows, which could not be written",
                      (unsigned long long)titan_metrics_pending(trainer->metrics));
  if (complete) {
    titan_report_end_line(steps, trainer->tokens - trainer->first_tokens, seconds, text, sizeof text);
    titan_log_info("%s", text);
  }
  titan_report_part here = part_of_this_start(trainer, seconds);
  here.memory_gib = memory;
  here.joule = joule;
  titan_report_part_text(&here, text, sizeof text);
  if (steps > 0)
    titan_log_info("%s: %s", trainer->first_step > 0 ? "This start" : "The run", text);
  if (trainer->first_step > 0)
    log_whole_run(trainer, &here);
  log_how_to_go_on(trainer, complete);
  return TITAN_OK;
}

// What a tp group holds alike counts on its first rank.
static uint64_t parameter_checksum(const titan_trainer *trainer, const titan_unit *unit, int p) {
  bool counts =
      unit->plan->parameters[p].sharded || titan_comm_rank(titan_mesh_comm(trainer->env.mesh, TITAN_MESH_TP)) == 0;
  return counts ? titan_replicas_checksum(unit, p) : 0;
}

// Adds the line of a parameter. Collective over the mesh.
static titan_status add_checksum(const titan_trainer *trainer, const titan_unit *unit, int p, titan_text *lines) {
  titan_comm *group = titan_mesh_comm(trainer->env.mesh, TITAN_MESH_DP_SHARD_CP);
  titan_comm *tp = titan_mesh_comm(trainer->env.mesh, TITAN_MESH_TP);
  // Sums of 32-bit halves fit int64 exactly for any number of ranks; wrap-around is the hash's own arithmetic.
  uint64_t mine = parameter_checksum(trainer, unit, p);
  int64_t halves[2] = {(int64_t)(mine & 0xffffffffu), (int64_t)(mine >> 32)}, shards[2], part[2], all[2];
  TITAN_TRY(titan_comm_all_reduce(group, halves, shards, 2, TITAN_INT64, TITAN_SUM, NULL));
  TITAN_TRY(titan_comm_all_reduce(titan_mesh_comm(trainer->env.mesh, TITAN_MESH_PP), shards, part, 2, TITAN_INT64,
                                  TITAN_SUM, NULL));
  TITAN_TRY(titan_comm_all_reduce(tp, part, all, 2, TITAN_INT64, TITAN_SUM, NULL));
  return titan_text_printf(lines, "%s%s %016" PRIx64 "\n", unit->prefix, unit->plan->parameters[p].name,
                           (uint64_t)all[0] + ((uint64_t)all[1] << 32));
}

titan_status titan_trainer_dump_weights(titan_trainer *trainer) {
  titan_text lines = {0};
  titan_status status = TITAN_OK;
  for (int i = 0; i < titan_runtime_unit_count(trainer->runtime) && status == TITAN_OK; i++) {
    const titan_unit *unit = titan_runtime_unit(trainer->runtime, i);
    for (int p = 0; p < unit->plan->parameter_count && status == TITAN_OK; p++)
      status = add_checksum(trainer, unit, p, &lines);
  }
  if (status == TITAN_OK && trainer->rank == 0)
    status = titan_trainer_by_product(titan_trainer_write_file(trainer, "weights.txt", false, &lines));
  titan_text_destroy(&lines);
  return titan_comm_agree(titan_trainer_world(trainer), status);
}
