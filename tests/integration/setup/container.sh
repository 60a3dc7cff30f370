#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Property: the Containerfile installs the packages that quickstart installs for tests, and copies no build folder; what it and the development
# container name exists; the version in CITATION.cff and CHANGELOG.md is that of the program. Oracle: the command that
# quickstart prints on a machine that lacks everything; python's JSON reader, where there is one.
#
# usage: container.sh SOURCE VERSION
set -euo pipefail
cd "$1"
version=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
fail() {
  echo "FAILED: $*"
  exit 1
}

mkdir "$folder/bin"
for tool in bash cat cut dirname head id printf readlink sed tr; do ln -s "$(command -v "$tool")" "$folder/bin/$tool"; done
PATH=$folder/bin CMAKE_PREFIX_PATH='' bash quickstart test >"$folder/out" 2>&1 || true
{
  sed -n 's/^ *sudo apt-get install --no-install-recommends //p' "$folder/out" | tr ' ' '\n'
  echo hdf5-tools # which quickstart installs but does not need
} | sort >"$folder/wanted"
[ "$(wc -l <"$folder/wanted")" -gt 10 ] || fail "quickstart names only $(cat "$folder/wanted")"
sed -n '/^RUN apt-get/,/[^\\]$/p' Containerfile | sed -n '2,$p' | grep -v '^ *&&' | tr -s ' \\' '\n\n' | sed '/^$/d' | sort >"$folder/got"
diff "$folder/wanted" "$folder/got" >"$folder/differences" ||
  fail "packages of quickstart (<) and of the Containerfile (>): $(cat "$folder/differences")"

grep -q '^build$' .dockerignore || fail "a build folder is copied into the container"
[ -f configs/debug_model.toml ] || fail "configs/debug_model.toml is missing"
stage=$(sed -n 's/.*"target": "\([a-z-]*\)".*/\1/p' .devcontainer/devcontainer.json)
grep -q "^FROM .* AS $stage\$" Containerfile || fail "the Containerfile has no stage $stage"
if command -v python3 >/dev/null; then
  python3 -c 'import json, sys; json.load(open(sys.argv[1]))' .devcontainer/devcontainer.json || fail "devcontainer.json is not JSON"
fi

grep -qxF "version: $version" CITATION.cff || fail "CITATION.cff has not the version $version"
grep -qE "^## $version( |\$)" CHANGELOG.md || fail "CHANGELOG.md has no section $version"

# What README and CONTRIBUTING link to exists.
for page in README.md CONTRIBUTING.md SECURITY.md; do
  grep -oE '\]\([^)#]+' "$page" | sed 's/^](//' | grep -v '^https*:' | while IFS= read -r target; do
    [ -e "$target" ] || fail "$page links to $target, which is not there"
  done
done
for file in LICENSE docs/glossary.md CONTRIBUTING.md CHANGELOG.md SECURITY.md CITATION.cff; do
  grep -qF "]($file)" README.md || fail "README.md does not link to $file"
done
