#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Memory snapshots have the blocks of the step's plan, drawn and as JSON; one more is written where the memory cannot be had, and the run
# ends with 5 and its message. Oracle: the plan as debug.dump_plan prints it; a library that refuses large pieces of memory.
#
# usage: memory_snapshot.sh PROGRAM COMPARE WORK NO_MEMORY
TITAN=$1 COMPARE=$2 WORK=$3
no_memory=$4
. "$(dirname "$0")/common.sh"
options=(--training.steps 3 --training.seq_len 32 --debug.dump_initial_weights=false --profiling.enable_memory_snapshot --profiling.profile_freq 2)

train run 2 "${options[@]}" --debug.dump_plan
[ "$(ls run/memory_snapshot)" = iteration_2 ] || fail "snapshots: $(ls run/memory_snapshot)"
snapshot=run/memory_snapshot/iteration_2/rank0_memory_snapshot
# "arena bytes offset first last name" of each block, from the plan and from the snapshot.
sed -nE 's/^(activations|parameters|exchange|gradients) +([0-9]+) bytes at +([0-9]+)  #([0-9]+)\.\.#([0-9]+)  ([a-z_]+) ([^ ]+)( m([0-9]+))?$/\1 \2 \3 \4 \5 \6 of \7 \9/p' \
  run/plans/step.txt | sed -E 's/ ([0-9]+)$/, microbatch \1/; s/ $//' | sort >plan.txt
sed -nE 's/^ *\{"name": "([^"]*)", "arena": "([a-z]+)", "offset": ([0-9]+), "bytes": ([0-9]+), "first_action": ([0-9]+), "last_action": ([0-9]+)\},?$/\2 \4 \3 \5 \6 \1/p' \
  $snapshot.json | sort >snapshot.txt
[ "$(wc -l <plan.txt)" -gt 20 ] || fail "the plan has $(wc -l <plan.txt) blocks: $(ls run/plans)"
cmp plan.txt snapshot.txt || fail "other blocks: $(diff plan.txt snapshot.txt | head -n 5)"
[ "$(grep -c '<title>' $snapshot.svg)" = "$(grep -cvE '^[a-z]+ 0 ' plan.txt)" ] || fail "$(grep -c '<title>' $snapshot.svg) rectangles"
[ -s run/memory_snapshot/iteration_2/rank1_memory_snapshot.svg ] || fail "nothing of rank 1"
if command -v python3 >/dev/null; then
  python3 -c 'import json, sys, xml.dom.minidom; json.load(open(sys.argv[1] + ".json")); xml.dom.minidom.parse(sys.argv[1] + ".svg")' $snapshot ||
    fail "no JSON or no XML"
fi
[ -n "${TITAN_SANITIZE:-}" ] && finish
most=$(awk '{ if ($2 + $3 > most) most = $2 + $3 } END { print most }' plan.txt)
LD_PRELOAD=$no_memory NO_MEMORY=$((most / 2)) launch 1 "$TITAN" --job.config_file "$here/small.toml" --job.dump_folder none "${options[@]}" 2>none.log
[ $? = 5 ] || fail "without memory: $(tail -n 3 none.log)"
grep -q 'ERROR.*; what was to lie where is in the memory snapshot out_of_memory' none.log || fail "message: $(grep ERROR none.log)"
[ -s none/memory_snapshot/out_of_memory/rank0_memory_snapshot.svg ] || fail "no snapshot: $(ls -R none)"
finish
