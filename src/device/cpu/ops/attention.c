// SPDX-License-Identifier: Apache-2.0
// Causal attention, forward: T. Dao, "FlashAttention-2: faster attention with better parallelism and work partitioning"
// (2023). The lanes of a vector are queries: scores, maxima and sums of a query stay in its lane, so nothing is ever
// summed across lanes. Scores are kept in units of log 2, so that the exponential is 2^x.
#include "device/cpu/kernel.h"
#include "device/cpu/ops/attention_tile.h"

#include <omp.h>

// Keys whose scores are held at a time, for one strip of queries.
enum { KEYS = 4 * STRIP > 96 ? 96 : 4 * STRIP };

// Where |q| max |k| bounds every score (Cauchy-Schwarz) by this many powers of two, the sums need no running maximum:
// they stay within float32 as they are.
static const float safe_exponent = 60.0f;

// Below every score, and finite: differences of two such are numbers.
#define LEAST_SCORE -1e30f

// What one thread works on.
typedef struct forward_memory {
  float *keys, *values; // [padded_length][padded_head]
  float *key_norms;     // [strips]: the greatest |k| of all keys up to the end of the strip
  float *queries;       // [padded_head][STRIP], scaled
  float *outputs;       // [padded_head][STRIP]
  float *scores;        // [KEYS][STRIP]
} forward_memory;

static size_t memory_floats(const attention_shape *shape) {
  const int64_t strips = shape->padded_length / STRIP;
  return (size_t)round_up(2 * shape->padded_length * shape->padded_head + round_up(strips, 16) +
                              2 * shape->padded_head * STRIP + KEYS * STRIP,
                          16);
}

static forward_memory memory_of(const attention_shape *shape, float *workspace) {
  forward_memory memory;
  memory.keys = workspace;
  memory.values = memory.keys + shape->padded_length * shape->padded_head;
  memory.queries = memory.values + shape->padded_length * shape->padded_head;
  memory.outputs = memory.queries + shape->padded_head * STRIP;
  memory.scores = memory.outputs + shape->padded_head * STRIP;
  memory.key_norms = memory.scores + KEYS * STRIP;
  return memory;
}

// Packs the keys and values of rows 0 .. end-1 (whole strips).
static void pack_keys(const attention_shape *shape, const attention_head *key, const attention_head *value, int64_t end,
                      const forward_memory *memory) {
  head_pack(key, 0, end, 1.0f, shape->padded_head, memory->keys);
  head_pack(value, 0, end, 1.0f, shape->padded_head, memory->values);
  float greatest = 0;
  for (int64_t row = 0; row < end; row++) {
    vfloat squares = vector_set(0.0f);
    for (int64_t h = 0; h < shape->padded_head; h += VECTOR_WIDTH) {
      const vfloat x = vector_load(memory->keys + row * shape->padded_head + h);
      squares = vector_fma(x, x, squares);
    }
    const float norm = sqrtf(vector_sum(squares));
    greatest = norm > greatest || isnan(norm) ? norm : greatest; // a NaN stays
    if ((row + 1) % STRIP == 0)
      memory->key_norms[row / STRIP] = greatest;
  }
}

// NaN where a square is not finite.
static float greatest_query_norm(const float *queries, int64_t padded_head) {
  float greatest = 0, nothing = 0;
  for (int v = 0; v < TILE_VECTORS; v++) {
    vfloat squares = vector_set(0.0f);
    for (int64_t h = 0; h < padded_head; h++) {
      const vfloat x = vector_load(queries + h * STRIP + v * VECTOR_WIDTH);
      squares = vector_fma(x, x, squares);
    }
    greatest = vector_max_of(vector_max(vector_set(greatest), vector_sqrt(squares)));
    nothing += 0.0f * vector_sum(squares);
  }
  return greatest + nothing;
}

// State of the softmax of one strip, a query a lane: maximum so far (units of log 2), sum of 2^(score - maximum).
typedef struct softmax_state {
  vfloat maximum[TILE_VECTORS], sum[TILE_VECTORS];
  bool may_overflow; // the scores have no finite bound: each is looked at
} softmax_state;

