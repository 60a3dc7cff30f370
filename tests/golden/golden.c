// SPDX-License-Identifier: Apache-2.0
#include "golden.h"

#include "base/memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "golden data is little-endian and read in place");

typedef struct setting {
  const char *key, *value;
} setting;

struct titan_golden {
  char *path;
  char *tensor_file, *settings_file; // their contents; names, data and values point into them
  titan_golden_tensor *tensors;
  setting *settings;
  int tensor_count, setting_count;
};

// Reads path + suffix; *contents is NUL-terminated and owned by the caller.
static titan_status file_read(const char *path, const char *suffix, char **contents, size_t *bytes) {
  titan_status status = TITAN_OK;
  char name[4096];
  *contents = NULL;
  int length = snprintf(name, sizeof name, "%s%s", path, suffix);
  errno = ENAMETOOLONG;
  FILE *file = length < (int)sizeof name ? fopen(name, "rb") : NULL;
  if (file == NULL)
    return titan_error(TITAN_ERROR_DATA, "%s%s: cannot open: %s", path, suffix, strerror(errno));
  long size = fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
  if (size < 0 || fseek(file, 0, SEEK_SET) != 0) {
    status = titan_error(TITAN_ERROR_DATA, "%s: cannot find its size: %s", name, strerror(errno));
    goto cleanup;
  }
  TITAN_TRY_CLEANUP(titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)size + 1, contents));
  *bytes = fread(*contents, 1, (size_t)size, file);
  if (*bytes != (size_t)size)
    status = titan_error(TITAN_ERROR_DATA, "%s: only %zu of %ld bytes could be read", name, *bytes, size);
  (*contents)[*bytes] = '\0';
cleanup:
  fclose(file);
  return status;
}

// Cuts the next line off *cursor (which becomes NULL after the last one) and returns it.
static char *line_next(char **cursor) {
  char *line = *cursor;
  char *end = strchr(line, '\n');
  *cursor = end == NULL ? NULL : end + 1;
  if (end != NULL)
    *end = '\0';
  return line;
}

// Cuts the next field of a line, separated by single or repeated blanks; NULL at the end.
static char *field_next(char **cursor) {
  char *field = *cursor + strspn(*cursor, " ");
  if (*field == '\0')
    return NULL;
  size_t length = strcspn(field, " ");
  *cursor = field + length + (field[length] != '\0');
  field[length] = '\0';
  return field;
}

static int field_number(char **cursor, int64_t *value) {
  char *field = field_next(cursor), *end;
  if (field == NULL)
    return 0;
  errno = 0;
  *value = strtoll(field, &end, 10);
  return *end == '\0' && errno == 0 && *value >= 0;
}

static int dtype_of(const char *name, titan_dtype *dtype) {
  static const titan_dtype known[] = {TITAN_FLOAT32, TITAN_FLOAT64, TITAN_INT32};
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
    if (strcmp(name, titan_dtype_name(known[i])) == 0) {
      *dtype = known[i];
      return 1;
    }
  return 0;
}

// Reads "name dtype rank dims... offset" and checks that the tensor lies inside the data. Returns 0 when it does not.
static int tensor_parse(char *line, const char *data, int64_t data_bytes, titan_golden_tensor *tensor) {
  int64_t rank, offset;
  const char *name = field_next(&line);
  const char *dtype = name == NULL ? NULL : field_next(&line);
  if (dtype == NULL || !dtype_of(dtype, &tensor->dtype) || !field_number(&line, &rank) || rank > TITAN_GOLDEN_MAX_RANK)
    return 0;
  tensor->name = name;
  tensor->rank = (int)rank;
  tensor->count = 1;
  for (int i = 0; i < tensor->rank; i++)
    if (!field_number(&line, &tensor->dims[i]) ||
        __builtin_mul_overflow(tensor->count, tensor->dims[i], &tensor->count))
      return 0;
  int64_t size = (int64_t)titan_dtype_bytes(tensor->dtype);
  if (!field_number(&line, &offset) || field_next(&line) != NULL || offset > data_bytes || offset % size != 0 ||
      tensor->count > (data_bytes - offset) / size)
    return 0;
  tensor->data = data + offset;
  return 1;
}

static titan_status tensors_read(titan_golden *golden) {
  size_t bytes;
  int64_t version, count, start, data_bytes;
  TITAN_TRY(file_read(golden->path, ".golden", &golden->tensor_file, &bytes));
  char *cursor = golden->tensor_file;
  char *line = line_next(&cursor);
  const char *magic = field_next(&line);
  if (magic == NULL || strcmp(magic, "titan-golden") != 0 || !field_number(&line, &version) || version != 1 ||
      !field_number(&line, &count) || !field_number(&line, &start) || !field_number(&line, &data_bytes))
    return titan_error(TITAN_ERROR_DATA, "%s.golden: line 1 is not 'titan-golden 1 <tensors> <start> <bytes>'",
                       golden->path);
  // A header line has at least 10 bytes, so a count beyond that is nonsense and must not become an allocation.
  if (start % TITAN_MEMORY_ALIGNMENT != 0 || (uint64_t)start > bytes || (uint64_t)data_bytes != bytes - (size_t)start ||
      count > start / 10)
    return titan_error(TITAN_ERROR_DATA,
                       "%s.golden: %zu bytes, but its first line speaks of %lld tensors and %lld + %lld bytes",
                       golden->path, bytes, (long long)count, (long long)start, (long long)data_bytes);
  TITAN_TRY(
      titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, (size_t)count, sizeof *golden->tensors, &golden->tensors));
  const char *data = golden->tensor_file + start;
  for (; golden->tensor_count < count; golden->tensor_count++)
    if (cursor == NULL || cursor >= data ||
        !tensor_parse(line_next(&cursor), data, data_bytes, &golden->tensors[golden->tensor_count]))
      return titan_error(TITAN_ERROR_DATA,
                         "%s.golden: line %d is not 'name dtype rank dimensions offset' of a tensor inside the file",
                         golden->path, golden->tensor_count + 2);
  return TITAN_OK;
}

