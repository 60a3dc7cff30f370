#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# run.sh passes on the emulated GPU, from the archive that pack.sh makes; and it fails when a part fails: when a program fails, hangs, gives
# other bits in a second run, computes other losses than the CPU, or takes more memory than planned. Oracle: the exit code, and the row of
# the part in table.md and results.json.
#
# usage: dry.sh BUILD PLUGIN WORK all|planted
# shellcheck disable=SC2016 # of scripts that are written here
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=$1 plugin=$2 work=$3
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
rm -rf "$work"
mkdir -p "$work/programs"
failures=0
fail() {
  echo "FAILED: $*"
  failures=$((failures + 1))
}
bash "$here/pack.sh" "$build" "$work/archive" "$plugin" || exit 1

# run NAME CODE FOLDER PARTS
run() {
  OUT=$work/$1 bash "$here/run.sh" --dry --parts "$4" "$3" >"$work/$1.log" 2>&1
  local code=$?
  cat "$work/$1.log"
  [ "$code" = "$2" ] && return
  fail "$1: code $code, expected $2"
  tail -n 60 "$work/$1/log.txt"
}
# said NAME PART RESULT TEXT: the row of a part.
said() {
  grep -q "^| $2 | $3 | [0-9]* | .*$4" "$work/$1/table.md" || fail "$1: table.md has no row \"$2, $3, $4\""
  grep -q "\"part\": \"$2\", \"result\": \"$3\", .*$4" "$work/$1/results.json" || fail "$1: results.json has no row \"$2, $3, $4\""
}

all() {
  local part
  run whole 0 "$work/archive" "machine ceilings conformance golden debugmodel resume recorded sanitizer kernels steps peer ranks ncu"
  for part in machine ceilings conformance golden debugmodel resume kernels steps ranks; do
    said whole "$part" passed ''
  done
  for part in sanitizer peer ncu; do
    said whole "$part" 'left out' 'GPU'
  done
  [ "$(find "$work/whole" -type f | wc -l)" -le 8 ] || fail "more than eight files were written"
  if command -v python3 >/dev/null; then
    python3 -c 'import json, sys; json.load(open(sys.argv[1]))' "$work/whole/results.json" || fail "results.json is no JSON"
  fi
}

# instead PROGRAM LINE...: a shell script in its place.
instead() {
  local program=$work/programs/bin/$1
  shift
  [ -f "$program" ] || fail "there is no program $program"
  [ -f "$program.real" ] || mv "$program" "$program.real"
  printf '%s\n' '#!/bin/bash' "$@" >"$program"
  chmod +x "$program"
}

planted() {
  tar -C "$work/programs" -xzf "$work/archive/payload.tar.gz"
  instead benchmark_gpu_kernels 'sleep 1000'
  instead gpu_golden_llama 'exit 0'
  GPU_LIMIT=5 run hangs 1 "$work/programs" "ceilings golden"
  said hangs ceilings 'timed out' 'after 5 s'
  said hangs golden passed ''
  instead gpu_golden_llama 'exit 1'
  run fails 1 "$work/programs" golden
  said fails golden FAILED 'are not PyTorch'
  instead gpu_attention 'echo "attention 0 $RANDOM$RANDOM" >"$TITAN_TEST_DIGESTS"'
  instead gpu_conformance 'echo "add 0 1" >"$TITAN_TEST_DIGESTS"'
  run differs 1 "$work/programs" conformance
  said differs conformance FAILED 'gpu_attention: two runs differ: attention'
  instead benchmark_gpu_step 'echo "{\"planned_bytes\": 100, \"taken_bytes\": 103}" >"${@: -1}"'
  run memory 1 "$work/programs" steps
  said memory steps FAILED '103 bytes were taken, 100 planned'
  instead titan-hpc 'case " $* " in *" --job.device cpu "*) seed=0 ;; *) seed=1 ;; esac' \
    "exec '$work/programs/bin/titan-hpc.real' \"\$@\" --training.seed \$seed"
  run losses 1 "$work/programs" debugmodel
  said losses debugmodel FAILED 'float32: compare_steps'
  OUT=$work/usage bash "$here/run.sh" --parts nothing "$work/archive" >"$work/usage.log" 2>&1
  [ $? = 2 ] || fail "an unknown part: another code than 2"
  grep -q 'there is no part nothing' "$work/usage.log" || fail "an unknown part: $(cat "$work/usage.log")"
}

case $4 in
all) all ;;
planted) planted ;;
*) exit 2 ;;
esac
echo "$failures failed"
[ $failures -gt 0 ] || rm -rf "$work"
exit $((failures > 0))
