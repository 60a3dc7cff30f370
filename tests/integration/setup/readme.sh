#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Property: the commands of README.md, in their order, work in a fresh clone, with libraries in a private prefix of which only the
# build is told; what they install then runs for another user with a bare environment. Oracle: exit codes, and the folders
# from which the installed programs load their libraries.
#
# Left out: `./quickstart test`. Runs get fewer steps and shorter sequences. Stand-ins: `module` reads the Tcl module file, `sbatch` runs
# its script, whose `srun` runs one rank; what is too large for this machine is only estimated. /data is a folder of the test.
#
# TITAN_PRIVATE_PREFIX names a prefix that has libraries already; unless it is set, some of this system's are copied into one.
#
# usage: readme.sh SOURCE
set -euo pipefail
source=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
fail() {
  echo "FAILED: $*"
  exit 1
}
export HOME=$folder/home OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
private=${TITAN_PRIVATE_PREFIX:-$HOME/private}
mkdir -p "$HOME" "$folder/bin"
git -c safe.directory='*' clone -q "$source" "$folder/clone"

# A copy of each library in the private prefix, as Spack would have it.
copy_libraries() {
  local module name dnnl header
  mkdir -p "$private/lib/pkgconfig" "$private/include"
  for module in libconfig libxxhash jansson hwloc; do
    name=$(pkg-config --libs-only-l $module | sed 's/-l\([^ ]*\).*/\1/')
    cp -a "$(pkg-config --variable=libdir $module)/lib$name".so* "$private/lib/"
    printf 'Name: %s\nDescription: a copy\nVersion: %s\nLibs: -L%s -l%s\n' $module "$(pkg-config --modversion $module)" "$private/lib" "$name" \
      >"$private/lib/pkgconfig/$module.pc"
  done
  dnnl=$(ldconfig -p | sed -n 's/.*libdnnl\.so .*=> //p' | head -n 1)
  [ -n "$dnnl" ] || fail "no oneDNN to copy"
  cp -a "${dnnl%/*}"/libdnnl.so* "$private/lib/"
  header=$(echo '#include <dnnl.h>' | cc -E - | sed -n 's/^# 1 "\(.*\)\/dnnl\.h".*/\1/p' | head -n 1)
  cp -a "$header"/dnnl*.h "$header/oneapi" "$private/include/"
}
[ -n "${TITAN_PRIVATE_PREFIX:-}" ] || copy_libraries
export CMAKE_PREFIX_PATH=$private PKG_CONFIG_PATH=$private/lib/pkgconfig

cat >"$folder/bin/sbatch" <<'SCRIPT'
#!/bin/bash
name=${1#--job-name=}
shift
bash -n "$1" && SLURM_JOB_ID=1 SLURM_JOB_NAME=$name exec bash "$@" $SHORT
SCRIPT
cat >"$folder/bin/srun" <<'SCRIPT'
#!/bin/bash
[ "$*" != --mpi=list ] || { echo pmix && exit; }
while [ "${1:0:2}" = -- ]; do shift; done
case "$*" in
*llama3_8b*) exec "$@" --memory_estimation.enabled --memory_estimation.world_size 64 ;;
*) exec "${@/#--checkpoint.enable_checkpoint/--checkpoint.enable_checkpoint=false}" ;; # no gigabytes
esac
SCRIPT
chmod +x "$folder/bin/"*
export PATH=$folder/bin:$PATH
export SHORT='--training.steps=2 --training.batch_size=1 --training.seq_len=64 --training.warmup_steps=1'

# module use FOLDER, module load NAME: what the newest Tcl module file sets.
module() {
  case $1 in
  use) modules=$2 ;;
  load)
    local file root
    file=$(find "$modules/$2" -type f ! -name '*.lua' | sort -V | tail -n 1)
    root=$(sed -n 's/^set root {\(.*\)}/\1/p' "$file")
    # shellcheck disable=SC2016 # sed is to see $root
    eval "$(sed -n -e "s|\$root|$root|" -e 's/^setenv \([A-Z_]*\) \(.*\)/export \1="\2"/p' -e 's/^prepend-path PATH \(.*\)/PATH="\1:$PATH"/p' "$file")"
    ;;
  *) return 1 ;;
  esac
}

# The lines of README's blocks of commands, joined where they go on, without comments.
commands=$(awk '/^```sh$/ { inside = 1; next } /^```$/ { inside = 0 } inside' "$folder/clone/README.md" |
  sed -e 's/ *# .*$//' -e ':join' -e '/\\$/ { N; s/ *\\\n */ /; b join }' | sed 's/ *# .*$//')
[ "$(wc -l <<<"$commands")" -ge 10 ] || fail "README.md has only these commands: $commands"
cd "$folder/clone"
while IFS= read -r line; do
  case $line in
  './quickstart test'*) continue ;;
  *memory_estimation* | *sbatch*) ;;
  *titan-hpc*--job.config_file*) line="$line $SHORT" ;;
  esac
  line=${line//\/data\//$folder/data/}
  echo "==> $line"
  code=0
  eval "$line" >"$folder/log" 2>&1 </dev/null || code=$?
  [ "$code" = 0 ] || { tail -n 30 "$folder/log"; fail "code $code: $line"; }
  # What the later commands name: a corpus and a tokenizer of the user's own.
  if [ ! -e "$folder/data" ] && [ -e build/release/assets/test_tokenizer.model ]; then
    mkdir -p "$folder/data/c4"
    cp build/release/assets/c4_test.jsonl.gz "$folder/data/c4/"
    cp build/release/assets/test_tokenizer.model "$folder/data/tokenizer.model"
  fi
done <<<"$commands"
[ -s outputs/quickstart/metrics.h5 ] || fail "quickstart has left no numbers"
[ -s outputs/first/metrics.h5 ] || fail "the batch job has left no numbers"

# The installed programs load the private libraries, though nothing names them any more.
installed=$HOME/titan-hpc
chmod -R go+rX "$folder"
for program in "$installed"/bin/*; do
  readelf -h "$program" >/dev/null 2>&1 || continue # a script
  env -i ldd "$program" >"$folder/log"
  for library in $(readelf -d "$program" | sed -n 's/.*NEEDED.*\[\(lib\(config\|xxhash\|jansson\|hwloc\|dnnl\)\.so[^]]*\)\].*/\1/p'); do
    [ ! -e "$private/lib/$library" ] || grep -qF "$library => $private/lib/" "$folder/log" || fail "$program does not take $library from $private: $(cat "$folder/log")"
  done
done
env -i ldd "$installed/bin/titan-hpc" | grep -q "libdnnl.*$private/lib/" || fail "titan-hpc does not take oneDNN from $private"
run=(env -i PATH=/usr/bin:/bin HOME=/tmp)
if [ "$(id -u)" = 0 ]; then run=(setpriv --reuid=65534 --regid=65534 --clear-groups "${run[@]}"); fi
mkdir -m 777 "$folder/another"
cd "$folder/another"
"${run[@]}" "$installed/bin/titan-hpc" --version >/dev/null || fail "titan-hpc does not start for another user"
# shellcheck disable=SC2086 # options are words
"${run[@]}" "$installed/bin/titan-hpc" --job.config_file "$installed/share/titan-hpc/configs/debug_model.toml" $SHORT >"$folder/log" 2>&1 ||
  { tail -n 30 "$folder/log"; fail "another user cannot train"; }
for program in titan-checkpoint titan-report titan-tokenizer titan-corpus; do
  "${run[@]}" "$installed/bin/$program" --help >/dev/null || fail "$program does not start for another user"
done
echo "all of README's commands work"
