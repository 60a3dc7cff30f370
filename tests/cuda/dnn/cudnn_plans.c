// SPDX-License-Identifier: Apache-2.0
// Property: cuDNN has an engine for attention, its gradient and its deterministic gradient of every shape that
// titan_gpu_attention_of gives to it, on each chip; its workspace is that formula's to the byte; and it has none for
// the shapes that the formula keeps from it. Oracle: cuDNN itself, which plans for GPUs that are only described, and
// needs a library libcuda.so.1 for that, of which the toolkit's stub will do. Skipped (77) without cuDNN.
#include "cuda/dnn_attention.h"
#include "device/gpu_workspace.h"

#include <stdio.h>
#include <string.h>

enum { SKIPPED = 77 };

// Of NVIDIA's datasheets and the CUDA programming guide's table of compute capabilities. l2: MiB; shared: bytes of
// shared memory that a block may ask for; memory: GiB; clocks: kHz.
typedef struct chip {
  const char *name;
  int capability, multiprocessors, l2, shared, memory, clock, memory_clock;
} chip;

static const chip chips[] = {
    {"NVIDIA A100-SXM4-80GB", 80, 108, 40, 163 * 1024, 80, 1410000, 1593000},
    {"NVIDIA H100 80GB HBM3", 90, 132, 50, 227 * 1024, 80, 1980000, 2619000},
    {"NVIDIA H200", 90, 132, 60, 227 * 1024, 141, 1980000, 3201000},
    {"NVIDIA B200", 100, 148, 126, 227 * 1024, 180, 1965000, 3996000},
};

typedef struct shape {
  const char *name;
  int64_t batch, heads, kv_heads, length, head_size;
} shape;

static const shape shapes[] = {
    {"Llama 8B", 1, 32, 8, 8192, 128},
    {"Llama 8B, batch 2", 2, 32, 8, 8192, 128},
    {"Llama 70B, tp 8", 1, 8, 1, 8192, 128},
    {"debugmodel", 8, 16, 16, 2048, 16},
    {"L 1000", 1, 8, 2, 1000, 64},
    {"L 1000, no sharing", 2, 8, 8, 1000, 64},
    {"L 77", 3, 8, 2, 77, 64},
    {"L 2", 1, 4, 2, 2, 64},
    {"L 150", 2, 6, 3, 150, 40},
    {"H 8", 1, 8, 2, 2048, 8},
    {"H 16", 1, 8, 2, 2048, 16},
    {"H 24", 1, 8, 2, 2048, 24},
    {"H 64", 1, 8, 2, 2048, 64},
    {"H 128", 1, 8, 8, 2048, 128},
    {"H 136", 1, 8, 2, 2048, 136},
    {"H 256", 1, 8, 2, 2048, 256},
    {"H 256, no sharing", 2, 8, 8, 2048, 256},
};

static void describe(const chip *c, char *json, size_t size) {
  snprintf(json, size,
           "{\"deviceName\": \"%s\", \"deviceVer\": %d, \"driverVer\": 13000, \"cudaDeviceId\": 0, \"pciDeviceId\": 0, "
           "\"isTccDriver\": 0, \"supportCoopLaunch\": 1, \"multiProcessorCount\": %d, \"l2CacheSize\": %d, "
           "\"totalGlobalMem\": %lld, \"smClockRateKHz\": %d, \"memClockRateKHz\": %d, \"warpSize\": 32, "
           "\"maxThreadsPerBlock\": 1024, \"maxThreadsPerSM\": 2048, \"maxCtasPerSM\": 32, \"regsPerBlock\": 65536, "
           "\"maxRegistersPerSM\": 65536, \"maxSharedMemoryPerBlock\": 49152, \"maxSharedMemoryPerBlockOptin\": %d, "
           "\"reservedSharedMemoryPerBlock\": 1024, \"maxBlockSize\": [1024, 1024, 64], "
           "\"maxGridSize\": [2147483647, 65535, 65535]}",
           c->name, c->capability * 10, c->multiprocessors, c->l2 << 20, (long long)c->memory << 30, c->clock,
           c->memory_clock, c->shared);
}

