#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A rank that does not come to a collective ends the run: one message names it, the operation and the step, each rank that can writes its
# flight recorder, all processes are gone, and the code is 5. A rank that comes in time costs nothing. Oracle: what watchdog_role does by its
# argument. The times: a timeout of 2 s, with which a rank that dozes for 1 s is in time, and one that sleeps for 6 s is not.
#
# usage: watchdog.sh WATCHDOG_ROLE WORK MPIEXEC OPTIONS...
role_program=$1 work=$2
shift 2
launcher=("$@")
failures=0
rm -rf "$work"
mkdir -p "$work"
cd "$work" || exit 1
fail() {
  echo "FAILED: $*"
  failures=$((failures + 1))
}

# run ROLE CODE: the launcher's code must be CODE; its output is in ROLE.log.
run() {
  timeout -k 5 100 "${launcher[@]}" -np 4 "$role_program" "$1" 2 "$1" >"$1.log" 2>&1
  local code=$?
  [ $code = "$2" ] || fail "$1: code $code instead of $2: $(cat "$1.log")"
}
# says ROLE COUNT PATTERN
says() {
  [ "$(grep -cE -- "$3" "$1.log")" = "$2" ] || fail "$1: \"$3\" is not $2 times in $(cat "$1.log")"
}
# recorded ROLE RANKS...
recorded() {
  local role=$1 rank
  shift
  for rank in "$@"; do
    grep -q '"phase": "training", "step": 3, ' "$role/rank_$rank.json" || fail "$role: no record of rank $rank: $(ls "$role")"
    [ "$(grep -c '"number": ' "$role/rank_$rank.json")" -ge 4 ] || fail "$role: $(cat "$role/rank_$rank.json")"
    if command -v python3 >/dev/null; then
      python3 -c 'import json, sys; json.load(open(sys.argv[1]))' "$role/rank_$rank.json" || fail "$role: rank $rank writes no JSON"
    fi
  done
}

host=$(uname -n)
stack=', at [^;]*sleep[^;]* < [^;]*main\+0x' # of the rank that sleeps, the innermost function first
[ -n "${TITAN_SANITIZE:-}" ] && stack=
for role in nothing doze; do
  run $role 0
  says $role 0 ERROR
  [ -e $role ] && fail "$role: a recorder is written"
done
run stop 5
says stop 1 'ERROR'
says stop 1 "rank0\].*training, step 3: all_reduce #[0-9]+ of group world \(8 bytes a rank, 4 ranks from rank 0 on\) has kept rank [0-2] waiting .*seconds = 2\); rank 3 \(host $host, process [0-9]+\) does not answer: its process is stopped\. Every rank"
recorded stop 0 1 2
run first_stops 5
says first_stops 1 'ERROR'
says first_stops 1 "rank1\].*training, step 3: .* of group world .*; rank 0 \(host $host, process [0-9]+\) does not answer: its process is stopped\. Every rank"
recorded first_stops 1 2 3
run sleep 5
says sleep 1 'ERROR'
says sleep 1 "rank 3 \(host $host, process [0-9]+\) is late: for [0-9.]+ s it has been in training, step 3, forward of layers\.3, after [0-9]+ operations$stack"
recorded sleep 0 1 2 3
grep -q '"stack": "[^"]*sleep[^"]* < [^"]*main+0x' sleep/rank_3.json || [ -n "${TITAN_SANITIZE:-}" ] || fail "sleep: no stack: $(grep stack sleep/rank_3.json)"
run skip 5
says skip 1 'ERROR'
says skip 1 "all_reduce #.*ranks call different collectives: rank 3 \(host $host, process [0-9]+\) calls barrier #|barrier #.*ranks call different collectives: rank [0-2] .* calls all_reduce #"
run leave 5
says leave 1 'ERROR'
says leave 1 'no rank computes, and ranks wait for different operations; (rank 3 .* waits for barrier #[0-9]+ of group other|rank [0-2] .* waits for all_reduce #[0-9]+ of group world)'
run check 5
says check 1 'ERROR'
says check 1 'ranks call different collectives in group world of 4 ranks \(debug.check_collectives\): its rank 0 calls all_reduce of 1 elements, #[0-9]+, and its rank 3 calls barrier of 0 elements'
# A crash says where it was, and mpirun ends the others. Its code is that of the signal.
if [ -z "${TITAN_SANITIZE:-}" ]; then
  run crash 139
  says crash 1 "^\[rank3\]: crashed by SIGSEGV on host $host, process [0-9]+, in training, step 3, forward of layers\.3; it waited last for all_reduce #[0-9]+ of group world"
  says crash 1 'watchdog_role\(main\+0x'
fi
echo "$failures failed"
exit $((failures > 0))
