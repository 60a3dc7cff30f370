#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Property: a file of src/ includes headers of its own folder, and of folders that stand in an earlier line of src/folders.txt; every folder
# of src/ is in that list; docs/architecture.md names the folders in the same order.
#
# usage: include_order.sh ROOT
set -euo pipefail
export LC_ALL=C
cd "$1"
list=src/folders.txt
failed=0
fail() {
  echo "$*"
  failed=1
}

find src -type f \( -name '*.c' -o -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' -o -name '*.def' \) -print0 | LC_ALL=C sort -z |
  xargs -0 grep -HnE '^[ \t]*#[ \t]*include[ \t]*"' | awk -v list=$list '
    BEGIN {
      while ((getline line < list) > 0)
        if (line !~ /^#/) {
          count = split(line, names, " ")
          level++
          for (i = 1; i <= count; i++) place[names[i]] = level
        }
    }
    {
      split($0, halves, "\"")
      split($0, at, ":")
      split(at[1], parts, "/")
      split(halves[2], header, "/")
      from = parts[2]; to = header[1]
      if (!(to in place))
        problem = "includes \"" halves[2] "\", which is in no folder of " list
      else if (!(from in place) || (from != to && place[to] >= place[from]))
        problem = from "/ includes " to "/, which does not stand in an earlier line of " list
      else
        next
      print at[1] ":" at[2] ": " problem
      found = 1
    }
    END { exit found }' || failed=1

for folder in src/*/; do
  folder=$(basename "$folder")
  grep -qE "^([a-z_ ]* )?$folder( [a-z_ ]*)?\$" $list || fail "src/$folder is not in $list"
  grep -qE "^      $folder/ " docs/architecture.md || fail "docs/architecture.md does not say what src/$folder holds"
done
order=$(grep '^[a-z]' $list | sed 's/ /, /g' | tr '\n' '<' | sed -e 's/<$//' -e 's/</ < /g')
grep -qF "Includes point downwards only: $order." docs/architecture.md ||
  fail "docs/architecture.md does not give the order of $list: $order"
exit $failed