// scores[key][STRIP] of `count` keys. greatest: their maximum a lane, where it is not NULL.
VECTOR_INLINE void score_keys(int64_t padded_head, bool diagonal, const float *queries, const float *keys,
                              int64_t count, vfloat *greatest, float *scores) {
  for (int64_t key = 0; key < count; key += TILE_ROWS) {
    vfloat sum[TILE_ROWS * TILE_VECTORS];
#pragma GCC unroll 16
    for (int i = 0; i < TILE_ROWS * TILE_VECTORS; i++)
      sum[i] = vector_set(0.0f);
    tile_product(sum, TILE_ROWS, TILE_VECTORS, keys + key * padded_head, padded_head, 1, queries, STRIP, padded_head);
    tile_store(sum, scores + key * STRIP);
    if (greatest == NULL)
      continue;
#pragma GCC unroll 16
    for (int i = 0; i < TILE_ROWS * TILE_VECTORS; i++) {
      const int v = i % TILE_VECTORS;
      const vint lane = vector_iota() + (int32_t)(v * VECTOR_WIDTH);
      const vint seen = lane >= vector_set_int((int32_t)(key + i / TILE_VECTORS));
      greatest[v] = vector_max(greatest[v], diagonal ? vector_select(seen, sum[i], vector_set(LEAST_SCORE)) : sum[i]);
    }
  }
}

// Brings the sums and outputs so far to the maximum of what was and what comes.
VECTOR_INLINE void rescale(int64_t padded_head, const vfloat *greatest, softmax_state *state, float *outputs) {
  for (int v = 0; v < TILE_VECTORS; v++) {
    const vfloat maximum = vector_max(state->maximum[v], greatest[v]);
    const vfloat factor = vector_exp2(state->maximum[v] - maximum);
    float *output = outputs + v * VECTOR_WIDTH;
    for (int64_t h = 0; h < padded_head; h++)
      vector_store(output + h * STRIP, vector_load(output + h * STRIP) * factor);
    state->maximum[v] = maximum;
    state->sum[v] *= factor;
  }
}

// outputs[h][STRIP] += sum over keys of values[key][h] * p[key][STRIP], p = 2^(scores - maximum), which is summed too.
VECTOR_INLINE void accumulate_values(int64_t padded_head, bool bounded, bool diagonal, const float *values,
                                     int64_t count, softmax_state *state, float *scores, float *outputs) {
  const tile_mask mask = diagonal ? KEEP_LANES_FROM_ROW : KEEP_ALL;
  vfloat sum[TILE_ROWS * TILE_VECTORS];
  tile_load(sum, outputs);
  tile_product_exp2(sum, bounded, values, 1, padded_head, scores, count, mask, bounded ? NULL : state->maximum,
                    state->sum);
  tile_store(sum, outputs);
  for (int64_t h = TILE_ROWS; h < padded_head; h += TILE_ROWS) {
    tile_load(sum, outputs + h * STRIP);
    tile_product(sum, TILE_ROWS, TILE_VECTORS, values + h, 1, padded_head, scores, STRIP, count);
    tile_store(sum, outputs + h * STRIP);
  }
}

// nans[STRIP]: NaN for queries that see a score of +inf or NaN, else 0. The maximum and the exponential would hide it.
static __attribute__((noinline, cold)) void find_nans(const float *scores, int64_t count, bool diagonal, float *nans) {
  memset(nans, 0, STRIP * sizeof *nans);
  for (int64_t key = 0; key < count; key++)
    for (int64_t lane = diagonal ? key : 0; lane < STRIP; lane++)
      if (!(scores[key * STRIP + lane] < INFINITY))
        nans[lane] = NAN;
}

VECTOR_INLINE void add_keys(int64_t padded_head, bool bounded, bool diagonal, const forward_memory *memory,
                            int64_t first, int64_t count, softmax_state *state) {
  float nans[STRIP];
  vfloat greatest[TILE_VECTORS];
  for (int v = 0; v < TILE_VECTORS; v++)
    greatest[v] = vector_set(LEAST_SCORE);
  score_keys(padded_head, diagonal, memory->queries, memory->keys + first * padded_head, count,
             bounded ? NULL : greatest, memory->scores);
  if (!bounded && state->may_overflow)
    find_nans(memory->scores, count, diagonal, nans);
  if (!bounded)
    rescale(padded_head, greatest, state, memory->outputs);
  accumulate_values(padded_head, bounded, diagonal, memory->values + first * padded_head, count, state, memory->scores,
                    memory->outputs);
  for (int v = 0; !bounded && state->may_overflow && v < TILE_VECTORS; v++)
    state->sum[v] += vector_load(nans + v * VECTOR_WIDTH);
}

// All keys that the strip of queries from `begin` sees.
VECTOR_INLINE void attend(int64_t padded_head, bool bounded, const forward_memory *memory, int64_t begin,
                          softmax_state *state) {
  for (int64_t first = 0; first < begin; first += KEYS)
    add_keys(padded_head, bounded, false, memory, first, begin - first < KEYS ? begin - first : KEYS, state);
  add_keys(padded_head, bounded, true, memory, begin, STRIP, state);
}

