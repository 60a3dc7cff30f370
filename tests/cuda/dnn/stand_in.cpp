// SPDX-License-Identifier: Apache-2.0
// A stand-in of cuDNN for the emulated GPU: it computes a graph one operation after another in float32, as the
// operations' descriptions say, and rounds each value to its tensor's type. So a test can see what a graph means, and
// what it is given. Its heuristics offer three configurations, of which the first needs more workspace than there is
// and the second cannot be built.
#include "stand_in.h"

#include "runtime.h"

#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <vector>

namespace {

struct attribute {
  int64_t count;
  std::vector<unsigned char> bytes;
};

struct descriptor {
  cudnnBackendDescriptorType_t type;
  bool finalized = false;
  int choice = 0; // of a configuration
  const descriptor *graph = nullptr;
  std::map<int, attribute> attributes;
};

struct number_tensor {
  int64_t id;
  cudnnDataType_t type;
  int64_t dims[4], strides[4], alignment;
  bool is_virtual, by_value;
};

size_t size_of(cudnnBackendAttributeType_t type) {
  switch (type) {
  case CUDNN_TYPE_INT64:
  case CUDNN_TYPE_BACKEND_DESCRIPTOR:
  case CUDNN_TYPE_HANDLE:
  case CUDNN_TYPE_VOID_PTR:
    return 8;
  case CUDNN_TYPE_BOOLEAN:
  case CUDNN_TYPE_CHAR:
    return 1;
  default:
    return 4; // enumerations
  }
}

template <typename T> std::vector<T> values_of(const descriptor *d, int name) {
  auto found = d->attributes.find(name);
  if (found == d->attributes.end())
    return {};
  std::vector<T> values((size_t)found->second.count);
  memcpy(values.data(), found->second.bytes.data(), values.size() * sizeof(T));
  return values;
}

template <typename T> T value_of(const descriptor *d, int name, T otherwise = T()) {
  std::vector<T> values = values_of<T>(d, name);
  return values.empty() ? otherwise : values[0];
}

const descriptor *child_of(const descriptor *d, int name) {
  return value_of<const descriptor *>(d, name, nullptr);
}

number_tensor tensor_of(const descriptor *d) {
  number_tensor t = {};
  std::vector<int64_t> dims = values_of<int64_t>(d, CUDNN_ATTR_TENSOR_DIMENSIONS);
  std::vector<int64_t> strides = values_of<int64_t>(d, CUDNN_ATTR_TENSOR_STRIDES);
  for (size_t i = 0; i < 4; i++) {
    t.dims[i] = dims.at(i);
    t.strides[i] = strides.at(i);
  }
  t.id = value_of<int64_t>(d, CUDNN_ATTR_TENSOR_UNIQUE_ID);
  t.type = value_of<cudnnDataType_t>(d, CUDNN_ATTR_TENSOR_DATA_TYPE);
  t.alignment = value_of<int64_t>(d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT);
  t.is_virtual = value_of<unsigned char>(d, CUDNN_ATTR_TENSOR_IS_VIRTUAL) != 0;
  t.by_value = value_of<unsigned char>(d, CUDNN_ATTR_TENSOR_IS_BY_VALUE) != 0;
  return t;
}

float bf16_to_float(uint16_t bits) {
  uint32_t wide = (uint32_t)bits << 16;
  float value;
  memcpy(&value, &wide, sizeof value);
  return value;
}

uint16_t float_to_bf16(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  if (value != value)
    return (uint16_t)((bits >> 16) | 0x40u);
  return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

float rounded(cudnnDataType_t type, float value) {
  return type == CUDNN_DATA_BFLOAT16 ? bf16_to_float(float_to_bf16(value)) : value;
}

// --- one run of a graph ---

struct value {
  number_tensor tensor;
  std::vector<float> numbers; // in the order of the dimensions

  float at(const int64_t *index) const { // a dimension of one element, and shared heads, stand for all
    int64_t place = 0;
    for (int i = 0; i < 4; i++)
      place = place * tensor.dims[i] + (tensor.dims[i] == 1 ? 0 : index[i]);
    return numbers[(size_t)place];
  }
};

int64_t count_of(const number_tensor &t) {
  return t.dims[0] * t.dims[1] * t.dims[2] * t.dims[3];
}

void for_each(const number_tensor &t, const std::function<void(const int64_t *, int64_t)> &body) {
  int64_t index[4], place = 0;
  for (index[0] = 0; index[0] < t.dims[0]; index[0]++)
    for (index[1] = 0; index[1] < t.dims[1]; index[1]++)
      for (index[2] = 0; index[2] < t.dims[2]; index[2]++)
        for (index[3] = 0; index[3] < t.dims[3]; index[3]++)
          body(index, place++);
}

int64_t offset_of(const number_tensor &t, const int64_t *index) {
  return index[0] * t.strides[0] + index[1] * t.strides[1] + index[2] * t.strides[2] + index[3] * t.strides[3];
}

struct run {
  std::map<int64_t, void *> pointers;
  std::map<int64_t, float> scalars; // read when the run is asked for
  std::map<const descriptor *, value> values;

  void fail(const char *what) {
    stand_in_fail(what);
  }

  const value &read(const descriptor *d) {
    auto known = values.find(d);
    if (known != values.end())
      return known->second;
    value v = {tensor_of(d), {}};
    v.numbers.resize((size_t)count_of(v.tensor));
    if (v.tensor.is_virtual)
      fail("a value is read before it is written");
    else if (v.tensor.by_value)
      v.numbers[0] = scalars.count(v.tensor.id) ? scalars[v.tensor.id] : (fail("a scalar is not given"), NAN);
    else if (const char *memory = static_cast<const char *>(memory_of(v.tensor)))
      for_each(v.tensor, [&](const int64_t *index, int64_t place) {
        int64_t offset = offset_of(v.tensor, index);
        v.numbers[(size_t)place] = v.tensor.type == CUDNN_DATA_BFLOAT16
                                       ? bf16_to_float(reinterpret_cast<const uint16_t *>(memory)[offset])
                                       : reinterpret_cast<const float *>(memory)[offset];
      });
    return values[d] = v;
  }

  void *memory_of(const number_tensor &t) {
    void *memory = pointers.count(t.id) ? pointers[t.id] : nullptr;
    if (memory == nullptr)
      fail("an operand is not given");
    else if (reinterpret_cast<uintptr_t>(memory) % (uintptr_t)t.alignment != 0)
      fail("an operand is not aligned");
    return memory;
  }

  void write(const descriptor *d, const std::function<float(const int64_t *)> &body) {
    value v = {tensor_of(d), {}};
    if (values.count(d))
      fail("a value is written twice");
    v.numbers.resize((size_t)count_of(v.tensor));
    for_each(v.tensor, [&](const int64_t *index, int64_t place) {
      v.numbers[(size_t)place] = rounded(v.tensor.type, body(index));
    });
    if (!v.tensor.is_virtual)
      if (char *memory = static_cast<char *>(memory_of(v.tensor)))
        for_each(v.tensor, [&](const int64_t *index, int64_t place) {
          int64_t offset = offset_of(v.tensor, index);
          if (v.tensor.type == CUDNN_DATA_BFLOAT16)
            reinterpret_cast<uint16_t *>(memory)[offset] = float_to_bf16(v.numbers[(size_t)place]);
          else
            reinterpret_cast<float *>(memory)[offset] = v.numbers[(size_t)place];
        });
    values[d] = v;
  }

  void product(const descriptor *o) {
    const value a = read(child_of(o, CUDNN_ATTR_OPERATION_MATMUL_ADESC));
    const value b = read(child_of(o, CUDNN_ATTR_OPERATION_MATMUL_BDESC));
    const int64_t depth = a.tensor.dims[3], shared = a.tensor.dims[1] / b.tensor.dims[1];
    if (b.tensor.dims[2] != depth)
      fail("a product of shapes that do not fit");
    write(child_of(o, CUDNN_ATTR_OPERATION_MATMUL_CDESC), [&](const int64_t *i) {
      float sum = 0;
      for (int64_t k = 0; k < depth; k++) {
        const int64_t left[4] = {i[0], i[1], i[2], k}, right[4] = {i[0], i[1] / shared, k, i[3]};
        sum += a.at(left) * b.at(right);
      }
      return sum;
    });
  }

  void pointwise(const descriptor *o) {
    const descriptor *kind = child_of(o, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR);
    const descriptor *second = child_of(o, CUDNN_ATTR_OPERATION_POINTWISE_BDESC);
    const descriptor *third = child_of(o, CUDNN_ATTR_OPERATION_POINTWISE_TDESC);
    const int64_t axis = value_of<int64_t>(kind, CUDNN_ATTR_POINTWISE_AXIS, -1);
    const cudnnPointwiseMode_t mode = value_of<cudnnPointwiseMode_t>(kind, CUDNN_ATTR_POINTWISE_MODE);
    const value x = read(child_of(o, CUDNN_ATTR_OPERATION_POINTWISE_XDESC));
    const value b = second != nullptr ? read(second) : x, t = third != nullptr ? read(third) : x;
    write(child_of(o, CUDNN_ATTR_OPERATION_POINTWISE_YDESC), [&](const int64_t *i) {
      switch (mode) {
      case CUDNN_POINTWISE_MUL:
        return x.at(i) * b.at(i);
      case CUDNN_POINTWISE_ADD:
        return x.at(i) + b.at(i);
      case CUDNN_POINTWISE_SUB:
        return x.at(i) - b.at(i);
      case CUDNN_POINTWISE_DIV:
        return x.at(i) / b.at(i);
      case CUDNN_POINTWISE_EXP:
        return expf(x.at(i));
      case CUDNN_POINTWISE_LOG:
        return logf(x.at(i));
      case CUDNN_POINTWISE_IDENTITY:
        return x.at(i);
      case CUDNN_POINTWISE_CMP_GE:
        return x.at(i) >= b.at(i) ? 1.0f : 0.0f;
      case CUDNN_POINTWISE_GEN_INDEX:
        return (float)i[axis];
      case CUDNN_POINTWISE_BINARY_SELECT:
        return t.at(i) != 0 ? x.at(i) : b.at(i);
      default:
        fail("an operation that the stand-in does not know");
        return 0.0f;
      }
    });
  }

  void reduction(const descriptor *o) {
    const descriptor *kind = child_of(o, CUDNN_ATTR_OPERATION_REDUCTION_DESC);
    const bool adds = value_of<cudnnReduceTensorOp_t>(kind, CUDNN_ATTR_REDUCTION_OPERATOR) == CUDNN_REDUCE_TENSOR_ADD;
    const value x = read(child_of(o, CUDNN_ATTR_OPERATION_REDUCTION_XDESC));
    const descriptor *y = child_of(o, CUDNN_ATTR_OPERATION_REDUCTION_YDESC);
    const number_tensor shape = tensor_of(y);
    int64_t shared[4];
    for (int i = 0; i < 4; i++)
      shared[i] = x.tensor.dims[i] / shape.dims[i];
    write(y, [&](const int64_t *i) {
      const number_tensor part = {0,    CUDNN_DATA_FLOAT, {shared[0], shared[1], shared[2], shared[3]}, {}, 0, true,
                                  false};
      float result = adds ? 0 : -INFINITY;
      for_each(part, [&](const int64_t *j, int64_t) {
        const int64_t index[4] = {i[0] * shared[0] + j[0], i[1] * shared[1] + j[1], i[2] * shared[2] + j[2],
                                  i[3] * shared[3] + j[3]};
        result = adds ? result + x.at(index) : fmaxf(result, x.at(index));
      });
      return result;
    });
  }

  // The same memory with other dimensions and strides.
  void reshape(const descriptor *o) {
    const value x = read(child_of(o, CUDNN_ATTR_OPERATION_RESHAPE_XDESC));
    const descriptor *y = child_of(o, CUDNN_ATTR_OPERATION_RESHAPE_YDESC);
    const number_tensor shape = tensor_of(y);
    std::map<int64_t, float> memory;
    for_each(x.tensor, [&](const int64_t *i, int64_t) { memory[offset_of(x.tensor, i)] = x.at(i); });
    write(y, [&](const int64_t *i) {
      auto found = memory.find(offset_of(shape, i));
      if (found == memory.end()) {
        fail("a reshape reads what is not there");
        return 0.0f;
      }
      return found->second;
    });
  }

  void all(const descriptor *graph) {
    for (const descriptor *o : values_of<const descriptor *>(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS))
      if (o->type == CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR)
        product(o);
      else if (o->type == CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR)
        pointwise(o);
      else if (o->type == CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR)
        reduction(o);
      else
        reshape(o);
  }
};

int64_t workspace_of(const descriptor *configuration) {
  return configuration->choice == 0 ? INT64_MAX / 4 : (int64_t)STAND_IN_WORKSPACE;
}

struct state {
  cudaStream_t stream = nullptr;
  stand_in_facts facts = {};
};

state &now() {
  static state s;
  return s;
}

} // namespace

void stand_in_fail(const char *what) {
  now().facts.failures++;
  now().facts.last_failure = what;
}

stand_in_facts *stand_in(void) {
  return &now().facts;
}

// --- cuDNN's functions ---

extern "C" {

size_t cudnnGetVersion(void) {
  return now().facts.version != 0 ? now().facts.version : 91900;
}
const char *cudnnGetErrorString(cudnnStatus_t status) {
  return status == CUDNN_STATUS_SUCCESS ? "success" : "the stand-in refuses";
}
void cudnnGetLastErrorString(char *text, size_t size) {
  snprintf(text, size, "stand-in");
}
cudnnStatus_t cudnnCreate(cudnnHandle_t *handle) {
  now().facts.handles++;
  *handle = reinterpret_cast<cudnnHandle_t>(&now());
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnDestroy(cudnnHandle_t) {
  now().facts.handles--;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetStream(cudnnHandle_t, cudaStream_t stream) {
  now().stream = stream;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t *out) {
  descriptor *d = new descriptor;
  d->type = type;
  *out = d;
  now().facts.descriptors++;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t d) {
  delete static_cast<descriptor *>(d);
  now().facts.descriptors--;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t target, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t count, const void *values) {
  descriptor *d = static_cast<descriptor *>(target);
  if (d->finalized)
    return CUDNN_STATUS_BAD_PARAM;
  const unsigned char *bytes = static_cast<const unsigned char *>(values);
  d->attributes[name] = attribute{count, {bytes, bytes + (size_t)count * size_of(type)}};
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t target) {
  descriptor *d = static_cast<descriptor *>(target);
  if (d->type == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR &&
      child_of(d, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG)->choice != 2)
    return CUDNN_STATUS_NOT_SUPPORTED;
  d->finalized = true;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t source, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t, int64_t wanted, int64_t *count, void *values) {
  descriptor *d = static_cast<descriptor *>(source);
  int64_t number = 7;
  *count = 1;
  switch (name) {
  case CUDNN_ATTR_ENGINEHEUR_RESULTS:
    *count = now().facts.no_engine ? 0 : std::min<int64_t>(wanted, 3);
    for (int i = 0; i < *count; i++) {
      descriptor *configuration = static_cast<descriptor **>(values)[i];
      configuration->choice = i;
      configuration->graph = child_of(d, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
    }
    return CUDNN_STATUS_SUCCESS;
  case CUDNN_ATTR_ENGINECFG_ENGINE:
    return CUDNN_STATUS_SUCCESS;
  case CUDNN_ATTR_ENGINECFG_WORKSPACE_SIZE:
    number = workspace_of(d);
    break;
  case CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE:
    number = workspace_of(child_of(d, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG));
    break;
  default:
    break;
  }
  memcpy(values, &number, sizeof number);
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t, cudnnBackendDescriptor_t plan, cudnnBackendDescriptor_t pack) {
  const descriptor *p = static_cast<const descriptor *>(pack);
  const descriptor *graph = child_of(static_cast<descriptor *>(plan), CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG)->graph;
  std::vector<int64_t> ids = values_of<int64_t>(p, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
  std::vector<void *> pointers = values_of<void *>(p, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
  void *workspace = value_of<void *>(p, CUDNN_ATTR_VARIANT_PACK_WORKSPACE);
  auto it = std::make_shared<run>();
  std::map<int64_t, bool> by_value; // scalars are in host memory, and may be gone when the work is done
  for (const descriptor *o : values_of<const descriptor *>(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS))
    if (const descriptor *b = child_of(o, CUDNN_ATTR_OPERATION_POINTWISE_BDESC))
      by_value[tensor_of(b).id] = tensor_of(b).by_value;
  for (size_t i = 0; i < ids.size(); i++) {
    it->pointers[ids[i]] = pointers[i];
    if (by_value.count(ids[i]) && by_value[ids[i]])
      it->scalars[ids[i]] = *static_cast<float *>(pointers[i]);
  }
  now().facts.runs++;
  titan_emulated_enqueue(now().stream, [=] {
    memset(workspace, 0xff, STAND_IN_WORKSPACE);
    it->all(graph);
  });
  return CUDNN_STATUS_SUCCESS;
}
}
