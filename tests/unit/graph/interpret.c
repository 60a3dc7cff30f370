// SPDX-License-Identifier: Apache-2.0
#include "interpret.h"

#include "../../conformance/attention/reference.h"
#include "../../conformance/conformance.h"
#include "graph_test.h"

#include <string.h>

static const int64_t *dims_of(const titan_op_call *call, int input) {
  return call->inputs[input].dims;
}

static void attend(const titan_op_call *call, double *const *in, double **out) {
  const int64_t *q = dims_of(call, 0);
  attention_sizes sizes = {q[0], q[1], q[2], dims_of(call, 1)[2], q[3]};
  if (call->kind == TITAN_OP_attention)
    reference_attention(sizes, in[0], in[1], in[2], out[0], out[1]);
  else
    reference_attention_backward(sizes, in[0], in[1], in[2], in[3], in[4], in[5], out[0], out[1], out[2]);
}

static void copy_view(const titan_op_call *call, double *const *in, double *out) {
  int64_t skip = 0;
  if (call->kind == TITAN_OP_slice)
    skip = call->attributes.slice.begin * (titan_tensor_elements(&call->inputs[0]) / call->inputs[0].dims[0]);
  for (int i = 0; i < call->input_count; i++) {
    int64_t count = titan_tensor_elements(call->kind == TITAN_OP_concat ? &call->inputs[i] : &call->outputs[0]);
    memcpy(out, in[i] + skip, (size_t)count * sizeof *out);
    out += count;
  }
}

static void compute(const titan_op_call *call, double *const *in, double **out) {
  operand inputs[TITAN_MAX_INPUTS], outputs[TITAN_MAX_OUTPUTS];
  reference_function reference = reference_of(call->kind);
  if (reference == NULL)
    fail_msg("no reference of %s", titan_op_name(call->kind));
  for (int i = 0; i < call->input_count; i++)
    inputs[i] = (operand){in[i], NULL};
  for (int i = 0; i < call->output_count; i++) {
    size_t count = (size_t)titan_tensor_elements(&call->outputs[i]);
    memset(out[i], 0, count * sizeof(double));
    outputs[i].values = out[i];
    TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, count, sizeof(double), &outputs[i].terms));
  }
  reference(call, inputs, outputs);
  for (int i = 0; i < call->output_count; i++)
    titan_memory_free(outputs[i].terms);
}

void interpret(const titan_graph *graph, titan_phase phase, double **values) {
  for (int n = 0; n < titan_graph_node_count(graph); n++) {
    const titan_node *node = titan_graph_node(graph, n);
    double *in[TITAN_MAX_INPUTS], *out[TITAN_MAX_OUTPUTS];
    if (node->phase > phase)
      continue;
    for (int i = 0; i < node->call.input_count; i++)
      in[i] = values[node->inputs[i]];
    for (int i = 0; i < node->call.output_count; i++)
      out[i] = values[node->outputs[i]];
    if (titan_op_is_view(node->call.kind))
      copy_view(&node->call, in, out[0]);
    else if (node->call.kind == TITAN_OP_attention || node->call.kind == TITAN_OP_attention_backward)
      attend(&node->call, in, out);
    else
      compute(&node->call, in, out);
  }
}

double **interpret_allocate(const titan_graph *graph) {
  double **values;
  int count = titan_graph_value_count(graph);
  TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, (size_t)count, sizeof *values, &values));
  for (int v = 0; v < count; v++) {
    size_t elements = (size_t)titan_tensor_elements(&titan_graph_value(graph, v)->type);
    TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, elements, sizeof(double), &values[v]));
  }
  return values;
}

void interpret_free(const titan_graph *graph, double **values) {
  for (int v = 0; v < titan_graph_value_count(graph); v++)
    titan_memory_free(values[v]);
  titan_memory_free(values);
}
