// SPDX-License-Identifier: Apache-2.0
#include "comm/mpi_error.h"

#include <string.h>

titan_status titan_mpi_status(int code, const char *call, const char *file, int line) {
  if (code == MPI_SUCCESS)
    return TITAN_OK;
  char text[MPI_MAX_ERROR_STRING] = "unknown error";
  int length = 0;
  MPI_Error_string(code, text, &length);
  int name_length = (int)strcspn(call, "(");
  return titan_error_at(TITAN_ERROR_COMMUNICATION, file, line, "%.*s failed: %s", name_length, call, text);
}
