// SPDX-License-Identifier: Apache-2.0
// Causal attention, backward: T. Dao, "FlashAttention-2: faster attention with better parallelism and work
// partitioning" (2023). Probabilities are computed again from the scores and lse:
//
//   p = 2^(q k' - lse)   dV = p' dO   dP = dO V'   dS = p * (dP - D), D_i = sum(dO_i * O_i)   dQ = dS K   dK = dS' Q
//
// with q scaled by log2(e) / sqrt(H) and lse in units of log 2. The lanes of a vector are keys, except in dQ, where
// they are the elements of the head. -lse and -D are where the products' sums begin, which makes subtracting them free.
//
// Whatever the number of threads, the sums have one order: the keys of a head are cut into segments by the shape alone;
// dQ is summed within a segment, then over segments; dK and dV over the query heads of a kv head.
#include "device/cpu/kernel.h"
#include "device/cpu/ops/attention_tile.h"

#include <omp.h>

enum {
  BLOCK_STRIPS = 4,       // strips of keys that are worked on together
  BLOCK_ROWS = 2 * STRIP, // queries at a time
  MAX_SEGMENTS = 8,
};

// One head's queries, as a unit of work needs them.
typedef struct packed_queries {
  float *queries, *gradients; // [padded_length][padded_head]: q scaled, dO
  float *minus_lse, *minus_D; // [padded_length]
} packed_queries;

// What is kept of one strip of keys. Each [padded_head][STRIP], `keys` [STRIP][padded_head].
typedef struct key_strip {
  float *keys_transposed, *values_transposed, *keys, *key_gradient, *value_gradient;
} key_strip;

typedef struct backward_memory {
  packed_queries packed;
  float *strips;                               // [BLOCK_STRIPS] key_strip
  float *probabilities, *score_gradients;      // [BLOCK_ROWS][STRIP]
  float *query_gradient, *query_gradient_part; // [padded_length][padded_head]: of a head, of a segment
  float *key_gradient, *value_gradient;        // [padded_length][padded_head], as strips: of a kv head, where group > 1
} backward_memory;

static key_strip strip_of(const backward_memory *memory, int64_t padded_head, int64_t index) {
  const int64_t size = padded_head * STRIP;
  float *base = memory->strips + index * 5 * size;
  return (key_strip){base, base + size, base + 2 * size, base + 3 * size, base + 4 * size};
}

// products[row][STRIP] = first[row] + sum over h of rows_of_head[row][h] * lanes[h][STRIP]; times `factors`, where
// given.
VECTOR_INLINE void multiply_rows(int64_t padded_head, const float *rows_of_head, const float *lanes, const float *first,
                                 int64_t rows, const float *factors, float *products) {
  for (int64_t row = 0; row < rows; row += TILE_ROWS) {
    vfloat sum[TILE_ROWS * TILE_VECTORS];
#pragma GCC unroll 16
    for (int i = 0; i < TILE_ROWS * TILE_VECTORS; i++)
      sum[i] = vector_set(first[row + i / TILE_VECTORS]);
    tile_product(sum, TILE_ROWS, TILE_VECTORS, rows_of_head + row * padded_head, padded_head, 1, lanes, STRIP,
                 padded_head);
    if (factors != NULL) {
#pragma GCC unroll 16
      for (int i = 0; i < TILE_ROWS * TILE_VECTORS; i++)
        sum[i] *= vector_load(factors + row * STRIP + i * VECTOR_WIDTH);
    }
    tile_store(sum, products + row * STRIP);
  }
}

