#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# training.fsdp_prefetch moves gathers ahead and changes no number: the same bits with 1, 3 and more parts than the model has. Oracle:
# the run with 1. The list has as many gathers before the first part computes as the option asks for, and that part's own.
#
# usage: prefetch.sh PROGRAM COMPARE WORK
TITAN=$1 COMPARE=$2 WORK=$3
. "$(dirname "$0")/common.sh"
steps=3
same=(--training.steps $steps --training.seq_len 16 --comm.intra_node mpi --debug.dump_plan --job.device cpu)

# ahead NAME GATHERS: before the first RUN.
ahead() {
  local gathers
  gathers=$(sed '/ RUN /Q' "$1/plans/step.txt" | grep -c ' GATHER ')
  [ "$gathers" = "$2" ] || fail "$1: $gathers gathers before the first part computes, expected $2"
}

train one 2 "${same[@]}"
ahead one 2
for prefetch in 3 100; do
  train "ahead$prefetch" 2 "${same[@]}" --training.fsdp_prefetch $prefetch
  alike "ahead$prefetch" bitwise $steps one/steps.txt "ahead$prefetch/steps.txt"
done
ahead ahead3 4
ahead ahead100 10
finish
