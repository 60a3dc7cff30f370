#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The real program saves, stops and resumes. Oracle: the run that does not stop. Within one mesh nothing may differ in a bit
# (losses, norms, weights, moments, state); between meshes only the order of sums does: 1e-5 relative, as in mesh.sh.
# A run is stopped by debug.inject_nan_step, which ends it at a known step without a last save.
#
# usage: checkpoint.sh PROGRAM COMPARE WORK resume MESH | elastic A:B... | windows MESH... | signals | kinds | branches | folders |
#                      other_models | failing_saves | damaged | sixty_four_ranks
TITAN=$1 COMPARE=$2 WORK=$3
part=$4
shift 4
. "$(dirname "$0")/common.sh"
. "$here/checkpoint_common.sh"

# 20 steps are 5 + 5 + 5 + 5, with three resumes in a row; each part is saved in another way. Half of the meshes compute in
# bfloat16.
resume() {
  local mesh=$1 stop mode dtype=float32
  case $mesh in fsdp4 | hsdp | tp2 | pp2tp2) dtype=bfloat16 ;; esac
  run 0 straight "$mesh" --training.mixed_precision_param $dtype || return
  for stop in 6 11 16; do
    mode=$(case $stop in 6) echo disabled ;; 11) echo async ;; 16) echo async_with_pinned_mem ;; esac)
    run 6 parts "$mesh" --training.mixed_precision_param $dtype --checkpoint.interval 5 --debug.inject_nan_step $stop \
      --checkpoint.async_mode "$mode"
    said parts "Training starts at step $((stop - 5))"
    said parts "the last good checkpoint is parts/checkpoint/step-$((stop - 1)).h5"
  done
  run 0 parts "$mesh" --training.mixed_precision_param $dtype
  alike parts bitwise 20 straight/steps.txt parts/steps.txt
  same_state straight/checkpoint/step-20.h5 parts/checkpoint/step-20.h5
}

