#include "checkpoint/load.h"

#include "checkpoint/fit.h"
#include "checkpoint/share.h"

#include <string.h>

// --- loading ---

typedef struct load {
  titan_runtime *runtime;
  const titan_checkpoint_file *file;
  const titan_checkpoint_layout *layout;
  int32_t *verified; // [slab_count]
  // The present rectangle, and the shard it goes to.
  const titan_checkpoint_rectangle *rectangle;
  titan_number number;
  float *shard;
} load;

// Elements of a row of the tensor into the shard.
static void use_piece(void *context, int64_t row, int64_t column, int64_t count, const void *elements) {
  load *l = context;
  const titan_checkpoint_rectangle *r = l->rectangle;
  titan_number_to_float(l->number, count, elements,
                        l->shard + r->first_in_shard + (row - r->row) * r->stride + (column - r->column));
}

// Rows that lie in the shard as in the file are read where they belong.
static void *place_in_shard(void *context, int64_t row, int64_t rows, int64_t column, int64_t columns) {
  load *l = context;
  const titan_checkpoint_rectangle *r = l->rectangle;
  if (l->number != TITAN_NUMBER_FLOAT32 || (rows > 1 && columns != r->stride))
    return NULL;
  return l->shard + r->first_in_shard + (row - r->row) * r->stride + (column - r->column);
}

static int64_t greater(int64_t a, int64_t b) {
  return a > b ? a : b;
}
static int64_t lesser(int64_t a, int64_t b) {
  return a < b ? a : b;
}

// What of a slab lies in the rectangle, row by row in pieces.
static titan_status load_part(load *l, int tensor, int64_t row, int64_t end_row, int64_t column, int64_t end_column) {
  enum { PIECE_ELEMENTS = 1 << 20 };
  int64_t columns = end_column - column, at_once = greater(1, PIECE_ELEMENTS / columns);
  size_t size = titan_number_bytes(l->file->tensors[tensor].number);
  char *piece = NULL;
  TITAN_TRY(
      titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)(lesser(at_once, end_row - row) * columns) * size, &piece));
  titan_status status = TITAN_OK;
  for (; row < end_row && status == TITAN_OK; row += at_once) {
    int64_t rows = lesser(at_once, end_row - row);
    status = titan_checkpoint_file_read(l->file, tensor, row, rows, column, columns, piece);
    for (int64_t i = 0; i < rows && status == TITAN_OK; i++)
      use_piece(l, row + i, column, columns, piece + (size_t)(i * columns) * size);
  }
  titan_memory_free(piece);
  return status;
}

static titan_status load_slab(load *l, int64_t index) {
  const titan_checkpoint_slab *slab = &l->file->slabs[index];
  const titan_checkpoint_rectangle *r = l->rectangle;
  int64_t row = greater(slab->row, r->row), end_row = lesser(slab->row + slab->rows, r->row + r->rows);
  int64_t column = greater(slab->column, r->column),
          end_column = lesser(slab->column + slab->columns, r->column + r->columns);
  if (row >= end_row || column >= end_column)
    return TITAN_OK;
  if (end_row - row != slab->rows || end_column - column != slab->columns)
    return load_part(l, (int)slab->tensor, row, end_row, column, end_column);
  l->verified[index] = 1;
  const titan_checkpoint_sink sink = {place_in_shard, use_piece, l};
  return titan_checkpoint_file_read_slab(l->file, index, &sink);
}

static titan_status load_rectangle(load *l, titan_checkpoint_group group) {
  const titan_checkpoint_file *file = l->file;
  const titan_checkpoint_rectangle *r = l->rectangle;
  int tensor = titan_checkpoint_file_find(file, group, l->layout->parameters[r->parameter].name);
  l->number = file->tensors[tensor].number;
  l->shard = titan_checkpoint_shard(titan_runtime_unit(l->runtime, r->unit), group);
  int64_t first = 0, end = file->slab_count; // the slabs are sorted by tensor
  while (first < end) {
    int64_t middle = first + (end - first) / 2;
    if (file->slabs[middle].tensor < tensor)
      first = middle + 1;
    else
      end = middle;
  }
  for (; first < file->slab_count && file->slabs[first].tensor == tensor; first++)
    TITAN_TRY(load_slab(l, first));
  return TITAN_OK;
}

static titan_status load_groups(load *l, const bool *wanted) {
  for (int group = 0; group < TITAN_CHECKPOINT_GROUPS; group++)
    for (int64_t i = 0; i < l->layout->rectangle_count && wanted[group]; i++) {
      l->rectangle = &l->layout->rectangles[i];
      TITAN_TRY(load_rectangle(l, (titan_checkpoint_group)group));
    }
  return TITAN_OK;
}

