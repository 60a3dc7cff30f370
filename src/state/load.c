// SPDX-License-Identifier: Apache-2.0
#include "state/load.h"

#include "checkpoint/share.h"
#include "checkpoint/tiles.h"
#include "state/fit.h"

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
  int64_t *copies; // [tensors of the file]: how often each element is read and added up; 0: not at all
  titan_checkpoint_sums sums;
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

static titan_status add_rectangle(load *l, const titan_checkpoint_rectangle *r, int kept, float *shard) {
  int tensor = titan_checkpoint_file_find(l->file, l->layout->kept[kept], l->layout->parameters[r->parameter].name);
  const target to = {r, l->file->tensors[tensor].number, shard};
  const titan_checkpoint_section section = {tensor, r->row, r->rows, r->column, r->columns};
  return add_section(l, &section, &to);
}

// Elements into the shard, and into the sums of their tiles.
static titan_status use_piece(void *context, const titan_checkpoint_piece *p) {
  load *l = context;
  const target *to = &l->targets[p->section];
  const titan_checkpoint_rectangle *r = to->rectangle;
  for (int64_t i = 0; i < p->rows; i++)
    titan_number_to_float(to->number, p->columns, p->elements + (size_t)i * p->pitch,
                          to->shard + r->first_in_shard + (p->row + i - r->row) * r->stride + (p->column - r->column));
  if (l->file->tile_bytes == 0)
    return TITAN_OK;
  return titan_checkpoint_sums_add(&l->sums, &l->file->tensors[l->sections[p->section].tensor], p->row, p->rows,
                                   p->column, p->columns, p->elements, p->pitch);
}

static titan_status read_sections(load *l) {
  return titan_checkpoint_file_read_sections(l->file, l->sections, l->count, use_piece, l, &l->fault);
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

static bool is_left_to_me(void *context, int64_t tensor) {
  load *l = context;
  return l->copies[tensor] == 0 && l->turn++ % l->ranks == l->mine;
}

// The checksums of tensors that were not added up, as they are not loaded, or the file is of version 1, are dealt out,
// and the tensors read for them alone.
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

static titan_status prepare(load *l, int count) {
  const titan_checkpoint_layout *layout = l->layout;
  l->sums.tile_bytes = l->file->tile_bytes;
  TITAN_TRY(
      titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, (size_t)l->file->tensor_count, sizeof *l->copies, &l->copies));
  if (l->file->tile_bytes == 0)
    return TITAN_OK;
  for (int kept = 0; kept < count; kept++)
    for (int p = 0; p < layout->parameter_count; p++)
      l->copies[titan_checkpoint_file_find(l->file, layout->kept[kept], layout->parameters[p].name)] =
          layout->copies[p];
  return titan_checkpoint_sums_reserve(&l->sums, titan_checkpoint_layout_sums(layout, l->file->tile_bytes));
}

// Collective. What the ranks have read, all of them together, is what the file's checksums are of.
static titan_status check_sums(load *l, titan_comm *world) {
  titan_checkpoint_fault found;
  if (l->file->tile_bytes == 0)
    return TITAN_OK;
  titan_status status = titan_checkpoint_sums_check(&l->sums, l->file, l->copies, titan_comm_mpi(world), &found);
  int32_t kind = (int32_t)found;
  TITAN_TRY(titan_comm_broadcast(world, &kind, 1, TITAN_INT32, 0, NULL));
  l->fault = (titan_checkpoint_fault)kind;
  return status;
}

// Collective; *fault tells whether the file's data failed, or reading it.
static titan_status load_tensors(load *l, titan_comm *world, int count, titan_checkpoint_fault *fault) {
  titan_status status = titan_comm_agree(world, prepare(l, count));
  l->fault = TITAN_CHECKPOINT_SYSTEM;
  if (status == TITAN_OK && count == 1)
    status = clear_states(l->runtime);
  status = agree_on_fault(l, world, status == TITAN_OK ? load_groups(l, count) : status);
  if (status == TITAN_OK)
    status = check_sums(l, world);
  if (status == TITAN_OK)
    status = agree_on_fault(l, world, verify_rest(l, world));
  titan_checkpoint_sums_destroy(&l->sums);
  titan_memory_free(l->copies);
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
