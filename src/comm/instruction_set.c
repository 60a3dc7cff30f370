// SPDX-License-Identifier: Apache-2.0
#include "comm/instruction_set.h"

#include <stdio.h>
#include <unistd.h>

titan_status titan_instruction_set_agree(titan_comm *comm, titan_cpu_isa own, titan_cpu_isa *lowest, char *message,
                                         size_t size) {
  // The extremes of the levels, and the first rank of the lowest one.
  int32_t levels[2] = {(int32_t)own, -(int32_t)own}, extremes[2];
  char host[256] = "";
  message[0] = '\0';
  TITAN_TRY(titan_comm_all_reduce(comm, levels, extremes, 2, TITAN_INT32, TITAN_MIN, NULL));
  *lowest = (titan_cpu_isa)extremes[0];
  if (extremes[0] == -extremes[1])
    return TITAN_OK;
  int32_t rank = levels[0] == extremes[0] ? titan_comm_rank(comm) : titan_comm_size(comm), first;
  TITAN_TRY(titan_comm_all_reduce(comm, &rank, &first, 1, TITAN_INT32, TITAN_MIN, NULL));
  gethostname(host, sizeof host - 1);
  TITAN_TRY(titan_comm_broadcast(comm, host, sizeof host, TITAN_BYTE, first, NULL));
  snprintf(message, size,
           "the instruction sets of the ranks differ: rank %d on host %s has %s, others have up to %s; all ranks use "
           "%s, because levels round differently",
           (int)first, host, titan_cpu_isa_name(*lowest), titan_cpu_isa_name((titan_cpu_isa)-extremes[1]),
           titan_cpu_isa_name(*lowest));
  return TITAN_OK;
}
