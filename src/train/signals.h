// SPDX-License-Identifier: Apache-2.0
// Signals that ask a run to save and end; it does so at the end of a step. They are SIGTERM, SIGUSR1, SIGUSR2, SIGHUP,
// SIGXCPU and SIGINT (Ctrl-C), but for those that are ignored when the program starts, as SIGHUP is under nohup.
//
// A thread of their own takes them, and all other threads block them: where a handler runs, the system writes its frame
// below the stack register, which the sgemm kernels of oneDNN (2.6.3, every instruction set) point into their operands.
#ifndef TITAN_TRAIN_SIGNALS_H
#define TITAN_TRAIN_SIGNALS_H

#include "base/status.h"

// To be called before any other thread is there, MPI's included: threads inherit what is blocked. Until
// titan_signals_watch these signals end the process, as they do by default. From this call on SIGPIPE is ignored, so
// that a closed stderr does not end a run. TITAN_ERROR_DEVICE when there is no thread to be had.
titan_status titan_signals_begin(void);
// Ends the thread. The signals stay blocked.
void titan_signals_end(void);
// Gives SIGPIPE its usual effect again: for output that somebody reads, as --help.
void titan_signals_restore_pipe(void);

// From now on the signals are noted, and a write beyond the limit on a file's size (SIGXFSZ) fails instead of ending
// the process. A second SIGINT ends the process at once. `promise` (static, may be NULL: none) is what a process that
// gets a signal says in its log that the run will do.
void titan_signals_watch(const char *promise);
// The run is over: from now on the process says nothing of a signal. A launcher sends SIGTERM to the ranks that are
// still there when one has ended with an error.
void titan_signals_end_promise(void);

// The first of them that this process received; 0: none.
int titan_signals_received(void);
// Its name, for messages: "SIGTERM"; "a signal" for a number that is none of them.
const char *titan_signals_name(int number);
// The number of "TERM"; 0 when it is none of them.
int titan_signals_find(const char *name);

// For tests: sends this process the signal, and returns when it has been noted (at once when it is ignored).
void titan_signals_raise(int number);

#endif