// total[h][STRIP] += over rows of rows_of_head[row][h] * lanes[row][STRIP]. exponents: the lanes are first replaced by
// 2 to their power.
VECTOR_INLINE void accumulate_keys(int64_t padded_head, bool exponents, tile_mask mask, const float *rows_of_head,
                                   float *lanes, int64_t rows, float *total) {
  int64_t h = 0;
  vfloat sum[TILE_ROWS * TILE_VECTORS];
  if (exponents) {
    tile_load(sum, total);
    tile_product_exp2(sum, false, rows_of_head, 1, padded_head, lanes, rows, mask, NULL, NULL);
    tile_store(sum, total);
    h = TILE_ROWS;
  }
  for (; h < padded_head; h += TILE_ROWS) {
    tile_load(sum, total + h * STRIP);
    tile_product(sum, TILE_ROWS, TILE_VECTORS, rows_of_head + h, 1, padded_head, lanes, STRIP, rows);
    tile_store(sum, total + h * STRIP);
  }
}

// total[row][h ..] += over keys of score_gradients[row][key] * keys[key][h ..], `vectors` vectors of h.
VECTOR_INLINE void accumulate_query_columns(int tile_rows, int vectors, int64_t padded_head,
                                            const float *score_gradients, const float *keys, int64_t rows,
                                            float *total) {
  for (int64_t row = 0; row < rows; row += tile_rows) {
    vfloat sum[16];
#pragma GCC unroll 16
    for (int i = 0; i < tile_rows * vectors; i++)
      sum[i] = vector_load(total + (row + i / vectors) * padded_head + i % vectors * VECTOR_WIDTH);
    tile_product(sum, tile_rows, vectors, score_gradients + row * STRIP, STRIP, 1, keys, padded_head, STRIP);
#pragma GCC unroll 16
    for (int i = 0; i < tile_rows * vectors; i++)
      vector_store(total + (row + i / vectors) * padded_head + i % vectors * VECTOR_WIDTH, sum[i]);
  }
}

VECTOR_INLINE void accumulate_queries(int64_t padded_head, const float *score_gradients, const float *keys,
                                      int64_t rows, float *total) {
  enum { PAIR_ROWS = VECTOR_WIDTH == 8 ? 6 : TILE_ROWS };
  int64_t h = 0;
  for (; h + 2 * VECTOR_WIDTH <= padded_head; h += 2 * VECTOR_WIDTH)
    accumulate_query_columns(PAIR_ROWS, 2, padded_head, score_gradients, keys + h, rows, total + h);
  for (; h < padded_head; h += VECTOR_WIDTH)
    accumulate_query_columns(8, 1, padded_head, score_gradients, keys + h, rows, total + h);
}

// The five products of `rows` queries (whole multiples of STRIP) and one strip of keys. diagonal: both begin at the
// same position.
VECTOR_INLINE void backward_tile(int64_t padded_head, bool diagonal, const packed_queries *packed, int64_t begin,
                                 int64_t rows, const key_strip *strip, const backward_memory *memory,
                                 float *query_gradient) {
  const float *queries = packed->queries + begin * padded_head, *gradients = packed->gradients + begin * padded_head;
  const tile_mask mask = diagonal ? KEEP_LANES_TO_ROW : KEEP_ALL;
  multiply_rows(padded_head, queries, strip->keys_transposed, packed->minus_lse + begin, rows, NULL,
                memory->probabilities);
  accumulate_keys(padded_head, true, mask, gradients, memory->probabilities, rows, strip->value_gradient);
  multiply_rows(padded_head, gradients, strip->values_transposed, packed->minus_D + begin, rows, memory->probabilities,
                memory->score_gradients);
  accumulate_keys(padded_head, false, KEEP_ALL, queries, memory->score_gradients, rows, strip->key_gradient);
  accumulate_queries(padded_head, memory->score_gradients, strip->keys, rows, query_gradient + begin * padded_head);
}

