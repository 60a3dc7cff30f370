#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Training on the apart device (tests/devices/apart.h), whose memory host code cannot touch and whose work is done late and in a
# random order that its marks allow, is bitwise the CPU's; a run with one mark, wait or copy of the device taken away is not.
#
# usage: apart.sh PROGRAM COMPARE WORK PLUGIN selection|meshes|choices|checkpoints|bad_steps|offload|faults|refusals|memory
TITAN=$1 COMPARE=$2 WORK=$3 PLUGIN=$4
. "$(dirname "$0")/common.sh"
seeds=${SEEDS:-1 2 3}
steps=5
same=(--training.steps $steps --training.seq_len 32 --metrics.log_freq 2)

# on_apart SEED COMMAND...
on_apart() {
  local seed=$1
  shift
  TITAN_CUDA_PLUGIN=$PLUGIN TITAN_APART_SEED=$seed "$@"
}

# check NAME RANKS OPTIONS...: once on the CPU, and on the apart device with each seed.
check() {
  local name=$1 ranks=$2 seed
  shift 2
  train "$name" "$ranks" "${same[@]}" "$@" || return
  for seed in $seeds; do
    on_apart "$seed" train "$name.$seed" "$ranks" "${same[@]}" "$@" || continue
    grep -q 'memory apart' "$name.$seed.log" || fail "$name: the apart device was not used"
    alike "$name.$seed" bitwise $steps "$name/steps.txt" "$name.$seed/steps.txt"
    cmp "$name/weights.txt" "$name.$seed/weights.txt" || fail "$name.$seed: other initial weights"
    cmp <(grep -o 'validate step: .* tokens: [0-9]*' "$name.log") <(grep -o 'validate step: .* tokens: [0-9]*' "$name.$seed.log") ||
      fail "$name.$seed: other validations"
  done
}

pipeline=(--experimental.pipeline_parallel_degree 2 --training.batch_size 4)

meshes() {
  check one 1
  check fsdp2 2 --training.compile
  check ddp2 2 --training.data_parallel_replicate_degree 2 --training.data_parallel_shard_degree 1
  check hsdp 4 --training.data_parallel_replicate_degree 2 --training.mixed_precision_param bfloat16
  check tp2 2 --training.tensor_parallel_degree 2
  check async_tp2 2 --training.tensor_parallel_degree 2 --training.compile --experimental.enable_async_tensor_parallel
  check fsdp2tp2 4 --training.tensor_parallel_degree 2 --training.mixed_precision_param bfloat16
  check pp2 2 "${pipeline[@]}" --experimental.pipeline_parallel_schedule 1F1B
  check pp2fsdp2 4 "${pipeline[@]}" --experimental.pipeline_parallel_schedule InterleavedZeroBubble
}

selection() {
  seeds=1
  check hsdp 4 --training.data_parallel_replicate_degree 2 --training.mixed_precision_param bfloat16
  check fsdp2tp2 4 --training.tensor_parallel_degree 2 --training.compile
  check pp2 2 "${pipeline[@]}" --experimental.pipeline_parallel_schedule 1F1B --validation.enabled --validation.dataset c4_test \
    --validation.freq 2 --validation.steps 2 --validation.local_batch_size 2
  check early 2 --optimizer.early_step_in_backward --training.global_batch_size 8 --training.batch_size 2
}

choices() {
  local validation=(--validation.enabled --validation.dataset c4_test --validation.freq 2 --validation.steps 2)
  check recompute 2 --activation_checkpoint.mode full --training.mixed_precision_param bfloat16
  check accumulate 2 --training.global_batch_size 8 --training.batch_size 2 --training.gradient_accumulation_reduce each
  check early 2 --optimizer.early_step_in_backward --training.global_batch_size 8 --training.batch_size 2
  check sgd 1 --optimizer.name SGD --optimizer.no_decay norm
  check tied 2 --model.tie_embeddings true --training.compile
  check validation 2 "${validation[@]}"
  check replicas 2 --debug.check_replicas --training.data_parallel_replicate_degree 2 --training.data_parallel_shard_degree 1
  check validation_pp2 2 "${pipeline[@]}" "${validation[@]}" --validation.local_batch_size 2
}

