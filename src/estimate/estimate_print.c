// SPDX-License-Identifier: Apache-2.0
// The estimate as a table to read and paste, and as JSON.
#include "base/size.h"
#include "estimate/estimate_private.h"
#include "observe/report.h"

#include <string.h>

// The rows of the table, in order: a tag, or what no tag has.
enum { ROW_OWN = TITAN_MEMORY_TAG_COUNT };
static const struct {
  int row;
  const char *text, *key;
} rows[] = {
    {TITAN_MEMORY_MASTERS, "parameters (fp32 shards)", "parameters"},
    {TITAN_MEMORY_PARAMETERS, "parameters (gathered)", "gathered_parameters"},
    {TITAN_MEMORY_GRADIENTS, "gradients", "gradients"},
    {TITAN_MEMORY_OPTIMIZER, "optimizer states", "optimizer"},
    {TITAN_MEMORY_ACTIVATIONS, "activations", "activations"},
    {TITAN_MEMORY_COMMUNICATION, "communication", "communication"},
    {TITAN_MEMORY_CHECKPOINT, "checkpoint staging", "checkpoint_staging"},
    {TITAN_MEMORY_BATCH, "batch", "batch"},
    {TITAN_MEMORY_DATA, "loader", "loader"},
    {ROW_OWN, "libraries and program", "own"},
};
enum { ROWS = sizeof rows / sizeof *rows };

static size_t bytes_of(const titan_estimate_kind *kind, int row) {
  return row == ROW_OWN ? kind->own : kind->by_tag[row];
}

static titan_status print_integer(titan_text *text, int64_t value) {
  char digits[TITAN_REPORT_BYTES];
  titan_report_integer(value, digits, sizeof digits);
  return titan_text_printf(text, "%s", digits);
}

static const char *dtype_of(const titan_estimate *estimate) {
  return titan_dtype_name(estimate->options.shape.dtype);
}

static titan_status print_activations(const titan_config *config, titan_text *text) {
  const char *mode = config->activation_checkpoint.mode;
  if (strcmp(mode, "selective") == 0)
    return titan_text_printf(text, "selective %s", config->activation_checkpoint.selective_ac_option);
  return titan_text_printf(text, "%s", mode);
}

static titan_status print_head(const titan_estimate *estimate, titan_text *text) {
  const titan_estimate_question *question = &estimate->question;
  const titan_mesh_degrees *d = &estimate->degrees;
  const titan_model_shape *shape = &estimate->options.shape;
  TITAN_TRY(titan_text_printf(text, "Memory estimate: %s %s, ", question->config->model.name,
                              question->config->model.flavor));
  TITAN_TRY(print_integer(text, estimate->parameters));
  TITAN_TRY(titan_text_printf(text, " parameters, vocabulary "));
  TITAN_TRY(print_integer(text, question->vocabulary));
  TITAN_TRY(titan_text_printf(text, " (%s)\n", question->vocabulary_source));
  TITAN_TRY(titan_text_printf(text, "mesh:   %d rank%s: pp %d, dp_replicate %d, dp_shard %d, cp %d, tp %d; %d a node\n",
                              question->world_size, question->world_size == 1 ? "" : "s", d->pp, d->dp_replicate,
                              d->dp_shard, d->cp, d->tp, question->ranks_per_node));
  TITAN_TRY(titan_text_printf(text, "step:   %lld x %lld tokens a data-parallel rank, ",
                              (long long)(shape->batch * estimate->options.microbatches), (long long)shape->length));
  if (estimate->options.microbatches > 1)
    TITAN_TRY(titan_text_printf(text, "in %lld microbatches of %lld, ", (long long)estimate->options.microbatches,
                                (long long)shape->batch));
  TITAN_TRY(titan_text_printf(text, "%s, activation checkpointing ", dtype_of(estimate)));
  TITAN_TRY(print_activations(question->config, text));
  TITAN_TRY(titan_text_printf(text, ", compile %s\n", question->config->training.compile ? "on" : "off"));
  if (estimate->options.validation.batch > 0)
    TITAN_TRY(titan_text_printf(text, "        and %lld x %lld tokens in a batch of validation\n",
                                (long long)estimate->options.validation.batch,
                                (long long)estimate->options.validation.length));
  if (question->facts != NULL)
    return titan_text_printf(text, "device: %s, %.2f GiB\n", question->facts->text,
                             (double)question->facts->bytes / TITAN_GIB);
  return titan_text_printf(text, "device: this machine's CPU, %d thread%s a rank\n", question->threads,
                           question->threads == 1 ? "" : "s");
}

