#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# All that a machine with a GPU is needed for, in nine minutes: does the CUDA device compute what the CPU does, twice the same, and how
# fast. The machine needs a driver, and cuBLASLt of the version that the plugin was built with; a Python with PyTorch has that, cuDNN, NCCL
# and NVRTC. What else is needed lies in an archive that pack.sh has made.
#
# Each part has a time limit, writes its results at once, and stops no other. Under $OUT lie then table.md, results.json, log.txt (what
# all parts said), machine.txt, kernels.json and ncu.txt. Exit code 0: every part has passed, but for the comparison with PyTorch, ncu and,
# where there is no compute-sanitizer, that.
#
# usage: run.sh [--dry] [--parts "NAMES"] [FOLDER]     FOLDER: with the archive, or already unpacked; default .gpu
# --dry: with an emulated GPU in the place of the plugin; all sizes are divided by 64, and tools for real GPUs are left out, with a word.
# shellcheck disable=SC2317 # functions of parts.sh call those here
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
all_parts="machine ceilings conformance golden debugmodel resume recorded ranks kernels steps sanitizer peer ncu"
seconds_in_all=540
declare -A limit=([machine]=40 [ceilings]=25 [conformance]=70 [golden]=30 [debugmodel]=25 [resume]=20 [recorded]=20 [sanitizer]=45
  [kernels]=80 [steps]=110 [peer]=80 [ranks]=45 [ncu]=35)
dry='' parts=$all_parts inside='' folder=$root/.gpu
while [ $# -gt 0 ]; do
  case $1 in
  --dry) dry=1 ;;
  --parts) parts=$2 && shift ;;
  --inside) inside=$2 && shift ;;
  -*) echo "run.sh: $1: expected --dry, --parts \"NAMES\" or a folder" >&2 && exit 2 ;;
  *) folder=$1 ;;
  esac
  shift
done
for part in $parts; do
  [ -n "${limit[$part]:-}" ] || { echo "run.sh: there is no part $part; there are $all_parts" >&2; exit 2; }
done
: "${OUT:=$root/build/gpu}"
mkdir -p "$OUT" || exit 2
OUT=$(cd "$OUT" && pwd)
export OUT

# --- what parts have: numbers for the JSON file, a word for the table ---

# number KEY VALUE: VALUE is a number, or text with its quotes.
number() { printf '"%s": %s\n' "$1" "$2" >>"$work/$inside.numbers"; }
# word TEXT: what the table says of the part.
word() { printf '%s\n' "$*" >>"$work/$inside.words"; }
# good TEXT: the same if nothing has failed.
good() { [ "$failures" -gt 0 ] || word "$*"; }
left_out() { # TEXT
  word "$*"
  exit 77
}
bad() {
  word "FAILED: $*"
  failures=$((failures + 1))
}
failures=0

if [ -n "$inside" ]; then
  work=$GPU_WORK
  mkdir -p "$work/runs"
  cd "$work/runs" || exit 2
  # shellcheck source=tests/gpu/parts.sh
  . "$here/parts.sh"
  "part_$inside"
  exit $((failures > 0))
fi

# --- the frame ---

work=$(mktemp -d "${TMPDIR:-/tmp}/titan-gpu-XXXXXX")
trap 'rm -rf "$work"' EXIT
if [ -d "$folder/bin" ]; then
  programs=$(cd "$folder" && pwd)
else
  [ -f "$folder/payload.tar.gz" ] || { echo "run.sh: $folder has no payload.tar.gz and no bin: tests/gpu/pack.sh makes it" >&2; exit 2; }
  programs=$work/programs
  mkdir "$programs"
  tar -C "$programs" -xzf "$folder/payload.tar.gz" || { echo "run.sh: $folder/payload.tar.gz cannot be unpacked" >&2; exit 2; }
fi
export GPU_WORK=$work GPU_PROGRAMS=$programs
# shellcheck source=tests/gpu/environment.sh
. "$here/environment.sh"
: >"$OUT/log.txt"
started=$SECONDS

# text FILE: its lines as one, fit for JSON and for a table.
text() { [ ! -f "$1" ] || sed 's/["\\|[:cntrl:]]/ /g' "$1" | paste -sd';' | sed 's/;/; /g'; }

# report PART RESULT SECONDS: adds a row to results.json and table.md, which are whole after each part.
rows='' table=''
report() {
  local numbers=''
  [ ! -f "$work/$1.numbers" ] || numbers=$(paste -sd, "$work/$1.numbers")
  rows="$rows${rows:+,
}  {\"part\": \"$1\", \"result\": \"$2\", \"seconds\": $3, \"says\": \"$(text "$work/$1.words")\", \"numbers\": {$numbers}}"
  table="$table| $1 | $2 | $3 | $(text "$work/$1.words") |
"
  printf '[\n%s\n]\n' "$rows" >"$OUT/results.json"
  printf '| part | result | s | |\n|---|---|---|---|\n%s' "$table" >"$OUT/table.md"
}

missing=0
for part in $parts; do
  left=$((seconds_in_all - SECONDS + started)) time=${limit[$part]}
  if [ -n "$dry" ]; then
    left=100000 time=$((60 * time))
  fi
  [ "$time" -le $left ] || time=$left
  time=${GPU_LIMIT:-$time} # for the test of this script
  begin=$SECONDS
  rm -f "$work/$part".*
  if [ "$time" -lt 5 ]; then
    echo "no time was left" >"$work/$part.words"
    result='left out'
  else
    printf '\n===== %s\n' "$part" >>"$OUT/log.txt"
    timeout -k 5 "$time" bash "$here/run.sh" ${dry:+--dry} --inside "$part" >>"$OUT/log.txt" 2>&1
    case $? in
    0) result=passed ;;
    77) result='left out' ;;
    78) result='not in this program' ;;
    124 | 137) result='timed out' && echo "after $time s" >>"$work/$part.words" ;;
    *) result=FAILED ;;
    esac
  fi
  report "$part" "$result" $((SECONDS - begin))
  case $part:$result in
  *:passed | *:'not in this program') ;;
  sanitizer:'left out' | peer:* | ncu:*) ;;
  *) missing=$((missing + 1)) ;;
  esac
  rm -rf "$work/runs"
done
cat "$OUT/table.md"
echo "$missing required parts have not passed; $((SECONDS - started)) s"
exit $((missing > 0))
