#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A rank that stops, crashes or is killed under srun on a real SLURM (cluster.sh) ends the run: it is named, the code is that of the
# program (5: a hang) or of the signal, and no task is left. Oracle: which rank was struck, and how, is decided here.
#
# usage: faults.sh PROGRAM COMPARE WORK
TITAN=$1 COMPARE=$2 WORK=$3
folder=$(cd "$(dirname "$0")" && pwd)
. "$folder/../integration/common.sh"
. "$folder/cluster.sh"
slurm_begin 4
host=$(uname -n)

tasks() { # "PROCESS RANK" of each task of the program
  local process rank
  for process in /proc/[0-9]*; do
    [ "$(readlink "$process/exe" 2>/dev/null)" = "$(readlink -f "$TITAN")" ] || continue
    rank=$({ tr '\0' '\n' <"$process/environ"; } 2>/dev/null | sed -n 's/^SLURM_PROCID=//p')
    { tr '\0' '\n' <"$process/environ"; } 2>/dev/null | grep -qxF "SLURM_CONF=$SLURM_CONF" && echo "${process#/proc/} $rank"
  done
}
has_steps() { [ -f "$1/steps.txt" ] && [ "$(wc -l <"$1/steps.txt")" -ge 2 ]; }
saves() { compgen -G "$1/checkpoint/*.partial" >/dev/null; }

# strike NAME SIGNAL RANK WHEN CODE PATTERN OPTIONS...: rank RANK of four gets SIGNAL when WHEN is so. srun must end with CODE, and its log have
# PATTERN, in which %p is the process that was struck.
strike() {
  local name=$1 signal=$2 rank=$3 when=$4 expected=$5 pattern=$6 run victim code processes
  shift 6
  srun --mpi=pmix -n 4 --cpus-per-task=1 --kill-on-bad-exit=1 "$TITAN" --job.config_file "$here/small.toml" --job.dump_folder "$name" \
    --training.seq_len 16 --training.batch_size 1 --training.steps 1000000 --comm.train_timeout_seconds 5 "$@" >"$name.log" 2>&1 &
  run=$!
  wait_until "$run_timeout" "$when" "$name" || fail "$name: it does not come to it: $(tail -n 3 "$name.log")"
  processes=$(tasks)
  [ "$(echo "$processes" | wc -l)" = 4 ] || fail "$name: these tasks, expected 4: $processes"
  victim=$(echo "$processes" | awk -v rank="$rank" '$2 == rank { print $1 }')
  kill -"$signal" "$victim" || fail "$name: no task $rank"
  wait_until 120 gone $run || { fail "$name: the run has not ended"; kill -9 $run; }
  wait $run
  code=$?
  [ $code = "$expected" ] || fail "$name: code $code, expected $expected: $(tail -n 5 "$name.log")"
  grep -qE -- "${pattern//%p/$victim}" "$name.log" || fail "$name: no \"${pattern//%p/$victim}\": $(grep -E 'ERROR|error|rank' "$name.log")"
  wait_until 60 gone $(echo "$processes" | cut -d ' ' -f 1) || { fail "$name: tasks are left: $(tasks)"; kill -9 $(tasks | cut -d ' ' -f 1); }
  echo "$name: code $code: $(grep -E -- "${pattern//%p/$victim}" "$name.log")"
}

silent="does not answer: its process is stopped\. Every rank ends"
strike stopped STOP 2 has_steps 5 "ERROR - training, step [0-9]+: .* of group .*; rank 2 \(host $host, process %p\) $silent"
strike first_stopped STOP 0 has_steps 5 "ERROR - training, step [0-9]+: .* of group .*; rank 0 \(host $host, process %p\) $silent" --training.tensor_parallel_degree 2
strike stopped_save STOP 3 saves 5 "ERROR - (save|training), step [0-9]+: .* of group .*; rank 3 \(host $host, process %p\) $silent" \
  --checkpoint.enable_checkpoint --checkpoint.interval 1 --checkpoint.keep_latest_k 2
for signal in SEGV:139 ABRT:134; do
  strike "crash_${signal%:*}" "${signal%:*}" 1 has_steps "${signal#*:}" "^\[rank1\]: crashed by SIG${signal%:*} on host $host, process %p, in training, step [0-9]+"
done
strike killed KILL 2 has_steps 137 "error: $host: task 2: Killed"
finish