static titan_status print_peak(const titan_estimate_peak *peak, titan_text *text) {
  if (peak->validation > 0)
    TITAN_TRY(titan_text_printf(text, "  a batch of validation needs more activations than a step: %.3f GiB\n",
                                (double)peak->validation / TITAN_GIB));
  if (peak->unit[0] == '\0')
    return TITAN_OK;
  TITAN_TRY(titan_text_printf(text, "  most is alive in %s %s, instruction %d of %d (%s):\n", peak->unit,
                              titan_phase_name(peak->phase), peak->instruction + 1, peak->instructions,
                              titan_op_name(peak->operation)));
  TITAN_TRY(titan_text_printf(text, "    %10.3f GiB  ", (double)peak->saved_bytes / TITAN_GIB));
  if (peak->saved_units > 0)
    TITAN_TRY(titan_text_printf(text, "saved by %d unit%s, with their inputs\n", peak->saved_units,
                                peak->saved_units == 1 ? "" : "s"));
  else // full recomputation
    TITAN_TRY(titan_text_printf(text, "saved: the inputs of units alone\n"));
  for (int i = 0; i < peak->kept_count; i++) {
    const titan_estimate_kept *kept = &peak->kept[i];
    TITAN_TRY(titan_text_printf(text, "      %8.3f GiB  %s in %d unit%s\n",
                                (double)kept->bytes * kept->units / TITAN_GIB, kept->name, kept->units,
                                kept->units == 1 ? "" : "s"));
  }
  if (peak->kept_others > 0)
    TITAN_TRY(titan_text_printf(text, "      %8.3f GiB  others\n", (double)peak->kept_others / TITAN_GIB));
  TITAN_TRY(
      titan_text_printf(text, "    %10.3f GiB  in the scratch arena:\n", (double)peak->scratch_bytes / TITAN_GIB));
  for (int i = 0; i < peak->value_count; i++)
    TITAN_TRY(titan_text_printf(text, "      %8.3f GiB  %s\n", (double)peak->values[i].bytes / TITAN_GIB,
                                peak->values[i].name));
  return peak->others > 0 ? titan_text_printf(text, "      %8.3f GiB  others\n", (double)peak->others / TITAN_GIB)
                          : TITAN_OK;
}

static titan_status print_kind(const titan_estimate *estimate, const titan_estimate_kind *kind, titan_text *text) {
  if (kind->ranks == estimate->question.world_size)
    TITAN_TRY(titan_text_printf(text, "\neach rank\n"));
  else
    TITAN_TRY(titan_text_printf(text, "\n%d rank%s, from rank %d to rank %d\n", kind->ranks,
                                kind->ranks == 1 ? "" : "s", kind->first_rank, kind->last_rank));
  for (int i = 0; i < ROWS; i++) {
    size_t bytes = bytes_of(kind, rows[i].row);
    if (bytes == 0)
      continue;
    TITAN_TRY(titan_text_printf(text, "  %-26s %10.3f GiB  ", rows[i].text, (double)bytes / TITAN_GIB));
    TITAN_TRY(print_integer(text, (int64_t)bytes));
    TITAN_TRY(titan_text_printf(text, "\n"));
  }
  TITAN_TRY(
      titan_text_printf(text, "  %-26s %10.3f GiB  ", "total, from start to end", (double)kind->total / TITAN_GIB));
  TITAN_TRY(print_integer(text, (int64_t)kind->total));
  TITAN_TRY(titan_text_printf(text, "\n"));
  if (kind->pinned > 0) {
    TITAN_TRY(
        titan_text_printf(text, "  %-26s %10.3f GiB  ", "and pinned host memory", (double)kind->pinned / TITAN_GIB));
    TITAN_TRY(print_integer(text, (int64_t)kind->pinned));
    TITAN_TRY(titan_text_printf(text, "\n"));
  }
  return print_peak(&kind->peak, text);
}

static titan_status print_step(const titan_estimate *estimate, titan_text *text) {
  const titan_estimate_kind *kind = &estimate->kinds[estimate->largest];
  const titan_device_facts *facts = estimate->question.facts;
  if (kind->pipeline[0] != '\0')
    TITAN_TRY(titan_text_printf(text, "\n%s", kind->pipeline));
  TITAN_TRY(titan_text_printf(text, "\n%s\n", kind->activations));
  size_t before = text->length;
  TITAN_TRY(titan_setup_describe_prefetch(estimate->question.config, kind->prefetch, text));
  if (text->length > before)
    TITAN_TRY(titan_text_printf(text, "\n"));
  if (kind->compiled[0] != '\0')
    TITAN_TRY(titan_text_printf(text, "%s\n", kind->compiled));
  TITAN_TRY(titan_text_printf(text, "a step: %.4g FLOPs a rank, of which %.4g are computed again", kind->work.flops,
                              kind->work.recomputed));
  if (facts != NULL) {
    double peak = estimate->options.shape.dtype == TITAN_FLOAT32 ? facts->float32 : facts->bfloat16;
    TITAN_TRY(
        titan_text_printf(text, ", %.3f s at the device's peak of %.4g TFLOP/s", kind->work.flops / peak, peak / 1e12));
    if (kind->step_flops > 0)
      TITAN_TRY(titan_text_printf(text, ", %.3f s with the idle time of the ranks", kind->step_flops / peak));
  }
  return titan_text_printf(text, "; arenas are packed to %.3f of their lower bounds\n", kind->packing);
}

