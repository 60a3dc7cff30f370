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

// The passes over one part, in order: tensor parallelism, differentiation, and what tensor parallelism does after it.
static titan_status make_graph(titan_runtime *runtime, titan_part part, titan_graph **out) {
  const titan_runtime_options *options = &runtime->options;
  titan_comm *tp = titan_mesh_comm(runtime->mesh, TITAN_MESH_TP);
  titan_tensor_options tensor = {titan_comm_size(tp), titan_comm_rank(tp), options->loss_parallel};
  TITAN_TRY(titan_graph_create(part_rows[part].name, out));
  TITAN_TRY(options->model->build(&options->arguments, &options->shape, part, *out));
  if (tensor.ranks > 1) {
    titan_graph *logical = *out;
    *out = NULL;
    titan_status status = titan_tensor_parallel_apply(logical, &tensor, out);
    titan_graph_destroy(&logical);
    TITAN_TRY(status);
  }
  if (part_rows[part].differentiate == NULL)
    return TITAN_OK;
  TITAN_TRY(titan_graph_differentiate(*out, titan_graph_find(*out, part_rows[part].differentiate)));
  return tensor.ranks > 1 ? titan_tensor_parallel_finish(*out, &tensor, part_rows[part].merge_phases) : TITAN_OK;
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

titan_status titan_runtime_part_create(titan_runtime *runtime, titan_part part) {
  runtime_part *row = &runtime->parts[part];
  TITAN_TRY(make_graph(runtime, part, &row->graph));
  TITAN_TRY(titan_executable_create(runtime->device, row->graph, part_rows[part].merge_phases, &row->executable));
  row->plan = titan_executable_plan(row->executable);
  find_externals(row);
  return titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, (size_t)row->plan->external_count + 1, sizeof(void *),
                                      &row->externals);
}

void titan_runtime_part_destroy(runtime_part *part) {
  titan_memory_free(part->externals);
  titan_executable_destroy(&part->executable);
  titan_graph_destroy(&part->graph);
  *part = (runtime_part){0};
}
