// SPDX-License-Identifier: Apache-2.0
#include "base/cpu_isa.h"

#ifdef __x86_64__
#include <cpuid.h>
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { ISA_COUNT = TITAN_CPU_AMX + 1 };
static const char *const isa_names[ISA_COUNT] = {"generic", "baseline", "avx2", "avx512", "avx512_bf16", "amx"};

const char *titan_cpu_isa_name(titan_cpu_isa isa) {
  return isa_names[isa];
}

#ifdef TITAN_CPU_X86
// AMX needs three things: the tile and bf16 bits of CPUID leaf 7, and the system's leave for this process to use the
// 8 KiB of tile state (Linux grants it on request).
static int amx_usable(void) {
  enum { AMX_BF16 = 1 << 22, AMX_TILE = 1 << 24, ARCH_REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
  unsigned eax, ebx, ecx, edx;
  if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || !(edx & AMX_BF16) || !(edx & AMX_TILE))
    return 0;
  return syscall(SYS_arch_prctl, ARCH_REQUEST_PERMISSION, TILE_DATA) == 0;
}

titan_cpu_isa titan_cpu_isa_best(void) {
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
    return TITAN_CPU_BASELINE;
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512dq"))
    return TITAN_CPU_AVX2;
  if (!__builtin_cpu_supports("avx512bf16"))
    return TITAN_CPU_AVX512;
  return amx_usable() ? TITAN_CPU_AMX : TITAN_CPU_AVX512_BF16;
}
#else
titan_cpu_isa titan_cpu_isa_best(void) {
  return TITAN_CPU_GENERIC;
}
#endif

titan_status titan_cpu_isa_choose(titan_cpu_isa *out) {
  titan_cpu_isa best = titan_cpu_isa_best();
  *out = best;
  const char *wanted = getenv("TITAN_CPU_ISA");
  if (wanted == NULL || wanted[0] == '\0')
    return TITAN_OK;
  for (int isa = 0; isa < ISA_COUNT; isa++) {
    if (strcmp(wanted, isa_names[isa]) != 0)
      continue;
    if (isa > (int)best)
      return titan_error(TITAN_ERROR_USAGE, "TITAN_CPU_ISA=%s: this machine has no more than %s", wanted,
                         isa_names[best]);
    *out = (titan_cpu_isa)isa;
    return TITAN_OK;
  }
  return titan_error(
      TITAN_ERROR_USAGE,
      "TITAN_CPU_ISA=%s: expected generic, baseline, avx2, avx512, avx512_bf16 or amx (this machine: up to %s)", wanted,
      isa_names[best]);
}

#ifdef __x86_64__
void titan_cpu_model_name(char *out, size_t size) {
  unsigned brand[13] = {0};
  if ((unsigned)__get_cpuid_max(0x80000000u, NULL) < 0x80000004u) {
    snprintf(out, size, "x86-64 processor");
    return;
  }
  for (unsigned i = 0; i < 3; i++)
    __get_cpuid(0x80000002u + i, &brand[4 * i], &brand[4 * i + 1], &brand[4 * i + 2], &brand[4 * i + 3]);
  const char *name = (const char *)brand;
  name += strspn(name, " ");
  int length = (int)strlen(name);
  while (length > 0 && name[length - 1] == ' ')
    length--;
  snprintf(out, size, "%.*s", length, name);
}
#else
void titan_cpu_model_name(char *out, size_t size) {
  struct utsname facts;
  snprintf(out, size, "%s processor", uname(&facts) == 0 ? facts.machine : "unknown");
}
#endif
