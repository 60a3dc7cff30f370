// SPDX-License-Identifier: Apache-2.0
#include "state/layout.h"

#include "base/integer.h"
#include "base/memory.h"
#include "checkpoint/tiles.h"

#include <stdio.h>
#include <string.h>

// A slice of at least so many elements is split among the ranks that hold it alike; a smaller one is written by one.
enum { SPLIT_FROM = 1 << 18 };

float *titan_checkpoint_shard(const titan_unit *unit, int kept) {
  return kept == 0 ? unit->master : unit->slots[kept - 1];
}

static int64_t span_of(const titan_checkpoint_rectangle *r) {
  return r->rows > 0 ? (r->rows - 1) * r->stride + r->columns : 0;
}

titan_status titan_checkpoint_view_open(titan_runtime *runtime, const titan_checkpoint_rectangle *rectangle, int kept,
                                        titan_access access, titan_shard_view *view) {
  float *shard = titan_checkpoint_shard(titan_runtime_unit(runtime, rectangle->unit), kept);
  return titan_shard_view_open(titan_runtime_optimizer_device(runtime), shard + rectangle->first_in_shard,
                               span_of(rectangle), access, TITAN_MEMORY_CHECKPOINT, view);
}

size_t titan_checkpoint_view_bytes(const titan_checkpoint_rectangle *rectangle) {
  return (size_t)span_of(rectangle) * sizeof(float);
}

static titan_status list_kept(titan_runtime *runtime, titan_checkpoint_layout *layout) {
  const titan_runtime_options *options = titan_runtime_options_of(runtime);
  layout->kept[0] = TITAN_CHECKPOINT_MODEL;
  layout->kept_count = 1 + options->slot_count;
  for (int slot = 0; slot < options->slot_count; slot++)
    TITAN_TRY(titan_checkpoint_group_of(options->slots[slot], &layout->kept[1 + slot]));
  return TITAN_OK;
}

bool titan_checkpoint_has_states(const titan_checkpoint_file *file, titan_runtime *runtime) {
  titan_checkpoint_layout kept = {0};
  bool all = list_kept(runtime, &kept) == TITAN_OK && kept.kept_count > 1;
  for (int i = 1; i < kept.kept_count && all; i++)
    all = titan_checkpoint_file_has(file, kept.kept[i]);
  return all;
}

// --- rectangles ---

typedef struct layout_builder {
  titan_checkpoint_layout *layout; // rectangles may be NULL: then they are only counted
  int unit;
  const titan_unit_slice *slice;
  int tp_rank, tp; // tp 1: nothing is joined
} layout_builder;

void titan_checkpoint_deal_rows(int64_t rows, int rank, int ranks, int64_t *begin, int64_t *end) {
  *begin = rows / ranks * rank + titan_lesser(rows % ranks, rank);
  *end = *begin + rows / ranks + (rank < rows % ranks);
}

// Whether the ranks of the tp group hold the columns of the parameter's rows one after another.
static bool is_cut_by_columns(const layout_builder *builder) {
  const titan_plan_parameter *p = builder->slice->parameter;
  int64_t columns = titan_tensor_columns(&p->type);
  return builder->tp > 1 && p->sharded && p->type.rank == 2 && p->place.whole[1] > columns && p->place.first[0] == 0 &&
         p->place.first[1] == columns * builder->tp_rank;
}

static void count_slabs(const layout_builder *builder, const titan_checkpoint_rectangle *r) {
  titan_checkpoint_layout *layout = builder->layout;
  int64_t begin = 0, end = r->rows, width = r->stride * builder->tp, columns = r->columns;
  if (r->joined) {
    titan_checkpoint_deal_rows(r->rows, builder->tp_rank, builder->tp, &begin, &end);
    layout->widest = layout->widest > width ? layout->widest : width;
    columns = builder->slice->parameter->place.whole[1];
  }
  layout->slab_count += end > begin;
  layout->slab_elements += (end - begin) * columns;
}

