#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A rank that is killed in the middle of training takes the run with it: mpirun ends soon, not with code 0, and no rank stays
# behind to spin on a neighbour that is gone. (The property is mpirun's and ours together: a rank that ignored the
# launcher's signal, or a launcher that never hears of the death, would show here.)
#
# usage: killed_rank.sh PROGRAM COMPARE WORK each_way|other_ranks|crashes
TITAN=$1 COMPARE=$2 WORK=$3
part=$4
. "$(dirname "$0")/common.sh"

# The processes that run the program below process $1; /proc tells, as not every system has pgrep.
ranks_of() {
  local status
  for status in /proc/[0-9]*/status; do
    local process=${status%/status}
    [ "$(sed -n 's/^PPid:\t//p' "$status" 2>/dev/null)" = "$1" ] &&
      [ "$(readlink "$process/exe")" = "$(readlink -f "$TITAN")" ] && echo "${process#/proc/}"
  done
}

has_trained() {
  [ -s "$1/steps.txt" ]
}

signal=KILL
# kill_one NAME VICTIM OPTIONS...: VICTIM counts the ranks in the order of their processes. The launcher's code is then in $code.
kill_one() {
  local name=$1 victim=$2
  shift 2
  mpirun --oversubscribe --bind-to none -np 4 "$TITAN" --job.config_file "$here/small.toml" --job.dump_folder "$name" \
    --training.steps 1000000 "$@" >"$name.out" 2>"$name.log" &
  local run=$!
  wait_until "$run_timeout" has_trained "$name" || fail "$name: no step: $(tail -n 5 "$name.log")"
  local -a processes
  mapfile -t processes < <(ranks_of $run)
  [ ${#processes[@]} = 4 ] || fail "$name: ${#processes[@]} ranks found, expected 4"
  kill -$signal "${processes[$victim]}"
  if ! wait_until 60 gone $run; then
    fail "$name: mpirun still runs a minute after the death of a rank"
    kill -9 $run "${processes[@]}"
  fi
  wait $run
  code=$?
  echo "$name: code $code"
  [ $code != 0 ] || fail "$name: code 0"
  wait_until 10 gone "${processes[@]}" || fail "$name: a rank is left"
  grep -q 'Training completed' "$name.log" && fail "$name: it says that the training is complete"
}

async=(--training.tensor_parallel_degree 4 --training.compile --experimental.enable_async_tensor_parallel)
each_way() {
  kill_one first_of_shared 0 --comm.intra_node shared
  kill_one second_of_mpi 1 --comm.intra_node mpi
  kill_one third_of_tensor 2 --training.tensor_parallel_degree 4 --comm.intra_node shared
  kill_one last_of_async 3 "${async[@]}" --comm.intra_node mpi
}

other_ranks() {
  kill_one third_of_shared 2 --comm.intra_node shared
  kill_one first_of_tensor 0 --training.tensor_parallel_degree 4 --comm.intra_node mpi
  kill_one second_of_async 1 "${async[@]}" --comm.intra_node shared
}

# The rank says where it was; the launcher ends the others at once, names the rank, and gives the code of the signal.
crashes() {
  local name
  for name in SEGV:139 ABRT:134; do
    signal=${name%:*}
    kill_one crash_$signal 2 --comm.intra_node shared
    [ $code = ${name#*:} ] || fail "SIG$signal: code $code instead of ${name#*:}"
    [ "$(grep -c ': crashed by ' crash_$signal.log)" = 1 ] || fail "SIG$signal: $(grep ': crashed by ' crash_$signal.log)"
    grep -qE "^\[rank[0-3]\]: crashed by SIG$signal on host $(uname -n), process [0-9]+, in training, step [0-9]+[,;] .*Where it was:" crash_$signal.log ||
      fail "SIG$signal: $(grep 'crashed by' crash_$signal.log)"
  done
}

run_part "$part"
finish
