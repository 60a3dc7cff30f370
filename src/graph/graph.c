// SPDX-License-Identifier: Apache-2.0
#include "graph/graph.h"

#include "base/memory.h"
#include "graph/graph_private.h"

#include <stdio.h>
#include <string.h>

titan_status titan_graph_grow(void *array, int count, int *capacity, size_t size) {
  if (count < *capacity)
    return TITAN_OK;
  int wanted = *capacity < 16 ? 16 : 2 * *capacity;
  TITAN_TRY(titan_memory_resize(TITAN_MEMORY_GRAPH, (size_t)wanted * size, array));
  *capacity = wanted;
  return TITAN_OK;
}

titan_status titan_graph_create(const char *name, titan_graph **out) {
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, 1, sizeof **out, out));
  snprintf((*out)->name, sizeof(*out)->name, "%s", name);
  return TITAN_OK;
}

void titan_graph_destroy(titan_graph **graph) {
  titan_graph *g = *graph;
  if (g == NULL)
    return;
  for (int i = 0; i < g->node_count; i++)
    titan_memory_free(g->nodes[i]);
  titan_memory_free(g->nodes);
  titan_memory_free(g->values);
  titan_memory_free(g->outputs);
  titan_memory_free(g);
  *graph = NULL;
}

titan_status titan_graph_value_add(titan_graph *graph, const char *name, titan_tensor_type type, titan_value_role role,
                                   bool differentiable, int producer, titan_value *out) {
  TITAN_TRY(titan_graph_grow(&graph->values, graph->value_count, &graph->value_capacity, sizeof *graph->values));
  titan_value_info *info = &graph->values[graph->value_count];
  *info = (titan_value_info){.type = type, .role = role, .differentiable = differentiable, .producer = producer};
  snprintf(info->name, sizeof info->name, "%s", name);
  *out = graph->value_count++;
  return TITAN_OK;
}

// Gradients and wiring go by name.
static titan_status check_name(const titan_graph *graph, const char *name) {
  if (strlen(name) >= TITAN_NAME_BYTES)
    return titan_error(TITAN_ERROR_INTERNAL, "graph %s: the name %s has more than %d characters", graph->name, name,
                       TITAN_NAME_BYTES - 1);
  for (titan_value v = 0; v < graph->value_count; v++)
    if (graph->values[v].role != TITAN_ROLE_INTERMEDIATE && strcmp(graph->values[v].name, name) == 0)
      return titan_error(TITAN_ERROR_INTERNAL, "graph %s has two inputs or parameters of the name %s", graph->name,
                         name);
  return TITAN_OK;
}

titan_status titan_graph_input(titan_graph *graph, const char *name, titan_tensor_type type, bool differentiable,
                               titan_value *out) {
  TITAN_TRY(check_name(graph, name));
  return titan_graph_value_add(graph, name, type, TITAN_ROLE_INPUT, differentiable, -1, out);
}

titan_status titan_graph_parameter(titan_graph *graph, const char *name, titan_tensor_type type, titan_value *out) {
  titan_block_place place = {0};
  for (int i = 0; i < type.rank; i++)
    place.whole[i] = type.dims[i];
  return titan_graph_parameter_block(graph, name, type, &place, out);
}

titan_status titan_graph_parameter_block(titan_graph *graph, const char *name, titan_tensor_type type,
                                         const titan_block_place *place, titan_value *out) {
  TITAN_TRY(check_name(graph, name));
  TITAN_TRY(titan_graph_value_add(graph, name, type, TITAN_ROLE_PARAMETER, true, -1, out));
  graph->values[*out].place = *place;
  return TITAN_OK;
}

void titan_graph_place_value(titan_graph *graph, titan_value value, int dimension, titan_placement placement) {
  graph->values[value].placement[dimension] = placement;
}

void titan_graph_place_like(titan_graph *graph, titan_value value, const titan_value_info *other) {
  for (int d = 0; d < TITAN_PLACEMENT_DIMENSIONS; d++)
    graph->values[value].placement[d] = other->placement[d];
}