static titan_status settings_read(titan_golden *golden) {
  size_t bytes, lines = 1;
  TITAN_TRY(file_read(golden->path, ".txt", &golden->settings_file, &bytes));
  for (size_t i = 0; i < bytes; i++)
    lines += golden->settings_file[i] == '\n';
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, lines, sizeof *golden->settings, &golden->settings));
  int number = 0;
  for (char *cursor = golden->settings_file; cursor != NULL;) {
    char *line = line_next(&cursor);
    number++;
    if (*line == '\0')
      continue;
    char *equals = strchr(line, '=');
    if (equals == NULL || equals == line)
      return titan_error(TITAN_ERROR_DATA, "%s.txt:%d: expected key=value, found '%s'", golden->path, number, line);
    *equals = '\0';
    golden->settings[golden->setting_count++] = (setting){line, equals + 1};
  }
  return TITAN_OK;
}

titan_status titan_golden_open(const char *path, titan_golden **out) {
  titan_status status = TITAN_OK;
  titan_golden *golden;
  *out = NULL;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, 1, sizeof *golden, &golden));
  TITAN_TRY_CLEANUP(titan_memory_duplicate(TITAN_MEMORY_GENERAL, path, &golden->path));
  TITAN_TRY_CLEANUP(tensors_read(golden));
  TITAN_TRY_CLEANUP(settings_read(golden));
  *out = golden;
  return TITAN_OK;
cleanup:
  titan_golden_close(&golden);
  return status;
}

void titan_golden_close(titan_golden **golden) {
  if (*golden == NULL)
    return;
  titan_memory_free((*golden)->path);
  titan_memory_free((*golden)->tensor_file);
  titan_memory_free((*golden)->settings_file);
  titan_memory_free((*golden)->tensors);
  titan_memory_free((*golden)->settings);
  titan_memory_free(*golden);
  *golden = NULL;
}

int titan_golden_count(const titan_golden *golden) {
  return golden->tensor_count;
}

const titan_golden_tensor *titan_golden_at(const titan_golden *golden, int index) {
  return &golden->tensors[index];
}

titan_status titan_golden_find(const titan_golden *golden, const char *name, const titan_golden_tensor **tensor) {
  *tensor = NULL;
  for (int i = 0; i < golden->tensor_count && *tensor == NULL; i++)
    if (strcmp(golden->tensors[i].name, name) == 0)
      *tensor = &golden->tensors[i];
  if (*tensor == NULL)
    return titan_error(TITAN_ERROR_DATA, "%s.golden has no tensor %s", golden->path, name);
  return TITAN_OK;
}

double titan_golden_value(const titan_golden_tensor *tensor, int64_t index) {
  if (tensor->dtype == TITAN_FLOAT32)
    return ((const float *)tensor->data)[index];
  if (tensor->dtype == TITAN_INT32)
    return ((const int32_t *)tensor->data)[index];
  return ((const double *)tensor->data)[index];
}

titan_status titan_golden_scalar(const titan_golden *golden, const char *name, double *value) {
  const titan_golden_tensor *tensor;
  TITAN_TRY(titan_golden_find(golden, name, &tensor));
  if (tensor->count != 1)
    return titan_error(TITAN_ERROR_DATA, "%s.golden: tensor %s has %lld elements, expected one", golden->path, name,
                       (long long)tensor->count);
  *value = titan_golden_value(tensor, 0);
  return TITAN_OK;
}

titan_status titan_golden_text(const titan_golden *golden, const char *key, const char **value) {
  *value = NULL;
  for (int i = 0; i < golden->setting_count; i++)
    if (strcmp(golden->settings[i].key, key) == 0) {
      *value = golden->settings[i].value;
      return TITAN_OK;
    }
  return titan_error(TITAN_ERROR_DATA, "%s.txt has no key %s", golden->path, key);
}

titan_status titan_golden_integer(const titan_golden *golden, const char *key, int64_t *value) {
  const char *text;
  char *end;
  TITAN_TRY(titan_golden_text(golden, key, &text));
  errno = 0;
  *value = strtoll(text, &end, 10);
  if (*text == '\0' || *end != '\0' || errno != 0)
    return titan_error(TITAN_ERROR_DATA, "%s.txt: %s is '%s', expected a whole number", golden->path, key, text);
  return TITAN_OK;
}

titan_status titan_golden_real(const titan_golden *golden, const char *key, double *value) {
  const char *text;
  char *end;
  TITAN_TRY(titan_golden_text(golden, key, &text));
  *value = strtod(text, &end);
  if (*text == '\0' || *end != '\0')
    return titan_error(TITAN_ERROR_DATA, "%s.txt: %s is '%s', expected a number", golden->path, key, text);
  return TITAN_OK;
}
