// SPDX-License-Identifier: Apache-2.0
// config.json of Hugging Face's LlamaForCausalLM. Its keys: transformers, LlamaConfig.
#include "weights/hugging_face.h"

#include "weights/json_file.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// null, or the object of Llama 3.1.
static json_t *scaling_of(const titan_rope_scaling *scaling) {
  if (scaling->factor == 0)
    return json_null();
  return json_pack("{s:s, s:f, s:f, s:f, s:I}", "rope_type", "llama3", "factor", scaling->factor, "low_freq_factor",
                   scaling->low, "high_freq_factor", scaling->high, "original_max_position_embeddings",
                   (json_int_t)scaling->original_length);
}

titan_status titan_hugging_face_config_write(const titan_hugging_face_config *config, titan_number number,
                                             titan_text *text) {
  json_t *begin = config->begin_token < 0 ? json_null() : json_integer(config->begin_token);
  json_t *end = config->end_token < 0 ? json_null() : json_integer(config->end_token);
  json_t *root = json_pack(
      "{s:[s], s:s, s:b, s:f, s:o, s:o, s:I, s:s, s:I, s:f, s:I, s:I, s:b, s:I, s:I, s:I, s:I, s:f, s:o, s:f, "
      "s:b, s:s, s:b, s:I}",
      "architectures", "LlamaForCausalLM", "model_type", "llama", "attention_bias", 0, "attention_dropout", 0.0,
      "bos_token_id", begin, "eos_token_id", end, "head_dim", (json_int_t)(config->dim / config->heads), "hidden_act",
      "silu", "hidden_size", (json_int_t)config->dim, "initializer_range", 0.02, "intermediate_size",
      (json_int_t)config->ffn_hidden, "max_position_embeddings", (json_int_t)config->length, "mlp_bias", 0,
      "num_attention_heads", (json_int_t)config->heads, "num_hidden_layers", (json_int_t)config->layers,
      "num_key_value_heads", (json_int_t)config->kv_heads, "pretraining_tp", (json_int_t)1, "rms_norm_eps",
      config->norm_epsilon, "rope_scaling", scaling_of(&config->rope_scaling), "rope_theta", config->rope_theta,
      "tie_word_embeddings", config->tied, "torch_dtype", titan_number_name(number), "use_cache", 1, "vocab_size",
      (json_int_t)config->vocabulary);
  char *dumped = root == NULL ? NULL : json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
  titan_status status = dumped == NULL ? titan_error(TITAN_ERROR_MEMORY, "no memory for config.json")
                                       : titan_text_printf(text, "%s\n", dumped);
  free(dumped);
  json_decref(root);
  return status;
}

// --- reading ---

typedef struct config_reader {
  const char *path;
  json_t *root;
} config_reader;

static titan_status read_size(const config_reader *reader, const char *key, int64_t otherwise, int64_t *out) {
  const json_t *value = json_object_get(reader->root, key);
  if (otherwise > 0 && (value == NULL || json_is_null(value)))
    *out = otherwise;
  else if (!json_is_integer(value) || json_integer_value(value) < 1 || json_integer_value(value) > INT32_MAX)
    return titan_error(TITAN_ERROR_CHECKPOINT, "%s: \"%s\" is %s; expected a whole number from 1 on", reader->path, key,
                       value == NULL ? "missing" : "something else");
  else
    *out = json_integer_value(value);
  return TITAN_OK;
}

static titan_status read_real(const config_reader *reader, const json_t *from, const char *key, double otherwise,
                              double *out) {
  const json_t *value = json_object_get(from, key);
  *out = value == NULL || json_is_null(value) ? otherwise : json_number_value(value);
  if (!(*out > 0))
    return titan_error(TITAN_ERROR_CHECKPOINT, "%s: \"%s\" is not a number above 0", reader->path, key);
  return TITAN_OK;
}

static titan_status refuse(const config_reader *reader, const char *key, const char *what) {
  return titan_error(TITAN_ERROR_CHECKPOINT, "%s: \"%s\": %s", reader->path, key, what);
}

// Keys that change what a model computes unless their value is the neutral one: 0, or false, null and what is empty; or
// 1, or null.
static const struct {
  const char *key;
  int neutral;
} changing[] = {
    {"attention_bias", 0},
    {"mlp_bias", 0},
    {"qkv_bias", 0},
    {"use_bias", 0},
    {"bias", 0},
    {"partial_rotary_factor", 1},
    {"rotary_pct", 1},
    {"rope_interleaved", 0},
    {"no_rope_layers", 0},
    {"quantization_config", 0},
    {"compression_config", 0},
    {"sliding_window", 0},
    {"use_sliding_window", 0},
    {"attention_chunk_size", 0},
    {"attention_dropout", 0},
    {"hidden_dropout", 0},
    {"resid_pdrop", 0},
    {"embd_pdrop", 0},
    {"embedding_multiplier", 1},
    {"residual_multiplier", 1},
    {"logits_scaling", 1},
    {"logit_scale", 1},
    {"final_logit_softcapping", 0},
    {"attn_logit_softcapping", 0},
    {"attention_multiplier", 0},
    {"qk_norm", 0},
    {"use_qk_norm", 0},
    {"num_experts", 0},
    {"num_local_experts", 0},
    {"is_encoder_decoder", 0},
    {"add_cross_attention", 0},
    {"pruned_heads", 0},
    {"auto_map", 0},
};

