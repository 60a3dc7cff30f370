// SPDX-License-Identifier: Apache-2.0
#if __has_include(<cudnn.h>)
#include "cuda/dnn_graph.h"

#include <stdio.h>
#include <string.h>

enum { VALUES = 100, CONFIGURATIONS = 16 }; // VALUES: where numbers of values that are never stored begin

static const cudnnBackendAttributeType_t DESCRIPTOR = CUDNN_TYPE_BACKEND_DESCRIPTOR;

static bool check(titan_dnn_graph *graph, cudnnStatus_t status, const char *what) {
  if (status == CUDNN_STATUS_SUCCESS || graph->failed)
    return !graph->failed;
  char text[1024] = "";
  graph->failed = true;
  graph->dnn->cudnnGetLastErrorString(text, sizeof text);
  snprintf(graph->reason, sizeof graph->reason, "cuDNN: %s: %s: %.160s", what, graph->dnn->cudnnGetErrorString(status),
           text);
  return false;
}

static titan_dnn_descriptor create(titan_dnn_graph *graph, cudnnBackendDescriptorType_t type) {
  titan_dnn_descriptor descriptor = NULL;
  if (graph->failed)
    return NULL;
  if (graph->count == TITAN_DNN_DESCRIPTORS)
    check(graph, CUDNN_STATUS_INTERNAL_ERROR, "too many descriptors");
  else if (check(graph, graph->dnn->cudnnBackendCreateDescriptor(type, &descriptor), "create a descriptor"))
    graph->descriptors[graph->count++] = descriptor;
  return descriptor;
}

static void set(titan_dnn_graph *graph, titan_dnn_descriptor descriptor, cudnnBackendAttributeName_t name,
                cudnnBackendAttributeType_t type, int64_t count, const void *values) {
  if (!graph->failed)
    check(graph, graph->dnn->cudnnBackendSetAttribute(descriptor, name, type, count, values), "set an attribute");
}

static void finalize(titan_dnn_graph *graph, titan_dnn_descriptor descriptor, const char *what) {
  if (!graph->failed)
    check(graph, graph->dnn->cudnnBackendFinalize(descriptor), what);
}