# A run that is saved on one device goes on on the other, as if it had never stopped.
checkpoints() {
  local save=(--checkpoint.enable_checkpoint --checkpoint.interval 2 --checkpoint.folder checkpoint) mode
  train whole 2 "${same[@]}"
  for mode in disabled async; do # pinned memory: see offload
    # The last save is made at once, so that two save as the mode says.
    on_apart 1 train "$mode" 2 "${same[@]}" "${save[@]}" --checkpoint.async_mode $mode
    alike "$mode" bitwise $steps whole/steps.txt "$mode/steps.txt"
    rm -f "$mode/checkpoint/step-$steps.h5"
    train "$mode" 2 "${same[@]}" "${save[@]}" --checkpoint.async_mode $mode
    alike "$mode on the CPU" bitwise $steps whole/steps.txt "$mode/steps.txt"
    rm -f "$mode/checkpoint/step-$steps.h5"
    on_apart 2 train "$mode" 2 "${same[@]}" "${save[@]}" --checkpoint.async_mode $mode
    alike "$mode on the apart device" bitwise $steps whole/steps.txt "$mode/steps.txt"
  done
}

# The host learns that a step is bad while the device has been asked for the next one. The run ends naming that step, and
# what it saves, if anything, is of before.
bad_steps() {
  seeds=1
  local save=(--checkpoint.enable_checkpoint --checkpoint.interval 2) seed code
  train good 2 "${same[@]}"
  for seed in $seeds; do
    on_apart "$seed" launch 2 "$TITAN" --job.config_file "$here/small.toml" --job.dump_folder "bad.$seed" "${same[@]}" "${save[@]}" \
      --debug.inject_nan_step 3 >"bad.$seed.out" 2>"bad.$seed.log"
    code=$?
    [ $code = 6 ] || fail "a bad step ended with code $code, expected 6"
    grep -q 'step 3: the loss of rank 1 is' "bad.$seed.log" || fail "no message that names step 3: $(tail -n 3 "bad.$seed.log")"
    [ "$(ls "bad.$seed/checkpoint")" = "$(printf 'step-2.h5')" ] || fail "checkpoints: $(ls "bad.$seed/checkpoint")"
    on_apart "$seed" train "bad.$seed" 2 "${same[@]}" "${save[@]}"
    alike "bad.$seed" bitwise $steps good/steps.txt "bad.$seed/steps.txt"
  done
}

# Masters, moments and gradients in host memory, updated there: the same numbers, with less memory of the device; a
# checkpoint of one goes on as the other.
offload() {
  local save=(--checkpoint.enable_checkpoint --checkpoint.interval 2 --checkpoint.folder checkpoint) off=(--training.enable_cpu_offload)
  local code
  seeds=${SEEDS:-1}
  check one 1 "${off[@]}" --training.mixed_precision_param bfloat16
  check hsdp 4 "${off[@]}" --training.data_parallel_replicate_degree 2 --optimizer.no_decay norm
  check tied_tp2 2 "${off[@]}" --training.tensor_parallel_degree 2 --training.compile --model.tie_embeddings true
  check accumulate 2 "${off[@]}" --training.global_batch_size 8 --training.batch_size 2 --training.gradient_accumulation_reduce each \
    --training.mixed_precision_param bfloat16 --debug.check_replicas
  check early_pp2 2 "${off[@]}" "${pipeline[@]}" --optimizer.early_step_in_backward --validation.enabled --validation.dataset c4_test \
    --validation.freq 2 --validation.steps 2 --validation.local_batch_size 2
  train whole 2 "${same[@]}"
  grep -q 'nothing is moved' one.log || fail "no word that nothing is moved on the CPU"
  ! grep -q 'nothing is moved' one.1.log || fail "the apart device does not offload"
  on_apart 1 train saved 2 "${same[@]}" "${save[@]}" "${off[@]}" --checkpoint.async_mode async_with_pinned_mem
  alike saved bitwise $steps whole/steps.txt "saved/steps.txt"
  rm -f "saved/checkpoint/step-$steps.h5"
  on_apart 2 train saved 2 "${same[@]}" "${save[@]}" --checkpoint.async_mode async_with_pinned_mem
  alike "saved, from host memory to the device's" bitwise $steps whole/steps.txt "saved/steps.txt"
  rm -f "saved/checkpoint/step-$steps.h5"
  on_apart 3 train saved 2 "${same[@]}" "${save[@]}" "${off[@]}" --checkpoint.async_mode async_with_pinned_mem
  alike "saved, and back" bitwise $steps whole/steps.txt "saved/steps.txt"
  on_apart 1 launch 2 "$TITAN" --job.config_file "$here/small.toml" --job.dump_folder bad "${same[@]}" "${save[@]}" "${off[@]}" \
    --debug.inject_nan_step 3 >bad.out 2>bad.log
  code=$?
  [ $code = 6 ] && grep -q 'step 3: the loss of rank 1 is' bad.log || fail "a bad step: code $code: $(tail -n 2 bad.log)"
  on_apart 1 train bad 2 "${same[@]}" "${save[@]}" "${off[@]}"
  alike "after a bad step" bitwise $steps whole/steps.txt bad/steps.txt
}

