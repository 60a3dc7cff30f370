#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A run ends early, saved, when it is asked to, whatever asks it and whichever rank is asked; the same command goes on; and a
# run whose last step is done is complete. Oracle: exit codes, and the files and steps that are there. debug.raise_signal_step
# sends the signal within a step, so that nothing depends on time.
#
# usage: stopping.sh PROGRAM COMPARE WORK signals | ranks | stop_file | time_limit | closed_stderr
[ -n "${TITAN_SIGNALS_RESTORED:-}" ] || exec env --default-signal=HUP,INT TITAN_SIGNALS_RESTORED=1 bash "$0" "$@"
TITAN=$1 COMPARE=$2 WORK=$3
part=$4
. "$(dirname "$0")/common.sh"
. "$here/checkpoint_common.sh"

# stopped FOLDER MESH SIGNAL STEP RANK OPTIONS...: the signal ends the run after the step, which is saved.
stopped() {
  local folder=$1 mesh=$2 signal=$3 step=$4 rank=$5
  shift 5
  run 75 "$folder" "$mesh" --training.steps 4 --checkpoint.interval 2 --debug.raise_signal "$signal" \
    --debug.raise_signal_step "$step" --debug.raise_signal_rank "$rank" "$@"
  said "$folder" "Ending early, to be continued: SIG$signal after step $step: the last good checkpoint is $folder/checkpoint/step-$step.h5"
  [ "$(wc -l <"$folder/steps.txt")" = "$step" ] || fail "$signal: $(wc -l <"$folder/steps.txt") steps instead of $step"
}

# In the first step, in one that saves anyway, in another; each run is the one before it gone on.
signals() {
  local step=0 signal
  for signal in TERM INT XCPU; do
    step=$((step + 1))
    stopped run one $signal $step 0
    said run "SIG$signal: the run finishes this step, saves a checkpoint and ends"
    [ $signal != INT ] || said run 'a second one ends the run at once'
  done
  run 0 run one --training.steps 4 --checkpoint.interval 2 --debug.raise_signal HUP --debug.raise_signal_step 4
  grep -q 'Ending early' run.log && fail "a run of which the last step is done ends early"
  digest run/checkpoint/step-4.h5 run.digest
  run 0 straight one --training.steps 4
  alike "stopped in three steps" bitwise 4 straight/steps.txt run/steps.txt
  run 2 nothing one --debug.raise_signal_step 2 --debug.raise_signal_rank 1
  said nothing 'debug.raise_signal_rank = 1 (command line): this run has the ranks 0 to 0'
}

ranks() {
  stopped run fsdp4 TERM 1 -1
  stopped run tp2 USR2 2 0 --checkpoint.async_mode async
  run 0 run fsdp4 --training.steps 4 --debug.raise_signal USR1 --debug.raise_signal_step 4 --debug.raise_signal_rank -1
  digest run/checkpoint/step-4.h5 run.digest
}

stop_file() {
  mkdir run
  touch run/STOP
  run 75 run fsdp2 --training.steps 2
  said run 'Ending early, to be continued: run/STOP after step 1: the last good checkpoint is run/checkpoint/step-1.h5'
  [ -e run/STOP ] && fail "the file STOP is still there"
  # One that a complete run leaves behind would end the next one.
  touch run/STOP
  run 0 run fsdp2 --training.steps 2
  said run 'Training starts at step 2'
  [ -e run/STOP ] && fail "the file STOP outlives a complete run"
  # What cannot be removed is said.
  mkdir -p run/STOP/full
  run 75 run one --training.steps 6
  said run 'Cannot remove run/STOP: Directory not empty. While it exists, every run in this folder ends after one step'
}

# The job's end is nearer than what two steps, a save and the end take at least: the run ends after a step.
time_limit() {
  run 75 two fsdp2 --training.steps 4 --job.time_limit 1
  said two "the job's time is nearly over (job.time_limit) after step 1: the last good checkpoint is two/checkpoint/step-1.h5"
  run 75 run one --training.steps 4 --job.time_limit 1
  said run "Ending early, to be continued: the job's time is nearly over (job.time_limit) after step 1: the last good checkpoint is run/checkpoint/step-1.h5"
  said run '(job.time_limit): the run saves and ends before that'
  SLURM_JOB_END_TIME=$(($(date +%s) + 8)) run 75 run one --training.steps 4
  said run "the job's time is nearly over (SLURM_JOB_END_TIME) after step 2"
  SLURM_JOB_END_TIME=1000000000 SLURM_JOB_ID=17 SLURM_RESTART_COUNT=2 run 0 run one --training.steps 3
  said run 'SLURM_JOB_END_TIME = 1000000000 is in the past'
  said run 'job SLURM 17, restart 2'
  SLURM_JOB_END_TIME=$(date +%s) run 0 run one --training.steps 4 --job.time_limit -1
  grep -q 'job'\''s time' run.log && fail "job.time_limit = -1 has a limit"
  run 0 straight one --training.steps 4
  alike "ended by the job's end" bitwise 4 straight/steps.txt run/steps.txt
}

# `2>&1 | head -1`: nobody reads the log any more.
closed_stderr() {
  timeout -k 10 "$run_timeout" "$TITAN" --job.config_file "$here/small.toml" --job.dump_folder run --training.seq_len 16 \
    --training.batch_size 1 --training.steps 5 --job.print_args --checkpoint.enable_checkpoint 2>&1 | (read -r _; exec <&-)
  [ "${PIPESTATUS[0]}" = 0 ] || fail "the run ended with ${PIPESTATUS[0]} when its log was closed"
  [ "$(wc -l <run/steps.txt)" = 5 ] || fail "$(wc -l <run/steps.txt) steps instead of 5"
  digest run/checkpoint/step-5.h5 run.digest
}

run_part "$part"
finish
