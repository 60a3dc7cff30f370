#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every pipeline is one rank: the same seed and global batch give one rank's loss and gradient norm at each of ten steps, and
# bitwise the same initial weights. Oracle: the run on one rank. Tolerances: as in mesh.sh (observed in float32: 3e-7). Orders
# in which every stage adds its microbatches in ascending order give the same bits as each other, where stages and
# microbatches are the same.
#
# usage: pipeline.sh PROGRAM COMPARE WORK all DTYPE MESH... | selection | choices | early SCHEDULE... | files |
#                    reports SCHEDULE... | weights | rows LENGTH
TITAN=$1 COMPARE=$2 WORK=$3
part=$4
shift 4
. "$(dirname "$0")/common.sh"
tools=$(dirname "$COMPARE")
tolerance=1e-5
# Every gradient is clipped: all norms are above 0.3.
same=(--training.seq_len 16 --training.max_norm 0.3)
schedules="GPipe 1F1B LoopedBFS Interleaved1F1B InterleavedZeroBubble ZBVZeroBubble DualPipeV"

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

# columns FOLDER: of its metrics, what does not depend on time and mesh: step, losses, norm, learning rate, tokens.
columns() {
  "$tools/metrics_rows" rows "$1/metrics.h5" | cut -d ' ' -f 1-6
}

# is_one NAME: numbers, initial weights, metrics and lines of the log are those of one rank. (The largest loss is that of a
# data-parallel rank, which has its own samples.)
is_one() {
  alike "$1" numbers 10 $tolerance one/steps.txt "$1/steps.txt"
  alike "$1" weights one/weights.txt "$1/weights.txt"
  paste -d ' ' <(columns one) <(columns "$1") | awk -v tolerance=$tolerance '
    function near(a, b) { return a - b <= tolerance * b && b - a <= tolerance * b }
    { good += NF == 12 && $1 == $7 && near($2, $8) && $9 >= $8 && near($4, $10) && $5 == $11 && $6 == $12 }
    END { exit !(good == 10 && NR == 10) }' || fail "$1: other metrics than those of one rank: $(columns "$1")"
  [ "$(grep -c '^\[rank0\]:.* - step: .*loss: .*grad_norm: ' "$1.log")" = 10 ] || fail "$1: not ten lines of steps in the log"
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
  # The second rank has no layers to choose for.
  checked pp2.head_alone pp2 1F1B --experimental.pipeline_parallel_split_points head --activation_checkpoint.mode selective \
    --activation_checkpoint.selective_ac_option budget=2
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

# emit DIALECT STAGE COMPUTE MICROBATCH...: cells, in the complete dialect with the communication around them.
emit() {
  local dialect=$1 stage=$2 compute=$3 m
  shift 3
  for m in "$@"; do
    [ $dialect = computes ] || case $compute in
    F) [ $stage = 0 ] || printf '%dRECV_F%d,' $stage $m ;;
    B | I) [ $stage = 3 ] || printf '%dRECV_B%d,' $stage $m ;;
    esac
    printf '%d%s%d,' $stage $compute $m
    [ $dialect = computes ] || case $compute in
    F) [ $stage = 3 ] || printf '%dSEND_F%d,' $stage $m ;;
    B | I) [ $stage = 0 ] || printf '%dSEND_B%d,' $stage $m ;;
    esac
  done
}

# write_schedule DIALECT: 4 stages on 2 ranks, 8 microbatches, gradients in two parts for one stage of each rank, and
# backwards that descend, with idle cells.
write_schedule() {
  local up="0 1 2 3 4 5 6 7" down="7 6 5 4 3 2 1 0"
  [ $1 = computes ] || printf '0UNSHARD,2UNSHARD,'
  emit $1 0 F $up && emit $1 2 F $up && printf ',,' && emit $1 2 I $down && emit $1 2 W $up && emit $1 0 B $down
  [ $1 = computes ] || printf '2REDUCE_GRAD,0REDUCE_GRAD,2RESHARD,0RESHARD'
  printf '\n,'
  [ $1 = computes ] || printf '1UNSHARD,3UNSHARD,'
  emit $1 1 F $up && emit $1 3 F $up && emit $1 3 B $down && emit $1 1 I $down && printf ',' && emit $1 1 W $up
  [ $1 = computes ] || printf '3REDUCE_GRAD,1REDUCE_GRAD,3RESHARD,1RESHARD'
  printf '\n'
}