elastic() {
  local pair from to
  [ "$1" = all ] && set -- $(for from in $meshes; do for to in $meshes; do echo "$from:$to"; done; done)
  run 0 reference one --training.steps 8 || return
  for pair in "$@"; do
    from=${pair%:*} to=${pair#*:}
    [ -d "from_$from" ] || run 6 "from_$from" "$from" --training.steps 8 --checkpoint.interval 4 --debug.inject_nan_step 5
    cp -r "from_$from" "$from-$to"
    run 0 "$from-$to" "$to" --training.steps 8
    said "$from-$to" 'Training starts at step 5'
    alike "$from-$to" numbers 8 1e-5 reference/steps.txt "$from-$to/steps.txt"
    rm -r "$from-$to"
  done
}

# Stops between two lines of the log leave the lines as they are, to the bit: 10 = 4 + 3 + 3 steps, a
# line every three.
windows() {
  local mesh
  for mesh in "$@"; do
    run 0 "straight_$mesh" $mesh --training.steps 10 --metrics.log_freq 3 || return
    run 6 "parts_$mesh" $mesh --training.steps 10 --metrics.log_freq 3 --checkpoint.interval 4 --debug.inject_nan_step 5
    run 6 "parts_$mesh" $mesh --training.steps 10 --metrics.log_freq 3 --checkpoint.interval 7 --debug.inject_nan_step 8
    run 0 "parts_$mesh" $mesh --training.steps 10 --metrics.log_freq 3
    said "parts_$mesh" 'Training starts at step 8'
    "$tool" compare "straight_$mesh/checkpoint/step-10.h5" "parts_$mesh/checkpoint/step-10.h5" >compare.out 2>&1 ||
      fail "$mesh: $(cat compare.out)"
    "$FILE_TOOL" metrics "straight_$mesh/metrics.h5" >straight.rows
    "$FILE_TOOL" metrics "parts_$mesh/metrics.h5" >parts.rows
    [ "$(wc -l <straight.rows)" = 4 ] || fail "$mesh: $(wc -l <straight.rows) rows instead of 4"
    cmp -s straight.rows parts.rows || fail "$mesh: metrics.h5 differs: $(diff straight.rows parts.rows | head -n 4)"
  done
}

# signalled FOLDER MESH SIGNAL TIMES OPTIONS...: the signal goes to every rank once the run has trained; it ends with code 75.
signalled() {
  local folder=$1 mesh=$2 signal=$3 times=$4 run process left=600
  shift 4
  (attempt "$folder" "$mesh" --training.steps 100000 "$@"; echo $code >"$folder.code") &
  run=$!
  until [ -s "$folder/steps.txt" ] || [ $left = 0 ]; do
    sleep 0.1
    left=$((left - 1))
  done
  for _ in $(seq "$times"); do
    for process in $(processes_of "$folder"); do
      kill -"$signal" "$process" 2>/dev/null
    done
    sleep 0.05
  done
  wait $run
  [ "$(cat "$folder.code")" = 75 ] || fail "$folder: code $(cat "$folder.code"), expected 75: $(tail -n 3 "$folder.log")"
}

signals() {
  local case signal mesh times steps
  for case in TERM:one:1 USR1:fsdp4:1 TERM:tp2:3; do
    IFS=: read -r signal mesh times <<<"$case"
    signalled "$mesh" "$mesh" "$signal" "$times" --checkpoint.interval 100000
    said "$mesh" "Ending early, to be continued: SIG$signal after step"
    steps=$(wc -l <"$mesh/steps.txt")
    [ "$(ls "$mesh/checkpoint")" = "step-$steps.h5" ] || fail "$mesh: $(ls "$mesh/checkpoint") after $steps steps"
    digest "$mesh/checkpoint/step-$steps.h5" "$mesh.digest"
  done
  # It goes on as if nothing had been.
  run 6 tp2 tp2 --training.steps 100000 --checkpoint.interval 100000 --debug.inject_nan_step $((steps + 3))
  run 6 straight tp2 --training.steps 100000 --checkpoint.interval 100000 --debug.inject_nan_step $((steps + 3))
  alike tp2 bitwise $((steps + 2)) straight/steps.txt tp2/steps.txt
  # Without checkpoints it ends as well, and says that nothing is saved, which cannot be continued.
  signalled nothing one TERM 1 --checkpoint.enable_checkpoint=false
  said nothing 'Ending early, SIGTERM after step'
  said nothing 'no checkpoint has been saved'
  grep -q 'to be continued' nothing.log && fail "nothing is saved, and it is to be continued"
  [ -e nothing/checkpoint ] && fail "a folder of checkpoints without checkpoint.enable_checkpoint"
}

# Seeds, weights only, retention, seconds, what is left out in loading.
kinds() {
  run 0 seed one --checkpoint.create_seed_checkpoint
  [ "$(ls seed/checkpoint)" = step-0.h5 ] || fail "a seed checkpoint, and more: $(ls seed/checkpoint)"
  run 4 seed one --checkpoint.create_seed_checkpoint
  said seed 'holds a checkpoint of step 0 already'
  run 0 fresh fsdp4
  run 0 seed fsdp4
  said seed 'has no optimizer state'
  alike seed bitwise 20 fresh/steps.txt seed/steps.txt
  run 0 kept one --checkpoint.interval 5 --checkpoint.keep_latest_k 2
  [ "$(echo $(ls kept/checkpoint))" = 'step-15.h5 step-20.h5' ] || fail "kept: $(ls kept/checkpoint)"
  run 0 kept one --checkpoint.model_weights_only
  said kept 'No steps are left'
  said kept 'checkpoint.model_weights_only: nothing is written'
  run 0 weights fsdp4 --checkpoint.model_weights_only --checkpoint.export_dtype bfloat16
  digest weights/checkpoint/step-20.h5 weights.digest
  grep -q '^/model/output.weight bfloat16' weights.digest || fail "the weights are not in bfloat16"
  grep -q optimizer weights.digest && fail "weights only, with an optimizer"
  run 0 weights one --training.steps 22
  said weights 'has no position in the data'
  run 0 seconds ddp2 --checkpoint.interval_type seconds --checkpoint.interval 1 --training.steps 60
  [ "$(ls seconds/checkpoint | wc -l)" -gt 1 ] || fail "no save by time: $(tail -n 2 seconds.log)"
  run 0 fresh one --training.steps 22 --checkpoint.exclude_from_loading optimizer,data,schedule
  said fresh "the optimizer's moments start at zero"
  said fresh 'the data starts at its beginning'
  said fresh "the learning rate schedule starts at its beginning"
  # What float16 cannot hold is saved in float32.
  run 0 large one --training.steps 2
  run 0 large one --training.steps 3 --optimizer.lr 1e9 --checkpoint.model_weights_only --checkpoint.export_dtype float16
  said large 'which float16 cannot (65504 at most)'
  said large '.weight holds'
  said large 'the weights are saved in float32 instead'
  digest large/checkpoint/step-3.h5 large.digest
  grep -q '^/model/output.weight float32' large.digest || fail "the weights are not in float32"
  digest large/checkpoint/step-2.h5 large.digest
  # Options on loading, where nothing is loaded.
  run 0 unloaded one --training.steps 1 --checkpoint.enable_checkpoint=false --checkpoint.load_step 3 \
    --checkpoint.exclude_from_loading data
  said unloaded 'checkpoint.load_step = 3 (command line), checkpoint.exclude_from_loading = data (command line): no effect'
  [ "$(grep -c 'no effect' unloaded.log)" = 1 ] || fail "$(grep -c 'no effect' unloaded.log) warnings instead of one"
}

# What is kept is counted in the branch that is trained on; the one that was left stays as it was, and is named.
branches() {
  run 0 b one --training.steps 10 --checkpoint.interval 2 || return
  cksum b/checkpoint/step-8.h5 b/checkpoint/step-10.h5 >before
  run 0 b one --training.steps 7 --checkpoint.interval 1 --checkpoint.keep_latest_k 2 --checkpoint.load_step 4
  said b 'holds checkpoints up to step 10, newer than the loaded one'
  [ "$(echo $(ls b/checkpoint))" = 'step-10.h5 step-6.h5 step-7.h5 step-8.h5' ] || fail "kept: $(ls b/checkpoint)"
  cksum b/checkpoint/step-8.h5 b/checkpoint/step-10.h5 | cmp -s - before || fail "the branch that was left has changed"
}

# One run at a time in a folder of checkpoints, whatever path leads to it; and what is in it and not the run's own stays.
folders() {
  local running left=600
  attempt first one --training.steps 100000 --checkpoint.interval 100000 &
  running=$!
  until [ -s first/steps.txt ] || [ $left = 0 ]; do
    sleep 0.1
    left=$((left - 1))
  done
  echo mine >first/checkpoint/step-9.h5.partial
  mkdir second
  ln -s ../first/checkpoint second/checkpoint
  run 2 second fsdp2
  said second 'checkpoint.folder = checkpoint (default): another run is writing to this folder'
  run 2 third one --checkpoint.folder ../first/checkpoint
  said third 'checkpoint.folder = ../first/checkpoint (command line): another run is writing to this folder'
  run 2 first one
  said first 'job.dump_folder = first (command line): another run is writing to this folder'
  [ "$(cat first/checkpoint/step-9.h5.partial)" = mine ] || fail "a run removed what another one writes"
  kill -KILL $(processes_of first)
  wait $running
  # Left by a run that is gone: removed. A folder of such a name stands in nobody's way, and a link is not followed.
  echo mine >target
  mkdir first/checkpoint/step-50.h5.partial
  ln -s ../../target first/checkpoint/step-4.h5.partial
  run 0 second one --training.steps 4 --checkpoint.interval 2
  [ -e first/checkpoint/step-9.h5.partial ] && fail "what a killed run left is still there"
  [ -d first/checkpoint/step-50.h5.partial ] || fail "a folder was removed"
  [ "$(cat target)" = mine ] || fail "a link was followed"
  # What is not a checkpoint is neither passed over nor written over.
  local kind
  for kind in hdf5 text pipe; do
    case $kind in
    hdf5) cp second/metrics.h5 first/checkpoint/step-6.h5 ;;
    text) echo 'a text of mine' >first/checkpoint/step-6.h5 ;;
    pipe) mkfifo first/checkpoint/step-6.h5 ;;
    esac
    [ $kind = pipe ] || cp first/checkpoint/step-6.h5 kept
    run 4 second fsdp2 --checkpoint.interval 1
    said second 'step-6.h5 is not a checkpoint of this program, and nothing is overwritten: move it away'
    run 4 second one --checkpoint.interval 1 --checkpoint.load_step 2
    said second 'step-6.h5 is not a checkpoint of this program, and nothing is overwritten: move it away'
    [ $kind = pipe ] || cmp -s first/checkpoint/step-6.h5 kept || fail "$kind: it was written over"
    rm first/checkpoint/step-6.h5
  done
  # A name says which step it is.
  cp first/checkpoint/step-4.h5 first/checkpoint/step-7.h5
  run 4 second fsdp2
  said second 'step-7.h5 is a checkpoint of step 4, but its name has step 7'
  run 4 second one --checkpoint.load_step 7
  said second 'step-7.h5 is a checkpoint of step 4, but its name has step 7'
  [ "$(echo $(ls first/checkpoint))" = 'step-2.h5 step-4.h5 step-50.h5.partial step-7.h5' ] ||
    fail "left: $(ls first/checkpoint)"
}

