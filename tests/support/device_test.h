// SPDX-License-Identifier: Apache-2.0
// A device for all tests of a program: pass begin_device and end_device to cmocka_run_group_tests.
#ifndef TITAN_TESTS_DEVICE_TEST_H
#define TITAN_TESTS_DEVICE_TEST_H

#include "host_copy.h"
#include "mpi_test.h"

#include "device/device.h"

static titan_device *device;

static inline int begin_device(void **state) {
  (void)state;
  return test_device_create(1, &device) != TITAN_OK;
}

static inline int end_device(void **state) {
  (void)state;
  host_copies_keep(NULL);
  titan_device_destroy(&device);
  return 0;
}

#endif
