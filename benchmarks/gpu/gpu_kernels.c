// SPDX-License-Identifier: Apache-2.0
// Speed of a GPU's kernels at the shapes of a layer and of the loss head of Llama 3 8B (one sequence of 8,192 tokens,
// bfloat16), beside what the same run reaches at best: a copy on the device and a product of two square matrices, both
// of random numbers. Usage: gpu_kernels [--divisor N] [--operation NAME] [--json FILE] [--ceilings no]. --divisor
// divides all sizes. Without ceilings shares are 0. Speeds are of many runs in the queue, from the first one's
// beginning to the last one's end.
#include "../calls.h"

#include "base/clock.h"
#include "device/plugin.h"
#include "device/queue.h"

#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static titan_device *device;
static int64_t divisor = 1;
static const char *only;
static FILE *json;
static int rows_written;
static bool has_ceilings = true;
static double copy_ceiling, product_ceiling[2]; // bytes/s; FLOP/s of float32 and of bfloat16
static void *numbers;                           // pinned: random bfloat16 or float32 numbers
enum { NUMBERS_BYTES = 16 << 20 };

static void check(titan_status status) {
  if (status == TITAN_OK)
    return;
  fprintf(stderr, "%s\n", titan_error_message());
  exit(titan_status_exit_code(status));
}

static int64_t scaled(int64_t size) {
  return size / divisor > 1 ? size / divisor : 1;
}

static void make_numbers(titan_dtype dtype) {
  uint32_t random = 1;
  for (size_t i = 0; i < NUMBERS_BYTES / titan_dtype_bytes(dtype); i++) {
    random = random * 1664525u + 1013904223u;
    float value = (float)(random >> 8) * 0x1p-24f - 0.5f;
    if (dtype == TITAN_FLOAT32)
      ((float *)numbers)[i] = value;
    else if (dtype == TITAN_BFLOAT16)
      ((titan_bf16 *)numbers)[i] = titan_bf16_from_float(value);
    else
      ((int32_t *)numbers)[i] = (int32_t)((random >> 8) % (uint32_t)scaled(128256));
  }
}

static void *operand(const titan_tensor_type *type) {
  size_t bytes = titan_tensor_bytes(type);
  char *data = NULL;
  check(device->allocate(device, TITAN_SPACE_DEVICE, TITAN_MEMORY_SCRATCH, bytes, &data));
  check(titan_device_drain(device)); // of the numbers that were made before
  make_numbers(type->dtype);
  for (size_t at = 0; at < bytes; at += NUMBERS_BYTES)
    check(titan_queue_copy(device, TITAN_QUEUE_COMPUTE, data + at, numbers,
                           bytes - at < NUMBERS_BYTES ? bytes - at : NUMBERS_BYTES));
  check(titan_device_drain(device));
  return data;
}

// One thing to time.
typedef struct task {
  titan_status (*run)(const struct task *task);
  const titan_kernel *kernel;
  titan_op_call *call;
  void *state, *inputs[TITAN_MAX_INPUTS], *outputs[TITAN_MAX_OUTPUTS], *workspace;
  size_t bytes;
} task;

// The least of several rounds' seconds per run; a round lasts 30 ms at least, but for one with divided sizes.
static double fastest(const task *t) {
  double best = 1e30;
  int runs = 1;
  for (int round = 0; round < 5; round++) {
    check(titan_device_drain(device));
    double begin = titan_clock_seconds();
    for (int i = 0; i < runs; i++)
      check(t->run(t));
    check(titan_queue_finish(device, TITAN_QUEUE_COMPUTE));
    double seconds = (titan_clock_seconds() - begin) / runs;
    best = round > 0 && seconds < best ? seconds : best;
    if (round == 1)
      runs = divisor > 1 ? 1 : (int)(0.03 / seconds) + 1;
  }
  return best;
}

