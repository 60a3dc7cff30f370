#include "comm/reduce.h"

// Elements reduced at a time: the partial results stay in the first-level cache, and every source is read in one
// stream.
enum { BLOCK = 1024 };
// Below this many elements (all sources together) one thread does the work.
enum { PARALLEL_ELEMENTS = 1 << 17 };

// Reduces one block, `count` <= BLOCK elements from element `first`. The result is stored after all sources were read,
// so that `out` may be one of them.
typedef void reduce_block(titan_reduction reduction, const void *const *sources, int source_count, size_t first,
                          size_t count, void *out);

static void reduce_block_float32(titan_reduction reduction, const void *const *sources, int source_count, size_t first,
                                 size_t count, void *out) {
  float total[BLOCK];
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

static void reduce_block_bfloat16(titan_reduction reduction, const void *const *sources, int source_count, size_t first,
                                  size_t count, void *out) {
  float total[BLOCK];
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

static void reduce_block_float64(titan_reduction reduction, const void *const *sources, int source_count, size_t first,
                                 size_t count, void *out) {
  double total[BLOCK];
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

static void reduce_block_int32(titan_reduction reduction, const void *const *sources, int source_count, size_t first,
                               size_t count, void *out) {
  int32_t total[BLOCK];
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

static void reduce_block_int64(titan_reduction reduction, const void *const *sources, int source_count, size_t first,
                               size_t count, void *out) {
  int64_t total[BLOCK];
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

titan_status titan_reduce(titan_dtype dtype, titan_reduction reduction, const void *const *sources, int source_count,
                          void *out, size_t count) {
  static reduce_block *const blocks[] = {
      [TITAN_FLOAT32] = reduce_block_float32, [TITAN_BFLOAT16] = reduce_block_bfloat16,
      [TITAN_FLOAT64] = reduce_block_float64, [TITAN_INT32] = reduce_block_int32,
      [TITAN_INT64] = reduce_block_int64,     [TITAN_BYTE] = NULL,
  };
  reduce_block *block = blocks[dtype];
  if (block == NULL)
    return titan_error(TITAN_ERROR_INTERNAL, "elements of type %s cannot be reduced", titan_dtype_name(dtype));
#pragma omp parallel for schedule(static) if (count * (size_t)source_count >= PARALLEL_ELEMENTS)
  for (size_t first = 0; first < count; first += BLOCK)
    block(reduction, sources, source_count, first, count - first < BLOCK ? count - first : BLOCK, out);
  return TITAN_OK;
}
