// SPDX-License-Identifier: Apache-2.0
// Causal attention by cuDNN: the graphs of small operations that it knows as attention, forward and backward, in
// bfloat16 with sums in float32. B batch, L length, N query heads, K kv heads, H head size (a multiple of 8).
#ifndef TITAN_CUDA_DNN_ATTENTION_H
#define TITAN_CUDA_DNN_ATTENTION_H

#include "cuda/dnn.h"

// A plan works on `heads` query heads and `kv_heads` kv heads of tensors [B,L,all_heads,H] and [B,L,all_kv_heads,H],
// whose pointers are those of its first head.
typedef struct titan_dnn_attention_shape {
  int64_t batch, length, heads, kv_heads, head_size, all_heads, all_kv_heads;
} titan_dnn_attention_shape;

typedef enum titan_dnn_attention_kind {
  TITAN_DNN_FORWARD,
  TITAN_DNN_BACKWARD,               // sums dq in an order that may differ from run to run
  TITAN_DNN_BACKWARD_DETERMINISTIC, // does not, and needs memory of the size of the scores
} titan_dnn_attention_kind;

typedef struct titan_dnn_attention titan_dnn_attention;

// *out is NULL where cuDNN has no engine for it that does with `limit` bytes of workspace; `reason` then says so.
// TITAN_ERROR_MEMORY alone is a failure. build: the plan is compiled, and can be run; otherwise it is only found. Equal
// requests get the same plan, which is compiled once, until the last of them destroys it. From one thread at a time.
titan_status titan_dnn_attention_create(titan_cuda_dnn *dnn, titan_dnn_attention_kind kind,
                                        const titan_dnn_attention_shape *shape, size_t limit, bool build,
                                        titan_dnn_attention **out, char reason[TITAN_DNN_REASON_BYTES]);
// NULL is fine; the handle becomes NULL.
void titan_dnn_attention_destroy(titan_dnn_attention **attention);
// The number of cuDNN's engine, and the bytes that it needs.
int64_t titan_dnn_attention_engine(const titan_dnn_attention *attention);
size_t titan_dnn_attention_workspace(const titan_dnn_attention *attention);

// In DEVICE space. Forward reads q, k, v and writes out (o) and out_lse [B,N,L] f32; backward reads q, k, v, o, lse and
// d_o, writes dq, dk, dv, and needs `sums` [B,heads,L] f32 and, unless deterministic, `dq_sum` [B,heads,L,H] f32, of
// which nothing is kept. workspace: as many bytes as asked for. All but lse are aligned to 16 bytes.
typedef struct titan_dnn_attention_operands {
  const void *q, *k, *v, *o, *lse, *d_o;
  void *out, *out_lse, *dq, *dk, *dv, *sums, *dq_sum, *workspace;
} titan_dnn_attention_operands;

// Puts it into the handle's stream.
titan_status titan_dnn_attention_run(titan_dnn_attention *attention, const titan_dnn_attention_operands *operands);

#endif
