// SPDX-License-Identifier: Apache-2.0
#include "state/fit.h"

#include "base/text.h"

#include <inttypes.h>
#include <string.h>

// --- constants ---

// Of what is computed: rmsnorm and fused_rmsnorm are one function.
static titan_norm_type function_of(titan_norm_type type) {
  return type == TITAN_NORM_FUSED_RMSNORM ? TITAN_NORM_RMSNORM : type;
}

static titan_status compare_sizes(const titan_model_arguments *file, const titan_model_arguments *run,
                                  titan_text *text) {
  const struct {
    const char *name, *option;
    int64_t file, run;
  } rows[] = {{"dim", "model.flavor", file->dim, run->dim},
              {"layers", "model.flavor", file->layers, run->layers},
              {"heads", "model.flavor", file->heads, run->heads},
              {"kv_heads", "model.flavor", file->kv_heads, run->kv_heads},
              {"ffn_hidden", "model.flavor", titan_model_ffn_hidden(file), titan_model_ffn_hidden(run)},
              {"vocabulary", "model.tokenizer_path", file->vocabulary, run->vocabulary}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (rows[i].file != rows[i].run)
      TITAN_TRY(titan_text_printf(text, "\n  %s: %" PRId64 " in the file, %" PRId64 " in this run (%s)", rows[i].name,
                                  rows[i].file, rows[i].run, rows[i].option));
  return TITAN_OK;
}

static titan_status compare_factors(const titan_model_arguments *file, const titan_model_arguments *run,
                                    titan_text *text) {
  const struct {
    const char *name;
    double file, run;
  } rows[] = {{"norm_epsilon", file->norm_epsilon, run->norm_epsilon},
              {"rope_theta", file->rope_theta, run->rope_theta}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (rows[i].file != rows[i].run)
      TITAN_TRY(titan_text_printf(text, "\n  %s: %.9g in the file, %.9g in this run (model.name, model.flavor)",
                                  rows[i].name, rows[i].file, rows[i].run));
  return TITAN_OK;
}

static titan_status describe_scaling(const titan_rope_scaling *scaling, titan_text *text) {
  if (scaling->factor == 0)
    return titan_text_printf(text, "none");
  return titan_text_printf(text, "factor %g, low %g, high %g, original length %" PRId64, scaling->factor, scaling->low,
                           scaling->high, scaling->original_length);
}

static titan_status compare_scaling(const titan_rope_scaling *file, const titan_rope_scaling *run, titan_text *text) {
  if (titan_model_same_scaling(file, run))
    return TITAN_OK;
  TITAN_TRY(titan_text_printf(text, "\n  rope_scaling: "));
  TITAN_TRY(describe_scaling(file, text));
  TITAN_TRY(titan_text_printf(text, " in the file, "));
  TITAN_TRY(describe_scaling(run, text));
  return titan_text_printf(text, " in this run (model.rope_scaling_...)");
}

static titan_status compare_tied(bool file, bool run, titan_text *text) {
  static const char *const words[] = {"of their own", "the embedding's"};
  if (file == run)
    return TITAN_OK;
  return titan_text_printf(text,
                           "\n  tie_embeddings: the output's weights are %s in the file, %s in this run "
                           "(model.tie_embeddings)",
                           words[file], words[run]);
}

static titan_status compare_constants(const titan_checkpoint_contents *contents, const titan_runtime_options *options,
                                      titan_text *text) {
  const titan_model_arguments *file = &contents->model, *run = &options->arguments;
  if (contents->model_name != NULL && titan_model_find(contents->model_name) != options->model)
    TITAN_TRY(titan_text_printf(text, "\n  name: %s in the file, %s in this run (model.name)", contents->model_name,
                                options->model->name));
  if (function_of(file->norm_type) != function_of(run->norm_type))
    TITAN_TRY(titan_text_printf(text, "\n  norm_type: %s in the file, %s in this run (model.norm_type)",
                                titan_checkpoint_norm_name(file->norm_type),
                                titan_checkpoint_norm_name(run->norm_type)));
  TITAN_TRY(compare_factors(file, run, text));
  TITAN_TRY(compare_scaling(&file->rope_scaling, &run->rope_scaling, text));
  TITAN_TRY(compare_tied(file->tied, run->tied, text));
  return compare_sizes(file, run, text);
}

// --- tensors ---

static titan_status add_shape(titan_text *text, const titan_checkpoint_tensor *tensor) {
  if (tensor->rank == 1)
    return titan_text_printf(text, "[%lld]", (long long)tensor->dims[0]);
  return titan_text_printf(text, "[%lld, %lld]", (long long)tensor->dims[0], (long long)tensor->dims[1]);
}

static bool same_shape(const titan_checkpoint_tensor *a, const titan_checkpoint_tensor *b) {
  return a->rank == b->rank && a->dims[0] == b->dims[0] && (a->rank == 1 || a->dims[1] == b->dims[1]);
}

// Names beyond so many are counted, not listed.
enum { LISTED = 24 };

static titan_status add_problem(titan_text *text, int *count, const char *what, const titan_checkpoint_tensor *tensor,
                                const titan_checkpoint_tensor *wanted) {
  if ((*count)++ >= LISTED)
    return TITAN_OK;
  TITAN_TRY(titan_text_printf(text, "\n  %s: %s/%s ", what, titan_checkpoint_group_path(tensor->group), tensor->name));
  TITAN_TRY(add_shape(text, tensor));
  if (wanted == NULL)
    return TITAN_OK;
  TITAN_TRY(titan_text_printf(text, ", the model's is "));
  return add_shape(text, wanted);
}

static titan_status compare_group(const titan_checkpoint_file *file, const titan_checkpoint_layout *layout,
                                  titan_checkpoint_group group, titan_text *text, int *count) {
  for (int p = 0; p < layout->parameter_count; p++) {
    titan_checkpoint_tensor wanted = layout->parameters[p];
    wanted.group = group;
    int found = titan_checkpoint_file_find(file, group, wanted.name);
    if (found < 0)
      TITAN_TRY(add_problem(text, count, "missing", &wanted, NULL));
    else if (!same_shape(&file->tensors[found], &wanted))
      TITAN_TRY(add_problem(text, count, "of another shape", &file->tensors[found], &wanted));
  }
  for (int t = 0; t < file->tensor_count; t++) {
    const titan_checkpoint_tensor *tensor = &file->tensors[t];
    bool known = tensor->group != group;
    for (int p = 0; p < layout->parameter_count && !known; p++)
      known = strcmp(layout->parameters[p].name, tensor->name) == 0;
    if (!known)
      TITAN_TRY(add_problem(text, count, "too much", tensor, NULL));
  }
  return TITAN_OK;
}

// --- all of it ---

titan_status titan_checkpoint_check_fit(const titan_checkpoint_file *file, const titan_runtime_options *options,
                                        const titan_checkpoint_layout *layout, int kept) {
  titan_text text = {0};
  int count = 0;
  titan_status status = compare_constants(&file->contents, options, &text);
  for (int i = 0; i < kept && status == TITAN_OK && count == 0; i++)
    status = compare_group(file, layout, layout->kept[i], &text, &count);
  if (status == TITAN_OK && count > LISTED)
    status = titan_text_printf(&text, "\n  and %d more", count - LISTED);
  if (status == TITAN_OK && text.length > 0)
    status = titan_error(TITAN_ERROR_CHECKPOINT, "%s does not fit this model:%s", file->path, text.data);
  titan_text_destroy(&text);
  return status;
}
