#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Property: no word of tests/guards/words.txt stands in documents, messages or comments.
#
# usage: words.sh ROOT
set -euo pipefail
list=$(dirname "${BASH_SOURCE[0]}")/words.txt
cd "$1"
code=0
found=$(find . -maxdepth 1 -type f \( -name '*.md' -o -name '*.cff' -o -name CMakeLists.txt -o -name quickstart -o -name Containerfile \) -print0 |
  cat - <(find docs src configs jobscripts modules benchmarks cmake assets .github .devcontainer -type f -print0 2>/dev/null) |
  LC_ALL=C xargs -0 grep -nIwiF -f <(grep -v '^#' "$list")) || code=$?
if [ -n "$found" ]; then
  echo "$found"
  echo "tests/guards/words.txt says why these words are not for the project"
  exit 1
fi
[ "$code" = 1 ] || [ "$code" = 123 ] || exit "$code" # nothing is found, as grep and xargs say it
