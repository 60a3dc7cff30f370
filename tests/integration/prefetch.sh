#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# training.fsdp_prefetch moves gathers ahead and changes no number: the same bits with 1, 3 and more parts than the model has, and with
# auto. Oracle: the run with 1. The list has as many gathers before the first part computes as the option asks for, and that part's own;
# with auto, as many as the log says, and fewer where the memory is short. An estimate comes to the same number, and to the bytes of two
# steps.
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

# chosen FILE: what auto has come to.
chosen() { sed -n 's/.*training.fsdp_prefetch = auto: weights are gathered \([0-9]*\) parts\? ahead.*/\1/p' "$1"; }

train one 2 "${same[@]}"
ahead one 2
for prefetch in 3 100; do
  train "ahead$prefetch" 2 "${same[@]}" --training.fsdp_prefetch $prefetch
  alike "ahead$prefetch" bitwise $steps one/steps.txt "ahead$prefetch/steps.txt"
done
ahead ahead3 4
ahead ahead100 10

train auto 2 "${same[@]}" --training.fsdp_prefetch auto
alike auto bitwise $steps one/steps.txt auto/steps.txt
depth=$(chosen auto.log)
[ "${depth:-0}" -ge 2 ] || fail "auto: \"$depth\" parts ahead, expected 2 at least"
ahead auto $((depth + 1))

# estimate NAME DEPTH OPTIONS...: on one H100 with so little memory for a rank.
estimate() {
  local name=$1 wanted=$2
  shift 2
  "$TITAN" --memory_estimation.enabled --job.config_file "$here/small.toml" --job.dump_folder "$name" --memory_estimation.world_size 2 \
    --memory_estimation.device h100-80g --training.fsdp_prefetch auto "$@" >"$name.out" 2>"$name.log" || fail "$name: $(tail -n 3 "$name.log")"
  [ "$(chosen "$name.out")" = "$wanted" ] || fail "$name: $(chosen "$name.out") parts ahead, expected $wanted"
}
estimate planned "$depth"
estimate budget 1 --activation_checkpoint.mode selective --activation_checkpoint.selective_ac_option budget=8
launch 2 "$TITAN" --memory_estimation.enabled --memory_estimation.disable_fake_mode --job.config_file "$here/small.toml" --job.dump_folder real \
  "${same[@]}" --training.fsdp_prefetch auto >real.out 2>real.log || fail "two real steps: $(tail -n 5 real.log)"
grep -q "gathered $depth parts ahead" real.out || fail "two real steps: $(chosen real.out) parts ahead, expected $depth"
finish
