#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# found.sh TEXT COMMAND...: fails unless the command, a test, fails and says the text.
wanted=$1
shift
said=$("$@" 2>&1)
code=$?
if [ "$code" -ne 1 ]; then
  printf '%s\n' "$said"
  echo "FAILED: exit code $code, expected 1: a test that finds the mistake"
  exit 1
fi
case $said in
*"$wanted"*) exit 0 ;;
esac
printf '%s\n' "$said"
echo "FAILED: the test says nothing of \"$wanted\""
exit 1
