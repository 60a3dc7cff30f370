// SPDX-License-Identifier: Apache-2.0
// Reverse-mode differentiation as a pass: it walks the forward nodes backwards and appends what each gradient rule asks
// for.
#include "graph/graph_private.h"

#include "base/memory.h"
#include "graph/rules.h"

#include <stdio.h>

typedef titan_status (*gradient_rule)(titan_graph *, const titan_node *, const titan_value *, titan_value *);

// A gradient rule by operation; NULL for those that have none. The rules of rows that are not differentiable are
// declared and never defined, so the table names them through a macro that only exists for 1.
#define GRADIENT_0(name) NULL
#define GRADIENT_1(name) titan_op_gradient_##name
static const gradient_rule gradient_rules[] = {
#define TITAN_OP(name, inputs_min, inputs_max, outputs_min, outputs_max, view, differentiable)                         \
  GRADIENT_##differentiable(name),
#include "graph/ops.def"
#undef TITAN_OP
};

// The gradient of a slice, to be put together with those of the other slices of the same value.
typedef struct piece {
  titan_value of, gradient;
  int64_t begin, count;
} piece;

typedef struct backward_state {
  titan_graph *graph;
  titan_value *gradients; // by value, for the values that there were before
  int value_count;
  piece *pieces;
  int piece_count, piece_capacity;
} backward_state;

// --- how gradients lie over the mesh ---

// The gradient of a part is a part. Of a sum's terms, each has the sum's gradient; and what every rank has whole, each
// uses for its part of what follows, so that the parts' gradients are the terms of a sum. `alike`: the ranks do the
// same with it, and each comes to the whole gradient.
static titan_placement placement_of_gradient(titan_placement of, bool alike) {
  if (of.kind == TITAN_SHARD)
    return of;
  return (titan_placement){of.kind == TITAN_REPLICATE && !alike ? TITAN_PARTIAL : TITAN_REPLICATE, 0};
}

// Whether all that the node reads is whole on every rank, and so are the gradients of what it gives.
static bool ranks_are_alike(const titan_graph *graph, const titan_node *node, const titan_value *dy, int dimension) {
  bool alike = true;
  for (int i = 0; i < node->call.input_count; i++)
    alike &= graph->values[node->inputs[i]].placement[dimension].kind == TITAN_REPLICATE;
  for (int i = 0; i < node->call.output_count; i++)
    alike &= dy[i] == TITAN_NO_VALUE || graph->values[dy[i]].placement[dimension].kind == TITAN_REPLICATE;
  return alike;
}

// Places a gradient that a rule has made, and what the rule has only reshaped into it. first: the rule's first value.
static void place_gradient(titan_graph *graph, titan_value gradient, titan_value first, int dimension,
                           titan_placement placement) {
  titan_graph_place_value(graph, gradient, dimension, placement);
  const titan_node *node = graph->nodes[graph->values[gradient].producer];
  if (node->call.kind != TITAN_OP_reshape || node->inputs[0] < first)
    return;
  if (placement.kind == TITAN_SHARD)
    placement.dim = titan_graph_reshaped_dimension(&node->call.outputs[0], placement.dim, &node->call.inputs[0]);
  if (placement.dim >= 0)
    titan_graph_place_value(graph, node->inputs[0], dimension, placement);
}

static void place_gradients(titan_graph *graph, const titan_node *node, const titan_value *dy, const titan_value *dx,
                            titan_value first) {
  for (int d = 0; d < TITAN_PLACEMENT_DIMENSIONS; d++) {
    bool alike = ranks_are_alike(graph, node, dy, d);
    for (int i = 0; i < node->call.input_count; i++)
      if (dx[i] >= first)
        place_gradient(graph, dx[i], first, d,
                       placement_of_gradient(graph->values[node->inputs[i]].placement[d], alike));
  }
}

// --- sums of gradients ---

