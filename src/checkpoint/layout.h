// How a runtime's shards lie in a checkpoint's tensors.
#ifndef TITAN_CHECKPOINT_LAYOUT_H
#define TITAN_CHECKPOINT_LAYOUT_H

#include "checkpoint/file.h"
#include "parallel/runtime.h"

// A rectangle of a whole parameter that lies in this rank's shard of a unit.
typedef struct titan_checkpoint_rectangle {
  int unit;
  int64_t parameter;                  // index among all parameters of the model, in the order of units
  int64_t row, rows, column, columns; // in the whole
  int64_t first_in_shard, stride;     // of its first element; from row to row
} titan_checkpoint_rectangle;

typedef struct titan_checkpoint_layout {
  int parameter_count;
  titan_checkpoint_tensor *parameters; // name and global shape of each; group MODEL, float32
  int64_t rectangle_count;
  titan_checkpoint_rectangle *rectangles; // sorted by parameter
  int64_t elements;                       // of all rectangles
} titan_checkpoint_layout;

// Not collective. What this rank holds (`shared` false: every replica holds all), or what it writes (true: what several
// ranks hold alike is dealt among them, so that the ranks' rectangles tile the model).
titan_status titan_checkpoint_layout_create(titan_runtime *runtime, bool shared, titan_checkpoint_layout **out);
void titan_checkpoint_layout_destroy(titan_checkpoint_layout **layout);

// The shard that holds a group's values of a unit.
float *titan_checkpoint_shard(const titan_unit *unit, titan_checkpoint_group group);

#endif
