#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Property: each guard of this folder finds what it is there to find. Oracle: violations that are planted here, each in a copy of what the
# guard looks at; without one, the copy passes.
#
# usage: notices.sh GUARD ROOT [COMPILER]
set -euo pipefail
guard=$1 root=$2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
fail() {
  echo "FAILED: $*"
  exit 1
}
copy=$folder/copy
mkdir "$copy"
# passes, finds "WORDS": what the guard says of the copy. A guard whose program is missing is skipped, and so is this test.
more=() # arguments behind the copy
passes() {
  local code=0
  bash "$here/$guard.sh" "$copy" "${more[@]}" >"$folder/said" 2>&1 || code=$?
  [ $code != 77 ] || { cat "$folder/said"; exit 77; }
  [ $code = 0 ] || fail "$guard refuses: $(cat "$folder/said")"
}
finds() {
  if bash "$here/$guard.sh" "$copy" "${more[@]}" >"$folder/said" 2>&1; then fail "$guard does not notice: $1"; fi
  grep -qF -- "$1" "$folder/said" || fail "$guard says: $(cat "$folder/said"), not: $1"
}

case $guard in
include_order)
  cp -r "$root/src" "$copy/src"
  mkdir "$copy/docs"
  cp "$root/docs/architecture.md" "$copy/docs/"
  passes
  echo '#include "train/trainer.h"' >"$copy/src/base/planted.h" # upwards
  finds 'src/base/planted.h:1: base/ includes train/, which does not stand in an earlier line of src/folders.txt'
  printf '\n  #  include "config/config.h"\n' >"$copy/src/comm/planted.c" # into a folder of the same line
  rm "$copy/src/base/planted.h"
  finds 'src/comm/planted.c:2: comm/ includes config/'
  echo '#include "planted.h"' >"$copy/src/comm/planted.c"
  finds 'src/comm/planted.c:1: includes "planted.h", which is in no folder'
  rm "$copy/src/comm/planted.c"
  mkdir "$copy/src/planted"
  finds 'src/planted is not in src/folders.txt'
  rmdir "$copy/src/planted"
  sed -i 's/^train$/train planted/' "$copy/src/folders.txt"
  finds 'docs/architecture.md does not give the order'
  ;;
file_length)
  mkdir "$copy/src" "$copy/benchmarks" "$copy/cmake"
  seq 500 | sed 's|^|// |' >"$copy/src/long.c"
  seq 900 | sed 's|^|// |' | tee "$copy/src/table.def" >"$copy/src/some_ranges.h"
  touch "$copy/quickstart"
  passes
  echo '// 501' >>"$copy/src/long.c"
  finds 'src/long.c: more than 500 lines'
  ;;
licence)
  mkdir "$copy/src" "$copy/tests" "$copy/benchmarks" "$copy/cmake" "$copy/jobscripts"
  printf '// SPDX-License-Identifier: Apache-2.0\n// A header.\n' >"$copy/src/good.h"
  printf '#!/bin/sh\n# SPDX-License-Identifier: Apache-2.0\n' >"$copy/jobscripts/good.sh"
  passes
  printf '// A header.\n// SPDX-Licence\n' >"$copy/src/planted.h"
  finds 'src/planted.h: no line SPDX-License-Identifier'
  ;;
words)
  mkdir "$copy/docs" "$copy/src"
  printf '%s\n' 'Documents todos, /tmp/a-XXXXXX and \uXXXX.' >"$copy/README.md"
  passes
  while IFS= read -r word; do
    echo "A line, then (${word#page: }), and more" >"$copy/docs/planted.md"
    finds "docs/planted.md:1:A line, then (${word#page: })"
  done < <(grep -v '^#' "$here/words.txt")
  rm "$copy/docs/planted.md"
  passes
  echo '  return titan_error(status, "todo: %s", name);' >"$copy/src/planted.c"
  finds 'src/planted.c:1'
  # Words of pages and messages: in strings only, and not in those of generated text.
  echo '// beside' >"$copy/src/planted.c"
  echo 'int beside; // "beside"' >>"$copy/src/planted.c"
  echo 'const char *text = "he sat beside her";' >"$copy/src/corpus_generate_planted.c"
  echo 'OPTION("plain", "a word")' >"$copy/src/planted.def"
  sed -i 's/ \/\/ .*//' "$copy/src/planted.c"
  passes
  echo '  say("one", beside, "the other \"one\" is beside it");' >>"$copy/src/planted.c"
  finds 'src/planted.c:3:"the other \"one\" is beside it"'
  ;;
