// SPDX-License-Identifier: Apache-2.0
// One instruction-set level for all ranks of a run.
#ifndef TITAN_COMM_INSTRUCTION_SET_H
#define TITAN_COMM_INSTRUCTION_SET_H

#include "base/cpu_isa.h"
#include "comm/comm.h"

// Collective over comm. Levels round differently, so that ranks of several would drift apart. *lowest is the lowest of
// the ranks' `own` levels, on every rank. `message` says, on every rank, which rank of which host is lower than others;
// it is "" where all are alike.
titan_status titan_instruction_set_agree(titan_comm *comm, titan_cpu_isa own, titan_cpu_isa *lowest, char *message,
                                         size_t size);

#endif
