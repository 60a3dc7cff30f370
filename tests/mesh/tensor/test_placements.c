// SPDX-License-Identifier: Apache-2.0
// Property: in the graphs that a rank of a tp group runs, every value of forward and backward is marked as what it is:
// a part, a term of a sum, or whole; whatever is fused, joined with a transfer or computed again. Oracle: for each
// operation, what it makes of inputs that lie so, written down here by its mathematics alone (contracted over a cut
// dimension, a product gives terms of a sum); and the placements that docs/tensor-parallelism.md states by name.
// Tolerance: none. Nothing is run, so that the ranks need not be there.
#include "mpi_test.h"

#include "parallel/runtime.h"
#include "passes/tensor.h"

#include <string.h>

enum { LENGTH = 24, BATCH = 2, VOCABULARY = 199, LAYERS = 3, DIM = 64 };

static const titan_placement whole = {TITAN_REPLICATE, 0}, partial = {TITAN_PARTIAL, 0};

static titan_placement shard(int dim) {
  return (titan_placement){TITAN_SHARD, dim};
}

static bool equal(titan_placement a, titan_placement b) {
  return a.kind == b.kind && a.dim == b.dim;
}

static titan_placement place_of(const titan_graph *graph, titan_value value) {
  return titan_graph_value(graph, value)->placement[TITAN_PLACEMENT_TP];
}

// --- what an operation makes of its inputs ---

typedef struct judged {
  const titan_op_call *call;
  titan_phase phase;
  titan_placement in[TITAN_MAX_INPUTS], out[TITAN_MAX_OUTPUTS];
} judged;

static bool all_in(const judged *j, int first, int count, titan_placement wanted) {
  for (int i = first; i < first + count && i < j->call->input_count; i++)
    if (!equal(j->in[i], wanted))
      return false;
  return true;
}

static bool all_out(judged *j, titan_placement placement) {
  for (int i = 0; i < j->call->output_count; i++)
    j->out[i] = placement;
  return true;
}

static titan_placement last_dimension(const titan_tensor_type *type) {
  return shard(type->rank - 1);
}

// Whether an operand is cut in its columns, in its only leading dimension, or not at all.
static bool operand_is(titan_placement placement, const titan_tensor_type *type, bool *columns, bool *rows) {
  *columns = equal(placement, last_dimension(type));
  *rows = type->rank == 2 && equal(placement, shard(0));
  return *columns || *rows || equal(placement, whole);
}

static bool product(const titan_op_call *matmul, titan_placement a, titan_placement b, titan_placement *out) {
  bool a_columns, a_rows, b_columns, b_rows;
  if (!operand_is(a, &matmul->inputs[0], &a_columns, &a_rows) ||
      !operand_is(b, &matmul->inputs[1], &b_columns, &b_rows))
    return false;
  bool m = matmul->attributes.matmul.transpose_a ? a_columns : a_rows;
  bool inner_a = matmul->attributes.matmul.transpose_a ? a_rows : a_columns;
  bool inner_b = matmul->attributes.matmul.transpose_b ? b_columns : b_rows;
  bool n = matmul->attributes.matmul.transpose_b ? b_rows : b_columns;
  if (inner_a != inner_b || (m && n) || (inner_a && (m || n)))
    return false;
  *out = inner_a ? partial : m ? shard(0) : n ? last_dimension(&matmul->outputs[0]) : whole;
  return true;
}

static bool matmul(judged *j) {
  return product(j->call, j->in[0], j->in[1], &j->out[0]) && all_in(j, 2, 1, j->out[0]);
}

// The product before the scattering, and its terms' sums.
static bool matmul_scatter(judged *j) {
  titan_op_call part = titan_matmul_scatter_part(j->call, titan_tensor_rows(&j->call->inputs[0]));
  titan_placement terms;
  if (!product(&part, equal(j->in[0], last_dimension(&j->call->inputs[0])) ? shard(1) : j->in[0], j->in[1], &terms))
    return false;
  j->out[0] = shard(0);
  return equal(terms, partial) && all_in(j, 2, 1, partial);
}

