#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Traces are what trace viewers read, and explain the step: stages at least 97 % of it, and units and waits 97 % of the
# stage "forward and backward". On fsdp 2 x tp 2, and on a pipeline of four ranks (pp 2 x fsdp 2), whose transfers have an arrow each from the rank that sends to the one that receives. A trace changes no number, and
# one that cannot be written ends no run. A save is explained by spans of I/O. Oracle: trace_check, a reader of the format written for this; the schedule's number of transfers:
# four microbatches, each forward and backward over one boundary, in two pipelines.
#
# usage: traces.sh PROGRAM COMPARE WORK
TITAN=$1 COMPARE=$2 WORK=$3
. "$(dirname "$0")/common.sh"
tools=$(dirname "$COMPARE")
options=(--training.steps 4 --training.seq_len 64 --debug.dump_initial_weights=false)
traced=(--profiling.enable_profiling --profiling.profile_freq 2)

# check NAME RANKS STEP: prints what trace_check says.
check() {
  local -a files=()
  local rank
  for ((rank = 0; rank < $2; rank++)); do files+=("$1/profile_traces/iteration_$3/rank${rank}_trace.json"); done
  "$tools/trace_check" "${files[@]}" >"$1.$3.txt" || fail "$1: step $3"
  cat "$1.$3.txt"
  [ "$(awk '/ of rank / && $6 >= 0.97 && $8 >= 0.97 && $10 > 0' "$1.$3.txt" | wc -l)" = "$2" ] || fail "$1: spans explain too little: $(cat "$1.$3.txt")"
}

train plain2 2 "${options[@]}"
train plain 4 "${options[@]}" --training.tensor_parallel_degree 2
train mesh 4 "${options[@]}" --training.tensor_parallel_degree 2 "${traced[@]}" --checkpoint.enable_checkpoint --checkpoint.interval 2 \
  --validation.enabled --validation.freq 2 --validation.steps 1
alike "a trace changes numbers" bitwise 4 plain/steps.txt mesh/steps.txt
[ "$(ls mesh/profile_traces | tr '\n' ' ')" = 'iteration_2 iteration_4 ' ] || fail "traces: $(ls mesh/profile_traces)"
check mesh 4 2
check mesh 4 4
for name in 'forward layers.3' 'backward layers.3' '"name": "matmul"' '"name": "save"' '"name": "validation"' '"name": "optimizer"' '"name": "data"'; do
  grep -qF -- "$name" mesh/profile_traces/iteration_2/rank0_trace.json || fail "no $name in the trace"
done
# A save: what is done with the file, in the row of I/O. Rank 0 makes, completes and renames the file; each writes data and brings it to the disk.
# io NAME STEP RANK ROW WHAT...: spans of all these are in the row.
io() {
  local trace=$1/profile_traces/iteration_$2/rank$3_trace.json row=$4 what
  shift 4
  for what in "$@"; do
    grep -E '"cat": "io", "name": "'"$what"'", "pid": [0-9]+, "tid": '"$row"',' "$trace" >/dev/null || fail "$trace: no $what in row $row"
  done
}
io mesh 2 0 6 'create file' 'write structure' 'write data' 'write checksums' sync close seal rename 'sync folder'
for rank in 1 2 3; do io mesh 2 $rank 6 'write data' sync close; done
[ "$(awk '/^save, rank / && $7 >= 0.5 && $9 > 3' mesh.2.txt | wc -l)" = 4 ] || fail "I/O explains too little of the save: $(grep ^save mesh.2.txt)"
# Parameters and two moments of the debug model, in float32.
bytes=$(cat mesh/profile_traces/iteration_2/rank?_trace.json | sed -n 's/.*"cat": "io", "name": "write data".*"bytes": \([0-9]*\)}.*/\1/p' | awk '{ sum += $1 } END { printf "%d", sum }')
[ "$bytes" = $((3 * 4 * 7975168)) ] || fail "the spans of the save have $bytes bytes, expected $((3 * 4 * 7975168))"
# A save beside the training, which goes on in the steps after it, has a row of its own.
train async 2 "${options[@]}" --profiling.enable_profiling --profiling.profile_freq 1 --checkpoint.enable_checkpoint --checkpoint.interval 1 \
  --checkpoint.async_mode async
alike "a trace of an asynchronous save changes numbers" bitwise 4 plain2/steps.txt async/steps.txt
cat async/profile_traces/iteration_[123]/rank0_trace.json >async.json
for what in 'write data' sync rename; do
  grep -qE '"cat": "io", "name": "'"$what"'", "pid": 0, "tid": 7,' async.json || fail "no $what beside the training"
  grep -E '"cat": "io", "name": "'"$what"'", "pid": 0, "tid": 6,' async.json && fail "$what of a save beside the training is in the training's row"
done
for step in 1 2 3 4; do check async 2 $step; done
train pipeline 4 "${options[@]}" --training.batch_size 4 --experimental.pipeline_parallel_degree 2 --experimental.pipeline_parallel_microbatches 4 \
  --experimental.pipeline_parallel_schedule 1F1B "${traced[@]}" --profiling.save_traces_folder elsewhere/traces
mkdir -p pipeline/profile_traces && mv pipeline/elsewhere/traces/* pipeline/profile_traces/
check pipeline 4 4
grep -q ' 16 transfers$' pipeline.4.txt || fail "transfers: $(tail -n 1 pipeline.4.txt)"
# A row of metrics.h5 takes one collective, with rows of ranks and without: step 2 has one, step 3 none.
# collectives NAME STEP: those of the world that rank 1 begins.
collectives() { grep -F '"ph": "b"' "$1/profile_traces/iteration_$2/rank1_trace.json" | grep -cF '"group": "world"'; }
for only in true false; do
  train rows_$only 2 "${options[@]}" --profiling.enable_profiling --profiling.profile_freq 1 --metrics.log_freq 2 --metrics.rank_0_only=$only
  with=$(collectives rows_$only 2) without=$(collectives rows_$only 3)
  [ "$without" -gt 0 ] && [ $((with - without)) = 1 ] || fail "rows_$only: a step with a row has $with collectives, one without has $without"
done
# A flight recorder that is too small for the operations of a step, or off: said once, and in each trace.
for size in 0 3; do
  train small_$size 2 "${options[@]}" --profiling.enable_profiling --profiling.profile_freq 1 --comm.trace_buf_size $size
  [ "$(grep -c "WARNING - the trace of step 1 shows $size of the step's [0-9]* operations of communication: comm.trace_buf_size is $size," small_$size.log)" = 2 ] ||
    fail "small_$size: $(grep WARNING small_$size.log)"
  [ "$(grep -c 'WARNING - the trace' small_$size.log)" = 2 ] || fail "small_$size: warned again: $(grep WARNING small_$size.log)"
  grep -q '"dropped_operations": [1-9]' small_$size/profile_traces/iteration_4/rank1_trace.json || fail "small_$size: the trace does not say that operations are missing"
done
mkdir bad && echo text >bad/profile_traces
train bad 1 "${options[@]}" "${traced[@]}"
[ "$(grep -c 'WARNING.*profile_traces' bad.log)" = 1 ] || fail "warnings: $(grep WARNING bad.log)"
finish
