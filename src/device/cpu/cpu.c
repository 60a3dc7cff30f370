// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/cpu.h"
#include "device/cpu/kernel.h"
#include "device/numbers.h"

#include <stdio.h>

static const struct {
  const titan_kernel *const *kernels;
  const titan_vector_functions *vector;
  dnnl_cpu_isa_t dnnl;
} levels[] = {
    [TITAN_CPU_GENERIC] = {titan_cpu_kernels_generic, &titan_cpu_vector_functions_generic, dnnl_cpu_isa_sse41},
#ifdef TITAN_CPU_X86
    [TITAN_CPU_BASELINE] = {titan_cpu_kernels_baseline, &titan_cpu_vector_functions_baseline, dnnl_cpu_isa_sse41},
    [TITAN_CPU_AVX2] = {titan_cpu_kernels_avx2, &titan_cpu_vector_functions_avx2, dnnl_cpu_isa_avx2},
    [TITAN_CPU_AVX512] = {titan_cpu_kernels_avx512, &titan_cpu_vector_functions_avx512, dnnl_cpu_isa_avx512_core},
    [TITAN_CPU_AVX512_BF16] = {titan_cpu_kernels_avx512_bf16, &titan_cpu_vector_functions_avx512_bf16,
                               dnnl_cpu_isa_avx512_core_bf16},
    [TITAN_CPU_AMX] = {titan_cpu_kernels_avx512_bf16, &titan_cpu_vector_functions_avx512_bf16, TITAN_DNNL_EVERY_ISA},
#endif
};

const titan_kernel *const *titan_cpu_kernels_of(titan_cpu_isa level) {
  return (size_t)level < sizeof levels / sizeof *levels ? levels[level].kernels : NULL;
}

// Not touched here: the first kernel that writes it, with its own threads, brings its pages to their NUMA domains, and
// a run starts without waiting for gigabytes to be cleared.
static titan_status cpu_allocate(titan_device *device, titan_space space, titan_memory_tag tag, size_t bytes,
                                 void *out) {
  (void)device, (void)space;
  return titan_memory_allocate(tag, bytes, out);
}

static void cpu_free(titan_device *device, titan_space space, void *pointer) {
  (void)device, (void)space;
  titan_memory_free(pointer);
}

titan_status titan_cpu_numbers(titan_device *device, const titan_numbers_request *request, titan_step_numbers *numbers,
                               titan_step_state *state) {
  (void)device;
  titan_step_numbers_apply(request, numbers, state);
  return TITAN_OK;
}

static const titan_kernel *cpu_kernel(titan_device *device, titan_op_kind kind) {
  return titan_cpu_of(device)->kernels[kind];
}

static void cpu_destroy(titan_device *device) {
  titan_cpu *cpu = titan_cpu_of(device);
  if (cpu->stream != NULL)
    dnnl_stream_destroy(cpu->stream);
  if (cpu->engine != NULL)
    dnnl_engine_destroy(cpu->engine);
  titan_memory_free(cpu);
  titan_memory_free(device);
}

// oneDNN takes its limit once per process, before its first use; a second device of the same level is fine. It has
// limits for x86-64 only.
static titan_status limit_dnnl(titan_cpu_isa isa) {
  static int limited = -1;
  if (limited == (int)isa)
    return TITAN_OK;
  if (limited >= 0)
    return titan_error(TITAN_ERROR_INTERNAL, "CPU device: level %s asked for, but this process already uses %s",
                       titan_cpu_isa_name(isa), titan_cpu_isa_name((titan_cpu_isa)limited));
#ifdef __x86_64__
  if (dnnl_set_max_cpu_isa(levels[isa].dnnl) != dnnl_success)
    return titan_error(TITAN_ERROR_DEVICE, "oneDNN cannot be limited to %s (was it used before the device was made?)",
                       titan_cpu_isa_name(isa));
#endif
  limited = (int)isa;
  return TITAN_OK;
}

static titan_status create_dnnl(titan_cpu *cpu) {
  TITAN_TRY(limit_dnnl(cpu->isa));
  if (dnnl_engine_create(&cpu->engine, dnnl_cpu, 0) != dnnl_success ||
      dnnl_stream_create(&cpu->stream, cpu->engine, dnnl_stream_default_flags) != dnnl_success)
    return titan_error(TITAN_ERROR_DEVICE, "oneDNN gives no CPU engine");
  return TITAN_OK;
}

titan_status titan_device_create_cpu(int threads, titan_device **out) {
  titan_cpu_isa isa;
  *out = NULL;
  TITAN_TRY(titan_cpu_isa_choose(&isa));
  return titan_device_create_cpu_of_level(threads, isa, out);
}

titan_status titan_device_create_cpu_of_level(int threads, titan_cpu_isa isa, titan_device **out) {
  *out = NULL;
  if (threads < 1)
    return titan_error(TITAN_ERROR_INTERNAL, "CPU device: %d threads, expected at least 1", threads);
  titan_device *device;
  titan_cpu *cpu;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, 1, sizeof *device, &device));
  titan_status status = titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, 1, sizeof *cpu, &cpu);
  if (status != TITAN_OK) {
    titan_memory_free(device);
    return status;
  }
  cpu->isa = isa;
  cpu->kernels = titan_cpu_kernels_of(isa);
  char model[64];
  titan_cpu_model_name(model, sizeof model);
  snprintf(cpu->description, sizeof cpu->description, "%s, %s, %d thread%s", model, titan_cpu_isa_name(isa), threads,
           threads == 1 ? "" : "s");
  *device = (titan_device){
      .name = "cpu",
      .description = cpu->description,
      .level = titan_cpu_isa_name(isa),
      .threads = threads,
      .allocate = cpu_allocate,
      .free = cpu_free,
      .kernel = cpu_kernel,
      .vector = levels[isa].vector,
      .destroy = cpu_destroy,
      .implementation = cpu,
  };
  TITAN_TRY_CLEANUP(create_dnnl(cpu));
  TITAN_TRY_CLEANUP(titan_device_check(device));
  *out = device;
  return TITAN_OK;
cleanup:
  titan_device_destroy(&device);
  return status;
}
