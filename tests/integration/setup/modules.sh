#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Property: with a real modules system (Lmod, Environment Modules; each that is installed) the module of an installation loads, tells about itself, and leaves
# nothing in the environment when it is unloaded; another user trains with it from a folder of their own while nobody can write to the prefix.
# Oracle: the variables, exit codes. Exit code 77 where there is no modules system.
set -euo pipefail
build=$1 version=$2
found=()
for init in /usr/share/lmod/lmod/init/bash /usr/share/modules/init/bash "${LMOD_PKG:-/none}/init/bash" "${MODULESHOME:-/none}/init/bash"; do
  [ -r "$init" ] && [[ " ${found[*]-} " != *" $init "* ]] && found+=("$init")
done
[ "${#found[@]}" -gt 0 ] || { echo "no modules system is installed (Debian: lmod, environment-modules)"; exit 77; }
folder=$(mktemp -d)
trap 'chmod -R u+w "$folder"; rm -rf "$folder"' EXIT
prefix=$folder/prefix
cmake --install "$build" --prefix "$prefix" >"$folder/log" || { cat "$folder/log"; exit 1; }
chmod -R a-w "$prefix"
chmod a+rx "$folder"

cat >"$folder/use.sh" <<'USE'
set -euo pipefail
init=$1 prefix=$2 version=$3
fail() { echo "$init: $*"; exit 1; }
set +u
. "$init"
module use "$prefix/share/modulefiles"
module avail titan-hpc 2>&1 | grep -q "titan-hpc/$version" || fail "module avail does not list titan-hpc/$version"
module whatis "titan-hpc/$version" 2>&1 | grep -q 'pre-training of Llama models' || fail "module whatis: $(module whatis "titan-hpc/$version" 2>&1)"
module help "titan-hpc/$version" 2>&1 | grep -q 'TITAN_HPC_CONFIGS/debug_model.toml' || fail "module help: $(module help "titan-hpc/$version" 2>&1)"
module load titan-hpc || fail "module load: code $?"
[ "$(command -v titan-hpc)" = "$prefix/bin/titan-hpc" ] || fail "titan-hpc is $(command -v titan-hpc)"
[ "$TITAN_HPC_ROOT" = "$prefix" ] && [ -f "$TITAN_HPC_CONFIGS/debug_model.toml" ] && [ -f "$TITAN_HPC_JOBSCRIPTS/slurm/pretrain.sbatch" ] ||
  fail "the variables are $TITAN_HPC_ROOT, $TITAN_HPC_CONFIGS, $TITAN_HPC_JOBSCRIPTS"
module list 2>&1 | grep -q "titan-hpc/$version" || fail "module list does not show it"
! touch "$prefix/bin/file" 2>/dev/null || [ "$(id -u)" = 0 ] || fail "the prefix can be written to"
OMP_NUM_THREADS=1 titan-hpc --job.config_file "$TITAN_HPC_CONFIGS/debug_model.toml" --training.steps 2 --training.seq_len 32 --training.batch_size 1 \
  --job.dump_folder out >log 2>&1 || fail "a run ended with code $?: $(tail -n 2 log)"
grep -q 'Training completed: 2 steps' log || fail "the run: $(tail -n 2 log)"
module unload titan-hpc || fail "module unload: code $?"
[[ ":$PATH:" != *":$prefix/bin:"* ]] && [ -z "${TITAN_HPC_ROOT+set}${TITAN_HPC_CONFIGS+set}${TITAN_HPC_JOBSCRIPTS+set}" ] || fail "after unload: PATH=$PATH"
USE

as=()
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then as=(setpriv --reuid=65534 --regid=65534 --clear-groups); fi
for init in "${found[@]}"; do
  work=$folder/work.${#init}
  mkdir "$work"
  [ "${#as[@]}" = 0 ] || chown 65534:65534 "$work"
  (cd "$work" && HOME=$work USER=nobody "${as[@]}" bash "$folder/use.sh" "$init" "$prefix" "$version")
  echo "$init: loaded, used, unloaded"
done