static bool is_neutral(const json_t *value, int neutral) {
  if (json_is_null(value) || (json_is_number(value) && json_number_value(value) == neutral))
    return true;
  bool empty =
      (json_is_object(value) && json_object_size(value) == 0) || (json_is_array(value) && json_array_size(value) == 0);
  return neutral == 0 && (json_is_false(value) || empty);
}

// Of an object; NULL is none.
static titan_status check_neutral(const config_reader *reader, const json_t *from) {
  for (size_t i = 0; i < sizeof changing / sizeof *changing; i++) {
    const json_t *value = json_object_get(from, changing[i].key);
    if (value != NULL && !is_neutral(value, changing[i].neutral))
      return titan_error(TITAN_ERROR_CHECKPOINT,
                         "%s: \"%s\" changes what the model computes, and titan-hpc's Llama does not have it; expected "
                         "%s",
                         reader->path, changing[i].key, changing[i].neutral == 1 ? "1" : "null, false or 0");
  }
  return TITAN_OK;
}

// Every layer attends to all positions before it.
static titan_status check_layer_types(const config_reader *reader) {
  const json_t *types = json_object_get(reader->root, "layer_types");
  for (size_t i = 0; i < json_array_size(types); i++) {
    const char *type = json_string_value(json_array_get(types, i));
    if (type == NULL || strcmp(type, "full_attention") != 0)
      return refuse(reader, "layer_types", "expected \"full_attention\" in each layer");
  }
  return TITAN_OK;
}

// Whether the key is one of a list that ends in NULL.
static bool is_among(const char *key, const char *const *list) {
  while (*list != NULL && strcmp(key, *list) != 0)
    list++;
  return *list != NULL;
}

// Llama 3.1's numbers, all of which must be there.
static titan_status read_llama3(const config_reader *reader, json_t *from, titan_rope_scaling *out) {
  static const char *const known[] = {
      "rope_type",  "type", "factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings",
      "rope_theta", NULL};
  double length;
  for (void *i = json_object_iter(from); i != NULL; i = json_object_iter_next(from, i))
    if (!is_among(json_object_iter_key(i), known))
      return refuse(reader, json_object_iter_key(i),
                    "a part of the rotary embedding that is not known here, and may change it");
  TITAN_TRY(read_real(reader, from, "factor", 0, &out->factor));
  TITAN_TRY(read_real(reader, from, "low_freq_factor", 0, &out->low));
  TITAN_TRY(read_real(reader, from, "high_freq_factor", 0, &out->high));
  TITAN_TRY(read_real(reader, from, "original_max_position_embeddings", 0, &length));
  out->original_length = length < 1e15 ? (int64_t)length : 0;
  if (out->original_length < 1)
    return refuse(reader, "original_max_position_embeddings", "expected a whole number from 1 on");
  if (!(out->high > out->low))
    return refuse(reader, "high_freq_factor", "expected a number above low_freq_factor");
  return TITAN_OK;
}

// Since transformers 5 the rotary embedding's numbers lie in "rope_parameters", before in "rope_theta" and
// "rope_scaling".
static titan_status read_rope(const config_reader *reader, titan_hugging_face_config *config) {
  json_t *parameters = json_object_get(reader->root, "rope_parameters");
  json_t *scaling = json_object_get(reader->root, "rope_scaling");
  json_t *described = json_is_object(parameters) ? parameters : scaling;
  const char *type = json_string_value(json_object_get(described, "rope_type"));
  if (type == NULL)
    type = json_string_value(json_object_get(described, "type"));
  if (type == NULL && json_is_object(scaling))
    type = "unnamed";
  TITAN_TRY(check_neutral(reader, described));
  if (type != NULL && strcmp(type, "llama3") == 0)
    TITAN_TRY(read_llama3(reader, described, &config->rope_scaling));
  else if (type != NULL && strcmp(type, "default") != 0)
    return titan_error(TITAN_ERROR_CHECKPOINT,
                       "%s: the rotary embedding is scaled (type \"%.40s\"), which titan-hpc does not compute: its "
                       "results would differ; expected \"default\" or \"llama3\"",
                       reader->path, type);
  const json_t *from = json_object_get(parameters, "rope_theta") != NULL ? parameters : reader->root;
  return read_real(reader, from, "rope_theta", 10000.0, &config->rope_theta);
}

