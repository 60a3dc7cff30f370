#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Recorded steps (training.record_steps) on the emulated GPU (tests/cuda_emulator) give the losses, norms, validations and checkpoints of
# steps that are run action by action, to the bit; a run whose recordings lack something does not. Where steps cannot be recorded, the
# log says why.
#
# usage: cuda_record.sh PROGRAM COMPARE WORK PLUGIN whole|meshes|choices|fused|obstacles|faults
TITAN=$1 COMPARE=$2 WORK=$3 PLUGIN=$4
. "$(dirname "$0")/common.sh"
. "$here/checkpoint_common.sh"
run_timeout=900
steps=4
options=(--training.steps $steps --training.seq_len 16 --training.batch_size 2 --training.compile --job.device cuda)
export TITAN_CUDA_PLUGIN=$PLUGIN TITAN_EMULATED_GPUS=2

# says NAME TEXT: the log of rank 0 says once whether steps are recorded, and so.
says() {
  [ "$(grep -c 'INFO - Steps are ' "$1.log")" = 1 ] && grep -q -- "INFO - Steps are $2" "$1.log" ||
    fail "$1: no \"Steps are $2\": $(grep 'Steps are' "$1.log")"
}

# check NAME RANKS OPTIONS...: recorded steps, in another order of work, against others.
check() {
  local name=$1 ranks=$2
  shift 2
  train "$name.eager" "$ranks" "${options[@]}" "$@" --training.record_steps off || return
  says "$name.eager" 'not recorded: training.record_steps = off'
  TITAN_EMULATED_SEED=7 train "$name" "$ranks" "${options[@]}" "$@" || return
  says "$name" recorded
  alike "$name" bitwise $steps "$name.eager/steps.txt" "$name/steps.txt"
  cmp <(grep -o 'validate step: .* tokens: [0-9]*' "$name.eager.log") <(grep -o 'validate step: .* tokens: [0-9]*' "$name.log") ||
    fail "$name: other validations"
}

# A step that is traced, a validation and checkpoints come in between.
whole() {
  check one 1 --training.global_batch_size 4 --validation.enabled --validation.dataset c4_test --validation.freq 2 --validation.steps 1 \
    --checkpoint.enable_checkpoint --checkpoint.interval 2 --profiling.enable_profiling --profiling.profile_freq 3
  [ "$(grep -c 'validate step' one.log)" -ge 2 ] || fail "there was no validation in between"
  [ -s one/profile_traces/iteration_3/rank0_trace.json ] || fail "there is no trace of step 3"
  same_state one.eager/checkpoint/step-$steps.h5 one/checkpoint/step-$steps.h5
}

# Groups over the stand-in for NCCL.
meshes() {
  check fsdp 2 --comm.gpu_transport nccl --training.global_batch_size 8 --checkpoint.enable_checkpoint --checkpoint.interval 4
  same_state fsdp.eager/checkpoint/step-$steps.h5 fsdp/checkpoint/step-$steps.h5
  check tensor 2 --comm.gpu_transport nccl --training.tensor_parallel_degree 2 --experimental.enable_async_tensor_parallel
}

choices() {
  check sgd 1 --optimizer.name SGD --optimizer.no_decay norm
  check early 2 --comm.gpu_transport nccl --optimizer.early_step_in_backward --training.mixed_precision_param bfloat16
  check hsdp 2 --comm.gpu_transport nccl --training.data_parallel_replicate_degree 2 --model.tie_embeddings true
}

# One kernel for all updates gives the same bits; where it cannot be had, a warning says so.
fused() {
  train plain 1 "${options[@]}" --training.steps 3 --training.record_steps off --optimizer.no_decay norm
  train fused 1 "${options[@]}" --training.steps 3 --optimizer.no_decay norm --optimizer.fused
  grep -q 'INFO - The shards of 10 units are updated with one kernel' fused.log || fail "no word that updates are fused"
  alike fused bitwise 3 plain/steps.txt fused/steps.txt
  train cpu 1 "${options[@]}" --training.steps 1 --training.warmup_steps 1 --job.device cpu --optimizer.fused
  grep -q 'WARNING - optimizer.fused = true (.*): no effect, as the device updates each shard in one pass anyway' cpu.log ||
    fail "no word that updates are not fused on the CPU"
}

