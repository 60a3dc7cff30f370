#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Training on the CUDA device. Here the GPU is emulated (tests/cuda_emulator): the device's own code and kernels, with memory that host
# code cannot touch and work that is done late and in a random order. The numbers are the CPU's but for the order of sums: 1e-4 in float32,
# 1e-2 in bfloat16. The plugin that is built for real GPUs says why it is not used here.
#
# usage: cuda.sh PROGRAM COMPARE WORK PLUGIN REAL_PLUGIN one|fsdp|tensor|pipeline|bfloat16|nccl|
# nccl_pipeline|nccl_schedules|nccl_meshes|nccl_versions|nccl_polls|nccl_functions|nccl_faults|nccl_hangs|nccl_refusals|refusals|no_driver|memory|versions [STEPS]
TITAN=$1 COMPARE=$2 WORK=$3 PLUGIN=$4 REAL=$5
. "$(dirname "$0")/common.sh"
run_timeout=900
steps=${7:-3}
same=(--training.steps $steps --training.seq_len 16 --training.batch_size 2)

# check NAME RANKS TOLERANCE OPTIONS...: once on the CPU, once on the emulated GPU.
check() {
  local name=$1 ranks=$2 tolerance=$3
  shift 3
  train "$name.cpu" "$ranks" "${same[@]}" "$@" --job.device cpu || return
  TITAN_CUDA_PLUGIN=$PLUGIN train "$name.gpu" "$ranks" "${same[@]}" "$@" --job.device cuda || return
  grep -q 'device emulated NVIDIA H100 80GB HBM3, 79.6 GiB, compute capability 9.0' "$name.gpu.log" || fail "$name: no emulated GPU was used"
  alike "$name" numbers $steps "$tolerance" "$name.cpu/steps.txt" "$name.gpu/steps.txt"
  cmp "$name.cpu/weights.txt" "$name.gpu/weights.txt" || fail "$name: other initial weights"
  ! cmp -s "$name.cpu/steps.txt" "$name.gpu/steps.txt" || fail "$name: all digits are the CPU's, as if it had computed"
}

# Another order of work gives the same bytes.
one() {
  check one 1 1e-4 --training.compile
  TITAN_EMULATED_SEED=7 TITAN_EMULATOR_ORDER=backward TITAN_CUDA_PLUGIN=$PLUGIN train again 1 "${same[@]}" --training.compile --job.device cuda
  alike again bitwise $steps one.gpu/steps.txt again/steps.txt
}
bfloat16() { check bfloat16 1 1e-2 --training.mixed_precision_param bfloat16; }
fsdp() {
  check fsdp 2 1e-4
  grep -q 'WARNING - 2 ranks share one GPU' fsdp.gpu.log || fail "no word that ranks share a GPU"
}
tensor() { check tensor 2 1e-4 --training.tensor_parallel_degree 2; }
pipeline() {
  check pipeline 2 1e-4 --experimental.pipeline_parallel_degree 2 --experimental.pipeline_parallel_schedule 1F1B
}

# NCCL is a stand-in over MPI (tests/cuda_emulator/nccl.cpp); each rank has a GPU of its own.
nccl() {
  export TITAN_EMULATED_GPUS=2
  check fsdp 2 1e-4 --comm.gpu_transport nccl
  grep -q 'INFO - Groups of GPUs go over NCCL 2\.' fsdp.gpu.log || fail "no word that groups go over NCCL"
  check tensor 2 1e-4 --comm.gpu_transport nccl --training.tensor_parallel_degree 2
}

# piped PP SCHEDULE MICROBATCHES OPTIONS...: messages between pipeline ranks go over NCCL; a wrong order of theirs hangs.
piped() {
  local ranks=$1 schedule=$2 microbatches=$3
  export TITAN_EMULATED_GPUS=$ranks
  shift 3
  check "$schedule.$ranks" "$ranks" 1e-4 --comm.gpu_transport nccl --training.batch_size "$microbatches" --experimental.pipeline_parallel_degree "$ranks" \
    --experimental.pipeline_parallel_schedule "$schedule" --experimental.pipeline_parallel_microbatches "$microbatches" "$@"
  grep -q 'INFO - Groups of GPUs go over NCCL 2\.[0-9.]*$' "$schedule.$ranks.gpu.log" || fail "$schedule: messages do not go over NCCL"
}

