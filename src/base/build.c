// SPDX-License-Identifier: Apache-2.0
#include "base/build.h"

#include "base/commit.h" // made by cmake/commit.cmake

const char *titan_build_commit(void) {
  return TITAN_COMMIT;
}
