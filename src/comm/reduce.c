// SPDX-License-Identifier: Apache-2.0
#include "comm/reduce.h"

#include "base/cpu_isa.h"
#include "comm/reduce_blocks.h"
#include "comm/staging.h"

// Below this many elements (all sources together) one thread does the work.
enum { PARALLEL_ELEMENTS = 1 << 17 };

// Of the level in use. What is wrong with TITAN_CPU_ISA is for the device to say.
static titan_reduce_block *const *blocks_in_use(void) {
  static titan_reduce_block *const *blocks;
  if (blocks == NULL) {
    titan_cpu_isa isa;
    if (titan_cpu_isa_choose(&isa) != TITAN_OK)
      isa = TITAN_CPU_GENERIC;
    blocks = titan_reduce_blocks_baseline;
#ifdef TITAN_CPU_X86
    if (isa >= TITAN_CPU_AVX512)
      blocks = titan_reduce_blocks_avx512;
    else if (isa == TITAN_CPU_AVX2)
      blocks = titan_reduce_blocks_avx2;
#endif
  }
  return blocks;
}

static titan_status reduce(titan_reduce_block *block, titan_dtype dtype, titan_reduction reduction,
                           const void *const *sources, int source_count, void *out, size_t count) {
  if (block == NULL)
    return titan_error(TITAN_ERROR_INTERNAL, "elements of type %s cannot be reduced", titan_dtype_name(dtype));
#pragma omp parallel for schedule(static) if (count * (size_t)source_count >= PARALLEL_ELEMENTS)
  for (size_t first = 0; first < count; first += TITAN_REDUCE_BLOCK)
    block(reduction, sources, source_count, first,
          count - first < TITAN_REDUCE_BLOCK ? count - first : TITAN_REDUCE_BLOCK, out);
  return TITAN_OK;
}

titan_status titan_reduce(titan_dtype dtype, titan_reduction reduction, const void *const *sources, int source_count,
                          void *out, size_t count) {
  return reduce(blocks_in_use()[dtype], dtype, reduction, sources, source_count, out, count);
}

titan_dtype titan_reduce_sum_type(titan_dtype dtype) {
  return dtype == TITAN_BFLOAT16 ? TITAN_FLOAT32 : dtype;
}

titan_status titan_reduce_wide(titan_dtype dtype, titan_reduction reduction, const void *const *sources,
                               int source_count, void *out, size_t count) {
  int kind = dtype == TITAN_BFLOAT16 ? TITAN_REDUCE_WIDE : (int)dtype;
  return reduce(blocks_in_use()[kind], dtype, reduction, sources, source_count, out, count);
}

void titan_reduce_widen(titan_dtype dtype, void *to, const void *from, size_t count) {
  if (dtype != TITAN_BFLOAT16) {
    titan_staging_copy(to, from, count * titan_dtype_bytes(dtype));
    return;
  }
#pragma omp parallel for schedule(static) if (count >= PARALLEL_ELEMENTS)
  for (size_t i = 0; i < count; i++)
    ((float *)to)[i] = titan_bf16_to_float(((const titan_bf16 *)from)[i]);
}

void titan_reduce_narrow(titan_dtype dtype, void *to, const void *from, size_t count) {
  if (dtype != TITAN_BFLOAT16) {
    titan_staging_copy(to, from, count * titan_dtype_bytes(dtype));
    return;
  }
#pragma omp parallel for schedule(static) if (count >= PARALLEL_ELEMENTS)
  for (size_t i = 0; i < count; i++)
    ((titan_bf16 *)to)[i] = titan_bf16_from_float(((const float *)from)[i]);
}
