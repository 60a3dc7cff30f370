#!/bin/bash
# Every mesh with tensor parallelism is one rank, as mesh.sh holds it for data parallelism: losses and gradient norms of ten steps,
# initial weights bitwise. Tolerances as there.
#
# usage: tensor_mesh.sh PROGRAM COMPARE WORK float32|bfloat16
TITAN=$1 COMPARE=$2 WORK=$3
dtype=$4
. "$(dirname "$0")/common.sh"
case $dtype in
float32) tolerance=1e-5 ;;
bfloat16) tolerance=1e-2 ;;
*) exit 2 ;;
esac

# check REFERENCE GLOBAL_BATCH REPLICATE SHARD TP [OPTIONS]
check() {
  local reference=$1 batch=$2 replicate=$3 shard=$4 tp=$5
  shift 5
  local name=replicate${replicate}_shard${shard}_tp${tp}${1:+_$1}
  train "$name" $((replicate * shard * tp)) --training.batch_size $((batch / replicate / shard)) \
    --training.mixed_precision_param "$dtype" --training.data_parallel_replicate_degree "$replicate" \
    --training.data_parallel_shard_degree "$shard" --training.tensor_parallel_degree "$tp" "$@" || return
  alike "$name" numbers 10 $tolerance "$reference/steps.txt" "$name/steps.txt"
  alike "$name" weights "$reference/weights.txt" "$name/weights.txt"
}

train one 1 --training.batch_size 8 --training.mixed_precision_param "$dtype"
for mesh in "1 1 2" "1 1 4" "1 1 8" "1 2 2" "2 1 2" "2 2 2"; do
  check one 8 $mesh
done
check one 8 1 1 4 --training.enable_loss_parallel=false
train one_of_six 1 --training.batch_size 6 --training.mixed_precision_param "$dtype"
check one_of_six 6 1 3 2
finish
