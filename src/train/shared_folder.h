// SPDX-License-Identifier: Apache-2.0
// Whether all ranks see one folder.
#ifndef TITAN_TRAIN_SHARED_FOLDER_H
#define TITAN_TRAIN_SHARED_FOLDER_H

#include "comm/comm.h"

// Collective over world. Rank 0 writes a file into the folder, which exists there, every rank reads it, and rank 0
// removes it. TITAN_ERROR_USAGE on all ranks, with the rank and the host, where a rank finds another folder, or none
// (of a disk that each node has for itself); also when rank 0 cannot write.
titan_status titan_shared_folder_check(titan_comm *world, const char *folder);

#endif
