// SPDX-License-Identifier: Apache-2.0
// A device that punishes host code. It computes with the CPU's kernels, but its memory cannot be read or written by
// host code (a touch is SIGSEGV, with a message that names the memory), fresh memory is full of NaN, and what is put
// into its queues is done late: when the host waits, in a random order that the queues and marks allow. Operations of
// groups are done in the order in which they were put into the queues, through the host's groups.
#ifndef TITAN_TESTS_DEVICES_APART_H
#define TITAN_TESTS_DEVICES_APART_H

#include "device/device.h"

// `cpu` is the device's from now on, also when it fails. The order of work is a function of the seed and the rank.
// Whatever the program does, a wait executes all that the queues have got, so that ranks which wait at the same places
// of the program do not wait for each other for ever.
titan_status titan_apart_create(titan_device *cpu, uint64_t seed, titan_device **out);

// Of the process's environment: TITAN_APART_SEED, 1 where it is not set.
uint64_t titan_apart_seed(void);

#endif
