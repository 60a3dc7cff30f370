// SPDX-License-Identifier: Apache-2.0
// Graphs of cuDNN's small operations, of which it makes one kernel, and their plans. A graph is built by calls that
// cannot be checked one by one: the first failure is kept, and what follows does nothing.
#ifndef TITAN_CUDA_DNN_GRAPH_H
#define TITAN_CUDA_DNN_GRAPH_H

#include "cuda/dnn_library.h"

enum { TITAN_DNN_DESCRIPTORS = 192, TITAN_DNN_OPERATIONS = 32 };

typedef cudnnBackendDescriptor_t titan_dnn_descriptor;

// A tensor: [B, heads, rows, columns] and how far apart neighbours lie, in elements.
typedef struct titan_dnn_tensor {
  cudnnDataType_t type;
  int64_t dims[4], strides[4];
} titan_dnn_tensor;

typedef struct titan_dnn_graph {
  titan_cuda_dnn *dnn; // borrowed
  bool failed;
  char reason[TITAN_DNN_REASON_BYTES]; // of the first failure
  int count, operation_count;
  int64_t virtual_count;
  titan_dnn_descriptor descriptors[TITAN_DNN_DESCRIPTORS], operations[TITAN_DNN_OPERATIONS];
  // Of the plan: the engine's number, and its workspace in bytes.
  titan_dnn_descriptor graph, configuration, plan;
  int64_t engine, workspace;
} titan_dnn_graph;

// An operand of memory under the number `id` (1 to 99), aligned to `alignment` bytes; one whose value is given at the
// call, a float32 in host memory; a value that is never stored.
titan_dnn_descriptor titan_dnn_operand(titan_dnn_graph *graph, int64_t id, int64_t alignment,
                                       const titan_dnn_tensor *tensor);
titan_dnn_descriptor titan_dnn_scalar(titan_dnn_graph *graph, int64_t id);
titan_dnn_descriptor titan_dnn_value(titan_dnn_graph *graph, const titan_dnn_tensor *tensor);

// y = a b
void titan_dnn_product(titan_dnn_graph *graph, titan_dnn_descriptor a, titan_dnn_descriptor b, titan_dnn_descriptor y);
// y = mode(x, b), b NULL where mode has one operand; computed in `type`.
void titan_dnn_pointwise(titan_dnn_graph *graph, cudnnPointwiseMode_t mode, cudnnDataType_t type,
                         titan_dnn_descriptor x, titan_dnn_descriptor b, titan_dnn_descriptor y);
// y = the position along the axis, of x's shape.
void titan_dnn_position(titan_dnn_graph *graph, int64_t axis, titan_dnn_descriptor x, titan_dnn_descriptor y);
// y = condition ? x : b
void titan_dnn_select(titan_dnn_graph *graph, titan_dnn_descriptor x, titan_dnn_descriptor b,
                      titan_dnn_descriptor condition, titan_dnn_descriptor y);
// y = x reduced along the dimensions in which y has one element, or fewer heads.
void titan_dnn_reduce(titan_dnn_graph *graph, cudnnReduceTensorOp_t operation, titan_dnn_descriptor x,
                      titan_dnn_descriptor y);
// y = x with other strides.
void titan_dnn_reshape(titan_dnn_graph *graph, titan_dnn_descriptor x, titan_dnn_descriptor y);

// Takes the first of the heuristics' configurations whose workspace is at most `limit` bytes, and sets engine and
// workspace. With `build` its plan is made, which compiles (about a second); one that cannot be made is passed over.
// False with the reason where none is left, or the graph has failed.
bool titan_dnn_plan(titan_dnn_graph *graph, int64_t limit, bool build);

// Puts the plan into the stream of the handle. pointers: of the operands `ids`, scalars' in host memory.
titan_status titan_dnn_execute(titan_dnn_graph *graph, int count, const int64_t *ids, const void *const *pointers,
                               void *workspace);
// Destroys its descriptors.
void titan_dnn_graph_clear(titan_dnn_graph *graph);

#endif
