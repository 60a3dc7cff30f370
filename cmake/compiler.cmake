# SPDX-License-Identifier: Apache-2.0
# Warnings, errors where TITAN_WARNINGS_AS_ERRORS says so; sanitizers by preset; titan_library() makes one static library of a folder of src/.
add_library(titan_options INTERFACE)
target_compile_options(titan_options INTERFACE
  -Wall -Wextra -Wshadow -Wundef -Wvla $<$<BOOL:${TITAN_WARNINGS_AS_ERRORS}>:-Werror>
  $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes -Wmissing-prototypes>
  -fno-math-errno)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU" AND NOT TITAN_MPI_IS_OPEN_MPI)
  # MPICH's MPI_STATUSES_IGNORE is the address 1, and GCC takes it for an array that is too short.
  target_compile_options(titan_options INTERFACE -Wno-stringop-overflow)
endif()
if(CMAKE_C_COMPILER_ID MATCHES "Clang")
  # clang 14 does not vectorize a maximum that `omp simd reduction(max:)` asks for: slower, not wrong.
  target_compile_options(titan_options INTERFACE -Wno-pass-failed)
endif()
target_compile_definitions(titan_options INTERFACE _GNU_SOURCE $<$<BOOL:${TITAN_GENERIC_ONLY}>:TITAN_GENERIC_ONLY>)
target_include_directories(titan_options INTERFACE ${PROJECT_SOURCE_DIR}/src ${PROJECT_BINARY_DIR}/generated)
if(TITAN_SANITIZE)
  target_compile_options(titan_options INTERFACE -fsanitize=address,undefined -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(titan_options INTERFACE -fsanitize=address,undefined)
endif()
if(TITAN_SANITIZE_THREAD)
  target_compile_options(titan_options INTERFACE -fsanitize=thread -fno-omit-frame-pointer)
  if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    # GCC warns of fences, which ThreadSanitizer knows nothing of: ours are for memory that processes share.
    target_compile_options(titan_options INTERFACE -Wno-tsan)
  endif()
  target_link_options(titan_options INTERFACE -fsanitize=thread)
endif()
if(TITAN_COVERAGE)
  target_compile_options(titan_options INTERFACE --coverage -fprofile-update=atomic)
  target_link_options(titan_options INTERFACE --coverage)
endif()
if(TITAN_FUZZ)
  if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "TITAN_FUZZ needs Clang, which has libFuzzer: cmake --preset fuzz. The compiler is ${CMAKE_C_COMPILER_ID}.")
  endif()
  target_compile_options(titan_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

# What the compiler is told of an instruction-set level (src/base/cpu_isa.h).
set(TITAN_CPU_FLAGS_generic "")
set(TITAN_CPU_FLAGS_baseline "")
set(TITAN_CPU_FLAGS_avx2 -mavx2 -mfma -mf16c)
set(TITAN_CPU_FLAGS_avx512 ${TITAN_CPU_FLAGS_avx2} -mavx512f -mavx512bw -mavx512vl -mavx512dq -mprefer-vector-width=512)
set(TITAN_CPU_FLAGS_avx512_bf16 ${TITAN_CPU_FLAGS_avx512} -mavx512bf16)

# titan_library(folder [libraries...]): the static library titan_<folder> of every source in the current folder and
# those below it; an #include "folder/file.h" resolves from src/.
function(titan_library name)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.c ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  list(SORT sources)
  add_library(titan_${name} STATIC ${sources})
  target_link_libraries(titan_${name} PUBLIC titan_options ${ARGN})
endfunction()

# titan_opens_plugins(target): the program exports what a plugin resolves in it: the device interface and what it stands on, of which the
# program itself may use less.
function(titan_opens_plugins target)
  target_link_options(${target} PRIVATE -Wl,--whole-archive $<TARGET_FILE:titan_device> $<TARGET_FILE:titan_comm> $<TARGET_FILE:titan_graph>
    $<TARGET_FILE:titan_base> -Wl,--no-whole-archive)
  target_link_libraries(${target} PRIVATE titan_device titan_dnnl OpenMP::OpenMP_C MPI::MPI_C)
  set_target_properties(${target} PROPERTIES ENABLE_EXPORTS ON)
endfunction()
