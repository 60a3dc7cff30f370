#!/usr/bin/env bash
# Property: the scripts parse, and quickstart answers --help and a wrong command without doing anything. Oracle: bash's own
# parser, exit codes.
set -euo pipefail
cd "$1"
for script in quickstart .ci/run jobscripts/*.sh; do
  bash -n "$script"
  [ -x "$script" ] || { echo "$script is not executable"; exit 1; }
done
./quickstart --help | grep -q './quickstart test'
code=0
./quickstart tset >/dev/null 2>&1 || code=$?
[ "$code" -eq 2 ] || { echo "a wrong command gave exit code $code, not 2"; exit 1; }
