#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Property: the C and C++ sources are formatted as clang-format does by .clang-format.
#
# usage: format.sh ROOT
set -euo pipefail
cd "$1"
# The first line of .clang-format says which version formats; another one breaks lines elsewhere.
version=$(sed -n '1s/.*clang-format \([0-9]*\).*/\1/p' .clang-format)
[ -n "$version" ] || { echo ".clang-format: the first line names no version of clang-format"; exit 1; }
format=$(command -v "clang-format-$version" || command -v clang-format || true)
[ -n "$format" ] || { echo "SKIPPED: clang-format is missing (Debian: apt-get install clang-format-$version)"; exit 77; }
"$format" --version | grep -q "version $version\." ||
  { echo "SKIPPED: the style is that of clang-format $version, and this is $("$format" --version)"; exit 77; }
find src tests benchmarks -type f \( -name '*.c' -o -name '*.h' -o -name '*.cpp' \) -print0 |
  sort -z | xargs -0 "$format" --dry-run --Werror