int titan_graph_reshaped_dimension(const titan_tensor_type *from, int dimension, const titan_tensor_type *to) {
  int64_t before = 1, seen = 1;
  int found = 0;
  for (int d = 0; d < dimension; d++)
    before *= from->dims[d];
  while (found < to->rank && seen < before)
    seen *= to->dims[found++];
  return seen == before && found < to->rank ? found : -1;
}

// A node without operands. Most of a node is room for inputs: what is behind input_count is not written, since clearing
// it would take most of the time of making a graph.
static titan_status create_node(titan_phase phase, titan_op_kind kind, const titan_op_attributes *attributes,
                                titan_node **out) {
  titan_node *node;
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GRAPH, sizeof *node, &node));
  node->phase = phase;
  node->recomputed = false;
  node->call.kind = kind;
  node->call.attributes = attributes != NULL ? *attributes : (titan_op_attributes){0};
  node->call.input_count = node->call.output_count = 0;
  memset(node->call.outputs, 0, sizeof node->call.outputs);
  node->call.reusable_inputs = 0;
  *out = node;
  return TITAN_OK;
}

// The operation on values of the graph; *differentiable: whether one of them is.
static titan_status make_call(const titan_graph *graph, titan_node *node, const titan_value *inputs,
                              bool *differentiable) {
  titan_op_call *call = &node->call;
  *differentiable = false;
  for (int i = 0; i < call->input_count; i++) {
    if (inputs[i] < 0 || inputs[i] >= graph->value_count)
      return titan_error(TITAN_ERROR_INTERNAL, "%s: input %d is not a value of the graph %s", titan_op_name(call->kind),
                         i, graph->name);
    node->inputs[i] = inputs[i];
    call->inputs[i] = graph->values[inputs[i]].type;
    *differentiable |= graph->values[inputs[i]].differentiable;
  }
  return titan_op_infer(call);
}

titan_status titan_graph_apply(titan_graph *graph, titan_op_kind kind, const titan_op_attributes *attributes,
                               int input_count, const titan_value *inputs, titan_value *outputs) {
  if (input_count > TITAN_MAX_INPUTS)
    return titan_error(TITAN_ERROR_INTERNAL, "%s: more than %d inputs", titan_op_name(kind), TITAN_MAX_INPUTS);
  TITAN_TRY(titan_graph_grow(&graph->nodes, graph->node_count, &graph->node_capacity, sizeof *graph->nodes));
  titan_node *node = NULL;
  TITAN_TRY(create_node(graph->phase, kind, attributes, &node));
  node->call.input_count = input_count;
  bool differentiable;
  titan_status status = make_call(graph, node, inputs, &differentiable);
  if (status != TITAN_OK) {
    titan_memory_free(node);
    return status;
  }
  int index = graph->node_count++;
  graph->nodes[index] = node;
  differentiable &= graph->phase == TITAN_FORWARD;
  for (int i = 0; i < node->call.output_count; i++) {
    char name[TITAN_NAME_BYTES];
    snprintf(name, sizeof name, "%%%d", graph->value_count);
    TITAN_TRY(titan_graph_value_add(graph, name, node->call.outputs[i], TITAN_ROLE_INTERMEDIATE, differentiable, index,
                                    &node->outputs[i]));
    outputs[i] = node->outputs[i];
  }
  return TITAN_OK;
}

titan_status titan_graph_unary(titan_graph *graph, titan_op_kind kind, titan_value x, titan_value *out) {
  return titan_graph_apply(graph, kind, NULL, 1, &x, out);
}

titan_status titan_graph_binary(titan_graph *graph, titan_op_kind kind, titan_value a, titan_value b,
                                titan_value *out) {
  return titan_graph_apply(graph, kind, NULL, 2, (titan_value[]){a, b}, out);
}

titan_status titan_graph_reshape(titan_graph *graph, titan_value x, int rank, const int64_t *dims, titan_value *out) {
  titan_op_attributes attributes = {.reshape = {{graph->values[x].type.dtype, rank, {0}}}};
  for (int i = 0; i < rank; i++)
    attributes.reshape.type.dims[i] = dims[i];
  return titan_graph_apply(graph, TITAN_OP_reshape, &attributes, 1, &x, out);
}

titan_status titan_graph_slice(titan_graph *graph, titan_value x, int64_t begin, int64_t count, titan_value *out) {
  titan_op_attributes attributes = {.slice = {begin, count}};
  return titan_graph_apply(graph, TITAN_OP_slice, &attributes, 1, &x, out);
}