// Whether nothing refers to a gradient yet, so that it may be changed: no node, no other value's gradient, no piece.
static bool is_free(const backward_state *state, titan_value gradient) {
  const titan_graph *graph = state->graph;
  for (int n = graph->values[gradient].producer + 1; n < graph->node_count; n++)
    for (int i = 0; i < graph->nodes[n]->call.input_count; i++)
      if (graph->nodes[n]->inputs[i] == gradient)
        return false;
  for (titan_value v = 0; v < state->value_count; v++)
    if (state->gradients[v] == gradient)
      return false;
  for (int i = 0; i < state->piece_count; i++)
    if (state->pieces[i].gradient == gradient)
      return false;
  return true;
}

// gradients[of] += gradient. A product that only serves this takes the sum so far as its third input, which spares the
// addition's traffic.
static titan_status accumulate(backward_state *state, titan_value of, titan_value gradient) {
  titan_graph *graph = state->graph;
  titan_value sum = state->gradients[of];
  if (sum == TITAN_NO_VALUE) {
    state->gradients[of] = gradient;
    return TITAN_OK;
  }
  int producer = graph->values[gradient].producer;
  titan_node *node = producer >= 0 ? graph->nodes[producer] : NULL;
  bool older = graph->values[sum].producer < producer;
  if (node != NULL && older && node->call.kind == TITAN_OP_matmul && node->call.input_count == 2 &&
      is_free(state, gradient)) {
    TITAN_TRY(titan_graph_node_add_input(graph, producer, sum));
    state->gradients[of] = gradient;
    return TITAN_OK;
  }
  TITAN_TRY(titan_graph_binary(graph, TITAN_OP_add, sum, gradient, &state->gradients[of]));
  titan_graph_place_like(graph, state->gradients[of], &graph->values[gradient]);
  return TITAN_OK;
}

// Puts the gradients of a value's slices together; they must cover its rows exactly, each once.
static titan_status join_pieces(backward_state *state, titan_value of) {
  titan_value inputs[TITAN_MAX_INPUTS];
  int count = 0, pieces = 0;
  int64_t row = 0;
  for (int i = 0; i < state->piece_count; i++)
    pieces += state->pieces[i].of == of;
  if (pieces == 0)
    return TITAN_OK;
  for (bool found = true; found;) {
    found = false;
    for (int i = 0; i < state->piece_count; i++)
      if (state->pieces[i].of == of && state->pieces[i].begin == row) {
        if (count == TITAN_MAX_INPUTS)
          return titan_error(TITAN_ERROR_INTERNAL, "more than %d slices of one value", TITAN_MAX_INPUTS);
        inputs[count++] = state->pieces[i].gradient;
        row += state->pieces[i].count;
        found = true;
        break;
      }
  }
  if (row != state->graph->values[of].type.dims[0] || count != pieces)
    return titan_error(TITAN_ERROR_INTERNAL, "the slices of %s do not cover its rows, each row once",
                       state->graph->values[of].name);
  titan_value whole;
  TITAN_TRY(titan_graph_apply(state->graph, TITAN_OP_concat, NULL, count, inputs, &whole));
  titan_graph_place_like(state->graph, whole, &state->graph->values[inputs[0]]);
  return accumulate(state, of, whole);
}

static titan_status add_piece(backward_state *state, const titan_node *node, titan_value gradient) {
  TITAN_TRY(titan_graph_grow(&state->pieces, state->piece_count, &state->piece_capacity, sizeof *state->pieces));
  state->pieces[state->piece_count++] =
      (piece){node->inputs[0], gradient, node->call.attributes.slice.begin, node->call.attributes.slice.count};
  return TITAN_OK;
}

// --- the graph as a whole ---

