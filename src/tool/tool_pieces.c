// SPDX-License-Identifier: Apache-2.0
#include "tool/tool_pieces.h"

#include <stdio.h>

// Rows of a piece of the tensor.
static int64_t rows_of_piece(const titan_checkpoint_tensor *tensor, int64_t unit) {
  int64_t rows = TITAN_TOOL_PIECE_ELEMENTS / titan_checkpoint_columns(tensor) / unit * unit;
  return rows > 0 ? rows : unit;
}

titan_status titan_tool_deal(const titan_tool *tool, int count, const titan_checkpoint_tensor *tensors,
                             const int64_t *units, titan_tool_use *use, void *context) {
  int64_t piece = 0;
  for (int i = 0; i < count; i++) {
    int64_t all = titan_checkpoint_rows(&tensors[i]), step = rows_of_piece(&tensors[i], units == NULL ? 1 : units[i]);
    for (int64_t row = 0; row < all; row += step)
      if (piece++ % tool->size == tool->rank)
        TITAN_TRY(use(context, i, row, all - row < step ? all - row : step));
  }
  return TITAN_OK;
}

int64_t titan_tool_largest_piece(int count, const titan_checkpoint_tensor *tensors, const int64_t *units) {
  int64_t largest = 1;
  for (int i = 0; i < count; i++) {
    int64_t all = titan_checkpoint_rows(&tensors[i]), step = rows_of_piece(&tensors[i], units == NULL ? 1 : units[i]);
    int64_t elements = (all < step ? all : step) * titan_checkpoint_columns(&tensors[i]);
    largest = elements > largest ? elements : largest;
  }
  return largest;
}

typedef struct dealing {
  const titan_tool *tool;
  const titan_checkpoint_file *file;
  bool model_only;
  int64_t turn;
} dealing;

static bool is_mine(void *context, int64_t tensor) {
  dealing *d = context;
  if (d->model_only && d->file->tensors[tensor].group != TITAN_CHECKPOINT_MODEL)
    return false;
  return d->turn++ % d->tool->size == d->tool->rank;
}

titan_status titan_tool_check(const titan_tool *tool, const titan_checkpoint_file *file, bool model_only) {
  dealing d = {tool, file, model_only, 0};
  return titan_comm_agree(tool->world, titan_checkpoint_file_verify(file, is_mine, &d, NULL));
}

titan_status titan_tool_sum(const titan_tool *tool, int64_t *value) {
  return titan_comm_all_reduce(tool->world, value, value, 1, TITAN_INT64, TITAN_SUM, NULL);
}

titan_tool_size titan_tool_size_text(double bytes) {
  static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
  titan_tool_size size;
  int unit = 0;
  for (; bytes >= 999.5 && unit < 5; unit++)
    bytes /= 1000;
  snprintf(size.text, sizeof size.text, unit == 0 ? "%.0f %s" : "%.3g %s", bytes, units[unit]);
  return size;
}

uint64_t titan_tool_group_bytes(const titan_checkpoint_file *file, titan_checkpoint_group group) {
  uint64_t bytes = 0;
  for (int i = 0; i < file->tensor_count; i++)
    if (file->tensors[i].group == group)
      bytes += titan_checkpoint_tensor_bytes(&file->tensors[i]);
  return bytes;
}
