#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A global batch is one batch, whatever the microbatches and ranks it is split over.
# Oracle: one rank that computes the whole batch at once. Tolerance 1e-6, relative, in float32: only the order of sums differs.
# Equal losses from step to step are the proof that the samples are the same: a lane that reads other text differs in the second
# digit.
#
# usage: accumulation.sh PROGRAM COMPARE WORK PART
TITAN=$1 COMPARE=$2 WORK=$3
part=$4
. "$(dirname "$0")/common.sh"
tolerance=1e-6
short=(--training.seq_len 16 --training.steps 6)

# planned NAME: the GiB of a rank that a run's log says were planned.
planned() {
  sed -n 's/.*Memory planned for each rank: \([0-9.]*\) GiB.*/\1/p' "$1.log" | head -n 1
}

# less NAME OTHER: the first run was planned with less memory than the second.
less() {
  awk -v a="$(planned "$1")" -v b="$(planned "$2")" 'BEGIN { exit !(a > 0 && a < b) }' ||
    fail "$1 was planned with '$(planned "$1")' GiB, $2 with '$(planned "$2")': expected less"
}

# accumulates NAME RANKS OPTIONS...: a run of the global batch 8 that must give the numbers and weights of one rank.
accumulates() {
  local name=$1
  train "$@" "${short[@]}" --training.global_batch_size 8 || return
  alike "$name" numbers 6 $tolerance whole/steps.txt "$name/steps.txt"
  alike "$name" weights whole/weights.txt "$name/weights.txt"
}

meshes() {
  local batch mesh ranks reduce name
  train whole 1 --training.batch_size 8 "${short[@]}"
  for batch in 4 2 1; do
    accumulates one.$batch 1 --training.batch_size $batch
  done
  less one.4 whole
  less one.1 one.4
  for reduce in each last; do
    for batch in 4 1; do
      accumulates fsdp2.$reduce.$batch 2 --training.batch_size $batch --training.gradient_accumulation_reduce $reduce
    done
    accumulates fsdp2.$reduce.mpi 2 --training.batch_size 2 --training.gradient_accumulation_reduce $reduce --comm.intra_node mpi
    accumulates ddp2.$reduce 2 --training.batch_size 1 --training.gradient_accumulation_reduce $reduce \
      --training.data_parallel_replicate_degree 2
    accumulates tp2.$reduce 2 --training.batch_size 2 --training.gradient_accumulation_reduce $reduce \
      --training.tensor_parallel_degree 2
    accumulates hsdp.$reduce 4 --training.batch_size 1 --training.gradient_accumulation_reduce $reduce \
      --training.data_parallel_replicate_degree 2
  done
  less fsdp2.each.1 fsdp2.each.4
  less fsdp2.each.1 fsdp2.last.1 # whole gradients wait in `last`
}

# Recomputation inside a microbatch changes no bit of a step.
recomputation() {
  local mode
  train kept 2 "${short[@]}" --training.batch_size 2 --training.global_batch_size 8
  for mode in "full" "selective --activation_checkpoint.selective_ac_option op" \
    "selective --activation_checkpoint.selective_ac_option 1"; do
    local name=recomputed.${mode// /_}
    train "$name" 2 "${short[@]}" --training.batch_size 2 --training.global_batch_size 8 --activation_checkpoint.mode $mode
    alike "$name" bitwise 6 kept/steps.txt "$name/steps.txt" && cmp -s kept/steps.txt "$name/steps.txt" ||
      fail "$name: other numbers than without recomputation"
  done
}

# An early update is the same update at another time: without clipping, the numbers are those of a late one.
early_step() {
  local options=("${short[@]}" --training.max_norm 1e9)
  train late 1 --training.batch_size 8 "${options[@]}"
  train early.one 1 --training.batch_size 8 "${options[@]}" --optimizer.early_step_in_backward
  cmp -s late/steps.txt early.one/steps.txt || fail "early.one: other numbers than with a late update"
  less early.one late
  grep -q "WARNING.*optimizer.early_step_in_backward.*training.max_norm" early.one.log || fail "no word that an early update clips nothing"
  train early.accumulated 1 --training.batch_size 2 --training.global_batch_size 8 "${options[@]}" --optimizer.early_step_in_backward
  train early.fsdp2 2 --training.batch_size 2 --training.global_batch_size 8 "${options[@]}" --optimizer.early_step_in_backward
  train early.hsdp 4 --training.batch_size 2 "${options[@]}" --optimizer.early_step_in_backward \
    --training.data_parallel_replicate_degree 2 --comm.intra_node mpi
  train early.tp2 2 --training.batch_size 8 "${options[@]}" --optimizer.early_step_in_backward --training.tensor_parallel_degree 2
  local name
  for name in accumulated fsdp2 hsdp tp2; do
    alike "early.$name" numbers 6 $tolerance late/steps.txt "early.$name/steps.txt"
  done
}

# A run of each optimizer that stops in the middle and goes on is bitwise the run that did not stop.
resumes() {
  local options name
  for options in "--optimizer.name SGD --optimizer.lr 0.1" "--optimizer.early_step_in_backward" \
    "--training.gradient_accumulation_reduce each" "--training.gradient_accumulation_reduce last"; do
    name=${options##*[._]}
    name=${name// /_}
    local run=("${short[@]}" --training.batch_size 2 --training.global_batch_size 8 --training.data_parallel_replicate_degree 1 $options)
    train "whole.$name" 2 "${run[@]}"
    train "half.$name" 2 "${run[@]}" --checkpoint.enable_checkpoint --checkpoint.interval 2 --lr_scheduler.total_steps 6 \
      --training.steps 2
    train "half.$name" 2 "${run[@]}" --checkpoint.enable_checkpoint --checkpoint.interval 2 --lr_scheduler.total_steps 6
    tail -n 4 "half.$name/steps.txt" | cmp -s - <(tail -n 4 "whole.$name/steps.txt") ||
      fail "$name: other numbers after going on: $(diff "whole.$name/steps.txt" "half.$name/steps.txt")"
  done
}

run_part "$part"
finish
