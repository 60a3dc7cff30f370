#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Property: cpack makes a Debian package and an archive of what is installed; the package names the libraries that the programs need and
# has files below /usr alone; the programs of both run from where they are unpacked. Oracle: dpkg-deb, tar, and a training.
#
# usage: package.sh BUILD PROJECT
set -euo pipefail
build=$1 project=$2
for program in cpack dpkg-deb dpkg-shlibdeps; do
  command -v $program >/dev/null || { echo "SKIPPED: $program is missing (Debian: apt-get install cmake dpkg-dev)"; exit 77; }
done
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
fail() {
  echo "FAILED: $*"
  exit 1
}

for generator in DEB TGZ; do
  (cd "$build" && cpack -G $generator -B "$folder") >"$folder/$generator.log" 2>&1 || fail "cpack -G $generator: $(tail -n 5 "$folder/$generator.log")"
done
deb=$(echo "$folder"/titan-hpc_*.deb) archive=$(echo "$folder"/titan-hpc_*.tar.gz)
depends=$(dpkg-deb -f "$deb" Depends)
for library in libhdf5 libhwloc libjansson libdnnl; do
  [[ $depends == *$library* ]] || fail "the package does not depend on $library: $depends"
done
dpkg-deb -c "$deb" | awk '{ print $6 }' | grep -v '^\./\(usr/.*\)\?$' && fail "a file that is not below /usr"
mkdir "$folder/deb" "$folder/tgz"
dpkg-deb -x "$deb" "$folder/deb"
tar -xzf "$archive" -C "$folder/tgz" --strip-components=1
for prefix in "$folder/deb/usr" "$folder/tgz"; do
  for program in titan-hpc titan-checkpoint titan-report titan-tokenizer titan-corpus; do
    "$prefix/bin/$program" --version >/dev/null || fail "$prefix/bin/$program --version"
    [ -s "$prefix/share/man/man1/$program.1" ] || fail "$prefix has no man page of $program"
  done
  [ -s "$prefix/share/doc/titan-hpc/LICENSE" ] || fail "$prefix has no licence"
  "$prefix/bin/titan-hpc" --job.config_file "$prefix/share/titan-hpc/configs/debug_model.toml" --job.dump_folder "$folder/run" \
    --training.steps 1 --training.seq_len 32 --training.batch_size 1 >"$folder/log" 2>&1 || fail "$prefix: $(tail -n 3 "$folder/log")"
  grep -q 'step:  1 ' "$folder/log" || fail "$prefix: no step"
  rm -rf "$folder/run"
done
grep -qF '[==[/usr]==]' "$folder/deb/usr/share/modulefiles/titan-hpc/"*.lua || fail "the module of the package is for another prefix"
[ ! -e "$folder/tgz/share/modulefiles" ] || fail "the archive has modules, for a prefix that nobody knows"
[ "$(git -C "$project" status --porcelain 2>/dev/null | grep -c 'titan-hpc_.*\(deb\|gz\)')" = 0 ] || fail "a package is left in the project"