static titan_status run_kernel(const task *t) {
  return t->kernel->run(device, t->call, t->state, (const void *const *)t->inputs, t->outputs, t->workspace);
}

static double measure(titan_op_call *call) {
  check(titan_op_infer(call));
  task t = {.run = run_kernel, .kernel = device->kernel(device, call->kind), .call = call};
  for (int i = 0; i < call->input_count; i++)
    t.inputs[i] = operand(&call->inputs[i]);
  bool adds = call->kind == TITAN_OP_matmul && call->input_count == 3; // in place, as plans do
  for (int i = 0; i < call->output_count; i++)
    t.outputs[i] = adds ? t.inputs[2] : operand(&call->outputs[i]);
  size_t bytes = t.kernel->workspace != NULL ? t.kernel->workspace(device, call) : 0;
  check(device->allocate(device, TITAN_SPACE_DEVICE, TITAN_MEMORY_SCRATCH, bytes, &t.workspace));
  if (t.kernel->prepare != NULL)
    check(t.kernel->prepare(device, call, &t.state));
  double seconds = fastest(&t);
  if (t.kernel->release != NULL)
    t.kernel->release(device, t.state);
  device->free(device, TITAN_SPACE_DEVICE, t.workspace);
  for (int i = 0; i < call->input_count; i++)
    device->free(device, TITAN_SPACE_DEVICE, t.inputs[i]);
  for (int i = 0; i < call->output_count && !adds; i++)
    device->free(device, TITAN_SPACE_DEVICE, t.outputs[i]);
  return seconds;
}

// --- what is reported ---

// A row of the table and of the JSON file. Of products and attention the rate is FLOP/s, else bytes/s.
static void report(const char *name, double seconds, double amount, double ceiling, bool flops) {
  double rate = amount / seconds, share = ceiling > 0 ? rate / ceiling : 0;
  printf("%-44s %9.3f ms %9.1f %s %5.2f of the %s\n", name, seconds * 1e3, rate * (flops ? 1e-12 : 1e-9),
         flops ? "TFLOP/s" : "GB/s   ", share, flops ? "square product" : "copy");
  fflush(stdout);
  if (json == NULL)
    return;
  fprintf(json, "%s\n  {\"name\": \"%s\", \"seconds\": %.9g, \"%s\": %.9g, \"share\": %.4f}",
          rows_written > 0 ? "," : "", name, seconds, flops ? "flops_per_second" : "bytes_per_second", rate, share);
  rows_written++;
}

static bool is_wanted(const char *operation) {
  return only == NULL || strcmp(only, operation) == 0;
}

static void report_product(const char *name, titan_op_call call) {
  double seconds = measure(&call);
  report(name, seconds, titan_op_cost_of(&call).flops, product_ceiling[call.inputs[0].dtype == TITAN_BFLOAT16], true);
}

// A linear layer [rows, in] -> [rows, out]: forward, gradient of the input, gradient of the weight (added up).
static void report_linear(const char *name, int64_t rows, int64_t in, int64_t out, titan_dtype output) {
  char text[96];
  if (!is_wanted("matmul"))
    return;
  snprintf(text, sizeof text, "matmul %s", name);
  report_product(text, product(TITAN_BFLOAT16, output, rows, out, in, false, true));
  snprintf(text, sizeof text, "matmul dx %s", name);
  report_product(text, product(TITAN_BFLOAT16, TITAN_BFLOAT16, rows, in, out, false, false));
  titan_op_call gradient = product(TITAN_BFLOAT16, TITAN_FLOAT32, out, in, rows, true, false);
  gradient.input_count = 3;
  gradient.inputs[2] = tensor(TITAN_FLOAT32, 2, out, in, 0, 0);
  snprintf(text, sizeof text, "matmul dw += %s", name);
  report_product(text, gradient);
}

