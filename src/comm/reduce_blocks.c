// Compiled once per instruction-set level. Nothing but additions and choices of elements: all levels give the same
// bits.
#include "comm/reduce_blocks.h"

#include <string.h>

static void reduce_float32(titan_reduction reduction, const void *const *sources, int source_count, size_t first,
                           size_t count, void *out) {
  float total[TITAN_REDUCE_BLOCK];
  memcpy(total, (const float *)sources[0] + first, count * sizeof *total);
  for (int s = 1; s < source_count; s++) {
    const float *source = (const float *)sources[s] + first;
    if (reduction == TITAN_SUM)
      for (size_t i = 0; i < count; i++)
        total[i] += source[i];
    else if (reduction == TITAN_MAX)
      for (size_t i = 0; i < count; i++)
        total[i] = total[i] > source[i] || total[i] != total[i] ? total[i] : source[i];
    else
      for (size_t i = 0; i < count; i++)
        total[i] = total[i] < source[i] || total[i] != total[i] ? total[i] : source[i];
  }
  memcpy((float *)out + first, total, count * sizeof *total);
}

static void reduce_bfloat16(titan_reduction reduction, const void *const *sources, int source_count, size_t first,
                            size_t count, void *out) {
  float total[TITAN_REDUCE_BLOCK];
  const titan_bf16 *source = (const titan_bf16 *)sources[0] + first;
  for (size_t i = 0; i < count; i++)
    total[i] = titan_bf16_to_float(source[i]);
  for (int s = 1; s < source_count; s++) {
    source = (const titan_bf16 *)sources[s] + first;
    for (size_t i = 0; i < count; i++) {
      float value = titan_bf16_to_float(source[i]);
      if (reduction == TITAN_SUM)
        total[i] += value;
      else if (reduction == TITAN_MAX)
        total[i] = total[i] > value || total[i] != total[i] ? total[i] : value;
      else
        total[i] = total[i] < value || total[i] != total[i] ? total[i] : value;
    }
  }
  titan_bf16 *result = (titan_bf16 *)out + first;
  for (size_t i = 0; i < count; i++)
    result[i] = titan_bf16_from_float(total[i]);
}

static void reduce_float64(titan_reduction reduction, const void *const *sources, int source_count, size_t first,
                           size_t count, void *out) {
  double total[TITAN_REDUCE_BLOCK];
  memcpy(total, (const double *)sources[0] + first, count * sizeof *total);
  for (int s = 1; s < source_count; s++) {
    const double *source = (const double *)sources[s] + first;
    for (size_t i = 0; i < count; i++) {
      if (reduction == TITAN_SUM)
        total[i] += source[i];
      else if (reduction == TITAN_MAX)
        total[i] = total[i] > source[i] || total[i] != total[i] ? total[i] : source[i];
      else
        total[i] = total[i] < source[i] || total[i] != total[i] ? total[i] : source[i];
    }
  }
  memcpy((double *)out + first, total, count * sizeof *total);
}

static void reduce_int32(titan_reduction reduction, const void *const *sources, int source_count, size_t first,
                         size_t count, void *out) {
  int32_t total[TITAN_REDUCE_BLOCK];
  memcpy(total, (const int32_t *)sources[0] + first, count * sizeof *total);
  for (int s = 1; s < source_count; s++) {
    const int32_t *source = (const int32_t *)sources[s] + first;
    for (size_t i = 0; i < count; i++) {
      if (reduction == TITAN_SUM)
        total[i] = (int32_t)((uint32_t)total[i] + (uint32_t)source[i]);
      else if (reduction == TITAN_MAX ? source[i] > total[i] : source[i] < total[i])
        total[i] = source[i];
    }
  }
  memcpy((int32_t *)out + first, total, count * sizeof *total);
}

static void reduce_int64(titan_reduction reduction, const void *const *sources, int source_count, size_t first,
                         size_t count, void *out) {
  int64_t total[TITAN_REDUCE_BLOCK];
  memcpy(total, (const int64_t *)sources[0] + first, count * sizeof *total);
  for (int s = 1; s < source_count; s++) {
    const int64_t *source = (const int64_t *)sources[s] + first;
    for (size_t i = 0; i < count; i++) {
      if (reduction == TITAN_SUM)
        total[i] = (int64_t)((uint64_t)total[i] + (uint64_t)source[i]);
      else if (reduction == TITAN_MAX ? source[i] > total[i] : source[i] < total[i])
        total[i] = source[i];
    }
  }
  memcpy((int64_t *)out + first, total, count * sizeof *total);
}

titan_reduce_block *const TITAN_REDUCE_BLOCKS[TITAN_BYTE + 1] = {
    [TITAN_FLOAT32] = reduce_float32, [TITAN_BFLOAT16] = reduce_bfloat16, [TITAN_FLOAT64] = reduce_float64,
    [TITAN_INT32] = reduce_int32,     [TITAN_INT64] = reduce_int64,       [TITAN_BYTE] = NULL,
};
