#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A run whose numbers are not finite ends with code 6 and names where they went wrong, on each mesh and on both devices. Oracles: what
# edit_weights has put into the checkpoint that the run resumes from; the message of one rank, of the CPU.
#
# usage: nonfinite.sh PROGRAM COMPARE WORK PLUGIN weights|attention|gradients|sums|types|apart|options
TITAN=$1 COMPARE=$2 WORK=$3 PLUGIN=$4
part=$5
. "$(dirname "$0")/common.sh"
. "$here/checkpoint_common.sh"
edit=$(dirname "$COMPARE")/edit_weights

# begin NAME: a run of two steps, whose checkpoint is then edited.
begin() {
  [ -d base ] || run 0 base one --training.steps 2 || return
  cp -r base "$1"
}
change() { "$edit" "$1/checkpoint/step-2.h5" "${@:2}" || fail "$1 cannot be edited: ${*:2}"; }

# ends_badly WEIGHTS MESH TEXT OPTIONS...: the run on the edited weights ends in step 3 with this (an extended regular expression) in its
# only message, which is then in $message, and with the checkpoint of step 2 as the last good one.
ends_badly() {
  local weights=$1 mesh=$2 text=$3 name=$1.$2
  shift 3
  rm -rf "$name"
  cp -r "$weights" "$name"
  run 6 "$name" "$mesh" --training.steps 10 --checkpoint.interval 5 "$@" || return
  message=$(sed -n 's/.* ERROR - //p' "$name.log")
  [ "$(grep -c ' ERROR ' "$name.log")" = 1 ] || fail "$name: not one message: $message"
  grep -qE -- "step 3: $text; the last good checkpoint is $name/checkpoint/step-2.h5" <<<"$message" || fail "$name $*: $message"
  [ "$(ls "$name/checkpoint")" = step-2.h5 ] || fail "$name: checkpoints: $(ls "$name/checkpoint")"
  echo "$name: $message"
}

loss="the loss of rank [0-9] is nan"
norm="the gradient norm is (inf|nan) while every rank's loss is finite \(rank 0: [0-9.]+\)"
# operation CALL PHASE UNIT RANK VALUE: CALL and VALUE are regular expressions.
operation() {
  echo "run again, the first operation with a result that is not finite is $1 in $2 of $3, microbatch 0, on rank $4:" \
    "of $5, [0-9]+ of [0-9]+ values are not finite, the first is (nan|inf|-inf) at \[[0-9,]+\]; all that it reads is finite"
}

# Values in two ranks' parts: of FSDP and of tensor parallelism, which cuts this weight by rows.
planted() {
  begin planted
  change planted layers.1.feed_forward.w1.weight set $((3 * 256 + 17)) nan
  change planted layers.1.feed_forward.w1.weight set $((700 * 256 + 5)) -inf
  change planted layers.5.attention_norm.weight set 9 inf
}
planted_text="$loss; of the parameter layers.1.feed_forward.w1.weight float32\[768,256\], 2 of 196608 values are not finite, the first is nan at \[3,17\]"
weights() {
  local mesh
  planted
  for mesh in one fsdp2 ddp2 tp2 pp2; do ends_badly planted $mesh "$planted_text"; done
  ends_badly planted fsdp2 "$planted_text" --comm.intra_node mpi
  begin late
  change late layers.5.attention_norm.weight set 9 inf
  for mesh in fsdp2tp2 pp2; do
    ends_badly late $mesh "$loss; of the parameter layers.5.attention_norm.weight float32\[256\], 1 of 256 values is not finite, inf at \[9\]"
  done
  # A weight that is finite as a master and not in the type that is computed with.
  begin large
  change large output.weight set 3 3.4e38
  ends_badly large fsdp2 "$loss; of the parameter output.weight bfloat16\[[0-9]+,256\], 1 of [0-9]+ values is not finite, inf at \[0,3\]" \
    --training.mixed_precision_param bfloat16
}

# Scores of one layer overflow; its queries and keys do not.
overflowing() {
  begin "overflow$1"
  for weight in wq wk; do change "overflow$1" layers.$1.attention.$weight.weight scale 1e22; done
}
attention() {
  local mesh
  overflowing 2
  for mesh in one fsdp2 tp2 pp2; do
    ends_badly overflow2 $mesh "$loss; $(operation 'attention\(.*\)' forward layers.2 0 '%[0-9]+ float32\[[0-9,]+\]')"
  done
  ends_badly overflow2 fsdp2 "$loss; $(operation 'attention\(.*\)' forward layers.2 0 '%[0-9]+ float32\[[0-9,]+\]')" --comm.intra_node mpi \
    --activation_checkpoint.mode full
  overflowing 5
  ends_badly overflow5 pp2 "$loss; $(operation 'attention\(.*\)' forward layers.5 1 '%[0-9]+ float32\[[0-9,]+\]')"
}

# Attention gives 0 whatever goes into it, so the loss is that of a model without it; the gradient of wv is the product of two large
# numbers.
infinite() {
  begin infinite
  for weight in wq wk wv; do change infinite layers.1.attention.$weight.weight scale 0; done
  change infinite layers.1.attention.wo.weight scale 1e22
  change infinite layers.1.attention_norm.weight scale 1e22
}
gradients() {
  local mesh
  infinite
  for mesh in one fsdp2 tp2 pp2; do
    ends_badly infinite $mesh "$norm; $(operation 'matmul\(%[0-9]+, %[0-9]+, a transposed\)' backward layers.1 0 'd\(attention.wv.weight\) float32\[[0-9]+,256\]')"
  done
  # The gradients of weights apart, on the last of four stages' ranks that has the layer.
  ends_badly infinite pp2tp2 "$norm; $(operation 'matmul\(%[0-9]+, %[0-9]+, a transposed\)' 'gradients of weights' layers.1 '[0-3]' 'd\(attention.wv.weight\) float32\[128,256\]')"
}

