// SPDX-License-Identifier: Apache-2.0
#include "tool/tool_metadata.h"

#include "base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// --- out ---

void titan_tool_metadata_of(const titan_tool *tool, bool hugging_face, const titan_checkpoint_contents *contents,
                            titan_tool_metadata *metadata, titan_safetensors_entry *entries, int *count) {
  const titan_rope_scaling *scaling = &contents->model.rope_scaling;
  // cppcheck-suppress ctuuninitvar ; it is written here
  snprintf(metadata->scaling, sizeof metadata->scaling, "%.17g %.17g %.17g %" PRId64, scaling->factor, scaling->low,
           scaling->high, scaling->original_length);
  snprintf(metadata->step, sizeof metadata->step, "%" PRId64, contents->step);
  const struct {
    const char *key, *value;
    bool ours;
  } rows[TITAN_TOOL_ENTRIES] = {
      {"format", "pt", false}, // what transformers asks for
      {"titan.program", tool->program, false},
      {"titan.step", metadata->step, false},
      {"titan.model_name", contents->model_name, true},
      {"titan.model_flavor", contents->model_flavor, true},
      {"titan.rope_scaling", scaling->factor > 0 ? metadata->scaling : NULL, false},
      {"titan.tied", contents->model.tied ? "true" : NULL, false},
      {"titan.norm_type", titan_checkpoint_norm_name(contents->model.norm_type), true},
  };
  *count = 0;
  for (int i = 0; i < TITAN_TOOL_ENTRIES; i++)
    if (rows[i].value != NULL && !(rows[i].ours && hugging_face))
      entries[(*count)++] = (titan_safetensors_entry){(char *)rows[i].key, (char *)rows[i].value};
}

// The sequence length of the training: from the state, else from the configuration's text.
static int64_t length_of(const titan_checkpoint_contents *contents) {
  static const char key[] = "\nseq_len = ";
  const char *found = contents->configuration == NULL ? NULL : strstr(contents->configuration, key);
  int64_t length = contents->has_data ? contents->seq_len : found != NULL ? strtoll(found + strlen(key), NULL, 10) : 0;
  return length > 0 ? length : 2048;
}

titan_hugging_face_config titan_tool_config_of(const titan_checkpoint_contents *contents) {
  const titan_model_arguments *model = &contents->model;
  // Our tokenizers put 256 special tokens behind the base vocabulary; the first two begin and end a document.
  bool has_tokenizer = contents->tokenizer != 0 && model->vocabulary > 256;
  return (titan_hugging_face_config){.dim = model->dim,
                                     .layers = model->layers,
                                     .heads = model->heads,
                                     .kv_heads = model->kv_heads,
                                     .ffn_hidden = titan_model_ffn_hidden(model),
                                     .vocabulary = model->vocabulary,
                                     .norm_epsilon = model->norm_epsilon,
                                     .rope_theta = model->rope_theta,
                                     .rope_scaling = model->rope_scaling,
                                     .tied = model->tied,
                                     .length = length_of(contents),
                                     .begin_token = has_tokenizer ? model->vocabulary - 256 : -1,
                                     .end_token = has_tokenizer ? model->vocabulary - 255 : -1};
}

// --- in ---

// What is known of a model; 0: not known.
typedef struct facts {
  int64_t dim, layers, heads, kv_heads, kv_rows, ffn_hidden, vocabulary;
  double norm_epsilon, rope_theta;
} facts;

static const titan_safetensors_tensor *tensor_of(const titan_safetensors_set *set, bool hugging_face,
                                                 const char *ours) {
  char theirs[TITAN_HUGGING_FACE_NAME_BYTES];
  if (hugging_face && !titan_hugging_face_name(ours, theirs))
    return NULL;
  int index = titan_safetensors_set_find(set, hugging_face ? theirs : ours);
  return index < 0 ? NULL : set->tensors[index].tensor;
}

static titan_status find_matrix(const titan_safetensors_set *set, bool hugging_face, const char *ours,
                                const titan_safetensors_tensor **out) {
  char theirs[TITAN_HUGGING_FACE_NAME_BYTES];
  *out = tensor_of(set, hugging_face, ours);
  if (*out != NULL && (*out)->rank == 2)
    return TITAN_OK;
  bool renamed = hugging_face && titan_hugging_face_name(ours, theirs);
  return titan_error(TITAN_ERROR_CHECKPOINT,
                     "%s holds no Llama: it has no matrix %s; expected a Llama's tensors with titan-hpc's names or "
                     "Hugging Face's",
                     set->path, renamed ? theirs : ours);
}

// One more than the highest number in a name, so that a tensor that is missing is found missing by its name.
static int64_t count_layers(const titan_safetensors_set *set, bool hugging_face) {
  int64_t layers = 0, layer;
  for (int i = 0; i < set->count; i++)
    if (sscanf(set->tensors[i].tensor->name, hugging_face ? "model.layers.%6" SCNd64 "." : "layers.%6" SCNd64 ".",
               &layer) == 1 &&
        layer >= layers)
      layers = layer + 1;
  return layers;
}

