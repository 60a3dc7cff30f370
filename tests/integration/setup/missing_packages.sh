#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Property: on a machine without apt-get that lacks everything, quickstart lists each missing thing by its Debian and Spack
# name, and once more as commands to copy, exits 2 and leaves the folder as it was. What only tests need is asked for by
# `quickstart test` only. With apt-get it installs what is missing, but nothing that pkg-config, which may have to be installed first,
# finds in a private prefix. Oracle: a PATH that holds only the tools of a bare system; an apt-get that writes down what it is asked for.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/bin" "$folder/a clone"
for tool in bash cat cut dirname head id printf readlink sed tr; do
  ln -s "$(command -v "$tool")" "$folder/bin/$tool"
done
cp "$1/quickstart" "$folder/a clone/"

# listed COMMAND: what quickstart says.
listed() {
  local code=0
  PATH="$folder/bin" CMAKE_PREFIX_PATH='' bash "$folder/a clone/quickstart" "$1" >"$folder/out" 2>"$folder/err" || code=$?
  cat "$folder/err"
  [ "$code" -eq 2 ] || { echo "$1: exit code $code, not 2"; exit 1; }
  [ "$(ls "$folder/a clone")" = quickstart ] || { echo "$1: something was written"; exit 1; }
  apt=$(sed -n 's/^ *sudo apt-get install //p' "$folder/err")
  spack=$(sed -n 's/^ *spack install \(.*\) && spack load .*/\1/p' "$folder/err")
}
# named LINE NAMES...: the command to copy has each of the names.
named() {
  local name
  for name in "${@:2}"; do
    [[ " $1 " == *" $name "* ]] || { echo "$name is not in: $1"; exit 1; }
  done
}

for command in train build test; do
  listed "$command"
  named "$apt" build-essential cmake ninja-build pkg-config openmpi-bin libopenmpi-dev libhdf5-openmpi-dev libconfig-dev \
    libtomlplusplus-dev libdnnl-dev zlib1g-dev libxxhash-dev libjansson-dev libhwloc-dev libprotobuf-c-dev protobuf-c-compiler
  named "$spack" gcc cmake@3.25: ninja pkgconf openmpi hdf5+mpi libconfig tomlplusplus onednn zlib xxhash jansson hwloc protobuf-c
  grep -q '^  HDF5, built for MPI ' "$folder/err" || { echo "$command: HDF5 is not in the list"; exit 1; }
  if [ "$command" = test ]; then
    named "$apt" libcmocka-dev libpcre2-dev
    named "$spack" cmocka pcre2
  elif grep -iq -e cmocka -e pcre2 "$folder/err"; then
    echo "$command asks for what only tests need"
    exit 1
  fi
done

# libconfig lies in a private prefix, and pkg-config is not there yet.
ln -s "$(command -v env)" "$(command -v chmod)" "$(command -v mkdir)" "$folder/bin/"
rm "$folder/bin/id"
printf '#!/bin/bash\necho 0\n' >"$folder/bin/id"
printf '#!/bin/bash\n' >"$folder/bin/dpkg-query"
cat >"$folder/bin/apt-get" <<SCRIPT
#!/bin/bash
echo "\$*" >>'$folder/asked'
case " \$* " in
*' install '*' pkg-config '*)
  printf '#!/bin/bash\n[ "\$2" = libconfig ]\n' >'$folder/bin/pkg-config'
  chmod +x '$folder/bin/pkg-config'
  ;;
esac
SCRIPT
chmod +x "$folder/bin/id" "$folder/bin/dpkg-query" "$folder/bin/apt-get"
listed build
cat "$folder/asked"
[ "$(grep -c ' install \|^install ' "$folder/asked")" = 2 ] || { echo "not two calls of apt-get install"; exit 1; }
grep -q '^install .* pkg-config$' "$folder/asked" || { echo "pkg-config is not installed by itself first"; exit 1; }
named "$(tail -n 1 "$folder/asked")" build-essential libjansson-dev libdnnl-dev
if tail -n 1 "$folder/asked" | grep -q libconfig-dev; then
  echo "libconfig-dev is installed, though pkg-config finds libconfig"
  exit 1
fi
