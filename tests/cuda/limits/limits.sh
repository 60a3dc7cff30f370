#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# limits.sh PROGRAM SOURCES NVCC COMPILER: compiles the kernels for compute capability 9.0 and gives what ptxas says to the
# program, which holds it against limits.def. Without nvcc it is skipped (77).
program=$1
sources=$2
nvcc=$3
compiler=$4
if [ ! -x "$nvcc" ] || ! command -v c++filt >/dev/null; then
  echo "SKIPPED: nvcc or c++filt is missing"
  exit 77
fi
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
for kernel in "$sources"/cuda/kernels/*.cu; do
  "$nvcc" -std=c++17 -arch=sm_90 -cubin -ccbin "$compiler" -I"$sources" -Xptxas -v -o "$folder/out.cubin" "$kernel" \
    >>"$folder/said" 2>&1 || {
    cat "$folder/said"
    exit 1
  }
done
c++filt <"$folder/said" >"$folder/names"
"$program" "$folder/names"
