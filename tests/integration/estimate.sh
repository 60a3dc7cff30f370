#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An estimate needs neither ranks nor corpus nor tokenizer, answers on stdout and in a file, and is what a real run then
# takes. Oracle: the program's own comparison of two real steps with the estimate, which ends in an error where a byte
# differs.
#
# usage: estimate.sh PROGRAM COMPARE WORK PART
TITAN=$1 COMPARE=$2 WORK=$3
part=$4
. "$(dirname "$0")/common.sh"
configs=$here/../../configs

# answer OPTIONS...: one process.
answer() {
  rm -rf out
  "$TITAN" --memory_estimation.enabled --job.dump_folder out "$@" >stdout 2>stderr || fail "exit code $?: $* $(tail -n 3 stderr)"
  grep -q '^  total, from start to end' stdout || fail "no total: $*"
  [ -s out/memory_estimation.json ] || fail "no out/memory_estimation.json: $*"
}

answers() {
  local name
  for name in llama3_8b llama3_70b llama3_405b; do
    answer --job.config_file "$configs/$name.toml" --memory_estimation.world_size 512 --memory_estimation.device h100-80g
    grep -q 'vocabulary 128,256 (memory_estimation.vocabulary)' stdout || fail "another vocabulary: $name"
    grep -q '^each rank' stdout || fail "not one kind of rank: $name"
    [ $name != llama3_70b ] || grep -q 'GiB  saved: the inputs of units alone$' stdout || fail "full recomputation saves $(grep saved stdout)"
  done
  answer --job.config_file "$configs/debug_model.toml" --debug.dump_plan --debug.dump_graph
  grep -q 'vocabulary 2,256 (the tokenizer' stdout || fail "another vocabulary than the tokenizer's"
  for name in embedding block head; do
    grep -q "^plan $name" out/plans/$name.txt || fail "no plan of $name"
    grep -q "^graph $name" out/graphs/$name.txt || fail "no graph of $name"
  done
  grep -q '^scratch: .* of the lower bound' out/plans/block.txt || fail "no packing of the block"
  [ -s out/plans/block.layers.1.txt ] || fail "no plan of the blocks that recompute"
  "$TITAN" --memory_estimation.enabled --job.dump_folder out --model.flavor debugmodel >/dev/full 2>stderr
  [ $? = 5 ] && grep -q 'cannot write standard output: No space left on device' stderr || fail "an estimate that cannot be printed: $(tail -n 1 stderr)"
  # Of what would need less, degrees for which the vocabulary is too small are left out.
  answer --model.flavor 405B --memory_estimation.vocabulary 5 --memory_estimation.world_size 16 --memory_estimation.ranks_per_node 8 \
    --memory_estimation.device a100-40g --training.tensor_parallel_degree 2
  grep -q 'with training.seq_len = 1024' stdout || fail "no advice on what would need less"
  grep -q 'with training.tensor_parallel_degree' stdout && fail "advice that cannot be followed"
  # Validation is named where it decides.
  answer --model.flavor debugmodel --validation.enabled --validation.local_batch_size 256
  grep -q '256 x 2048 tokens in a batch of validation' stdout || fail "no batch of validation: $(head -n 5 stdout)"
  grep -q 'a batch of validation needs more activations than a step: [0-9.]* GiB' stdout || fail "validation is not named"
  answer --model.flavor debugmodel --validation.enabled
  grep -q 'a batch of validation needs more' stdout && fail "validation is named without a reason"
  # Ranks of a pipeline differ: those of a stage are a kind each.
  for name in 1F1B ZBVZeroBubble; do
    answer --model.flavor debugmodel --memory_estimation.world_size 8 --experimental.pipeline_parallel_degree 4 \
      --training.tensor_parallel_degree 2 --experimental.pipeline_parallel_schedule $name --training.batch_size 8
    grep -q '^mesh:   8 ranks: pp 4, .* tp 2' stdout || fail "$name: another mesh: $(grep '^mesh' stdout)"
    [ "$(grep -c '^2 ranks, from rank' stdout)" = 4 ] || fail "$name: not four kinds of ranks: $(grep ' rank' stdout)"
    [ "$(grep '^  parameters (fp32 shards)' stdout | sort -u | wc -l)" -gt 1 ] || fail "$name: all stages have the same parameters"
  done
  # Under mpirun the ranks that run are the mesh, and one answers.
  mpirun --oversubscribe -np 2 "$TITAN" --memory_estimation.enabled --job.dump_folder two >stdout 2>stderr || fail "two ranks"
  [ "$(grep -c '^Memory estimate' stdout)" = 1 ] || fail "not one answer of two ranks"
  grep -q '^mesh:   2 ranks' stdout || fail "not the ranks that run"
}