# The model's constants decide, not its shapes; the same function under another name goes on.
other_models() {
  run 0 m fsdp2 --training.steps 2 || return
  run 4 m fsdp2 --training.steps 3 --model.name llama2
  said m 'm/checkpoint/step-2.h5 does not fit this model:'
  said m 'name: llama3 in the file, llama2 in this run (model.name)'
  said m 'rope_theta: 500000 in the file, 10000 in this run (model.name, model.flavor)'
  run 4 m one --training.steps 3 --model.norm_type layernorm
  said m 'norm_type: rmsnorm in the file, layernorm in this run (model.norm_type)'
  [ "$(ls m/checkpoint)" = step-2.h5 ] || fail "something was written: $(ls m/checkpoint)"
  run 0 m one --training.steps 3 --model.norm_type fused_rmsnorm --model.name llama --optimizer.name Adam
  said m 'Loaded the checkpoint m/checkpoint/step-2.h5'
  said m 'was trained with AdamW, and this run continues with Adam (optimizer.name)'
  run 0 m fsdp2 --training.steps 4 --optimizer.name Adam
  grep -q 'was trained with' m.log && fail "a warning of an optimizer that is the same"
}

# The limit on a file's size stands for a full disk; the checkpoint of 100 MB does not fit, everything else does.
failing_saves() {
  ulimit -S -f 80000
  run 4 row fsdp4 --checkpoint.interval 3
  said row 'The checkpoint of step 3 could not be saved, and the training continues'
  said row '3 saves in a row have failed (checkpoint.max_failures); the last one at step 9'
  [ "$(wc -l <row/steps.txt)" = 9 ] || fail "$(wc -l <row/steps.txt) steps instead of 9"
  run 4 on fsdp4 --checkpoint.interval 3 --checkpoint.max_failures 0 --checkpoint.async_mode async
  said on 'the checkpoint of step 20 could not be saved'
  [ "$(wc -l <on/steps.txt)" = 20 ] || fail "$(wc -l <on/steps.txt) steps instead of 20"
  [ -z "$(ls row/checkpoint on/checkpoint | grep step)" ] || fail "something is left: $(ls row/checkpoint on/checkpoint)"
  ulimit -S -f unlimited
  run 0 on fsdp4
  same_state on/checkpoint/step-20.h5 on/checkpoint/step-20.h5
}

