// SPDX-License-Identifier: Apache-2.0
#ifndef TITAN_STEP_PACK_H
#define TITAN_STEP_PACK_H

#include "step/memory.h"

// Sets the offsets of the blocks of one arena, whose sizes are multiples of the alignment. *bytes: of the arena.
// actions: of the list; bound: the most that is alive at once.
titan_status titan_step_pack(titan_step_block *blocks, int count, titan_arena arena, int actions, size_t bound,
                             size_t *bytes);

#endif
