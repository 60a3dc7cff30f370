#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The same command goes on, also where its options are for one start only; and what a run has otherwise than the one that saved
# is said. Oracles: the run that was not stopped, bitwise; the texts of the log. debug.raise_signal_step stops a run.
#
# usage: going_on.sh PROGRAM COMPARE WORK load_step | exclusion | differences | batch | initial
TITAN=$1 COMPARE=$2 WORK=$3
part=$4
. "$(dirname "$0")/common.sh"
. "$here/checkpoint_common.sh"

not_said() {
  grep -qF -- "$2" "$1.log" && fail "\"$2\" is in $1.log"
}

load_step() {
  local again='was applied at an earlier start: the run resumes from step'
  run 0 run one --training.steps 6 --checkpoint.interval 2
  cksum run/checkpoint/step-6.h5 >left
  run 75 run one --training.steps 5 --checkpoint.load_step 2 --debug.raise_signal_step 3
  said run 'Training starts at step 3'
  not_said run "$again"
  # The newest file is of the branch that was left; the one that descends from step 2 is gone on from.
  run 75 run one --training.steps 5 --checkpoint.load_step 2 --checkpoint.keep_latest_k 1 --debug.raise_signal_step 4
  said run "checkpoint.load_step = 2 (command line) $again 3,"
  said run 'Training starts at step 4'
  said run 'holds checkpoints up to step 6, newer than the loaded one'
  # So it is when step 2 itself is gone, and after a run without the option.
  [ -e run/checkpoint/step-2.h5 ] && fail "step 2 is still there"
  cksum run/checkpoint/step-6.h5 | cmp -s - left || fail "the branch that was left has changed"
  rm run/checkpoint/step-6.h5
  run 0 run one --training.steps 5
  run 0 run one --training.steps 6 --checkpoint.load_step 2
  said run "$again 5,"
  run 4 run one --training.steps 6 --checkpoint.load_step 1
  said run 'holds no checkpoint of that step; it has: 4, 5, 6'
  [ "$(wc -l <run/steps.txt)" = 6 ] || fail "$(wc -l <run/steps.txt) steps instead of 6"
}

exclusion() {
  local options="--training.steps 6 --checkpoint.exclude_from_loading data,schedule,optimizer"
  run 0 run one --training.steps 2
  cp -r run straight
  run 0 straight one $options
  run 75 run one $options --debug.raise_signal_step 4
  said run 'the data starts at its beginning'
  run 0 run one $options
  said run 'checkpoint.exclude_from_loading = data,schedule,optimizer (command line) was applied at an earlier start: all of step 4 is taken'
  not_said run 'the data starts at its beginning'
  alike "an exclusion in two pieces" bitwise 6 straight/steps.txt run/steps.txt
  # Another exclusion is a new start.
  run 0 run one --training.steps 7 --checkpoint.exclude_from_loading data
  said run 'the data starts at its beginning'
  not_said run 'applied at an earlier start'
}

differences() {
  local tokenizer
  run 0 run one --training.steps 3 || return
  OMP_NUM_THREADS=2 run 0 run fsdp2 --training.steps 4 --optimizer.lr 1e-4 --training.seed 5 --training.warmup_steps 0 \
    --training.mixed_precision_param bfloat16 --training.max_norm 0.5
  said run 'optimizer.lr = 0.0001 (command line), in the checkpoint 0.0008'
  said run 'training.seed = 5 (command line), in the checkpoint 0, which has no effect: the weights are the checkpoint'
  said run 'training.warmup_steps = 0 (command line), in the checkpoint 2'
  said run 'training.mixed_precision_param = "bfloat16" (command line), in the checkpoint "float32"'
  said run 'training.max_norm = 0.5 (command line), in the checkpoint 1.0'
  said run '2 threads a rank, in the checkpoint 1: sums have another order, and results differ by rounding'
  said run "Changed since the checkpoint: a 1-D device mesh with ['dp_shard'], [2], in the checkpoint a 0-D device mesh with [], []"
  said run 'training.steps = 4 (command line), in the checkpoint 3'
  [ "$(grep -c 'Changed since the checkpoint' run.log)" = 9 ] || fail "not nine differences: $(grep 'Changed since' run.log)"
  said run 'The learning rate of step 4 is 2.5e-05; it was 0.0008 in step 3, and would be 0 by'
  # Two tokens of a tokenizer are swapped: the same size, another meaning.
  tokenizer=$(dirname "$TITAN")/assets/test_tokenizer.model
  awk '$2 == 1000 { $2 = 1001; print; next } $2 == 1001 { $2 = 1000; print; next } { print }' "$tokenizer" >swapped.model
  cmp -s swapped.model "$tokenizer" && fail "nothing was swapped"
  run 4 run one --training.steps 5 --model.tokenizer_path swapped.model
  said run 'run/checkpoint/step-4.h5 was trained with another tokenizer'
}

