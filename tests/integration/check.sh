#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# titan-hpc --check: the tables have each rank, link and group of the mesh; what was made slow is named; a rank that is stopped ends the
# check as it ends a run. Oracle: the mesh's groups, written out here, and slow_shim.c, which makes one rank or link many times
# slower than it is. Other measurements of a busy machine may stand out too, so no test expects that none does.
#
# usage: check.sh PROGRAM COMPARE WORK PART [SHIM | PLUGIN]
TITAN=$1 COMPARE=$2 WORK=$3
part=$4 library=${5:-}
. "$(dirname "$0")/common.sh"

# checked NAME RANKS OPTIONS...: a check that ends well, with its output in NAME.out and its log in NAME.log.
checked() {
  local name=$1 ranks=$2 code
  shift 2
  launch "$ranks" "$TITAN" --check --job.dump_folder "$name" "$@" >"$name.out" 2>"$name.log"
  code=$?
  [ $code = 0 ] || fail "$name: code $code: $(tail -n 5 "$name.log")"
  [ "$(grep -c ' ERROR ' "$name.log")" = 0 ] || fail "$name: $(grep ' ERROR ' "$name.log")"
  [ ! -e "$name" ] || fail "$name: a check made a dump folder"
}

# has NAME COUNT PATTERN: so many lines of the output match as a whole.
has() {
  local count
  count=$(grep -cxE -- "$3" "$1.out")
  [ "$count" = "$2" ] || fail "$1: $count lines \"$3\", expected $2: $(cat "$1.out")"
}

host=$(uname -n)
number='[0-9.]*[1-9][0-9.]*(e[-+][0-9]+)?' # not 0
slow='(  slow: .*)?'

# has_rows NAME RANKS LINKS RATES: a row for each rank, with so many rates, and each link.
has_rows() {
  local name=$1 ranks=$2 links=$3 rates=$4 rank rate=''
  while [ $((rates--)) -gt 0 ]; do rate="$rate +$number"; done
  for ((rank = 0; rank < ranks; rank++)); do
    has "$name" 1 " *$rank  $host *$rate$slow"
    [ "$rank" -ge "$links" ] || has "$name" 1 " *$rank - +$(((rank + 1) % ranks))  $host +$host +$number +$number$slow"
  done
  has "$name" "$ranks" " *[0-9]+  $host.*"
  has "$name" "$links" ' *[0-9]+ - +[0-9]+ .*'
}

# has_group NAME GROUP SIZE ALSO FIRST...: a row for each group of this kind, and no other.
has_group() {
  local name=$1 group=$2 size=$3 also=$4 first
  shift 4
  for first in "$@"; do
    has "$name" 1 "$group +$first +$size( +$number){6}${also:+  also $also}$slow"
  done
  has "$name" $# "$group .*"
}

# The end: it agrees with the warnings of the log.
has_end() {
  local warnings
  warnings=$(grep -c ' WARNING .* times slower than the ' "$1.log")
  if [ "$warnings" = 0 ]; then
    has "$1" 1 'Nothing is more than 1.5 times slower than the median of the others'
  else
    has "$1" 1 "$warnings measurements? (is|are) more than 1.5 times slower than the median of the others"
  fi
}

tables() {
  checked one 1
  has_rows one 1 0 3
  has_end one
  ! grep -q '^group\|link' one.out || fail "one: links or groups of one rank"
  checked two 2
  has_rows two 2 1 3
  has_group two world 2 'dp_shard_cp, dp, dp_cp, dp_shard' 0
  has two 2 '(group|world) .*'
  has_end two
  checked eight 8 --training.tensor_parallel_degree 2 --training.data_parallel_replicate_degree 2
  has_rows eight 8 8 3
  has_group eight world 8 '' 0
  has_group eight dp_shard_cp 2 dp_shard 0 1 4 5
  has_group eight dp_replicate 2 '' 0 1 2 3
  has_group eight tp 2 '' 0 2 4 6
  has_group eight dp 4 dp_cp 0 1
  has_end eight
}