// All queries that see the block of `strips` strips of keys from position `begin`.
VECTOR_INLINE void backward_block(int64_t padded_head, int64_t padded_length, const packed_queries *packed,
                                  int64_t begin, int64_t strips, const backward_memory *memory, float *query_gradient) {
  for (int64_t row = begin; row < padded_length; row += BLOCK_ROWS) {
    const int64_t row_end = row + BLOCK_ROWS < padded_length ? row + BLOCK_ROWS : padded_length;
    for (int64_t index = 0; index < strips; index++) {
      const key_strip strip = strip_of(memory, padded_head, index);
      const int64_t key = begin + index * STRIP;
      if (key >= row && key < row_end)
        backward_tile(padded_head, true, packed, key, STRIP, &strip, memory, query_gradient);
      const int64_t full = key + STRIP > row ? key + STRIP : row;
      if (full < row_end)
        backward_tile(padded_head, false, packed, full, row_end - full, &strip, memory, query_gradient);
    }
  }
}

static void backward_block_any(int64_t padded_head, int64_t padded_length, const packed_queries *packed, int64_t begin,
                               int64_t strips, const backward_memory *memory, float *query_gradient) {
  if (padded_head == 16)
    backward_block(16, padded_length, packed, begin, strips, memory, query_gradient);
  else
    backward_block(padded_head, padded_length, packed, begin, strips, memory, query_gradient);
}

// The call's operands and how its work is cut. A segment is a range of the keys of a head, of about the same work as
// the others: a key is seen by the queries from its position on.
typedef struct backward_call {
  attention_shape shape;
  const void *const *inputs;
  void *const *outputs;
  int64_t segments;
  int64_t segment_begin[MAX_SEGMENTS + 1];
} backward_call;

static backward_call call_of(const titan_op_call *op, const void *const *inputs, void *const *outputs) {
  backward_call call = {.shape = attention_shape_of(op), .inputs = inputs, .outputs = outputs};
  const int64_t strips = call.shape.padded_length / STRIP;
  call.segments = strips / 8 < 1 ? 1 : strips / 8 > MAX_SEGMENTS ? MAX_SEGMENTS : strips / 8;
  for (int64_t i = 0; i < call.segments; i++)
    call.segment_begin[i] = STRIP * (int64_t)((double)strips * (1.0 - sqrt(1.0 - (double)i / (double)call.segments)));
  call.segment_begin[call.segments] = call.shape.padded_length;
  return call;
}

// q, dO, lse and D of the queries from `begin` on.
static void pack_queries(const backward_call *call, int64_t batch, int64_t head, int64_t begin,
                         const packed_queries *to) {
  const attention_shape *shape = &call->shape;
  const int64_t padded_head = shape->padded_head;
  const attention_head query = attention_head_of(shape, call->inputs[0], batch, shape->heads, head);
  const attention_head output = attention_head_of(shape, call->inputs[3], batch, shape->heads, head);
  const attention_head gradient = attention_head_of(shape, call->inputs[5], batch, shape->heads, head);
  const float *lse = (const float *)call->inputs[4] + (batch * shape->heads + head) * shape->length;
  head_pack(&query, begin, shape->padded_length, (float)(shape->scale * LOG2_E), padded_head,
            to->queries + begin * padded_head);
  head_pack(&gradient, begin, shape->padded_length, 1.0f, padded_head, to->gradients + begin * padded_head);
  for (int64_t row = begin; row < shape->padded_length; row++) {
    vfloat sum = vector_set(0.0f);
    for (int64_t h = 0; h < padded_head; h += VECTOR_WIDTH)
      sum = vector_fma(vector_load(to->gradients + row * padded_head + h), head_load(&output, row, h), sum);
    to->minus_D[row] = -vector_sum(sum);
    to->minus_lse[row] = row < shape->length ? (float)(-LOG2_E * (double)lse[row]) : 0.0f;
  }
}

// Where the gradients of a strip of keys go: to the outputs, or (set or added) to float32 strips.
typedef struct key_sink {
  bool to_outputs, add;
  float *key_gradient, *value_gradient; // [strips][padded_head][STRIP]
} key_sink;

