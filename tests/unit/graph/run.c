// SPDX-License-Identifier: Apache-2.0
#include "run.h"

#include <math.h>
#include <string.h>

enum { FENCE = 256, FENCE_BYTE = 0xA5, POISON_BYTE = 0xFF }; // as float32 and bfloat16 NaN

// --- directly ---

static void fill(random_source *random, int bound, const titan_value_info *info, void *data) {
  int64_t count = titan_tensor_elements(&info->type);
  double size = info->role == TITAN_ROLE_PARAMETER ? 1 / sqrt((double)titan_tensor_columns(&info->type)) : 1;
  for (int64_t i = 0; i < count; i++) {
    float x = (float)(size * random_real(random));
    if (info->type.dtype == TITAN_INT32)
      ((int32_t *)data)[i] = random_below(random, bound);
    else if (info->type.dtype == TITAN_FLOAT32)
      ((float *)data)[i] = x;
    else
      ((titan_bf16 *)data)[i] = titan_bf16_from_float(x);
  }
}

value_bytes value_bytes_create(const titan_graph *graph, random_source *random, int bound) {
  value_bytes bytes = {.graph = graph};
  size_t count = (size_t)titan_graph_value_count(graph);
  TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, count, sizeof *bytes.data, &bytes.data));
  TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, count, sizeof *bytes.owned, &bytes.owned));
  for (int v = 0; v < (int)count; v++) {
    const titan_value_info *info = titan_graph_value(graph, v);
    const titan_node *node = info->producer < 0 ? NULL : titan_graph_node(graph, info->producer);
    if (node != NULL && (node->call.kind == TITAN_OP_reshape || node->call.kind == TITAN_OP_slice)) {
      size_t row = titan_tensor_bytes(&node->call.inputs[0]) / (size_t)node->call.inputs[0].dims[0];
      size_t begin = node->call.kind == TITAN_OP_slice ? (size_t)node->call.attributes.slice.begin * row : 0;
      bytes.data[v] = (char *)bytes.data[node->inputs[0]] + begin;
      continue;
    }
    bytes.owned[v] = true;
    TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, titan_tensor_bytes(&info->type), &bytes.data[v]));
    memset(bytes.data[v], POISON_BYTE, titan_tensor_bytes(&info->type));
    if (node == NULL)
      fill(random, bound, info, bytes.data[v]);
  }
  return bytes;
}

void value_bytes_destroy(value_bytes *bytes) {
  for (int v = 0; v < titan_graph_value_count(bytes->graph); v++)
    if (bytes->owned[v])
      titan_memory_free(bytes->data[v]);
  titan_memory_free(bytes->data);
  titan_memory_free(bytes->owned);
}

static void run_node(titan_device *device, const titan_node *node, const value_bytes *bytes) {
  const titan_op_call *call = &node->call;
  const titan_kernel *kernel = device->kernel(device, call->kind);
  const void *inputs[TITAN_MAX_INPUTS];
  void *outputs[TITAN_MAX_OUTPUTS], *state = NULL, *workspace = NULL;
  for (int i = 0; i < call->input_count; i++)
    inputs[i] = bytes->data[node->inputs[i]];
  for (int i = 0; i < call->output_count; i++)
    outputs[i] = bytes->data[node->outputs[i]];
  size_t size = kernel->workspace != NULL ? kernel->workspace(device, call) : 0;
  TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, size, &workspace));
  if (kernel->prepare != NULL)
    TRY(kernel->prepare(device, call, &state));
  TRY(kernel->run(device, call, state, inputs, outputs, workspace));
  if (kernel->prepare != NULL)
    kernel->release(device, state);
  titan_memory_free(workspace);
}

void run_directly(titan_device *device, value_bytes *bytes) {
  for (int n = 0; n < titan_graph_node_count(bytes->graph); n++) {
    const titan_node *node = titan_graph_node(bytes->graph, n);
    if (node->call.kind == TITAN_OP_concat) {
      char *out = bytes->data[node->outputs[0]];
      for (int i = 0; i < node->call.input_count; i++) {
        size_t size = titan_tensor_bytes(&node->call.inputs[i]);
        memcpy(out, bytes->data[node->inputs[i]], size);
        out += size;
      }
    } else if (!titan_op_is_view(node->call.kind)) {
      run_node(device, node, bytes);
    }
  }
}

// --- planned ---

typedef struct fenced {
  char *memory;
  size_t bytes;
} fenced;

static fenced fenced_create(size_t bytes) {
  fenced f = {.bytes = bytes};
  TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, bytes + 2 * FENCE, &f.memory));
  memset(f.memory, FENCE_BYTE, bytes + 2 * FENCE);
  memset(f.memory + FENCE, POISON_BYTE, bytes);
  return f;
}

static void *inside(fenced f) {
  return f.memory + FENCE;
}

static void poison(fenced f) {
  memset(inside(f), POISON_BYTE, f.bytes);
}

static void fenced_destroy(fenced *f, const char *what) {
  for (size_t i = 0; i < FENCE; i++)
    if ((unsigned char)f->memory[i] != FENCE_BYTE || (unsigned char)f->memory[FENCE + f->bytes + i] != FENCE_BYTE)
      fail_msg("%s of %zu bytes was written beyond its ends", what, f->bytes);
  titan_memory_free(f->memory);
}

static void expect_equal(const char *what, const void *planned, const void *direct, size_t bytes) {
  if (memcmp(planned, direct, bytes) != 0)
    fail_msg("%s differs between the plan and each value in its own memory", what);
}

