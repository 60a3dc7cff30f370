#!/bin/bash
# Every pipeline is one rank: the same seed and global batch give one rank's loss and gradient norm at each of ten steps, and
# bitwise the same initial weights. Oracle: the run on one rank. Tolerances: as in mesh.sh (observed in float32: 3e-7). Orders
# in which every stage adds its microbatches in ascending order give the same bits as each other, where stages and
# microbatches are the same.
#
# usage: pipeline.sh PROGRAM COMPARE WORK PART ARGUMENTS...
TITAN=$1 COMPARE=$2 WORK=$3
part=$4
shift 4
. "$(dirname "$0")/common.sh"
tools=$(dirname "$COMPARE")
tolerance=1e-5
# Every gradient is clipped: all norms are above 0.3.
same=(--training.seq_len 16 --training.max_norm 0.3)
schedules="GPipe 1F1B LoopedBFS Interleaved1F1B InterleavedZeroBubble ZBVZeroBubble DualPipeV"
single="GPipe 1F1B" # one stage a rank; the others have two

# mesh_of NAME: sets ranks and options of a mesh, and the batch and microbatches of a rank for a global batch of 8.
mesh_of() {
  local pp=${1#pp}
  pp=${pp:0:1}
  case $1 in
  pp2) ranks=2 batch=8 parts=4 mesh=() ;;
  pp4) ranks=4 batch=8 parts=8 mesh=() ;;
  pp2fsdp2) ranks=4 batch=4 parts=4 mesh=() ;;
  pp2ddp2) ranks=4 batch=4 parts=4 mesh=(--training.data_parallel_replicate_degree 2) ;;
  pp2tp2) ranks=4 batch=8 parts=4 mesh=(--training.tensor_parallel_degree 2) ;;
  pp2fsdp2tp2) ranks=8 batch=4 parts=4 mesh=(--training.tensor_parallel_degree 2) ;;
  *) echo "no mesh $1" && exit 2 ;;
  esac
  mesh+=(--experimental.pipeline_parallel_degree "$pp")
}

# reference OPTIONS...: the run on one rank.
reference() {
  train one 1 --training.batch_size 8 "${same[@]}" "$@"
}

# piped NAME MESH SCHEDULE OPTIONS...: a run of the global batch 8.
piped() {
  local name=$1 schedule=$3
  mesh_of "$2"
  shift 3
  case " $* " in *--training.batch_size*) ;; *) mesh+=(--training.batch_size $batch) ;; esac
  case " $* " in
  *--experimental.pipeline_parallel_microbatches*) ;;
  *) mesh+=(--experimental.pipeline_parallel_microbatches $parts) ;;
  esac
  train "$name" $ranks "${same[@]}" "${mesh[@]}" --experimental.pipeline_parallel_schedule "$schedule" "$@"
}

# is_one NAME: its numbers and initial weights are those of one rank.
is_one() {
  alike "$1" numbers 10 $tolerance one/steps.txt "$1/steps.txt"
  alike "$1" weights one/weights.txt "$1/weights.txt"
}

# checked NAME MESH SCHEDULE OPTIONS...
checked() {
  piped "$@" && is_one "$1"
}

# same_bits NAME OTHER
same_bits() {
  alike "$1" bitwise 10 "$2/steps.txt" "$1/steps.txt"
}

# alike_bits MESH SCHEDULE...: of runs on a mesh, those with the same stages that ascend have the same bits. (Backwards of
# LoopedBFS descend.)
alike_bits() {
  local mesh_name=$1 schedule other
  shift
  for schedule in "$@"; do
    case $schedule in
    1F1B) other=GPipe ;;
    InterleavedZeroBubble) other=Interleaved1F1B ;;
    DualPipeV) other=ZBVZeroBubble ;;
    *) continue ;;
    esac
    alike "$mesh_name.$schedule" bitwise 10 "$mesh_name.$other/steps.txt" "$mesh_name.$schedule/steps.txt"
  done
}

# all DTYPE MESH...: every schedule on each of these.
all() {
  local mesh_name schedule dtype=$1
  shift
  [ "$dtype" = float32 ] || tolerance=1e-2
  same+=(--training.mixed_precision_param "$dtype")
  reference
  alike one learns 10 8.24 0.15 one/steps.txt
  for mesh_name in "$@"; do
    for schedule in $schedules; do
      checked "$mesh_name.$schedule" "$mesh_name" "$schedule"
    done
    alike_bits "$mesh_name" $schedules
  done
}

# Every schedule, with what a run may choose beside it, on one mesh or another. Each part has other bits than the next.
selection() {
  reference
  checked pp2.GPipe pp2 GPipe
  checked pp2.1F1B pp2 1F1B --activation_checkpoint.mode full
  checked pp2.Interleaved1F1B pp2 Interleaved1F1B
  checked pp2.InterleavedZeroBubble pp2 InterleavedZeroBubble --activation_checkpoint.mode selective \
    --activation_checkpoint.selective_ac_option op
  checked pp2.ZBVZeroBubble pp2 ZBVZeroBubble --comm.intra_node mpi
  checked pp2.DualPipeV pp2 DualPipeV --activation_checkpoint.mode full
  alike_bits pp2 $schedules
  checked pp4.LoopedBFS pp4 LoopedBFS
  checked pp2fsdp2 pp2fsdp2 ZBVZeroBubble --training.compile
  checked pp2tp2 pp2tp2 Interleaved1F1B --training.compile --experimental.enable_async_tensor_parallel
  checked pp2ddp2 pp2ddp2 1F1B --training.batch_size 2 --training.global_batch_size 8 \
    --experimental.pipeline_parallel_microbatches 2
}

# What a run may choose beside its schedule, each with all schedules.
choices() {
  local schedule way
  reference
  for schedule in $schedules; do
    for way in mpi full op each last; do
      case $way in
      mpi) checked $schedule.$way pp2fsdp2 $schedule --comm.intra_node mpi ;;
      full) checked $schedule.$way pp2 $schedule --activation_checkpoint.mode full ;;
      op) checked $schedule.$way pp2 $schedule --activation_checkpoint.mode selective \
        --activation_checkpoint.selective_ac_option op ;;
      *) checked $schedule.$way pp2fsdp2 $schedule --training.batch_size 2 --training.global_batch_size 8 \
        --experimental.pipeline_parallel_microbatches 2 --training.gradient_accumulation_reduce $way ;;
      esac
    done
    checked $schedule.compile pp2tp2 $schedule --training.compile
    checked $schedule.async pp2tp2 $schedule --training.compile --experimental.enable_async_tensor_parallel
    checked $schedule.async_mpi pp2tp2 $schedule --training.compile --experimental.enable_async_tensor_parallel \
      --comm.intra_node mpi
  done
}

# An early update clips nothing.
early() {
  local mesh_name schedule
  same=(--training.seq_len 16 --training.max_norm 1e9)
  reference
  for schedule in "$@"; do
    checked pp2.$schedule pp2 $schedule --optimizer.early_step_in_backward
  done
  checked pp2fsdp2 pp2fsdp2 ZBVZeroBubble --optimizer.early_step_in_backward --training.gradient_accumulation_reduce last
}

"$part" "$@"
finish
