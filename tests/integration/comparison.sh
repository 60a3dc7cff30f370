#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# compare_steps refuses what the other tests rely on it to refuse. Oracle: hand-written files, each with one fault.
#
# usage: comparison.sh PROGRAM COMPARE WORK
TITAN=$1 COMPARE=$2 WORK=$3
. "$(dirname "$0")/common.sh"

# verdict CODE ARGUMENTS...
verdict() {
  local wanted=$1
  shift
  "$COMPARE" "$@" 2>error
  local code=$?
  [ $code = "$wanted" ] || fail "compare_steps $* says $code, expected $wanted ($(cat error))"
}

printf '1 8.0 1.0\n2 7.0 2.0\n' >reference
printf '1 8.00001 1.0\n2 7.0 2.0\n' >close
printf '1 8.0 1.0\n2 7.0 2.1\n' >far
printf '1 8.0 1.0\n2 nan 2.0\n' >nan
printf '1 8.0 1.0\n2 7.0 inf\n' >infinite
printf '1 8.0 1.0\n' >short
printf '1 8.0 1.0\n2 7.0 2.0\n3 6.0 2.0\n' >long
printf '1 8.0 1.0\n3 7.0 2.0\n' >gap
printf '1 8.0 1.0\n2 7.0\n' >cut
printf '1 8.0 1.0\n2 8.5 2.0\n' >rising
: >empty
verdict 0 numbers 2 1e-5 reference reference
verdict 0 numbers 2 1e-5 reference close
verdict 1 numbers 2 1e-6 reference close
for file in far nan infinite short long gap cut empty nowhere; do
  verdict 1 numbers 2 1e-5 reference $file
  verdict 1 numbers 2 1e-5 $file reference
done
verdict 1 numbers 2 1e-5 nan nan
verdict 0 bitwise 2 reference reference
for file in close short long nan empty nowhere; do
  verdict 1 bitwise 2 reference $file
done
verdict 1 bitwise 2 nan nan
verdict 0 learns 2 8.1 0.15 reference
verdict 1 learns 2 8.2 0.15 reference
verdict 1 learns 2 8.0 0.15 rising
verdict 1 learns 2 8.0 0.15 nan
printf 'a.weight 0123456789abcdef\nb.weight fedcba9876543210\n' >weights
printf 'a.weight 0123456789abcdef\nb.weight fedcba9876543211\n' >other_weights
printf 'a.weight 0123456789abcdef\n' >fewer_weights
verdict 0 weights weights weights
for file in other_weights fewer_weights empty nowhere; do
  verdict 1 weights weights $file
  verdict 1 weights $file weights
done
verdict 1 weights empty empty
verdict 2 numbers 0 1e-5 reference reference
verdict 2 numbers reference reference
finish