batch() {
  run 0 run fsdp4 --training.steps 4 || return
  run 0 run one3 --training.steps 5 --training.seq_len 24
  said run 'step-4.h5 was trained with a global batch of 4 sequences, and this run has 3'
  said run 'the data continues with document'
  said run 'The data continues in '
  said run 'training.seq_len = 24 (command line), in the checkpoint 16: the lanes of the data continue at their positions'
  run 0 run fsdp2x4 --training.steps 6 --training.seq_len 24
  said run 'a global batch of 3 sequences, and this run has 8'
  digest run/checkpoint/step-6.h5 run.digest
  [ "$(grep -c '^lane ' run.digest)" = 8 ] || fail "not 8 lanes: $(grep '^lane ' run.digest)"
}

# A run begins with other weights, in each form that they have. Oracle: a seed checkpoint of them holds the very same weights;
# the first loss on a mesh is that of one rank (1e-5 relative, as in mesh.sh).
initial() {
  local from first
  run 0 base fsdp2 --training.steps 2 || return
  "$tool" export base/checkpoint/step-2.h5 hf --hf >/dev/null || fail "no export"
  "$tool" export base/checkpoint/step-2.h5 own.safetensors >/dev/null || fail "no export"
  for from in base/checkpoint base hf own.safetensors; do
    rm -rf seed
    run 0 seed one --checkpoint.create_seed_checkpoint --checkpoint.initial_load_path $from
    said seed 'The run starts from the weights of '
    "$tool" compare --weights base/checkpoint/step-2.h5 seed/checkpoint/step-0.h5 >compare.out 2>&1 ||
      fail "$from: $(cat compare.out)"
  done
  run 0 seed one --training.steps 1
  run 0 tuned fsdp2tp2 --training.steps 1 --checkpoint.initial_load_path hf
  alike "weights of Hugging Face's form on a mesh" numbers 1 1e-5 seed/steps.txt tuned/steps.txt
  # The second start is from the run's own.
  run 0 tuned one --training.steps 2 --checkpoint.initial_load_path nowhere
  said tuned 'checkpoint.initial_load_path = nowhere (command line) applies to the first start'
  said tuned 'Training starts at step 2'
  # With everything, it goes on in another folder.
  run 0 whole fsdp2 --training.steps 3 --checkpoint.initial_load_path base/checkpoint/step-2.h5 \
    --checkpoint.initial_load_model_only=false
  said whole 'Training starts at step 3'
  [ "$(ls whole/checkpoint)" = step-3.h5 ] || fail "whole: $(ls whole/checkpoint)"
  # What does not fit.
  run 4 bad one --checkpoint.initial_load_path nowhere
  said bad 'checkpoint.initial_load_path = nowhere (command line): No such file or directory'
  run 2 bad one --checkpoint.enable_checkpoint=false --checkpoint.initial_load_path hf
  said bad 'checkpoint.initial_load_path (command line) needs checkpoint.enable_checkpoint'
  run 4 bad fsdp2 --checkpoint.initial_load_path hf --model.name llama2
  said bad 'hf: config.json is of another model:'
  said bad 'rope_theta: 500000 in the file, 10000 in this run (model.name, model.flavor)'
  run 4 bad one --checkpoint.initial_load_path hf --checkpoint.initial_load_model_only=false
  said bad 'hf has only weights in safetensors, without a training state'
  sed -i 's/"shape":\[256,768\]/"shape":[768,256]/g' own.safetensors
  run 4 bad fsdp2 --checkpoint.initial_load_path own.safetensors
  said bad 'of shape [768, 256], not [256, 768]: layers.0.feed_forward.w2.weight'
}

run_part "$part" "$@"
finish
