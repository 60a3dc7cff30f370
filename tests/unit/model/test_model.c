// SPDX-License-Identifier: Apache-2.0
// Property: every flavor has the published sizes, parts have the parameters and types that the model's definition says,
// and parameters start from the reference's distributions. Oracles: published parameter counts (Llama 3: 8,030,261,248,
// 70,553,706,496 and 405,853,388,800 with 128,256 tokens, and Llama 3.2's 1,235,814,400 and 3,212,749,824 with the
// output's matrix, which is the embedding there, counted apart; Llama 2: 6,738,415,616, 13,015,864,320 and
// 68,976,648,192 with 32,000), and formulas written out here. Tolerance: none for counts, 1e-15 relative for
// distributions.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include "model/model.h"

#include "base/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define TRY(expression)                                                                                                \
  do {                                                                                                                 \
    if ((expression) != TITAN_OK)                                                                                      \
      fail_msg("%s: %s\n%s", #expression, titan_error_message(), titan_error_trace());                                 \
  } while (0)

static titan_model_arguments flavor_of(const char *model, const char *flavor, int64_t vocabulary) {
  titan_model_arguments arguments;
  if (!titan_model_find(model)->flavor(flavor, &arguments))
    fail_msg("%s has no flavor %s", model, flavor);
  arguments.vocabulary = vocabulary;
  arguments.norm_type = TITAN_NORM_RMSNORM;
  return arguments;
}

static int64_t count(const char *model, const titan_model_arguments *arguments, int64_t *embedding) {
  int64_t total;
  TRY(titan_model_count_parameters(titan_model_find(model), arguments, &total, embedding));
  return total;
}

static void flavors_have_the_published_parameter_counts(void **state) {
  (void)state;
  static const struct {
    const char *model, *flavor;
    int64_t vocabulary, parameters, ffn_hidden;
  } rows[] = {
      {"llama3", "debugmodel", 2256, 7975168, 768},  {"llama3", "8B", 128256, 8030261248, 14336},
      {"llama3", "1B", 128256, 1235814400, 8192},    {"llama3", "3B", 128256, 3212749824, 8192},
      {"llama3", "70B", 128256, 70553706496, 28672}, {"llama3", "405B", 128256, 405853388800, 53248},
      {"llama2", "debugmodel", 2256, 7975168, 768},  {"llama2", "7B", 32000, 6738415616, 11008},
      {"llama2", "13B", 32000, 13015864320, 13824},  {"llama2", "70B", 32000, 68976648192, 28672},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    titan_model_arguments arguments = flavor_of(rows[i].model, rows[i].flavor, rows[i].vocabulary);
    int64_t embedding, parameters = count(rows[i].model, &arguments, &embedding);
    if (parameters != rows[i].parameters)
      fail_msg("%s %s: %lld parameters, published are %lld", rows[i].model, rows[i].flavor, (long long)parameters,
               (long long)rows[i].parameters);
    assert_int_equal(titan_model_ffn_hidden(&arguments), rows[i].ffn_hidden);
    assert_int_equal(embedding, arguments.tied ? 0 : arguments.dim * arguments.vocabulary);
  }
}

// Every flavor and norm: embeddings, per block four projections, three of the feed-forward and two norms, a norm, an
// output.
static void parameters_are_those_of_the_architecture(void **state) {
  (void)state;
  static const char *const names[][2] = {{"llama2", "debugmodel, 271M, 1B, 7B, 13B, 26B, 70B"},
                                         {"llama3", "debugmodel, 1B, 3B, 8B, 70B, 405B"}};
  for (int m = 0; m < 2; m++) {
    char list[64], *rest = list;
    assert_string_equal(titan_model_find(names[m][0])->flavor_names, names[m][1]);
    snprintf(list, sizeof list, "%s", names[m][1]);
    for (char *name; (name = strsep(&rest, ",")) != NULL;) {
      titan_model_arguments a = flavor_of(names[m][0], name + strspn(name, " "), 1000);
      for (int norm = TITAN_NORM_RMSNORM; norm <= TITAN_NORM_NP_LAYERNORM; norm++) {
        a.norm_type = (titan_norm_type)norm;
        int64_t weight = norm == TITAN_NORM_NP_LAYERNORM ? 0 : a.dim, kv = a.dim / a.heads * a.kv_heads;
        int64_t block = 2 * a.dim * a.dim + 2 * a.dim * kv + 3 * a.dim * titan_model_ffn_hidden(&a) + 2 * weight;
        for (int tied = 0; tied < 2; tied++) {
          a.tied = tied;
          assert_int_equal(count(names[m][0], &a, NULL), (2 - tied) * 1000 * a.dim + a.layers * block + weight);
        }
      }
      assert_true(a.rope_theta == (m == 0 ? 10000.0 : 500000.0) && a.norm_epsilon == 1e-5);
      titan_text problems = {0};
      TRY(titan_model_find(names[m][0])->check(&a, &problems));
      assert_int_equal(problems.length, 0);
    }
  }
}

static void models_are_found_by_their_names(void **state) {
  (void)state;
  titan_model_arguments arguments;
  assert_ptr_equal(titan_model_find("llama"), titan_model_find("llama3"));
  assert_string_equal(titan_model_find("llama2")->name, "llama2");
  assert_null(titan_model_find("llama4"));
  assert_null(titan_model_find(""));
  assert_false(titan_model_find("llama3")->flavor("7B", &arguments));
  assert_false(titan_model_find("llama2")->flavor("8B", &arguments));
}

// 6 (P - P_embedding) + 12 layers D L, for the debug model at 2,048 tokens.
static void flops_per_token_are_the_references(void **state) {
  (void)state;
  titan_model_arguments arguments = flavor_of("llama3", "debugmodel", 2256);
  int64_t embedding, parameters = count("llama3", &arguments, &embedding);
  assert_true(titan_model_flops_per_token(&arguments, parameters, embedding, 2048) == 94717440.0);
  // Tied, the products are the same.
  arguments.tied = true;
  int64_t fewer = count("llama3", &arguments, &embedding);
  assert_int_equal(fewer, parameters - arguments.dim * arguments.vocabulary);
  assert_true(titan_model_flops_per_token(&arguments, fewer, embedding, 2048) == 94717440.0);
}

static void a_tied_embedding_has_the_initial_values_of_the_output(void **state) {
  (void)state;
  titan_model_arguments arguments = flavor_of("llama3", "1B", 1000);
  assert_true(arguments.tied && flavor_of("llama3", "3B", 1000).tied && !flavor_of("llama3", "8B", 1000).tied);
  const titan_model_definition *model = titan_model_find("llama3");
  titan_parameter_init embedding = model->init(&arguments, "tok_embeddings.weight", 0),
                       output = model->init(&arguments, "output.weight", 0);
  assert_true(embedding.std == 1 / sqrt(2048) && embedding.low == -3 && embedding.high == 3);
  assert_memory_equal(&embedding, &output, sizeof output);
  assert_true(titan_model_is_copy(model, &arguments, 2, "output.weight"));
  assert_false(titan_model_is_copy(model, &arguments, 0, "tok_embeddings.weight"));
  arguments.tied = false;
  assert_false(titan_model_is_copy(model, &arguments, 2, "output.weight"));
  assert_null(titan_model_tie_of(model, &arguments));
}

static void units_are_embedding_blocks_and_head(void **state) {
  (void)state;
  static const struct {
    int64_t unit, number;
    const char *kind, *prefix, *name;
  } cases[] = {{0, 0, "embedding", "", "embedding"},
               {1, 0, "block", "layers.0.", "layers.0"},
               {8, 7, "block", "layers.7.", "layers.7"},
               {9, 0, "head", "", "head"}};
  const titan_model_definition *model = titan_model_find("llama3");
  titan_model_arguments arguments = flavor_of("llama3", "debugmodel", 2256);
  assert_int_equal(titan_model_unit_count(model, &arguments), 10);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char text[32];
    assert_string_equal(titan_model_unit_kind(model, &arguments, cases[i].unit)->name, cases[i].kind);
    assert_int_equal(titan_model_unit_number(model, &arguments, cases[i].unit), cases[i].number);
    titan_model_unit_prefix(model, &arguments, cases[i].unit, text, sizeof text);
    assert_string_equal(text, cases[i].prefix);
    titan_model_unit_name(model, &arguments, cases[i].unit, text, sizeof text);
    assert_string_equal(text, cases[i].name);
  }
}

