#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Property: configuring stops, and says what to install, where a build could not work: no CUDA toolkit where one is asked for, a serial HDF5, an HDF5 of another MPI, no dygraphs in the folder that is given for it, a oneDNN
# of version 3, a processor that is not x86-64; and it does without cmocka and PCRE2 where no tests are built. Oracle: the exit
# code and the message, with stand-ins for the packages; HDF5 of another MPI only where MPICH's is installed beside Open MPI's.
set -euo pipefail
source=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
fail() {
  echo "FAILED: $*"
  cat "$folder/log"
  exit 1
}
# configure BUILD OPTIONS...: a build folder that was used before is quicker.
configure() {
  cmake -S "$source" -B "$folder/$1" -DTITAN_BENCHMARKS=OFF -DTITAN_CUDA=OFF "${@:2}" >"$folder/log" 2>&1
}
# refused "WORDS" BUILD OPTIONS...: the message, whose lines CMake breaks, has the words.
refused() {
  local words=$1
  shift
  if configure "$@"; then fail "not refused: $*"; fi
  tr -s ' \n' ' ' <"$folder/log" | grep -qF -- "$words" || fail "not said: $words"
}

refused 'builds for 64-bit little-endian processors (x86-64, aarch64)' processor -DCMAKE_C_FLAGS=-U__LP64__

# Stand-ins: a serial HDF5, modules of cmocka and PCRE2 that cannot be used, a oneDNN of version 4.
mkdir -p "$folder/serial/include" "$folder/new/oneapi/dnnl"
echo '#define H5_VERS_INFO "serial"' >"$folder/serial/include/hdf5.h"
printf 'Name: HDF5\nDescription: a serial build\nVersion: 1.14.0\nCflags: -I%s\n' "$folder/serial/include" >"$folder/serial/hdf5-serial-here.pc"
for module in cmocka libpcre2-8; do
  printf 'Name: broken\nDescription: broken\nVersion: 0\nRequires: no-such-module\n' >"$folder/serial/$module.pc"
done
export PKG_CONFIG_PATH=$folder/serial${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
touch "$folder/new/dnnl.h"
printf '#define DNNL_VERSION_MAJOR 4\n#define DNNL_VERSION_MINOR 1\n#define DNNL_VERSION_PATCH 0\n' >"$folder/new/oneapi/dnnl/dnnl_version.h"

refused 'has no dygraph.min.js. Expected: the folder of dygraphs 2.2 or newer' pages -DTITAN_TESTS=OFF -DTITAN_RUN_CHECKS=OFF -DTITAN_DYGRAPHS=/
refused 'hdf5-serial-here (version 1.14.0): it is built without MPI' build -DTITAN_TESTS=OFF -DTITAN_HDF5=hdf5-serial-here
tr -s ' \n' ' ' <"$folder/log" | grep -q 'libhdf5-openmpi-dev for Open MPI.* hdf5+mpi' || fail "not said: what to install"
refused 'pkg-config knows none of no-such-hdf5' build -DTITAN_HDF5=no-such-hdf5
refused "has version '4.1.0'; titan-hpc needs a version 2 or 3" build -DTITAN_HDF5= "-DDNNL_INCLUDE_DIR=$folder/new"
configure build -UDNNL_INCLUDE_DIR || fail "the program alone needs more than it should"
refused 'cmocka' build -DTITAN_TESTS=ON

# A CUDA toolkit without headers and libraries.
mkdir -p "$folder/cuda/bin"
printf '#!/bin/sh\n' >"$folder/cuda/bin/nvcc"
chmod +x "$folder/cuda/bin/nvcc"
cuda=(-DTITAN_TESTS=OFF "-DTITAN_NVCC=$folder/cuda/bin/nvcc")
refused 'TITAN_CUDA = "yes", expected AUTO, ON, OFF or EMULATED' cuda_build "${cuda[@]}" -DTITAN_CUDA=yes
refused "no headers and no libcudart_static.a were found in $folder/cuda" cuda_build "${cuda[@]}" -DTITAN_CUDA=ON
refused 'Expected: the CUDA toolkit 12.4 or newer' cuda_build "${cuda[@]}" -DTITAN_CUDA=ON
configure cuda_build "${cuda[@]}" -DTITAN_CUDA=AUTO || fail "a toolkit that cannot be used stops a build that does not ask for it"
grep -q 'CUDA device: not built; .*no headers' "$folder/log" || fail "not said: why there is no CUDA device"
configure cuda_build "${cuda[@]}" -DTITAN_CUDA=OFF || fail "without CUDA"

if command -v mpicc.mpich >/dev/null && pkg-config --exists hdf5-openmpi hdf5-mpich; then
  refused 'It was built for another MPI' mpich -DTITAN_TESTS=OFF -DMPI_C_COMPILER=mpicc.mpich -DTITAN_HDF5=hdf5-openmpi
  configure mpich -DTITAN_HDF5= || fail "MPICH with its own HDF5"
  grep -q 'HDF5 that fits the MPI: hdf5-mpich' "$folder/log" || fail "not MPICH's HDF5"
  grep -q '^MPIEXEC_EXECUTABLE:.*mpiexec.mpich$' "$folder/mpich/CMakeCache.txt" || fail "not MPICH's launcher"
fi
