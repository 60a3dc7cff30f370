#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Property: no word of tests/guards/words.txt stands in documents, messages or comments; no word of its lines "page: WORD" stands in
# pages (*.md) or in the strings of src/ (but for the words of which titan-corpus generates text).
#
# usage: words.sh ROOT
set -euo pipefail
list=$(dirname "${BASH_SOURCE[0]}")/words.txt
cd "$1"
fail() {
  echo "$1"
  echo "tests/guards/words.txt says why these words are not for the project"
  exit 1
}
code=0
found=$(find . -maxdepth 1 -type f \( -name '*.md' -o -name '*.cff' -o -name CMakeLists.txt -o -name quickstart -o -name Containerfile \) -print0 |
  cat - <(find docs src configs jobscripts modules benchmarks cmake assets .github .devcontainer -type f -print0 2>/dev/null) |
  LC_ALL=C xargs -0 grep -nIwiF -f <(grep -v -e '^#' -e '^page: ' "$list")) || code=$?
[ -z "$found" ] || fail "$found"
[ "$code" = 1 ] || [ "$code" = 123 ] || exit "$code" # nothing is found, as grep and xargs say it

# The strings of each line of src/, comments left out, in the form FILE:LINE:"STRING"; then the pages.
words=$(sed -n 's/^page: //p' "$list")
[ -n "$words" ] || exit 0
found=$({
  find src -type f \( -name '*.[ch]' -o -name '*.def' -o -name '*.cpp' \) ! -name 'corpus_generate_*' -print0 2>/dev/null |
    LC_ALL=C xargs -0 -r grep -nIHE '"([^"\\]|\\.)*"' | grep -vE '^[^:]*:[0-9]+: *//' |
    sed -E 's/^([^:]*:[0-9]+:)/\1 /; s/"(([^"\\]|\\.)*)"/\n"\1"\n/g' |
    awk '/^src\// { split($0, at, ":"); place = at[1] ":" at[2] ":" } /^"/ { print place $0 }'
  find . -maxdepth 1 -name '*.md' -printf '%P\0' | cat - <(find docs .github -name '*.md' -print0 2>/dev/null) | LC_ALL=C xargs -0 -r grep -nIH ''
} | grep -iwF -f <(echo "$words")) || code=$?
[ -z "$found" ] || fail "$found"
