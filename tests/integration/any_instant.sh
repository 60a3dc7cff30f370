#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# SIGTERM, SIGUSR1 and SIGINT at random instants of a run, from the start of its processes to their end: it ends with the documented code and
# leaves whole files. Code 75: it has said which step is saved, and that checkpoint is the newest. The code of the signal (128 + its number): the signal came
# before the training was set up, and nothing has changed. Code 0: the last step is done. Then all checkpoints verify, metrics.h5 has the
# rows of the steps up to the newest checkpoint at least, and the same command goes on; a run that was ended many times has the numbers of one that nobody ended. Which
# instant is hit depends on the machine; what must hold does not.
#
# usage: any_instant.sh PROGRAM COMPARE WORK RUNS [SEED]
[ -n "${TITAN_SIGNALS_RESTORED:-}" ] || exec env --default-signal=HUP,INT TITAN_SIGNALS_RESTORED=1 bash "$0" "$@"
TITAN=$1 COMPARE=$2 WORK=$3
runs=$4 seed=${5:-4711}
. "$(dirname "$0")/common.sh"
. "$here/checkpoint_common.sh"
tools=$(dirname "$COMPARE")
RANDOM=$seed
steps=7
program=$(readlink -f "$TITAN")
declare -A count=()

# start FOLDER MODE: in the background, of one rank for the folder "one" and of two under mpirun for others; its process is $run.
start() {
  local folder=$1 launcher=()
  mesh_of one
  if [ "$folder" != one ]; then
    mesh_of fsdp2
    launcher=(mpirun --oversubscribe --bind-to none -np 2)
  fi
  # shellcheck disable=SC2086 # the mesh's options are words
  exec env --default-signal=INT ${launcher[@]+"${launcher[@]}"} "$TITAN" --job.config_file "$here/small.toml" --job.dump_folder "$folder" \
    --debug.dump_initial_weights=false --training.seq_len 16 --training.steps $steps --checkpoint.enable_checkpoint --checkpoint.interval 3 \
    --checkpoint.keep_latest_k 2 --checkpoint.async_mode "$2" --validation.enabled --validation.freq 2 --validation.steps 1 $mesh_options \
    >"$folder.out" 2>"$folder.log" &
  run=$!
}

# What the log says before an instant; the empty one is the start of the processes.
marks=('' '' 'Starting job' 'Preparing' 'Training starts' 'step:' 'validate step' 'Saved the checkpoint' 'Training completed')
said_already() { [ -z "$mark" ] || grep -q -- "$mark" "$1.log" 2>/dev/null || gone $run; }
pause() { sleep "$(($1 / 1000)).$(printf %03d $(($1 % 1000)))"; }