static titan_status print_advice(const titan_estimate_advice *advice, double available, titan_text *text) {
  char total[TITAN_SIZE_BYTES], limit[TITAN_SIZE_BYTES];
  titan_size_pair((double)advice->total, available, total, limit);
  return titan_text_printf(text, "  with %s: %s%s\n", advice->text, total,
                           (double)advice->total <= available ? ", which fits" : "");
}

static titan_status print_fit(const titan_estimate *estimate, titan_text *text) {
  double available = estimate->question.available, need = (double)estimate->kinds[estimate->largest].total;
  char total[TITAN_SIZE_BYTES], limit[TITAN_SIZE_BYTES];
  if (available <= 0)
    return TITAN_OK;
  titan_size_pair(need, available, total, limit);
  TITAN_TRY(titan_text_printf(
      text, need <= available ? "it fits: %s of %s a rank" : "it does not fit: %s a rank, and there are %s", total,
      limit));
  titan_size_pair((double)estimate->largest_batch_total, available, total, limit);
  if (estimate->largest_batch > 0)
    TITAN_TRY(titan_text_printf(text, "; the largest training.batch_size that fits is %s%lld, with %s\n",
                                estimate->larger_may_fit ? "at least " : "", (long long)estimate->largest_batch,
                                total));
  else
    TITAN_TRY(titan_text_printf(text, "; no training.batch_size does\n"));
  for (int i = 0; i < estimate->advice_count; i++)
    TITAN_TRY(print_advice(&estimate->advice[i], available, text));
  return TITAN_OK;
}

titan_status titan_estimate_print(const titan_estimate *estimate, titan_text *text) {
  TITAN_TRY(print_head(estimate, text));
  for (int i = 0; i < estimate->kind_count; i++)
    TITAN_TRY(print_kind(estimate, &estimate->kinds[i], text));
  TITAN_TRY(print_step(estimate, text));
  return print_fit(estimate, text);
}

// --- JSON ---

// Names of ours and words that were checked; what JSON does not allow in a string is escaped all the same.
static titan_status json_string(titan_text *text, const char *value) {
  TITAN_TRY(titan_text_printf(text, "\""));
  for (const char *c = value; *c != '\0'; c++)
    if (*c == '"' || *c == '\\' || (unsigned char)*c < 0x20)
      TITAN_TRY(titan_text_printf(text, "\\u%04x", (unsigned)(unsigned char)*c));
    else
      TITAN_TRY(titan_text_append(text, c, 1));
  return titan_text_printf(text, "\"");
}

static titan_status json_peak(const titan_estimate_peak *peak, titan_text *text) {
  TITAN_TRY(titan_text_printf(text, "      \"peak\": {\"unit\": "));
  TITAN_TRY(json_string(text, peak->unit));
  TITAN_TRY(titan_text_printf(text,
                              ", \"phase\": \"%s\", \"instruction\": %d, \"instructions\": %d, \"operation\": \"%s\",\n"
                              "        \"saved_units\": %d, \"saved_bytes\": %zu, \"scratch_bytes\": %zu, \"saved\": [",
                              titan_phase_name(peak->phase), peak->instruction, peak->instructions,
                              titan_op_name(peak->operation), peak->saved_units, peak->saved_bytes,
                              peak->scratch_bytes));
  for (int i = 0; i < peak->kept_count; i++) {
    TITAN_TRY(titan_text_printf(text, "%s{\"name\": ", i > 0 ? ", " : ""));
    TITAN_TRY(json_string(text, peak->kept[i].name));
    TITAN_TRY(titan_text_printf(text, ", \"bytes\": %zu, \"units\": %d}", peak->kept[i].bytes, peak->kept[i].units));
  }
  TITAN_TRY(titan_text_printf(text, "], \"other_saved_bytes\": %zu,\n        \"values\": [", peak->kept_others));
  for (int i = 0; i < peak->value_count; i++) {
    TITAN_TRY(titan_text_printf(text, "%s{\"name\": ", i > 0 ? ", " : ""));
    TITAN_TRY(json_string(text, peak->values[i].name));
    TITAN_TRY(titan_text_printf(text, ", \"bytes\": %zu}", peak->values[i].bytes));
  }
  return titan_text_printf(text, "], \"other_bytes\": %zu}", peak->others);
}

