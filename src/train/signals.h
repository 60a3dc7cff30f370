// SIGTERM and SIGUSR1 ask a run to save and end; it does so at the end of a step.
#ifndef TITAN_TRAIN_SIGNALS_H
#define TITAN_TRAIN_SIGNALS_H

// From now on the two are noted, and a write beyond the limit on a file's size (SIGXFSZ) fails instead of ending the
// process.
void titan_signals_watch(void);

// The first of them that this process received; 0: none.
int titan_signals_received(void);
// Its name, for messages.
const char *titan_signals_name(void);

#endif
