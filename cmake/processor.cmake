# SPDX-License-Identifier: Apache-2.0
# The kernels are written for x86-64, and hardly any other processor would get through the compiler: said here, before it tries.
include(CheckCSourceCompiles)
check_c_source_compiles("
#if !defined __x86_64__ || defined __ILP32__
#error not x86-64
#endif
int main(void) { return 0; }" TITAN_PROCESSOR_IS_X86_64)
if(NOT TITAN_PROCESSOR_IS_X86_64)
  message(FATAL_ERROR "titan-hpc builds for 64-bit x86 processors (x86-64: Intel, AMD) only; "
    "${CMAKE_C_COMPILER} compiles for ${CMAKE_SYSTEM_PROCESSOR}.")
endif()
