// SPDX-License-Identifier: Apache-2.0
// The schedules that train over several ranks, for tests that run each of them. test_schedules.c compares the list with
// the table.
#ifndef TITAN_TESTS_SCHEDULES_H
#define TITAN_TESTS_SCHEDULES_H

static const char *const schedules[] = {"GPipe",     "1F1B",          "Interleaved1F1B", "InterleavedZeroBubble",
                                        "LoopedBFS", "ZBVZeroBubble", "DualPipeV"};
enum { SCHEDULES = sizeof schedules / sizeof *schedules };

#endif
