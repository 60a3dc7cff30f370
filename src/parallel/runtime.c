#include "parallel/runtime_private.h"

#include "base/log.h"
#include "parallel/tensor.h"

#include <string.h>

static titan_comm *shard_group(const titan_runtime *runtime) {
  return titan_mesh_comm(runtime->mesh, TITAN_MESH_DP_SHARD_CP);
}

static titan_comm *replicate_group(const titan_runtime *runtime) {
  return titan_mesh_comm(runtime->mesh, TITAN_MESH_DP_REPLICATE);
}

size_t titan_runtime_boundary_bytes(const titan_runtime *runtime, int unit) {
  const runtime_part *part = titan_runtime_part_of(runtime, unit);
  int x = part->at[WIRE_X];
  return x < 0 ? 0 : titan_tensor_bytes(&part->plan->externals[x].type);
}

size_t titan_runtime_largest_boundary(const titan_runtime *runtime) {
  size_t most = 0;
  for (int unit = 0; unit < runtime->unit_count; unit++) {
    size_t bytes = titan_runtime_boundary_bytes(runtime, unit);
    most = bytes > most ? bytes : most;
  }
  return most;
}

int64_t titan_runtime_layer_count(const titan_runtime *runtime) {
  int64_t count = 0;
  for (int unit = 0; unit < runtime->unit_count; unit++)
    count += titan_runtime_is_layer(runtime, unit);
  return count;
}

static size_t larger_scratch(const titan_plan *plan, size_t most) {
  for (int phase = 0; phase < TITAN_PHASES && plan != NULL; phase++)
    if (plan->phases[phase].scratch_bytes > most)
      most = plan->phases[phase].scratch_bytes;
  return most;
}

size_t titan_runtime_scratch_bytes(const titan_runtime *runtime) {
  size_t most = larger_scratch(runtime->constants.plan, 0);
  for (int kind = 0; kind < runtime->options.model->kind_count; kind++) {
    most = larger_scratch(runtime->parts[kind].plan, most);
    most = larger_scratch(runtime->others[kind].plan, most);
  }
  return most;
}

static titan_status create_part(titan_runtime *runtime, const titan_model_kind *kind, titan_compile_report *report,
                                runtime_part *out) {
  titan_graph *graph;
  TITAN_TRY(titan_runtime_graph_create(runtime, kind, report, &graph));
  return titan_runtime_part_create(runtime, kind, graph, NULL, out);
}

static titan_status plan(titan_runtime *runtime) {
  const titan_model_definition *model = runtime->options.model;
  int64_t units = titan_model_unit_count(model, &runtime->options.arguments);
  size_t count = (size_t)units, kinds = (size_t)model->kind_count;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, kinds, sizeof *runtime->parts, &runtime->parts));
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, kinds, sizeof *runtime->others, &runtime->others));
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, kinds, sizeof *runtime->compiled, &runtime->compiled));
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, count, sizeof(bool), &runtime->is_other));
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, count, sizeof *runtime->units, &runtime->units));
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, count, sizeof(void *), &runtime->saved));
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, count, sizeof(void *), &runtime->boundaries));
  runtime->unit_count = (int)units;
  if (model->constants != NULL)
    TITAN_TRY(create_part(runtime, model->constants, NULL, &runtime->constants));
  for (int kind = 0; kind < model->kind_count; kind++)
    if (!titan_model_kind_is_numbered(&model->kinds[kind])) // layers last: a budget is for what the rest leaves
      TITAN_TRY(create_part(runtime, &model->kinds[kind], &runtime->compiled[kind], &runtime->parts[kind]));
  return titan_runtime_blocks_create(runtime);
}

titan_status titan_runtime_lay_out(titan_runtime *runtime) {
  const titan_runtime_options *options = &runtime->options;
  titan_comm *shard = shard_group(runtime);
  TITAN_TRY(titan_runtime_wires_check(runtime));
  for (int unit = 0; unit < runtime->unit_count; unit++) {
    char prefix[TITAN_PREFIX_BYTES];
    titan_model_unit_prefix(options->model, &options->arguments, unit, prefix, sizeof prefix);
    titan_unit_lay_out(&runtime->units[unit], prefix, titan_runtime_part_of(runtime, unit)->plan,
                       titan_comm_rank(shard), titan_comm_size(shard));
  }
  return TITAN_OK;
}

