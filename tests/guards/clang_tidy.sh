#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# clang-tidy finds nothing in the C of src/ and tests/, by the checks of .clang-tidy. What it must not say stands beside the line, with
# the reason. A kernel, which is compiled once for each instruction-set level, is read as it is compiled for avx2.
#
# usage: clang_tidy.sh PROJECT BUILD [REGULAR EXPRESSION OF FILES]   (BUILD: a build folder with compile_commands.json)
set -euo pipefail
cd "$1"
build=$2 files=${3:-.}
version=14
tidy=$(command -v clang-tidy-$version || command -v clang-tidy || true)
[ -n "$tidy" ] || { echo "SKIPPED: clang-tidy is missing (Debian: apt-get install clang-tidy)"; exit 77; }
# Another version has other checks.
"$tidy" --version | grep -q "version $version\." ||
  { echo "SKIPPED: the checks are those of clang-tidy $version, and this is $("$tidy" --version | grep version)"; exit 77; }

# One command for each file: of a kernel's several ones the last in this order. CMake writes an entry as lines "key": "value".
chosen=$build/clang_tidy
mkdir -p "$chosen"
awk -v root="$PWD/" '
  /^\{/ { entry = file = "" }
  { entry = entry $0 "\n" }
  /^ *"file":/ { file = $0; sub(/^ *"file": "/, "", file); sub(/",?$/, "", file) }
  /^\}/ {
    sub(/,\n$/, "\n", entry)
    if (index(file, root "src/") != 1 && index(file, root "tests/") != 1 || file !~ /\.c$/) next
    if (!(file in entries) || entry ~ /-DTITAN_ISA=avx2 /) entries[file] = entry
  }
  END { printf "["; for (file in entries) { printf "%s%s", comma, entries[file]; comma = "," } print "]" }
' "$build/compile_commands.json" >"$chosen/compile_commands.json"
sed -n 's/^ *"file": "\(.*\)",\{0,1\}$/\1/p' "$chosen/compile_commands.json" | sort | { grep -E "$files" || true; } >"$chosen/files"
[ -s "$chosen/files" ] || { echo "no C file of src/ or tests/ is in $build/compile_commands.json"; exit 1; }
# One file a call: of several files clang-tidy reports by the .clang-tidy of the last one. -Wno: options that only GCC knows.
xargs -P "$(nproc)" -n 1 "$tidy" -p "$chosen" --quiet --extra-arg=-Wno-unknown-warning-option <"$chosen/files" 2>"$chosen/errors" ||
  { grep -E 'error:' "$chosen/errors" || true; exit 1; }
echo "$(wc -l <"$chosen/files") files"
