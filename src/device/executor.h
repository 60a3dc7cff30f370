// SPDX-License-Identifier: Apache-2.0
// An executable: a plan bound to a device, and its kernels once they are prepared. Running it allocates nothing and
// prepares nothing.
#ifndef TITAN_DEVICE_EXECUTOR_H
#define TITAN_DEVICE_EXECUTOR_H

#include "device/device.h"
#include "graph/plan.h"

typedef struct titan_executable titan_executable;

// Where a run's bases lie (see graph/plan.h). Pointers that no instruction of the phase uses may be NULL.
typedef struct titan_bindings {
  void *scratch, *saved, *kept, *passed;
  const void *parameters;
  float *gradients;
  void *const *externals;    // by external index of the plan
  titan_comm *const *groups; // by placement dimension (cp, tp): what collectives go over; NULL: the plan has none
} titan_bindings;

// Plans `graph` for the device; nothing is prepared, so that a plan costs little. Graph and device are borrowed and
// must outlive the executable.
titan_status titan_executable_create(titan_device *device, const titan_graph *graph, bool merge_phases,
                                     titan_executable **out);
// Prepares the kernels, once, before the first run. TITAN_ERROR_DEVICE when the device cannot do a call.
titan_status titan_executable_prepare(titan_executable *executable);
void titan_executable_destroy(titan_executable **executable);

const titan_plan *titan_executable_plan(const titan_executable *executable);

// Runs one phase. Collective over the groups of the phase's collectives; one whose group is missing is
// TITAN_ERROR_INTERNAL. `progress` (may be NULL) is called between instructions.
titan_status titan_executable_run(titan_executable *executable, titan_phase phase, const titan_bindings *bindings,
                                  void (*progress)(void));

// Looks at what an operation has written, before the next one may write over it.
typedef struct titan_inspector {
  // node: number `index` of the phase; outputs: by output of the node, in DEVICE space. A failure ends the run.
  titan_status (*inspect)(void *context, const titan_node *node, titan_phase phase, int index, void *const *outputs);
  void *context;
} titan_inspector;
// The same in a loop of its own, for runs that are looked at; it is neither watched nor timed.
titan_status titan_executable_run_inspected(titan_executable *executable, titan_phase phase,
                                            const titan_bindings *bindings, void (*progress)(void),
                                            const titan_inspector *inspector);

// Not collective. From now on `watcher` is called, from the thread that computes, for each operation of every
// executable of the process, in order, after it, with when it ran (as titan_clock_seconds); NULL: no more. Off, it
// costs nothing. On a device with a clock of its own the times are that clock's, and the host waits for the device at
// the beginning and at the end of each phase.
void titan_executor_watch(void (*watcher)(void *context, const titan_op_call *call, double begin, double end),
                          void *context);

// Not collective. On, the host waits after each operation of a device with queues, so that an error of the device comes
// with the graph and the operation that it is of (debug.device_synchronous).
void titan_executor_synchronous(bool on);

bool titan_executor_is_synchronous(void);
// Whether operations are watched, timed or waited for one by one.
bool titan_executor_is_observed(void);

// Seconds and calls by kind of operation, for all executables of the process, while timing is on.
typedef struct titan_op_timing {
  double seconds, flops, bytes;
  int64_t calls;
} titan_op_timing;
void titan_executor_timing_start(void);
// Stops, and copies the table out (TITAN_OP_COUNT rows).
void titan_executor_timing_stop(titan_op_timing *out);

#endif