static void store_outputs(const backward_call *call, int64_t batch, int64_t kv_head, int64_t begin,
                          const float *key_gradient, const float *value_gradient) {
  const attention_shape *shape = &call->shape;
  const attention_head key = attention_head_of(shape, call->outputs[1], batch, shape->kv_heads, kv_head);
  const attention_head value = attention_head_of(shape, call->outputs[2], batch, shape->kv_heads, kv_head);
  float scales[STRIP], ones[STRIP];
  for (int i = 0; i < STRIP; i++) {
    scales[i] = (float)LN_2; // q was scaled by log2(e) / sqrt(H), dS by nothing
    ones[i] = 1.0f;
  }
  head_unpack_transposed(&key, begin, scales, shape->padded_head, key_gradient);
  head_unpack_transposed(&value, begin, ones, shape->padded_head, value_gradient);
}

static void add_or_set(bool add, int64_t n, const float *from, float *to) {
  for (int64_t i = 0; i < n; i += VECTOR_WIDTH) {
    const vfloat x = vector_load(from + i);
    vector_store(to + i, add ? x + vector_load(to + i) : x);
  }
}

// One segment of one query head: its part of dQ (rows from the segment's begin on), and dK and dV of its keys.
static void backward_segment(const backward_call *call, int64_t batch, int64_t head, int64_t segment,
                             const backward_memory *memory, float *query_gradient, const key_sink *sink) {
  const attention_shape *shape = &call->shape;
  const int64_t padded_head = shape->padded_head, size = padded_head * STRIP, kv_head = head / shape->group;
  const int64_t begin = call->segment_begin[segment], end = call->segment_begin[segment + 1];
  const attention_head key = attention_head_of(shape, call->inputs[1], batch, shape->kv_heads, kv_head);
  const attention_head value = attention_head_of(shape, call->inputs[2], batch, shape->kv_heads, kv_head);
  memset(query_gradient + begin * padded_head, 0,
         (size_t)((shape->padded_length - begin) * padded_head) * sizeof(float));
  for (int64_t first = begin; first < end; first += BLOCK_STRIPS * STRIP) {
    const int64_t left = (end - first) / STRIP, strips = left < BLOCK_STRIPS ? left : BLOCK_STRIPS;
    for (int64_t i = 0; i < strips; i++) {
      const key_strip strip = strip_of(memory, padded_head, i);
      head_pack_transposed(&key, first + i * STRIP, 1.0f, padded_head, strip.keys_transposed);
      head_pack_transposed(&value, first + i * STRIP, 1.0f, padded_head, strip.values_transposed);
      head_pack(&key, first + i * STRIP, first + (i + 1) * STRIP, 1.0f, padded_head, strip.keys);
      memset(strip.key_gradient, 0, (size_t)(2 * size) * sizeof(float));
    }
    backward_block_any(padded_head, shape->padded_length, &memory->packed, first, strips, memory, query_gradient);
    for (int64_t i = 0; i < strips; i++) {
      const key_strip strip = strip_of(memory, padded_head, i);
      const int64_t at = (first + i * STRIP) * padded_head;
      if (sink->to_outputs) {
        store_outputs(call, batch, kv_head, first + i * STRIP, strip.key_gradient, strip.value_gradient);
      } else {
        add_or_set(sink->add, size, strip.key_gradient, sink->key_gradient + at);
        add_or_set(sink->add, size, strip.value_gradient, sink->value_gradient + at);
      }
    }
  }
}

static void store_query_gradient(const backward_call *call, int64_t batch, int64_t head, int64_t begin, int64_t end,
                                 const float *query_gradient) {
  const attention_shape *shape = &call->shape;
  const attention_head query = attention_head_of(shape, call->outputs[0], batch, shape->heads, head);
  for (int64_t row = begin; row < end; row++)
    for (int64_t h = 0; h < shape->padded_head; h += VECTOR_WIDTH)
      head_store(&query, row, h, vector_load(query_gradient + row * shape->padded_head + h) * vector_set(shape->scale));
}

