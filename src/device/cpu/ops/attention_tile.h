// What the attention kernels share: the shape of a call, packing of heads, and the one small matrix product that all
// their loops are made of.
#ifndef TITAN_DEVICE_CPU_OPS_ATTENTION_TILE_H
#define TITAN_DEVICE_CPU_OPS_ATTENTION_TILE_H

#include "device/cpu/vector.h"
#include "graph/op.h"
#include <math.h>

// A tile product keeps TILE_ROWS x TILE_VECTORS accumulators in registers: as many as leave room for the operands (32
// vector registers with AVX-512, 16 without).
#if VECTOR_WIDTH == 16
enum { TILE_ROWS = 8, TILE_VECTORS = 2 };
#elif VECTOR_WIDTH == 8
enum { TILE_ROWS = 4, TILE_VECTORS = 3 };
#else
enum { TILE_ROWS = 4, TILE_VECTORS = 2 };
#endif

// A strip is as many queries (forward) or keys (backward) as one tile product has lanes.
enum { STRIP = TILE_VECTORS * VECTOR_WIDTH };

#define LOG2_E 1.44269504088896340736
#define LN_2 0.69314718055994530942

typedef struct attention_shape {
  int64_t batch, length, heads, kv_heads, group, head_size; // group: query heads of one kv head
  int64_t padded_head;                                      // head_size rounded up to whole vectors
  int64_t padded_length;                                    // length rounded up to whole strips
  titan_dtype dtype;
  float scale; // of the scores: 1 / sqrt(head_size)
} attention_shape;

static inline int64_t round_up(int64_t n, int64_t unit) {
  return (n + unit - 1) / unit * unit;
}

static inline attention_shape attention_shape_of(const titan_op_call *call) {
  const int64_t *q = call->inputs[0].dims, *k = call->inputs[1].dims;
  return (attention_shape){
      .batch = q[0],
      .length = q[1],
      .heads = q[2],
      .kv_heads = k[2],
      .group = q[2] / k[2],
      .head_size = q[3],
      .padded_head = round_up(q[3], VECTOR_WIDTH),
      .padded_length = round_up(q[1], STRIP),
      .dtype = call->inputs[0].dtype,
      .scale = (float)(1.0 / sqrt((double)q[3])),
  };
}

// One head of a tensor [B, L, heads, H]: element (row, h) is data[row * stride + h].
typedef struct attention_head {
  void *data;
  titan_dtype dtype;
  int64_t stride, rows, columns;
} attention_head;

static inline attention_head attention_head_of(const attention_shape *shape, const void *tensor, int64_t batch,
                                               int64_t heads, int64_t head) {
  const int64_t offset = (batch * shape->length * heads + head) * shape->head_size;
  return (attention_head){
      .data = (char *)tensor + (size_t)offset * titan_dtype_bytes(shape->dtype),
      .dtype = shape->dtype,
      .stride = heads * shape->head_size,
      .rows = shape->length,
      .columns = shape->head_size,
  };
}

// VECTOR_WIDTH columns of one row from `column` on; 0 outside of the head.
VECTOR_INLINE vfloat head_load(const attention_head *head, int64_t row, int64_t column) {
  const int64_t left = head->columns - column, index = row * head->stride + column;
  if (row >= head->rows)
    return vector_set(0.0f);
  if (left >= VECTOR_WIDTH)
    return vector_load_as(head->data, head->dtype, index);
  return vector_load_as_partial(head->data, head->dtype, index, left);
}

VECTOR_INLINE void head_store(const attention_head *head, int64_t row, int64_t column, vfloat x) {
  const int64_t left = head->columns - column, index = row * head->stride + column;
  if (row >= head->rows)
    return;
  if (left >= VECTOR_WIDTH)
    vector_store_as(head->data, head->dtype, index, x);
  else
    vector_store_as_partial(head->data, head->dtype, index, x, left);
}

// to[row - begin][padded_head] = scale * head[row], rows begin .. end-1; 0 outside of the head.
static inline void head_pack(const attention_head *head, int64_t begin, int64_t end, float scale, int64_t padded_head,
                             float *to) {
  for (int64_t row = begin; row < end; row++, to += padded_head)
    for (int64_t h = 0; h < padded_head; h += VECTOR_WIDTH)
      vector_store(to + h, head_load(head, row, h) * vector_set(scale));
}

// to[h][STRIP] = scale * head[begin + lane][h] for STRIP rows.
static inline void head_pack_transposed(const attention_head *head, int64_t begin, float scale, int64_t padded_head,
                                        float *to) {
  for (int64_t h = 0; h < padded_head; h += VECTOR_WIDTH)
    for (int64_t lane = 0; lane < STRIP; lane += VECTOR_WIDTH) {
      vfloat square[VECTOR_WIDTH];
      for (int i = 0; i < VECTOR_WIDTH; i++)
        square[i] = head_load(head, begin + lane + i, h) * vector_set(scale);
      vector_transpose(square);
      for (int i = 0; i < VECTOR_WIDTH; i++)
        vector_store(to + (h + i) * STRIP + lane, square[i]);
    }
}

// head[begin + lane][h] = from[h][lane] * scales[lane] for STRIP rows; rows outside of the head are left out.
static inline void head_unpack_transposed(const attention_head *head, int64_t begin, const float *scales,
                                          int64_t padded_head, const float *from) {
  for (int64_t h = 0; h < padded_head; h += VECTOR_WIDTH)
    for (int64_t lane = 0; lane < STRIP; lane += VECTOR_WIDTH) {
      const vfloat scale = vector_load(scales + lane);
      vfloat square[VECTOR_WIDTH];
      for (int i = 0; i < VECTOR_WIDTH; i++)
        square[i] = vector_load(from + (h + i) * STRIP + lane) * scale;
      vector_transpose(square);
      for (int i = 0; i < VECTOR_WIDTH; i++)
        head_store(head, begin + lane + i, h, square[i]);
    }
}

// sum[r][v] += over t < depth of a[r * a_row + t * a_step] * b[t * b_step + v * VECTOR_WIDTH], rows x vectors in
// registers: rows and vectors are constants where it is inlined.
VECTOR_INLINE void tile_product(vfloat *sum, int rows, int vectors, const float *a, int64_t a_row, int64_t a_step,
                                const float *b, int64_t b_step, int64_t depth) {
  for (int64_t t = 0; t < depth; t++) {
    vfloat column[TILE_VECTORS];
#pragma GCC unroll 8
    for (int v = 0; v < vectors; v++)
      column[v] = vector_load(b + t * b_step + v * VECTOR_WIDTH);
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) {
      const vfloat factor = vector_set(a[r * a_row + t * a_step]);
#pragma GCC unroll 8
      for (int v = 0; v < vectors; v++)
        sum[r * vectors + v] = vector_fma(factor, column[v], sum[r * vectors + v]);
    }
  }
}

#endif