static bool gather_matmul(judged *j) {
  for (int i = 0; i < j->call->output_count; i++) {
    const titan_gather_product *p = &j->call->attributes.products[i];
    titan_op_call part = titan_gather_matmul_part(
        j->call, i, titan_tensor_rows(&j->call->inputs[0]) * j->call->attributes.collective.ranks, false);
    titan_placement other = j->in[i + 1];
    if (other.kind == TITAN_SHARD && other.dim == j->call->inputs[i + 1].rank - 1)
      other.dim = 1; // the part has two dimensions
    if (!product(&part, p->gathered_is_b ? other : whole, p->gathered_is_b ? whole : other, &j->out[i]))
      return false;
  }
  return equal(j->in[0], shard(0));
}

// Norms work by the row: x and y are rows or whole, so are statistics; the gradient of a weight is a sum over rows.
static bool norm(judged *j, int weight) {
  titan_placement rows = j->in[0];
  return (equal(rows, shard(0)) || equal(rows, whole)) && all_in(j, weight, 1, whole) && all_out(j, rows);
}

static bool norm_backward(judged *j, int weight) {
  titan_placement rows = j->in[0];
  if (!norm(j, weight) || !all_in(j, 0, weight, rows) || !all_in(j, weight + 1, 4, rows))
    return false;
  if (j->call->output_count == 2)
    j->out[1] = equal(rows, shard(0)) ? partial : whole;
  return true;
}

static bool rms_norm_backward(judged *j) {
  return norm_backward(j, 2);
}

static bool layer_norm_backward(judged *j) {
  return norm_backward(j, 4);
}

static bool norm_of_one(judged *j) {
  return norm(j, 1);
}

static bool norm_of_a_sum(judged *j) {
  return equal(j->in[0], j->in[1]) && norm(j, 2);
}

static bool elementwise(judged *j) {
  return all_in(j, 1, 2, j->in[0]) && all_out(j, j->in[0]) &&
         (j->call->kind == TITAN_OP_add || j->in[0].kind != TITAN_PARTIAL);
}

// A gate's two halves are cut each: the columns of a rank are the joined columns of its parts.
static bool gate(judged *j) {
  return all_in(j, 0, 2, last_dimension(&j->call->inputs[0])) && all_out(j, j->in[0]);
}

static bool rope(judged *j) {
  j->out[0] = j->in[0];
  return equal(j->in[1], whole) && (equal(j->in[0], shard(2)) || equal(j->in[0], whole));
}

static bool split_heads(judged *j) {
  return equal(j->in[0], last_dimension(&j->call->inputs[0])) && equal(j->in[1], whole) && all_out(j, shard(2));
}

static bool join_heads(judged *j) {
  return all_in(j, 0, 3, shard(2)) && equal(j->in[3], whole) && all_out(j, last_dimension(&j->call->outputs[0]));
}

static bool attention(judged *j) {
  j->out[0] = shard(2);
  j->out[1] = shard(1);
  return all_in(j, 0, 3, shard(2));
}

static bool attention_backward(judged *j) {
  return all_in(j, 0, 4, shard(2)) && equal(j->in[4], shard(1)) && equal(j->in[5], shard(2)) && all_out(j, shard(2));
}

static bool embedding(judged *j) {
  return equal(j->in[0], whole) && equal(j->in[1], shard(0)) && all_out(j, partial);
}

static bool embedding_backward(judged *j) {
  return all_in(j, 0, 2, whole) && all_out(j, shard(0));
}