# Three ranks have three links, the last of which leads back to rank 0.
json() {
  local place="\"ranks\": \\[[0-2]\\], \"hosts\": \\[\"$host\"\\]" places="\"hosts\": \\[\"$host\", \"$host\"\\]" rank count
  checked lines 3 --metrics.log_format json
  for rank in 0 1 2; do
    has lines 1 "\{\"check\": \"rank\", \"ranks\": \\[$rank\\], \"hosts\": \\[\"$host\"\\], \"float32_flops\": $number, \"bfloat16_flops\": $number, \"copy\": $number\}"
    has lines 1 "\{\"check\": \"link\", \"ranks\": \\[$rank, $(((rank + 1) % 3))\\], $places, \"latency\": $number, \"bandwidth\": $number\}"
  done
  has lines 1 "\{\"check\": \"group\", \"group\": \"world\", \"also\": \"dp_shard_cp, dp, dp_cp, dp_shard\", \"first_rank\": 0, \"size\": 3, \"bytes_per_rank\": [0-9]+, \"all_reduce_latency\": $number, \"all_gather\": $number, \"all_gather_bus_bandwidth\": $number, \"reduce_scatter\": $number, \"reduce_scatter_bus_bandwidth\": $number\}"
  count=$(grep -c '^{"check": "slow", ' lines.out)
  has lines "$count" "\{\"check\": \"slow\", \"what\": \"(rank\", $place|link\", \"ranks\": \\[[0-2], [0-2]\\], $places), \"measured\": \"[-a-z0-9_ ]+\", \"unit\": \"(GB|TFLOP)/s\", \"value\": $number, \"median_of_others\": $number, \"times_slower\": $number\}"
  has lines 1 "\{\"check\": \"end\", \"ranks\": 3, \"slow\": $count, \"factor\": 1.5\}"
  [ "$(wc -l <lines.out)" = $((3 + 3 + 1 + count + 1)) ] || fail "lines: $(cat lines.out)"
}

apart() {
  export TITAN_CUDA_PLUGIN=$library
  checked apart_one 1
  has_rows apart_one 1 0 4
  checked apart 4 --experimental.pipeline_parallel_degree 2
  grep -q 'memory apart' apart.log || fail "the apart device was not used"
  has apart 1 ' *rank  host .* host to device GB/s'
  has_rows apart 4 4 4
  has_group apart world 4 '' 0
  has_group apart dp_shard_cp 2 'dp, dp_cp, dp_shard' 0 2
  has_group apart pp 2 '' 0 1
  has_end apart
}

# named NAME TEXT: in a warning of the log.
named() {
  grep -qE " - WARNING - $2, [0-9.]+ times slower than the median of the others, " "$1.log" || fail "$1: no warning of $2: $(grep WARNING "$1.log")"
}

slow_ones() {
  local dtype
  LD_PRELOAD=$library SLOW_RANK=2 checked slow_rank 4
  for dtype in float32 bfloat16; do
    named slow_rank "rank 2 \(host $host\): $dtype product [0-9.e-]+ TFLOP/s"
  done
  has slow_rank 1 ' *2  .*  slow: float32 product, bfloat16 product.*'
  has_end slow_rank
  LD_PRELOAD=$library SLOW_LINK=1 checked slow_link 4
  named slow_link "link from rank 1 \(host $host\) to rank 2 \(host $host\): ping-pong in a node [0-9.e-]+ GB/s"
  has slow_link 1 ' *1 - +2 .*  slow: ping-pong in a node'
  has_end slow_link
}

stopped() {
  local code
  LD_PRELOAD=$library STOPPED_RANK=1 launch 3 "$TITAN" --check --job.dump_folder stopped --comm.init_timeout_seconds 30 >stopped.out 2>stopped.log
  code=$?
  [ $code = 5 ] || fail "stopped: code $code instead of 5: $(tail -n 5 stopped.log)"
  [ "$(grep -c ' ERROR ' stopped.log)" = 1 ] || fail "stopped: $(grep ' ERROR ' stopped.log)"
  grep -qE "ERROR - check: .* \(comm.init_timeout_seconds = 30\); rank 1 \(host $host, process [0-9]+\) does not answer: its process is stopped" stopped.log ||
    fail "stopped: $(grep ' ERROR ' stopped.log)"
  [ ! -s stopped.out ] || fail "stopped: there is output"
}

# refused TEXT RANKS ARGUMENTS...: code 2, one message with the text, and no output.
refused() {
  local text=$1 ranks=$2 code
  shift 2
  launch "$ranks" "$TITAN" "$@" >refused.out 2>refused.log
  code=$?
  [ $code = 2 ] || fail "$*: code $code instead of 2"
  [ "$(grep -c ' ERROR ' refused.log)" = 1 ] || fail "$*: $(grep -c ' ERROR ' refused.log) errors"
  grep -qF -- "$text" refused.log || fail "$*: no \"$text\": $(grep ERROR refused.log)"
  [ ! -s refused.out ] || fail "$*: there is output"
}

refusals() {
  refused 'command line: --check: expected no value, got "yes"' 1 --check yes
  refused 'command line: --check: expected no value, got "1"' 2 --training.steps 3 --check=1
  refused 'command line: --check: expected no value, got ""' 1 --check=
  refused 'memory_estimation.enabled = true (command line)' 1 --check --memory_estimation.enabled
  refused 'training.tensor_parallel_degree = 4 (command line)' 2 --check --training.tensor_parallel_degree 4
  refused 'training.data_parallel_shard_degree = 3 (command line)' 2 --training.data_parallel_shard_degree 3 --check
  refused 'training.stepz' 1 --check --training.stepz 3
}

run_part "$part"
finish