links)
  mkdir "$copy/docs"
  printf '%s\n' '# Start' '[a page](docs/a.md#two-words-twice-1), [here](#start), [there](https://example.org/none.md)' '`[no](link)`' '```' '[no](link)' \
    '```' >"$copy/README.md"
  printf '%s\n' '# A' '## Two `words`, twice' '## Two words twice' '[back](../README.md#start), [next](b.md)' >"$copy/docs/a.md"
  echo '[next](./b.md)' >"$copy/docs/b.md"
  passes
  echo '[a file](docs/c.md)' >>"$copy/README.md"
  finds 'README.md:7: no file docs/c.md'
  sed -i 7d "$copy/README.md"
  echo '[a heading](a.md#three-words)' >>"$copy/docs/b.md"
  finds 'docs/b.md:2: no heading #three-words in docs/a.md'
  sed -i 2d "$copy/docs/b.md"
  sed -i 's/, \[next\](b.md)//' "$copy/docs/a.md"
  finds 'docs/b.md: no link from README.md or docs/README.md leads here'
  ;;
format)
  mkdir "$copy/src" "$copy/tests" "$copy/benchmarks"
  cp "$root/.clang-format" "$copy/"
  printf 'int main(void) {\n  return 0;\n}\n' | tee "$copy/src/good.c" "$copy/tests/good.cpp" >"$copy/benchmarks/good.c"
  passes
  printf 'int main(void) { return 0; }\n' >"$copy/src/planted.c"
  finds 'src/planted.c:1'
  rm "$copy/src/planted.c"
  sed -i 1d "$copy/.clang-format"
  finds 'names no version'
  ;;
clang_tidy)
  mkdir "$copy/src" "$copy/tests" "$copy/build"
  cp "$root/.clang-tidy" "$copy/"
  cp "$root/tests/.clang-tidy" "$copy/tests/"
  more=("$copy/build")
  separator='['
  for file in src/a.c tests/b.c; do
    printf 'int planted(const int *x);\nint planted(const int *x) {\n  return *x;\n}\n' >"$copy/$file"
    printf '%s{\n  "directory": "%s",\n  "command": "cc -std=c11 -c %s",\n  "file": "%s"\n}' "$separator" "$copy" "$copy/$file" "$copy/$file"
    separator=$',\n'
  done | sed 's/^\[{/[\n{/' >"$copy/build/compile_commands.json"
  printf '\n]\n' >>"$copy/build/compile_commands.json"
  passes
  grep -qx '2 files' "$folder/said" || fail "it reads other files: $(cat "$folder/said")"
  printf 'int planted(int x);\nint planted(int x) {\n  return x == x;\n}\n' >"$copy/src/a.c"
  finds 'misc-redundant-expression'
  sed -i 's|x == x;|& // NOLINT(misc-redundant-expression)|' "$copy/src/a.c"
  passes
  printf 'int planted(int x);\nint planted(int x) {\n  return x == x;\n}\n' >"$copy/tests/b.c"
  finds 'tests/b.c:3'
  ;;
headers)
  # The function that makes the library of titan-hpc's headers, on two headers.
  mkdir -p "$copy/src/a"
  cat >"$copy/CMakeLists.txt" <<CMAKE
cmake_minimum_required(VERSION 3.25)
project(planted NONE)
set(CMAKE_C_COMPILER "$3")
set(CMAKE_C_COMPILER_WORKS TRUE)
enable_language(C)
include("$root/cmake/headers.cmake")
titan_check_headers(headers "\${CMAKE_CURRENT_SOURCE_DIR}/src")
CMAKE
  printf '#include <stdbool.h>\nbool whole(void);\n' >"$copy/src/a/whole.h"
  build() { cmake -S "$copy" -B "$folder/build" >"$folder/said" 2>&1 && cmake --build "$folder/build" >>"$folder/said" 2>&1; }
  build || fail "a header that is whole is refused: $(cat "$folder/said")"
  printf 'bool half(void);\n' >"$copy/src/a/half.h"
  if build; then fail "a header that needs another one first is not noticed"; fi
  grep -q 'a/half.h:1.*bool' "$folder/said" || fail "it says: $(cat "$folder/said")"
  ;;
*) fail "there is no guard $guard" ;;
esac
