#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A run is killed with SIGKILL, one rank or all of them, at random instants around its saves: what is left is a whole
# newest checkpoint, bitwise that of a run nobody killed, and the next run goes on from it. Where one is kept, one is always left. Oracle: that run, whose checkpoints are
# all kept. The instants come from a fixed seed; which step they hit depends on the machine, what must hold does not.
#
# usage: killed_saves.sh PROGRAM COMPARE WORK KILLS
TITAN=$1 COMPARE=$2 WORK=$3
kills=$4
. "$(dirname "$0")/common.sh"
. "$here/checkpoint_common.sh"
RANDOM=4711
steps=16

# The reference's files are kept as digests: 100 MB each are too much.
begin=$(date +%s%3N)
attempt reference fsdp4 --training.steps $steps --checkpoint.interval 1
span=$((($(date +%s%3N) - begin) / 2)) # milliseconds: from when a run trains, kills fall into as long a time
for step in $(seq $steps); do
  digest "reference/checkpoint/step-$step.h5" "reference_$step.digest"
done
rm -r reference

for kill in $(seq "$kills"); do
  mode=$([ $((kill % 2)) = 0 ] && echo async_with_pinned_mem || echo disabled)
  rm -f victim.log
  attempt victim fsdp4 --training.steps $steps --checkpoint.interval 1 --checkpoint.async_mode $mode \
    --checkpoint.keep_latest_k $((kill % 4 < 2 ? 1 : 3)) &
  run=$!
  # Wait until it trains, then a random part of the span.
  left=600
  until grep -q 'Training starts' victim.log 2>/dev/null || [ $left = 0 ]; do
    sleep 0.05
    left=$((left - 1))
  done
  wait_ms=$((RANDOM % span))
  sleep "$((wait_ms / 1000)).$(printf %03d $((wait_ms % 1000)))"
  mapfile -t processes < <(processes_of victim)
  if [ ${#processes[@]} = 0 ]; then
    ended=$((${ended:-0} + 1)) # it was done before
  elif [ $((RANDOM % 2)) = 0 ]; then
    kill -9 "${processes[@]}" 2>/dev/null
  else
    kill -9 "${processes[RANDOM % ${#processes[@]}]}" 2>/dev/null
  fi
  wait $run
  newest=$(ls victim/checkpoint | sed -n 's/^step-\([0-9]*\)\.h5$/\1/p' | sort -n | tail -n 1)
  if [ -z "$newest" ]; then # killed before the first was complete
    [ -z "${had:-}" ] || fail "kill $kill: no checkpoint is left, and there was one"
    continue
  fi
  had=1
  digest "victim/checkpoint/step-$newest.h5" victim.digest
  cmp -s victim.digest "reference_$newest.digest" || fail "kill $kill: step $newest differs from the run nobody killed"
  compared=$((${compared:-0} + 1))
  if [ "$newest" = $steps ]; then # done: begin anew
    rm -r victim
    had=''
  fi
done
echo "$kills runs, ${ended:-0} of them done before their kill, ${compared:-0} newest checkpoints compared"
[ "${compared:-0}" -gt $((kills / 4)) ] || fail "too few checkpoints to compare"
finish
