// SPDX-License-Identifier: Apache-2.0
// Property: names, rows and sizes go to Hugging Face's form and back unchanged, and a rotated head gives the same
// scores in both. Oracles: the names of transformers' LlamaForCausalLM, both rotary embeddings written out here. Exact,
// but for scores: 1e-5 relative (sums of 8 products in float32).
#include "safetensors_test.h"

#include "weights/hugging_face.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

static void names_are_those_of_transformers(void **state) {
  (void)state;
  static const char *const pairs[][2] = {
      {"tok_embeddings.weight", "model.embed_tokens.weight"},
      {"layers.0.attention.wq.weight", "model.layers.0.self_attn.q_proj.weight"},
      {"layers.11.attention.wk.weight", "model.layers.11.self_attn.k_proj.weight"},
      {"layers.7.attention.wv.weight", "model.layers.7.self_attn.v_proj.weight"},
      {"layers.125.attention.wo.weight", "model.layers.125.self_attn.o_proj.weight"},
      {"layers.1.feed_forward.w1.weight", "model.layers.1.mlp.gate_proj.weight"},
      {"layers.1.feed_forward.w2.weight", "model.layers.1.mlp.down_proj.weight"},
      {"layers.1.feed_forward.w3.weight", "model.layers.1.mlp.up_proj.weight"},
      {"layers.2.attention_norm.weight", "model.layers.2.input_layernorm.weight"},
      {"layers.2.ffn_norm.weight", "model.layers.2.post_attention_layernorm.weight"},
      {"norm.weight", "model.norm.weight"},
      {"output.weight", "lm_head.weight"},
  };
  char name[TITAN_HUGGING_FACE_NAME_BYTES];
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
    assert_true(titan_hugging_face_name(pairs[i][0], name));
    assert_string_equal(name, pairs[i][1]);
    assert_true(titan_hugging_face_name_to_ours(pairs[i][1], name));
    assert_string_equal(name, pairs[i][0]);
    assert_int_equal(titan_hugging_face_is_permuted(pairs[i][0]), i == 1 || i == 2);
  }
  static const char *const strangers[] = {
      "",         "layers.attention.wq.weight", "layers.-1.attention.wq.weight",     "layers.01.attention.wq.weight",
      "layers.1", "layers.1.attention.wq.bias", "model.layers.1x.mlp.up_proj.weight"};
  for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++) {
    assert_false(titan_hugging_face_name(strangers[i], name));
    assert_false(titan_hugging_face_name_to_ours(strangers[i], name));
  }
  assert_true(titan_hugging_face_is_derived("model.layers.3.self_attn.rotary_emb.inv_freq"));
  assert_false(titan_hugging_face_is_derived("model.layers.3.self_attn.q_proj.weight"));
}

enum { HEADS = 3, H = 8, D = 5 };

static void random_values(float *values, int count) {
  for (int i = 0; i < count; i++)
    values[i] = (float)rand() / (float)RAND_MAX - 0.5f;
}

static void rows_go_there_and_back(void **state) {
  (void)state;
  float ours[HEADS * H * D], theirs[HEADS * H * D], back[HEADS * H * D];
  random_values(ours, HEADS * H * D);
  titan_hugging_face_permute(HEADS, H, D, ours, theirs);
  titan_hugging_face_permute_to_ours(HEADS, H, D, theirs, back);
  assert_memory_equal(ours, back, sizeof ours);
  assert_memory_equal(theirs + (H + 1) * D, ours + (H + 2) * D, D * sizeof *ours); // head 1: pair 1's first is their 1
  assert_memory_equal(theirs + (H + H / 2) * D, ours + (H + 1) * D, D * sizeof *ours);
}

// q[H] = w[H,D] x[D]
static void project(const float *w, const float *x, double *q) {
  for (int row = 0; row < H; row++) {
    q[row] = 0;
    for (int i = 0; i < D; i++)
      q[row] += (double)w[row * D + i] * (double)x[i];
  }
}

static void turn(double *first, double *second, int pair, int position) {
  double angle = position * pow(500000.0, -2.0 * pair / H), a = *first, b = *second;
  *first = a * cos(angle) - b * sin(angle);
  *second = a * sin(angle) + b * cos(angle);
}

// The score of a query at `position` and a key at 2, with interleaved pairs (ours) or halves (Hugging Face's).
static double score(const float *wq, const float *wk, const float *x, int position, bool halves) {
  double q[H], k[H], sum = 0;
  project(wq, x, q);
  project(wk, x, k);
  for (int i = 0; i < H / 2; i++) {
    int first = halves ? i : 2 * i, second = halves ? i + H / 2 : 2 * i + 1;
    turn(&q[first], &q[second], i, position);
    turn(&k[first], &k[second], i, 2);
  }
  for (int i = 0; i < H; i++)
    sum += q[i] * k[i];
  return sum;
}

