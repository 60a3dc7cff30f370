// SPDX-License-Identifier: Apache-2.0
// What a process that crashes says before it dies.
#ifndef TITAN_COMM_CRASH_H
#define TITAN_COMM_CRASH_H

// Not collective, once, by the main thread, after MPI has begun (which may have handlers of its own). From now on
// SIGSEGV, SIGBUS, SIGILL, SIGFPE and SIGABRT write to stderr what the process was doing (see comm/recorder.h) and
// where it was in the code, and end the process as they do by default; and titan_stack_watch is called. Does nothing
// under AddressSanitizer, which tells more.
void titan_crash_watch(int rank);

#endif