static void report_call(titan_op_kind kind, titan_op_attributes attributes, int count, const titan_tensor_type *types,
                        bool flops) {
  titan_op_call call = {.kind = kind, .attributes = attributes, .input_count = count};
  if (!is_wanted(titan_op_name(kind)))
    return;
  memcpy(call.inputs, types, (size_t)count * sizeof *types);
  double seconds = measure(&call);
  titan_op_cost cost = titan_op_cost_of(&call);
  report(titan_op_name(kind), seconds, flops ? cost.flops : cost.bytes, flops ? product_ceiling[1] : copy_ceiling,
         flops);
}
#define TYPES(...)                                                                                                     \
  (int)(sizeof((titan_tensor_type[]){__VA_ARGS__}) / sizeof(titan_tensor_type)), (titan_tensor_type[]) {               \
    __VA_ARGS__                                                                                                        \
  }

// --- Llama 3 8B ---

typedef struct sizes {
  int64_t length, dim, heads, kv_heads, head_size, ffn, vocabulary, chunk;
} sizes;

static sizes sizes_of(void) {
  sizes s = {.length = scaled(8192), .dim = scaled(4096), .ffn = scaled(14336), .vocabulary = scaled(128256)};
  s.chunk = scaled(2048);
  s.head_size = divisor > 1 ? 16 : 128;
  s.heads = s.dim / s.head_size;
  s.kv_heads = s.heads / 4;
  return s;
}

static void report_products(const sizes *s) {
  int64_t qkv = (s->heads + 2 * s->kv_heads) * s->head_size;
  report_linear("qkv", s->length, s->dim, qkv, TITAN_BFLOAT16);
  report_linear("wo", s->length, s->dim, s->dim, TITAN_BFLOAT16);
  report_linear("w1, w3", s->length, s->dim, 2 * s->ffn, TITAN_BFLOAT16);
  report_linear("w2", s->length, s->ffn, s->dim, TITAN_BFLOAT16);
  report_linear("output", s->chunk, s->dim, s->vocabulary, TITAN_FLOAT32);
}

static void report_attention(const sizes *s) {
  titan_tensor_type q = tensor(TITAN_BFLOAT16, 4, 1, s->length, s->heads, s->head_size),
                    kv = tensor(TITAN_BFLOAT16, 4, 1, s->length, s->kv_heads, s->head_size),
                    lse = tensor(TITAN_FLOAT32, 3, 1, s->heads, s->length, 0);
  report_call(TITAN_OP_attention, (titan_op_attributes){0}, TYPES(q, kv, kv), true);
  report_call(TITAN_OP_attention_backward, (titan_op_attributes){0}, TYPES(q, kv, kv, q, lse, q), true);
}