// All of one kv head by one thread.
static void backward_kv_head(const backward_call *call, int64_t batch, int64_t kv_head, const backward_memory *memory) {
  const attention_shape *shape = &call->shape;
  const int64_t padded_head = shape->padded_head, length = shape->padded_length;
  for (int64_t member = 0; member < shape->group; member++) {
    const int64_t head = kv_head * shape->group + member;
    const key_sink sink = {shape->group == 1, member > 0, memory->key_gradient, memory->value_gradient};
    pack_queries(call, batch, head, 0, &memory->packed);
    for (int64_t segment = 0; segment < call->segments; segment++) {
      const int64_t from = call->segment_begin[segment] * padded_head;
      float *part = segment == 0 ? memory->query_gradient : memory->query_gradient_part;
      backward_segment(call, batch, head, segment, memory, part, &sink);
      if (segment > 0)
        add_or_set(true, length * padded_head - from, part + from, memory->query_gradient + from);
    }
    store_query_gradient(call, batch, head, 0, length, memory->query_gradient);
  }
  if (shape->group > 1)
    for (int64_t row = 0; row < length; row += STRIP)
      store_outputs(call, batch, kv_head, row, memory->key_gradient + row * padded_head,
                    memory->value_gradient + row * padded_head);
}

// Whether the kv heads alone keep the threads busy. Otherwise segments of query heads are the tasks, and their parts of
// the gradients are kept and summed afterwards, in the order that one thread would have summed them.
static bool heads_suffice(const attention_shape *shape, int threads) {
  const int64_t pairs = shape->batch * shape->kv_heads, rounds = (pairs + threads - 1) / threads;
  return 4 * pairs >= 3 * rounds * threads;
}

static int64_t head_floats(const attention_shape *shape) {
  return shape->padded_length * shape->padded_head;
}

// Memory of one thread.
static int64_t thread_floats(const attention_shape *shape, bool whole_heads) {
  const int64_t packed = 2 * head_floats(shape) + 2 * round_up(shape->padded_length, 16);
  const int64_t tiles = BLOCK_STRIPS * 5 * shape->padded_head * STRIP + 2 * BLOCK_ROWS * STRIP;
  const int64_t gradients = whole_heads ? (shape->group > 1 ? 4 : 2) * head_floats(shape) : 0;
  return round_up(packed + tiles + gradients, 16);
}

static backward_memory memory_of(const attention_shape *shape, float *workspace) {
  backward_memory memory;
  const int64_t head = head_floats(shape);
  memory.packed.queries = workspace;
  memory.packed.gradients = memory.packed.queries + head;
  memory.packed.minus_lse = memory.packed.gradients + head;
  memory.packed.minus_D = memory.packed.minus_lse + round_up(shape->padded_length, 16);
  memory.strips = memory.packed.minus_D + round_up(shape->padded_length, 16);
  memory.probabilities = memory.strips + BLOCK_STRIPS * 5 * shape->padded_head * STRIP;
  memory.score_gradients = memory.probabilities + BLOCK_ROWS * STRIP;
  memory.query_gradient = memory.score_gradients + BLOCK_ROWS * STRIP;
  memory.query_gradient_part = memory.query_gradient + head;
  memory.key_gradient = memory.query_gradient_part + head;
  memory.value_gradient = memory.key_gradient + head;
  return memory;
}

// Parts that the segments leave: dQ [B, N, segments], then dK and dV [B, N] where group > 1, each
// [padded_length][padded_head].
static int64_t part_floats(const backward_call *call) {
  const attention_shape *shape = &call->shape;
  return shape->batch * shape->heads * (call->segments + (shape->group > 1 ? 2 : 0)) * head_floats(shape);
}

static void sum_query_gradient(const backward_call *call, int64_t batch, int64_t head, int64_t begin, float *parts) {
  const attention_shape *shape = &call->shape;
  float *total = parts + (batch * shape->heads + head) * call->segments * head_floats(shape);
  for (int64_t segment = 1; segment < call->segments && call->segment_begin[segment] <= begin; segment++)
    add_or_set(true, STRIP * shape->padded_head, total + segment * head_floats(shape) + begin * shape->padded_head,
               total + begin * shape->padded_head);
  store_query_gradient(call, batch, head, begin, begin + STRIP, total);
}

