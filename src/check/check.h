// SPDX-License-Identifier: Apache-2.0
// titan-hpc --check: a measurement of the machine before a long run, in seconds: the rates of each rank, of the links
// between neighbours and of the groups of the mesh, and which of them are slower than the others.
#ifndef TITAN_CHECK_CHECK_H
#define TITAN_CHECK_CHECK_H

#include "config/config.h"
#include "device/device.h"
#include "mesh/mesh.h"

// What is checked, as a run has it. Borrowed.
typedef struct titan_check_environment {
  const titan_config *config;
  titan_comm *world, *node;
  titan_mesh *mesh;
  titan_device *device;
} titan_check_environment;

// Not collective. TITAN_ERROR_USAGE where an option asks for what a check does not do.
titan_status titan_check_options(const titan_config *config);

// Collective over world. Measures, prints on rank 0 (stdout: a table, or JSON lines with metrics.log_format = json),
// and logs a warning there for each measurement that stands out, which is no failure.
titan_status titan_check_run(const titan_check_environment *environment);

#endif