static bool reshape(judged *j) {
  j->out[0] = j->in[0];
  if (j->in[0].kind != TITAN_SHARD)
    return true;
  int64_t before = 1, seen = 1;
  for (int d = 0; d < j->in[0].dim; d++)
    before *= j->call->inputs[0].dims[d];
  for (j->out[0].dim = 0; seen < before; j->out[0].dim++)
    seen *= j->call->outputs[0].dims[j->out[0].dim];
  return seen == before;
}

// Parameters that are cut alike may be joined, each rank's parts of all; the joined one's gradient is taken apart.
static bool slice(judged *j) {
  return (!equal(j->in[0], shard(0)) || j->phase == TITAN_BACKWARD) && all_out(j, j->in[0]);
}

static bool concat(judged *j) {
  return all_in(j, 1, TITAN_MAX_INPUTS, j->in[0]) && all_out(j, j->in[0]);
}

static bool all_gather(judged *j) {
  return equal(j->in[0], shard(0)) && all_out(j, whole);
}

static bool reduce_scatter(judged *j) {
  return equal(j->in[0], partial) && all_out(j, shard(0));
}

static bool all_reduce(judged *j) {
  return equal(j->in[0], partial) && all_out(j, whole);
}

static bool gather_columns(judged *j) {
  return equal(j->in[0], last_dimension(&j->call->inputs[0])) && all_out(j, whole);
}

static bool take_columns(judged *j) {
  return equal(j->in[0], whole) && all_out(j, last_dimension(&j->call->outputs[0]));
}

static bool vocabulary_terms(judged *j) {
  return equal(j->in[0], shard(1)) && all_in(j, 1, 2, whole) && all_out(j, partial);
}

static bool vocabulary_loss(judged *j) {
  return equal(j->in[0], shard(1)) && all_in(j, 1, 3, whole) && all_out(j, whole);
}

static bool cross_entropy(judged *j) {
  return all_in(j, 0, 2, whole) && all_out(j, whole);
}

static bool cross_entropy_backward(judged *j) {
  return (equal(j->in[0], shard(1)) || equal(j->in[0], whole)) && all_in(j, 1, 3, whole) && all_out(j, j->in[0]);
}

static bool (*const judges[TITAN_OP_COUNT])(judged *) = {
    [TITAN_OP_embedding] = embedding,
    [TITAN_OP_embedding_backward] = embedding_backward,
    [TITAN_OP_matmul] = matmul,
    [TITAN_OP_rms_norm] = norm_of_one,
    [TITAN_OP_rms_norm_backward] = rms_norm_backward,
    [TITAN_OP_add_rms_norm] = norm_of_a_sum,
    [TITAN_OP_layer_norm] = norm_of_one,
    [TITAN_OP_layer_norm_backward] = layer_norm_backward,
    [TITAN_OP_rope] = rope,
    [TITAN_OP_split_heads] = split_heads,
    [TITAN_OP_join_heads] = join_heads,
    [TITAN_OP_attention] = attention,
    [TITAN_OP_attention_backward] = attention_backward,
    [TITAN_OP_silu] = elementwise,
    [TITAN_OP_silu_backward] = elementwise,
    [TITAN_OP_swiglu] = gate,
    [TITAN_OP_swiglu_backward] = gate,
    [TITAN_OP_mul] = elementwise,
    [TITAN_OP_add] = elementwise,
    [TITAN_OP_cross_entropy] = cross_entropy,
    [TITAN_OP_cross_entropy_backward] = cross_entropy_backward,
    [TITAN_OP_reshape] = reshape,
    [TITAN_OP_slice] = slice,
    [TITAN_OP_concat] = concat,
    [TITAN_OP_all_gather] = all_gather,
    [TITAN_OP_reduce_scatter] = reduce_scatter,
    [TITAN_OP_all_reduce] = all_reduce,
    [TITAN_OP_gather_columns] = gather_columns,
    [TITAN_OP_take_columns] = take_columns,
    [TITAN_OP_gather_matmul] = gather_matmul,
    [TITAN_OP_matmul_scatter] = matmul_scatter,
    [TITAN_OP_vocabulary_max] = vocabulary_terms,
    [TITAN_OP_vocabulary_sums] = vocabulary_terms,
    [TITAN_OP_vocabulary_loss] = vocabulary_loss,
};

