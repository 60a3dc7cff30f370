// SPDX-License-Identifier: Apache-2.0
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

// The rows of a head are far apart, and no hardware prefetcher follows such a stride: each row touched asks for one of
// the next.
enum { PREFETCH_ROWS = 24 };

// VECTOR_WIDTH columns of one row from `column` on; 0 outside of the head.
VECTOR_INLINE vfloat head_load(const attention_head *head, int64_t row, int64_t column) {
  const int64_t left = head->columns - column, index = row * head->stride + column;
  if (row >= head->rows)
    return vector_set(0.0f);
  const int64_t ahead = index + PREFETCH_ROWS * head->stride;
  __builtin_prefetch((const char *)head->data + ahead * (int64_t)titan_dtype_bytes(head->dtype));
  if (left >= VECTOR_WIDTH)
    return vector_load_as(head->data, head->dtype, index);
  return vector_load_as_partial(head->data, head->dtype, index, left);
}

VECTOR_INLINE void head_store(const attention_head *head, int64_t row, int64_t column, vfloat x) {
  const int64_t left = head->columns - column, index = row * head->stride + column;
  if (row >= head->rows)
    return;
  const int64_t ahead = index + PREFETCH_ROWS * head->stride;
  __builtin_prefetch((const char *)head->data + ahead * (int64_t)titan_dtype_bytes(head->dtype), 1);
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

// Constants of exp2_of as whole vectors in memory: the coefficients of vector_exp2_fraction; the least exponent; 1.5 *
// 2^23, which added to x leaves no fraction bits, but the nearest integer in the lowest bits.
typedef struct exp2_constants {
  float coefficients[6][VECTOR_WIDTH], least[VECTOR_WIDTH], shift[VECTOR_WIDTH];
} exp2_constants;

// The pointer is one that the compiler knows nothing of: where vector registers are few it would otherwise keep
// constants in them across the tile products, whose sums then spill.
VECTOR_INLINE const exp2_constants *exp2_constants_get(void) {
#define EVERY_LANE(value)                                                                                              \
  { [0 ... VECTOR_WIDTH - 1] = (value) }
  static const exp2_constants values __attribute__((aligned(64))) = {
      .coefficients = {EVERY_LANE(1.0000000716546822f), EVERY_LANE(6.931469670647331e-1f),
                       EVERY_LANE(2.4022119723848476e-1f), EVERY_LANE(5.550713273542586e-2f),
                       EVERY_LANE(9.67554133421605e-3f), EVERY_LANE(1.3276471979478776e-3f)},
      .least = EVERY_LANE(-100.0f),
      .shift = EVERY_LANE(12582912.0f),
  };
#undef EVERY_LANE
  const exp2_constants *constants = &values;
  __asm__ volatile("" : "+r"(constants));
  return constants;
}

// 2^x, relative error below 2e-7, x at most 126. Below -100 the result may be 2^-100 for 0: nothing beside the 1 that
// is the greatest term of a softmax.
VECTOR_INLINE vfloat exp2_of(const exp2_constants *constants, bool limited, vfloat x) {
#if VECTOR_WIDTH == 16
  (void)limited;
  const vfloat n = vector_round(x), r = x - n;
#else
  if (!limited)
    x = vector_max(x, vector_load(constants->least));
  const vfloat shifted = x + vector_load(constants->shift);
  const vfloat r = x - (shifted - vector_load(constants->shift));
#endif
  vfloat p = vector_load(constants->coefficients[5]);
#pragma GCC unroll 5
  for (int i = 4; i >= 0; i--)
    p = vector_fma(p, r, vector_load(constants->coefficients[i]));
#if VECTOR_WIDTH == 16
  return vector_scale_by_power(p, n);
#else
  return (vfloat)((vuint)p + ((vuint)shifted << 23)); // into the exponent
#endif
}

// Which lanes of row t of a square tile are kept; the others are 0.
typedef enum tile_mask { KEEP_ALL, KEEP_LANES_FROM_ROW, KEEP_LANES_TO_ROW } tile_mask;

VECTOR_INLINE vfloat tile_masked(vfloat x, tile_mask mask, int64_t row, int v) {
  const vint lane = vector_iota() + (int32_t)(v * VECTOR_WIDTH), limit = vector_set_int((int32_t)row);
  return mask == KEEP_ALL
             ? x
             : vector_select(mask == KEEP_LANES_FROM_ROW ? lane >= limit : lane <= limit, x, vector_set(0));
}

// As tile_product with b = 2^(scores - offset), which replaces the scores [depth][STRIP] and is added to total. Here
// and not in a pass of its own, because the processor then does it beside the multiplications: its chains of dependent
// instructions are long. offset may be NULL (0), total may be NULL.
VECTOR_INLINE void tile_product_exp2(vfloat *sum, bool limited, const float *a, int64_t a_row, int64_t a_step,
                                     float *scores, int64_t depth, tile_mask mask, const vfloat *offset,
                                     vfloat *total) {
  const exp2_constants *constants = exp2_constants_get();
  for (int64_t t = 0; t < depth; t++) {
    vfloat column[TILE_VECTORS];
#pragma GCC unroll 8
    for (int v = 0; v < TILE_VECTORS; v++) {
      float *at = scores + t * STRIP + v * VECTOR_WIDTH;
      const vfloat x = vector_load(at);
      column[v] = tile_masked(exp2_of(constants, limited, offset != NULL ? x - offset[v] : x), mask, t, v);
      vector_store(at, column[v]);
      if (total != NULL)
        total[v] += column[v];
    }
#pragma GCC unroll 16
    for (int r = 0; r < TILE_ROWS; r++) {
      const vfloat factor = vector_set(a[r * a_row + t * a_step]);
#pragma GCC unroll 8
      for (int v = 0; v < TILE_VECTORS; v++)
        sum[r * TILE_VECTORS + v] = vector_fma(factor, column[v], sum[r * TILE_VECTORS + v]);
    }
  }
}

// The vectors of a tile, to and from memory where they lie one after another.
VECTOR_INLINE void tile_load(vfloat *sum, const float *from) {
#pragma GCC unroll 16
  for (int i = 0; i < TILE_ROWS * TILE_VECTORS; i++)
    sum[i] = vector_load(from + i * VECTOR_WIDTH);
}
VECTOR_INLINE void tile_store(const vfloat *sum, float *to) {
#pragma GCC unroll 16
  for (int i = 0; i < TILE_ROWS * TILE_VECTORS; i++)
    vector_store(to + i * VECTOR_WIDTH, sum[i]);
}

#endif
