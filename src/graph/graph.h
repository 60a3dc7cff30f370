// SPDX-License-Identifier: Apache-2.0
// A part of the model as a static graph: values in SSA form, nodes in the order they were made, no control flow.
//
// Building: inputs and parameters, then titan_graph_apply for each operation, then outputs. titan_graph_differentiate
// appends the backward. A plan (graph/plan.h) is made from the result.
#ifndef TITAN_GRAPH_GRAPH_H
#define TITAN_GRAPH_GRAPH_H

#include "base/text.h"
#include "graph/op.h"

enum { TITAN_NAME_BYTES = 64 };

// The dimensions of a value's placement.
enum { TITAN_PLACEMENT_CP, TITAN_PLACEMENT_TP, TITAN_PLACEMENT_DIMENSIONS };

typedef int titan_value;
#define TITAN_NO_VALUE ((titan_value)-1)

typedef enum titan_value_role { TITAN_ROLE_INTERMEDIATE, TITAN_ROLE_INPUT, TITAN_ROLE_PARAMETER } titan_value_role;

// How a value lies over one mesh dimension that shards the graph (0: cp, 1: tp): every rank has all of it, each has its
// part of dimension `dim`, or each has one of the terms whose sum (or, of maxima, the largest) it is.
typedef enum titan_placement_kind { TITAN_REPLICATE, TITAN_SHARD, TITAN_PARTIAL } titan_placement_kind;
typedef struct titan_placement {
  titan_placement_kind kind;
  int dim; // of a shard
} titan_placement;

// A parameter's block of the tensor that the model names: where it begins, and the whole's dimensions. What lies
// beyond the whole is padding and zero.
typedef struct titan_block_place {
  int64_t first[TITAN_MAX_RANK], whole[TITAN_MAX_RANK];
} titan_block_place;

typedef struct titan_value_info {
  char name[TITAN_NAME_BYTES];
  titan_tensor_type type;
  titan_block_place place; // of parameters
  titan_value_role role;
  bool differentiable; // an input or parameter whose gradient is wanted, or a value that depends on one
  int producer;        // node, or -1
  titan_placement placement[TITAN_PLACEMENT_DIMENSIONS];
} titan_value_info;

// TITAN_WEIGHT_GRADIENTS: what titan_graph_split_backward takes out of the backward; else it has no nodes.
typedef enum titan_phase { TITAN_FORWARD, TITAN_BACKWARD, TITAN_WEIGHT_GRADIENTS, TITAN_PHASES } titan_phase;

// "forward", "backward", "weight gradients"
const char *titan_phase_name(titan_phase phase);

typedef struct titan_node {
  titan_op_call call;
  titan_phase phase;
  bool recomputed; // computes once more, in the backward, what the forward has computed
  titan_value inputs[TITAN_MAX_INPUTS];
  titan_value outputs[TITAN_MAX_OUTPUTS];
} titan_node;

typedef enum titan_output_kind {
  TITAN_OUTPUT_RESULT,             // named by the builder
  TITAN_OUTPUT_INPUT_GRADIENT,     // of the input `of`
  TITAN_OUTPUT_PARAMETER_GRADIENT, // of the parameter `of`
} titan_output_kind;

typedef struct titan_graph_output {
  char name[TITAN_NAME_BYTES];
  titan_output_kind kind;
  titan_value value;
  titan_value of;
} titan_graph_output;

typedef struct titan_graph titan_graph;

titan_status titan_graph_create(const char *name, titan_graph **out);
void titan_graph_destroy(titan_graph **graph);

titan_status titan_graph_input(titan_graph *graph, const char *name, titan_tensor_type type, bool differentiable,
                               titan_value *out);
// Parameters lie in the unit's flat buffer in the order in which they were made.
titan_status titan_graph_parameter(titan_graph *graph, const char *name, titan_tensor_type type, titan_value *out);
// As above, for a block of the parameter.
titan_status titan_graph_parameter_block(titan_graph *graph, const char *name, titan_tensor_type type,
                                         const titan_block_place *place, titan_value *out);
// A value is whole on every rank until it is placed. titan_graph_place_like: as another value lies, of whatever graph.
void titan_graph_place_value(titan_graph *graph, titan_value value, int dimension, titan_placement placement);
void titan_graph_place_like(titan_graph *graph, titan_value value, const titan_value_info *other);
// Where a cut dimension is found after a reshape: the dimension before which as many elements lie; -1: there is none.
int titan_graph_reshaped_dimension(const titan_tensor_type *from, int dimension, const titan_tensor_type *to);

// Appends a node. `attributes` may be NULL. outputs: as many values as the operation has.
// TITAN_ERROR_INTERNAL when the operation does not accept the inputs.
titan_status titan_graph_apply(titan_graph *graph, titan_op_kind kind, const titan_op_attributes *attributes,
                               int input_count, const titan_value *inputs, titan_value *outputs);