# Rank 0 alone is in a folder with the file, to which a relative path leads.
read_by_one() {
  local alone='mkdir -p rank$RANK && cd rank$RANK && exec "$@"'
  mkdir -p rank0 && mv single.csv rank0
  mesh_of pp2
  launch 2 bash -c "RANK=\${OMPI_COMM_WORLD_RANK:-\$PMI_RANK}; $alone" _ "$TITAN" --job.config_file "$here/small.toml" \
    --job.dump_folder "$PWD/read_by_one" "${same[@]}" "${mesh[@]}" --training.batch_size $batch \
    --experimental.pipeline_parallel_microbatches $parts --experimental.pipeline_parallel_schedule PipelineScheduleSingle \
    --experimental.pipeline_parallel_schedule_csv single.csv >read_by_one.out 2>read_by_one.log ||
    fail "a file that rank 0 alone has: $(tail -n 3 read_by_one.log)"
  alike read_by_one bitwise 10 single/steps.txt read_by_one/steps.txt
}

# Schedules that are read. The dialects say the same, a file of 1F1B is 1F1B, and two cells that may overlap are two cells.
files() {
  reference
  write_schedule computes >computes.csv
  write_schedule complete >complete.csv
  local -a multi=(--experimental.pipeline_parallel_microbatches 8
    --experimental.pipeline_parallel_split_points layers.1,layers.3,layers.6)
  checked computes pp2 PipelineScheduleMulti "${multi[@]}" --experimental.pipeline_parallel_schedule_csv computes.csv
  piped complete pp2 PipelineScheduleMulti "${multi[@]}" --experimental.pipeline_parallel_schedule_csv complete.csv
  alike dialects bitwise 10 computes/steps.txt complete/steps.txt
  printf '%s\n' 0F0,0F1,0F2,0F3,0B0,0B1,0B2,0B3 \
    '1F0,(1F1;1B0)OVERLAP_F_B,(1F2;1B1)OVERLAP_F_B,(1F3;1B2)OVERLAP_F_B,1B3' >single.csv
  checked single pp2 PipelineScheduleSingle --experimental.pipeline_parallel_schedule_csv single.csv
  piped built_in pp2 1F1B
  alike single bitwise 10 built_in/steps.txt single/steps.txt
  read_by_one
}

# Every schedule on a mesh with replicas: their bits agree, and step.txt has what a rank sends and receives. Where the model
# is cut is said, and evenly is another place than by cost.
reports() {
  local schedule kind
  reference
  for schedule in "$@"; do
    checked $schedule pp2ddp2 $schedule --debug.check_replicas --debug.dump_plan
    grep -Eq 'pipeline ranks in the last step \(by the clock, by processor time, predicted\):( [0-9.]+ %,){2} [0-9.]+ %; ' \
      $schedule.log || fail "$schedule: how busy two ranks were is not told"
    for kind in SEND SENT RECV RECEIVED; do
      grep -q "^#[0-9]* *$kind layers" $schedule/plans/step.txt || fail "$schedule: no $kind in step.txt"
    done
  done
  checked even pp4 1F1B --experimental.pipeline_parallel_split even
}

