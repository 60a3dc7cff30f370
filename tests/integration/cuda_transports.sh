#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Groups of GPUs that go through host memory give the bits of those over NCCL: losses and gradient norms of three steps on the emulated
# GPU, with NCCL's stand-in, which adds up in the order of the ranks as host groups do. Oracle: the run over NCCL. Tolerance: none.
#
# usage: cuda_transports.sh PROGRAM COMPARE WORK PLUGIN fsdp|tensor|pipeline|hsdp|async
TITAN=$1 COMPARE=$2 WORK=$3 PLUGIN=$4
. "$(dirname "$0")/common.sh"
run_timeout=900
steps=3
same=(--training.steps $steps --training.seq_len 16 --training.batch_size 2 --job.device cuda)
export TITAN_CUDA_PLUGIN=$PLUGIN

# check NAME RANKS OPTIONS...: every rank has a GPU of its own; the second run is in another order of work.
check() {
  local name=$1 ranks=$2
  shift 2
  export TITAN_EMULATED_GPUS=$ranks
  train "$name.nccl" "$ranks" "${same[@]}" "$@" --comm.gpu_transport nccl || return
  TITAN_EMULATED_SEED=5 train "$name.host" "$ranks" "${same[@]}" "$@" --comm.gpu_transport host || return
  grep -q 'INFO - Groups of GPUs go over NCCL 2\.[0-9.]*$' "$name.nccl.log" || fail "$name: no word that groups go over NCCL"
  grep -q 'INFO - Groups of GPUs go through host memory: comm.gpu_transport = host' "$name.host.log" || fail "$name: no word of host memory"
  alike "$name" bitwise $steps "$name.nccl/steps.txt" "$name.host/steps.txt"
}

# Four ranks: sums of two are the same in any order.
fsdp() {
  check fsdp2 2 --training.mixed_precision_param bfloat16
  check fsdp4 4
}
tensor() {
  check tp2 2 --training.tensor_parallel_degree 2
  check tp4 4 --training.tensor_parallel_degree 4 --training.mixed_precision_param bfloat16
}
pipeline() {
  check pp2 2 --experimental.pipeline_parallel_degree 2 --experimental.pipeline_parallel_schedule Interleaved1F1B
}
hsdp() { check hsdp4 4 --training.data_parallel_replicate_degree 2; }
async() {
  local type
  for type in float32 bfloat16; do
    check $type 4 --training.tensor_parallel_degree 4 --training.compile --experimental.enable_async_tensor_parallel \
      --training.mixed_precision_param $type
  done
}

run_part "$5"
finish