static titan_dnn_descriptor tensor_of(titan_dnn_graph *graph, int64_t id, int64_t alignment, bool stored, bool scalar,
                                      const titan_dnn_tensor *tensor) {
  titan_dnn_descriptor d = create(graph, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  const bool is_virtual = !stored;
  set(graph, d, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &id);
  set(graph, d, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &tensor->type);
  set(graph, d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, tensor->dims);
  set(graph, d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, tensor->strides);
  set(graph, d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment);
  set(graph, d, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &is_virtual);
  set(graph, d, CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, 1, &scalar);
  finalize(graph, d, "tensor");
  return d;
}

titan_dnn_descriptor titan_dnn_operand(titan_dnn_graph *graph, int64_t id, int64_t alignment,
                                       const titan_dnn_tensor *tensor) {
  return tensor_of(graph, id, alignment, true, false, tensor);
}

titan_dnn_descriptor titan_dnn_scalar(titan_dnn_graph *graph, int64_t id) {
  static const titan_dnn_tensor one = {CUDNN_DATA_FLOAT, {1, 1, 1, 1}, {1, 1, 1, 1}};
  return tensor_of(graph, id, (int64_t)sizeof(float), true, true, &one);
}

titan_dnn_descriptor titan_dnn_value(titan_dnn_graph *graph, const titan_dnn_tensor *tensor) {
  return tensor_of(graph, VALUES + graph->virtual_count++, 16, false, false, tensor);
}

static void operation_made(titan_dnn_graph *graph, titan_dnn_descriptor operation, const char *what) {
  finalize(graph, operation, what);
  if (!graph->failed && graph->operation_count == TITAN_DNN_OPERATIONS)
    check(graph, CUDNN_STATUS_INTERNAL_ERROR, "too many operations");
  if (!graph->failed)
    graph->operations[graph->operation_count++] = operation;
}

void titan_dnn_product(titan_dnn_graph *graph, titan_dnn_descriptor a, titan_dnn_descriptor b, titan_dnn_descriptor y) {
  const cudnnDataType_t type = CUDNN_DATA_FLOAT;
  titan_dnn_descriptor kind = create(graph, CUDNN_BACKEND_MATMUL_DESCRIPTOR);
  set(graph, kind, CUDNN_ATTR_MATMUL_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
  finalize(graph, kind, "product");
  titan_dnn_descriptor operation = create(graph, CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR);
  set(graph, operation, CUDNN_ATTR_OPERATION_MATMUL_ADESC, DESCRIPTOR, 1, &a);
  set(graph, operation, CUDNN_ATTR_OPERATION_MATMUL_BDESC, DESCRIPTOR, 1, &b);
  set(graph, operation, CUDNN_ATTR_OPERATION_MATMUL_CDESC, DESCRIPTOR, 1, &y);
  set(graph, operation, CUDNN_ATTR_OPERATION_MATMUL_DESC, DESCRIPTOR, 1, &kind);
  operation_made(graph, operation, "operation product");
}

// Unused operands are NULL; axis -1: none.
static void pointwise(titan_dnn_graph *graph, cudnnPointwiseMode_t mode, cudnnDataType_t type, int64_t axis,
                      const titan_dnn_descriptor operands[3], titan_dnn_descriptor y) {
  titan_dnn_descriptor kind = create(graph, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
  set(graph, kind, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
  set(graph, kind, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &type);
  if (axis >= 0)
    set(graph, kind, CUDNN_ATTR_POINTWISE_AXIS, CUDNN_TYPE_INT64, 1, &axis);
  finalize(graph, kind, "pointwise");
  static const cudnnBackendAttributeName_t names[] = {
      CUDNN_ATTR_OPERATION_POINTWISE_XDESC, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, CUDNN_ATTR_OPERATION_POINTWISE_TDESC};
  titan_dnn_descriptor operation = create(graph, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
  set(graph, operation, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, DESCRIPTOR, 1, &kind);
  for (int i = 0; i < 3; i++)
    if (operands[i] != NULL)
      set(graph, operation, names[i], DESCRIPTOR, 1, &operands[i]);
  set(graph, operation, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, DESCRIPTOR, 1, &y);
  operation_made(graph, operation, "operation pointwise");
}

void titan_dnn_pointwise(titan_dnn_graph *graph, cudnnPointwiseMode_t mode, cudnnDataType_t type,
                         titan_dnn_descriptor x, titan_dnn_descriptor b, titan_dnn_descriptor y) {
  pointwise(graph, mode, type, -1, (titan_dnn_descriptor[]){x, b, NULL}, y);
}

void titan_dnn_position(titan_dnn_graph *graph, int64_t axis, titan_dnn_descriptor x, titan_dnn_descriptor y) {
  pointwise(graph, CUDNN_POINTWISE_GEN_INDEX, CUDNN_DATA_FLOAT, axis, (titan_dnn_descriptor[]){x, NULL, NULL}, y);
}

void titan_dnn_select(titan_dnn_graph *graph, titan_dnn_descriptor x, titan_dnn_descriptor b,
                      titan_dnn_descriptor condition, titan_dnn_descriptor y) {
  pointwise(graph, CUDNN_POINTWISE_BINARY_SELECT, CUDNN_DATA_FLOAT, -1, (titan_dnn_descriptor[]){x, b, condition}, y);
}

void titan_dnn_reduce(titan_dnn_graph *graph, cudnnReduceTensorOp_t operation_kind, titan_dnn_descriptor x,
                      titan_dnn_descriptor y) {
  const cudnnDataType_t type = CUDNN_DATA_FLOAT;
  titan_dnn_descriptor kind = create(graph, CUDNN_BACKEND_REDUCTION_DESCRIPTOR);
  set(graph, kind, CUDNN_ATTR_REDUCTION_OPERATOR, CUDNN_TYPE_REDUCTION_OPERATOR_TYPE, 1, &operation_kind);
  set(graph, kind, CUDNN_ATTR_REDUCTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
  finalize(graph, kind, "reduction");
  titan_dnn_descriptor operation = create(graph, CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR);
  set(graph, operation, CUDNN_ATTR_OPERATION_REDUCTION_XDESC, DESCRIPTOR, 1, &x);
  set(graph, operation, CUDNN_ATTR_OPERATION_REDUCTION_YDESC, DESCRIPTOR, 1, &y);
  set(graph, operation, CUDNN_ATTR_OPERATION_REDUCTION_DESC, DESCRIPTOR, 1, &kind);
  operation_made(graph, operation, "operation reduction");
}

void titan_dnn_reshape(titan_dnn_graph *graph, titan_dnn_descriptor x, titan_dnn_descriptor y) {
  titan_dnn_descriptor operation = create(graph, CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR);
  set(graph, operation, CUDNN_ATTR_OPERATION_RESHAPE_XDESC, DESCRIPTOR, 1, &x);
  set(graph, operation, CUDNN_ATTR_OPERATION_RESHAPE_YDESC, DESCRIPTOR, 1, &y);
  operation_made(graph, operation, "operation reshape");
}

// The heuristics' configurations, the best first; returns their number.
static int64_t find_configurations(titan_dnn_graph *graph, titan_dnn_descriptor *configurations) {
  titan_cuda_dnn *dnn = graph->dnn;
  const cudnnBackendHeurMode_t mode = CUDNN_HEUR_MODE_A;
  graph->graph = create(graph, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  set(graph, graph->graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, DESCRIPTOR, graph->operation_count, graph->operations);
  if (dnn->handle != NULL)
    set(graph, graph->graph, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &dnn->handle);
  finalize(graph, graph->graph, "graph");
  titan_dnn_descriptor heuristics = create(graph, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  set(graph, heuristics, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, DESCRIPTOR, 1, &graph->graph);
  set(graph, heuristics, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
  if (dnn->properties != NULL)
    set(graph, heuristics, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, DESCRIPTOR, 1, &dnn->properties);
  finalize(graph, heuristics, "heuristics");
  for (int i = 0; i < CONFIGURATIONS; i++)
    configurations[i] = create(graph, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
  int64_t count = 0;
  if (!graph->failed)
    check(graph,
          dnn->cudnnBackendGetAttribute(heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS, DESCRIPTOR, CONFIGURATIONS, &count,
                                        configurations),
          "configurations");
  return graph->failed ? 0 : count < CONFIGURATIONS ? count : CONFIGURATIONS;
}

static bool read_configuration(titan_dnn_graph *graph, titan_dnn_descriptor configuration) {
  titan_cuda_dnn *dnn = graph->dnn;
  int64_t count = 0;
  graph->workspace = 0;
  graph->engine = -1;
  titan_dnn_descriptor engine = create(graph, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
  if (graph->failed)
    return false;
  if (dnn->cudnnBackendGetAttribute(configuration, CUDNN_ATTR_ENGINECFG_ENGINE, DESCRIPTOR, 1, &count, &engine) ==
      CUDNN_STATUS_SUCCESS)
    dnn->cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &count, &graph->engine);
  return dnn->cudnnBackendGetAttribute(configuration, CUDNN_ATTR_ENGINECFG_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &count,
                                       &graph->workspace) == CUDNN_STATUS_SUCCESS;
}

// A failure here leaves the next configuration to be tried, so it is no failure of the graph.
static bool build_plan(titan_dnn_graph *graph, titan_dnn_descriptor configuration, char *reason) {
  titan_cuda_dnn *dnn = graph->dnn;
  int64_t count = 0;
  graph->plan = create(graph, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
  set(graph, graph->plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, DESCRIPTOR, 1, &configuration);
  if (dnn->handle != NULL)
    set(graph, graph->plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &dnn->handle);
  else
    set(graph, graph->plan, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, DESCRIPTOR, 1, &dnn->properties);
  finalize(graph, graph->plan, "plan");
  if (!graph->failed)
    check(graph,
          dnn->cudnnBackendGetAttribute(graph->plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1,
                                        &count, &graph->workspace),
          "workspace of the plan");
  if (!graph->failed)
    return true;
  memcpy(reason, graph->reason, sizeof graph->reason);
  graph->failed = false;
  return false;
}

bool titan_dnn_plan(titan_dnn_graph *graph, int64_t limit, bool build) {
  titan_dnn_descriptor configurations[CONFIGURATIONS];
  const int64_t count = find_configurations(graph, configurations);
  if (graph->failed)
    return false;
  char reason[TITAN_DNN_REASON_BYTES];
  snprintf(reason, sizeof reason, "cuDNN has no engine for it");
  for (int64_t i = 0; i < count && !graph->failed; i++) {
    if (!read_configuration(graph, configurations[i]))
      continue;
    if (graph->workspace > limit) {
      snprintf(reason, sizeof reason, "cuDNN's engine %lld needs %lld bytes of workspace, more than the planned %lld",
               (long long)graph->engine, (long long)graph->workspace, (long long)limit);
      continue;
    }
    if (!build || (build_plan(graph, configurations[i], reason) && graph->workspace <= limit))
      return true;
  }
  if (!graph->failed)
    memcpy(graph->reason, reason, sizeof reason);
  graph->failed = true;
  return false;
}

titan_status titan_dnn_execute(titan_dnn_graph *graph, int count, const int64_t *ids, const void *const *pointers,
                               void *workspace) {
  titan_cuda_dnn *dnn = graph->dnn;
  titan_dnn_descriptor pack = NULL;
  cudnnStatus_t status = dnn->cudnnBackendCreateDescriptor(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &pack);
  if (status == CUDNN_STATUS_SUCCESS)
    status = dnn->cudnnBackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, count, ids);
  if (status == CUDNN_STATUS_SUCCESS)
    status = dnn->cudnnBackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, count,
                                           pointers);
  if (status == CUDNN_STATUS_SUCCESS)
    status = dnn->cudnnBackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace);
  if (status == CUDNN_STATUS_SUCCESS)
    status = dnn->cudnnBackendFinalize(pack);
  if (status == CUDNN_STATUS_SUCCESS)
    status = dnn->cudnnBackendExecute(dnn->handle, graph->plan, pack);
  if (pack != NULL)
    dnn->cudnnBackendDestroyDescriptor(pack);
  if (status == CUDNN_STATUS_SUCCESS)
    return TITAN_OK;
  char text[1024] = "";
  dnn->cudnnGetLastErrorString(text, sizeof text);
  return titan_error(TITAN_ERROR_DEVICE, "cuDNN: attention: %s: %s", dnn->cudnnGetErrorString(status), text);
}

void titan_dnn_graph_clear(titan_dnn_graph *graph) {
  while (graph->count > 0)
    graph->dnn->cudnnBackendDestroyDescriptor(graph->descriptors[--graph->count]);
}

#endif
