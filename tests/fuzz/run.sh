#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Searches for inputs that break a reader: each fuzz target of a build of the preset `fuzz` for a number of seconds, from the corpus that
# is kept here. New inputs go to BUILD/corpus, one that fails to BUILD/findings. The exit code is 1 where one failed.
#
# usage: run.sh BUILD SECONDS [TARGET...]
set -euo pipefail
build=$(cd "$1" && pwd)
seconds=$2
shift 2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ -x "$build/tests/fuzz/fuzz_jsonl" ] || { echo "$build has no fuzz targets: cmake --preset fuzz, cmake --build --preset fuzz"; exit 2; }
export ASAN_OPTIONS=detect_leaks=1:use_sigaltstack=0:allocator_may_return_null=1
export LSAN_OPTIONS="suppressions='$here/../lsan.supp':print_suppressions=0"
[ $# -gt 0 ] || set -- $(ls "$here/corpus")

findings=$build/findings
mkdir -p "$findings"
failed=''
for target in "$@"; do
  mkdir -p "$build/corpus/$target"
  code=0
  "$build/tests/fuzz/fuzz_$target" -max_total_time="$seconds" -max_len=4096 -rss_limit_mb=4096 -timeout=20 -print_final_stats=1 \
    -artifact_prefix="$findings/$target-" "$build/corpus/$target" "$here/corpus/$target" >"$build/fuzz_$target.log" 2>&1 || code=$?
  executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$build/fuzz_$target.log")
  echo "$target: ${executions:-no} executions$([ "$code" = 0 ] || echo ", failed with code $code")"
  if [ "$code" != 0 ]; then
    failed="$failed $target"
    tail -n 40 "$build/fuzz_$target.log"
  fi
done
[ -z "$failed" ] || { echo "what failed is in $findings:$failed"; exit 1; }
