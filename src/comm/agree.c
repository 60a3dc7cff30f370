// SPDX-License-Identifier: Apache-2.0
#include "comm/comm.h"

#include <stdio.h>
#include <string.h>

// What the lowest failing rank tells the others.
typedef struct failure {
  int32_t status;
  char message[4092];
} failure;

titan_status titan_comm_agree(titan_comm *comm, titan_status status) {
  int rank = titan_comm_rank(comm), size = titan_comm_size(comm);
  if (size == 1) {
    if (status != TITAN_OK)
      titan_error_mark_agreed();
    return status;
  }
  int32_t failing = status == TITAN_OK ? size : rank;
  TITAN_TRY(titan_comm_all_reduce(comm, &failing, &failing, 1, TITAN_INT32, TITAN_MIN, NULL));
  if (failing == size)
    return TITAN_OK;
  failure *report = NULL;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_COMMUNICATION, 1, sizeof *report, &report));
  if (rank == failing) {
    report->status = (int32_t)status;
    if (failing == 0)
      snprintf(report->message, sizeof report->message, "%s", titan_error_message());
    else
      snprintf(report->message, sizeof report->message, "rank %d: %s", failing, titan_error_message());
  }
  titan_status agreed = titan_comm_broadcast(comm, report, sizeof *report, TITAN_BYTE, failing, NULL);
  if (agreed == TITAN_OK)
    agreed = titan_error((titan_status)report->status, "%s", report->message);
  titan_memory_free(report);
  if (agreed != TITAN_OK)
    titan_error_mark_agreed();
  return agreed;
}

titan_status titan_comm_broadcast_text(titan_comm *comm, titan_text *text) {
  int64_t length = (int64_t)text->length;
  char *bytes = NULL;
  TITAN_TRY(titan_comm_broadcast(comm, &length, 1, TITAN_INT64, 0, NULL));
  titan_status status = titan_memory_allocate(TITAN_MEMORY_COMMUNICATION, (size_t)length, &bytes);
  status = titan_comm_agree(comm, status);
  if (status == TITAN_OK) {
    if (text->length > 0)
      memcpy(bytes, text->data, text->length);
    status = titan_comm_broadcast(comm, bytes, (size_t)length, TITAN_BYTE, 0, NULL);
    if (status == TITAN_OK && titan_comm_rank(comm) != 0)
      status = titan_text_append(text, bytes, (size_t)length);
    status = titan_comm_agree(comm, status);
  }
  titan_memory_free(bytes);
  return status;
}
