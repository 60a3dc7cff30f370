#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A rank that is stopped (SIGSTOP) while a run trains, validates or saves ends the run: one message names rank, process and operation, the
# code is 5, and no process is left. Oracle: which rank was stopped is decided here.
#
# usage: stopped_rank.sh PROGRAM COMPARE WORK four|many
TITAN=$1 COMPARE=$2 WORK=$3
part=$4
. "$(dirname "$0")/common.sh"

# process_of MPIRUN RANK
process_of() {
  local process
  for process in /proc/[0-9]*; do
    [ "$(sed -n 's/^PPid:\t//p' "$process/status" 2>/dev/null)" = "$1" ] &&
      tr '\0' '\n' <"$process/environ" 2>/dev/null | grep -qx "OMPI_COMM_WORLD_RANK=$2" && echo "${process#/proc/}"
  done
}
trains() { [ -f "$1/steps.txt" ] && [ "$(wc -l <"$1/steps.txt")" -ge 2 ]; }
validates() { grep -q ' step:  1 ' "$1.log"; }
saves() { compgen -G "$1/checkpoint/*.partial" >/dev/null; }

ranks=4 init_timeout=60 train_timeout=5 # seconds
# start NAME OPTIONS...: ranks that train until they are ended, in the background.
start() {
  local name=$1
  shift
  mpirun --oversubscribe --bind-to none -np $ranks "$TITAN" --job.config_file "$here/small.toml" --job.dump_folder "$name" --training.steps 1000000 \
    --training.seq_len 32 --training.batch_size 1 --comm.init_timeout_seconds $init_timeout --comm.train_timeout_seconds $train_timeout "$@" \
    >"$name.out" 2>"$name.log" &
}

# stop NAME RANK WHEN PHASE OPTIONS...
stop() {
  local name=$1 rank=$2 when=$3 phase=$4
  shift 4
  start "$name" "$@"
  local run=$! victim code
  wait_until "$run_timeout" "$when" "$name" || fail "$name: it does not come to it: $(tail -n 5 "$name.log")"
  victim=$(process_of $run "$rank")
  kill -STOP "$victim" || fail "$name: no process of rank $rank"
  if ! wait_until $((90 + 2 * train_timeout)) gone $run; then
    fail "$name: the run has not ended"
    kill -9 $run "$victim"
  fi
  wait $run
  code=$?
  [ $code = 5 ] || fail "$name: code $code instead of 5: $(tail -n 5 "$name.log")"
  wait_until 20 gone $victim || { fail "$name: the stopped process is left"; kill -9 "$victim"; }
  [ "$(grep -c ' ERROR ' "$name.log")" = 1 ] || fail "$name: $(grep -c ' ERROR ' "$name.log") errors: $(grep ' ERROR ' "$name.log")"
  grep -qE "ERROR - ($phase)[^:]*: .* of group .*; rank $rank \(host $(uname -n), process $victim\) does not answer: its process is stopped\. Every rank ends" "$name.log" ||
    fail "$name: $(grep ' ERROR ' "$name.log")"
  grep -q '"records": \[' "$name"/comm_trace/rank_$((rank == 0)).json || fail "$name: no flight recorder"
  echo "$name: $(grep ' ERROR ' "$name.log")"
}

# A job that is stopped as a whole for longer than the timeout goes on afterwards.
stop_all() {
  local rank processes='' code
  start all
  local run=$!
  wait_until "$run_timeout" trains all || fail "all: it does not come to it: $(tail -n 5 all.log)"
  for rank in 0 1 2 3; do processes="$processes $(process_of $run $rank)"; done
  kill -STOP $processes
  sleep 12
  local before=$(wc -l <all/steps.txt)
  kill -CONT $processes
  wait_until 60 eval '[ "$(wc -l <all/steps.txt)" -gt $((before + 3)) ]' || fail "all: no steps after the job was continued: $(tail -n 3 all.log)"
  touch all/STOP
  wait_until 60 gone $run || { fail "all: it does not end"; kill -9 $run $processes; }
  wait $run
  code=$?
  [ $code = 75 ] || fail "all: code $code instead of 75: $(grep ERROR all.log)"
}

# A rank that is stopped for less than the timeout costs nothing: no message, no flight recorder, and the training continues.
stop_shortly() {
  local run victim code before
  start shortly
  run=$!
  wait_until "$run_timeout" trains shortly || fail "shortly: it does not come to it: $(tail -n 5 shortly.log)"
  victim=$(process_of $run 2)
  for _ in 1 2 3; do
    kill -STOP "$victim"
    sleep 2
    before=$(wc -l <shortly/steps.txt)
    kill -CONT "$victim"
    wait_until 60 eval '[ "$(wc -l <shortly/steps.txt)" -gt $((before + 1)) ]' || fail "shortly: no steps after the rank was continued"
  done
  touch shortly/STOP
  wait_until 60 gone $run || { fail "shortly: it does not end"; kill -9 $run; }
  wait $run
  code=$?
  [ $code = 75 ] || fail "shortly: code $code instead of 75: $(grep ERROR shortly.log)"
  grep -q ' ERROR .*waiting for' shortly.log && fail "shortly: $(grep ' ERROR ' shortly.log)"
  [ -e shortly/comm_trace ] && fail "shortly: a flight recorder is written"
}

four() {
  stop_all
  stop_shortly
  stop training 2 trains 'training, step [0-9]+'
  stop first 0 trains 'training, step [0-9]+' --training.tensor_parallel_degree 2
  stop validation 1 validates 'validation, step 1' --validation.enabled --validation.freq 1
  stop save 3 saves '(save|training), step [0-9]+' --checkpoint.enable_checkpoint --checkpoint.interval 1 --checkpoint.keep_latest_k 2
}

# 64 ranks on a few cores: each waits long for its turn.
many() {
  ranks=64 init_timeout=600 train_timeout=60 run_timeout=900
  stop many 37 trains 'training, step [0-9]+' --training.tensor_parallel_degree 4 --training.seq_len 16
}

run_part "$part"
finish