# caught FAULT NAME RANKS OPTIONS...: with the fault the run fails, or its numbers are not the CPU's, with one of the seeds.
caught() {
  local fault=$1 name=$2 ranks=$3 seed
  shift 3
  for seed in 1 2 3 4 5 6; do
    TITAN_APART_FAULT=$fault on_apart "$seed" launch "$ranks" "$TITAN" --job.config_file "$here/small.toml" --job.dump_folder "$name.bad" \
      "${same[@]}" "$@" >/dev/null 2>"$name.bad.log" || break
    cmp -s "$name/steps.txt" "$name.bad/steps.txt" || break
    seed=none
  done
  echo "$fault, $name: caught with seed $seed"
  [ $seed != none ] || fail "$fault was not caught by $name"
  rm -rf "$name.bad"
}

faults() {
  local fault fsdp=(--training.compile --training.record_steps off) hsdp=(--training.data_parallel_replicate_degree 2)
  run_timeout=60
  seeds=1
  check one 1
  for fault in 'after:compute<copy' 'after:copy<compute' mark:copy mark:compute wait:compute wait:copy copy:copy copy:compute; do
    caught "$fault" one 1
  done
  check offload 1 --training.enable_cpu_offload --training.mixed_precision_param bfloat16
  for fault in 'after:compute<copy' 'after:copy<compute' mark:copy wait:copy copy:copy copy:compute; do
    caught "$fault" offload 1 --training.enable_cpu_offload --training.mixed_precision_param bfloat16
  done
  check fsdp2 2 "${fsdp[@]}"
  for fault in 'after:compute<gather' 'after:gather<compute' 'after:compute<reduce' 'after:reduce<compute' mark:gather mark:reduce; do
    caught "$fault" fsdp2 2 "${fsdp[@]}"
  done
  check hsdp 4 "${hsdp[@]}"
  for fault in 'after:compute<reduce' 'after:reduce<compute'; do
    caught "$fault" hsdp 4 "${hsdp[@]}"
  done
  check pp2 2 "${pipeline[@]}" --experimental.pipeline_parallel_schedule 1F1B
  for fault in 'after:compute<pipeline' 'after:pipeline<compute' mark:pipeline; do
    caught "$fault" pp2 2 "${pipeline[@]}" --experimental.pipeline_parallel_schedule 1F1B
  done
}

# refused NAME TEXT COMMAND...: exit 5 with one message that has the text.
refused() {
  local name=$1 text=$2 code
  shift 2
  "$@" "$TITAN" --job.config_file "$here/small.toml" --job.dump_folder "$name" "${same[@]}" --job.device cuda >"$name.out" 2>"$name.log"
  code=$?
  [ $code = 5 ] || fail "$name: code $code, expected 5"
  grep -q -- "$text" "$name.log" || fail "$name: no \"$text\": $(tail -n 3 "$name.log")"
  "$@" "$TITAN" --job.config_file "$here/small.toml" --job.dump_folder "$name" "${same[@]}" --job.device auto >"$name.out" 2>"$name.log" ||
    fail "$name: auto does not go on with the CPU"
  grep -q 'job.device = auto: no GPU is used' "$name.log" || fail "$name: auto does not say why it uses the CPU"
}