// Shorthands of titan_graph_apply with one output.
titan_status titan_graph_unary(titan_graph *graph, titan_op_kind kind, titan_value x, titan_value *out);
titan_status titan_graph_binary(titan_graph *graph, titan_op_kind kind, titan_value a, titan_value b, titan_value *out);
titan_status titan_graph_reshape(titan_graph *graph, titan_value x, int rank, const int64_t *dims, titan_value *out);
// Rows begin .. begin+count of the first dimension.
titan_status titan_graph_slice(titan_graph *graph, titan_value x, int64_t begin, int64_t count, titan_value *out);
// op(a) op(b), output of type `dtype`.
titan_status titan_graph_matmul(titan_graph *graph, titan_value a, bool transpose_a, titan_value b, bool transpose_b,
                                titan_dtype dtype, titan_value *out);

// Names a value of the graph (for dumps).
void titan_graph_name_value(titan_graph *graph, titan_value value, const char *name);
titan_status titan_graph_output_add(titan_graph *graph, const char *name, titan_value value);

// Reverse-mode differentiation. `seed_of`: a float output; an input "d(<its name>)" of the same type is added, the
// gradient that comes from outside, and for every differentiable input and every parameter an output of the kind
// TITAN_OUTPUT_..._GRADIENT. The new nodes have the phase TITAN_BACKWARD, and their values lie over the mesh as what
// they are the gradients of lets them.
titan_status titan_graph_differentiate(titan_graph *graph, titan_value seed_of);

// Takes out of the backward what only the gradients of parameters depend on: it becomes the phase
// TITAN_WEIGHT_GRADIENTS, and the backward gives the gradients of the inputs alone. A parameter's gradient that comes
// with that of an input (of a norm, say) is copied in the later phase, so that every one is written there. For a
// differentiated graph, after all other passes.
titan_status titan_graph_split_backward(titan_graph *graph);

const char *titan_graph_name(const titan_graph *graph);
int titan_graph_value_count(const titan_graph *graph);
const titan_value_info *titan_graph_value(const titan_graph *graph, titan_value value);
// The type of a value's gradient: float32 for parameters and what is put together of parameters, else the value's own.
titan_dtype titan_graph_gradient_dtype(const titan_graph *graph, titan_value value);
bool titan_graph_wants_gradient(const titan_graph *graph, titan_value value);
int titan_graph_node_count(const titan_graph *graph);
const titan_node *titan_graph_node(const titan_graph *graph, int node);
int titan_graph_output_count(const titan_graph *graph);
const titan_graph_output *titan_graph_output_at(const titan_graph *graph, int index);
// The value of the input, parameter or result with this name; TITAN_NO_VALUE when there is none.
titan_value titan_graph_find(const titan_graph *graph, const char *name);

// For passes that change a graph: the phase of the nodes that are appended from now on; another value of the same type
// for an input of a node, or for an output.
void titan_graph_set_phase(titan_graph *graph, titan_phase phase);
void titan_graph_node_set_input(titan_graph *graph, int node, int input, titan_value value);
// Puts another operation in the place of a node. `outputs`: values that there are, of the same elements as the
// operation gives (in whatever dimensions), which it makes from now on, whoever made them before; a node that is left
// without use is not run.
titan_status titan_graph_node_replace(titan_graph *graph, int node, titan_op_kind kind,
                                      const titan_op_attributes *attributes, int input_count, const titan_value *inputs,
                                      const titan_value *outputs);
// Takes out the nodes on which no output depends.
titan_status titan_graph_remove_unused(titan_graph *graph);
void titan_graph_output_set_value(titan_graph *graph, int index, titan_value value);
// One more input for a node; TITAN_ERROR_INTERNAL when its operation does not take it.
titan_status titan_graph_node_add_input(titan_graph *graph, int node, titan_value value);
// Every node's input and every output that is `old` becomes `value`, of the same type.
void titan_graph_replace_uses(titan_graph *graph, titan_value old, titan_value value);
// Marks the node that computes the value as a recomputation.
void titan_graph_mark_recomputed(titan_graph *graph, titan_value value);
// Appends the same operation once more, in the phase set, on other inputs of the same types, as a recomputation.
titan_status titan_graph_recompute(titan_graph *graph, int node, const titan_value *inputs, titan_value *outputs);

// Adds a text form of the graph: a line per input, parameter, node and output, with types and placements.
titan_status titan_graph_print(const titan_graph *graph, titan_text *text);
// Adds a node's operation with the names of its inputs: "matmul(%3, attention.wq.weight, b transposed)".
titan_status titan_graph_print_call(const titan_graph *graph, const titan_node *node, titan_text *text);
// Adds the graph in the language of Graphviz: boxes are operations with their outputs' types and placements, blue in
// the forward and orange in the backward; the rest are inputs, parameters and outputs.
titan_status titan_graph_print_dot(const titan_graph *graph, titan_text *text);
// Adds a value's type and placements: "bfloat16[2,3,4] tp:shard(0)".
titan_status titan_graph_print_type(const titan_value_info *info, titan_text *text);
// A placement dimension's name: "cp", "tp".
const char *titan_graph_dimension_name(int dimension);

#endif
