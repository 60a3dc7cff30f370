// SPDX-License-Identifier: Apache-2.0
// Instruction-set levels that code is compiled for: what this chip has, what the user allows.
#ifndef TITAN_BASE_CPU_ISA_H
#define TITAN_BASE_CPU_ISA_H

#include "base/status.h"

// Whether the levels of x86-64 are built. TITAN_GENERIC_ONLY, an option of the build, leaves them out.
#if defined(__x86_64__) && !defined(TITAN_GENERIC_ONLY)
#define TITAN_CPU_X86 1
#endif

// In rising order; each includes those before it. Levels above generic, which is plain C, are those of x86-64. amx
// concerns oneDNN only: our own code of avx512_bf16 runs with it.
typedef enum titan_cpu_isa {
  TITAN_CPU_GENERIC,
  TITAN_CPU_BASELINE,
  TITAN_CPU_AVX2,
  TITAN_CPU_AVX512,
  TITAN_CPU_AVX512_BF16,
  TITAN_CPU_AMX,
} titan_cpu_isa;

const char *titan_cpu_isa_name(titan_cpu_isa isa);

// The highest level that the chip and the operating system support.
titan_cpu_isa titan_cpu_isa_best(void);

// The best level, lowered by the environment variable TITAN_CPU_ISA. An unknown word, or a level that the chip lacks,
// is TITAN_ERROR_USAGE.
titan_status titan_cpu_isa_choose(titan_cpu_isa *out);

// The chip's name as its maker writes it ("AMD EPYC 9654 96-Core Processor"); a general word where it has none.
void titan_cpu_model_name(char *out, size_t size);

#endif
