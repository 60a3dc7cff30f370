// SPDX-License-Identifier: Apache-2.0
#include "report/results.h"

#include <math.h>

const titan_result_row titan_result_table[TITAN_RESULTS] = {
#define ROW(name, text, unit) {#name, text, unit},
    TITAN_RESULT_LIST(ROW)
#undef ROW
};

static double finite_or_nan(double value) {
  return isfinite(value) ? value : NAN;
}

static bool is_below(double value, double least) {
  return isfinite(value) && !(value >= least);
}

// Sums over time, for means.
typedef struct weighted {
  double sum, weight;
} weighted;

static void add(weighted *mean, double value, double weight) {
  if (!isfinite(value) || !(weight > 0))
    return;
  mean->sum += value * weight;
  mean->weight += weight;
}

static double mean_of(const weighted *mean) {
  return mean->weight > 0 ? mean->sum / mean->weight : NAN;
}

static void take_rows(const titan_metrics_row *rows, uint64_t count, double results[TITAN_RESULTS]) {
  weighted tps = {0}, mfu = {0};
  for (uint64_t i = 0; i < count; i++) {
    const titan_metrics_row *row = &rows[i];
    double seconds = row->elapsed - (i > 0 ? rows[i - 1].elapsed : 0);
    add(&tps, row->tps, seconds);
    add(&mfu, row->mfu, seconds);
    if (is_below(row->loss, results[TITAN_RESULT_loss_least])) {
      results[TITAN_RESULT_loss_least] = row->loss;
      results[TITAN_RESULT_loss_least_step] = row->step;
    }
    double memory = isfinite(row->memory_max) ? row->memory_max : row->memory;
    results[TITAN_RESULT_memory] = fmax(results[TITAN_RESULT_memory], finite_or_nan(memory));
    results[TITAN_RESULT_grad_norm_most] = fmax(results[TITAN_RESULT_grad_norm_most], finite_or_nan(row->grad_norm));
  }
  const titan_metrics_row *last = &rows[count - 1];
  results[TITAN_RESULT_steps] = last->step;
  results[TITAN_RESULT_tokens] = last->tokens;
  results[TITAN_RESULT_elapsed] = last->elapsed;
  results[TITAN_RESULT_node_hours] = finite_or_nan(last->node_hours);
  results[TITAN_RESULT_loss] = finite_or_nan(last->loss);
  results[TITAN_RESULT_rate] = last->elapsed > 0 ? last->tokens / last->elapsed : NAN;
  results[TITAN_RESULT_tps] = mean_of(&tps);
  results[TITAN_RESULT_mfu] = mean_of(&mfu);
}

void titan_results_of(const titan_run *run, double results[TITAN_RESULTS]) {
  uint64_t count, validations;
  const titan_metrics_row *rows = titan_run_rows(run, &count);
  const titan_metrics_validation_row *validation = titan_run_validations(run, &validations);
  for (int i = 0; i < TITAN_RESULTS; i++)
    results[i] = NAN;
  if (count > 0)
    take_rows(rows, count, results);
  for (uint64_t i = 0; i < validations; i++) {
    results[TITAN_RESULT_validation] = finite_or_nan(validation[i].loss);
    if (is_below(validation[i].loss, results[TITAN_RESULT_validation_least])) {
      results[TITAN_RESULT_validation_least] = validation[i].loss;
      results[TITAN_RESULT_validation_least_step] = validation[i].step;
    }
  }
}

void titan_time_split_of(const titan_run *run, titan_time_split *split) {
  uint64_t count;
  const titan_metrics_row *rows = titan_run_rows(run, &count);
  double busy = 0, slowest = 0;
  *split = (titan_time_split){0};
  for (uint64_t i = 0; i < count; i++) {
    double steps = rows[i].step - (i > 0 ? rows[i - 1].step : 0);
    if (!isfinite(rows[i].busy_mean) || !isfinite(rows[i].exposed) || !isfinite(rows[i].data_loading))
      continue; // of an earlier version
    busy += steps * rows[i].busy_mean;
    slowest += steps * rows[i].busy_max;
    split->data += steps * fmin(rows[i].data_loading, rows[i].busy_mean);
    split->communication += steps * rows[i].exposed;
    split->between += rows[i].elapsed - (i > 0 ? rows[i - 1].elapsed : 0);
    split->steps += steps;
  }
  if (split->steps == 0) {
    *split = (titan_time_split){NAN, NAN, NAN, NAN, 0, NAN};
    return;
  }
  split->computation = busy - split->data;
  split->between = fmax(0, split->between - busy - split->communication);
  split->imbalance = busy > 0 ? (slowest - busy) / (busy + split->communication) : 0;
}
