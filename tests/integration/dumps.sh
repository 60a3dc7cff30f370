#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# debug.dump_graph and debug.dump_plan write a file for each kind of block that there is, under one name for both, and
# say which of them could not be written. Oracle: the layers that recompute by the option, and their own recomputed
# attention.
#
# usage: dumps.sh PROGRAM COMPARE WORK
TITAN=$1 COMPARE=$2 WORK=$3
. "$(dirname "$0")/common.sh"
both=(--debug.dump_graph --debug.dump_plan --training.steps 1)

# names FOLDER NAME...: these files and no others.
names() {
  local folder=$1
  shift
  [ "$(ls "$folder" | sort | tr '\n' ' ')" = "$(printf '%s\n' "$@" | sort | tr '\n' ' ')" ] ||
    fail "$folder has $(ls "$folder" | tr '\n' ' '), expected $*"
}

# attentions COUNT GRAPH
attentions() {
  [ "$(grep -c '= attention(' "$2")" = "$1" ] || fail "$2 does not compute attention $1 times"
}

# Every second layer, from the second on.
train every 2 --training.tensor_parallel_degree 2 --activation_checkpoint.mode selective \
  --activation_checkpoint.selective_ac_option 2 "${both[@]}"
names every/plans step.txt embedding.txt block.txt block.layers.1.txt head.txt
names every/graphs {embedding,block,block.layers.1,head,constants}.{txt,dot}
attentions 1 every/graphs/block.txt
attentions 2 every/graphs/block.layers.1.txt
for kind in block block.layers.1; do
  # Values of the plan are the graph's.
  sed -n 's/^ *out \(%[0-9]*\):.*/\1:/p' "every/plans/$kind.txt" >values
  [ -s values ] || fail "no values in the plan of $kind"
  while read -r value; do
    grep -qF " $value " "every/graphs/$kind.txt" || fail "$value of the plan is not in the graph of $kind"
  done <values
done
# One kind.
train full 1 --activation_checkpoint.mode full "${both[@]}"
names full/plans step.txt embedding.txt block.txt head.txt
names full/graphs {embedding,block,head,constants}.{txt,dot}
attentions 2 full/graphs/block.txt
finish
