// SPDX-License-Identifier: Apache-2.0
// The flight recorder: the latest operations of all groups of this process, and what the process is doing. There is one
// a process, as all its communication comes from one thread, but for saves; other threads may read it.
#ifndef TITAN_COMM_RECORDER_H
#define TITAN_COMM_RECORDER_H

#include "comm/comm.h"

#include <stdio.h>

enum { TITAN_RECORD_NAME_BYTES = 40, TITAN_RECORD_ACTION_BYTES = 64 };

// One operation. Plain bytes, which ranks send each other.
typedef struct titan_record {
  uint64_t number;   // among all operations of the process, from 0
  uint64_t sequence; // among the collectives of its group, alike on every rank; of point to point: 0
  uint64_t bytes;    // that a rank contributes
  char group[TITAN_RECORD_NAME_BYTES], operation[TITAN_RECORD_NAME_BYTES];
  int32_t leader;     // the group's first rank, in the world: it and the name tell groups apart
  int32_t rank, size; // in the group
  int32_t peer, tag;  // peer: of a broadcast, send or recv; else -1. tag: of a send or recv
  int32_t failed;
  int32_t outside; // no group of titan_comm makes it: leader is 0, and sequence counts those of this process alone
  int64_t step;
  // As titan_clock_seconds; 0: not yet, or never. begin_ended: the call that began it returned.
  double begun, begin_ended, ended, wait_begun, wait_ended;
} titan_record;

// What a process is doing. Plain bytes too.
typedef struct titan_whereabouts {
  char phase[TITAN_RECORD_NAME_BYTES];    // "start", "training", "validation", "save", ...
  int64_t step;                           // -1: before the first one
  char action[TITAN_RECORD_ACTION_BYTES]; // of the step's list: "forward of layers.3", or ""
  double action_seconds;                  // for so long
  uint64_t operations;                    // begun so far
  int32_t waits;                          // for the operation below; else that is the latest one
  double wait_seconds;
  titan_record operation;
} titan_whereabouts;

// Not collective. Keeps the latest `capacity` operations from now on; 0: none, what the process is doing alone.
titan_status titan_recorder_create(int64_t capacity);
// NULL work: there is none that has not been created.
void titan_recorder_destroy(void);

// What the process does from now on; texts are copied. By the thread that communicates.
void titan_recorder_set_phase(const char *phase, int64_t step);
void titan_recorder_set_action(const char *what, const char *name);

// For waits of the thread that communicates in operations that no group of titan_comm makes (those of checkpoints, in
// MPI): the wait begins, and is over. operation: static, as `group`; size: ranks, of which the first is rank 0.
void titan_recorder_wait_begins(const char *group, const char *operation, int rank, int size);
void titan_recorder_wait_ends(void);

// A thread beside the one that communicates, with operations of its own: that of a save. By that thread: it begins;
// waits for the others in an operation of the group "checkpoint thread" (static, as `operation`); has it; ends.
void titan_recorder_aside_begins(void);
void titan_recorder_aside_wait_begins(const char *operation, int rank, int size);
void titan_recorder_aside_wait_ends(void);
void titan_recorder_aside_ends(void);
// By the thread that communicates: from now on it does nothing but wait for that thread, which does `action` ("write of
// step-3.h5", copied); until it is over. Meanwhile the whereabouts are those of that thread: where it waits for other
// ranks, this rank does, and where it does not, this rank may keep the others waiting.
void titan_recorder_await_aside(const char *action);
void titan_recorder_awaited_aside(void);

// Any thread.
void titan_recorder_whereabouts(titan_whereabouts *out);
// The same, at any moment of any thread, a signal handler's too: false where the recorder is being written to.
bool titan_recorder_try_whereabouts(titan_whereabouts *out);
// Any thread. The operations that are kept, oldest first: at most `most`, of those begun at `since` or later. Returns
// how many.
int64_t titan_recorder_copy(double since, titan_record *records, int64_t most);
// Any thread. Everything as JSON, with the stack of the thread that the whereabouts are of (comm/stack.h); false when
// it could not be written.
bool titan_recorder_write(FILE *file, int rank, const char *host, const char *stack);

#endif
