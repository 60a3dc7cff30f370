// SPDX-License-Identifier: Apache-2.0
#ifndef TITAN_CHECKPOINT_SHARE_H
#define TITAN_CHECKPOINT_SHARE_H

#include "checkpoint/file.h"
#include "comm/comm.h"

// Collective. Opens the file on rank 0, and gives the other ranks what it holds (but texts, logged losses and
// cursors) and a descriptor of their own. *fault alike on all ranks.
titan_status titan_checkpoint_file_open_shared(titan_comm *comm, const char *path, titan_checkpoint_file **out,
                                               titan_checkpoint_fault *fault);

#endif