# More microbatches than ranks: receives of LoopedBFS are moved ahead (step/in_order.h).
nccl_pipeline() { piped 2 ZBVZeroBubble 4 && piped 2 LoopedBFS 6; }
nccl_schedules() {
  local schedule ranks
  for ranks in 2 4; do
    for schedule in GPipe 1F1B LoopedBFS Interleaved1F1B InterleavedZeroBubble ZBVZeroBubble DualPipeV; do
      piped $ranks $schedule $((2 * ranks))
    done
  done
}
# Meshes of 4 and 8 ranks.
nccl_meshes() {
  export TITAN_EMULATED_GPUS=8
  check hsdp 4 1e-4 --comm.gpu_transport nccl --training.data_parallel_replicate_degree 2
  check pp2fsdp2tp2 8 1e-4 --comm.gpu_transport nccl --training.tensor_parallel_degree 2 --experimental.pipeline_parallel_degree 2 \
    --experimental.pipeline_parallel_schedule 1F1B
}
# Versions without an order of launches: messages go through host memory, and groups are chained.
nccl_versions() {
  export TITAN_EMULATED_GPUS=2 TITAN_EMULATED_NCCL_VERSION=22005
  check old 2 1e-4 --comm.gpu_transport nccl --experimental.pipeline_parallel_degree 2 --experimental.pipeline_parallel_schedule 1F1B
  grep -q 'go over NCCL 2.20.5, messages of pipelines through host memory: NCCL 2.20.5 gives operations of several groups no order' old.gpu.log ||
    fail "no word about the messages of pipelines"
  check shards 2 1e-4 --comm.gpu_transport nccl
}
# Calls that are in progress when they return: the run asks until they are not.
nccl_polls() {
  export TITAN_EMULATED_GPUS=2
  TITAN_EMULATED_NCCL_POLLS=3 check polls 2 1e-4 --comm.gpu_transport nccl --training.tensor_parallel_degree 2 --training.compile \
    --experimental.enable_async_tensor_parallel
  TITAN_EMULATED_NCCL_POLLS=3 TITAN_EMULATED_NCCL_WITHOUT=ncclCommSplit check polls_pipeline 2 1e-4 --comm.gpu_transport nccl \
    --experimental.pipeline_parallel_degree 2 --experimental.pipeline_parallel_schedule 1F1B
}
# Functions that older versions lack.
nccl_functions() {
  export TITAN_EMULATED_GPUS=2
  TITAN_EMULATED_NCCL_WITHOUT="ncclCommSplit ncclGetLastError" check split 2 1e-4 --comm.gpu_transport nccl
  TITAN_EMULATED_NCCL_IDENTIFIER_RANKS=1 check scalable 2 1e-4 --comm.gpu_transport nccl
  TITAN_EMULATED_NCCL_IDENTIFIER_RANKS=1 TITAN_EMULATED_NCCL_WITHOUT=ncclCommInitRankScalable check scalable_missing 2 1e-4 --comm.gpu_transport nccl
}

