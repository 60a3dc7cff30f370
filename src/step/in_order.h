// SPDX-License-Identifier: Apache-2.0
// Lists that run also where messages wait for each other, as those of NCCL do. There messages from one rank to another
// are in one queue on either side: a message begins when the one before it has ended on both sides. And all transfers
// of a rank begin in the order of its list.
#ifndef TITAN_STEP_IN_ORDER_H
#define TITAN_STEP_IN_ORDER_H

#include "step/list.h"

// Moves RECVs, and nothing else, so that the lists of all ranks run that way, if they run at all. Receives from one
// rank begin in the order of its sends. A RECV stands earlier where a later send would wait for it and hold up its
// rank, and later where it would hold up its own. lists: [order->ranks], with numbered transfers. TITAN_ERROR_MEMORY.
titan_status titan_step_begin_in_order(const titan_order *order, titan_step_list *lists);

// Whether they run that way. TITAN_ERROR_INTERNAL names the rank and the place where it waits for ever;
// TITAN_ERROR_MEMORY.
titan_status titan_step_check_in_order(const titan_order *order, const titan_step_list *lists);

#endif
