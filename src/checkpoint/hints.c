// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/hints.h"

#include "comm/mpi_error.h"

#include <stdio.h>
#include <string.h>

typedef struct hint {
  char name[MPI_MAX_INFO_KEY], value[MPI_MAX_INFO_VAL]; // with the zero at the end
} hint;

static titan_status too_long(const char *what, const char *text, size_t length, size_t most) {
  return titan_error(TITAN_ERROR_USAGE, "\"%.*s\" is too long for the %s of a hint: this MPI takes %zu characters",
                     (int)length, text, what, most);
}

// The next "name=value" of *text, which moves on.
static titan_status next(const char **text, hint *out) {
  size_t length = strcspn(*text, ",");
  const char *equals = memchr(*text, '=', length);
  size_t name = equals != NULL ? (size_t)(equals - *text) : 0;
  if (name == 0 || name + 1 == length)
    return titan_error(TITAN_ERROR_USAGE, "\"%.*s\" is not a hint: expected name=value", (int)length, *text);
  size_t value = length - name - 1;
  if (name >= sizeof out->name)
    return too_long("name", *text, name, sizeof out->name - 1);
  if (value >= sizeof out->value)
    return too_long("value", equals + 1, value, sizeof out->value - 1);
  snprintf(out->name, sizeof out->name, "%.*s", (int)name, *text);
  snprintf(out->value, sizeof out->value, "%.*s", (int)value, equals + 1);
  *text += length + ((*text)[length] == ',');
  return TITAN_OK;
}

titan_status titan_checkpoint_hints_check(const char *hints) {
  hint unused;
  while (hints != NULL && *hints != '\0')
    TITAN_TRY(next(&hints, &unused));
  return TITAN_OK;
}

titan_status titan_checkpoint_hints_create(const char *hints, MPI_Info *info) {
  hint one;
  *info = MPI_INFO_NULL;
  if (hints == NULL || *hints == '\0')
    return TITAN_OK;
  TITAN_TRY_MPI(MPI_Info_create(info));
  titan_status status = TITAN_OK;
  while (*hints != '\0' && status == TITAN_OK) {
    status = next(&hints, &one);
    if (status == TITAN_OK)
      status = TITAN_MPI(MPI_Info_set(*info, one.name, one.value));
  }
  if (status != TITAN_OK)
    MPI_Info_free(info);
  return status;
}