// Slabs that no rank has read as a whole are dealt out and read for their checksums alone.
static titan_status verify_rest(load *l, titan_comm *world) {
  int64_t turn = 0, mine = titan_comm_rank(world), size = titan_comm_size(world);
  for (int64_t i = 0; i < l->file->slab_count; i++)
    if (!l->verified[i] && turn++ % size == mine)
      TITAN_TRY(titan_checkpoint_file_read_slab(l->file, i, NULL));
  return TITAN_OK;
}

static void clear_moments(titan_runtime *runtime) {
  for (int u = 0; u < titan_runtime_unit_count(runtime); u++) {
    const titan_unit *unit = titan_runtime_unit(runtime, u);
    memset(unit->exp_avg, 0, (size_t)unit->shard_elements * sizeof *unit->exp_avg);
    memset(unit->exp_avg_sq, 0, (size_t)unit->shard_elements * sizeof *unit->exp_avg_sq);
  }
}

// Collective; *fault is DAMAGED when it is the file's data that failed.
static titan_status load_tensors(load *l, titan_comm *world, const bool *wanted, titan_checkpoint_fault *fault) {
  titan_status status = titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, (size_t)l->file->slab_count,
                                                     sizeof *l->verified, &l->verified);
  TITAN_TRY(titan_comm_agree(world, status));
  *fault = TITAN_CHECKPOINT_DAMAGED;
  if (!wanted[TITAN_CHECKPOINT_EXP_AVG])
    clear_moments(l->runtime);
  status = titan_comm_agree(world, load_groups(l, wanted));
  if (status == TITAN_OK)
    status = titan_comm_all_reduce(world, l->verified, l->verified, (size_t)l->file->slab_count, TITAN_INT32, TITAN_MAX,
                                   NULL);
  if (status == TITAN_OK)
    status = titan_comm_agree(world, verify_rest(l, world));
  titan_memory_free(l->verified);
  if (status == TITAN_OK)
    *fault = TITAN_CHECKPOINT_SOUND;
  return status;
}

// The same on all ranks.
static titan_status check_step(const titan_checkpoint_file *file, int64_t step) {
  if (step < 0 || file->contents.step == step)
    return TITAN_OK;
  titan_status status = titan_error(TITAN_ERROR_CHECKPOINT,
                                    "%s is a checkpoint of step %lld, and its name says step %lld: rename it, or move "
                                    "it away",
                                    file->path, (long long)file->contents.step, (long long)step);
  titan_error_mark_agreed();
  return status;
}

static titan_status load_file(const titan_checkpoint_load_options *options, titan_comm *world,
                              const titan_checkpoint_file *file, titan_checkpoint_fault *fault) {
  bool moments = options->optimizer && titan_checkpoint_file_has(file, TITAN_CHECKPOINT_EXP_AVG);
  const bool wanted[TITAN_CHECKPOINT_GROUPS] = {true, moments, moments};
  titan_checkpoint_layout *layout = NULL;
  TITAN_TRY(check_step(file, options->step));
  titan_status status = titan_checkpoint_layout_create(options->runtime, false, &layout);
  if (status == TITAN_OK)
    status = titan_checkpoint_check_fit(file, titan_runtime_options_of(options->runtime), layout, wanted);
  status = titan_comm_agree(world, status);
  if (status == TITAN_OK) {
    load l = {.runtime = options->runtime, .file = file, .layout = layout};
    status = load_tensors(&l, world, wanted, fault);
  }
  titan_checkpoint_layout_destroy(&layout);
  return status;
}

// The compute copies follow from the masters.
static titan_status publish(titan_runtime *runtime) {
  titan_device *device = titan_runtime_device(runtime);
  titan_dtype dtype = titan_runtime_options_of(runtime)->shape.dtype;
  for (int u = 0; u < titan_runtime_unit_count(runtime); u++) {
    const titan_unit *unit = titan_runtime_unit(runtime, u);
    if (dtype != TITAN_FLOAT32)
      device->vector->convert(device, unit->shard_elements, unit->master, TITAN_FLOAT32, unit->compute, dtype);
  }
  return titan_runtime_publish(runtime);
}

titan_status titan_checkpoint_load(const titan_checkpoint_load_options *options, const char *path,
                                   titan_checkpoint_file **out, titan_checkpoint_fault *fault) {
  titan_comm *world = titan_mesh_comm(titan_runtime_mesh(options->runtime), TITAN_MESH_WORLD);
  TITAN_TRY(titan_checkpoint_file_open_shared(world, path, out, fault));
  titan_status status = load_file(options, world, *out, fault);
  if (status == TITAN_OK)
    status = publish(options->runtime);
  if (status != TITAN_OK)
    titan_checkpoint_file_close(out);
  return status;
}
