#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Property: the recipes of Spack, EasyBuild and Apptainer parse, have the program's version, ask for what quickstart asks for, and turn on options
# that exist; the image is made by the Containerfile's steps; the examples of module files set what the installed ones set. Oracles: python's
# parser, tclsh and lua where they are; quickstart's own list; the Containerfile.
#
# usage: recipes.sh SOURCE VERSION
set -euo pipefail
cd "$1"
version=$2
fail() {
  echo "FAILED: $*"
  exit 1
}
spack=packaging/spack/package.py easybuild=packaging/easybuild/titan-hpc-$version-foss-2024a.eb apptainer=packaging/apptainer/titan-hpc.def
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

for file in $spack $easybuild $apptainer; do [ -f "$file" ] || fail "$file is missing"; done
if command -v python3 >/dev/null; then
  PYTHONPYCACHEPREFIX=$folder python3 -m py_compile $spack || fail "$spack is no Python"
  python3 - "$easybuild" <<'PYTHON' || fail "$easybuild does not read"
import sys
given = {"SOURCE_TAR_GZ": "%(name)s-%(version)s.tar.gz"}
exec(compile(open(sys.argv[1]).read(), sys.argv[1], "exec"), given)
missing = [name for name in ("easyblock", "name", "version", "homepage", "description", "toolchain", "moduleclass") if name not in given]
assert not missing, missing
assert all(len(entry) >= 2 for entry in given["dependencies"] + given["builddependencies"])
PYTHON
fi
grep -qF "version(\"$version\")" $spack || fail "$spack has another version"
grep -qxF "version = '$version'" "$easybuild" || fail "$easybuild has another version"

# Options of cmake that the recipes name.
for option in $(grep -ohE 'TITAN_(TESTS|BENCHMARKS|[A-Z]+_CHECKS)[A-Z_]*' $spack "$easybuild" | sort -u); do
  grep -q "^option($option " CMakeLists.txt || fail "there is no option $option"
done

# What quickstart asks for by Spack's names, on a machine that lacks everything.
mkdir "$folder/bin"
for tool in bash cat cut dirname head id printf readlink sed tr; do ln -s "$(command -v "$tool")" "$folder/bin/$tool"; done
PATH=$folder/bin CMAKE_PREFIX_PATH='' bash quickstart build >"$folder/out" 2>&1 || true
sed -n 's/^ *spack install \(.*\) && spack load.*/\1/p' "$folder/out" | tr ' ' '\n' | sed '/^$/d; s/[@+].*//' | sort -u >"$folder/wanted"
[ "$(wc -l <"$folder/wanted")" -gt 8 ] || fail "quickstart names only $(cat "$folder/wanted")"
# The compiler, MPI and zlib have names of their own in a recipe.
sed 's/^gcc$/c/; s/^openmpi$/mpi/; s/^zlib$/zlib-api/' "$folder/wanted" | sort >"$folder/spack.wanted"
sed -n 's/^    depends_on("\([^"]*\)".*/\1/p' $spack | grep -v '^\(cxx\|cmocka\|pcre2\)$' | sed 's/[@+].*//' | sort >"$folder/spack"
diff "$folder/spack.wanted" "$folder/spack" || fail "packages of quickstart (<) and of $spack (>)"
sed -e '/^\(gcc\|openmpi\)$/d' "$folder/wanted" | sort >"$folder/easybuild.wanted"
sed -n "s/^    ('\([^']*\)', .*/\1/p" "$easybuild" | tr '[:upper:]' '[:lower:]' | sort >"$folder/easybuild"
diff "$folder/easybuild.wanted" "$folder/easybuild" || fail "packages of quickstart (<) and of $easybuild (>)"

# The image's steps are the Containerfile's.
steps() { tr -s ' ' <"$1" | sed 's/^ //' | sed -e ':join' -e '/\\$/N; s/ *\\\n */ /; t join' | tr -s ' '; }
steps Containerfile | sed -n 's/^RUN //p' | grep -v useradd >"$folder/container"
steps $apptainer | sed -n '/^%post/,/^%environment/p' | grep -v '^\(%.*\|rm -rf [^&]*build\|\)$' >"$folder/post"
[ "$(wc -l <"$folder/container")" = 2 ] || fail "the Containerfile has other steps: $(cat "$folder/container")"
diff "$folder/container" "$folder/post" || fail "steps of the Containerfile (<) and of $apptainer (>)"
[ "$(sed -n 's/^FROM \(debian.*\) AS .*/\1/p' Containerfile)" = "$(sed -n 's/^From: //p' $apptainer)" ] || fail "another system"
[ "$(sed -n 's/^ENV //p' Containerfile)" = "$(sed -n 's/^ *export //p' $apptainer)" ] || fail "another environment"
sed -n '/^%runscript/,/^%test/p' $apptainer | sed '1d;$d' | bash -n || fail "%runscript is no script"
command -v apptainer >/dev/null || echo "apptainer is not there: the image is not built"

# The examples of module files.
expected="PATH=ROOT/bin
TITAN_HPC_ROOT=ROOT
TITAN_HPC_CONFIGS=ROOT/share/titan-hpc/configs
TITAN_HPC_JOBSCRIPTS=ROOT/share/titan-hpc/jobscripts"
if command -v lua >/dev/null; then
  cat >"$folder/run.lua" <<'LUA'
local function nothing() end
help, whatis, conflict, depends_on = nothing, nothing, nothing, nothing
function pathJoin(a, b) return a .. "/" .. b end
function setenv(name, value) print(name .. "=" .. value) end
prepend_path = setenv
dofile(arg[1])
LUA
  for file in modules/examples/*.lua; do
    [ "$(lua "$folder/run.lua" "$file" | grep '^PATH\|^TITAN_HPC' | sed 's|/apps/titan-hpc/0.1.0|ROOT|')" = "$expected" ] || fail "$file sets other things"
  done
fi
if command -v tclsh >/dev/null; then
  cat >"$folder/run.tcl" <<'TCL'
proc module-whatis {text} {}
proc conflict {name} {}
proc prepend-path {name value} { puts "$name=$value" }
proc setenv {name value} { puts "$name=$value" }
source [lindex $argv 0]
TCL
  [ "$(HOME=ROOT tclsh "$folder/run.tcl" modules/examples/laptop.tcl | grep '^PATH\|^TITAN_HPC' | sed 's|ROOT/titan-hpc/|ROOT/|; s|ROOT/titan-hpc$|ROOT|')" = "$expected" ] ||
    fail "laptop.tcl sets other things: $(HOME=ROOT tclsh "$folder/run.tcl" modules/examples/laptop.tcl)"
fi