titan_status titan_runtime_plan(const titan_runtime_options *options, titan_mesh *mesh, titan_device *device,
                                titan_runtime **out) {
  titan_runtime *runtime;
  *out = NULL;
  if (options->global_tokens < 1)
    return titan_error(TITAN_ERROR_INTERNAL, "a step of %lld counted tokens, expected at least 1",
                       (long long)options->global_tokens);
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, 1, sizeof *runtime, &runtime));
  runtime->options = *options;
  runtime->mesh = mesh;
  runtime->device = device;
  runtime->groups[TITAN_PLACEMENT_CP] = titan_mesh_comm(mesh, TITAN_MESH_CP);
  runtime->groups[TITAN_PLACEMENT_TP] = titan_mesh_comm(mesh, TITAN_MESH_TP);
  titan_status status = plan(runtime);
  if (status != TITAN_OK)
    titan_runtime_destroy(&runtime);
  *out = runtime;
  return status;
}

static size_t batch_bytes(const titan_runtime *runtime) {
  return (size_t)(runtime->options.shape.batch * runtime->options.shape.length) * sizeof(int32_t);
}

titan_runtime_memory titan_runtime_memory_of(const titan_runtime *runtime) {
  titan_runtime_memory memory = {0};
  size_t *by_tag = memory.by_tag,
         shards = (size_t)titan_units_shard_elements(runtime->unit_count, runtime->units) * sizeof(float);
  titan_dtype dtype = runtime->options.shape.dtype;
  titan_gather_bytes gather = titan_gather_bytes_of(shard_group(runtime), dtype, runtime->options.intra_node,
                                                    runtime->unit_count, runtime->units);
  by_tag[TITAN_MEMORY_PARAMETERS] = gather.gathered + (dtype == TITAN_FLOAT32 ? 0 : gather.shards);
  by_tag[TITAN_MEMORY_MASTERS] = dtype == TITAN_FLOAT32 ? gather.shards : shards;
  by_tag[TITAN_MEMORY_OPTIMIZER] = 2 * shards;
  by_tag[TITAN_MEMORY_GRADIENTS] = titan_reduce_bytes_of(shard_group(runtime), runtime->unit_count, runtime->units);
  by_tag[TITAN_MEMORY_ACTIVATIONS] = titan_runtime_constants_bytes(runtime);
  for (int unit = 0; unit < runtime->unit_count; unit++) {
    size_t saved = titan_runtime_part_of(runtime, unit)->plan->saved_bytes;
    by_tag[TITAN_MEMORY_ACTIVATIONS] += saved + titan_runtime_boundary_bytes(runtime, unit);
    memory.chosen += titan_runtime_is_layer(runtime, unit) ? saved : 0;
  }
  memory.chosen += titan_runtime_scratch_bytes(runtime);
  by_tag[TITAN_MEMORY_SCRATCH] = titan_runtime_scratch_bytes(runtime) + 2 * titan_runtime_largest_boundary(runtime);
  by_tag[TITAN_MEMORY_COMMUNICATION] = titan_runtime_communication_bytes(runtime);
  by_tag[TITAN_MEMORY_BATCH] = 2 * batch_bytes(runtime) + 2 * sizeof(float);
  for (int tag = 0; tag < TITAN_MEMORY_TAG_COUNT; tag++)
    memory.total += by_tag[tag];
  return memory;
}

