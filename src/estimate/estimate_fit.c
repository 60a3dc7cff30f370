// SPDX-License-Identifier: Apache-2.0
// What fits: the largest batch, and what else would make a run fit that does not.
#include "estimate/estimate_private.h"

#include <stdio.h>

// Batches beyond this are not looked for.
enum { MOST_BATCH = 4096 };
static const int64_t most_tokens = (int64_t)1 << 31;

typedef struct fitter {
  titan_estimate *estimate;
  titan_device *device;
  int rank; // of the largest kind
} fitter;

// batch: of a microbatch; 0: the configuration's own.
static titan_status total_with(const fitter *f, const titan_config *config, int64_t batch, size_t *total) {
  titan_estimate_kind figures;
  titan_mesh_degrees degrees;
  titan_runtime_options options;
  titan_status status = titan_estimate_options(&f->estimate->question, config, f->estimate->choice, &degrees, &options);
  if (status == TITAN_OK && batch > 0) {
    options.global_tokens = options.global_tokens / options.shape.batch * batch;
    options.shape.batch = batch;
    if (config->validation.enabled && config->validation.local_batch_size == 0)
      options.validation.batch = batch;
  }
  if (status == TITAN_OK)
    status = titan_estimate_share_budget(f->estimate, f->device, degrees, &options);
  if (status == TITAN_OK)
    status = titan_estimate_rank(&f->estimate->question, f->device, degrees, &options, f->rank, false, &figures);
  if (status == TITAN_ERROR_USAGE) { // a vocabulary too small for the degree, or a budget that cannot be met
    *total = SIZE_MAX;
    return TITAN_OK;
  }
  *total = figures.total;
  return status;
}

// Doubles the batch while it fits, or halves it until it does, then searches between.
static titan_status find_batch(const fitter *f) {
  titan_estimate *estimate = f->estimate;
  const titan_config *config = estimate->question.config;
  int64_t low = 0, high = estimate->options.shape.batch, length = estimate->options.shape.length; // low fits, high not
  size_t total = estimate->kinds[estimate->largest].total, fits = 0;
  while ((double)total <= estimate->question.available && high <= MOST_BATCH / 2 && 2 * high <= most_tokens / length) {
    low = high;
    fits = total;
    high *= 2;
    TITAN_TRY(total_with(f, config, high, &total));
  }
  if ((double)total <= estimate->question.available) { // no need to look further
    low = high;
    fits = total;
    estimate->larger_may_fit = true;
  }
  while (high - low > 1) {
    int64_t middle = low + (high - low) / 2;
    TITAN_TRY(total_with(f, config, middle, &total));
    if ((double)total <= estimate->question.available) {
      low = middle;
      fits = total;
    } else {
      high = middle;
    }
  }
  int64_t parts = estimate->options.pipeline.parts;
  estimate->largest_batch = low * (parts > 1 ? parts : 1);
  estimate->largest_batch_total = fits;
  return TITAN_OK;
}

// --- other options ---

// A copy of the configuration with one option more; NULL when the options do not go together.
static titan_status with_option(const titan_estimate *estimate, const char *name, const char *value,
                                titan_config **out) {
  titan_text text = {0};
  *out = NULL;
  titan_status status = titan_config_serialize(estimate->question.config, &text);
  if (status == TITAN_OK)
    status = titan_config_deserialize(text.data, out);
  titan_text_destroy(&text);
  if (status == TITAN_OK)
    status = titan_config_set(*out, name, value);
  if (status == TITAN_OK)
    status = titan_setup_check(*out, estimate->question.world_size);
  if (status == TITAN_ERROR_USAGE) {
    titan_config_destroy(out);
    status = TITAN_OK;
  }
  return status;
}

// Keeps an option that makes it need less.
static titan_status try_option(const fitter *f, const char *name, const char *value) {
  titan_estimate *estimate = f->estimate;
  titan_config *config;
  size_t total = 0;
  TITAN_TRY(with_option(estimate, name, value, &config));
  if (config == NULL)
    return TITAN_OK;
  titan_status status = total_with(f, config, 0, &total);
  titan_config_destroy(&config);
  if (status == TITAN_OK && estimate->advice_count < TITAN_ESTIMATE_ADVICE &&
      total < estimate->kinds[estimate->largest].total) {
    titan_estimate_advice *advice = &estimate->advice[estimate->advice_count++];
    snprintf(advice->text, sizeof advice->text, "%s = %s", name, value);
    advice->total = total;
  }
  return status;
}

static titan_status find_advice(const fitter *f) {
  const titan_config *config = f->estimate->question.config;
  char value[32];
  TITAN_TRY(try_option(f, "training.mixed_precision_param", "bfloat16"));
  TITAN_TRY(try_option(f, "training.compile", "true"));
  TITAN_TRY(try_option(f, "activation_checkpoint.mode", "full"));
  if (config->validation.enabled)
    TITAN_TRY(try_option(f, "validation.enabled", "false"));
  for (int64_t tp = 2 * config->training.tensor_parallel_degree; tp <= f->estimate->question.ranks_per_node; tp *= 2) {
    snprintf(value, sizeof value, "%lld", (long long)tp);
    TITAN_TRY(try_option(f, "training.tensor_parallel_degree", value));
  }
  if (config->training.data_parallel_replicate_degree > 1)
    TITAN_TRY(try_option(f, "training.data_parallel_replicate_degree", "1"));
  snprintf(value, sizeof value, "%lld", (long long)config->training.seq_len / 2);
  return try_option(f, "training.seq_len", value);
}

titan_status titan_estimate_fit(titan_estimate *estimate) {
  const titan_estimate_kind *largest = &estimate->kinds[estimate->largest];
  fitter f = {.estimate = estimate, .rank = largest->first_rank};
  if (estimate->question.available <= 0)
    return TITAN_OK;
  TITAN_TRY(titan_estimate_device_create(&estimate->question, &f.device));
  titan_status status = find_batch(&f);
  if (status == TITAN_OK && (double)largest->total > estimate->question.available)
    status = find_advice(&f);
  titan_device_destroy(&f.device);
  return status;
}
