#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every mesh with tensor parallelism is one rank: the same seed and global batch give one rank's loss and gradient norm at each of
# six steps, and bitwise the same initial weights. Oracle and tolerances: as in mesh.sh (observed in float32: 3e-7).
#
# usage: tensor.sh PROGRAM COMPARE WORK float32|bfloat16|sixty_four_ranks [async]
TITAN=$1 COMPARE=$2 WORK=$3
part=$4
. "$(dirname "$0")/common.sh"

# Every gradient is clipped: all norms are above 0.3.
same=(--training.mixed_precision_param "$part" --training.max_norm 0.3 --training.seq_len 32 --training.steps 6)

# check REFERENCE GLOBAL_BATCH REPLICATE SHARD TENSOR OPTIONS...
check() {
  local reference=$1 batch=$2 replicate=$3 shard=$4 tensor=$5
  local data=$((replicate * shard)) name
  shift 5
  name=replicate${replicate}_shard${shard}_tp${tensor}${*:+_varied}
  train "$name" $((data * tensor)) --training.batch_size $((batch / data)) "${same[@]}" \
    --training.data_parallel_replicate_degree "$replicate" --training.data_parallel_shard_degree "$shard" \
    --training.tensor_parallel_degree "$tensor" --debug.check_replicas "$@" || return
  alike "$name" numbers 6 $tolerance "$reference/steps.txt" "$name/steps.txt"
  alike "$name" weights "$reference/weights.txt" "$name/weights.txt"
}

meshes() {
  train one 1 --training.batch_size 8 "${same[@]}"
  alike one learns 6 8.22 0.15 one/steps.txt # ln 2256 + 1/2
  local mesh
  for mesh in "1 1 2" "1 1 4" "1 1 8" "1 2 2" "2 1 2" "2 2 2"; do
    check one 8 $mesh
  done
  check one 8 1 1 2 --training.enable_loss_parallel false
  train one_of_six 1 --training.batch_size 6 "${same[@]}"
  check one_of_six 6 1 3 2
}

# Transfers that go on during products, through shared memory and messages.
async_meshes() {
  local async=(--training.compile --experimental.enable_async_tensor_parallel) way=shared mesh
  train one 1 --training.batch_size 8 "${same[@]}"
  for mesh in "1 1 2" "1 1 4" "1 1 8" "1 2 2" "2 1 2" "2 2 2"; do
    check one 8 $mesh "${async[@]}" --comm.intra_node $way
    way=$([ $way = shared ] && echo mpi || echo shared)
  done
  check one 8 1 1 2 "${async[@]}" --training.enable_loss_parallel false
  train one_of_six 1 --training.batch_size 6 "${same[@]}"
  check one_of_six 6 1 3 2 "${async[@]}"
  train nothing_to_do 1 --training.batch_size 8 "${same[@]}" "${async[@]}"
  grep -q 'enable_async_tensor_parallel has nothing to do' nothing_to_do.log || fail "no word on async with one rank"
}

# debug_64.toml on a mesh of 4 x 4 x 4 equals one rank with its global batch of 16.
sixty_four_ranks() {
  run_timeout=900
  local options=(--job.config_file "$here/../../configs/debug_64.toml" --debug.record_step_numbers
    --debug.dump_initial_weights --metrics.peak_flops 1e12 --training.steps 6)
  launch 1 "$TITAN" "${options[@]}" --job.dump_folder one --training.batch_size 16 2>one.log ||
    fail "one rank: $(tail -n 5 one.log)"
  launch 64 "$TITAN" "${options[@]}" --job.dump_folder many --training.data_parallel_replicate_degree 4 \
    --training.tensor_parallel_degree 4 2>many.log || fail "64 ranks: $(tail -n 20 many.log)"
  grep -qF "Building 3-D device mesh with ['dp_replicate', 'dp_shard', 'tp'], [4, 4, 4]" many.log ||
    fail "not a mesh of 4 x 4 x 4"
  alike "64 ranks" numbers 6 1e-5 one/steps.txt many/steps.txt
  alike "64 ranks" weights one/weights.txt many/weights.txt
}

case $part in
float32) tolerance=1e-5 && ${5:+async_}meshes ;;
bfloat16) tolerance=1e-2 && ${5:+async_}meshes ;;
sixty_four_ranks) sixty_four_ranks ;;
*) exit 2 ;;
esac
finish
