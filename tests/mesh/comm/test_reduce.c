// SPDX-License-Identifier: Apache-2.0
// Property: on every instruction-set level of this machine, a block of any length and number of sources reduces, bit by
// bit, to what adding (or choosing) along the binary tree gives, also in place and with what is not a number.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include "base/cpu_isa.h"
#include "comm/mpi.h"
#include "comm/reduce.h"
#include "comm/reduce_blocks.h"
#include "leaks.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SOURCES = 11, FIRST = 5, MOST = FIRST + TITAN_REDUCE_BLOCK };

static const struct {
  titan_cpu_isa isa;
  titan_reduce_block *const *blocks;
} levels[] = {
    {TITAN_CPU_GENERIC, titan_reduce_blocks_baseline},
#ifdef TITAN_CPU_X86
    {TITAN_CPU_AVX2, titan_reduce_blocks_avx2},
    {TITAN_CPU_AVX512, titan_reduce_blocks_avx512},
#endif
};

static double element(titan_dtype dtype, const void *array, size_t i) {
  switch (dtype) {
  case TITAN_FLOAT32:
    return (double)((const float *)array)[i];
  case TITAN_BFLOAT16:
    return (double)titan_bf16_to_float(((const titan_bf16 *)array)[i]);
  case TITAN_FLOAT64:
    return ((const double *)array)[i];
  case TITAN_INT32:
    return (double)((const int32_t *)array)[i];
  default:
    return (double)((const int64_t *)array)[i];
  }
}

static void set(titan_dtype dtype, void *array, size_t i, double value) {
  switch (dtype) {
  case TITAN_FLOAT32:
    ((float *)array)[i] = (float)value;
    break;
  case TITAN_BFLOAT16:
    ((titan_bf16 *)array)[i] = titan_bf16_from_float((float)value);
    break;
  case TITAN_FLOAT64:
    ((double *)array)[i] = value;
    break;
  case TITAN_INT32:
    ((int32_t *)array)[i] = (int32_t)value;
    break;
  default:
    ((int64_t *)array)[i] = (int64_t)value;
  }
}

static bool is_whole(titan_dtype dtype) {
  return dtype == TITAN_INT32 || dtype == TITAN_INT64;
}

// One more element: a sum of float32 or bfloat16 is rounded to float32 each time.
static double joined(titan_dtype dtype, titan_reduction reduction, double a, double b) {
  if (reduction == TITAN_SUM)
    return dtype == TITAN_FLOAT32 || dtype == TITAN_BFLOAT16 ? (double)((float)a + (float)b) : a + b;
  if (isnan(a) || isnan(b))
    return (double)NAN;
  return (reduction == TITAN_MAX ? a > b : a < b) ? a : b;
}

// Small whole numbers, and for others fractions of very different sizes with a few that are no numbers.
static double some_value(titan_dtype dtype, uint64_t index) {
  double value = (double)((index * 2654435761u >> 7) % 2000) - 1000;
  if (is_whole(dtype))
    return value;
  return index % 97 == 0 ? (double)NAN : index % 89 == 0 ? (double)INFINITY : ldexp(value / 7, (int)(index % 40) - 20);
}

// Of element i of sources [first, first + count): those up to the largest power of two below count, and then the rest.
static double reduced(titan_dtype dtype, titan_reduction reduction, const void *const *sources, int first, int count,
                      size_t i) {
  int left = count > 8 ? 8 : count > 4 ? 4 : count > 2 ? 2 : 1;
  if (count == 1)
    return element(dtype, sources[first], i);
  return joined(dtype, reduction, reduced(dtype, reduction, sources, first, left, i),
                reduced(dtype, reduction, sources, first + left, count - left, i));
}

