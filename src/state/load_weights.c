// SPDX-License-Identifier: Apache-2.0
#include "state/load_weights.h"

#include "state/layout.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

// Elements read at once, unless a row has more.
enum { PIECE = 1 << 18 };

// --- whether config.json is of the run's model ---

static titan_status compare_sizes(const titan_hugging_face_config *config, const titan_model_arguments *run,
                                  titan_text *text) {
  const struct {
    const char *key, *option;
    int64_t theirs, mine;
  } rows[] = {{"hidden_size", "model.flavor", config->dim, run->dim},
              {"num_hidden_layers", "model.flavor", config->layers, run->layers},
              {"num_attention_heads", "model.flavor", config->heads, run->heads},
              {"num_key_value_heads", "model.flavor", config->kv_heads, run->kv_heads},
              {"intermediate_size", "model.flavor", config->ffn_hidden, titan_model_ffn_hidden(run)},
              {"vocab_size", "model.tokenizer_path", config->vocabulary, run->vocabulary}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (rows[i].theirs != rows[i].mine)
      TITAN_TRY(titan_text_printf(text, "\n  %s: %" PRId64 " in the file, %" PRId64 " in this run (%s)", rows[i].key,
                                  rows[i].theirs, rows[i].mine, rows[i].option));
  return TITAN_OK;
}

static titan_status compare_factors(const titan_hugging_face_config *config, const titan_model_arguments *run,
                                    titan_text *text) {
  const titan_rope_scaling *theirs = &config->rope_scaling, *mine = &run->rope_scaling;
  if (config->norm_epsilon != run->norm_epsilon)
    TITAN_TRY(titan_text_printf(text, "\n  rms_norm_eps: %.9g in the file, %.9g in this run (model.name, model.flavor)",
                                config->norm_epsilon, run->norm_epsilon));
  if (config->rope_theta != run->rope_theta)
    TITAN_TRY(titan_text_printf(text, "\n  rope_theta: %.9g in the file, %.9g in this run (model.name, model.flavor)",
                                config->rope_theta, run->rope_theta));
  if (titan_model_same_scaling(theirs, mine))
    return TITAN_OK;
  return titan_text_printf(text,
                           "\n  rope_scaling: factor %g, low %g, high %g, original length %" PRId64
                           " in the file; %g, %g, %g, %" PRId64 " in this run (model.rope_scaling_...)",
                           theirs->factor, theirs->low, theirs->high, theirs->original_length, mine->factor, mine->low,
                           mine->high, mine->original_length);
}

static titan_status check_config(const titan_weights *weights, const titan_model_arguments *run) {
  titan_text text = {0};
  if (!weights->has_config)
    return TITAN_OK;
  titan_status status = compare_sizes(&weights->config, run, &text);
  if (status == TITAN_OK)
    status = compare_factors(&weights->config, run, &text);
  if (status == TITAN_OK && text.length > 0)
    status =
        titan_error(TITAN_ERROR_CHECKPOINT, "%s: config.json is of another model:%s", weights->set->path, text.data);
  titan_text_destroy(&text);
  return status;
}

// --- reading ---

// The row of the file that holds row `row` of our tensor.
static int64_t source_row(int64_t row, int64_t unit) {
  int64_t within = row % unit;
  return unit == 1 ? row : row - within + within % 2 * (unit / 2) + within / 2;
}

// One rectangle of this rank's, by rows: several at once where they follow one another in the file.
static titan_status read_rectangle(const titan_weights *weights, const titan_checkpoint_tensor *tensor,
                                   const titan_checkpoint_rectangle *r, float *piece, float *values) {
  int parameter = (int)r->parameter;
  int64_t columns = titan_checkpoint_columns(tensor), unit = weights->units[parameter];
  bool together = unit == 1 && r->columns == columns;
  int64_t most = together && columns < PIECE ? PIECE / columns : 1;
  for (int64_t done = 0, rows; done < r->rows; done += rows) {
    rows = r->rows - done < most ? r->rows - done : most;
    int64_t first = source_row(r->row + done, unit) * columns + r->column;
    TITAN_TRY(titan_weights_read(weights, parameter, first, rows * r->columns, piece));
    for (int64_t i = 0; i < rows; i++)
      memcpy(values + (done + i) * r->stride, piece + i * r->columns, (size_t)r->columns * sizeof *piece);
  }
  return TITAN_OK;
}

static titan_status read_all(titan_runtime *runtime, const titan_weights *weights,
                             const titan_checkpoint_layout *layout) {
  int64_t largest = PIECE;
  float *piece = NULL;
  titan_status status = TITAN_OK;
  for (int p = 0; p < layout->parameter_count; p++)
    if (titan_checkpoint_columns(&layout->parameters[p]) > largest)
      largest = titan_checkpoint_columns(&layout->parameters[p]);
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)largest * sizeof *piece, &piece));
  for (int64_t i = 0; i < layout->rectangle_count && status == TITAN_OK; i++) {
    const titan_checkpoint_rectangle *r = &layout->rectangles[i];
    titan_shard_view view;
    titan_access access = r->stride == r->columns ? TITAN_ACCESS_WRITE : TITAN_ACCESS_UPDATE; // rows without gaps
    status = titan_checkpoint_view_open(runtime, r, TITAN_CHECKPOINT_MODEL, access, &view);
    if (status == TITAN_OK)
      status = read_rectangle(weights, &layout->parameters[r->parameter], r, piece, view.values);
    titan_status closed = titan_shard_view_close(&view);
    status = status == TITAN_OK ? closed : status;
  }
  titan_memory_free(piece);
  return status;
}