# The processes of $run that execute the program already.
find_ranks() {
  local process
  ranks_now=()
  for process in $run $(cat /proc/$run/task/*/children 2>/dev/null); do
    [ "$(readlink "/proc/$process/exe")" = "$program" ] && ranks_now+=("$process")
  done
  [ ${#ranks_now[@]} -gt 0 ]
}

# newest FOLDER: the step of its newest checkpoint, 0 without one.
newest() {
  local step
  step=$(ls "$1/checkpoint" 2>/dev/null | sed -n 's/^step-\([0-9]*\)\.h5$/\1/p' | sort -n | tail -n 1)
  echo "${step:-0}"
}

# judge FOLDER CODE BEFORE SIGNAL: what run number $i has left. BEFORE: the step of the newest checkpoint at its start.
judge() {
  local folder=$1 code=$2 before=$3 signal=$4 what="run $i, SIG$4 to $target, $delay ms after \"$mark\", in $1" after file
  after=$(newest "$folder")
  case $code in
  0) [ "$after" = $steps ] && grep -q 'Training completed' "$folder.log" || fail "$what: code 0, and the newest checkpoint is $after" ;;
  75)
    said "$folder" "Ending early, to be continued: SIG$signal after step $after: the last good checkpoint is $folder/checkpoint/step-$after.h5"
    [ "$after" -ge "$before" ] || fail "$what: step $after follows step $before"
    ;;
  $((128 + $(kill -l "$signal"))))
    grep -q 'Training starts' "$folder.log" && fail "$what: code $code after the training began: $(tail -n 3 "$folder.log")"
    [ "$after" = "$before" ] || fail "$what: code $code, and a checkpoint of step $after"
    ;;
  *) fail "$what: code $code: $(tail -n 5 "$folder.log")" ;;
  esac
  [ -d "$folder" ] && no_partial "$folder"
  for file in "$folder"/checkpoint/step-*.h5; do
    [ -e "$file" ] || continue
    "$tool" verify "$file" >verify.log 2>&1 || fail "$what: $(cat verify.log)"
  done
  [ -e "$folder/metrics.h5" ] || [ "$after" = 0 ] || fail "$what: no metrics.h5"
  if [ -e "$folder/metrics.h5" ]; then
    "$tools/metrics_rows" rows "$folder/metrics.h5" >rows.txt 2>&1 || fail "$what: metrics.h5: $(tail -n 1 rows.txt)"
    [ "$(wc -l <rows.txt)" -ge "$after" ] || fail "$what: metrics.h5 has $(wc -l <rows.txt) rows, and the newest checkpoint is of step $after"
  fi
  count[$code]=$((${count[$code]:-0} + 1))
}

# complete FOLDER: its numbers are those of the reference, bitwise; the next run begins anew.
complete() {
  alike "run $i, $1" bitwise $steps "straight_$1/steps.txt" "$1/steps.txt"
  rm -r "$1"
  completed=$((completed + 1))
}

# mpirun of Open MPI 4.1 may wait for ever where a rank dies while it connects to it, though it has told of the death. The program has ended then, which
# is what is judged.
launcher_is_left() { [ "$folder" = two ] && gone "${ranks_now[@]}" && grep -q 'mpirun noticed that process rank' "$folder.log"; }
ended_or_left() { gone $run || launcher_is_left; }

completed=0 left=0
echo "seed $seed"
for folder in one two; do
  start $folder disabled
  wait $run || fail "$folder: no reference: $(tail -n 5 $folder.log)"
  mv $folder straight_$folder
  rm -r straight_$folder/checkpoint
done

signals=(TERM USR1 INT) modes=(disabled async)
for ((i = 1; i <= runs; i++)); do
  signal=${signals[i % 3]} folder=$([ $((i % 4)) = 0 ] && echo one || echo two) mode=${modes[RANDOM % 2]}
  mark=${marks[RANDOM % ${#marks[@]}]} delay=$((RANDOM % 300)) choice=$((RANDOM % 3)) one_of=$((RANDOM % 2))
  before=$(newest "$folder")
  start "$folder" "$mode"
  # From exec on: before it a process is not the program's.
  until find_ranks || gone $run; do :; done
  wait_until "$run_timeout" said_already "$folder" || fail "run $i: \"$mark\" does not come: $(tail -n 3 "$folder.log")"
  [ $((delay % 5)) = 0 ] || pause $delay
  find_ranks
  if [ ${#ranks_now[@]} = 0 ]; then
    target=nobody
  elif [ $choice = 0 ] && [ $signal = USR1 ] && [ ${#ranks_now[@]} -gt 1 ]; then
    target=mpirun
    kill -$signal $run 2>/dev/null
  elif [ $choice -le 1 ]; then
    target='all ranks'
    kill -$signal "${ranks_now[@]}" 2>/dev/null
  else
    target='one rank'
    kill -$signal "${ranks_now[one_of % ${#ranks_now[@]}]}" 2>/dev/null
  fi
  wait_until "$run_timeout" ended_or_left || { fail "run $i, SIG$signal to $target: it has not ended"; kill -9 $run "${ranks_now[@]}"; }
  code=0
  if wait_until 20 gone $run; then
    wait $run || code=$?
  else
    kill -9 $run
    wait $run
    code=$((128 + $(kill -l $signal)))
    left=$((left + 1))
  fi
  judge "$folder" $code "$before" $signal
  wait_until 20 gone "${ranks_now[@]}" || { fail "run $i: a rank is left"; kill -9 "${ranks_now[@]}"; }
  [ "$(newest "$folder")" != $steps ] || complete "$folder"
done
for code in "${!count[@]}"; do echo "code $code: ${count[$code]} runs"; done
echo "$completed trainings completed"
[ $left = 0 ] || echo "$left times mpirun did not end after its ranks"
finish
