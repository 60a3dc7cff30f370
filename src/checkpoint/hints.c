#include "checkpoint/hints.h"

#include "comm/mpi_error.h"

#include <stdio.h>
#include <string.h>

// The next "name=value" of *text, which moves on. False at the end.
static titan_status next(const char **text, char *name, size_t name_bytes, char *value, size_t value_bytes) {
  size_t length = strcspn(*text, ",");
  const char *equals = memchr(*text, '=', length);
  size_t name_length = equals != NULL ? (size_t)(equals - *text) : 0;
  if (name_length == 0 || name_length + 1 == length || name_length >= name_bytes ||
      length - name_length - 1 >= value_bytes)
    return titan_error(TITAN_ERROR_USAGE, "\"%.*s\" is no hint: expected name=value", (int)length, *text);
  snprintf(name, name_bytes, "%.*s", (int)name_length, *text);
  snprintf(value, value_bytes, "%.*s", (int)(length - name_length - 1), equals + 1);
  *text += length + ((*text)[length] == ',');
  return TITAN_OK;
}

titan_status titan_checkpoint_hints_check(const char *hints) {
  char name[128], value[512];
  while (hints != NULL && *hints != '\0')
    TITAN_TRY(next(&hints, name, sizeof name, value, sizeof value));
  return TITAN_OK;
}

titan_status titan_checkpoint_hints_create(const char *hints, MPI_Info *info) {
  char name[128], value[512];
  *info = MPI_INFO_NULL;
  if (hints == NULL || *hints == '\0')
    return TITAN_OK;
  TITAN_TRY_MPI(MPI_Info_create(info));
  titan_status status = TITAN_OK;
  while (*hints != '\0' && status == TITAN_OK) {
    status = next(&hints, name, sizeof name, value, sizeof value);
    if (status == TITAN_OK)
      status = TITAN_MPI(MPI_Info_set(*info, name, value));
  }
  if (status != TITAN_OK)
    MPI_Info_free(info);
  return status;
}
