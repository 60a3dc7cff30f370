// SPDX-License-Identifier: Apache-2.0
// A rank's memory during a step, as JSON and as a drawing.
#ifndef TITAN_TRAIN_OBSERVERS_MEMORY_PICTURE_H
#define TITAN_TRAIN_OBSERVERS_MEMORY_PICTURE_H

#include "parallel/runtime.h"

// Not collective. Appends an object: bytes by tag (now, and at most), the arenas with their bytes, the list's actions,
// and each block with arena, offset, bytes, and the first and last action of its life.
titan_status titan_memory_picture_json(const titan_runtime *runtime, int rank, int64_t step, titan_text *text);
// Appends an SVG: a panel an arena, actions across, addresses up, a rectangle a block; its name, bytes and life show
// when the pointer rests on it.
titan_status titan_memory_picture_svg(const titan_runtime *runtime, int rank, int64_t step, titan_text *text);

#endif
