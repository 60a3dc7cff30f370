#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# One rank's write of a checkpoint does not return, as on a file system that hangs. With a thread that saves beside the training (checkpoint.async_mode)
# and without, the watchdog names the rank, what it does and where: code 5, and the checkpoint before it is whole. A write that goes on in time
# costs nothing. Signals that come meanwhile: a second SIGTERM changes nothing, a second SIGINT ends the run at once. Oracle: which rank is
# held is decided here; the same command completes the run, with the numbers of one that nobody held.
#
# usage: held_saves.sh PROGRAM COMPARE WORK PRELOAD watchdog | signals
[ -n "${TITAN_SIGNALS_RESTORED:-}" ] || exec env --default-signal=HUP,INT TITAN_SIGNALS_RESTORED=1 bash "$0" "$@"
TITAN=$1 COMPARE=$2 WORK=$3
preload=$4 part=$5
. "$(dirname "$0")/common.sh"
. "$here/checkpoint_common.sh"
steps=6

# start NAME RANK MODE OPTIONS...: two ranks in the background; writes of rank RANK to a checkpoint are held while the file NAME.hold is there.
start() {
  local name=$1 rank=$2 mode=$3
  shift 3
  mesh_of fsdp2
  # shellcheck disable=SC2086 # the mesh's options are words
  TITAN_HOLD=$rank:$WORK/$name.hold LD_PRELOAD=$preload exec env --default-signal=INT mpirun --oversubscribe --bind-to none -np 2 "$TITAN" \
    --job.config_file "$here/small.toml" --job.dump_folder "$name" --debug.dump_initial_weights=false --training.seq_len 16 --training.steps $steps \
    --checkpoint.enable_checkpoint --checkpoint.interval 2 --checkpoint.async_mode "$mode" $mesh_options "$@" >"$name.out" 2>"$name.log" &
  run=$!
}

# ends NAME CODE
ends() {
  local code
  wait_until "$run_timeout" gone $run || { fail "$1: the run has not ended"; kill -9 $run; }
  wait $run
  code=$?
  [ $code = "$2" ] || fail "$1: code $code instead of $2: $(tail -n 5 "$1.log")"
  wait_until 20 eval "[ -z \"\$(processes_of $1)\" ]" || fail "$1: a rank is left"
}

# completes NAME MODE: the same command goes on to the end, and the numbers are those of a run that nobody held.
completes() {
  rm -f "$1.hold"
  start "$1" 1 "$2"
  ends "$1" 0
  digest "$1/checkpoint/step-$steps.h5" "$1.digest"
  no_partial "$1"
  alike "$1" bitwise $steps straight/steps.txt "$1/steps.txt"
}

# The second save is held: the first one is there. Of a thread the training's save of step 4 waits for that of step 2.
watchdog() {
  local mode rank
  for mode in disabled async; do
    for rank in 0 1; do
      local name=$mode.$rank step=4 what=''
      run 0 "$name" fsdp2 --training.steps 2 --checkpoint.interval 2 --checkpoint.async_mode $mode
      [ $mode = async ] && step=6 what=', write of step-4\.h5'
      touch "$name.hold"
      start "$name" $rank $mode --comm.train_timeout_seconds 8
      ends "$name" 5
      [ "$(grep -c ' ERROR ' "$name.log")" = 1 ] || fail "$name: errors: $(grep ' ERROR ' "$name.log")"
      grep -qE "ERROR - save, step $step: exchange #[0-9]+ of group checkpoint[^;]* has kept rank $((1 - rank)) waiting for .*; rank $rank \(host $(uname -n), process [0-9]+\) is late: for [0-9.]+ s it has been in save, step $step$what, after [0-9]+ operations, at [^;]*pwrite[^;]* < titan_write_at" \
        "$name.log" || fail "$name: $(grep ' ERROR ' "$name.log")"
      grep ' ERROR ' "$name.log"
      ls "$name/comm_trace" | tr '\n' ' ' | grep -q 'rank_0.json rank_1.json' || fail "$name: $(ls "$name/comm_trace")"
      digest "$name/checkpoint/step-2.h5" "$name.digest"
      [ -e "$name/checkpoint/step-4.h5" ] && fail "$name: the held checkpoint has its name"
      completes "$name" $mode
    done
  done
  # In time.
  touch brief.hold
  start brief 1 async --comm.train_timeout_seconds 100
  wait_until "$run_timeout" test -e brief.hold.1 || fail "brief: no save"
  sleep 3
  rm brief.hold
  ends brief 0
  grep -q ' ERROR ' brief.log && fail "brief: $(grep ' ERROR ' brief.log)"
  alike brief bitwise $steps straight/steps.txt brief/steps.txt
}

signals() {
  local mode victims
  for mode in disabled async; do
    for signal in TERM INT; do
      local name=$mode.$signal
      touch "$name.hold"
      start "$name" 1 $mode
      wait_until "$run_timeout" test -e "$name.hold.1" || fail "$name: no save"
      victims=$(processes_of "$name")
      kill -$signal $victims
      sleep 1 # within half a second a second SIGINT is the first one
      kill -$signal $victims
      if [ $signal = INT ]; then
        ends "$name" 130
        [ -e "$name/checkpoint/step-2.h5" ] && fail "$name: the held checkpoint has its name"
      else
        rm "$name.hold"
        ends "$name" 75
        step=$(wc -l <"$name/steps.txt")
        said "$name" "Ending early, to be continued: SIGTERM after step $step: the last good checkpoint is $name/checkpoint/step-$step.h5"
        digest "$name/checkpoint/step-$step.h5" "$name.digest"
        no_partial "$name"
      fi
      completes "$name" $mode
    done
  done
}

run 0 straight fsdp2 --training.steps $steps --checkpoint.interval 2
run_part "$part"
finish