static void report_streams(const sizes *s) {
  const titan_dtype half = TITAN_BFLOAT16;
  titan_tensor_type x = tensor(half, 3, 1, s->length, s->dim, 0), h = tensor(half, 3, 1, s->length, s->ffn, 0),
                    gate_up = tensor(half, 3, 1, s->length, 2 * s->ffn, 0), w = tensor(half, 1, s->dim, 0, 0, 0),
                    row = tensor(TITAN_FLOAT32, 1, s->length, 0, 0, 0),
                    q = tensor(half, 4, 1, s->length, s->heads, s->head_size),
                    kv = tensor(half, 4, 1, s->length, s->kv_heads, s->head_size),
                    angles = tensor(TITAN_FLOAT32, 3, s->length, s->head_size / 2, 2, 0),
                    qkv = tensor(half, 3, 1, s->length, (s->heads + 2 * s->kv_heads) * s->head_size, 0),
                    tokens = tensor(TITAN_INT32, 2, 1, s->length, 0, 0);
  titan_op_attributes none = {0}, norm = {.norm = {1e-5f, true}};
  titan_op_attributes heads = {.heads = {1, s->length, s->heads, s->kv_heads, s->head_size, qkv}};
  titan_op_attributes embedding = {.embedding = {.vocabulary = s->vocabulary}};
  report_call(TITAN_OP_add, none, TYPES(x, x), false);
  report_call(TITAN_OP_mul, none, TYPES(h, h), false);
  report_call(TITAN_OP_silu, none, TYPES(h), false);
  report_call(TITAN_OP_silu_backward, none, TYPES(h, h), false);
  report_call(TITAN_OP_swiglu, none, TYPES(gate_up), false);
  report_call(TITAN_OP_swiglu_backward, none, TYPES(h, gate_up), false);
  report_call(TITAN_OP_rms_norm, norm, TYPES(x, w), false);
  report_call(TITAN_OP_add_rms_norm, norm, TYPES(x, x, w), false);
  report_call(TITAN_OP_rms_norm_backward, norm, TYPES(x, x, w, row, x), false);
  report_call(TITAN_OP_layer_norm, norm, TYPES(x, w), false);
  report_call(TITAN_OP_layer_norm_backward, norm, TYPES(x, x, row, row, w), false);
  report_call(TITAN_OP_rope, none, TYPES(q, angles), false);
  report_call(TITAN_OP_split_heads, heads, TYPES(qkv, angles), false);
  report_call(TITAN_OP_join_heads, heads, TYPES(q, kv, kv, angles), false);
  report_call(TITAN_OP_embedding, none, TYPES(tokens, tensor(half, 2, s->vocabulary, s->dim, 0, 0)), false);
  report_call(TITAN_OP_embedding_backward, embedding, TYPES(tokens, x), false);
}

static void report_loss(const sizes *s) {
  titan_tensor_type logits = tensor(TITAN_FLOAT32, 2, s->chunk, s->vocabulary, 0, 0),
                    row = tensor(TITAN_FLOAT32, 1, s->chunk, 0, 0, 0),
                    labels = tensor(TITAN_INT32, 1, s->chunk, 0, 0, 0);
  titan_op_attributes attributes = {.cross_entropy = {.output = TITAN_BFLOAT16}};
  report_call(TITAN_OP_cross_entropy, attributes, TYPES(logits, labels), false);
  report_call(TITAN_OP_cross_entropy_backward, attributes,
              TYPES(logits, row, labels, tensor(TITAN_FLOAT32, 1, 1, 0, 0, 0)), false);
}

static titan_status run_adam(const task *t) {
  return device->vector->adam(device, t->workspace, (titan_adam_decay){0.1f, true}, (int64_t)t->bytes, t->inputs[0],
                              t->inputs[1], t->inputs[2], t->inputs[3], t->outputs[0], TITAN_BFLOAT16);
}

static titan_status run_squares(const task *t) {
  return device->vector->sum_of_squares(device, (int64_t)t->bytes, t->inputs[0], t->outputs[0]);
}

// The parameters of a layer of 8B, in all.
static void report_vectors(void) {
  int64_t n = scaled(218112000);
  titan_tensor_type vector = tensor(TITAN_FLOAT32, 1, n, 0, 0, 0), half = tensor(TITAN_BFLOAT16, 1, n, 0, 0, 0);
  task t = {.bytes = (size_t)n};
  for (int i = 0; i < 4; i++)
    t.inputs[i] = operand(&vector);
  check(device->vector->fill(device, n, t.inputs[2], 0.5f));
  t.outputs[0] = operand(&half);
  titan_step_state *state = numbers;
  check(device->allocate(device, TITAN_SPACE_DEVICE, TITAN_MEMORY_SCRATCH, sizeof *state, &t.workspace));
  *state = (titan_step_state){.constants = {1e-3f, 0.9f, 0.95f, 1e-8f, 0.1f, 0.05f}, .gradient_scale = 1};
  check(titan_queue_copy(device, TITAN_QUEUE_COMPUTE, t.workspace, state, sizeof *state));
  check(titan_device_drain(device));
  t.run = run_adam;
  if (is_wanted("adam"))
    report("adam", fastest(&t), 30.0 * (double)n, copy_ceiling, false);
  t.run = run_squares;
  if (is_wanted("sum_of_squares"))
    report("sum_of_squares", fastest(&t), 4.0 * (double)n, copy_ceiling, false);
  for (int i = 0; i < 4; i++)
    device->free(device, TITAN_SPACE_DEVICE, t.inputs[i]);
  device->free(device, TITAN_SPACE_DEVICE, t.outputs[0]);
  device->free(device, TITAN_SPACE_DEVICE, t.workspace);
}

