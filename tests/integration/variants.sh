#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What the default mesh test leaves out. Each part's property and tolerance stand beside it.
#
# usage: variants.sh PROGRAM COMPARE WORK PART
TITAN=$1 COMPARE=$2 WORK=$3
part=$4
. "$(dirname "$0")/common.sh"
short=(--training.seq_len 32 --training.steps 6)

# Each norm type and Adam, on two ranks against one; only the order of sums differs: 1e-5, as in mesh.sh.
norms_and_optimizers() {
  local options
  for options in "--model.norm_type fused_rmsnorm" "--model.norm_type layernorm" "--model.norm_type np_layernorm" \
    "--optimizer.name Adam" "--model.name llama2"; do
    local name=${options##* }
    train "$name.one" 1 --training.batch_size 4 "${short[@]}" $options
    train "$name.two" 2 --training.batch_size 2 "${short[@]}" $options
    alike "$name" numbers 6 1e-5 "$name.one/steps.txt" "$name.two/steps.txt"
    alike "$name" weights "$name.one/weights.txt" "$name.two/weights.txt"
  done
}

# The same command gives the same bits: sums have a fixed order, whatever the threads and messages do.
repeats() {
  local run
  for run in first second; do
    OMP_NUM_THREADS=2 train "threads.$run" 1 "${short[@]}" --training.batch_size 4
    train "ranks_shared.$run" 4 "${short[@]}" --training.batch_size 1 --comm.intra_node shared
    train "ranks_mpi.$run" 4 "${short[@]}" --training.batch_size 1 --comm.intra_node mpi
    OMP_NUM_THREADS=2 train "bfloat16.$run" 2 "${short[@]}" --training.batch_size 2 --training.mixed_precision_param bfloat16
  done
  local name
  for name in threads ranks_shared ranks_mpi bfloat16; do
    alike "$name" bitwise 6 "$name.first/steps.txt" "$name.second/steps.txt"
  done
}

# Lower instruction sets against this machine's: products and exponentials are rounded differently, and six steps of AdamW
# carry that on: 1e-4 in float32. The plain C of level generic gives the bits of baseline. In bfloat16, 1e-2: machines with native products accumulate otherwise than those without.
instruction_sets() {
  local isa
  train default 1 "${short[@]}" --training.batch_size 4
  train default.bfloat16 1 "${short[@]}" --training.batch_size 4 --training.mixed_precision_param bfloat16
  local -a levels=(avx2 baseline generic)
  "$TITAN" --version | grep -qE 'the chip has (avx|amx)' || levels=(generic)
  for isa in "${levels[@]}"; do
    TITAN_CPU_ISA=$isa train "$isa" 1 "${short[@]}" --training.batch_size 4
    TITAN_CPU_ISA=$isa train "$isa.bfloat16" 1 "${short[@]}" --training.batch_size 4 --training.mixed_precision_param bfloat16
    alike "$isa" numbers 6 1e-4 default/steps.txt "$isa/steps.txt"
    alike "$isa" weights default/weights.txt "$isa/weights.txt"
    alike "$isa.bfloat16" numbers 6 1e-2 default.bfloat16/steps.txt "$isa.bfloat16/steps.txt"
  done
  [ ${#levels[@]} = 1 ] || for isa in generic generic.bfloat16; do
    alike "$isa" bitwise 6 "baseline${isa#generic}/steps.txt" "$isa/steps.txt"
  done
}

# debug_64.toml on a mesh of 4 x 16 equals one rank with its global batch; 1e-5 as in mesh.sh.
sixty_four_ranks() {
  run_timeout=900
  local options=(--job.config_file "$here/../../configs/debug_64.toml" --debug.record_step_numbers
    --debug.dump_initial_weights --metrics.peak_flops 1e12)
  launch 1 "$TITAN" "${options[@]}" --job.dump_folder one --training.batch_size 64 2>one.log ||
    fail "one rank: $(tail -n 5 one.log)"
  launch 64 "$TITAN" "${options[@]}" --job.dump_folder many --training.data_parallel_replicate_degree 4 2>many.log ||
    fail "64 ranks: $(tail -n 20 many.log)"
  grep -qF "Building 2-D device mesh with ['dp_replicate', 'dp_shard'], [4, 16]" many.log || fail "not a mesh of 4 x 16"
  alike "64 ranks" numbers 10 1e-5 one/steps.txt many/steps.txt
  alike "64 ranks" weights one/weights.txt many/weights.txt
}

run_part "$part"
finish
