#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Prints which part of the lines of src/ the tests in C run, of the whole and of each file, the least first: a build of the preset
# `coverage`, its tests of up to two ranks, and gcovr. Tests that are scripts are not counted.
#
# usage: coverage.sh [OPTIONS OF CTEST]       from anywhere; -L quick takes the selection
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
command -v gcovr >/dev/null || { echo "gcovr is missing (Debian: apt-get install gcovr)"; exit 77; }
generator="Unix Makefiles"
if command -v ninja >/dev/null; then generator=Ninja; fi
mkdir -p build
cmake --preset coverage -G "$generator" >build/coverage.log || { cat build/coverage.log; exit 1; }
cmake --build build/coverage --parallel "$(nproc)" >>build/coverage.log || { cat build/coverage.log; exit 1; }
find build/coverage -name '*.gcda' -delete # of an earlier run
code=0
ctest --test-dir build/coverage --output-on-failure --no-tests=error --parallel "$(nproc)" \
  -LE '^(integration|long|slurm|gpu|fault)$' -E '(\.np(3|4|8)$|^guard_|^setup_|^help_)' "$@" || code=$?
gcovr --root . --filter src/ --object-directory build/coverage --sort-percentage -j "$(nproc)" build/coverage
exit $code