# Saves on a pipeline, and weights that are moved by nothing: what is exported is what one rank exports that has read the
# same file.
weights() {
  local -a run=(--checkpoint.enable_checkpoint --debug.dump_initial_weights=false) still=(--optimizer.lr 1e-30 --training.steps 3)
  local tool name
  tool=$(dirname "$TITAN")/titan-checkpoint
  piped made pp2tp2 ZBVZeroBubble "${run[@]}" --training.steps 2
  "$tool" verify made/checkpoint/step-2.h5 >/dev/null || fail "the checkpoint of a pipeline is not whole"
  for name in alone piped4; do mkdir $name && cp -r made/checkpoint $name; done
  train alone 1 "${same[@]}" "${run[@]}" "${still[@]}" --training.batch_size 8
  piped piped4 pp4 InterleavedZeroBubble "${run[@]}" "${still[@]}"
  for name in made alone piped4; do
    "$tool" export $name/checkpoint/step-$([ $name = made ] && echo 2 || echo 3).h5 $name.safetensors >export.out 2>&1 ||
      fail "$name: $(tail -n 3 export.out)"
  done
  local bytes=$((7975168 * 4)) # behind a header that has the step
  cmp -s <(tail -c $bytes made.safetensors) <(tail -c $bytes alone.safetensors) || fail "one rank has other weights than the file"
  cmp -s alone.safetensors piped4.safetensors || fail "a pipeline exports other weights than one rank"
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

# row NAME RANKS REFERENCE ARGUMENTS...: the numbers of this run on one rank.
row() {
  local name=$1 ranks=$2 reference=$3
  shift 3
  train "$name" "$ranks" --training.batch_size 8 "${same[@]}" "$@" &&
    alike "$name" numbers 10 $tolerance "$reference/steps.txt" "$name/steps.txt"
}

# The reference's integration tests of pipelines (its rows 10 to 19 and 29) by their own arguments, with sequences of LENGTH
# tokens: each is one rank with the same global batch. GPipe has the bits of 1F1B, and the looped zero bubble those of looped
# 1F1B. An early update clips nothing, on one rank either.
rows() {
  local pp=--experimental.pipeline_parallel_degree schedule=--experimental.pipeline_parallel_schedule
  local shard=--training.data_parallel_shard_degree tp=--training.tensor_parallel_degree
  same=(--training.seq_len "$1")
  train one8 1 --training.batch_size 8 "${same[@]}"
  train one16 1 --training.batch_size 16 "${same[@]}"
  row pp_looped_zero_bubble 4 one8 $pp 4 $schedule InterleavedZeroBubble
  row pp_1f1b 2 one8 $pp 2 $schedule 1F1B $shard 1
  row pp_gpipe 2 one8 $pp 2 $schedule GPipe $shard 1
  same_bits pp_gpipe pp_1f1b
  row pp_dp_1f1b 4 one16 $pp 2 $schedule 1F1B $shard 2
  row pp_dp_gpipe 4 one16 $pp 2 $schedule GPipe $shard 2
  same_bits pp_dp_gpipe pp_dp_1f1b
  row pp_tp 4 one8 $pp 2 $tp 2
  row pp_dp_tp 8 one16 --checkpoint.enable_checkpoint $pp 2 $shard 2 $tp 2
  train pp_dp_tp 8 --training.batch_size 8 "${same[@]}" --training.steps 20 --checkpoint.enable_checkpoint $pp 2 $shard 2 $tp 2
  grep -q 'Training starts at step 11' pp_dp_tp.log || fail "pp_dp_tp does not go on at step 11"
  row 3d_compile 8 one16 $pp 2 $shard 2 $tp 2 --training.compile
  row pp_looped_1f1b 4 one8 $pp 4 $schedule Interleaved1F1B
  same_bits pp_looped_1f1b pp_looped_zero_bubble
  write_schedule computes >custom_schedule.csv
  row pp_custom_csv 2 one8 $pp 2 $schedule PipelineScheduleMulti --experimental.pipeline_parallel_schedule_csv ./custom_schedule.csv \
    --experimental.pipeline_parallel_microbatches 8
  train early16 1 --training.batch_size 16 "${same[@]}" --optimizer.early_step_in_backward
  row enable_cpu_offload+PP 4 early16 --checkpoint.enable_checkpoint $pp 2 --training.enable_cpu_offload \
    --optimizer.early_step_in_backward
  grep -q 'training.enable_cpu_offload = true (command line): nothing is moved' enable_cpu_offload+PP.log ||
    fail "no word that nothing is moved to the host"
}

run_part "$part" "$@"
finish
