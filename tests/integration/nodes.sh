#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Training on simulated nodes, whose groups go in two levels, has the bits of training on one node where nodes hold aligned
# blocks of a power of two of the ranks: loss and gradient norm of each of four steps. Oracle: the same run on one node.
# Tolerance where they do not (3 + 1), relative, as in mesh.sh: 1e-5 in float32, 1e-2 in bfloat16 (observed 1.3e-5).
#
# usage: nodes.sh PROGRAM COMPARE WORK float32|bfloat16
TITAN=$1 COMPARE=$2 WORK=$3
dtype=$4
tolerance=1e-5
[ "$dtype" = float32 ] || tolerance=1e-2
. "$(dirname "$0")/common.sh"

# Every gradient is clipped: all norms are above 0.3.
same=(--training.mixed_precision_param "$dtype" --training.max_norm 0.3 --training.seq_len 32 --training.steps 4)

# run NAME NODES RANKS REPLICATE SHARD TENSOR OPTIONS...: NODES as in TITAN_SIMULATED_NODES; none: one node.
run() {
  local name=$1 nodes=$2 ranks=$3 replicate=$4 shard=$5 tensor=$6
  shift 6
  [ "$nodes" = none ] || export TITAN_SIMULATED_NODES=$nodes
  train "$name" "$ranks" --training.batch_size $((8 * tensor / ranks)) "${same[@]}" \
    --training.data_parallel_replicate_degree "$replicate" --training.data_parallel_shard_degree "$shard" \
    --training.tensor_parallel_degree "$tensor" "$@"
  local code=$?
  unset TITAN_SIMULATED_NODES
  return $code
}

# check NODES RANKS REPLICATE SHARD TENSOR: bitwise.
check() {
  local nodes=$1 one=one_replicate$3_shard$4_tp$5 name=nodes_of_$1_replicate$3_shard$4_tp$5
  [ -d "$one" ] || run "$one" none "${@:2}" || return
  run "$name" "$@" || return
  alike "$name" bitwise 4 "$one/steps.txt" "$name/steps.txt"
}

check 4 8 1 8 1 # fsdp
check 2 8 1 2 4 # tensor parallelism over nodes
if [ "$dtype" = float32 ]; then # gradients are summed in it in any case
  check 2 8 1 8 1
  check 2 8 2 4 1 # hsdp whose shards span nodes
  check 2 8 8 1 1 # ddp
fi
grep -q "shared memory inside nodes, MPI between them" nodes_of_4_replicate1_shard8_tp1.log || fail "no word on two levels"

run nodes_of_3_1 3,1 4 1 4 1 && run one_of_four none 4 1 4 1 &&
  alike nodes_of_3_1 numbers 4 "$tolerance" one_of_four/steps.txt nodes_of_3_1/steps.txt
run flat 2 4 1 4 1 --comm.intra_node mpi && alike flat bitwise 4 one_of_four/steps.txt flat/steps.txt
TITAN_SIMULATED_NODES=2,x timeout 60 mpirun --oversubscribe --bind-to none -np 2 "$TITAN" --job.config_file "$here/small.toml" \
  --job.dump_folder none >none.out 2>none.log && fail "nodes that cannot be read are accepted"
grep -q 'TITAN_SIMULATED_NODES = "2,x": expected the ranks of each node' none.log || fail "no word on nodes that cannot be read"
finish