titan_status titan_graph_matmul(titan_graph *graph, titan_value a, bool transpose_a, titan_value b, bool transpose_b,
                                titan_dtype dtype, titan_value *out) {
  titan_op_attributes attributes = {.matmul = {transpose_a, transpose_b, dtype}};
  return titan_graph_apply(graph, TITAN_OP_matmul, &attributes, 2, (titan_value[]){a, b}, out);
}

titan_status titan_graph_node_add_input(titan_graph *graph, int node, titan_value value) {
  titan_node *n = graph->nodes[node];
  if (n->call.input_count == TITAN_MAX_INPUTS)
    return titan_error(TITAN_ERROR_INTERNAL, "%s: more than %d inputs", titan_op_name(n->call.kind), TITAN_MAX_INPUTS);
  n->inputs[n->call.input_count] = value;
  n->call.inputs[n->call.input_count++] = graph->values[value].type;
  return titan_op_infer(&n->call);
}

void titan_graph_replace_uses(titan_graph *graph, titan_value old, titan_value value) {
  for (int n = 0; n < graph->node_count; n++)
    for (int i = 0; i < graph->nodes[n]->call.input_count; i++)
      if (graph->nodes[n]->inputs[i] == old)
        graph->nodes[n]->inputs[i] = value;
  for (int i = 0; i < graph->output_count; i++)
    if (graph->outputs[i].value == old)
      graph->outputs[i].value = value;
}

void titan_graph_mark_recomputed(titan_graph *graph, titan_value value) {
  graph->nodes[graph->values[value].producer]->recomputed = true;
}

titan_status titan_graph_recompute(titan_graph *graph, int node, const titan_value *inputs, titan_value *outputs) {
  const titan_op_call *call = &graph->nodes[node]->call;
  TITAN_TRY(titan_graph_apply(graph, call->kind, &call->attributes, call->input_count, inputs, outputs));
  titan_graph_mark_recomputed(graph, outputs[0]);
  for (int i = 0; i < call->output_count; i++)
    titan_graph_place_like(graph, outputs[i], &graph->values[graph->nodes[node]->outputs[i]]);
  return TITAN_OK;
}

void titan_graph_set_phase(titan_graph *graph, titan_phase phase) {
  graph->phase = phase;
}

void titan_graph_node_set_input(titan_graph *graph, int node, int input, titan_value value) {
  graph->nodes[node]->inputs[input] = value;
}

titan_status titan_graph_node_replace(titan_graph *graph, int index, titan_op_kind kind,
                                      const titan_op_attributes *attributes, int input_count, const titan_value *inputs,
                                      const titan_value *outputs) {
  titan_op_call call = {.kind = kind, .attributes = *attributes, .input_count = input_count};
  if (input_count > TITAN_MAX_INPUTS)
    return titan_error(TITAN_ERROR_INTERNAL, "%s: more than %d inputs", titan_op_name(kind), TITAN_MAX_INPUTS);
  for (int i = 0; i < input_count; i++)
    call.inputs[i] = graph->values[inputs[i]].type;
  TITAN_TRY(titan_op_infer(&call));
  for (int i = 0; i < call.output_count; i++) {
    const titan_tensor_type *type = &graph->values[outputs[i]].type;
    if (type->dtype != call.outputs[i].dtype || titan_tensor_elements(type) != titan_tensor_elements(&call.outputs[i]))
      return titan_error(TITAN_ERROR_INTERNAL, "graph %s: %s gives other elements than %s has", graph->name,
                         titan_op_name(kind), graph->values[outputs[i]].name);
  }
  titan_node *node = graph->nodes[index];
  node->call = call;
  memcpy(node->inputs, inputs, (size_t)input_count * sizeof *inputs);
  memcpy(node->outputs, outputs, (size_t)call.output_count * sizeof *outputs);
  for (int i = 0; i < call.output_count; i++)
    graph->values[outputs[i]].producer = index;
  return TITAN_OK;
}