static titan_status allocate_states(titan_runtime *runtime) {
  titan_device *device = runtime->device;
  int64_t elements = titan_units_shard_elements(runtime->unit_count, runtime->units);
  size_t bytes = (size_t)elements * sizeof(float);
  bool own_masters = runtime->options.shape.dtype != TITAN_FLOAT32;
  TITAN_TRY(device->allocate(device, TITAN_MEMORY_OPTIMIZER, bytes, &runtime->exp_avg));
  TITAN_TRY(device->allocate(device, TITAN_MEMORY_OPTIMIZER, bytes, &runtime->exp_avg_sq));
  device->vector->fill(device, elements, runtime->exp_avg, 0);
  device->vector->fill(device, elements, runtime->exp_avg_sq, 0);
  if (own_masters) {
    TITAN_TRY(device->allocate(device, TITAN_MEMORY_MASTERS, bytes, &runtime->masters));
    device->vector->fill(device, elements, runtime->masters, 0);
  }
  int64_t first = 0;
  for (int i = 0; i < runtime->unit_count; i++) {
    titan_unit *unit = &runtime->units[i];
    unit->exp_avg = runtime->exp_avg + first;
    unit->exp_avg_sq = runtime->exp_avg_sq + first;
    if (own_masters)
      unit->master = runtime->masters + first;
    first += unit->shard_elements;
  }
  return TITAN_OK;
}

static titan_status allocate_activations(titan_runtime *runtime) {
  titan_device *device = runtime->device;
  for (int i = 0; i < runtime->unit_count; i++) {
    size_t saved = titan_runtime_part_of(runtime, i)->plan->saved_bytes;
    size_t boundary = titan_runtime_boundary_bytes(runtime, i);
    if (saved > 0)
      TITAN_TRY(device->allocate(device, TITAN_MEMORY_ACTIVATIONS, saved, &runtime->saved[i]));
    if (boundary > 0)
      TITAN_TRY(device->allocate(device, TITAN_MEMORY_ACTIVATIONS, boundary, &runtime->boundaries[i]));
  }
  TITAN_TRY(titan_runtime_constants_allocate(runtime));
  TITAN_TRY(device->allocate(device, TITAN_MEMORY_SCRATCH, titan_runtime_scratch_bytes(runtime), &runtime->scratch));
  for (int i = 0; i < 2; i++)
    TITAN_TRY(device->allocate(device, TITAN_MEMORY_SCRATCH, titan_runtime_largest_boundary(runtime),
                               &runtime->gradients[i]));
  TITAN_TRY(device->allocate(device, TITAN_MEMORY_BATCH, batch_bytes(runtime), &runtime->tokens));
  TITAN_TRY(device->allocate(device, TITAN_MEMORY_BATCH, batch_bytes(runtime), &runtime->labels));
  TITAN_TRY(device->allocate(device, TITAN_MEMORY_BATCH, sizeof(float), &runtime->loss));
  TITAN_TRY(device->allocate(device, TITAN_MEMORY_BATCH, sizeof(float), &runtime->d_loss));
  *runtime->d_loss = (float)(1.0 / (double)runtime->options.global_tokens); // the sum of losses becomes their mean
  return TITAN_OK;
}

static titan_status prepare_kernels(titan_runtime *runtime) {
  for (int unit = 0; unit < runtime->unit_count; unit++)
    TITAN_TRY(titan_executable_prepare(titan_runtime_part_of(runtime, unit)->executable));
  return runtime->constants.graph == NULL ? TITAN_OK : titan_executable_prepare(runtime->constants.executable);
}

static titan_status compute_constants(titan_runtime *runtime) {
  const runtime_part *part = &runtime->constants;
  if (part->graph == NULL)
    return TITAN_OK;
  titan_bindings bindings = {.scratch = runtime->scratch, .externals = part->externals, .groups = runtime->groups};
  return titan_executable_run(part->executable, TITAN_FORWARD, &bindings, NULL);
}

// Collective; fails alike on all ranks, leaving neither.
static titan_status create_exchange(titan_runtime *runtime) {
  titan_comm *world = titan_mesh_comm(runtime->mesh, TITAN_MESH_WORLD);
  const titan_runtime_options *options = &runtime->options;
  titan_status status = titan_gather_create(shard_group(runtime), runtime->device, options->shape.dtype,
                                            options->intra_node, runtime->unit_count, runtime->units, &runtime->gather);
  status = titan_comm_agree(world, status);
  if (status == TITAN_OK) {
    status = titan_reduce_create(shard_group(runtime), replicate_group(runtime), runtime->device, options->intra_node,
                                 runtime->unit_count, runtime->units, &runtime->reduce);
    status = titan_comm_agree(world, status);
  }
  if (status == TITAN_OK)
    status = titan_comm_agree(world, titan_runtime_stage(runtime));
  if (status != TITAN_OK) {
    titan_runtime_unstage(runtime);
    titan_reduce_destroy(&runtime->reduce);
    titan_gather_destroy(&runtime->gather);
  }
  return status;
}