refusals() {
  local code
  echo 'no library' >text.so
  refused a_text 'text.so cannot be opened' env TITAN_CUDA_PLUGIN="$PWD/text.so"
  refused another_version 'is of version "0.0.1 interface 1"' env TITAN_CUDA_PLUGIN="${PLUGIN%/*}/libtitan_other_plugin.so"
  refused another_library 'is no plugin of this program' env TITAN_CUDA_PLUGIN=libm.so.6
  refused no_driver 'the driver is too old' env TITAN_CUDA_PLUGIN="$PLUGIN" TITAN_APART_REFUSES='the driver is too old'
  mkdir alone
  cp "$TITAN" alone/ # where no plugin lies beside it
  launch 1 alone/titan-hpc --job.config_file "$here/small.toml" --job.dump_folder none "${same[@]}" --job.device cuda >none.out 2>none.log
  code=$?
  [ $code = 5 ] || fail "without a plugin: code $code, expected 5"
  grep -q 'libtitan_cuda.so is neither in' none.log || fail "no reason: $(tail -n 3 none.log)"
  launch 2 env TITAN_CUDA_PLUGIN="$PLUGIN" bash -c '[ "${OMPI_COMM_WORLD_RANK:-${PMI_RANK:-0}}" = 0 ] || export TITAN_APART_REFUSES=no; exec "$@"' - \
    "$TITAN" --job.config_file "$here/small.toml" --job.dump_folder mixed "${same[@]}" >mixed.out 2>mixed.log
  code=$?
  [ $code = 5 ] || fail "ranks with different devices: code $code, expected 5"
  grep -q 'this rank has the device cpu, and rank 0 the device apart' mixed.log || fail "ranks with different devices: $(tail -n 3 mixed.log)"
  local option
  for option in '--comm.intra_node shared'; do
    on_apart 1 launch 1 "$TITAN" --job.config_file "$here/small.toml" --job.dump_folder option "${same[@]}" $option >option.out 2>option.log
    code=$?
    [ $code = 2 ] && grep -q 'ERROR - .* device apart' option.log ||
      fail "$option on the apart device: code $code, $(tail -n 2 option.log)"
  done
  on_apart 1 train cpu 1 "${same[@]}" --job.device cpu
  ! grep -q 'memory apart' cpu.log || fail "job.device = cpu uses a plugin"
}

# The device's own memory counts: what does not fit is refused with what would, and a budget is for that memory.
memory() {
  local code
  on_apart 1 env TITAN_APART_MEMORY=400 "$TITAN" --job.config_file "$here/small.toml" --job.dump_folder small "${same[@]}" \
    --training.batch_size 16 --training.seq_len 256 >small.out 2>small.log
  code=$?
  [ $code = 2 ] || fail "too small a device: code $code, expected 2: $(tail -n 3 small.log)"
  grep -q 'the device of rank 0 is too small: it will need .* are available' small.log || fail "no message: $(tail -n 4 small.log)"
  grep -q 'training.batch_size = [0-9]* would fit' small.log || fail "no suggestion: $(tail -n 3 small.log)"
  TITAN_APART_MEMORY=400 on_apart 1 train suggested 1 "${same[@]}" --training.seq_len 256 \
    --training.batch_size "$(grep -o 'training.batch_size = [0-9]*' small.log | grep -o '[0-9]*')"
  train cpu 1 "${same[@]}" --training.batch_size 8 --training.seq_len 128
  TITAN_APART_MEMORY=200 on_apart 1 train budget 1 "${same[@]}" --training.batch_size 8 --training.seq_len 128 \
    --activation_checkpoint.mode selective --activation_checkpoint.selective_ac_option auto
  alike budget bitwise $steps cpu/steps.txt budget/steps.txt
  grep -q 'recomputed a step: [0-9]' budget.log || fail "the budget is not that of the device: $(grep recomputed budget.log)"
}

"$5"
finish
