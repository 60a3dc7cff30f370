// SPDX-License-Identifier: Apache-2.0
// Where the configurations of runs differ.
#ifndef TITAN_REPORT_DIFFERENCES_H
#define TITAN_REPORT_DIFFERENCES_H

#include "report/run.h"

// Called with the name of an option ("training.steps") and its value in each run, NULL where a run's configuration does
// not have it. values: [count], valid during the call.
typedef titan_status titan_difference_visit(void *context, const char *name, const char *const *values);

// Not collective. Visits what differs: first version, commit, hosts, ranks and job, then options in the order of the
// first configuration that has them; but for options that only name the run or its folder. Runs without a configuration
// are left out of the comparison of options (all values NULL). TITAN_ERROR_MEMORY, or what `visit` returns.
titan_status titan_differences(const titan_run *runs, size_t count, titan_difference_visit *visit, void *context);

#endif