// Rows begin .. end of the block that the slice is of, columns from..to of each, without what is padding.
static void add(layout_builder *builder, int64_t row, int64_t rows, int64_t column, int64_t columns) {
  const titan_plan_parameter *p = builder->slice->parameter;
  bool vector = p->type.rank == 1;
  int last = p->type.rank - 1;
  int64_t pitch = titan_tensor_columns(&p->type);
  int64_t whole_rows = vector ? 1 : p->place.whole[0], first_row = vector ? 0 : p->place.first[0];
  int64_t valid_rows = titan_lesser(rows, whole_rows - first_row - row);
  int64_t valid_columns = titan_lesser(columns, p->place.whole[last] - p->place.first[last] - column);
  titan_checkpoint_layout *layout = builder->layout;
  bool joined = columns == pitch && is_cut_by_columns(builder);
  valid_columns = joined && valid_columns < 0 ? 0 : valid_columns;
  if (valid_rows <= 0 || (valid_columns <= 0 && !joined))
    return;
  titan_checkpoint_rectangle r = {
      .unit = builder->unit,
      .parameter = layout->parameter_count,
      .row = first_row + row,
      .rows = valid_rows,
      .column = p->place.first[last] + column,
      .columns = valid_columns,
      .first_in_shard = builder->slice->first_in_shard + row * pitch + column - builder->slice->first_in_parameter,
      .stride = pitch,
      .joined = joined,
  };
  if (layout->rectangles != NULL)
    layout->rectangles[layout->rectangle_count] = r;
  count_slabs(builder, &r);
  layout->rectangle_count++;
  layout->elements += valid_rows * valid_columns;
}

// A flat range of a matrix: the rest of its first row, whole rows, the beginning of its last.
static void add_slice(layout_builder *builder) {
  const titan_unit_slice *slice = builder->slice;
  int64_t columns = titan_tensor_columns(&slice->parameter->type);
  int64_t at = slice->first_in_parameter, end = at + slice->count;
  if (at % columns != 0) {
    int64_t count = titan_lesser(columns - at % columns, end - at);
    add(builder, at / columns, 1, at % columns, count);
    at += count;
  }
  int64_t whole = (end - at) / columns;
  if (whole > 0)
    add(builder, at / columns, whole, 0, columns);
  at += whole * columns;
  if (at < end)
    add(builder, at / columns, 1, 0, end - at);
}

// --- checksums ---

// Of one group; a tile that one rectangle ends in and the next one begins in counts once.
int64_t titan_checkpoint_layout_sums(const titan_checkpoint_layout *layout, size_t tile_bytes) {
  int64_t sums = 0, parameter = -1, before = -1;
  for (int64_t i = 0; i < layout->rectangle_count; i++) {
    const titan_checkpoint_rectangle *r = &layout->rectangles[i];
    titan_checkpoint_tensor tensor = layout->parameters[r->parameter];
    titan_checkpoint_section slab = {0, r->row, r->rows, r->column, r->columns};
    int64_t begin, end, first, last;
    if (r->joined) {
      titan_checkpoint_deal_rows(r->rows, layout->tp_rank, layout->tp, &begin, &end);
      slab = (titan_checkpoint_section){0, r->row + begin, end - begin, 0, titan_checkpoint_columns(&tensor)};
    }
    if (slab.rows == 0)
      continue;
    tensor.first_tile = 0;
    titan_checkpoint_tiles_under(&tensor, tile_bytes, &slab, &first, &last);
    sums += last - first + 1 - (r->parameter == parameter && first == before);
    parameter = r->parameter;
    before = last;
  }
  return layout->kept_count * sums;
}

// --- dealing ---

// The ranks that hold a parameter's values as this one does, and which of them this is.
static void replicas_of(titan_runtime *runtime, const titan_plan_parameter *parameter, int64_t *count, int64_t *index) {
  const titan_mesh *mesh = titan_runtime_mesh(runtime);
  titan_comm *replicate = titan_mesh_comm(mesh, TITAN_MESH_DP_REPLICATE), *tp = titan_mesh_comm(mesh, TITAN_MESH_TP);
  *count = titan_comm_size(replicate);
  *index = titan_comm_rank(replicate);
  if (parameter->sharded)
    return;
  *index = *index * titan_comm_size(tp) + titan_comm_rank(tp);
  *count *= titan_comm_size(tp);
}