# The newest file is damaged: it is named, and the one before it taken, unless its step was asked for.
damaged() {
  run 6 d fsdp4 --checkpoint.interval 2 --debug.inject_nan_step 7
  rm d/checkpoint/step-2.h5
  cp -r d whole
  local place
  for place in 0 300 999; do
    cp whole/checkpoint/step-6.h5 d/checkpoint/
    rm -f d/checkpoint/step-8.h5
    "$FILE_TOOL" flip d/checkpoint/step-6.h5 $place
    run 0 d fsdp4 --training.steps 5
    said d 'd/checkpoint/step-6.h5 is'
    said d 'trying the checkpoint before it'
    said d 'Loaded the checkpoint d/checkpoint/step-4.h5'
    rm -f d/checkpoint/step-5.h5
    run 4 d fsdp4 --checkpoint.load_step 6
    said d 'd/checkpoint/step-6.h5 is'
  done
  truncate -s 1000000 d/checkpoint/step-6.h5
  truncate -s 0 d/checkpoint/step-4.h5
  run 4 d one
  said d 'no complete checkpoint is left in d/checkpoint'
}

# 64 ranks, 4 x 16, save into one file: it is whole, and one rank goes on from it as one that made all steps.
sixty_four_ranks() {
  run_timeout=900
  local options=(--job.config_file "$here/../../configs/debug_64.toml" --debug.record_step_numbers --metrics.peak_flops 1e12
    --training.seq_len 16 --training.steps 4)
  launch 1 "$TITAN" "${options[@]}" --job.dump_folder one --training.batch_size 64 2>one.log ||
    fail "one rank: $(tail -n 5 one.log)"
  launch 64 "$TITAN" "${options[@]}" --job.dump_folder many --training.data_parallel_replicate_degree 4 \
    --checkpoint.enable_checkpoint --checkpoint.interval 2 --debug.inject_nan_step 3 2>many.log
  grep -qF "Building 2-D device mesh with ['dp_replicate', 'dp_shard'], [4, 16]" many.log || fail "not a mesh of 4 x 16"
  [ "$(ls many/checkpoint)" = step-2.h5 ] || fail "64 ranks: $(ls many/checkpoint) $(tail -n 20 many.log)"
  "$tool" verify many/checkpoint/step-2.h5 || fail "the file of 64 ranks is not whole"
  launch 1 "$TITAN" "${options[@]}" --job.dump_folder many --training.batch_size 64 --checkpoint.enable_checkpoint \
    2>many.log || fail "one rank after 64: $(tail -n 5 many.log)"
  said many 'Training starts at step 3'
  alike "64 ranks, then one" numbers 4 1e-5 one/steps.txt many/steps.txt
}

run_part "$part" "$@"
finish
