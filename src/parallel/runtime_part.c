#include "parallel/async_tensor.h"
#include "parallel/runtime_private.h"
#include "parallel/tensor.h"

static const char *const wire_names[WIRES] = {
    [WIRE_TOKENS] = "tokens", [WIRE_LABELS] = "labels", [WIRE_X] = "x",
    [WIRE_Y] = "y",           [WIRE_LOSS] = "loss",     [WIRE_LOGITS] = "logits",
    [WIRE_D_Y] = "d(y)",      [WIRE_D_X] = "d(x)",      [WIRE_D_LOSS] = "d(loss)",
};

// The passes over one kind's graph, in order: tensor parallelism, fusing, differentiation, and what tensor parallelism
// does after it.
titan_status titan_runtime_graph_create(const titan_runtime *runtime, const titan_model_kind *kind,
                                        titan_compile_report *report, titan_graph **out) {
  const titan_runtime_options *options = &runtime->options;
  titan_comm *tp = titan_mesh_comm(runtime->mesh, TITAN_MESH_TP);
  titan_tensor_options tensor = {titan_comm_size(tp), titan_comm_rank(tp), options->loss_parallel};
  titan_graph *graph = NULL;
  titan_status status = titan_graph_create(kind->name, &graph);
  TITAN_TRY_CLEANUP(status);
  TITAN_TRY_CLEANUP(kind->build(&options->arguments, &options->shape, graph));
  if (tensor.ranks > 1) {
    titan_graph *logical = graph;
    graph = NULL;
    status = titan_tensor_parallel_apply(logical, &tensor, &graph);
    titan_graph_destroy(&logical);
    TITAN_TRY_CLEANUP(status);
  }
  if (options->compile) {
    titan_graph *plain = graph;
    graph = NULL;
    status = titan_compile_apply(plain, &graph, report);
    titan_graph_destroy(&plain);
    TITAN_TRY_CLEANUP(status);
  }
  if (kind->differentiate != NULL) {
    TITAN_TRY_CLEANUP(titan_graph_differentiate(graph, titan_graph_find(graph, kind->differentiate)));
    if (options->compile)
      TITAN_TRY_CLEANUP(titan_compile_backward(graph));
    if (tensor.ranks > 1)
      TITAN_TRY_CLEANUP(titan_tensor_parallel_finish(graph, &tensor, kind->merged));
  }
cleanup:
  if (status != TITAN_OK)
    titan_graph_destroy(&graph);
  *out = graph;
  return status;
}

titan_status titan_runtime_part_create(titan_runtime *runtime, const titan_model_kind *kind, titan_graph *graph,
                                       const bool *keep, runtime_part *out) {
  out->graph = graph;
  if (keep != NULL)
    TITAN_TRY(titan_activation_checkpoint_apply(graph, keep));
  if (runtime->options.async_tensor)
    TITAN_TRY(titan_async_tensor_apply(graph));
  TITAN_TRY(titan_executable_create(runtime->device, graph, kind->merged, &out->executable));
  out->plan = titan_executable_plan(out->executable);
  for (int wire = 0; wire < WIRES; wire++)
    out->at[wire] = titan_plan_external_find(out->plan, wire_names[wire]);
  return titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, (size_t)out->plan->external_count + 1, sizeof(void *),
                                      &out->externals);
}

void titan_runtime_part_destroy(runtime_part *part) {
  titan_memory_free(part->externals);
  titan_executable_destroy(&part->executable);
  titan_graph_destroy(&part->graph);
  *part = (runtime_part){0};
}

// --- wires ---

static bool is_wire(const runtime_part *part, int external) {
  bool found = false;
  for (int wire = 0; wire < WIRES; wire++)
    found |= part->at[wire] == external;
  return found;
}

static bool same_type(const titan_tensor_type *a, const titan_tensor_type *b) {
  bool same = a->dtype == b->dtype && a->rank == b->rank;
  for (int i = 0; same && i < a->rank; i++)
    same = a->dims[i] == b->dims[i];
  return same;
}