static titan_status facts_of(const titan_safetensors_set *set, bool hugging_face,
                             const titan_hugging_face_config *config, facts *out) {
  const titan_safetensors_tensor *embedding, *wk, *w1;
  TITAN_TRY(find_matrix(set, hugging_face, "tok_embeddings.weight", &embedding));
  TITAN_TRY(find_matrix(set, hugging_face, "layers.0.attention.wk.weight", &wk));
  TITAN_TRY(find_matrix(set, hugging_face, "layers.0.feed_forward.w1.weight", &w1));
  *out = (facts){
      .vocabulary = embedding->dims[0], .dim = embedding->dims[1], .kv_rows = wk->dims[0], .ffn_hidden = w1->dims[0]};
  out->layers = count_layers(set, hugging_face);
  if (config == NULL)
    return TITAN_OK;
  out->heads = config->heads;
  out->kv_heads = config->kv_heads;
  out->norm_epsilon = config->norm_epsilon;
  out->rope_theta = config->rope_theta;
  if (config->dim != out->dim || config->layers != out->layers || config->ffn_hidden != out->ffn_hidden ||
      config->vocabulary != out->vocabulary)
    return titan_error(TITAN_ERROR_CHECKPOINT,
                       "%s: config.json says dim %" PRId64 ", layers %" PRId64 ", ffn %" PRId64 ", vocabulary %" PRId64
                       ", but the tensors are of dim %" PRId64 ", layers %" PRId64 ", ffn %" PRId64
                       ", vocabulary %" PRId64,
                       set->path, config->dim, config->layers, config->ffn_hidden, config->vocabulary, out->dim,
                       out->layers, out->ffn_hidden, out->vocabulary);
  return TITAN_OK;
}

static bool fits(const facts *known, const titan_model_arguments *flavor) {
  return known->dim == flavor->dim && known->layers == flavor->layers &&
         known->kv_rows == flavor->kv_heads * (flavor->dim / flavor->heads) &&
         known->ffn_hidden == titan_model_ffn_hidden(flavor) && (known->heads == 0 || known->heads == flavor->heads) &&
         (known->kv_heads == 0 || known->kv_heads == flavor->kv_heads) &&
         (known->rope_theta <= 0 || known->rope_theta == flavor->rope_theta) &&
         (known->norm_epsilon <= 0 || known->norm_epsilon == flavor->norm_epsilon);
}

// The first flavor from *list on, into name; *list moves behind it. False at the end of the list.
static bool next_flavor(const char **list, char *name, size_t size) {
  const char *end = strchr(*list, ',');
  int length = end != NULL ? (int)(end - *list) : (int)strlen(*list);
  if (length == 0)
    return false;
  snprintf(name, size, "%.*s", length, *list);
  *list += end != NULL ? (size_t)length + strspn(end, ", ") : (size_t)length;
  return true;
}

// Counts the flavors that fit; *out is the first of them, and *names lists all.
static titan_status search(const facts *known, const char *name, const char *flavor, titan_tool_model *out, int *found,
                           titan_text *names) {
  static const char *const all[] = {"llama3", "llama2"};
  *found = 0;
  for (int i = 0; i < 2; i++) {
    const titan_model_definition *definition = titan_model_find(all[i]);
    const char *list = definition->flavor_names;
    titan_tool_model candidate = {.definition = definition};
    if (name != NULL && titan_model_find(name) != definition)
      continue;
    while (next_flavor(&list, candidate.flavor, sizeof candidate.flavor)) {
      if ((flavor != NULL && strcmp(flavor, candidate.flavor) != 0) ||
          !definition->flavor(candidate.flavor, &candidate.arguments) || !fits(known, &candidate.arguments))
        continue;
      if ((*found)++ == 0)
        *out = candidate;
      TITAN_TRY(titan_text_printf(names, "%s%s %s", *found > 1 ? ", " : "", all[i], candidate.flavor));
    }
  }
  return TITAN_OK;
}

static titan_status describe(const facts *known, bool hugging_face, titan_text *text) {
  TITAN_TRY(titan_text_printf(text, "dim %" PRId64 ", layers %" PRId64 ", rows of %s %" PRId64 ", ffn %" PRId64,
                              known->dim, known->layers, hugging_face ? "k_proj" : "wk", known->kv_rows,
                              known->ffn_hidden));
  if (known->heads > 0)
    TITAN_TRY(titan_text_printf(text, ", heads %" PRId64 ", rope theta %g, epsilon %g", known->heads, known->rope_theta,
                                known->norm_epsilon));
  return TITAN_OK;
}

static titan_status find_norm(const titan_safetensors_set *set, bool hugging_face, titan_norm_type *out) {
  const char *said = hugging_face ? NULL : titan_safetensors_set_metadata(set, "titan.norm_type");
  *out = tensor_of(set, hugging_face, "norm.weight") == NULL ? TITAN_NORM_NP_LAYERNORM : TITAN_NORM_RMSNORM;
  int type = said != NULL ? titan_checkpoint_norm_find(said) : -1;
  if (said != NULL && type < 0)
    return titan_error(TITAN_ERROR_CHECKPOINT, "%s: unknown norm_type %.40s", set->path, said);
  if (type >= 0)
    *out = (titan_norm_type)type;
  if (hugging_face)
    *out = TITAN_NORM_RMSNORM;
  return TITAN_OK;
}

