#!/usr/bin/env bash
# Property: on a machine without apt-get that lacks everything, quickstart lists each missing thing by its Debian and Spack
# name, exits 2 and leaves the folder as it was. Oracle: a PATH that holds only the tools of a bare system.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/bin" "$folder/a clone"
for tool in bash cat cut dirname head id printf readlink sed tr; do
  ln -s "$(command -v "$tool")" "$folder/bin/$tool"
done
cp "$1/quickstart" "$folder/a clone/"
code=0
PATH="$folder/bin" CMAKE_PREFIX_PATH='' bash "$folder/a clone/quickstart" build >"$folder/out" 2>"$folder/err" || code=$?
cat "$folder/err"
[ "$code" -eq 2 ] || { echo "exit code $code, not 2"; exit 1; }
for name in build-essential cmake@3.25: libopenmpi-dev openmpi libhdf5-openmpi-dev hdf5+mpi libconfig-dev tomlplusplus \
  libdnnl-dev onednn libpcre2-dev libhwloc-dev libcmocka-dev; do
  grep -qF -- "$name" "$folder/err" || { echo "$name is not listed"; exit 1; }
done
[ "$(ls "$folder/a clone")" = quickstart ] || { echo "something was written"; exit 1; }