static void scores_are_equal_in_both_forms(void **state) {
  (void)state;
  float wq[H * D], wk[H * D], their_wq[H * D], their_wk[H * D], x[D];
  random_values(wq, H * D);
  random_values(wk, H * D);
  random_values(x, D);
  titan_hugging_face_permute(1, H, D, wq, their_wq);
  titan_hugging_face_permute(1, H, D, wk, their_wk);
  for (int position = 0; position < 100; position += 7) {
    double ours = score(wq, wk, x, position, false), theirs = score(their_wq, their_wk, x, position, true);
    assert_true(fabs(ours - theirs) <= 1e-12);
  }
  assert_true(fabs(score(wq, wk, x, 9, false) - score(wq, wk, x, 9, true)) > 1e-4); // and would differ without
}

// --- config.json ---

static char path[] = "/tmp/titan-config-XXXXXX";

static void write_text(const char *text) {
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fputs(text, file);
  assert_int_equal(fclose(file), 0);
}

static void sizes_come_back(void **state) {
  (void)state;
  titan_hugging_face_config config = {.dim = 4096,
                                      .layers = 32,
                                      .heads = 32,
                                      .kv_heads = 8,
                                      .ffn_hidden = 14336,
                                      .vocabulary = 128256,
                                      .norm_epsilon = 1e-5,
                                      .rope_theta = 500000,
                                      .length = 8192,
                                      .begin_token = 128000,
                                      .end_token = 128001},
                            read;
  titan_text text = {0};
  TRY(titan_hugging_face_config_write(&config, TITAN_NUMBER_BFLOAT16, &text));
  assert_non_null(strstr(text.data, "\"torch_dtype\": \"bfloat16\""));
  assert_non_null(strstr(text.data, "\"bos_token_id\": 128000"));
  assert_non_null(strstr(text.data, "\"tie_word_embeddings\": false"));
  assert_non_null(strstr(text.data, "\"head_dim\": 128"));
  write_text(text.data);
  titan_text_destroy(&text);
  TRY(titan_hugging_face_config_read(path, &read));
  assert_int_equal(read.dim, 4096);
  assert_int_equal(read.layers, 32);
  assert_int_equal(read.heads, 32);
  assert_int_equal(read.kv_heads, 8);
  assert_int_equal(read.ffn_hidden, 14336);
  assert_int_equal(read.vocabulary, 128256);
  assert_true(read.norm_epsilon == 1e-5 && read.rope_theta == 500000);
  assert_false(read.tied);
}

#define SIZES                                                                                                          \
  "\"hidden_size\":8,\"num_hidden_layers\":1,\"num_attention_heads\":2,\"intermediate_size\":16,\"vocab_size\":10"

static void refused(const char *text, const char *part) {
  titan_hugging_face_config config;
  write_text(text);
  assert_int_equal(titan_hugging_face_config_read(path, &config), TITAN_ERROR_CHECKPOINT);
  if (strstr(titan_error_message(), part) == NULL || strstr(titan_error_message(), path) == NULL)
    fail_msg("'%s' does not hold '%s'", titan_error_message(), part);
}

