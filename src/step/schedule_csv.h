// SPDX-License-Identifier: Apache-2.0
// Schedules that users write, as PyTorch's pipelining writes and reads them: a row a pipeline rank, a cell an action.
#ifndef TITAN_STEP_SCHEDULE_CSV_H
#define TITAN_STEP_SCHEDULE_CSV_H

#include "base/text.h"
#include "step/order.h"

// The contents of a file, appended to *out. Not collective: one rank reads a file for all. TITAN_ERROR_USAGE where it
// cannot be read, is empty, larger than 64 MiB or not a text; *out then holds what was read.
titan_status titan_schedule_load_csv(const char *path, titan_text *out);

// Reads the order of such contents; path: of the file, for messages. A cell is stage, action, microbatch: F forward, B
// whole backward, I input gradient, W weight gradient, as 3F5; "(0F4;7B1)OVERLAP_F_B" is a forward and a backward that
// may overlap; an empty one is idle. UNSHARD, RESHARD, REDUCE_GRAD (1UNSHARD) and SEND_F, RECV_F, SEND_B, RECV_B
// (1SEND_F0) are checked for their form and left out: lowering gives a step's communication. A stage is on the rank of
// its cells; each rank has equally many. single: exactly one stage a rank (PipelineScheduleSingle), else any number
// (PipelineScheduleMulti). Not collective. TITAN_ERROR_USAGE names file, row, rank and cell, counted from 1 but for the
// rank, and what is wrong: whatever titan_order_check finds, deadlocks too. To be destroyed by titan_order_destroy.
titan_status titan_schedule_read_csv(const titan_text *text, const char *path, bool single, int ranks, int microbatches,
                                     titan_order *out);

#endif
