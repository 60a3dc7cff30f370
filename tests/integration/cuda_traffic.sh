#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What goes over NCCL in a step is what the plan says: the operations that the stand-in (tests/cuda_emulator) has recorded, by group, kind
# and bytes, are those of the step's list and of the plans (debug.dump_plan). Buffers of gathers and reductions are registered, and lie in
# streams of their own. Tolerance: none.
#
# usage: cuda_traffic.sh PROGRAM COMPARE WORK PLUGIN shards|replicas|tensor|pipeline|buffers
TITAN=$1 COMPARE=$2 WORK=$3 PLUGIN=$4
. "$(dirname "$0")/common.sh"
run_timeout=900
same=(--training.steps 1 --training.warmup_steps 1 --training.seq_len 16 --job.device cuda --comm.gpu_transport nccl --debug.dump_plan)

# recorded NAME RANKS OPTIONS...: one step; NAME.record.0 has the operations of rank 0, and rank 0 wrote its plans.
recorded() {
  local name=$1 ranks=$2
  shift 2
  TITAN_EMULATED_GPUS=$ranks TITAN_EMULATED_NCCL_RECORD=$WORK/$name.record TITAN_CUDA_PLUGIN=$PLUGIN train "$name" "$ranks" "${same[@]}" "$@"
}

# in_record NAME GROUP KIND: operations and their bytes, over communicators of the group that also gather, reduce or send.
in_record() {
  awk -v group="$2" -v kind="$3" '$2 == group { if ($1 == kind) { count[$3]++; bytes[$3] += $5 } if ($1 != "all_reduce" && $1 != "broadcast") main[$3] = 1 }
    END { for (c in count) if (c in main || group == "dp_replicate") { operations += count[c]; sum += bytes[c] } print operations + 0, sum + 0 }' "$1.record.0"
}

# in_list NAME ACTION BLOCK PART: actions of the list, and the bytes of their blocks times PART.
in_list() {
  awk -v action="$2" -v block="$3" -v part="$4" '/^#/ && $2 == action { list[++count] = $3 (block == "input" ? " " $4 : "") }
    !/^#/ && ($7 == block || (block == "input" && $7 == "input_gradient")) { bytes[$8 (block == "input" ? " " $7 : "")] = $2 }
    END { for (i = 1; i <= count; i++) sum += bytes[list[i]] * part; print count + 0, sum + 0 }' "$1/plans/step.txt"
}

# in_plans NAME KIND: bytes over tp in the phases that the RUNs of the list run.
in_plans() {
  awk -v kind="$2" '
    FNR == 1 { split(FILENAME, parts, "/"); plan = parts[length(parts)]; sub(/\.txt/, "", plan) }
    plan == "step" && /^#/ && $2 == "RUN" { unit = $3; if (unit ~ /^layers/) unit = "block"; runs[unit " forward"] += $4 ~ /forward/; runs[unit " backward"] += $4 == "backward" }
    /^(forward|backward): [0-9]+ instructions/ { phase = $1; sub(/:/, "", phase) }
    /^transfers over tp: / { gsub(/,/, ""); bytes["all_gather"] = $5; bytes["reduce_scatter"] = $7; bytes["all_reduce"] = $9; sum += bytes[kind] * runs[plan " " phase] }
    END { print sum + 0 }' "$1/plans/step.txt" "$1/plans/embedding.txt" "$1/plans/block.txt" "$1/plans/head.txt"
}

# expect NAME WHAT RECORDED PLANNED: two texts that are alike, and are more than nothing.
expect() {
  echo "$1: $2: $3"
  [ "$3" = "$4" ] || fail "$1: $2: over NCCL go \"$3\", the plan has \"$4\""
  [ "${3##* }" -gt 0 ] || fail "$1: $2: nothing goes over NCCL"
}

shards_of() {
  expect "$1" "gathers, bytes" "$(in_record "$1" dp_shard_cp all_gather)" "$(in_list "$1" GATHER gathered 0.5)"
  expect "$1" "reductions, bytes" "$(in_record "$1" dp_shard_cp reduce_scatter)" "$(in_list "$1" REDUCE gradients 0.5)"
  awk '$2 == "dp_shard_cp" && $6 != "registered" { exit 1 }' "$1.record.0" || fail "$1: a buffer is not registered"
  [ "$(awk '$2 == "dp_shard_cp" { print $1, $3, $4 }' "$1.record.0" | sort -u | wc -l)" = 2 ] || fail "$1: not one communicator and stream a kind"
  [ "$(awk '$2 == "dp_shard_cp" { print $4 }' "$1.record.0" | sort -u | wc -l)" = 2 ] || fail "$1: gathers and reductions share a stream"
}

