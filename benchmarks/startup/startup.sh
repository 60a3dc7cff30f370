#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Seconds from the start of a program to its first training step, by ranks; beside it an import of torch by Python, where that is there.
#
#   benchmarks/startup/startup.sh build/release/titan-hpc configs/debug_model.toml [options of titan-hpc]
#   RANKS="1 2 4 8 16 32 64" REPEATS=3 LAUNCH="srun --ntasks=%n" benchmarks/startup/startup.sh titan-hpc configs/debug_model.toml
#
# Each line is a row of a Markdown table: least, median and greatest of REPEATS. "launch" begins before the launcher does, "program" when rank 0
# does. Both end before the first step, with the model in memory and the data open.
set -euo pipefail
if [ $# -lt 2 ]; then
  echo "usage: [RANKS=\"1 2 4\"] [REPEATS=N] [LAUNCH=\"mpirun -np %n\"] startup.sh PROGRAM CONFIGURATION_FILE [options of titan-hpc]" >&2
  exit 2
fi
program=$1 config=$2
shift 2
launch=${LAUNCH:-mpirun --oversubscribe --bind-to none -np %n}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# row LABEL FILE...: least, median and greatest of the numbers in each file.
row() {
  local label=$1 file
  shift
  printf '| %s |' "$label"
  for file in "$@"; do
    sort -n "$file" | awk '{ v[NR] = $1 } END { printf " %.2f, %.2f, %.2f |", v[1], NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2, v[NR] }'
  done
  printf '\n'
}

echo '| ranks | launch, s | program, s |'
echo '|---:|---:|---:|'
for n in ${RANKS:-1 2 4 8}; do
  : >"$folder/launch"
  : >"$folder/program"
  for ((repeat = 0; repeat < ${REPEATS:-3}; repeat++)); do
    before=$(date +%s.%N)
    # shellcheck disable=SC2086 # the launcher is words
    ${launch//%n/$n} "$program" --job.config_file "$config" --training.steps 1 "$@" --job.dump_folder "$folder/dump" >"$folder/log" 2>&1 || {
      code=$?
      echo "startup.sh: $n ranks: code $code: $(grep ERROR "$folder/log" | head -n 1)" >&2
      exit $code
    }
    line=$(grep 'Training starts at step 1, ' "$folder/log")
    # shellcheck disable=SC2001 # these are patterns
    began=$(date -d "$(sed 's/^[^:]*:\([0-9-]* [0-9:]*\),\([0-9]*\).*/\1.\2/' <<<"$line")" +%s.%N)
    awk -v a="$before" -v b="$began" 'BEGIN { printf "%.3f\n", b - a }' >>"$folder/launch"
    # shellcheck disable=SC2001
    sed 's/.*step 1, \([0-9.]*\) s after.*/\1/' <<<"$line" >>"$folder/program"
    rm -rf "$folder/dump"
  done
  row "$n" "$folder/launch" "$folder/program"
done

python=${TITAN_PYTHON:-python3}
if "$python" -c 'import torch' 2>/dev/null; then
  : >"$folder/launch"
  for ((repeat = 0; repeat < ${REPEATS:-3}; repeat++)); do
    before=$(date +%s.%N)
    "$python" -c 'import torch'
    awk -v a="$before" -v b="$(date +%s.%N)" 'BEGIN { printf "%.3f\n", b - a }' >>"$folder/launch"
  done
  row 'Python, import torch alone' "$folder/launch" "$folder/launch"
else
  echo "startup.sh: $python has no torch: no comparison" >&2
fi
