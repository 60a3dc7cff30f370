# SPDX-License-Identifier: Apache-2.0
# Mistakes that kernels can have, and what finds each.
titan_broken_kernel(NAME missing_barrier FILE reduce.cuh KERNEL norm.cu TESTS rms_norm FOUND "a read of what was not written"
  FROM [=[      parts[i][threadIdx.x / 32] = values[i];
  }
  __syncthreads();]=]
  TO [=[      parts[i][threadIdx.x / 32] = values[i];
  }]=])
titan_broken_kernel(NAME one_buffer FILE norm_backward.cu KERNEL norm_backward.cu TESTS rms_norm_backward FOUND "a write after a read"
  FROM [=[    finish_statistics<THREADS, LAYER>(sums, a.width, parts[row % 2], &s);
    for]=]
  TO [=[    finish_statistics<THREADS, LAYER>(sums, a.width, parts[0], &s);
    for]=])
titan_broken_kernel(NAME barrier_between_words FILE embedding.cu KERNEL embedding.cu TESTS embedding_backward FOUND "no barrier between"
  FROM "find_token(e, begin, token, words[turn]);" TO "find_token(e, begin, token, words[turn = 0]);")
titan_broken_kernel(NAME lane_mask FILE reduce.cuh KERNEL cross_entropy.cu TESTS cross_entropy FOUND "is not in its own mask"
  FROM "#define TITAN_ALL_LANES 0xffffffffu" TO "#define TITAN_ALL_LANES 0x0000ffffu")
titan_broken_kernel(NAME half_a_warp FILE reduce.cuh KERNEL norm.cu TESTS layer_norm FOUND "wrong value"
  FROM [=[  for (int lanes = 16; lanes > 0; lanes /= 2)
    value += ]=]
  TO [=[  for (int lanes = 8; lanes > 0; lanes /= 2)
    value += ]=])
titan_broken_kernel(NAME lanes_that_leave FILE cross_entropy.cu KERNEL cross_entropy.cu TESTS vocabulary_max
  FOUND "for lanes that do not come"
  FROM "  float most = -INFINITY;" TO "  float most = -INFINITY;\n  if (threadIdx.x >= l.columns)\n    return;")
titan_broken_kernel(NAME missing_tail FILE pack.cuh KERNEL elementwise.cu TESTS add FOUND "wrote beyond"
  FROM [=[    if (i < count)
      to[i] = titan_narrowed<T>(from[i]);]=]
  TO [=[    to[i] = titan_narrowed<T>(from[i]);]=])
titan_broken_kernel(NAME truncation FILE pack.cuh KERNEL swiglu.cu TESTS swiglu FOUND "wrong value"
  FROM "const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);"
  TO "const __nv_bfloat162 pair = {__float2bfloat16_rz(low), __float2bfloat16_rz(high)};")
titan_broken_kernel(NAME not_aligned FILE pack.cuh KERNEL elementwise.cu TESTS mul FOUND "which is not aligned"
  FROM "| uintptr_t{0}) % 16) == 0" TO "| uintptr_t{0}) % 4) == 0")
titan_broken_kernel(NAME sum_not_rescaled FILE cross_entropy.cu KERNEL cross_entropy.cu TESTS cross_entropy FOUND "wrong value"
  FROM "s->sum *= s->largest > -INFINITY ? __expf(s->largest - largest) : 0.0f;" TO "s->sum *= 1;")
titan_broken_kernel(NAME last_row FILE norm_backward.cu KERNEL norm_backward.cu TESTS layer_norm_backward FOUND "wrong value"
  FROM "return rows * group / gridDim.x;" TO "return (rows - 1) * group / gridDim.x;")
titan_broken_kernel(NAME turned_forth FILE rotary.cu KERNEL rotary.cu TESTS join_heads FOUND "wrong value"
  FROM "a.back ? -__ldg(angles + i + 1)" TO "!a.back ? -__ldg(angles + i + 1)")
titan_broken_kernel(NAME bad_step FILE vector.cu KERNEL vector.cu TESTS vectors FOUND "scaled_add of a bad step"
  FROM [=[  if (state->bad)
    return;]=]
  TO "")
titan_broken_kernel(NAME nan_rounded FILE vector.cu KERNEL vector.cu TESTS vectors FOUND "convert to bfloat16"
  FROM "nan ? bits | 0x400000u :" TO "nan ? bits | 0x7fff0000u :")
titan_broken_kernel(NAME in_place FILE swiglu.cu KERNEL swiglu.cu TESTS swiglu_backward FOUND "reused input 1"
  FROM [=[    titan_load<VECTOR>(gate_up + up_at, count, up);
#pragma unroll
    for (int i = 0; i < W; i++) {
      const float s]=]
  TO [=[    titan_load<VECTOR>(gate_up + up_at, count, up);
    titan_store<VECTOR>(dgate_up + up_at, count, dy);
    titan_load<VECTOR>(gate_up + up_at, count, up);
#pragma unroll
    for (int i = 0; i < W; i++) {
      const float s]=])
