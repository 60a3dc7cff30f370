#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every mesh is one rank: the same seed and global batch give one rank's loss and gradient norm at each of six steps.
# Oracle: the run on one rank. Tolerances, relative: 1e-5 in float32, where only the order of sums differs (observed 2e-7);
# 1e-2 in bfloat16, whose values are rounded to 2^-8 after sums of different order. Initial weights are bitwise the same on every
# mesh because they are drawn by the element's global index.
#
# usage: mesh.sh PROGRAM COMPARE WORK float32|bfloat16 shared|mpi
TITAN=$1 COMPARE=$2 WORK=$3
dtype=$4 intra_node=$5
. "$(dirname "$0")/common.sh"
case $dtype in
float32) tolerance=1e-5 ;;
bfloat16) tolerance=1e-2 ;;
*) exit 2 ;;
esac

# Every gradient is clipped: all norms are above 0.3.
same=(--training.mixed_precision_param "$dtype" --training.max_norm 0.3 --training.seq_len 32 --training.steps 6)

# check REFERENCE GLOBAL_BATCH REPLICATE SHARD
check() {
  local reference=$1 batch=$2 replicate=$3 shard=$4
  local ranks=$((replicate * shard)) name=replicate${replicate}_shard${shard}
  train "$name" $ranks --training.batch_size $((batch / ranks)) "${same[@]}" \
    --comm.intra_node "$intra_node" --training.data_parallel_replicate_degree "$replicate" \
    --training.data_parallel_shard_degree "$shard" || return
  alike "$name" numbers 6 $tolerance "$reference/steps.txt" "$name/steps.txt"
  alike "$name" weights "$reference/weights.txt" "$name/weights.txt"
}

train one 1 --training.batch_size 8 "${same[@]}"
alike one learns 6 8.22 0.15 one/steps.txt # ln 2256 + 1/2
for mesh in "1 2" "1 4" "1 8" "2 1" "4 1" "2 2" "2 4"; do
  check one 8 $mesh
done
# Three ranks cut every unit unevenly, and need a global batch of their own.
train one_of_six 1 --training.batch_size 6 "${same[@]}"
check one_of_six 6 1 3
finish