// Where piece `index` of `count` of the slice begins: at a row of the parameter, as far as that goes.
static int64_t piece_begin(const titan_unit_slice *slice, int64_t index, int64_t count) {
  int64_t columns = titan_tensor_columns(&slice->parameter->type), begin = slice->count / count * index;
  if (index == 0 || index == count || columns > slice->count / count)
    return index == count ? slice->count : begin;
  return begin - (slice->first_in_parameter + begin) % columns;
}

// What of the slice this rank writes; false for nothing.
static bool deal(titan_runtime *runtime, int64_t parameter, titan_unit_slice *slice) {
  int64_t count, index;
  replicas_of(runtime, slice->parameter, &count, &index);
  if (slice->count < SPLIT_FROM || slice->count < 2 * count)
    return parameter % count == index;
  int64_t begin = piece_begin(slice, index, count), end = piece_begin(slice, index + 1, count);
  slice->first_in_parameter += begin;
  slice->first_in_shard += begin;
  slice->count = end - begin;
  return end > begin;
}

// --- the layout ---

static void describe(const titan_unit *unit, const titan_plan_parameter *parameter, titan_checkpoint_tensor *out) {
  *out = (titan_checkpoint_tensor){
      .group = TITAN_CHECKPOINT_MODEL, .number = TITAN_NUMBER_FLOAT32, .rank = parameter->type.rank};
  snprintf(out->name, sizeof out->name, "%s%s", unit->prefix, parameter->name);
  for (int d = 0; d < parameter->type.rank; d++)
    out->dims[d] = parameter->place.whole[d];
}

// Counts, or fills what has been allocated.
static void walk(titan_runtime *runtime, bool shared, titan_checkpoint_layout *layout) {
  layout->parameter_count = 0;
  layout->rectangle_count = layout->elements = layout->slab_count = layout->slab_elements = layout->widest = 0;
  for (int u = 0; u < titan_runtime_unit_count(runtime); u++) {
    const titan_unit *unit = titan_runtime_unit(runtime, u);
    for (int p = 0; p < unit->plan->parameter_count; p++) {
      titan_unit_slice slice;
      layout_builder builder = {layout, u, &slice, layout->tp_rank, layout->tp};
      if (layout->parameters != NULL) {
        int64_t unused;
        describe(unit, &unit->plan->parameters[p], &layout->parameters[layout->parameter_count]);
        replicas_of(runtime, &unit->plan->parameters[p], &layout->copies[layout->parameter_count], &unused);
      }
      if (titan_unit_slice_of(unit, p, &slice) && (!shared || deal(runtime, layout->parameter_count, &slice)))
        add_slice(&builder);
      layout->parameter_count++;
    }
  }
}

titan_status titan_checkpoint_layout_create(titan_runtime *runtime, bool shared, titan_checkpoint_layout **out) {
  titan_checkpoint_layout *layout = NULL;
  titan_status status = titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, 1, sizeof *layout, &layout);
  *out = NULL;
  TITAN_TRY(status);
  TITAN_TRY_CLEANUP(list_kept(runtime, layout));
  titan_comm *tp = titan_mesh_comm(titan_runtime_mesh(runtime), TITAN_MESH_TP);
  layout->tp_rank = titan_comm_rank(tp);
  layout->tp = shared ? titan_comm_size(tp) : 1;
  walk(runtime, shared, layout);
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, (size_t)layout->parameter_count,
                                                 sizeof *layout->parameters, &layout->parameters));
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, (size_t)layout->parameter_count,
                                                 sizeof *layout->copies, &layout->copies));
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, (size_t)layout->rectangle_count,
                                                 sizeof *layout->rectangles, &layout->rectangles));
  walk(runtime, shared, layout);
  *out = layout;
  return TITAN_OK;
cleanup:
  titan_checkpoint_layout_destroy(&layout);
  return status;
}

size_t titan_checkpoint_layout_bytes(const titan_checkpoint_layout *layout) {
  return sizeof *layout + (size_t)layout->rectangle_count * sizeof *layout->rectangles +
         (size_t)layout->parameter_count * (sizeof *layout->parameters + sizeof *layout->copies);
}

void titan_checkpoint_layout_destroy(titan_checkpoint_layout **layout) {
  if (*layout == NULL)
    return;
  titan_memory_free((*layout)->parameters);
  titan_memory_free((*layout)->copies);
  titan_memory_free((*layout)->rectangles);
  titan_memory_free(*layout);
  *layout = NULL;
}
