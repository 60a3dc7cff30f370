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

# mesh_of NAME: sets ranks, the options of a mesh for a global batch of 8, and the batch of a rank.
mesh_of() {
  local pp=${1#pp}
  pp=${pp:0:1}
  case $1 in
  pp2 | pp4) ranks=$pp batch=8 mesh=() ;;
  pp2fsdp2) ranks=4 batch=4 mesh=() ;;
  pp2ddp2) ranks=4 batch=4 mesh=(--training.data_parallel_replicate_degree 2) ;;
  pp2tp2) ranks=4 batch=8 mesh=(--training.tensor_parallel_degree 2) ;;
  pp2fsdp2tp2) ranks=8 batch=4 mesh=(--training.tensor_parallel_degree 2) ;;
  *) echo "no mesh $1" && exit 2 ;;
  esac
  mesh+=(--experimental.pipeline_parallel_degree "$pp")
}

# reference OPTIONS...: the run on one rank.
reference() {
  train one 1 --training.batch_size 8 "${same[@]}" "$@"
}

# piped NAME MESH SCHEDULE OPTIONS...: a run of the global batch 8. Microbatches are one sequence on pp4 and with
# data-parallel ranks, else two.
piped() {
  local name=$1 schedule=$3
  mesh_of "$2"
  shift 3
  case " $* " in
  *--experimental.pipeline_parallel_microbatches*) ;;
  *) mesh+=(--experimental.pipeline_parallel_microbatches $((ranks == 4 && ${#mesh[@]} == 2 ? 8 : 4))) ;;
  esac
  case " $* " in *--training.batch_size*) ;; *) mesh+=(--training.batch_size $batch) ;; esac
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
    for schedule in $schedules; do
      case $schedule in
      GPipe | 1F1B) same_bits "$mesh_name.$schedule" "$mesh_name.GPipe" ;;
      ZBVZeroBubble | DualPipeV) same_bits "$mesh_name.$schedule" "$mesh_name.ZBVZeroBubble" ;;
      *) same_bits "$mesh_name.$schedule" "$mesh_name.LoopedBFS" ;;
      esac
    done
  done
}

"$part" "$@"
finish
