#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The configurations that come with the project are tests: each trains as it is, with fewer and shorter sequences. Oracle: the
# .toml and the .cfg of the same configuration, and the reference's own file, hold the same options, so their runs are
# bitwise the same. (bfloat16, as these files say; first loss ln 2256 + 1/2 = 8.22.)
#
# usage: configs.sh PROGRAM COMPARE WORK PART
TITAN=$1 COMPARE=$2 WORK=$3
part=$4
. "$(dirname "$0")/common.sh"
configs=$here/../../configs
assets=$(dirname "$TITAN")/assets
short=(--training.batch_size=2 --training.seq_len=128 --debug.record_step_numbers --debug.dump_initial_weights)

# run NAME COMMAND...
run() {
  local name=$1
  shift
  launch 1 "$@" >"$name.out" 2>"$name.log" || fail "$name: code $?: $(tail -n 5 "$name.log")"
}

the_debug_model() {
  run toml "$TITAN" --job.config_file "$configs/debug_model.toml" --job.dump_folder toml "${short[@]}"
  run cfg "$TITAN" --job.config_file "$configs/debug_model.cfg" --job.dump_folder cfg "${short[@]}"
  # The reference's file names a tokenizer of the reference's own tree; all else in it holds as it is.
  run reference "$TITAN" --job.config_file "$here/reference.toml" --job.dump_folder reference "${short[@]}" \
    --model.tokenizer_path "$assets/test_tokenizer.model"
  alike debug_model.toml learns 10 8.22 0.15 toml/steps.txt
  alike debug_model.cfg bitwise 10 toml/steps.txt cfg/steps.txt
  alike reference.toml bitwise 10 toml/steps.txt reference/steps.txt
  alike weights weights toml/weights.txt reference/weights.txt
}

# cpu_node.toml, but for a shorter batch and no checkpoints of gigabytes: it ends well and has nothing to warn of.
the_cpu_node() {
  run node "$TITAN" --job.config_file "$configs/cpu_node.toml" --job.dump_folder node --checkpoint.enable_checkpoint=false \
    --training.steps 1 --training.warmup_steps 0 --training.batch_size 1 --training.seq_len 32 --metrics.peak_flops 1e12
  if grep -e ' - WARNING - ' node.log | grep -v 'checkpoint.enable_checkpoint is off'; then fail "cpu_node.toml warns"; fi
  [ -s node/metrics.h5 ] || fail "no node/metrics.h5"
}

# The reference's file and nothing else, where its tokenizer exists: ./test/assets/test_tiktoken.model.
the_reference_file_alone() {
  mkdir -p test/assets
  cp "$assets/test_tokenizer.model" test/assets/test_tiktoken.model
  starts "$TITAN" --job.config_file "$here/reference.toml"
  [ -s outputs/metrics.h5 ] || fail "no outputs/metrics.h5"
}

# No argument at all, under mpirun with its own binding, in a folder that has nothing to do with the program.
no_argument() {
  unset OMP_NUM_THREADS
  starts mpirun --oversubscribe -np 2 "$TITAN"
  [ -s torchtitan/outputs/metrics.h5 ] || fail "no torchtitan/outputs/metrics.h5"
}

# The command begins to train, or says that the node is too small for it and what would fit. It is ended there: a step of 8
# sequences of 2,048 tokens takes long where several tests share few cores.
starts() {
  local log=log.$RANDOM code seconds=0
  : >$log
  "$@" >$log.out 2>$log &
  local run=$!
  while kill -0 $run 2>/dev/null && ! grep -q 'Training starts at step 1' $log && [ $seconds -lt "$run_timeout" ]; do
    sleep 0.5
    seconds=$((seconds + 1))
  done
  if kill -TERM $run 2>/dev/null; then
    wait $run
    grep -q 'Training starts at step 1' $log || fail "no start: $* $(tail -n 5 $log)"
    return
  fi
  wait $run
  code=$?
  [ $code = 2 ] && grep -q 'this node is too small' $log && grep -qE 'would fit|no batch fits' $log && return
  fail "ended with code $code: $* $(tail -n 5 $log)"
}

run_part "$part"
finish