static titan_status read_rest(const config_reader *reader, titan_hugging_face_config *config) {
  const json_t *model = json_object_get(reader->root, "model_type");
  const json_t *act = json_object_get(reader->root, "hidden_act");
  if (json_is_string(model) && strcmp(json_string_value(model), "llama") != 0)
    return refuse(reader, "model_type", "expected \"llama\"");
  if (act != NULL && (!json_is_string(act) || strcmp(json_string_value(act), "silu") != 0))
    return refuse(reader, "hidden_act", "expected \"silu\"");
  TITAN_TRY(check_neutral(reader, reader->root));
  TITAN_TRY(check_layer_types(reader));
  TITAN_TRY(read_size(reader, "hidden_size", 0, &config->dim));
  TITAN_TRY(read_size(reader, "num_hidden_layers", 0, &config->layers));
  TITAN_TRY(read_size(reader, "num_attention_heads", 0, &config->heads));
  TITAN_TRY(read_size(reader, "num_key_value_heads", config->heads, &config->kv_heads));
  TITAN_TRY(read_size(reader, "intermediate_size", 0, &config->ffn_hidden));
  TITAN_TRY(read_size(reader, "vocab_size", 0, &config->vocabulary));
  TITAN_TRY(read_size(reader, "max_position_embeddings", 2048, &config->length));
  TITAN_TRY(read_real(reader, reader->root, "rms_norm_eps", 1e-6, &config->norm_epsilon));
  TITAN_TRY(read_rope(reader, config));
  int64_t head_size;
  TITAN_TRY(read_size(reader, "head_dim", config->dim / config->heads, &head_size));
  if (head_size * config->heads != config->dim)
    return refuse(reader, "head_dim", "expected hidden_size / num_attention_heads");
  config->tied = json_is_true(json_object_get(reader->root, "tie_word_embeddings"));
  return TITAN_OK;
}

// clang-format off
// Keys that are read above,
static const char *const keys_read[] = {
    "model_type", "hidden_act", "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
    "intermediate_size", "vocab_size", "max_position_embeddings", "rms_norm_eps", "rope_theta", "rope_scaling",
    "rope_parameters", "head_dim", "tie_word_embeddings", "layer_types", NULL};
// and those that say nothing about what the model computes.
static const char *const keys_silent[] = {
    "architectures", "_name_or_path", "name_or_path", "bos_token_id", "eos_token_id", "pad_token_id", "sep_token_id",
    "unk_token_id", "decoder_start_token_id", "torch_dtype", "dtype", "initializer_range", "pretraining_tp",
    "transformers_version", "use_cache", "output_attentions", "output_hidden_states", "return_dict",
    "return_dict_in_generate", "torchscript", "use_bfloat16", "problem_type", "id2label", "label2id", "num_labels",
    "finetuning_task", "task_specific_params", "tokenizer_class", "prefix", "is_decoder", "tie_encoder_decoder",
    "cross_attention_hidden_size", "chunk_size_feed_forward", "_attn_implementation", "attn_implementation",
    "_attn_implementation_autoset", "max_sequence_length", "max_length", "min_length", "do_sample", "temperature",
    "top_p", "top_k", "num_beams", "repetition_penalty", NULL};
// clang-format on

static bool is_known(const char *key) {
  for (size_t i = 0; i < sizeof changing / sizeof *changing; i++)
    if (strcmp(key, changing[i].key) == 0)
      return true;
  return is_among(key, keys_read) || is_among(key, keys_silent);
}

static void list_unknown(json_t *root, titan_hugging_face_config *config) {
  size_t used = 0;
  for (void *i = json_object_iter(root); i != NULL; i = json_object_iter_next(root, i)) {
    if (is_known(json_object_iter_key(i)) || used >= sizeof config->unknown)
      continue;
    used += (size_t)snprintf(config->unknown + used, sizeof config->unknown - used, "%s%.60s", used > 0 ? ", " : "",
                             json_object_iter_key(i));
  }
}

titan_status titan_hugging_face_config_read(const char *path, titan_hugging_face_config *config) {
  json_t *root;
  *config = (titan_hugging_face_config){.begin_token = -1, .end_token = -1};
  TITAN_TRY(titan_json_file_read(path, &root));
  config_reader reader = {path, root};
  titan_status status = json_is_object(root) ? read_rest(&reader, config)
                                             : titan_error(TITAN_ERROR_CHECKPOINT, "%s: expected a JSON object", path);
  if (status == TITAN_OK)
    list_unknown(root, config);
  json_decref(root);
  return status;
}