# compared RANKS OPTIONS...
compared() {
  local ranks=$1
  shift
  launch "$ranks" "$TITAN" --job.config_file "$here/small.toml" --memory_estimation.enabled \
    --memory_estimation.disable_fake_mode "$@" >stdout 2>stderr || fail "$ranks ranks, $*: exit code $?: $(tail -n 3 stderr)"
  grep -q '^every rank used the estimated memory, to the byte' stdout || fail "$ranks ranks, $*: $(tail -n 20 stdout)"
}

# Saves and their staging memory are part of what is compared; the folder that a real run uses is left alone.
with_checkpoints() {
  local mode
  launch 2 "$TITAN" --job.config_file "$here/small.toml" --training.steps 3 --job.dump_folder kept \
    --checkpoint.enable_checkpoint 2>kept.log || fail "a run before the estimate: $(tail -n 3 kept.log)"
  find kept -type f | sort | xargs md5sum >before
  for mode in disabled async async_with_pinned_mem; do
    compared 2 --job.dump_folder kept --checkpoint.enable_checkpoint --checkpoint.async_mode $mode
    compared 2 --job.dump_folder kept --checkpoint.enable_checkpoint --checkpoint.async_mode $mode --checkpoint.verify
    grep -qE '^  checkpoint staging +[1-9]' stdout || fail "$mode: no staging memory: $(tail -n 20 stdout)"
  done
  [ -z "$(find kept/memory_estimation -name '*.h5' -path '*checkpoint*')" ] || fail "checkpoints of two steps are left"
  find kept -type f -not -path 'kept/memory_estimation*' | sort | xargs md5sum >after
  cmp -s before after || fail "the estimate changed the folder: $(diff before after | head -n 3)"
}

real_steps() {
  with_checkpoints
  compared 1
  compared 2 --comm.intra_node mpi
  compared 4 --training.data_parallel_replicate_degree 2
  compared 4 --training.tensor_parallel_degree 2 --training.mixed_precision_param float32
  compared 4 --training.tensor_parallel_degree 2 --training.compile --experimental.enable_async_tensor_parallel \
    --activation_checkpoint.mode full
  compared 4 --experimental.pipeline_parallel_degree 4 --training.batch_size 4
  compared 4 --experimental.pipeline_parallel_degree 2 --training.tensor_parallel_degree 2 --training.batch_size 4 \
    --experimental.pipeline_parallel_schedule ZBVZeroBubble --training.compile
  compared 4 --experimental.pipeline_parallel_degree 2 --experimental.pipeline_parallel_schedule InterleavedZeroBubble \
    --optimizer.early_step_in_backward --activation_checkpoint.mode full --checkpoint.enable_checkpoint
  compared 4 --experimental.pipeline_parallel_degree 2 --experimental.pipeline_parallel_schedule DualPipeV \
    --training.batch_size 4 --experimental.pipeline_parallel_microbatches 4 --validation.enabled \
    --validation.local_batch_size 4 --validation.seq_len 128
  # A batch of validation that is larger than the training's, and one that is smaller.
  compared 2 --validation.enabled --validation.local_batch_size 3 --validation.seq_len 128
  compared 4 --training.tensor_parallel_degree 2 --training.compile --validation.enabled --validation.seq_len 32
}

run_part "$part"
finish
