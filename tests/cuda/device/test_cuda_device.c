// SPDX-License-Identifier: Apache-2.0
// What the CUDA device says of its machine and of its memory, on the emulated GPU. A machine that does not serve is
// TITAN_ERROR_DEVICE with what was found and what is needed.
#include "cuda/cuda.h"
#include "device/gpu_workspace.h"
#include "emulated.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static titan_status create(titan_device **out) {
  titan_device_request request = {.threads = 1, .node_size = 1};
  assert_int_equal(titan_cpu_isa_choose(&request.level), TITAN_OK);
  return titan_cuda_create(&request, out);
}

static titan_device *a_device(void) {
  titan_device *device;
  assert_int_equal(create(&device), TITAN_OK);
  return device;
}

static void is_refused(titan_emulated_machine machine, const char *text) {
  titan_emulated_machine usual = *titan_emulated();
  titan_device *device;
  *titan_emulated() = machine;
  titan_status status = create(&device);
  *titan_emulated() = usual;
  titan_emulated_repair();
  assert_int_equal(status, TITAN_ERROR_DEVICE);
  assert_null(device);
  if (strstr(titan_error_message(), text) == NULL)
    fail_msg("no \"%s\" in: %s", text, titan_error_message());
}

static void a_machine_that_does_not_serve_is_refused_with_the_reason(void **state) {
  (void)state;
  titan_emulated_machine machine = *titan_emulated(), other;
  other = machine, other.driver = 0;
  is_refused(other, "no CUDA driver: libcuda.so.1");
  other = machine, other.driver = CUDART_VERSION - 1000;
  is_refused(other, "the CUDA driver is too old: it is for CUDA ");
  other = machine, other.gpus = 0;
  is_refused(other, "the CUDA driver sees no GPU");
  other = machine, other.capability = 75;
  is_refused(other, "has compute capability 7.5, and 8.0 or newer is needed");
  other = machine, other.no_code = 1;
  is_refused(other, "none that this GPU can run: no kernel image");
}

static void a_device_says_what_it_is(void **state) {
  (void)state;
  titan_device *device = a_device();
  assert_string_equal(device->name, "cuda");
  assert_non_null(strstr(device->description, "NVIDIA H100 80GB HBM3, 79.6 GiB, compute capability 9.0, driver "));
  assert_non_null(strstr(device->description, ", cuBLASLt "));
  assert_true(device->logits_bytes == TITAN_GPU_LOGITS_BYTES);
  assert_int_equal(device->alignment, 256);
  assert_string_equal(device->host->name, "cpu");
  assert_null(device->level);
  titan_device_destroy(&device);
}

static void ranks_take_their_gpus(void **state) {
  (void)state;
  titan_device *devices[2];
  titan_emulated()->gpus = 2;
  for (int rank = 0; rank < 2; rank++) {
    titan_device_request request = {.threads = 1, .node_rank = rank, .node_size = 2};
    assert_int_equal(titan_cpu_isa_choose(&request.level), TITAN_OK);
    assert_int_equal(titan_cuda_create(&request, &devices[rank]), TITAN_OK);
    assert_int_equal(titan_cuda_of(devices[rank])->index, rank);
  }
  assert_string_not_equal(devices[0]->identity, devices[1]->identity);
  for (int rank = 0; rank < 2; rank++)
    titan_device_destroy(&devices[rank]);
  titan_emulated()->gpus = 1;
}

static void memory_is_counted_under_its_tag_and_space(void **state) {
  (void)state;
  titan_device *device = a_device();
  void *there, *pinned, *nothing;
  size_t before = titan_memory_usage_of(TITAN_MEMORY_BATCH).live_bytes;
  assert_int_equal(device->allocate(device, TITAN_SPACE_DEVICE, TITAN_MEMORY_MASTERS, 1000, &there), TITAN_OK);
  assert_int_equal(device->allocate(device, TITAN_SPACE_HOST, TITAN_MEMORY_BATCH, 500, &pinned), TITAN_OK);
  assert_int_equal(device->allocate(device, TITAN_SPACE_EXCHANGE, TITAN_MEMORY_MASTERS, 0, &nothing), TITAN_OK);
  assert_non_null(nothing);
  assert_int_equal((uintptr_t)there % 256, 0);
  assert_int_equal(titan_memory_usage_of_device(TITAN_MEMORY_MASTERS).live_bytes, 1000);
  assert_int_equal(titan_memory_usage_of_device(TITAN_MEMORY_BATCH).live_bytes, 0);
  assert_int_equal(titan_memory_usage_of(TITAN_MEMORY_BATCH).live_bytes, before + 500);
  device->free(device, TITAN_SPACE_DEVICE, there);
  device->free(device, TITAN_SPACE_HOST, pinned);
  device->free(device, TITAN_SPACE_EXCHANGE, nothing);
  device->free(device, TITAN_SPACE_DEVICE, NULL);
  assert_int_equal(titan_memory_usage_of_device(TITAN_MEMORY_MASTERS).live_bytes, 0);
  assert_int_equal(titan_memory_usage_of(TITAN_MEMORY_BATCH).live_bytes, before);
  assert_int_equal(titan_emulated_live_blocks(), 0);
  titan_device_destroy(&device);
}

static void too_much_memory_is_refused_with_what_is_free(void **state) {
  (void)state;
  titan_device *device = a_device();
  void *some, *more;
  size_t available, total, all = titan_emulated()->bytes;
  titan_emulated()->bytes = 1 << 20;
  assert_int_equal(device->allocate(device, TITAN_SPACE_DEVICE, TITAN_MEMORY_SCRATCH, 1 << 18, &some), TITAN_OK);
  assert_int_equal(device->memory(device, &available, &total), TITAN_OK);
  assert_int_equal(total, 1 << 20);
  assert_int_equal(available, (1 << 20) - (1 << 18));
  assert_int_equal(device->allocate(device, TITAN_SPACE_DEVICE, TITAN_MEMORY_SCRATCH, 1 << 20, &more),
                   TITAN_ERROR_MEMORY);
  assert_null(more);
  assert_non_null(
      strstr(titan_error_message(), "cannot allocate 1048576 bytes for scratch; 786432 of 1048576 bytes are free"));
  assert_int_equal(titan_memory_usage_of_device(TITAN_MEMORY_SCRATCH).live_bytes, 1 << 18);
  assert_int_equal(titan_cuda_launched("a launch after it"), TITAN_OK); // the error is that of the allocation alone
  device->sharing_ranks = 2;
  assert_int_equal(device->memory(device, &available, &total), TITAN_OK);
  assert_int_equal(total, 1 << 19);
  assert_int_equal(available, ((1 << 20) - (1 << 18)) / 2);
  titan_emulated()->bytes = all;
  device->free(device, TITAN_SPACE_DEVICE, some);
  titan_device_destroy(&device);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(a_machine_that_does_not_serve_is_refused_with_the_reason),
                                     cmocka_unit_test(a_device_says_what_it_is),
                                     cmocka_unit_test(ranks_take_their_gpus),
                                     cmocka_unit_test(memory_is_counted_under_its_tag_and_space),
                                     cmocka_unit_test(too_much_memory_is_refused_with_what_is_free)};
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  return failures != 0 || titan_memory_report_leaks() != 0;
}