# bfloat16, fused operations, transfers during products, recomputation, microbatches.
types() {
  local bf16="--training.mixed_precision_param bfloat16 --training.compile" joined='d\(attention.wq.weight\)\+d\(attention.wk.weight\)\+d\(attention.wv.weight\)'
  overflowing 2
  infinite
  ends_badly overflow2 one "$loss; $(operation 'attention\(.*\)' forward layers.2 0 '%[0-9]+ bfloat16\[[0-9,]+\]')" $bf16
  ends_badly overflow2 fsdp2tp2 "$loss; $(operation 'attention\(.*\)' forward layers.2 0 '%[0-9]+ bfloat16\[[0-9,]+\]')" $bf16
  ends_badly infinite tp2 "$norm; $(operation 'gather_matmul\(.*\)' backward layers.1 0 "$joined float32\[384,256\]")" \
    --training.compile --experimental.enable_async_tensor_parallel
  ends_badly infinite hsdp "$norm; $(operation 'matmul\(.*\)' backward layers.1 0 'd\(attention.wv.weight\) float32\[256,256\]')" \
    --training.global_batch_size 8 --training.gradient_accumulation_reduce each --activation_checkpoint.mode selective \
    --activation_checkpoint.selective_ac_option op
}

# A sum over the ranks of tensor parallelism: every token is the same vector, each value of attention is 1, and row 0 of wo has one large
# weight for each of the two ranks' columns.
sums() {
  begin sum
  change sum tok_embeddings.weight fill 1
  change sum layers.0.attention_norm.weight fill 1
  for weight in wq wk wo; do change sum layers.0.attention.$weight.weight fill 0; done
  change sum layers.0.attention.wv.weight fill $(awk 'BEGIN { print 1 / 256 }')
  for column in 0 200; do change sum layers.0.attention.wo.weight set $column 3e38; done
  ends_badly sum tp2 "$loss; $(operation 'reduce_scatter\(%[0-9]+\), a sum over the 2 ranks of tp,' forward layers.0 0 '%[0-9]+ float32\[[0-9,]+\]')"
  ends_badly sum one "$loss; $(operation 'matmul\(%[0-9]+, attention.wo.weight, b transposed\)' forward layers.0 0 '%[0-9]+ float32\[[0-9,]+\]')"
}

# same_on_apart WEIGHTS MESH SEED OPTIONS...: word for word what the CPU says; the device has begun step 4 by then.
same_on_apart() {
  local weights=$1 mesh=$2 seed=$3 wanted
  shift 3
  ends_badly "$weights" "$mesh" '.*' "$@"
  wanted=$message
  TITAN_CUDA_PLUGIN=$PLUGIN TITAN_APART_SEED=$seed ends_badly "$weights" "$mesh" '.*' "$@"
  grep -q 'memory apart' "$weights.$mesh.log" || fail "$weights $mesh: the apart device was not used"
  [ "$message" = "$wanted" ] || fail "$weights $mesh $*, seed $seed: $message; the CPU: $wanted"
}
apart() {
  planted
  overflowing 2
  infinite
  same_on_apart planted fsdp2 1
  same_on_apart overflow2 tp2 2
  same_on_apart overflow2 pp2 3
  same_on_apart overflow2 fsdp2tp2 4 --training.mixed_precision_param bfloat16 --training.compile
  same_on_apart infinite one 5
  same_on_apart infinite fsdp2 6
}

options() {
  local steps="--training.steps 10 --checkpoint.interval 2"
  # The loss is made NaN where nothing was.
  run 6 injected fsdp2 $steps --debug.inject_nan_step 3
  said injected 'step 3: the loss of rank 1 is nan; run again, the step gives finite values only'
  run 6 off fsdp2 $steps --debug.inject_nan_step 3 --debug.find_nonfinite off
  said off 'step 3: the loss of rank 1 is nan; the last good checkpoint is off/checkpoint/step-2.h5'
  grep -q 'run again\|runs again' off.log && fail "off: the step ran again: $(grep 'again' off.log)"
  run 6 early fsdp2 $steps --debug.inject_nan_step 3 --optimizer.early_step_in_backward
  said early 'step 3: the loss of rank 1 is nan; the step cannot run again, because optimizer.early_step_in_backward has updated the weights'
  run 2 refused fsdp2 --debug.find_nonfinite on --optimizer.early_step_in_backward
  said refused 'debug.find_nonfinite = on (command line) needs optimizer.early_step_in_backward = false'
  run 2 refused one --debug.find_nonfinite maybe
  said refused 'debug.find_nonfinite: expected one of auto, on, off, got "maybe"'
  # With traces, and with every collective compared, the step runs again as well.
  run 6 watched tp2 $steps --debug.inject_nan_step 3 --debug.check_collectives --profiling.enable_profiling --profiling.profile_freq 2
  said watched 'run again, the step gives finite values only'
}

declare -F "$part" >/dev/null || fail "there is no part $part"
"$part"
finish