// An output that has weights of its own has no place in a model whose output is the embedding.
static titan_status check_tied(const titan_weights *weights, const titan_model_arguments *run) {
  if (!run->tied || weights->tied)
    return TITAN_OK;
  return titan_error(TITAN_ERROR_CHECKPOINT,
                     "%s: the output's weights are not tied to the embedding (%s), but are tied in this run "
                     "(model.tie_embeddings); expected weights of a tied model, or model.tie_embeddings = false",
                     weights->set->path,
                     weights->has_config ? "tie_word_embeddings in config.json" : "no titan.tied in the metadata");
}

static titan_status load(titan_runtime *runtime, const char *path, titan_weights_remarks *remarks) {
  const titan_runtime_options *options = titan_runtime_options_of(runtime);
  const titan_model_arguments *arguments = &options->arguments;
  titan_weights *weights = NULL;
  titan_checkpoint_layout *layout = NULL;
  titan_status status = TITAN_OK;
  TITAN_TRY_CLEANUP(titan_weights_open(path, &weights));
  TITAN_TRY_CLEANUP(check_config(weights, arguments));
  TITAN_TRY_CLEANUP(check_tied(weights, arguments));
  TITAN_TRY_CLEANUP(titan_checkpoint_layout_create(runtime, false, &layout));
  TITAN_TRY_CLEANUP(titan_weights_match(weights, "this run's model", arguments->dim / arguments->heads,
                                        layout->parameter_count, layout->parameters));
  TITAN_TRY_CLEANUP(read_all(runtime, weights, layout));
  *remarks =
      (titan_weights_remarks){.hugging_face = weights->hugging_face, .untied = weights->tied && !arguments->tied};
  snprintf(remarks->unknown, sizeof remarks->unknown, "%s", weights->config.unknown);
cleanup:
  titan_checkpoint_layout_destroy(&layout);
  titan_weights_close(&weights);
  return status;
}

titan_status titan_checkpoint_load_weights(titan_runtime *runtime, const char *path, titan_weights_remarks *remarks) {
  TITAN_TRY(
      titan_comm_agree(titan_mesh_comm(titan_runtime_mesh(runtime), TITAN_MESH_WORLD), load(runtime, path, remarks)));
  return titan_runtime_publish_masters(runtime);
}