static titan_op_call call_of(const shape *s, bool backward) {
  const titan_tensor_type q = {TITAN_BFLOAT16, 4, {s->batch, s->length, s->heads, s->head_size}},
                          kv = {TITAN_BFLOAT16, 4, {s->batch, s->length, s->kv_heads, s->head_size}},
                          lse = {TITAN_FLOAT32, 3, {s->batch, s->heads, s->length}};
  return (titan_op_call){.kind = backward ? TITAN_OP_attention_backward : TITAN_OP_attention,
                         .input_count = backward ? 6 : 3,
                         .inputs = {q, kv, kv, q, lse, q}};
}

// One plan; *planned says whether the formula gives the call to cuDNN.
static int check_plan(titan_cuda_dnn *dnn, const chip *c, const shape *s, titan_dnn_attention_kind kind,
                      bool *planned) {
  static const char *const names[] = {"forward", "backward", "deterministic backward"};
  const titan_op_call call = call_of(s, kind != TITAN_DNN_FORWARD);
  const titan_gpu_attention way = titan_gpu_attention_of(
      &call, (titan_gpu_kind){c->capability, .dnn = true, .deterministic = kind == TITAN_DNN_BACKWARD_DETERMINISTIC});
  const titan_dnn_attention_shape part = {
      s->batch, s->length, s->heads / s->kv_heads * way.kv_heads, way.kv_heads, s->head_size, s->heads, s->kv_heads};
  char reason[TITAN_DNN_REASON_BYTES];
  titan_dnn_attention *attention = NULL;
  *planned = way.dnn;
  if (titan_dnn_attention_create(dnn, kind, &part, way.dnn ? way.library : SIZE_MAX / 2, false, &attention, reason) !=
      TITAN_OK) {
    fprintf(stderr, "FAILED: %s\n", titan_error_message());
    return 1;
  }
  const long long bytes = attention != NULL ? (long long)titan_dnn_attention_workspace(attention) : -1;
  const long long expected = way.dnn ? (long long)way.library : -1;
  if (bytes != expected)
    fprintf(stderr, "FAILED %s, %s, %s: %lld bytes of workspace (-1: no engine), expected %lld. %s\n", c->name, s->name,
            names[kind], bytes, expected, reason);
  titan_dnn_attention_destroy(&attention);
  return bytes != expected;
}

// Returns the number of failures, or -1 where there is no cuDNN.
static int check_chip(const chip *c, int *plans) {
  char json[2048], reason[TITAN_DNN_REASON_BYTES];
  titan_cuda_dnn *dnn;
  describe(c, json, sizeof json);
  if (titan_dnn_create(&(titan_dnn_request){.properties = json}, &dnn, reason) != TITAN_OK)
    return 1;
  if (dnn == NULL) {
    printf("skipped: %s\n", reason);
    return -1;
  }
  int failures = 0;
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
    for (int kind = TITAN_DNN_FORWARD; kind <= TITAN_DNN_BACKWARD_DETERMINISTIC; kind++) {
      bool planned;
      failures += check_plan(dnn, c, &shapes[i], (titan_dnn_attention_kind)kind, &planned);
      *plans += planned;
    }
  titan_dnn_destroy(&dnn);
  return failures;
}

int main(void) {
  int failures = 0, plans = 0;
  for (size_t i = 0; i < sizeof chips / sizeof *chips; i++) {
    const int of_chip = check_chip(&chips[i], &plans);
    if (of_chip < 0)
      return SKIPPED;
    failures += of_chip;
  }
  printf("%d plans, %d failures\n", plans, failures);
  return failures != 0 || titan_memory_report_leaks() != 0;
}
