// SPDX-License-Identifier: Apache-2.0
// Messages between pipeline ranks: their numbers, and where a rank may wait for the end of a send.
#ifndef TITAN_STEP_TRANSFERS_H
#define TITAN_STEP_TRANSFERS_H

#include "step/list.h"

// Numbers the transfers in the lists of all ranks, lets them begin in order (in_order.h), and adds a SENT for each
// SEND. A send may last until the peer has begun to receive, so a rank may wait for it, without a deadlock, only behind
// something that the peer has sent after that: SENT stands behind the first such RECEIVED; where there is none, at the
// list's end. lists: [order->ranks], with LOAD, RUN, SEND, RECV and RECEIVED. TITAN_ERROR_MEMORY.
titan_status titan_step_end_sends(const titan_order *order, const titan_step_shape *shape, titan_step_list *lists);

#endif
