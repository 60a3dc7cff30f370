// SPDX-License-Identifier: Apache-2.0
// A cell of a schedule's file.
#ifndef TITAN_STEP_CSV_CELL_H
#define TITAN_STEP_CSV_CELL_H

#include "step/order.h"

typedef struct titan_csv_action {
  bool computes;   // else communication, of which `cell` has the stage alone
  titan_cell cell; // paired: the action after it in the same cell of the file may overlap it
} titan_csv_action;

// Reads "3F5", "1UNSHARD", "0SEND_F2" or "(0F4;7B1)OVERLAP_F_B", without blanks around it: one action or two.
// Returns the reason why it is none, valid until the next call on this thread, or NULL.
const char *titan_csv_cell_parse(const char *text, size_t length, int microbatches, titan_csv_action actions[2],
                                 int *count);

#endif
