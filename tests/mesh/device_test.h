// SPDX-License-Identifier: Apache-2.0
// A device for all tests of a program: pass begin_device and end_device to cmocka_run_group_tests.
#ifndef TITAN_TESTS_DEVICE_TEST_H
#define TITAN_TESTS_DEVICE_TEST_H

#include "mpi_test.h"

#include "device/device.h"

static titan_device *device;

static inline int begin_device(void **state) {
  (void)state;
  return titan_device_create_cpu(1, &device) != TITAN_OK;
}

static inline int end_device(void **state) {
  (void)state;
  titan_device_destroy(&device);
  return 0;
}

#endif
