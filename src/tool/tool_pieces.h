// SPDX-License-Identifier: Apache-2.0
// How the commands share tensors among ranks: in pieces of whole rows. Private to tool_*.c.
#ifndef TITAN_TOOL_TOOL_PIECES_H
#define TITAN_TOOL_TOOL_PIECES_H

#include "checkpoint/file.h"
#include "tool/tool.h"

// Elements of a piece at most, unless one unit of rows has more.
enum { TITAN_TOOL_PIECE_ELEMENTS = 4 << 20 };

// Uses rows [row, row + rows) of a tensor.
typedef titan_status titan_tool_use(void *context, int tensor, int64_t row, int64_t rows);

// Not collective. Cuts tensors into pieces and calls `use` for those of this rank, one after another, until one fails.
// Pieces of tensors whose `units` is above 1 hold a multiple of that many rows; units NULL: all are 1.
titan_status titan_tool_deal(const titan_tool *tool, int count, const titan_checkpoint_tensor *tensors,
                             const int64_t *units, titan_tool_use *use, void *context);

// Largest piece that titan_tool_deal makes, in elements.
int64_t titan_tool_largest_piece(int count, const titan_checkpoint_tensor *tensors, const int64_t *units);

// Collective. Verifies the checksums of a file that titan_checkpoint_file_open_shared has opened, of all tensors or of
// the model's only.
titan_status titan_tool_check(const titan_tool *tool, const titan_checkpoint_file *file, bool model_only);

// Sum over ranks of a whole number, in place.
titan_status titan_tool_sum(const titan_tool *tool, int64_t *value);

// "1.50 GB".
typedef struct titan_tool_size {
  char text[24];
} titan_tool_size;
titan_tool_size titan_tool_size_text(double bytes);

// Bytes of the tensors of a group.
uint64_t titan_tool_group_bytes(const titan_checkpoint_file *file, titan_checkpoint_group group);

#endif
