// SPDX-License-Identifier: Apache-2.0
// How a source file that is compiled once per instruction-set level names what it exports. TITAN_ISA is set by the
// build: generic, baseline, avx2, avx512 or avx512_bf16; on processors other than x86-64 there is generic alone. A file
// of ops/ exports one symbol, its kernel; all else in it is static.
#ifndef TITAN_DEVICE_CPU_KERNEL_H
#define TITAN_DEVICE_CPU_KERNEL_H

#include "base/cpu_isa.h"
#include "device/device.h"

#define TITAN_CPU_PASTE(name, level) titan_cpu_##name##_##level
#define TITAN_CPU_SYMBOL(name, level) TITAN_CPU_PASTE(name, level)

// Of a level: its kernels by operation, NULL for a view; NULL where this build has no such level. amx has those of
// avx512_bf16.
const titan_kernel *const *titan_cpu_kernels_of(titan_cpu_isa level);

// The same for all levels (cpu.c).
titan_status titan_cpu_numbers(titan_device *device, const titan_numbers_request *request, titan_step_numbers *numbers,
                               titan_step_state *state);

// What a level exports: its kernels by operation (kernels.c; NULL for a view), and its vector functions.
#define TITAN_CPU_DECLARE_LEVEL(level)                                                                                 \
  extern const titan_kernel *const TITAN_CPU_PASTE(kernels, level)[TITAN_OP_COUNT];                                    \
  extern const titan_vector_functions TITAN_CPU_PASTE(vector_functions, level);
TITAN_CPU_DECLARE_LEVEL(generic)
#ifdef TITAN_CPU_X86
TITAN_CPU_DECLARE_LEVEL(baseline)
TITAN_CPU_DECLARE_LEVEL(avx2)
TITAN_CPU_DECLARE_LEVEL(avx512)
TITAN_CPU_DECLARE_LEVEL(avx512_bf16)
#endif
#undef TITAN_CPU_DECLARE_LEVEL

#ifdef TITAN_ISA
// `const titan_kernel TITAN_CPU_KERNEL(matmul) = {...};` defines titan_cpu_matmul_avx2, say.
#define TITAN_CPU_KERNEL(name) TITAN_CPU_SYMBOL(name, TITAN_ISA)

// Declares the kernel of each operation that is no view, for this level.
#define TITAN_CPU_DECLARE_0(name) extern const titan_kernel TITAN_CPU_KERNEL(name);
#define TITAN_CPU_DECLARE_1(name)
#define TITAN_OP(name, inputs_min, inputs_max, outputs_min, outputs_max, view, differentiable)                         \
  TITAN_CPU_DECLARE_##view(name)
#include "graph/ops.def"
#undef TITAN_OP
#endif

#endif