static void attend_any(int64_t padded_head, bool bounded, const forward_memory *memory, int64_t begin,
                       softmax_state *state) {
  if (bounded && padded_head == 16)
    attend(16, true, memory, begin, state);
  else if (bounded)
    attend(padded_head, true, memory, begin, state);
  else
    attend(padded_head, false, memory, begin, state);
}

// One strip of queries of one head: o[STRIP][H] and lse[STRIP].
static void forward_strip(const attention_shape *shape, const attention_head *query, const attention_head *output,
                          int64_t begin, const forward_memory *memory, float *lse) {
  const int64_t padded_head = shape->padded_head;
  head_pack_transposed(query, begin, (float)(shape->scale * LOG2_E), padded_head, memory->queries);
  memset(memory->outputs, 0, (size_t)(padded_head * STRIP) * sizeof(float));
  const float bound = greatest_query_norm(memory->queries, padded_head) * memory->key_norms[begin / STRIP];
  const bool bounded = bound <= safe_exponent;
  softmax_state state;
  state.may_overflow = !(bound < INFINITY);
  for (int v = 0; v < TILE_VECTORS; v++) {
    state.maximum[v] = vector_set(bounded ? 0.0f : LEAST_SCORE);
    state.sum[v] = vector_set(0.0f);
  }
  attend_any(padded_head, bounded, memory, begin, &state);
  float maximum[STRIP], sum[STRIP], inverse[STRIP];
  for (int v = 0; v < TILE_VECTORS; v++) {
    vector_store(maximum + v * VECTOR_WIDTH, state.maximum[v]);
    vector_store(sum + v * VECTOR_WIDTH, state.sum[v]);
    vector_store(inverse + v * VECTOR_WIDTH, vector_set(1.0f) / state.sum[v]);
  }
  for (int64_t i = 0; i < STRIP && begin + i < shape->length; i++)
    lse[begin + i] = (float)(maximum[i] * LN_2 + logf(sum[i]));
  head_unpack_transposed(output, begin, inverse, padded_head, memory->outputs);
}

// A task is a part of the queries of all query heads of one kv head; its parts are of about equal work.
static int64_t part_begin(const attention_shape *shape, int64_t parts, int64_t part) {
  const int64_t strips = shape->padded_length / STRIP;
  return part == parts ? shape->padded_length : STRIP * (int64_t)((double)strips * sqrt((double)part / (double)parts));
}

static void forward_task(const attention_shape *shape, const void *const *inputs, void *const *outputs, int64_t batch,
                         int64_t kv_head, int64_t begin, int64_t end, const forward_memory *memory) {
  const attention_head key = attention_head_of(shape, inputs[1], batch, shape->kv_heads, kv_head);
  const attention_head value = attention_head_of(shape, inputs[2], batch, shape->kv_heads, kv_head);
  pack_keys(shape, &key, &value, end, memory);
  for (int64_t head = kv_head * shape->group; head < (kv_head + 1) * shape->group; head++) {
    const attention_head query = attention_head_of(shape, inputs[0], batch, shape->heads, head);
    const attention_head output = attention_head_of(shape, outputs[0], batch, shape->heads, head);
    float *lse = (float *)outputs[1] + (batch * shape->heads + head) * shape->length;
    for (int64_t strip = begin; strip < end; strip += STRIP)
      forward_strip(shape, &query, &output, strip, memory, lse);
  }
}

static size_t attention_workspace(titan_device *device, const titan_op_call *call) {
  const attention_shape shape = attention_shape_of(call);
  return (size_t)device->threads * memory_floats(&shape) * sizeof(float);
}

static titan_status attention_run(titan_device *device, const titan_op_call *call, void *state,
                                  const void *const *inputs, void *const *outputs, void *workspace) {
  (void)state;
  const attention_shape shape = attention_shape_of(call);
  const int64_t pairs = shape.batch * shape.kv_heads, strips = shape.padded_length / STRIP;
  const int64_t wanted = (4 * device->threads + pairs - 1) / pairs; // parts, so that no thread waits long for the last
  const int64_t parts = device->threads == 1 ? 1 : wanted < strips ? wanted : strips;
#pragma omp parallel for num_threads(device->threads) schedule(dynamic, 1)
  for (int64_t task = 0; task < pairs * parts; task++) {
    const forward_memory memory =
        memory_of(&shape, (float *)workspace + (size_t)omp_get_thread_num() * memory_floats(&shape));
    const int64_t pair = task % pairs, part = task / pairs;
    forward_task(&shape, inputs, outputs, pair / shape.kv_heads, pair % shape.kv_heads, part_begin(&shape, parts, part),
                 part_begin(&shape, parts, part + 1), &memory);
  }
  return TITAN_OK;
}

const titan_kernel TITAN_CPU_KERNEL(attention) = {.workspace = attention_workspace, .run = attention_run};