# fault KIND:RANK:NUMBER SECONDS TEXT OPTIONS...: the stand-in goes wrong; the run ends with code 5 and the text, when a collective has
# taken so long.
fault() {
  local fault=$1 seconds=$2 text=$3 name=${1//:/_} code
  shift 3
  TITAN_CUDA_PLUGIN=$PLUGIN TITAN_EMULATED_NCCL_FAULT=$fault launch 2 "$TITAN" --job.config_file "$here/small.toml" --job.dump_folder "$name" \
    "${same[@]}" --training.batch_size 1 --job.device cuda --comm.init_timeout_seconds "$seconds" "$@" >"$name.out" 2>"$name.log"
  code=$?
  [ $code = 5 ] || fail "$fault: code $code, expected 5: $(tail -n 3 "$name.log")"
  grep -q -- "ERROR - .*$text" "$name.log" || fail "$fault: no \"$text\": $(grep ERROR "$name.log")"
}

nccl_faults() {
  export TITAN_EMULATED_GPUS=2
  fault identifier:0:0 60 'NCCL: unhandled system error'
  fault absent:0:0 5 'has kept rank . waiting'
  # Either rank may be the one that tells.
  local start='start of NCCL .* has kept rank . waiting\|has kept rank . waiting .* waits for start of NCCL'
  fault start:1:0 5 "$start"
  fault start:1:1 5 "$start"
  fault never:1:1 5 "$start"
  fault never:0:0 5 "$start"
  grep -l 'ranks call different collectives' start_*.log never_*.log && fail "ranks that start NCCL are said to call different collectives"
  fault late:1:0 60 'NCCL: unhandled system error'
  fault late:0:1 60 'NCCL: unhandled system error'
  fault call:1:0 60 'NCCL: unhandled system error'
  fault asynchronous:1:0 60 'in group .* (rank 1 of 2, sequence .*): NCCL: remote process exited'
  fault hang:1:0 5 'has kept rank . waiting for .* (comm.init_timeout_seconds = 5)'
}

# An operation of each kind that is never done is named.
nccl_hangs() {
  export TITAN_EMULATED_GPUS=2
  local kind timeout=15 pipeline=(--experimental.pipeline_parallel_degree 2 --experimental.pipeline_parallel_schedule 1F1B --training.batch_size 2)
  for kind in all_gather:1:1 reduce_scatter:1:1 all_reduce:1:0; do
    fault hang_$kind $timeout "${kind%%:*} #[0-9]* of group .* has kept rank . waiting for .* (comm.init_timeout_seconds = $timeout)"
  done
  for kind in send recv; do
    fault hang_$kind:1:0 $timeout "\(send\|recv\) .*of group pp .* has kept rank . waiting for .* (comm.init_timeout_seconds = $timeout)" "${pipeline[@]}"
  done
}

# transport NAME CODE TEXT PLACES...: ranks, of which the second has the variables, that insist on NCCL.
transport() {
  local name=$1 code text=$3 wanted=$2
  shift 3
  local run=("$TITAN" --job.config_file "$here/small.toml" --job.dump_folder "$name" "${same[@]}" --training.steps 1 --training.warmup_steps 1
    --job.device cuda --comm.gpu_transport nccl)
  TITAN_CUDA_PLUGIN=$PLUGIN timeout -k 10 "$run_timeout" mpirun --oversubscribe --bind-to none -np 1 "${run[@]}" : -np 1 env "$@" "${run[@]}" \
    >"$name.out" 2>"$name.log"
  code=$?
  [ $code = "$wanted" ] || fail "$name: code $code, expected $wanted: $(tail -n 3 "$name.log")"
  grep -q -- "ERROR - .*comm.gpu_transport = nccl: NCCL cannot be used: $text" "$name.log" || fail "$name: no \"$text\": $(grep ERROR "$name.log")"
}

# A rank that sees no GPU, where all want one, and where each takes what it finds.
no_gpu() {
  local device code text
  for device in cuda auto; do
    local run=("$TITAN" --job.config_file "$here/small.toml" --job.dump_folder no_gpu "${same[@]}" --training.steps 1 --training.warmup_steps 1
      --job.device "$device")
    TITAN_CUDA_PLUGIN=$PLUGIN timeout -k 10 "$run_timeout" mpirun --oversubscribe --bind-to none -np 1 "${run[@]}" : -np 1 env TITAN_EMULATED_GPUS=0 \
      "${run[@]}" >no_gpu.out 2>no_gpu.log
    code=$?
    text='rank 1: the CUDA driver sees no GPU'
    [ "$device" = cuda ] || text='rank 1: job.device = auto: this rank has the device cpu, and rank 0 the device cuda'
    [ $code = 5 ] && grep -q -- "ERROR - $text" no_gpu.log || fail "a rank without a GPU, $device: code $code: $(grep ERROR no_gpu.log)"
  done
}

nccl_refusals() {
  transport shared 5 '2 ranks use one GPU, which NCCL refuses' none=
  export TITAN_EMULATED_GPUS=2
  transport version 5 'ranks have NCCL 2.20.5 and 2\.' TITAN_EMULATED_NCCL_VERSION=22005
  transport old 5 'rank 1: .* is NCCL 2.14.3, expected 2.18.0 or later' TITAN_EMULATED_NCCL_VERSION=21403
  transport missing 5 'rank 1: NCCL cannot be opened: /nowhere/libnccl.so.2' TITAN_NCCL_LIBRARY=/nowhere/libnccl.so.2
  no_gpu
  # A library that lacks functions.
  transport other 5 'rank 1: libm.so.6 has no function nccl' TITAN_NCCL_LIBRARY=libm.so.6
}

# refused NAME TEXT COMMAND...: exit 5 with one message that has the text; auto goes on with the CPU and says why.
refused() {
  local name=$1 text=$2 code
  shift 2
  "$@" "$TITAN" --job.config_file "$here/small.toml" --job.dump_folder "$name" "${same[@]}" --job.device cuda >"$name.out" 2>"$name.log"
  code=$?
  [ $code = 5 ] || fail "$name: code $code, expected 5"
  [ "$(grep -c ERROR "$name.log")" = 1 ] && grep -q -- "ERROR - $text" "$name.log" || fail "$name: no \"$text\": $(tail -n 3 "$name.log")"
  "$@" "$TITAN" --job.config_file "$here/small.toml" --job.dump_folder "$name" "${same[@]}" --training.steps 1 --training.warmup_steps 1 \
    --job.device auto >"$name.out" 2>"$name.log" || fail "$name: auto does not go on with the CPU"
  grep -q -- "job.device = auto: no GPU is used: $text" "$name.log" || fail "$name: auto does not say why it uses the CPU"
}

refusals() {
  local machine=(env "TITAN_CUDA_PLUGIN=$PLUGIN")
  refused no_driver 'no CUDA driver: ' "${machine[@]}" TITAN_EMULATED_DRIVER=0
  refused old_driver 'the CUDA driver is too old: it is for CUDA 11.8, and this program was built with CUDA ' "${machine[@]}" TITAN_EMULATED_DRIVER=11080
  refused no_gpu 'the CUDA driver sees no GPU (CUDA_VISIBLE_DEVICES = "none")' "${machine[@]}" TITAN_EMULATED_GPUS=0 CUDA_VISIBLE_DEVICES=none
  refused old_gpu 'GPU 0 (emulated NVIDIA H100 80GB HBM3) has compute capability 7.5, and 8.0 or newer is needed' "${machine[@]}" TITAN_EMULATED_CAPABILITY=75
  refused no_code 'GPU 0 .* and none that this GPU can run: no kernel image' "${machine[@]}" TITAN_EMULATED_NO_CODE=1
}

# The plugin for real GPUs, on a machine without a driver.
no_driver() {
  [ ! -e /dev/nvidiactl ] || exit 77
  refused real 'no CUDA driver: libcuda.so.1: ' env "TITAN_CUDA_PLUGIN=$REAL"
  launch 1 "$TITAN" --job.config_file "$here/small.toml" --job.dump_folder found "${same[@]}" --job.device cuda >found.out 2>found.log
  [ $? = 5 ] && grep -q 'ERROR - no CUDA driver: libcuda.so.1: ' found.log || fail "the plugin beside the program: $(tail -n 2 found.log)"
}

memory() {
  local code
  TITAN_CUDA_PLUGIN=$PLUGIN TITAN_EMULATED_MEMORY=300 launch 1 "$TITAN" --job.config_file "$here/small.toml" --job.dump_folder small "${same[@]}" \
    --training.batch_size 16 --training.seq_len 256 --job.device cuda >small.out 2>small.log
  code=$?
  [ $code = 2 ] || fail "too small a GPU: code $code, expected 2: $(tail -n 3 small.log)"
  grep -q 'the device of rank 0 is too small: it will need .* are available' small.log || fail "no message: $(tail -n 4 small.log)"
}

versions() {
  local line
  line=$("$TITAN" --version | grep '^CUDA: ')
  [[ "$line" =~ libtitan_cuda.so:\ CUDA\ [0-9.]+,\ cuBLASLt\ [0-9.]+,\ (no\ cuDNN|cuDNN\ [0-9.]+)\;\ code\ for ]] || fail "versions of the plugin: $line"
  line=$(TITAN_CUDA_PLUGIN=/nowhere.so "$TITAN" --version | grep '^CUDA: ')
  [[ "$line" =~ none:\ /nowhere.so\ cannot\ be\ opened ]] || fail "versions without a plugin: $line"
}

run_part "$6"
finish
