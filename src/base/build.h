// SPDX-License-Identifier: Apache-2.0
#ifndef TITAN_BASE_BUILD_H
#define TITAN_BASE_BUILD_H

// The state of the source that this was built from, as `git describe --always --dirty` names it; "unknown" where it was
// no clone.
const char *titan_build_commit(void);

#endif