static titan_status check_constants(const titan_runtime *runtime, const runtime_part *part, const char *name) {
  const titan_plan *constants = runtime->constants.plan;
  for (int i = 0; i < part->plan->external_count; i++) {
    const titan_plan_external *external = &part->plan->externals[i];
    int at = constants == NULL ? -1 : titan_plan_external_find(constants, external->name);
    if (is_wire(part, i))
      continue;
    if (at < 0)
      return titan_error(TITAN_ERROR_INTERNAL,
                         "model %s: %s has %s, expected a wire (tokens, labels, x, y, loss) or one of the constants",
                         runtime->options.model->name, name, external->name);
    if (external->written || !same_type(&external->type, &constants->externals[at].type))
      return titan_error(TITAN_ERROR_INTERNAL, "model %s: %s of %s is not of the constant's type",
                         runtime->options.model->name, external->name, name);
  }
  return TITAN_OK;
}

// The place of a wire in a unit's plan, as its type; NULL where it has none.
static const titan_tensor_type *wire_of(const titan_runtime *runtime, int unit, runtime_wire wire) {
  const runtime_part *part = titan_runtime_part_of(runtime, unit);
  return part->at[wire] < 0 ? NULL : &part->plan->externals[part->at[wire]].type;
}

titan_status titan_runtime_wires_check(const titan_runtime *runtime) {
  const titan_model_definition *model = runtime->options.model;
  int last = runtime->unit_count - 1;
  for (int unit = 0; unit <= last; unit++) {
    char name[TITAN_NAME_BYTES];
    titan_model_unit_name(model, &runtime->options.arguments, unit, name, sizeof name);
    const titan_tensor_type *x = wire_of(runtime, unit, WIRE_X), *y = wire_of(runtime, unit, WIRE_Y);
    const titan_tensor_type *before = unit == 0 ? NULL : wire_of(runtime, unit - 1, WIRE_Y);
    TITAN_TRY(check_constants(runtime, titan_runtime_part_of(runtime, unit), name));
    if ((x == NULL) != (unit == 0) || (x != NULL && (before == NULL || !same_type(x, before))))
      return titan_error(TITAN_ERROR_INTERNAL, "model %s: x of %s is not the y of the unit before it", model->name,
                         name);
    if ((y == NULL) != (unit == last) || (wire_of(runtime, unit, WIRE_LOSS) != NULL) != (unit == last) ||
        model->kinds[titan_runtime_kind_of(runtime, unit)].merged != (unit == last))
      return titan_error(TITAN_ERROR_INTERNAL,
                         "model %s: %s, expected y of every unit but the last, which gives loss and is merged",
                         model->name, name);
  }
  return TITAN_OK;
}

// --- constants ---

size_t titan_runtime_constants_bytes(const titan_runtime *runtime) {
  const titan_plan *plan = runtime->constants.plan;
  size_t bytes = 0;
  for (int i = 0; plan != NULL && i < plan->external_count; i++)
    bytes += titan_tensor_bytes(&plan->externals[i].type);
  return bytes;
}

static void bind_constants(const titan_runtime *runtime, runtime_part *part) {
  for (int i = 0; part->plan != NULL && i < part->plan->external_count; i++)
    if (!is_wire(part, i))
      part->externals[i] =
          runtime->constants
              .externals[titan_plan_external_find(runtime->constants.plan, part->plan->externals[i].name)];
}

titan_status titan_runtime_constants_allocate(titan_runtime *runtime) {
  titan_device *device = runtime->device;
  const runtime_part *constants = &runtime->constants;
  for (int i = 0; constants->plan != NULL && i < constants->plan->external_count; i++)
    TITAN_TRY(device->allocate(device, TITAN_MEMORY_ACTIVATIONS,
                               titan_tensor_bytes(&constants->plan->externals[i].type), &constants->externals[i]));
  for (int kind = 0; kind < runtime->options.model->kind_count; kind++) {
    bind_constants(runtime, &runtime->parts[kind]);
    bind_constants(runtime, &runtime->others[kind]);
  }
  return TITAN_OK;
}

titan_status titan_runtime_logits_create(titan_runtime *runtime) {
  const titan_model_definition *model = runtime->options.model;
  titan_graph *graph;
  if (runtime->logits.graph != NULL)
    return TITAN_OK;
  if (model->logits == NULL)
    return titan_error(TITAN_ERROR_USAGE, "model %s offers no logits", model->name);
  TITAN_TRY(titan_runtime_graph_create(runtime, model->logits, NULL, &graph));
  TITAN_TRY(titan_runtime_part_create(runtime, model->logits, graph, NULL, &runtime->logits));
  TITAN_TRY(check_constants(runtime, &runtime->logits, model->logits->name));
  bind_constants(runtime, &runtime->logits);
  return TITAN_OK;
}
