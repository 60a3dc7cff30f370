// SPDX-License-Identifier: Apache-2.0
// Attention and its gradient: by cuDNN where titan_gpu_attention_of says so and cuDNN agrees, else by the device's own
// kernels. Both read and write the same lse, so that each call is free to choose.
#include "cuda/kernels/attention.h"
#include "base/log.h"
#include "cuda/dnn_attention.h"
#include "device/gpu_workspace.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { MOST_BLOCKS = 65535 }; // in the second and the third dimension of a grid

// What prepare makes. dnn: NULL where the own kernels compute it.
typedef struct attention_state {
  titan_gpu_attention way;
  titan_attention_sizes sizes;
  titan_dnn_attention *dnn;
} attention_state;

static titan_gpu_kind kind_of(const titan_device *device) {
  const titan_cuda *cuda = titan_cuda_of(device);
  return (titan_gpu_kind){.capability = 10 * cuda->properties.major + cuda->properties.minor,
                          .dnn = cuda->dnn != NULL,
                          .deterministic = cuda->deterministic};
}

static size_t attention_workspace(titan_device *device, const titan_op_call *call) {
  return titan_gpu_attention_workspace(call, kind_of(device));
}

static titan_status check_sizes(const titan_op_call *call) {
  const int64_t *q = call->inputs[0].dims;
  if (q[3] > TITAN_ATTENTION_MOST_HEAD)
    return titan_error(TITAN_ERROR_DEVICE, "%s: heads of %lld elements, and the CUDA device has kernels for at most %d",
                       titan_op_name(call->kind), (long long)q[3], TITAN_ATTENTION_MOST_HEAD);
  if (q[0] > MOST_BLOCKS || 2 * q[2] > MOST_BLOCKS || q[1] > INT_MAX / 2)
    return titan_error(TITAN_ERROR_DEVICE,
                       "%s: batch %lld, sequences of %lld and %lld heads, and the CUDA device has kernels for at most "
                       "%d, %d and %d",
                       titan_op_name(call->kind), (long long)q[0], (long long)q[1], (long long)q[2], MOST_BLOCKS,
                       INT_MAX / 2, MOST_BLOCKS / 2);
  return TITAN_OK;
}

static titan_attention_sizes sizes_of(const titan_op_call *call) {
  const int64_t *q = call->inputs[0].dims;
  return (titan_attention_sizes){.batch = (int)q[0],
                                 .length = (int)q[1],
                                 .heads = (int)q[2],
                                 .kv_heads = (int)call->inputs[1].dims[2],
                                 .head_size = (int)q[3],
                                 .bfloat16 = call->inputs[0].dtype == TITAN_BFLOAT16};
}

static const char *reason_of(const titan_device *device, const titan_op_call *call) {
  if (call->inputs[0].dtype != TITAN_BFLOAT16)
    return "float32";
  if (titan_cuda_of(device)->dnn == NULL)
    return "there is no cuDNN";
  return "cuDNN has none for this head size";
}

// Which attention it is, on the first rank; not the same line again for the next graph with such a call.
static void report(const titan_op_call *call, const attention_state *state, const char *reason) {
  static char last[2][512];
  const int64_t *q = call->inputs[0].dims;
  char text[sizeof last[0]], way[sizeof last[0] / 2];
  if (titan_log_rank() != 0)
    return;
  if (state->dnn != NULL)
    snprintf(way, sizeof way, "cuDNN, engine %lld, %lld kv heads at a time, %zu bytes of workspace",
             (long long)titan_dnn_attention_engine(state->dnn), (long long)state->way.kv_heads,
             state->way.sums + state->way.dq_sum + state->way.library);
  else
    snprintf(way, sizeof way, "own kernels (%.200s)", reason);
  snprintf(text, sizeof text, "CUDA: %s of %s [%lld,%lld,%lld,%lld], %d kv heads: %s", titan_op_name(call->kind),
           titan_dtype_name(call->inputs[0].dtype), (long long)q[0], (long long)q[1], (long long)q[2], (long long)q[3],
           state->sizes.kv_heads, way);
  if (strcmp(text, last[call->kind == TITAN_OP_attention]) != 0)
    titan_log_info("%s", text);
  memcpy(last[call->kind == TITAN_OP_attention], text, sizeof text);
}

static titan_status prepare_dnn(titan_device *device, const titan_op_call *call, attention_state *state,
                                char reason[TITAN_DNN_REASON_BYTES]) {
  const titan_attention_sizes *s = &state->sizes;
  const titan_dnn_attention_shape shape = {.batch = s->batch,
                                           .length = s->length,
                                           .heads = s->heads / s->kv_heads * state->way.kv_heads,
                                           .kv_heads = state->way.kv_heads,
                                           .head_size = s->head_size,
                                           .all_heads = s->heads,
                                           .all_kv_heads = s->kv_heads};
  const titan_dnn_attention_kind kind = call->kind == TITAN_OP_attention       ? TITAN_DNN_FORWARD
                                        : titan_cuda_of(device)->deterministic ? TITAN_DNN_BACKWARD_DETERMINISTIC
                                                                               : TITAN_DNN_BACKWARD;
  return titan_dnn_attention_create(titan_cuda_of(device)->dnn, kind, &shape, state->way.library, true, &state->dnn,
                                    reason);
}

