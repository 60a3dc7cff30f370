#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What to ask an allocation for, before any job: for 1, 2, 4, ... nodes the memory of a rank, until it fits; and the hours.
#
#   RANKS=8 MEMORY=192 jobscripts/estimate.sh run.toml --training.tensor_parallel_degree 8
#   RANKS=8 DEVICE=h100-80g TFLOPS=400 jobscripts/estimate.sh run.toml
#
# RANKS: of a node. MEMORY: GiB of a node, for CPUs; DEVICE: a name that memory_estimation.device takes, for GPUs. TFLOPS: of a rank, as a
# step of a short run logs it (tflops); without it no hours. MOST: nodes at most (4096). Options are those of titan-hpc.
set -euo pipefail

config=${1:?usage: [RANKS=N] [MEMORY=GiB | DEVICE=NAME] [TFLOPS=X] estimate.sh CONFIGURATION_FILE [options of titan-hpc]}
shift
ranks=${RANKS:-8} device=${DEVICE:-cpu} program=${TITAN_HPC:-titan-hpc}
if [ "$device" = cpu ] && [ -z "${MEMORY:-}" ]; then
  echo "estimate.sh: expected MEMORY=GiB of a node, or DEVICE=NAME of a GPU" >&2
  exit 2
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# number KEY: its first value in the estimate.
number() { grep -o "\"$1\": [0-9.e+]*" "$folder/memory_estimation.json" | head -n 1 | cut -d ' ' -f 2; }

echo "nodes  ranks  GiB a rank, at most  fits"
for ((nodes = 1; nodes <= ${MOST:-4096}; nodes *= 2)); do
  world=$((nodes * ranks))
  "$program" --job.config_file "$config" "$@" --job.dump_folder "$folder" --memory_estimation.enabled --memory_estimation.device "$device" \
    --memory_estimation.world_size "$world" --memory_estimation.ranks_per_node "$ranks" >"$folder/out" 2>"$folder/err" || {
    # A mesh that this many ranks cannot have is no answer yet.
    if grep -q 'ERROR - .*rank' "$folder/err" && [ $nodes -lt "${MOST:-4096}" ]; then
      printf '%5d  %5d  %19s  no mesh\n' "$nodes" "$world" -
      continue
    fi
    grep ERROR "$folder/err" >&2
    exit 2
  }
  most=$(grep -o '"total_bytes": [0-9]*' "$folder/memory_estimation.json" | cut -d ' ' -f 2 | sort -n | tail -n 1)
  available=$(number available_bytes)
  [ "$device" != cpu ] || available=$(awk -v memory="$MEMORY" -v ranks="$ranks" 'BEGIN { printf "%.0f", memory * 1073741824 / ranks }')
  fits=$(awk -v a="$most" -v b="$available" 'BEGIN { print (a <= b ? "yes" : "no") }')
  awk -v nodes=$nodes -v world=$world -v bytes="$most" -v fits="$fits" 'BEGIN { printf "%5d  %5d  %19.2f  %s\n", nodes, world, bytes / 1073741824, fits }'
  [ "$fits" = no ] || break
done
[ "$fits" = yes ] || { echo "estimate.sh: it fits none of these" >&2; exit 1; }
if [ -n "${TFLOPS:-}" ]; then
  flops=$(grep -o '"flops": [0-9.e+]*, "recomputed_flops": [0-9.e+]*' "$folder/memory_estimation.json" | tr -d ',' |
    awk '{ model = $2 - $4; most = model > most ? model : most } END { printf "%.17g", most }')
  steps=$("$program" --job.config_file "$config" "$@" --job.dump_folder "$folder" --job.print_args --memory_estimation.enabled \
    --memory_estimation.device "$device" --memory_estimation.world_size "$world" 2>&1 |
    awk '/^\[/ { training = $0 == "[training]" } training && /^(# )?steps = / { sub(/^# /, ""); print $3; exit }')
  awk -v flops="$flops" -v steps="$steps" -v tflops="$TFLOPS" -v nodes=$nodes 'BEGIN {
    hours = flops * steps / (tflops * 1e12) / 3600
    printf "%d steps at %g TFLOP/s a rank: %.1f hours, %.0f node-hours\n", steps, tflops, hours, hours * nodes }'
fi