shards() { recorded fsdp 2 && shards_of fsdp; }
# Sums over replicas go in buckets: their number is not that of the list.
replicas() {
  local whole
  recorded hsdp 4 --training.data_parallel_replicate_degree 2 --training.data_parallel_shard_degree 2 && shards_of hsdp
  expect hsdp "sums over replicas, bytes" "$(in_record hsdp dp_replicate all_reduce | cut -d ' ' -f 2)" "$(in_list hsdp REDUCE gradients 0.5 | cut -d ' ' -f 2)"
  recorded ddp 2 --training.data_parallel_replicate_degree 2 --training.data_parallel_shard_degree 1
  whole=$(sed -n 's/^plan .* \([0-9]*\) elements of parameters/\1/p' ddp/plans/{embedding,head,block}.txt | awk '{ sum += NR == 3 ? 8 * $1 : $1 } END { print 4 * sum }')
  expect ddp "sums over replicas, bytes" "$(in_record ddp dp_replicate all_reduce | cut -d ' ' -f 2)" "$whole"
  awk '$2 == "dp_replicate" && $6 != "registered" { exit 1 }' ddp.record.0 || fail "ddp: a buffer is not registered"
}
# in_chunks NAME RANKS gathers|sums: bytes that rank 0 receives in chunks, of gathers or of sums; what is out of order ends the count.
# Of p ranks, rank 0 sends in step s of a gather to rank p - s and receives from rank s; of a sum, it sends to s and receives from p - s.
in_chunks() {
  awk -v ranks="$2" -v kind="$3" '$2 == "tp" && ($1 == "send" || $1 == "recv") {
      step = int(n / 2) % (ranks - 1) + 1
      if (n % (2 * (ranks - 1)) == 0) sums = $7 == 1
      if ($1 != (n % 2 ? "recv" : "send") || $7 != (($1 == "send") == sums ? step : ranks - step)) { bytes = "out of order in line " NR; exit }
      if ($1 == "recv" && sums == (kind == "sums")) bytes += $5
      n++
    } END { print bytes }' "$1.record.0"
}

plus() { echo $(($1 + $2)); }
tensor() {
  local kind ranks=4 gathers sums
  recorded tp 2 --training.tensor_parallel_degree 2
  for kind in all_gather reduce_scatter all_reduce; do
    expect tp "$kind, bytes" "$(in_record tp tp $kind | cut -d ' ' -f 2)" "$(in_plans tp $kind)"
  done
  # Asynchronous: gathers and sums go chunk by chunk.
  recorded async $ranks --training.tensor_parallel_degree $ranks --training.compile --experimental.enable_async_tensor_parallel
  gathers=$(in_chunks async $ranks gathers) sums=$(in_chunks async $ranks sums)
  echo "async: received in chunks of gathers: $gathers, of sums: $sums"
  [[ $gathers =~ ^[1-9][0-9]*$ ]] && [[ $sums =~ ^[1-9][0-9]*$ ]] || fail "async: no chunks, or another order of them"
  expect async "gathers, bytes" "$(plus "$gathers" "$(in_record async tp all_gather | cut -d ' ' -f 2)")" "$(in_plans async all_gather)"
  expect async "sums, bytes" "$(plus "$sums" "$(in_record async tp reduce_scatter | cut -d ' ' -f 2)")" "$(in_plans async reduce_scatter)"
  expect async "all_reduce, bytes" "$(in_record async tp all_reduce | cut -d ' ' -f 2)" "$(in_plans async all_reduce)"
  [ "$(awk '$2 == "tp" && ($1 == "send" || $1 == "recv") { print $3, $4 }' async.record.0 | sort -u | wc -l)" = 1 ] ||
    fail "async: chunks do not go over one communicator and stream"
}
pipeline() {
  recorded pp 2 --experimental.pipeline_parallel_degree 2 --experimental.pipeline_parallel_schedule Interleaved1F1B
  expect pp "sends, bytes" "$(in_record pp pp send)" "$(in_list pp SEND input 1)"
  expect pp "receives, bytes" "$(in_record pp pp recv)" "$(in_list pp RECV input 1)"
  [ "$(awk '$1 == "send" || $1 == "recv" { print $1, $3, $4 }' pp.record.0 | sort -u | wc -l)" = 2 ] || fail "pp: not one communicator and stream a direction"
}

# Versions without windows register by handle, older ones not at all; what NCCL refuses is told once.
buffers() {
  TITAN_EMULATED_NCCL_WITHOUT=ncclCommWindowRegister recorded handles 2 && shards_of handles
  TITAN_EMULATED_NCCL_WITHOUT="ncclCommWindowRegister ncclCommRegister ncclMemAlloc" recorded none 2
  ! grep -q registered none.record.0 || fail "none: a buffer is registered"
  TITAN_EMULATED_NCCL_FAULT=register:0:0 recorded refused 2
  [ "$(grep -c 'INFO - NCCL registers no buffers of group dp_shard_cp, and copies them: NCCL: ' refused.log)" = 1 ] || fail "refused: not one line about it"
}

run_part "$5"
finish