# obstacle NAME RANKS TEXT OPTIONS...: with auto the log has the text; with on the run ends with code 2 and the text.
obstacle() {
  local name=$1 ranks=$2 text=$3 code
  shift 3
  train "$name" "$ranks" "${options[@]}" --training.steps 1 --training.warmup_steps 1 "$@"
  says "$name" "not recorded: $text"
  launch "$ranks" "$TITAN" --job.config_file "$here/small.toml" --job.dump_folder "$name.on" "${options[@]}" "$@" --training.record_steps on \
    >"$name.on.out" 2>"$name.on.log"
  code=$?
  [ $code = 2 ] || fail "$name with on: code $code, expected 2"
  [ "$(grep -c ERROR "$name.on.log")" = 1 ] && grep -q "ERROR - training.record_steps = on (.*): steps cannot be recorded: $text" "$name.on.log" ||
    fail "$name with on: no \"$text\": $(grep ERROR "$name.on.log")"
}

obstacles() {
  obstacle synchronous 1 'debug.device_synchronous waits' --debug.device_synchronous
  obstacle offload 1 'training.enable_cpu_offload updates' --training.enable_cpu_offload
  obstacle host 2 'ranks communicate through host memory' --comm.gpu_transport host
  obstacle pipeline 2 'messages between pipeline ranks cannot be recorded' --experimental.pipeline_parallel_degree 2 \
    --experimental.pipeline_parallel_schedule 1F1B
  train plain 1 "${options[@]}" --training.compile=false --training.steps 1 --training.warmup_steps 1
  says plain 'not recorded: training.compile is off'
  train on 1 "${options[@]}" --training.compile=false --training.steps 1 --training.warmup_steps 1 --training.record_steps on
  says on recorded
  train cpu 1 "${options[@]}" --job.device cpu --training.steps 1 --training.warmup_steps 1
  ! grep -q 'Steps are' cpu.log || fail "the CPU says that nothing is recorded"
}

# A bad step ends the run with code 6 and is found, though the step after it was asked for as a whole.
bad_step() {
  local code
  launch 1 "$TITAN" --job.config_file "$here/small.toml" --job.dump_folder bad "${options[@]}" --debug.inject_nan_step 3 >bad.out 2>bad.log
  code=$?
  [ $code = 6 ] && grep -q 'step 3: the loss of rank 0 is nan; run again, the step gives finite values only' bad.log ||
    fail "a bad step: code $code: $(tail -n 2 bad.log)"
}

# broken KIND RANKS CODE TEXT: a run whose graphs have the fault ends with the code and the text; code 0: with other numbers.
broken() {
  local kind=$1 ranks=$2 wanted=$3 text=${4:-} code
  TITAN_EMULATED_GRAPH_FAULT=$kind launch "$ranks" "$TITAN" --job.config_file "$here/small.toml" --job.dump_folder "$kind" "${options[@]}" \
    --debug.find_nonfinite off >"$kind.out" 2>"$kind.log"
  code=$?
  if [ "$wanted" = 5 ]; then
    [ $code = 5 ] && grep -q -- "ERROR - .*$text" "$kind.log" || fail "$kind: code $code, expected 5 with \"$text\": $(tail -n 3 "$kind.log")"
  elif [ $code = 0 ]; then
    ! "$COMPARE" bitwise $steps "good$ranks/steps.txt" "$kind/steps.txt" >/dev/null || fail "$kind: the numbers are those without the fault"
  fi
}

# Tests find what a recording lacks: a queue that is not joined, a wait of one queue for another, what is copied before each step, and a
# wait of the host while steps are recorded. The watchdog sees an operation that hangs in a replayed step.
faults() {
  local code
  steps=3
  options+=(--training.steps $steps)
  train good1 1 "${options[@]}"
  train good2 2 "${options[@]}" --training.batch_size 1
  broken stale 1 0
  broken join 2 5 'a step cannot be recorded: CUDA: work cannot be recorded: capturing stream has unjoined work'
  broken order 2 0
  broken wait 1 5 'a step cannot be recorded: .*operation not permitted when stream is capturing'
  bad_step
  TITAN_EMULATED_NCCL_FAULT=recorded:1:3 launch 2 "$TITAN" --job.config_file "$here/small.toml" --job.dump_folder hang "${options[@]}" \
    --training.batch_size 1 --comm.train_timeout_seconds 5 >hang.out 2>hang.log
  code=$?
  [ $code = 5 ] && grep -q 'recorded step #.* has kept rank . waiting for .* (comm.train_timeout_seconds = 5)' hang.log ||
    fail "a hang in a replayed step: code $code: $(grep ERROR hang.log)"
}

run_part "$5"
finish