static titan_status json_kind(const titan_estimate *estimate, int index, titan_text *text) {
  const titan_estimate_kind *kind = &estimate->kinds[index];
  const char *comma = "";
  TITAN_TRY(titan_text_printf(text, "    {\"ranks\": ["));
  for (int rank = 0; rank < estimate->question.world_size; rank++)
    if (estimate->kind_of_rank[rank] == index) {
      TITAN_TRY(titan_text_printf(text, "%s%d", comma, rank));
      comma = ", ";
    }
  TITAN_TRY(titan_text_printf(text, "],\n      \"bytes\": {"));
  for (int i = 0; i < ROWS; i++)
    TITAN_TRY(titan_text_printf(text, "%s\"%s\": %zu", i > 0 ? ", " : "", rows[i].key, bytes_of(kind, rows[i].row)));
  TITAN_TRY(titan_text_printf(
      text,
      "},\n      \"total_bytes\": %zu, \"pinned_host_bytes\": %zu, \"flops\": %.17g, \"recomputed_flops\": %.17g, "
      "\"packing\": %.6f,\n      \"activations\": ",
      kind->total, kind->pinned, kind->work.flops, kind->work.recomputed, kind->packing));
  TITAN_TRY(json_string(text, kind->activations));
  TITAN_TRY(titan_text_printf(text, ", \"compiled\": "));
  TITAN_TRY(json_string(text, kind->compiled));
  TITAN_TRY(titan_text_printf(text, ",\n"));
  TITAN_TRY(json_peak(&kind->peak, text));
  return titan_text_printf(text, "}%s\n", index + 1 < estimate->kind_count ? "," : "");
}

static titan_status json_head(const titan_estimate *estimate, titan_text *text) {
  const titan_estimate_question *question = &estimate->question;
  const titan_mesh_degrees *d = &estimate->degrees;
  TITAN_TRY(titan_text_printf(text, "{\n  \"model\": "));
  TITAN_TRY(json_string(text, question->config->model.name));
  TITAN_TRY(titan_text_printf(text, ", \"flavor\": "));
  TITAN_TRY(json_string(text, question->config->model.flavor));
  TITAN_TRY(titan_text_printf(text, ", \"parameters\": %lld, \"vocabulary\": %lld,\n", (long long)estimate->parameters,
                              (long long)question->vocabulary));
  TITAN_TRY(titan_text_printf(text,
                              "  \"world_size\": %d, \"ranks_per_node\": %d, \"mesh\": {\"pp\": %d, \"dp_replicate\": "
                              "%d, \"dp_shard\": %d, \"cp\": %d, \"tp\": %d},\n",
                              question->world_size, question->ranks_per_node, d->pp, d->dp_replicate, d->dp_shard,
                              d->cp, d->tp));
  TITAN_TRY(titan_text_printf(text, "  \"batch_size\": %lld, \"seq_len\": %lld, \"dtype\": \"%s\", \"activations\": \"",
                              (long long)estimate->options.shape.batch, (long long)estimate->options.shape.length,
                              dtype_of(estimate)));
  TITAN_TRY(print_activations(question->config, text));
  TITAN_TRY(titan_text_printf(
      text, "\", \"compile\": %s,\n  \"device\": ", question->config->training.compile ? "true" : "false"));
  TITAN_TRY(json_string(text, question->facts != NULL ? question->facts->name : "cpu"));
  return titan_text_printf(text, ",\n");
}

titan_status titan_estimate_json(const titan_estimate *estimate, titan_text *text) {
  const titan_estimate_kind *largest = &estimate->kinds[estimate->largest];
  TITAN_TRY(json_head(estimate, text));
  if (estimate->question.available > 0) {
    TITAN_TRY(titan_text_printf(text,
                                "  \"available_bytes\": %.0f, \"fits\": %s, \"largest_batch_size\": %lld, "
                                "\"larger_may_fit\": %s,\n  \"advice\": [",
                                estimate->question.available,
                                (double)largest->total <= estimate->question.available ? "true" : "false",
                                (long long)estimate->largest_batch, estimate->larger_may_fit ? "true" : "false"));
    for (int i = 0; i < estimate->advice_count; i++) {
      TITAN_TRY(titan_text_printf(text, "%s{\"change\": ", i > 0 ? ", " : ""));
      TITAN_TRY(json_string(text, estimate->advice[i].text));
      TITAN_TRY(titan_text_printf(text, ", \"total_bytes\": %zu}", estimate->advice[i].total));
    }
    TITAN_TRY(titan_text_printf(text, "],\n"));
  }
  TITAN_TRY(titan_text_printf(text, "  \"kinds\": [\n"));
  for (int i = 0; i < estimate->kind_count; i++)
    TITAN_TRY(json_kind(estimate, i, text));
  return titan_text_printf(text, "  ]\n}\n");
}
