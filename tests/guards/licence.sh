#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Property: each source file names its licence in one of its first two lines.
#
# usage: licence.sh ROOT
set -euo pipefail
cd "$1"
find src tests benchmarks cmake jobscripts -type f \
  \( -name '*.c' -o -name '*.h' -o -name '*.cpp' -o -name '*.def' -o -name '*.sh' -o -name '*.py' -o -name '*.cmake' -o -name '*.js' -o -name '*.css' -o -name '*.html' -o -name CMakeLists.txt \) -print0 |
  sort -z | xargs -0 awk '
  FNR == 1 { named = 0 }
  FNR <= 2 && /SPDX-License-Identifier: Apache-2\.0/ { named = 1 }
  FNR == 2 && !named { print FILENAME ": no line SPDX-License-Identifier: Apache-2.0 at its beginning"; found = 1 }
  END { exit found }'