titan_status titan_runtime_allocate(titan_runtime *runtime) {
  titan_comm *world = titan_mesh_comm(runtime->mesh, TITAN_MESH_WORLD);
  // Local allocations first, agreed on, so that no rank enters the collective ones alone.
  titan_status status = allocate_states(runtime);
  if (status == TITAN_OK)
    status = allocate_activations(runtime);
  if (status == TITAN_OK)
    status = prepare_kernels(runtime);
  if (status == TITAN_OK)
    status = titan_runtime_reserve(runtime);
  TITAN_TRY(titan_comm_agree(world, status));
  status = create_exchange(runtime);
  if (status == TITAN_ERROR_MEMORY && runtime->options.intra_node == TITAN_INTRA_NODE_AUTO) {
    // Containers often have a small /dev/shm. Every rank came to the same end.
    if (titan_comm_rank(world) == 0)
      titan_log_warning("going without shared memory inside the node: %s", titan_error_message());
    runtime->options.intra_node = TITAN_INTRA_NODE_MPI;
    TITAN_TRY(titan_comm_agree(world, titan_runtime_reserve(runtime)));
    status = create_exchange(runtime);
  }
  TITAN_TRY(status);
  return compute_constants(runtime);
}

void titan_runtime_destroy(titan_runtime **runtime) {
  titan_runtime *r = *runtime;
  if (r == NULL)
    return;
  titan_device *device = r->device;
  titan_runtime_unstage(r);
  titan_gather_destroy(&r->gather);
  titan_reduce_destroy(&r->reduce);
  for (int i = 0; i < r->unit_count; i++) {
    if (r->saved != NULL)
      device->free(device, r->saved[i]);
    if (r->boundaries != NULL)
      device->free(device, r->boundaries[i]);
  }
  for (int i = 0; r->constants.externals != NULL && i < r->constants.plan->external_count; i++)
    device->free(device, r->constants.externals[i]);
  void *const buffers[] = {r->scratch,    r->gradients[0], r->gradients[1], r->masters, r->exp_avg,
                           r->exp_avg_sq, r->tokens,       r->labels,       r->loss,    r->d_loss};
  for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
    device->free(device, buffers[i]);
  for (int kind = 0; kind < r->options.model->kind_count; kind++) {
    if (r->parts != NULL)
      titan_runtime_part_destroy(&r->parts[kind]);
    if (r->others != NULL)
      titan_runtime_part_destroy(&r->others[kind]);
  }
  titan_runtime_part_destroy(&r->constants);
  titan_runtime_part_destroy(&r->logits);
  titan_memory_free(r->parts);
  titan_memory_free(r->others);
  titan_memory_free(r->compiled);
  titan_memory_free(r->is_other);
  titan_memory_free(r->units);
  titan_memory_free(r->saved);
  titan_memory_free(r->boundaries);
  titan_memory_free(r);
  *runtime = NULL;
}

titan_status titan_runtime_publish(titan_runtime *runtime) {
  return titan_gather_publish(runtime->gather);
}

int32_t *titan_runtime_tokens(titan_runtime *runtime) {
  return runtime->tokens;
}
int32_t *titan_runtime_labels(titan_runtime *runtime) {
  return runtime->labels;
}
int titan_runtime_unit_count(const titan_runtime *runtime) {
  return runtime->unit_count;
}
titan_unit *titan_runtime_unit(titan_runtime *runtime, int unit) {
  return &runtime->units[unit];
}
titan_mesh *titan_runtime_mesh(titan_runtime *runtime) {
  return runtime->mesh;
}
titan_device *titan_runtime_device(titan_runtime *runtime) {
  return runtime->device;
}
const titan_runtime_options *titan_runtime_options_of(const titan_runtime *runtime) {
  return &runtime->options;
}
const char *titan_runtime_gathering(const titan_runtime *runtime) {
  return titan_gather_description(runtime->gather);
}
const titan_graph *titan_runtime_constants(const titan_runtime *runtime) {
  return runtime->constants.graph;
}