static titan_status attention_prepare(titan_device *device, const titan_op_call *call, void **out) {
  attention_state *state;
  char reason[TITAN_DNN_REASON_BYTES];
  *out = NULL;
  TITAN_TRY(check_sizes(call));
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, 1, sizeof *state, &state));
  *out = state;
  state->way = titan_gpu_attention_of(call, kind_of(device));
  state->sizes = sizes_of(call);
  snprintf(reason, sizeof reason, "%s", reason_of(device, call));
  titan_status status = state->way.dnn ? prepare_dnn(device, call, state, reason) : TITAN_OK;
  if (status == TITAN_OK && state->dnn == NULL)
    status = titan_cuda_check(call->kind == TITAN_OP_attention ? titan_cuda_allow_attention()
                                                               : titan_cuda_allow_attention_backward(),
                              titan_op_name(call->kind));
  if (status == TITAN_OK)
    report(call, state, reason);
  return status;
}

static void attention_release(titan_device *device, void *state) {
  (void)device;
  if (state != NULL)
    titan_dnn_attention_destroy(&((attention_state *)state)->dnn);
  titan_memory_free(state);
}

static titan_status attention_run(titan_device *device, const titan_op_call *call, void *state_pointer,
                                  const void *const *inputs, void *const *outputs, void *workspace) {
  const attention_state *state = state_pointer;
  (void)call;
  if (state->dnn != NULL)
    return titan_dnn_attention_run(state->dnn, &(titan_dnn_attention_operands){.q = inputs[0],
                                                                               .k = inputs[1],
                                                                               .v = inputs[2],
                                                                               .out = outputs[0],
                                                                               .out_lse = outputs[1],
                                                                               .workspace = workspace});
  return titan_cuda_check(titan_cuda_put_attention(state->sizes, inputs[0], inputs[1], inputs[2], outputs[0],
                                                   outputs[1], titan_cuda_stream(device)),
                          "attention");
}

static const void *at(const void *data, size_t bytes) {
  return (const char *)data + bytes;
}

// All heads, or some after the others in one memory.
static titan_status run_dnn_backward(const attention_state *state, const void *const *inputs, void *const *outputs,
                                     void *workspace) {
  const titan_attention_sizes *s = &state->sizes;
  const int64_t group = s->heads / s->kv_heads;
  char *own = workspace;
  for (int64_t kv_head = 0; kv_head < s->kv_heads; kv_head += state->way.kv_heads) {
    const size_t kv = (size_t)(kv_head * s->head_size) * sizeof(titan_bf16), q = (size_t)group * kv;
    const size_t lse = (size_t)(kv_head * group * s->length) * sizeof(float);
    TITAN_TRY(titan_dnn_attention_run(
        state->dnn, &(titan_dnn_attention_operands){.q = at(inputs[0], q),
                                                    .k = at(inputs[1], kv),
                                                    .v = at(inputs[2], kv),
                                                    .o = at(inputs[3], q),
                                                    .lse = at(inputs[4], lse),
                                                    .d_o = at(inputs[5], q),
                                                    .dq = (char *)outputs[0] + q,
                                                    .dk = (char *)outputs[1] + kv,
                                                    .dv = (char *)outputs[2] + kv,
                                                    .sums = own,
                                                    .dq_sum = own + state->way.sums,
                                                    .workspace = own + state->way.sums + state->way.dq_sum}));
  }
  return TITAN_OK;
}

static titan_status attention_backward_run(titan_device *device, const titan_op_call *call, void *state_pointer,
                                           const void *const *inputs, void *const *outputs, void *workspace) {
  const attention_state *state = state_pointer;
  cudaStream_t stream = titan_cuda_stream(device);
  (void)call;
  if (state->dnn != NULL)
    return run_dnn_backward(state, inputs, outputs, workspace);
  TITAN_TRY(titan_cuda_check(titan_cuda_put_attention_row_sums(state->sizes, inputs[3], inputs[5], workspace, stream),
                             "attention_backward"));
  return titan_cuda_check(titan_cuda_put_attention_backward(state->sizes, inputs[0], inputs[1], inputs[2], inputs[4],
                                                            workspace, inputs[5], outputs[0], outputs[1], outputs[2],
                                                            stream),
                          "attention_backward");
}

const titan_kernel TITAN_CUDA_KERNEL(attention) = {
    .workspace = attention_workspace, .prepare = attention_prepare, .run = attention_run, .release = attention_release};
const titan_kernel TITAN_CUDA_KERNEL(attention_backward) = {.workspace = attention_workspace,
                                                            .prepare = attention_prepare,
                                                            .run = attention_backward_run,
                                                            .release = attention_release};