static size_t compute_bytes(const titan_plan *plan) {
  return plan->parameter_count == 0 ? 1 : titan_dtype_bytes(plan->parameters[0].type.dtype);
}

typedef struct arenas {
  fenced scratch, saved, kept, passed, parameters, gradients, *externals;
  void **pointers;
} arenas;

static arenas arenas_create(const titan_plan *plan, const value_bytes *expected) {
  size_t scratch = 0;
  for (int phase = 0; phase < TITAN_PHASES; phase++)
    scratch = plan->phases[phase].scratch_bytes > scratch ? plan->phases[phase].scratch_bytes : scratch;
  arenas a = {.scratch = fenced_create(scratch),
              .saved = fenced_create(plan->saved_bytes),
              .kept = fenced_create(plan->kept_bytes),
              .passed = fenced_create(plan->passed_bytes),
              .parameters = fenced_create((size_t)plan->flat_elements * compute_bytes(plan)),
              .gradients = fenced_create((size_t)plan->flat_elements * sizeof(float))};
  size_t count = (size_t)plan->external_count + 1;
  TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, count, sizeof *a.externals, &a.externals));
  TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, count, sizeof *a.pointers, &a.pointers));
  for (int i = 0; i < plan->external_count; i++) {
    const titan_plan_external *external = &plan->externals[i];
    a.externals[i] = fenced_create(titan_tensor_bytes(&external->type));
    a.pointers[i] = inside(a.externals[i]);
    if (!external->written)
      memcpy(a.pointers[i], expected->data[titan_graph_find(plan->graph, external->name)], a.externals[i].bytes);
  }
  for (int i = 0; i < plan->parameter_count; i++) {
    const titan_plan_parameter *parameter = &plan->parameters[i];
    memcpy((char *)inside(a.parameters) + (size_t)parameter->first * compute_bytes(plan),
           expected->data[titan_graph_find(plan->graph, parameter->name)], titan_tensor_bytes(&parameter->type));
  }
  return a;
}

static void arenas_destroy(const titan_plan *plan, arenas *a) {
  fenced_destroy(&a->scratch, "scratch");
  fenced_destroy(&a->saved, "saved");
  fenced_destroy(&a->kept, "kept");
  fenced_destroy(&a->passed, "passed");
  fenced_destroy(&a->parameters, "parameters");
  fenced_destroy(&a->gradients, "gradients");
  for (int i = 0; i < plan->external_count; i++)
    fenced_destroy(&a->externals[i], plan->externals[i].name);
  titan_memory_free(a->externals);
  titan_memory_free(a->pointers);
}

static void compare_externals(const titan_plan *plan, const arenas *a, const value_bytes *expected) {
  for (int i = 0; i < plan->external_count; i++) {
    const titan_plan_external *external = &plan->externals[i];
    expect_equal(external->name, a->pointers[i], expected->data[titan_graph_find(plan->graph, external->name)],
                 a->externals[i].bytes);
  }
}

static void compare(const titan_plan *plan, const arenas *a, const value_bytes *expected) {
  compare_externals(plan, a, expected);
  for (int i = 0; i < plan->parameter_count; i++) {
    const titan_plan_parameter *parameter = &plan->parameters[i];
    titan_value value = titan_graph_find(plan->graph, parameter->name);
    expect_equal(parameter->name, (char *)inside(a->parameters) + (size_t)parameter->first * compute_bytes(plan),
                 expected->data[value], titan_tensor_bytes(&parameter->type));
  }
  for (int i = 0; i < titan_graph_output_count(plan->graph); i++) {
    const titan_graph_output *output = titan_graph_output_at(plan->graph, i);
    if (output->kind != TITAN_OUTPUT_PARAMETER_GRADIENT)
      continue;
    const titan_plan_parameter *parameter = plan->parameters;
    while (strcmp(parameter->name, titan_graph_value(plan->graph, output->of)->name) != 0)
      parameter++;
    expect_equal(output->name, (float *)inside(a->gradients) + parameter->first, expected->data[output->value],
                 (size_t)parameter->elements * sizeof(float));
  }
}

void check_plan(titan_executable *executable, const value_bytes *expected, int times) {
  const titan_plan *plan = titan_executable_plan(executable);
  arenas a = arenas_create(plan, expected);
  titan_bindings bindings = {.scratch = inside(a.scratch),
                             .saved = inside(a.saved),
                             .kept = inside(a.kept),
                             .passed = inside(a.passed),
                             .parameters = inside(a.parameters),
                             .gradients = inside(a.gradients),
                             .externals = a.pointers};
  for (int i = 0; i < times; i++) {
    poison(a.saved);
    poison(a.kept);
    poison(a.passed);
    poison(a.gradients);
    for (int k = 0; k < plan->external_count; k++)
      if (plan->externals[k].written)
        poison(a.externals[k]);
    for (int phase = 0; phase < TITAN_PHASES; phase++) {
      poison(a.scratch);
      if (phase == TITAN_WEIGHT_GRADIENTS && plan->phases[phase].count > 0) {
        compare_externals(plan, &a, expected);
        poison(a.saved);
        poison(a.gradients);
      }
      TRY(titan_executable_run(executable, (titan_phase)phase, &bindings, NULL));
    }
    compare(plan, &a, expected);
  }
  arenas_destroy(plan, &a);
}