// What config.json says, else the file's own metadata.
static titan_status find_scaling(const titan_safetensors_set *set, const titan_hugging_face_config *config,
                                 titan_rope_scaling *out) {
  const char *said = titan_safetensors_set_metadata(set, "titan.rope_scaling");
  *out = (titan_rope_scaling){0};
  if (config != NULL)
    *out = config->rope_scaling;
  else if (said != NULL &&
           (sscanf(said, "%lf %lf %lf %" SCNd64, &out->factor, &out->low, &out->high, &out->original_length) != 4 ||
            !(out->factor > 0 && out->high > out->low && out->original_length > 0)))
    return titan_error(TITAN_ERROR_CHECKPOINT, "%s: titan.rope_scaling is %.60s; expected four numbers", set->path,
                       said);
  return TITAN_OK;
}

titan_status titan_tool_model_find(const titan_safetensors_set *set, bool hugging_face,
                                   const titan_hugging_face_config *config, const char *name, const char *flavor,
                                   titan_tool_model *out) {
  facts known = {0};
  int found = 0;
  titan_text names = {0}, sizes = {0};
  titan_status status = TITAN_OK;
  if (name == NULL && !hugging_face)
    name = titan_safetensors_set_metadata(set, "titan.model_name");
  if (flavor == NULL && !hugging_face)
    flavor = titan_safetensors_set_metadata(set, "titan.model_flavor");
  TITAN_TRY_CLEANUP(facts_of(set, hugging_face, config, &known));
  TITAN_TRY_CLEANUP(search(&known, name, flavor, out, &found, &names));
  TITAN_TRY_CLEANUP(describe(&known, hugging_face, &sizes));
  if (found == 0)
    status = titan_error(TITAN_ERROR_CHECKPOINT,
                         "%s: no flavor%s%s%s%s has these sizes: %s. A run cannot use it; "
                         "docs/adding-a-model.md says how to add a flavor",
                         set->path, name != NULL ? " of " : "", name != NULL ? name : "",
                         flavor != NULL ? " called " : "", flavor != NULL ? flavor : "", sizes.data);
  else if (found > 1)
    status = titan_error(TITAN_ERROR_CHECKPOINT,
                         "%s: several models have these sizes (%s): %s; choose one with --model and --flavor",
                         set->path, sizes.data, names.data);
  if (status == TITAN_OK)
    status = find_norm(set, hugging_face, &out->arguments.norm_type);
  if (status == TITAN_OK)
    status = find_scaling(set, config, &out->arguments.rope_scaling);
  out->arguments.vocabulary = known.vocabulary;
cleanup:
  titan_text_destroy(&names);
  titan_text_destroy(&sizes);
  return status;
}

// --- the parameters of a model ---

static titan_status append_parameters(const titan_graph *graph, const char *prefix, titan_checkpoint_tensor **tensors,
                                      int *count) {
  for (titan_value v = 0; v < titan_graph_value_count(graph); v++) {
    const titan_value_info *value = titan_graph_value(graph, v);
    if (value->role != TITAN_ROLE_PARAMETER)
      continue;
    TITAN_TRY(titan_memory_resize(TITAN_MEMORY_GENERAL, (size_t)(*count + 1) * sizeof **tensors, tensors));
    titan_checkpoint_tensor *tensor = &(*tensors)[(*count)++];
    *tensor = (titan_checkpoint_tensor){.group = TITAN_CHECKPOINT_MODEL,
                                        .number = TITAN_NUMBER_FLOAT32,
                                        .rank = value->type.rank,
                                        .dims = {value->type.dims[0], value->type.dims[1]}};
    snprintf(tensor->name, sizeof tensor->name, "%s%s", prefix, value->name);
  }
  return TITAN_OK;
}

titan_status titan_tool_model_tensors(const titan_tool_model *model, titan_checkpoint_tensor **tensors, int *count) {
  titan_model_shape shape = {.batch = 1, .length = 1, .dtype = TITAN_FLOAT32};
  titan_status status = TITAN_OK;
  *tensors = NULL;
  *count = 0;
  for (int64_t unit = 0; unit < titan_model_unit_count(model->definition, &model->arguments) && status == TITAN_OK;
       unit++) {
    titan_graph *graph = NULL;
    char prefix[32];
    titan_model_unit_prefix(model->definition, &model->arguments, unit, prefix, sizeof prefix);
    status = titan_graph_create("import", &graph);
    if (status == TITAN_OK)
      status =
          titan_model_unit_kind(model->definition, &model->arguments, unit)->build(&model->arguments, &shape, graph);
    if (status == TITAN_OK)
      status = append_parameters(graph, prefix, tensors, count);
    titan_graph_destroy(&graph);
  }
  return status;
}
