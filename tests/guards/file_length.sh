#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Property: no source file has more than 500 lines, but for tables (*.def, and headers that a script writes: *_ranges.h) and tests.
#
# usage: file_length.sh ROOT
set -euo pipefail
cd "$1"
{
  find src benchmarks cmake -type f \( -name '*.c' -o -name '*.h' -o -name '*.cpp' -o -name '*.py' -o -name '*.sh' -o -name '*.cmake' -o -name '*.js' -o -name '*.css' -o -name '*.html' \) ! -name '*_ranges.h' -print0
  printf 'quickstart\0'
} | xargs -0 awk '
  FNR == 501 { print FILENAME ": more than 500 lines; what can be named is a file of its own"; found = 1 }
  END { exit found }'
