# SPDX-License-Identifier: Apache-2.0
# MPI, its launcher, and whether it is Open MPI (TITAN_MPI_IS_OPEN_MPI).
# Where several are installed, mpicc.NAME goes with mpiexec.NAME; CMake would take the mpiexec of another.
if(MPI_C_COMPILER AND NOT DEFINED MPIEXEC_EXECUTABLE)
  string(REGEX MATCH "mpicc(\\.[^/]*)$" ending "${MPI_C_COMPILER}")
  if(ending)
    find_program(MPIEXEC_EXECUTABLE mpiexec${CMAKE_MATCH_1})
  endif()
endif()
find_package(MPI REQUIRED COMPONENTS C)

include(CheckCSourceCompiles)
string(MAKE_C_IDENTIFIER "TITAN_OPEN_MPI_${MPI_C_COMPILER}" answer)
set(CMAKE_REQUIRED_LIBRARIES MPI::MPI_C)
set(CMAKE_REQUIRED_QUIET ON)
check_c_source_compiles("
#include <mpi.h>
#ifndef OPEN_MPI
#error another MPI
#endif
int main(void) { return 0; }" ${answer})
unset(CMAKE_REQUIRED_LIBRARIES)
unset(CMAKE_REQUIRED_QUIET)
set(TITAN_MPI_IS_OPEN_MPI ${${answer}})
