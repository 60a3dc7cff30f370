// SPDX-License-Identifier: Apache-2.0
// Inside the communication: what the way into every operation tells the recorder.
#ifndef TITAN_COMM_RECORDER_PRIVATE_H
#define TITAN_COMM_RECORDER_PRIVATE_H

#include "comm/backend.h"

// An operation begins; returns its number, which the end is told with.
uint64_t titan_recorder_begin(const titan_comm *comm, const titan_operation *operation, double begun);
// The call that began it returns. now: the clock.
void titan_recorder_begin_ended(uint64_t number, double now);
void titan_recorder_end(uint64_t number, bool failed);
// This rank waits for the operation, from `begun` on, until titan_recorder_waited, `now`.
void titan_recorder_wait(const titan_comm *comm, const titan_operation *operation, uint64_t number, double begun);
void titan_recorder_waited(double now);
// Whether the thread that communicates waits for the one beside it. Any thread.
bool titan_recorder_awaits_aside(void);
// This process was stopped as a whole for so long: its wait is shorter by that.
void titan_recorder_was_stopped(double seconds);

#endif