static void check(titan_reduce_block *block, titan_dtype dtype, titan_reduction reduction, size_t count,
                  int source_count, int in_place) {
  size_t size = titan_dtype_bytes(dtype);
  _Alignas(64) static char sources[SOURCES][MOST * 8], out[MOST * 8], expected[MOST * 8];
  const void *pointers[SOURCES];
  for (int s = 0; s < SOURCES; s++) {
    pointers[s] = sources[s];
    for (size_t i = 0; i < MOST; i++)
      set(dtype, sources[s], i, some_value(dtype, (uint64_t)s * MOST + i));
  }
  void *to = in_place < source_count ? sources[in_place] : out;
  memset(out, 0, sizeof out);
  memcpy(expected, to, sizeof expected);
  for (size_t i = FIRST; i < FIRST + count; i++)
    set(dtype, expected, i, reduced(dtype, reduction, pointers, 0, source_count, i));
  block(reduction, pointers, source_count, FIRST, count, to);
  for (size_t i = 0; i < MOST; i++)
    if (isnan(element(dtype, expected, i)))
      assert_true(isnan(element(dtype, to, i)));
    else
      assert_memory_equal((char *)to + i * size, expected + i * size, size);
}

static void every_level_gives_the_same_bits(void **state) {
  (void)state;
  static const size_t counts[] = {0, 1, 7, 16, 33, 1000, TITAN_REDUCE_BLOCK};
  static const titan_dtype dtypes[] = {TITAN_FLOAT32, TITAN_BFLOAT16, TITAN_FLOAT64, TITAN_INT32, TITAN_INT64};
  titan_cpu_isa best = titan_cpu_isa_best();
  for (size_t level = 0; level < sizeof levels / sizeof *levels; level++) {
    if (levels[level].isa > best) {
      printf("level %s: not on this machine\n", titan_cpu_isa_name(levels[level].isa));
      continue;
    }
    assert_null(levels[level].blocks[TITAN_BYTE]);
    for (size_t d = 0; d < sizeof dtypes / sizeof *dtypes; d++)
      for (int reduction = TITAN_SUM; reduction <= TITAN_MIN; reduction++)
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
          for (int sources = 1; sources <= SOURCES; sources++)
            check(levels[level].blocks[dtypes[d]], dtypes[d], (titan_reduction)reduction, counts[c], sources,
                  (sources + (int)c) % (sources + 1));
  }
}

static void long_arrays_are_reduced_whole(void **state) {
  (void)state;
  enum { COUNT = 300001 };
  float *a = malloc(COUNT * sizeof *a), *b = malloc(COUNT * sizeof *b);
  assert_true(a != NULL && b != NULL);
  for (int i = 0; i < COUNT; i++)
    a[i] = (float)i, b[i] = 0.5f;
  const void *sources[] = {a, b};
  assert_int_equal(titan_reduce(TITAN_FLOAT32, TITAN_SUM, sources, 2, a, COUNT), TITAN_OK);
  for (int i = 0; i < COUNT; i++)
    assert_true(a[i] == (float)i + 0.5f);
  assert_int_equal(titan_reduce(TITAN_BYTE, TITAN_SUM, sources, 2, a, 1), TITAN_ERROR_INTERNAL);
  free(a);
  free(b);
}

// Without data: where the pieces lie in buffers of more elements than 32 bits count.
static void pieces_beyond_32_bits_lie_where_they_should(void **state) {
  (void)state;
  static const size_t counts[] = {((size_t)1 << 31) - 1, (size_t)1 << 31, ((size_t)1 << 31) + 1, (size_t)1 << 33};
  for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
    size_t next = 0;
    for (int rank = 0; rank < 5; rank++) {
      titan_mpi_span piece = titan_mpi_piece_of(TITAN_OPERATION_REDUCE_SCATTER, counts[c], 5, 7, 1000, rank);
      assert_true(piece.first == next + 7 && piece.count == 1000);
      next += counts[c]; // no product: adding cannot wrap around as one in 32 bits does
    }
    // an all_reduce of so many elements, in one block: one rank's piece follows another's
    next = 11;
    for (int rank = 0; rank < 5; rank++) {
      titan_mpi_span piece = titan_mpi_piece_of(TITAN_OPERATION_ALL_REDUCE, counts[c] + 11, 5, 11, counts[c], rank);
      assert_true(piece.first == next && piece.count > 0);
      next += piece.count;
    }
    assert_true(next == counts[c] + 11);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(pieces_beyond_32_bits_lie_where_they_should),
                                     cmocka_unit_test(every_level_gives_the_same_bits),
                                     cmocka_unit_test(long_arrays_are_reduced_whole)};
  return cmocka_run_group_tests(tests, NULL, expect_no_leaks);
}