static void sum_key_gradient(const backward_call *call, int64_t batch, int64_t kv_head, int64_t begin, float *parts) {
  const attention_shape *shape = &call->shape;
  const int64_t heads = shape->batch * shape->heads, first = batch * shape->heads + kv_head * shape->group;
  float *keys = parts + (heads * call->segments + first) * head_floats(shape) + begin * shape->padded_head;
  float *values = keys + heads * head_floats(shape);
  for (int64_t member = 1; member < shape->group; member++) {
    add_or_set(true, STRIP * shape->padded_head, keys + member * head_floats(shape), keys);
    add_or_set(true, STRIP * shape->padded_head, values + member * head_floats(shape), values);
  }
  store_outputs(call, batch, kv_head, begin, keys, values);
}

static void run_segments(const backward_call *call, int threads, float *workspace) {
  const attention_shape *shape = &call->shape;
  const int64_t heads = shape->batch * shape->heads, size = head_floats(shape), strips = shape->padded_length / STRIP;
  float *parts = workspace + threads * thread_floats(shape, false);
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
  for (int64_t task = 0; task < heads * call->segments; task++) {
    const int64_t head = task % heads, segment = task / heads;
    float *own = workspace + omp_get_thread_num() * thread_floats(shape, false);
    const backward_memory memory = memory_of(shape, own);
    float *keys = parts + (heads * call->segments + head) * size;
    const key_sink sink = {shape->group == 1, false, keys, keys + heads * size};
    pack_queries(call, head / shape->heads, head % shape->heads, call->segment_begin[segment], &memory.packed);
    backward_segment(call, head / shape->heads, head % shape->heads, segment, &memory,
                     parts + (head * call->segments + segment) * size, &sink);
  }
#pragma omp parallel for num_threads(threads)
  for (int64_t task = 0; task < heads * strips; task++) {
    const int64_t head = task / strips, batch = head / shape->heads, begin = task % strips * STRIP;
    sum_query_gradient(call, batch, head % shape->heads, begin, parts);
    if (shape->group > 1 && head % shape->group == 0)
      sum_key_gradient(call, batch, head % shape->heads / shape->group, begin, parts);
  }
}

static size_t attention_backward_workspace(titan_device *device, const titan_op_call *op) {
  const backward_call call = call_of(op, NULL, NULL);
  const bool whole_heads = heads_suffice(&call.shape, device->threads);
  const int64_t floats = device->threads * thread_floats(&call.shape, whole_heads);
  return (size_t)(floats + (whole_heads ? 0 : part_floats(&call))) * sizeof(float);
}

static titan_status attention_backward_run(titan_device *device, const titan_op_call *op, void *state,
                                           const void *const *inputs, void *const *outputs, void *workspace) {
  (void)state;
  const backward_call call = call_of(op, inputs, outputs);
  if (!heads_suffice(&call.shape, device->threads)) {
    run_segments(&call, device->threads, workspace);
    return TITAN_OK;
  }
  const int64_t pairs = call.shape.batch * call.shape.kv_heads;
#pragma omp parallel for num_threads(device->threads) schedule(dynamic, 1)
  for (int64_t pair = 0; pair < pairs; pair++) {
    const backward_memory memory =
        memory_of(&call.shape, (float *)workspace + omp_get_thread_num() * thread_floats(&call.shape, true));
    backward_kv_head(&call, pair / call.shape.kv_heads, pair % call.shape.kv_heads, &memory);
  }
  return TITAN_OK;
}

const titan_kernel TITAN_CPU_KERNEL(attention_backward) = {.workspace = attention_backward_workspace,
                                                           .run = attention_backward_run};
