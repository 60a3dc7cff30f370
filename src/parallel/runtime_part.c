#include "parallel/async_tensor.h"
#include "parallel/runtime_private.h"
#include "parallel/tensor.h"

static const struct {
  const char *name, *differentiate; // the output that gradients start from; NULL: forward only
  bool merge_phases;
} part_rows[TITAN_PARTS] = {
    [TITAN_PART_EMBEDDING] = {"embedding", "y", false}, [TITAN_PART_BLOCK] = {"block", "y", false},
    [TITAN_PART_HEAD] = {"head", "loss", true},         [TITAN_PART_SETUP] = {"setup", NULL, false},
    [TITAN_PART_LOGITS] = {"logits", NULL, false},
};

// The passes over one part, in order: tensor parallelism, fusing, differentiation, and what tensor parallelism does
// after it.
titan_status titan_runtime_graph_create(titan_runtime *runtime, titan_part part, titan_graph **out) {
  const titan_runtime_options *options = &runtime->options;
  titan_comm *tp = titan_mesh_comm(runtime->mesh, TITAN_MESH_TP);
  titan_tensor_options tensor = {titan_comm_size(tp), titan_comm_rank(tp), options->loss_parallel};
  titan_graph *graph = NULL;
  titan_status status = titan_graph_create(part_rows[part].name, &graph);
  TITAN_TRY_CLEANUP(status);
  TITAN_TRY_CLEANUP(options->model->build(&options->arguments, &options->shape, part, graph));
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
    status = titan_compile_apply(plain, &graph, &runtime->compiled[part]);
    titan_graph_destroy(&plain);
    TITAN_TRY_CLEANUP(status);
  }
  if (part_rows[part].differentiate != NULL) {
    TITAN_TRY_CLEANUP(titan_graph_differentiate(graph, titan_graph_find(graph, part_rows[part].differentiate)));
    if (options->compile)
      TITAN_TRY_CLEANUP(titan_compile_backward(graph));
    if (tensor.ranks > 1)
      TITAN_TRY_CLEANUP(titan_tensor_parallel_finish(graph, &tensor, part_rows[part].merge_phases));
  }
cleanup:
  if (status != TITAN_OK)
    titan_graph_destroy(&graph);
  *out = graph;
  return status;
}

static void find_externals(runtime_part *part) {
  const titan_plan *plan = part->plan;
  part->at.tokens = titan_plan_external_find(plan, "tokens");
  part->at.labels = titan_plan_external_find(plan, "labels");
  part->at.x = titan_plan_external_find(plan, "x");
  part->at.y = titan_plan_external_find(plan, "y");
  part->at.loss = titan_plan_external_find(plan, "loss");
  part->at.logits = titan_plan_external_find(plan, "logits");
  part->at.rope_table = titan_plan_external_find(plan, "rope_table");
  part->at.d_y = titan_plan_external_find(plan, "d(y)");
  part->at.d_x = titan_plan_external_find(plan, "d(x)");
  part->at.d_loss = titan_plan_external_find(plan, "d(loss)");
}

titan_status titan_runtime_part_create(titan_runtime *runtime, titan_part part, titan_graph *graph, const bool *keep,
                                       runtime_part *out) {
  out->graph = graph;
  if (keep != NULL)
    TITAN_TRY(titan_activation_checkpoint_apply(graph, keep));
  if (runtime->options.async_tensor)
    TITAN_TRY(titan_async_tensor_apply(graph));
  TITAN_TRY(titan_executable_create(runtime->device, graph, part_rows[part].merge_phases, &out->executable));
  out->plan = titan_executable_plan(out->executable);
  find_externals(out);
  return titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, (size_t)out->plan->external_count + 1, sizeof(void *),
                                      &out->externals);
}

void titan_runtime_part_destroy(runtime_part *part) {
  titan_memory_free(part->externals);
  titan_executable_destroy(&part->executable);
  titan_graph_destroy(&part->graph);
  *part = (runtime_part){0};
}