// --- graphs ---

static int seen[TITAN_OP_COUNT]; // nodes judged, by operation

static void refuse(const titan_graph *graph, const char *what) {
  titan_text text = {0};
  if (titan_graph_print(graph, &text) == TITAN_OK)
    fprintf(stderr, "%s", text.data);
  titan_text_destroy(&text);
  fail_msg("%s", what);
}

static void judge(const titan_graph *graph, const titan_node *node) {
  judged j = {.call = &node->call, .phase = node->phase};
  char text[200];
  for (int i = 0; i < node->call.input_count; i++)
    j.in[i] = place_of(graph, node->inputs[i]);
  const char *name = titan_graph_value(graph, node->outputs[0])->name;
  seen[node->call.kind]++;
  if (judges[node->call.kind] == NULL || !judges[node->call.kind](&j)) {
    snprintf(text, sizeof text, "%s of %s does not take what lies so", titan_op_name(node->call.kind), name);
    refuse(graph, text);
  }
  for (int i = 0; i < node->call.output_count; i++) {
    // What a joined operation makes may have other dimensions than it gives, never other columns.
    if (equal(j.out[i], last_dimension(&node->call.outputs[i])))
      j.out[i] = last_dimension(&titan_graph_value(graph, node->outputs[i])->type);
    if (!equal(j.out[i], place_of(graph, node->outputs[i]))) {
      snprintf(text, sizeof text, "output %d of %s of %s is marked otherwise than its inputs make it", i,
               titan_op_name(node->call.kind), name);
      refuse(graph, text);
    }
  }
}

static titan_placement parameter_place(const char *name) {
  if (strstr(name, "norm") != NULL)
    return whole;
  return shard(strstr(name, "wo") != NULL || strstr(name, "w2") != NULL ? 1 : 0);
}

// What comes from elsewhere, and what is given on.
static void check_names(const titan_graph *graph) {
  int gradients = 0, parameters = 0;
  for (titan_value v = 0; v < titan_graph_value_count(graph); v++) {
    const titan_value_info *info = titan_graph_value(graph, v);
    bool activation = strcmp(info->name, "x") == 0 || strcmp(info->name, "d(y)") == 0;
    titan_placement wanted = info->role == TITAN_ROLE_PARAMETER ? parameter_place(info->name)
                             : activation                       ? shard(0)
                                                                : whole;
    if (info->role != TITAN_ROLE_INTERMEDIATE && !equal(place_of(graph, v), wanted))
      refuse(graph, info->name);
    parameters += info->role == TITAN_ROLE_PARAMETER;
  }
  for (int i = 0; i < titan_graph_output_count(graph); i++) {
    const titan_graph_output *output = titan_graph_output_at(graph, i);
    titan_placement of = output->of == TITAN_NO_VALUE ? whole : place_of(graph, output->of);
    if (output->kind == TITAN_OUTPUT_RESULT && strcmp(output->name, "y") == 0)
      of = shard(0);
    if (!equal(place_of(graph, output->value), of))
      refuse(graph, output->name);
    gradients += output->kind == TITAN_OUTPUT_PARAMETER_GRADIENT;
  }
  assert_int_equal(gradients, parameters);
}

static titan_runtime_options options_of(titan_norm_type norm_type) {
  return (titan_runtime_options){
      .slot_count = 2,
      .slots = {"exp_avg", "exp_avg_sq"},
      .model = titan_model_find("llama3"),
      .arguments = {.dim = DIM,
                    .layers = LAYERS,
                    .heads = 8,
                    .kv_heads = 4,
                    .multiple_of = 32,
                    .ffn_dim_multiplier = 1,
                    .norm_epsilon = 1e-5,
                    .rope_theta = 1e4,
                    .vocabulary = VOCABULARY,
                    .norm_type = norm_type},
      .shape = {.batch = BATCH, .length = LENGTH, .dtype = TITAN_FLOAT32},
      .global_tokens = BATCH * LENGTH,
  };
}

