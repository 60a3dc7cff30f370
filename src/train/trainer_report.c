// SPDX-License-Identifier: Apache-2.0
// What a run tells of its steps and at its end, which observers make lines and files of; and its initial weights.
#include "base/size.h"
#include "train/observer.h"
#include "train/replicas.h"

#include "base/clock.h"
#include "base/log.h"

#include <inttypes.h>

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

static double node_hours(const titan_trainer *trainer, double seconds) {
  return seconds / 3600 * trainer->totals.nodes;
}

// This rank's part of the window.
static titan_metrics_rank_row own_row(const titan_trainer *trainer, int64_t step) {
  const trainer_window *window = &trainer->window;
  double steps = (double)(window->steps - window->restored);
  return (titan_metrics_rank_row){
      .step = (double)step,
      .number = trainer->rank,
      .loss_max = window->loss_max,
      .seconds = window->seconds / steps,
      .busy = (window->seconds - window->exposed_seconds) / steps,
      .exposed = window->exposed_seconds / steps,
      .data_loading = window->data_seconds / steps,
      .memory = (double)titan_memory_usage_total().peak_bytes / TITAN_GIB,
  };
}

// What this rank tells all others of a log step.
static trainer_rank_part own_part(const titan_trainer *trainer, const trainer_step *step, double now) {
  const titan_runtime_options *options = titan_runtime_options_of(trainer->runtime);
  const trainer_window *window = &trainer->window;
  double elapsed = now - trainer->totals.start;
  double sharing = titan_mesh_degree(trainer->env.mesh, TITAN_MESH_PP | TITAN_MESH_CP | TITAN_MESH_TP);
  double tokens = (double)(options->microbatches * options->shape.batch * options->shape.length *
                           (window->steps - window->restored));
  return (trainer_rank_part){
      .row = own_row(trainer, step->step),
      .seconds = step->seconds,
      .tps = tokens / ((now - window->start) * sharing),
      .elapsed = elapsed + trainer->before.elapsed,
      .node_hours = node_hours(trainer, elapsed) + trainer->before.node_hours,
      .time_left = seconds_left(trainer, now),
  };
}

// What the ranks' rows give together.
static void join_ranks(const titan_trainer *trainer, titan_metrics_row *row) {
  const titan_metrics_rank_row *ranks = trainer->ranks;
  int count = titan_comm_size(titan_trainer_world(trainer));
  row->loss_max = ranks[0].loss_max; // ranks without the pipeline's last stage have 0
  row->busy_max = ranks[0].busy;
  row->memory = ranks[0].memory;
  for (int rank = 0; rank < count; rank++) {
    const titan_metrics_rank_row *one = &ranks[rank];
    row->loss_max = one->loss_max > row->loss_max ? one->loss_max : row->loss_max;
    row->data_loading = one->data_loading > row->data_loading ? one->data_loading : row->data_loading;
    row->memory_max = one->memory > row->memory_max ? one->memory : row->memory_max;
    row->exposed += one->exposed / count;
    row->busy_mean += one->busy / count;
    if (one->busy > row->busy_max) {
      row->busy_max = one->busy;
      row->slowest_rank = rank;
    }
  }
}

static void add_to_window(trainer_window *window, const trainer_step *step) {
  window->loss_sum += step->loss;
  if (window->steps == 0 || step->local_loss > window->loss_max)
    window->loss_max = step->local_loss;
  window->steps++;
  window->seconds += step->seconds;
  window->data_seconds += step->data_seconds;
  window->exposed_seconds += step->exposed_seconds;
}

// The row of all ranks. Rank 0's clock and files are those of it.
static titan_metrics_row make_row(const titan_trainer *trainer, const trainer_step *step) {
  const trainer_window *window = &trainer->window;
  const trainer_rank_part *first = &trainer->parts[0];
  titan_metrics_row row = {
      .step = (double)step->step,
      .loss = window->loss_sum / (double)window->steps,
      .grad_norm = step->grad_norm,
      .lr = titan_optimizer_learning_rate(&trainer->optimizer, step->step),
      .tokens = (double)trainer->tokens,
      .seconds = first->seconds,
      .tps = first->tps,
      .mfu = 100 * trainer->flops_per_token * first->tps / trainer->peak_flops,
      .elapsed = first->elapsed,
      .node_hours = first->node_hours,
      .tflops = trainer->flops_per_token * first->tps / 1e12,
      .time_left = first->time_left,
  };
  join_ranks(trainer, &row);
  return row;
}

static titan_status report_row(titan_trainer *trainer, const titan_metrics_row *row) {
  const trainer_row event = {.row = *row, .ranks = trainer->ranks};
  if (trainer->rank == 0)
    TITAN_TRY(titan_trainer_history_append(&trainer->history, (int64_t)row->step, row->loss, row->loss_max));
  return titan_observers_row(trainer, &event);
}

void titan_trainer_put_off(titan_trainer *trainer, titan_status status) {
  if (status == TITAN_OK || trainer->put_off != TITAN_OK)
    return;
  trainer->put_off = status;
  titan_error_keep(&trainer->put_off_error);
}

titan_status titan_trainer_put_off_until_now(const titan_trainer *trainer) {
  if (trainer->put_off != TITAN_OK)
    titan_error_restore(&trainer->put_off_error);
  return trainer->put_off;
}

