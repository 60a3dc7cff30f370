// SIGTERM and SIGUSR1 ask a run to save and end; it does so at the end of a step.
//
// A thread of their own takes them, and all other threads block them: where a handler runs, the system writes its frame
// below the stack register, which the sgemm kernels of oneDNN (2.6.3, every instruction set) point into their operands.
#ifndef TITAN_TRAIN_SIGNALS_H
#define TITAN_TRAIN_SIGNALS_H

#include "base/status.h"

// To be called before any other thread is there, MPI's included: threads inherit what is blocked. Until
// titan_signals_watch the two end the process, as they do by default. TITAN_ERROR_DEVICE when there is no thread to be
// had.
titan_status titan_signals_begin(void);
// Ends the thread. The two stay blocked.
void titan_signals_end(void);

// From now on the two are noted, and a write beyond the limit on a file's size (SIGXFSZ) fails instead of ending the
// process.
void titan_signals_watch(void);

// The first of them that this process received; 0: none.
int titan_signals_received(void);
// Its name, for messages.
const char *titan_signals_name(void);

#endif
