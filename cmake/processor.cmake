# SPDX-License-Identifier: Apache-2.0
# The instruction-set levels that kernels are compiled for (TITAN_CPU_LEVELS): those of x86-64, and "generic", plain C, which is all that
# other processors have. Files and messages hold 64-bit little-endian numbers: other processors are refused before the compiler tries.
include(CheckCSourceCompiles)
check_c_source_compiles("
#if !defined __LP64__ || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error not 64-bit little-endian
#endif
int main(void) { return 0; }" TITAN_PROCESSOR_FITS)
if(NOT TITAN_PROCESSOR_FITS)
  message(FATAL_ERROR "titan-hpc builds for 64-bit little-endian processors (x86-64, aarch64); "
    "${CMAKE_C_COMPILER} compiles for ${CMAKE_SYSTEM_PROCESSOR}.")
endif()
check_c_source_compiles("
#ifndef __x86_64__
#error not x86-64
#endif
int main(void) { return 0; }" TITAN_PROCESSOR_IS_X86_64)
set(TITAN_CPU_LEVELS generic)
if(TITAN_PROCESSOR_IS_X86_64 AND NOT TITAN_GENERIC_ONLY)
  list(APPEND TITAN_CPU_LEVELS baseline avx2 avx512 avx512_bf16)
else()
  message(STATUS "The kernels are plain C, without instructions of a certain processor")
endif()