// --- kinds ---

static const titan_model_kind *kind_named(const char *name) {
  const titan_model_definition *model = titan_model_find("llama3");
  for (int kind = 0; kind < model->kind_count; kind++)
    if (strcmp(model->kinds[kind].name, name) == 0)
      return &model->kinds[kind];
  fail_msg("llama3 has no kind %s", name);
  return NULL;
}

static titan_graph *graph_of(const titan_model_arguments *arguments, const titan_model_kind *kind, titan_dtype dtype) {
  titan_model_shape shape = {.batch = 2, .length = 8, .dtype = dtype};
  titan_graph *graph;
  TRY(titan_graph_create("kind", &graph));
  TRY(kind->build(arguments, &shape, graph));
  return graph;
}

static void expect_type(const titan_graph *graph, const char *name, titan_dtype dtype, int rank, const int64_t *dims) {
  titan_value value = titan_graph_find(graph, name);
  if (value == TITAN_NO_VALUE)
    fail_msg("the graph has no %s", name);
  const titan_tensor_type *type = &titan_graph_value(graph, value)->type;
  assert_int_equal(type->dtype, dtype);
  assert_int_equal(type->rank, rank);
  assert_memory_equal(type->dims, dims, (size_t)rank * sizeof *dims);
}

static void kinds_are_wired_by_the_names_and_types_of_the_interface(void **state) {
  (void)state;
  for (titan_dtype dtype = TITAN_FLOAT32; dtype <= TITAN_BFLOAT16; dtype++) {
    titan_model_arguments a = flavor_of("llama3", "debugmodel", 100);
    a.kv_heads = 4;
    const int64_t tokens[] = {2, 8}, x[] = {2, 8, 256}, table[] = {8, 8, 2}, scalar[] = {1}, logits[] = {2, 8, 100};
    titan_graph *graph = graph_of(&a, kind_named("embedding"), dtype);
    expect_type(graph, "tokens", TITAN_INT32, 2, tokens);
    expect_type(graph, "y", dtype, 3, x);
    titan_graph_destroy(&graph);
    graph = graph_of(&a, kind_named("block"), dtype);
    expect_type(graph, "x", dtype, 3, x);
    expect_type(graph, "rope_table", TITAN_FLOAT32, 3, table);
    expect_type(graph, "attention.wk.weight", dtype, 2, (const int64_t[]){64, 256});
    expect_type(graph, "feed_forward.w2.weight", dtype, 2, (const int64_t[]){256, 768});
    expect_type(graph, "y", dtype, 3, x);
    titan_graph_destroy(&graph);
    graph = graph_of(&a, kind_named("head"), dtype);
    expect_type(graph, "labels", TITAN_INT32, 2, tokens);
    expect_type(graph, "output.weight", dtype, 2, (const int64_t[]){100, 256});
    expect_type(graph, "loss", TITAN_FLOAT32, 1, scalar);
    titan_graph_destroy(&graph);
    graph = graph_of(&a, titan_model_find("llama3")->constants, dtype);
    expect_type(graph, "rope_table", TITAN_FLOAT32, 3, table);
    titan_graph_destroy(&graph);
    graph = graph_of(&a, titan_model_find("llama3")->logits, dtype);
    expect_type(graph, "logits", TITAN_FLOAT32, 3, logits);
    titan_graph_destroy(&graph);
  }
}

