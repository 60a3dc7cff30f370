// SPDX-License-Identifier: Apache-2.0
#include "state/load.h"

#include "base/integer.h"
#include "checkpoint/share.h"
#include "state/fit.h"

#include <string.h>

// --- loading ---

// A section of the file, and where it goes.
typedef struct target {
  const titan_checkpoint_rectangle *rectangle;
  titan_number number; // in the file
  float *shard;
} target;

typedef struct load {
  titan_runtime *runtime;
  const titan_checkpoint_file *file;
  const titan_checkpoint_layout *layout;
  int32_t *verified; // [slab_count]
  int64_t count, capacity;
  titan_checkpoint_section *sections;
  target *targets;
  int64_t turn, mine, ranks; // of verify_rest
  titan_checkpoint_fault fault;
} load;

static titan_status add_section(load *l, const titan_checkpoint_section *section, const target *to) {
  if (l->count == l->capacity) {
    l->capacity = l->capacity > 0 ? 2 * l->capacity : 1024;
    TITAN_TRY(titan_memory_resize(TITAN_MEMORY_GENERAL, (size_t)l->capacity * sizeof *l->sections, &l->sections));
    TITAN_TRY(titan_memory_resize(TITAN_MEMORY_GENERAL, (size_t)l->capacity * sizeof *l->targets, &l->targets));
  }
  l->sections[l->count] = *section;
  l->targets[l->count++] = *to;
  return TITAN_OK;
}

// What of a slab lies in the rectangle.
static titan_status add_slab(load *l, int64_t index, const target *to) {
  const titan_checkpoint_slab *slab = &l->file->slabs[index];
  const titan_checkpoint_rectangle *r = to->rectangle;
  int64_t row = titan_greater(slab->row, r->row), end_row = titan_lesser(slab->row + slab->rows, r->row + r->rows);
  int64_t column = titan_greater(slab->column, r->column),
          end_column = titan_lesser(slab->column + slab->columns, r->column + r->columns);
  if (row >= end_row || column >= end_column)
    return TITAN_OK;
  titan_checkpoint_section section = {slab->tensor, row, end_row - row, column, end_column - column, -1};
  if (section.rows == slab->rows && section.columns == slab->columns) {
    section.slab = index;
    l->verified[index] = 1;
  }
  return add_section(l, &section, to);
}

static titan_status add_rectangle(load *l, const titan_checkpoint_rectangle *r, int kept, float *shard) {
  const titan_checkpoint_file *file = l->file;
  int tensor = titan_checkpoint_file_find(file, l->layout->kept[kept], l->layout->parameters[r->parameter].name);
  const target to = {r, file->tensors[tensor].number, shard};
  int64_t first = 0, end = file->slab_count; // the slabs are sorted by tensor
  while (first < end) {
    int64_t middle = first + (end - first) / 2;
    if (file->slabs[middle].tensor < tensor)
      first = middle + 1;
    else
      end = middle;
  }
  for (; first < file->slab_count && file->slabs[first].tensor == tensor; first++)
    TITAN_TRY(add_slab(l, first, &to));
  return TITAN_OK;
}

// Elements of a row of the tensor into the shard.
static void use_elements(void *context, int64_t section, int64_t row, int64_t column, int64_t count,
                         const void *elements) {
  const target *to = &((const load *)context)->targets[section];
  const titan_checkpoint_rectangle *r = to->rectangle;
  titan_number_to_float(to->number, count, elements,
                        to->shard + r->first_in_shard + (row - r->row) * r->stride + (column - r->column));
}

static titan_status read_sections(load *l) {
  return titan_checkpoint_file_read_sections(l->file, l->sections, l->count, use_elements, l, &l->fault);
}

// One shard, through a copy where the device's memory is apart.
static titan_status load_shard(load *l, int kept, int unit) {
  const titan_unit *u = titan_runtime_unit(l->runtime, unit);
  titan_shard_view view;
  titan_status status = TITAN_OK;
  l->count = 0;
  TITAN_TRY(titan_shard_view_open(titan_runtime_optimizer_device(l->runtime), titan_checkpoint_shard(u, kept),
                                  u->shard_elements, TITAN_ACCESS_UPDATE, TITAN_MEMORY_GENERAL, &view));
  for (int64_t i = 0; i < l->layout->rectangle_count && status == TITAN_OK; i++)
    if (l->layout->rectangles[i].unit == unit)
      status = add_rectangle(l, &l->layout->rectangles[i], kept, view.values);
  if (status == TITAN_OK)
    status = read_sections(l);
  titan_status closed = titan_shard_view_close(&view);
  return status != TITAN_OK ? status : closed;
}

// The first `count` of what is kept: all at once, or where the device's memory is apart shard by shard.
static titan_status load_groups(load *l, int count) {
  bool copies = titan_shard_view_copies(titan_runtime_optimizer_device(l->runtime));
  for (int kept = 0; kept < count; kept++) {
    for (int unit = 0; copies && unit < titan_runtime_unit_count(l->runtime); unit++)
      if (titan_runtime_holds(l->runtime, unit))
        TITAN_TRY(load_shard(l, kept, unit));
    for (int64_t i = 0; !copies && i < l->layout->rectangle_count; i++) {
      const titan_checkpoint_rectangle *r = &l->layout->rectangles[i];
      TITAN_TRY(add_rectangle(l, r, kept, titan_checkpoint_shard(titan_runtime_unit(l->runtime, r->unit), kept)));
    }
  }
  return copies ? TITAN_OK : read_sections(l);
}

