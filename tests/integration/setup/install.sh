#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Property: an installation in a folder with a space is complete: the programs start and keep the path of their libraries, manual pages and
# completions lie where they are looked for, and the module
# files of both kinds put that folder's programs into PATH. Oracle: exit codes; the library path of the programs as built; the Tcl
# file is evaluated by tclsh, the Lua file by lua, where they exist, with the modules system's own commands replaced by ones that print.
set -euo pipefail
build=$1 version=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
prefix="$folder/a prefix"
cmake --install "$build" --prefix "$prefix" >"$folder/log" || { cat "$folder/log"; exit 1; }
fail() { echo "$*"; exit 1; }

"$prefix/bin/titan-hpc" --version | grep -qF "$version" || fail "titan-hpc --version does not give $version"
"$prefix/bin/titan-tokenizer" info --model "$prefix/share/titan-hpc/assets/test_tokenizer.model" >/dev/null ||
  fail "the installed tokenizer cannot be read"
# Where a library lies in a folder of its own, the installed program looks for it there as the one in the build folder does.
runpath() { readelf -d "$1" | sed -n 's/.*(R[UN]*PATH).*\[\(.*\)\].*/\1/p' | tr ':' '\n' | sed '/^$/d' | sort; }
for program in titan-hpc titan-checkpoint titan-report; do
  [ "$(runpath "$build/$program")" = "$(runpath "$prefix/bin/$program")" ] ||
    fail "the installed $program has the library path $(runpath "$prefix/bin/$program"), the built one $(runpath "$build/$program")"
done
"$prefix/bin/titan-scaling" --help | grep -q 'usage: titan-scaling' || fail "titan-scaling is not installed"
for file in configs/debug_model.toml configs/cpu_node.toml assets/c4_test.jsonl.gz assets/c4_mini.jsonl.gz jobscripts/slurm/pretrain.sbatch jobscripts/slurm/array.sbatch jobscripts/slurm/scaling.sbatch jobscripts/pbs/pretrain.pbs jobscripts/pbs/array.pbs jobscripts/flux/pretrain.flux jobscripts/lsf/pretrain.lsf jobscripts/estimate.sh; do
  [ -f "$prefix/share/titan-hpc/$file" ] || fail "share/titan-hpc/$file is not installed"
done
find "$prefix/share/doc" -name dygraphs-LICENSE.txt | grep -q . || fail "the licence of dygraphs is not installed"
# Where man, bash-completion and zsh look, under the names by which they look.
for program in titan-hpc titan-checkpoint titan-report titan-tokenizer titan-corpus; do
  for file in man/man1/$program.1 bash-completion/completions/$program zsh/site-functions/_$program; do
    [ -s "$prefix/share/$file" ] || fail "share/$file is not installed"
  done
  grep -q "^complete -F .* $program\$" "$prefix/share/bash-completion/completions/$program" || fail "the completion of $program is of another"
done

modulefiles="$prefix/share/modulefiles/titan-hpc"
[ "$(head -c 8 "$modulefiles/$version")" = '#%Module' ] || fail "the Tcl module file lacks its first line"
if grep -n '@' "$modulefiles/$version" "$modulefiles/$version.lua"; then fail "the module files have gaps"; fi
expected="PATH=$prefix/bin
TITAN_HPC_ROOT=$prefix
TITAN_HPC_CONFIGS=$prefix/share/titan-hpc/configs
TITAN_HPC_JOBSCRIPTS=$prefix/share/titan-hpc/jobscripts"
if command -v tclsh >/dev/null; then
  cat >"$folder/run.tcl" <<'TCL'
proc module-whatis {text} {}
proc conflict {name} {}
proc prepend-path {name value} { puts "$name=$value" }
proc setenv {name value} { puts "$name=$value" }
source [lindex $argv 0]
TCL
  [ "$(tclsh "$folder/run.tcl" "$modulefiles/$version")" = "$expected" ] || fail "the Tcl module file sets other things"
fi
if command -v lua >/dev/null; then
  cat >"$folder/run.lua" <<'LUA'
local function nothing() end
help, whatis, conflict = nothing, nothing, nothing
function pathJoin(a, b) return a .. "/" .. b end
function setenv(name, value) print(name .. "=" .. value) end
prepend_path = setenv
dofile(arg[1])
LUA
  [ "$(lua "$folder/run.lua" "$modulefiles/$version.lua")" = "$expected" ] || fail "the Lua module file sets other things"
fi