titan_status titan_trainer_report(titan_trainer *trainer, const trainer_step *step) {
  add_to_window(&trainer->window, step);
  titan_trainer_time_note_step(trainer, step->seconds);
  if (trainer->totals.first_step_end == 0)
    trainer->totals.first_step_end = titan_clock_seconds();
  titan_energy_joule(trainer->totals.energy); // before its counters wrap around
  titan_trainer_put_off(trainer, titan_observers_step(trainer, step));
  int64_t log_freq = trainer->env.config->metrics.log_freq;
  if (step->step != 1 && step->step % log_freq != 0)
    return TITAN_OK;
  // One collective: a row is written while steps wait for it.
  enum { COLUMNS = sizeof(trainer_rank_part) / sizeof(double) };
  double now = titan_clock_seconds();
  titan_comm *world = titan_trainer_world(trainer);
  trainer_rank_part mine = own_part(trainer, step, now);
  TITAN_TRY(titan_comm_all_gather(world, &mine, trainer->parts, COLUMNS, TITAN_FLOAT64, NULL));
  for (int rank = 0; rank < titan_comm_size(world); rank++)
    trainer->ranks[rank] = trainer->parts[rank].row;
  titan_metrics_row row = make_row(trainer, step);
  titan_trainer_put_off(trainer, report_row(trainer, &row));
  trainer->window = (trainer_window){.start = now};
  return TITAN_OK;
}

// --- the end ---

titan_status titan_trainer_report_begin(titan_trainer *trainer) {
  size_t ranks = (size_t)titan_comm_size(titan_trainer_world(trainer));
  titan_status status =
      titan_memory_allocate_zeroed(TITAN_MEMORY_OBSERVE, ranks, sizeof *trainer->ranks, &trainer->ranks);
  if (status == TITAN_OK)
    status = titan_memory_allocate_zeroed(TITAN_MEMORY_OBSERVE, ranks, sizeof *trainer->parts, &trainer->parts);
  TITAN_TRY(titan_comm_agree(titan_trainer_world(trainer), status));
  trainer->totals.joule_before = titan_energy_joule(trainer->totals.energy);
  trainer->totals.start = trainer->window.start = titan_clock_seconds();
  titan_trainer_time_begin(trainer);
  if (trainer->rank == 0 && !trainer->env.config->checkpoint.enable_checkpoint &&
      !trainer->env.config->memory_estimation.enabled)
    titan_log_warning("checkpoint.enable_checkpoint is off: the trained weights are lost when this run ends");
  return TITAN_OK;
}

static titan_report_part part_of_this_start(const titan_trainer *trainer) {
  double seconds = trainer->totals.start > 0 ? titan_clock_seconds() - trainer->totals.start : 0;
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

static titan_report_part whole_run(const titan_trainer *trainer, const titan_report_part *here) {
  const trainer_before *before = &trainer->before;
  double seconds = here->seconds + before->elapsed;
  return (titan_report_part){
      .first_step = 1,
      .last_step = trainer->step,
      .tokens = trainer->tokens,
      .seconds = seconds,
      .mfu = seconds > 0 ? (here->mfu * here->seconds + before->mfu * before->elapsed) / seconds : 0,
      .node_hours = here->node_hours + before->node_hours,
  };
}

static titan_status report_end(titan_trainer *trainer, trainer_end *end) {
  end->goes_on = trainer->first_step > 0;
  end->whole_is_known = !end->goes_on || trainer->before.is_known;
  end->whole = whole_run(trainer, &end->here);
  return titan_observers_end(trainer, end);
}

titan_status titan_trainer_report_end(titan_trainer *trainer, bool complete) {
  titan_comm *world = titan_trainer_world(trainer);
  trainer_end end = {.outcome = complete ? "complete" : "stopped", .here = part_of_this_start(trainer)};
  double mine = titan_energy_joule(trainer->totals.energy) - trainer->totals.joule_before;
  double memory = (double)titan_memory_usage_total().peak_bytes / TITAN_GIB;
  TITAN_TRY(titan_comm_all_reduce(world, &mine, &end.here.joule, 1, TITAN_FLOAT64, TITAN_SUM, NULL));
  TITAN_TRY(titan_comm_all_reduce(world, &memory, &end.here.memory_gib, 1, TITAN_FLOAT64, TITAN_MAX, NULL));
  TITAN_TRY(titan_comm_agree(world, titan_trainer_put_off_until_now(trainer)));
  return titan_comm_agree(world, report_end(trainer, &end));
}

void titan_trainer_report_failure(titan_trainer *trainer) {
  trainer_end end = {.outcome = "failed", .here = part_of_this_start(trainer)};
  titan_kept_error failure; // which counts, and not one of the report
  titan_error_keep(&failure);
  end.message = failure.message;
  (void)report_end(trainer, &end);
  titan_error_restore(&failure);
}

// What a tp group holds alike counts on its first rank.
static titan_status parameter_checksum(const titan_trainer *trainer, const titan_unit *unit, int p, uint64_t *sum) {
  bool counts =
      unit->plan->parameters[p].sharded || titan_comm_rank(titan_mesh_comm(trainer->env.mesh, TITAN_MESH_TP)) == 0;
  *sum = 0;
  return counts ? titan_replicas_checksum(trainer->env.device, unit, p, sum) : TITAN_OK;
}

// Adds the line of a parameter. Collective over the mesh.
static titan_status add_checksum(const titan_trainer *trainer, const titan_unit *unit, int p, titan_text *lines) {
  titan_comm *group = titan_mesh_comm(trainer->env.mesh, TITAN_MESH_DP_SHARD_CP);
  titan_comm *tp = titan_mesh_comm(trainer->env.mesh, TITAN_MESH_TP);
  // Sums of 32-bit halves fit int64 exactly for any number of ranks; wrap-around is the hash's own arithmetic.
  uint64_t mine;
  TITAN_TRY(titan_comm_agree(titan_trainer_world(trainer), parameter_checksum(trainer, unit, p, &mine)));
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
