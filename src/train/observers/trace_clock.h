// SPDX-License-Identifier: Apache-2.0
// One time for the traces of all ranks.
#ifndef TITAN_TRAIN_OBSERVERS_TRACE_CLOCK_H
#define TITAN_TRAIN_OBSERVERS_TRACE_CLOCK_H

#include "comm/comm.h"

// Collective over world. *offset: what to add to this rank's titan_clock_seconds so that it shows seconds since rank 0
// called this. Ranks of one node have one clock; over nodes it is right to half of the quickest of some round trips.
titan_status titan_trace_clock(titan_comm *world, double *offset);

#endif