// --- ceilings ---

static titan_status run_copy(const task *t) {
  return titan_queue_copy(device, TITAN_QUEUE_COMPUTE, t->outputs[0], t->inputs[0], t->bytes);
}

static void find_ceilings(void) {
  titan_tensor_type half = tensor(TITAN_BFLOAT16, 1, scaled((int64_t)1 << 30), 0, 0, 0);
  task t = {
      .run = run_copy, .inputs = {operand(&half)}, .outputs = {operand(&half)}, .bytes = titan_tensor_bytes(&half)};
  double seconds = fastest(&t);
  copy_ceiling = 2.0 * (double)t.bytes / seconds;
  report("copy", seconds, 2.0 * (double)t.bytes, copy_ceiling, false);
  device->free(device, TITAN_SPACE_DEVICE, t.inputs[0]);
  device->free(device, TITAN_SPACE_DEVICE, t.outputs[0]);
  for (int i = 0; i < 2; i++) {
    titan_dtype dtype = i == 0 ? TITAN_FLOAT32 : TITAN_BFLOAT16;
    int64_t side = scaled(8192);
    titan_op_call call = product(dtype, dtype, side, side, side, false, false);
    char name[64];
    snprintf(name, sizeof name, "square product %s", titan_dtype_name(dtype));
    seconds = measure(&call);
    product_ceiling[i] = titan_op_cost_of(&call).flops / seconds;
    report(name, seconds, titan_op_cost_of(&call).flops, product_ceiling[i], true);
  }
}

static void parse(int argc, char **argv) {
  for (int i = 1; i < argc; i += 2) {
    const char *value = i + 1 < argc ? argv[i + 1] : "";
    if (strcmp(argv[i], "--divisor") == 0 && atoll(value) > 0)
      divisor = atoll(value);
    else if (strcmp(argv[i], "--operation") == 0 && *value != '\0')
      only = value;
    else if (strcmp(argv[i], "--ceilings") == 0 && strcmp(value, "no") == 0)
      has_ceilings = false;
    else if (strcmp(argv[i], "--json") == 0 && (json = fopen(value, "w")) != NULL)
      fprintf(json, "[");
    else
      check(titan_error(TITAN_ERROR_USAGE,
                        "%s %s: expected --divisor N, --operation NAME, --ceilings no or "
                        "--json FILE (to write)",
                        argv[i], value));
  }
}

int main(int argc, char **argv) {
  titan_device_request request = {.threads = 1, .node_size = 1};
  titan_text remark = {0};
  MPI_Init(&argc, &argv);
  parse(argc, argv);
  check(titan_cpu_isa_choose(&request.level));
  check(titan_device_create(TITAN_DEVICE_CUDA, &request, &remark, &device));
  check(device->allocate(device, TITAN_SPACE_HOST, TITAN_MEMORY_SCRATCH, NUMBERS_BYTES, &numbers));
  printf("%s\n", device->description);
  sizes s = sizes_of();
  if (has_ceilings)
    find_ceilings();
  report_products(&s);
  report_attention(&s);
  report_streams(&s);
  report_loss(&s);
  report_vectors();
  device->free(device, TITAN_SPACE_HOST, numbers);
  titan_device_destroy(&device);
  titan_text_destroy(&remark);
  if (json != NULL) {
    fprintf(json, "\n]\n");
    fclose(json);
  }
  MPI_Finalize();
  return titan_memory_report_leaks() != 0;
}
