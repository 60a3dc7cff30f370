// SPDX-License-Identifier: Apache-2.0
// How a runtime's shards lie in a checkpoint's tensors.
#ifndef TITAN_STATE_LAYOUT_H
#define TITAN_STATE_LAYOUT_H

#include "checkpoint/file.h"
#include "parallel/runtime.h"
#include "parallel/shard_view.h"

// A rectangle of a whole parameter that lies in this rank's shard of a unit.
typedef struct titan_checkpoint_rectangle {
  int unit;
  int64_t parameter;                  // index among all parameters of the model, in the order of units
  int64_t row, rows, column, columns; // in the whole
  int64_t first_in_shard, stride;     // of its first element; from row to row
  // Whether each rank of the tp group has a rectangle of the same rows, and all of them together whole rows: then the
  // rows are dealt among the ranks, and each writes whole ones (join.h). `columns` may be 0, of a rank that has padding
  // only.
  bool joined;
} titan_checkpoint_rectangle;

typedef struct titan_checkpoint_layout {
  int parameter_count;
  titan_checkpoint_tensor *parameters; // name and global shape of each; group MODEL, float32
  int64_t *copies;                     // of each: how many ranks hold an element
  int64_t rectangle_count;
  titan_checkpoint_rectangle *rectangles; // sorted by parameter
  int64_t elements;                       // of all rectangles
  int64_t slab_count, slab_elements;      // that this rank writes of a group
  int tp_rank, tp;                        // 1 where nothing is joined
  // What is kept of each parameter: its value, then the optimizer's states. See titan_checkpoint_shard.
  int kept_count;
  titan_checkpoint_group kept[1 + TITAN_MOST_SLOTS];
  int64_t widest; // of joined rectangles: columns of a whole row, with padding; 0: none is joined
} titan_checkpoint_layout;

// Rows [begin, end) of `rows` are those of rank `rank` of `ranks`, as even as can be.
void titan_checkpoint_deal_rows(int64_t rows, int rank, int ranks, int64_t *begin, int64_t *end);

// Not collective. What this rank holds (`shared` false: every replica holds all), or what it writes (true: what several
// ranks hold alike is dealt among them, so that the ranks' rectangles tile the model; rectangles may be joined).
titan_status titan_checkpoint_layout_create(titan_runtime *runtime, bool shared, titan_checkpoint_layout **out);
// Bytes of a layout (tag GENERAL).
size_t titan_checkpoint_layout_bytes(const titan_checkpoint_layout *layout);
void titan_checkpoint_layout_destroy(titan_checkpoint_layout **layout);

// Tiles (tiles.h) of all groups in float32 that this rank reads, or with `shared` writes.
int64_t titan_checkpoint_layout_sums(const titan_checkpoint_layout *layout, size_t tile_bytes);

// The shard that holds a unit's values of layout->kept[kept].
float *titan_checkpoint_shard(const titan_unit *unit, int kept);

// A view of a rectangle's elements in its shard, from the first to the last, rows `stride` elements apart. Where the
// device's memory is apart it is a copy under the tag CHECKPOINT, of as many bytes.
titan_status titan_checkpoint_view_open(titan_runtime *runtime, const titan_checkpoint_rectangle *rectangle, int kept,
                                        titan_access access, titan_shard_view *view);
size_t titan_checkpoint_view_bytes(const titan_checkpoint_rectangle *rectangle);

// Whether the file has every state that the runtime's optimizer keeps (and it keeps one).
bool titan_checkpoint_has_states(const titan_checkpoint_file *file, titan_runtime *runtime);

#endif