// Chunks of a head cover the rows exactly, whatever the vocabulary and the number of rows.
static void chunks_of_the_head_cover_every_row_once(void **state) {
  (void)state;
  static const int64_t cases[][3] = {{1, 1, 10},          {1, 255, 100},    {3, 1000, 50000},  {8, 2048, 2256},
                                     {1, 100000, 128256}, {7, 8191, 32000}, {1, 257, 10000000}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    titan_model_arguments a = flavor_of("llama3", "debugmodel", cases[i][2]);
    titan_model_shape shape = {.batch = cases[i][0], .length = cases[i][1], .dtype = TITAN_BFLOAT16};
    titan_graph *graph;
    TRY(titan_graph_create("head", &graph));
    TRY(kind_named("head")->build(&a, &shape, graph));
    int64_t rows = 0, chunks = 0;
    for (int n = 0; n < titan_graph_node_count(graph); n++) {
      const titan_op_call *call = &titan_graph_node(graph, n)->call;
      if (call->kind != TITAN_OP_cross_entropy)
        continue;
      rows += call->inputs[0].dims[0];
      chunks++;
    }
    assert_int_equal(rows, shape.batch * shape.length);
    assert_true(chunks <= TITAN_MAX_INPUTS);
    TRY(titan_graph_differentiate(graph, titan_graph_find(graph, "loss")));
    titan_graph_destroy(&graph);
  }
}