typedef void graph_check(const titan_graph *graph);

// Applies `check` to the graphs of the last rank's units; returns the rank's planned bytes.
static size_t check_graphs(const titan_runtime_options *options, int tp, graph_check *check) {
  titan_mesh *mesh;
  titan_device *device;
  titan_runtime *runtime;
  assert_int_equal(titan_mesh_create_fake((titan_mesh_degrees){1, 1, 1, 1, tp}, tp - 1, tp, &mesh), TITAN_OK);
  assert_int_equal(titan_device_create_cpu(1, &device), TITAN_OK);
  assert_int_equal(titan_runtime_plan(options, mesh, device, &runtime), TITAN_OK);
  for (int unit = 0; unit < titan_runtime_unit_count(runtime); unit++)
    check(titan_runtime_unit(runtime, unit)->plan->graph);
  size_t bytes = titan_runtime_memory_of(runtime).total;
  titan_runtime_destroy(&runtime);
  titan_device_destroy(&device);
  titan_mesh_destroy(&mesh);
  return bytes;
}

static void check_cut(const titan_graph *graph) {
  for (int n = 0; n < titan_graph_node_count(graph); n++)
    judge(graph, titan_graph_node(graph, n));
  check_names(graph);
}

// Each way of keeping activations; last with a budget that only some of them fit.
static void check_activations(titan_runtime_options options, int tp) {
  size_t bytes[TITAN_ACTIVATIONS_BUDGET];
  for (int mode = TITAN_ACTIVATIONS_KEPT; mode < TITAN_ACTIVATIONS_BUDGET; mode++) {
    options.activations = (titan_activation_options){.mode = (titan_activation_mode)mode, .every = 2};
    bytes[mode] = check_graphs(&options, tp, check_cut);
  }
  size_t most = bytes[TITAN_ACTIVATIONS_KEPT], least = bytes[TITAN_ACTIVATIONS_FULL];
  options.activations = (titan_activation_options){.mode = TITAN_ACTIVATIONS_BUDGET, .budget = (most + least) / 2};
  check_graphs(&options, tp, check_cut);
}

static void every_value_is_marked_as_what_it_is(void **state) {
  (void)state;
  for (int norm_type = TITAN_NORM_RMSNORM; norm_type <= TITAN_NORM_NP_LAYERNORM; norm_type++)
    for (int way = 0; way < 8; way++) {
      titan_runtime_options options = options_of((titan_norm_type)norm_type);
      options.loss_parallel = way & 1;
      options.compile = way & 2;
      options.async_tensor = way & 4;
      check_activations(options, way % 3 == 0 ? 4 : 2);
    }
  for (int kind = 0; kind < TITAN_OP_COUNT; kind++)
    if (judges[kind] != NULL && seen[kind] == 0)
      fail_msg("%s was never met", titan_op_name((titan_op_kind)kind));
}

static void check_whole(const titan_graph *graph) {
  for (titan_value v = 0; v < titan_graph_value_count(graph); v++)
    if (!equal(place_of(graph, v), whole))
      refuse(graph, titan_graph_value(graph, v)->name);
}

static void one_rank_has_all_of_every_value(void **state) {
  (void)state;
  for (int compile = 0; compile < 2; compile++) {
    titan_runtime_options options = options_of(TITAN_NORM_RMSNORM);
    options.loss_parallel = true;
    options.compile = compile;
    check_graphs(&options, 1, check_whole);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_value_is_marked_as_what_it_is),
      cmocka_unit_test(one_rank_has_all_of_every_value),
  };
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  return failures != 0 || titan_memory_report_leaks() != 0;
}