// Nodes on which a value depends.
static void mark_used(const titan_graph *graph, titan_value value, bool *used) {
  int index = graph->values[value].producer;
  if (index < 0 || used[index])
    return;
  used[index] = true;
  for (int i = 0; i < graph->nodes[index]->call.input_count; i++)
    mark_used(graph, graph->nodes[index]->inputs[i], used);
}

titan_status titan_graph_remove_unused(titan_graph *graph) {
  bool *used = NULL;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, (size_t)graph->node_count + 1, sizeof *used, &used));
  for (int i = 0; i < graph->output_count; i++)
    mark_used(graph, graph->outputs[i].value, used);
  int kept = 0;
  for (int n = 0; n < graph->node_count; n++) {
    titan_node *node = graph->nodes[n];
    if (!used[n]) {
      for (int i = 0; i < node->call.output_count; i++)
        if (graph->values[node->outputs[i]].producer == n)
          graph->values[node->outputs[i]].producer = -1; // nothing reads it
      titan_memory_free(node);
      continue;
    }
    for (int i = 0; i < node->call.output_count; i++)
      graph->values[node->outputs[i]].producer = kept;
    graph->nodes[kept++] = node;
  }
  graph->node_count = kept;
  titan_memory_free(used);
  return TITAN_OK;
}

void titan_graph_output_set_value(titan_graph *graph, int index, titan_value value) {
  graph->outputs[index].value = value;
}

void titan_graph_name_value(titan_graph *graph, titan_value value, const char *name) {
  snprintf(graph->values[value].name, sizeof graph->values[value].name, "%s", name);
}

titan_status titan_graph_gradient_output_add(titan_graph *graph, titan_output_kind kind, const char *name,
                                             titan_value value, titan_value of) {
  TITAN_TRY(titan_graph_grow(&graph->outputs, graph->output_count, &graph->output_capacity, sizeof *graph->outputs));
  titan_graph_output *output = &graph->outputs[graph->output_count++];
  *output = (titan_graph_output){.kind = kind, .value = value, .of = of};
  snprintf(output->name, sizeof output->name, "%s", name);
  return TITAN_OK;
}

titan_status titan_graph_output_add(titan_graph *graph, const char *name, titan_value value) {
  return titan_graph_gradient_output_add(graph, TITAN_OUTPUT_RESULT, name, value, TITAN_NO_VALUE);
}

const char *titan_phase_name(titan_phase phase) {
  static const char *const names[TITAN_PHASES] = {"forward", "backward", "weight gradients"};
  return names[phase];
}

const char *titan_graph_name(const titan_graph *graph) {
  return graph->name;
}
int titan_graph_value_count(const titan_graph *graph) {
  return graph->value_count;
}
const titan_value_info *titan_graph_value(const titan_graph *graph, titan_value value) {
  return &graph->values[value];
}
titan_dtype titan_graph_gradient_dtype(const titan_graph *graph, titan_value value) {
  const titan_value_info *info = &graph->values[value];
  const titan_node *node = info->producer < 0 ? NULL : graph->nodes[info->producer];
  bool of_parameters = info->role == TITAN_ROLE_PARAMETER;
  if (node != NULL && node->call.kind == TITAN_OP_concat)
    of_parameters = graph->values[node->inputs[0]].role == TITAN_ROLE_PARAMETER;
  return of_parameters ? TITAN_FLOAT32 : info->type.dtype;
}
bool titan_graph_wants_gradient(const titan_graph *graph, titan_value value) {
  return graph->values[value].differentiable;
}
int titan_graph_node_count(const titan_graph *graph) {
  return graph->node_count;
}
const titan_node *titan_graph_node(const titan_graph *graph, int node) {
  return graph->nodes[node];
}
int titan_graph_output_count(const titan_graph *graph) {
  return graph->output_count;
}
const titan_graph_output *titan_graph_output_at(const titan_graph *graph, int index) {
  return &graph->outputs[index];
}

titan_value titan_graph_find(const titan_graph *graph, const char *name) {
  for (int i = 0; i < graph->output_count; i++)
    if (strcmp(graph->outputs[i].name, name) == 0)
      return graph->outputs[i].value;
  for (titan_value v = 0; v < graph->value_count; v++)
    if (strcmp(graph->values[v].name, name) == 0)
      return v;
  return TITAN_NO_VALUE;
}