static titan_status differentiate_node(backward_state *state, const titan_node *node) {
  titan_graph *graph = state->graph;
  titan_value dy[TITAN_MAX_OUTPUTS], dx[TITAN_MAX_INPUTS];
  bool any = false;
  for (int i = 0; i < node->call.output_count; i++) {
    TITAN_TRY(join_pieces(state, node->outputs[i]));
    dy[i] = state->gradients[node->outputs[i]];
    any |= dy[i] != TITAN_NO_VALUE;
  }
  if (!any)
    return TITAN_OK;
  if (gradient_rules[node->call.kind] == NULL)
    return titan_error(TITAN_ERROR_INTERNAL, "%s has no gradient rule", titan_op_name(node->call.kind));
  if (dy[0] == TITAN_NO_VALUE)
    return titan_error(TITAN_ERROR_INTERNAL, "%s: only its first output can be differentiated",
                       titan_op_name(node->call.kind));
  for (int i = 0; i < node->call.input_count; i++)
    dx[i] = TITAN_NO_VALUE;
  titan_value first = graph->value_count;
  TITAN_TRY(gradient_rules[node->call.kind](graph, node, dy, dx));
  place_gradients(graph, node, dy, dx, first);
  for (int i = 0; i < node->call.input_count; i++) {
    if (dx[i] == TITAN_NO_VALUE || !titan_graph_wants_gradient(graph, node->inputs[i]))
      continue;
    if (node->call.kind == TITAN_OP_slice)
      TITAN_TRY(add_piece(state, node, dx[i]));
    else
      TITAN_TRY(accumulate(state, node->inputs[i], dx[i]));
  }
  return TITAN_OK;
}

static titan_status add_gradient_outputs(backward_state *state, int value_count) {
  titan_graph *graph = state->graph;
  for (titan_value v = 0; v < value_count; v++) {
    titan_value_info info = graph->values[v];
    if (info.role == TITAN_ROLE_INTERMEDIATE || !info.differentiable)
      continue;
    TITAN_TRY(join_pieces(state, v));
    char name[TITAN_NAME_BYTES];
    snprintf(name, sizeof name, "d(%.*s)", TITAN_NAME_BYTES - 4, info.name);
    if (state->gradients[v] == TITAN_NO_VALUE)
      return titan_error(TITAN_ERROR_INTERNAL, "graph %s: the output does not depend on %s", graph->name, info.name);
    TITAN_TRY(titan_graph_gradient_output_add(
        graph, info.role == TITAN_ROLE_PARAMETER ? TITAN_OUTPUT_PARAMETER_GRADIENT : TITAN_OUTPUT_INPUT_GRADIENT, name,
        state->gradients[v], v));
  }
  return TITAN_OK;
}

titan_status titan_graph_differentiate(titan_graph *graph, titan_value seed_of) {
  titan_status status = TITAN_OK;
  backward_state state = {.graph = graph};
  int node_count = graph->node_count;
  char name[TITAN_NAME_BYTES];
  const char *seed_name = graph->values[seed_of].name;
  for (int i = 0; i < graph->output_count; i++)
    if (graph->outputs[i].value == seed_of)
      seed_name = graph->outputs[i].name;
  snprintf(name, sizeof name, "d(%.*s)", TITAN_NAME_BYTES - 4, seed_name);
  titan_value seed;
  TITAN_TRY(titan_graph_input(graph, name, graph->values[seed_of].type, false, &seed));
  for (int d = 0; d < TITAN_PLACEMENT_DIMENSIONS; d++) // every rank begins with the same loss
    titan_graph_place_value(graph, seed, d, placement_of_gradient(graph->values[seed_of].placement[d], true));
  int value_count = graph->value_count;
  TITAN_TRY_CLEANUP(
      titan_memory_allocate(TITAN_MEMORY_GRAPH, (size_t)value_count * sizeof(titan_value), &state.gradients));
  state.value_count = value_count;
  for (int i = 0; i < value_count; i++)
    state.gradients[i] = TITAN_NO_VALUE;
  state.gradients[seed_of] = seed;
  graph->phase = TITAN_BACKWARD;
  for (int i = node_count - 1; i >= 0; i--)
    TITAN_TRY_CLEANUP(differentiate_node(&state, graph->nodes[i]));
  TITAN_TRY_CLEANUP(add_gradient_outputs(&state, value_count));
cleanup:
  titan_memory_free(state.gradients);
  titan_memory_free(state.pieces);
  return status;
}