// Keys of other Llamas, each with a value that changes the model and one that does not.
static void keys_that_change_the_model_are_refused(void **state) {
  (void)state;
  static const struct {
    const char *key, *changing, *neutral;
  } rows[] = {
      {"attention_bias", "true", "false"},
      {"mlp_bias", "true", "null"},
      {"partial_rotary_factor", "0.5", "1.0"},
      {"quantization_config", "{\"quant_method\":\"awq\"}", "null"},
      {"sliding_window", "4096", "null"},
      {"use_sliding_window", "true", "false"},
      {"attention_dropout", "0.1", "0.0"},
      {"layer_types", "[\"sliding_attention\"]", "[\"full_attention\"]"},
      {"logits_scaling", "8.0", "1"},
      {"num_local_experts", "8", "0"},
      {"auto_map", "{\"AutoModel\":\"x.y\"}", "{}"},
      {"rope_parameters", "{\"rope_type\":\"default\",\"partial_rotary_factor\":0.5}",
       "{\"rope_type\":\"default\",\"partial_rotary_factor\":1.0}"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    titan_hugging_face_config config;
    char text[300], key[64];
    snprintf(text, sizeof text, "{" SIZES ",\"%s\":%s}", rows[i].key, rows[i].changing);
    bool within = strcmp(rows[i].key, "rope_parameters") == 0;
    snprintf(key, sizeof key, "\"%s\"", within ? "partial_rotary_factor" : rows[i].key);
    refused(text, key);
    snprintf(text, sizeof text, "{" SIZES ",\"%s\":%s}", rows[i].key, rows[i].neutral);
    write_text(text);
    TRY(titan_hugging_face_config_read(path, &config));
    assert_string_equal(config.unknown, "");
  }
  titan_hugging_face_config config;
  write_text("{" SIZES ",\"architectures\":[\"LlamaForCausalLM\"],\"new_trick\":2,\"newer\":false}");
  TRY(titan_hugging_face_config_read(path, &config));
  assert_string_equal(config.unknown, "new_trick, newer");
}

#define SCALING(low, high, length)                                                                                     \
  "\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8.0,\"low_freq_factor\":" #low ",\"high_freq_factor\":" #high \
  ",\"original_max_position_embeddings\":" #length "}"

static void a_scaled_rotary_embedding_comes_back(void **state) {
  (void)state;
  titan_hugging_face_config config = {.dim = 64,
                                      .layers = 1,
                                      .heads = 2,
                                      .kv_heads = 2,
                                      .ffn_hidden = 64,
                                      .vocabulary = 300,
                                      .norm_epsilon = 1e-5,
                                      .rope_theta = 500000,
                                      .rope_scaling = {32, 1, 4.5, 8192},
                                      .length = 64},
                            read;
  titan_text text = {0};
  TRY(titan_hugging_face_config_write(&config, TITAN_NUMBER_FLOAT32, &text));
  write_text(text.data);
  titan_text_destroy(&text);
  TRY(titan_hugging_face_config_read(path, &read));
  assert_true(titan_model_same_scaling(&read.rope_scaling, &config.rope_scaling));
  write_text("{" SIZES ",\"rope_parameters\":{\"rope_type\":\"llama3\",\"rope_theta\":7.5,\"factor\":8,"
             "\"low_freq_factor\":1,\"high_freq_factor\":4,\"original_max_position_embeddings\":8192}}");
  TRY(titan_hugging_face_config_read(path, &read));
  assert_true(read.rope_theta == 7.5 &&
              titan_model_same_scaling(&read.rope_scaling, &(titan_rope_scaling){8, 1, 4, 8192}));
}

static void what_differs_from_our_llama_is_refused(void **state) {
  (void)state;
  titan_hugging_face_config config;
  write_text("{" SIZES ",\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":7.5},\"rms_norm_eps\":1e-6}");
  TRY(titan_hugging_face_config_read(path, &config));
  assert_true(config.rope_theta == 7.5 && config.kv_heads == 2 && config.norm_epsilon == 1e-6);
  refused("{", "config");
  refused("[]", "JSON object");
  refused("{}", "hidden_size");
  refused("{" SIZES ",\"model_type\":\"gpt2\"}", "llama");
  refused("{" SIZES ",\"hidden_act\":\"gelu\"}", "silu");
  refused("{" SIZES ",\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8.0}}", "\"low_freq_factor\"");
  refused("{" SIZES "," SCALING(1.0, 1.0, 8192) "}", "\"high_freq_factor\": expected a number above low_freq_factor");
  refused("{" SIZES "," SCALING(1.0, 4.0, 0) "}", "\"original_max_position_embeddings\"");
  refused("{" SIZES ",\"rope_scaling\":{\"rope_type\":\"llama3\",\"beta\":8.0}}", "\"beta\"");
  refused("{" SIZES ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":8.0}}", "scaled (type \"linear\")");
  refused("{" SIZES ",\"rope_parameters\":{\"rope_type\":\"yarn\"}}", "scaled (type \"yarn\")");
  refused("{" SIZES ",\"rope_theta\":\"x\"}", "rope_theta");
  refused("{" SIZES ",\"head_dim\":3}", "head_dim");
  refused("{" SIZES ",\"num_key_value_heads\":0}", "num_key_value_heads");
  refused("{" SIZES ",\"vocab_size\":1e99}", "duplicate");
  titan_model_arguments model = {.norm_type = TITAN_NORM_LAYERNORM};
  assert_int_equal(titan_hugging_face_check("file", &model), TITAN_ERROR_CHECKPOINT);
  model.norm_type = TITAN_NORM_FUSED_RMSNORM;
  TRY(titan_hugging_face_check("file", &model));
}

// Says nothing about what the file holds, and is not taken for its end.
static void a_file_that_cannot_be_read_is_named_with_the_reason(void **state) {
  (void)state;
  titan_hugging_face_config config;
  char link[sizeof path + 8];
  snprintf(link, sizeof link, "%s.link", path);
  assert_int_equal(symlink("/proc/self/mem", link), 0); // opens, and gives EIO at its start
  assert_int_equal(titan_hugging_face_config_read(link, &config), TITAN_ERROR_CHECKPOINT);
  assert_non_null(strstr(titan_error_message(), ".link: Input/output error"));
  assert_int_equal(unlink(link), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(names_are_those_of_transformers),
      cmocka_unit_test(rows_go_there_and_back),
      cmocka_unit_test(scores_are_equal_in_both_forms),
      cmocka_unit_test(sizes_come_back),
      cmocka_unit_test(what_differs_from_our_llama_is_refused),
      cmocka_unit_test(keys_that_change_the_model_are_refused),
      cmocka_unit_test(a_file_that_cannot_be_read_is_named_with_the_reason),
      cmocka_unit_test(a_scaled_rotary_embedding_comes_back),
  };
  int descriptor = mkstemp(path);
  if (descriptor < 0)
    return 1;
  close(descriptor);
  int failed = cmocka_run_group_tests(tests, NULL, nothing_is_left);
  unlink(path);
  return failed;
}
