// SPDX-License-Identifier: Apache-2.0
// The stack of the thread that communicates, or of the one that it waits for, for a process that hangs: another thread
// asks for it.
#ifndef TITAN_COMM_STACK_H
#define TITAN_COMM_STACK_H

#include <stdbool.h>
#include <stddef.h>

enum { TITAN_STACK_BYTES = 768 };

// Not collective, once, by the thread that communicates. From now on it writes its stack down when it gets a real-time
// signal of its own, on another stack than its own. Does nothing under AddressSanitizer.
void titan_stack_watch(void);

// Not collective, by a thread beside that one (comm/recorder.h): it begins, and before it ends. While the thread that
// communicates waits for it, its stack is the one that is asked for.
void titan_stack_watch_aside(bool begins);

// Not collective, by any other thread. The innermost functions of that thread, as many as fit, apart by
// " < ": "usleep+0x37 < main+0x2a1". A thread that does not react within a second is described by what the system says
// of it: "no reaction to a signal; state D, in nfs_wait_bit_killable". "" where nothing is known. holds: the thread
// stays where it is for ten seconds; for a process that ends meanwhile.
void titan_stack_take(bool holds, char *text, size_t size);

// Not collective. The state of a process of this node, in words: "its process is stopped", "there is no such process";
// "" where that is not known.
const char *titan_stack_state_of(int process);

#endif
