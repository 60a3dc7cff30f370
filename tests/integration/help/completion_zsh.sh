#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Property: the completions for zsh are zsh. Oracle: its own parser, where it is installed.
#
# usage: completion_zsh.sh BUILD
set -euo pipefail
for program in titan-hpc titan-checkpoint titan-report titan-tokenizer titan-corpus; do
  file=$1/help/_$program
  [ "$(head -n 1 "$file")" = "#compdef $program" ] || { echo "FAILED: $file does not begin with #compdef"; exit 1; }
  command -v zsh >/dev/null || continue
  zsh -n "$file" || { echo "FAILED: zsh does not parse $file"; exit 1; }
done
if ! command -v zsh >/dev/null; then
  echo "SKIPPED: zsh is not installed, so its completions are not parsed"
  exit 77
fi