static bool is_left_to_me(void *context, int64_t slab) {
  load *l = context;
  return !l->verified[slab] && l->turn++ % l->ranks == l->mine;
}

// Slabs that no rank has read as a whole are dealt out and read for their checksums alone.
static titan_status verify_rest(load *l, titan_comm *world) {
  l->mine = titan_comm_rank(world);
  l->ranks = titan_comm_size(world);
  return titan_checkpoint_file_verify(l->file, is_left_to_me, l, &l->fault);
}

static titan_status clear_states(titan_runtime *runtime) {
  titan_device *device = titan_runtime_optimizer_device(runtime);
  for (int u = 0; u < titan_runtime_unit_count(runtime); u++) {
    const titan_unit *unit = titan_runtime_unit(runtime, u);
    for (int slot = 0; slot < titan_runtime_options_of(runtime)->slot_count; slot++)
      TITAN_TRY(device->vector->fill(device, unit->shard_elements, unit->slots[slot], 0));
  }
  return TITAN_OK;
}

// Collective. Where one rank found damage, and another one could not read, the latter speaks: nobody knows then what
// the file holds. l->fault becomes alike on all ranks.
static titan_status agree_on_fault(load *l, titan_comm *world, titan_status status) {
  int32_t mine = status == TITAN_OK ? TITAN_CHECKPOINT_SOUND : (int32_t)l->fault, worst = mine;
  TITAN_TRY(titan_comm_all_reduce(world, &mine, &worst, 1, TITAN_INT32, TITAN_MAX, NULL));
  l->fault = (titan_checkpoint_fault)worst;
  return titan_comm_agree(world, mine == worst ? status : TITAN_OK);
}

// Collective; *fault tells whether the file's data failed, or reading it.
static titan_status load_tensors(load *l, titan_comm *world, int count, titan_checkpoint_fault *fault) {
  titan_status status = titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, (size_t)l->file->slab_count,
                                                     sizeof *l->verified, &l->verified);
  TITAN_TRY(titan_comm_agree(world, status));
  l->fault = TITAN_CHECKPOINT_SYSTEM;
  if (count == 1)
    status = clear_states(l->runtime);
  status = agree_on_fault(l, world, status == TITAN_OK ? load_groups(l, count) : status);
  if (status == TITAN_OK)
    status = titan_comm_all_reduce(world, l->verified, l->verified, (size_t)l->file->slab_count, TITAN_INT32, TITAN_MAX,
                                   NULL);
  if (status == TITAN_OK)
    status = agree_on_fault(l, world, verify_rest(l, world));
  titan_memory_free(l->verified);
  titan_memory_free(l->sections);
  titan_memory_free(l->targets);
  *fault = l->fault;
  return status;
}

// The same on all ranks.
static titan_status check_step(const titan_checkpoint_file *file, int64_t step) {
  if (step < 0 || file->contents.step == step)
    return TITAN_OK;
  titan_status status = titan_error(TITAN_ERROR_CHECKPOINT,
                                    "%s is a checkpoint of step %lld, but its name has step %lld: rename it, or move "
                                    "it away",
                                    file->path, (long long)file->contents.step, (long long)step);
  titan_error_mark_agreed();
  return status;
}

static titan_status load_file(const titan_checkpoint_load_options *options, titan_comm *world,
                              const titan_checkpoint_file *file, titan_checkpoint_fault *fault) {
  titan_checkpoint_layout *layout = NULL;
  int count = 1;
  TITAN_TRY(check_step(file, options->step));
  titan_status status = titan_checkpoint_layout_create(options->runtime, false, &layout);
  if (status == TITAN_OK && options->optimizer && titan_checkpoint_has_states(file, options->runtime))
    count = layout->kept_count;
  if (status == TITAN_OK)
    status = titan_checkpoint_check_fit(file, titan_runtime_options_of(options->runtime), layout, count);
  status = titan_comm_agree(world, status);
  if (status == TITAN_OK) {
    load l = {.runtime = options->runtime, .file = file, .layout = layout};
    status = load_tensors(&l, world, count, fault);
  }
  titan_checkpoint_layout_destroy(&layout);
  return status;
}

titan_status titan_checkpoint_load(const titan_checkpoint_load_options *options, const char *path,
                                   titan_checkpoint_file **out, titan_checkpoint_fault *fault) {
  titan_comm *world = titan_mesh_comm(titan_runtime_mesh(options->runtime), TITAN_MESH_WORLD);
  TITAN_TRY(titan_checkpoint_file_open_shared(world, path, out, fault));
  (*out)->piece = options->piece;
  titan_status status = load_file(options, world, *out, fault);
  if (status == TITAN_OK)
    status = titan_runtime_publish_masters(options->runtime);
  if (status != TITAN_OK)
    titan_checkpoint_file_close(out);
  return status;
}
