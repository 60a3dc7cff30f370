#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# cppcheck finds nothing in the C of src/. What it must not say stands beside the line, with the reason.
#
# usage: cppcheck.sh PROJECT GENERATED   (GENERATED: the folder of generated headers of a build)
set -euo pipefail
cd "$1"
command -v cppcheck >/dev/null || { echo "SKIPPED: cppcheck is missing (Debian: apt-get install cppcheck)"; exit 77; }
cppcheck --enable=warning,portability --inline-suppr --std=c11 --language=c -j "$(nproc)" -I src -I "$2" --suppress=missingIncludeSystem \
  --quiet --error-exitcode=1 -i src/config/toml_shim.cpp src