// --- initial values ---

static void expect_init(const char *parameter, int64_t layer, double mean, double std, double low, double high) {
  titan_model_arguments arguments = flavor_of("llama3", "8B", 128256);
  titan_parameter_init init = titan_model_find("llama3")->init(&arguments, parameter, layer);
  // a cut at an absolute value comes in standard deviations
  bool good = init.mean == mean && fabs(init.std - std) <= 1e-15 * std &&
              (init.low == low || fabs(init.low - low) <= 1e-15 * fabs(low)) &&
              (init.high == high || fabs(init.high - high) <= 1e-15 * fabs(high));
  if (!good)
    fail_msg("%s of layer %lld: mean %g std %g cut at %g, %g", parameter, (long long)layer, init.mean, init.std,
             init.low, init.high);
}

static void initial_values_have_the_references_distributions(void **state) {
  (void)state;
  static const char *const plain[] = {"attention.wq.weight", "attention.wk.weight", "attention.wv.weight",
                                      "feed_forward.w1.weight"};
  static const char *const scaled[] = {"attention.wo.weight", "feed_forward.w2.weight", "feed_forward.w3.weight"};
  expect_init("tok_embeddings.weight", -1, 0, 1, -INFINITY, INFINITY);
  for (size_t i = 0; i < 4; i++)
    for (int64_t layer = 0; layer < 32; layer += 31)
      expect_init(plain[i], layer, 0, 0.02, -100, 100);
  for (size_t i = 0; i < 3; i++) {
    expect_init(scaled[i], 0, 0, 0.02 / sqrt(2), -100 * sqrt(2), 100 * sqrt(2));
    expect_init(scaled[i], 31, 0, 0.02 / 8, -800, 800);
  }
  expect_init("output.weight", 32, 0, 1.0 / 64, -3, 3);
  titan_model_arguments arguments = flavor_of("llama3", "8B", 128256);
  static const char *const norms[] = {"attention_norm.weight", "ffn_norm.weight", "norm.weight"};
  for (size_t i = 0; i < 3; i++) {
    titan_parameter_init init = titan_model_find("llama3")->init(&arguments, norms[i], 3);
    assert_true(init.mean == 1 && init.std == 0);
  }
}

// --- sizes that do not fit ---

static void expect_problem(int64_t dim, int64_t heads, int64_t kv_heads, const char *words) {
  titan_model_arguments a = flavor_of("llama3", "debugmodel", 100);
  titan_text problems = {0};
  a.dim = dim;
  a.heads = heads;
  a.kv_heads = kv_heads;
  TRY(titan_model_find("llama3")->check(&a, &problems));
  if (problems.length == 0 || strstr(problems.data, words) == NULL || problems.data[problems.length - 1] != '\n')
    fail_msg("dim %d, heads %d, kv heads %d: \"%s\" does not say \"%s\"", (int)dim, (int)heads, (int)kv_heads,
             problems.length ? problems.data : "", words);
  titan_text_destroy(&problems);
}

static void sizes_that_do_not_fit_are_named(void **state) {
  (void)state;
  expect_problem(256, 7, 7, "dim 256 is not divisible by its 7 heads");
  expect_problem(272, 16, 16, "head size 17 (dim 272 / heads 16) must be even");
  expect_problem(128, 16, 16, "head size 8");
  expect_problem(1024, 2, 2, "head size 512");
  expect_problem(256, 16, 3, "16 heads are not divisible by 3 kv heads");
  // all problems at once
  expect_problem(250, 12, 5, "12 heads are not divisible by 5 kv heads");
  expect_problem(250, 12, 5, "dim 250 is not divisible by its 12 heads");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(flavors_have_the_published_parameter_counts),
      cmocka_unit_test(parameters_are_those_of_the_architecture),
      cmocka_unit_test(models_are_found_by_their_names),
      cmocka_unit_test(flops_per_token_are_the_references),
      cmocka_unit_test(a_tied_embedding_has_the_initial_values_of_the_output),
      cmocka_unit_test(units_are_embedding_blocks_and_head),
      cmocka_unit_test(kinds_are_wired_by_the_names_and_types_of_the_interface),
      cmocka_unit_test(chunks_of_the_head_cover_every_row_once),
      cmocka_unit_test(initial_values_have_the_references_distributions),
      cmocka_unit_test(sizes_that_do_not_fit_are_named),
  };
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  return failures != 0 || titan_memory_report_leaks() != 0;
}
