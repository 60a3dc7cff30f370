// config.json of Hugging Face's LlamaForCausalLM. Its keys: transformers, LlamaConfig.
#include "checkpoint/hugging_face.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

titan_status titan_hugging_face_config_write(const titan_hugging_face_config *config, titan_number number,
                                             titan_text *text) {
  json_t *begin = config->begin_token < 0 ? json_null() : json_integer(config->begin_token);
  json_t *end = config->end_token < 0 ? json_null() : json_integer(config->end_token);
  json_t *root = json_pack(
      "{s:[s], s:s, s:b, s:f, s:o, s:o, s:I, s:s, s:I, s:f, s:I, s:I, s:b, s:I, s:I, s:I, s:I, s:f, s:n, s:f, "
      "s:b, s:s, s:b, s:I}",
      "architectures", "LlamaForCausalLM", "model_type", "llama", "attention_bias", 0, "attention_dropout", 0.0,
      "bos_token_id", begin, "eos_token_id", end, "head_dim", (json_int_t)(config->dim / config->heads), "hidden_act",
      "silu", "hidden_size", (json_int_t)config->dim, "initializer_range", 0.02, "intermediate_size",
      (json_int_t)config->ffn_hidden, "max_position_embeddings", (json_int_t)config->length, "mlp_bias", 0,
      "num_attention_heads", (json_int_t)config->heads, "num_hidden_layers", (json_int_t)config->layers,
      "num_key_value_heads", (json_int_t)config->kv_heads, "pretraining_tp", (json_int_t)1, "rms_norm_eps",
      config->norm_epsilon, "rope_scaling", "rope_theta", config->rope_theta, "tie_word_embeddings", config->tied,
      "torch_dtype", titan_number_name(number), "use_cache", 1, "vocab_size", (json_int_t)config->vocabulary);
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
  const json_t *root;
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
    return titan_error(TITAN_ERROR_CHECKPOINT, "%s: \"%s\" is no number above 0", reader->path, key);
  return TITAN_OK;
}

static titan_status refuse(const config_reader *reader, const char *key, const char *what) {
  return titan_error(TITAN_ERROR_CHECKPOINT, "%s: \"%s\": %s", reader->path, key, what);
}

// Since transformers 5 the rotary embedding's numbers lie in "rope_parameters", before in "rope_theta" and
// "rope_scaling".
static titan_status read_rope(const config_reader *reader, titan_hugging_face_config *config) {
  const json_t *parameters = json_object_get(reader->root, "rope_parameters");
  const json_t *scaling = json_object_get(reader->root, "rope_scaling");
  const json_t *described = json_is_object(parameters) ? parameters : scaling;
  const char *type = json_string_value(json_object_get(described, "rope_type"));
  if (type == NULL)
    type = json_string_value(json_object_get(described, "type"));
  if (type == NULL && json_is_object(scaling))
    type = "unnamed";
  if (type != NULL && strcmp(type, "default") != 0)
    return titan_error(TITAN_ERROR_CHECKPOINT,
                       "%s: the rotary embedding is scaled (type \"%.40s\"), which titan-hpc does not compute: its "
                       "results would differ",
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
  if (json_is_true(json_object_get(reader->root, "attention_bias")) ||
      json_is_true(json_object_get(reader->root, "mlp_bias")))
    return refuse(reader, "attention_bias or mlp_bias", "titan-hpc's Llama has no biases");
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

titan_status titan_hugging_face_config_read(const char *path, titan_hugging_face_config *config) {
  json_error_t reason;
  *config = (titan_hugging_face_config){.begin_token = -1, .end_token = -1};
  json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &reason);
  config_reader reader = {path, root};
  titan_status status = json_is_object(root) ? read_rest(&reader, config)
                                             : titan_error(TITAN_ERROR_CHECKPOINT, "%s: %s", path,
                                                           root == NULL ? reason.text : "expected a JSON object");
  json_decref(root);
  return status;
}
