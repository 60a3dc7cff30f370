# SPDX-License-Identifier: Apache-2.0
# How emulated kernels are compiled. They see memory as other types than it was written as; and, but in the unwatched ones, g++ puts a hook
# before each of their accesses, which shadow.cpp has (it is linked without the library of -fsanitize).
set(TITAN_EMULATED_UNWATCHED_OPTIONS -fno-strict-aliasing -Wno-unknown-pragmas -Wno-maybe-uninitialized)
set(TITAN_EMULATED_KERNEL_OPTIONS ${TITAN_EMULATED_UNWATCHED_OPTIONS})
set(TITAN_EMULATOR_IS_WATCHED FALSE)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND NOT TITAN_SANITIZE AND NOT TITAN_SANITIZE_THREAD)
  list(APPEND TITAN_EMULATED_KERNEL_OPTIONS -fsanitize=thread --param=tsan-instrument-func-entry-exit=0)
  set(TITAN_EMULATOR_IS_WATCHED TRUE)
endif()
