// SPDX-License-Identifier: Apache-2.0
#include "weights/safetensors_header.h"

#include "base/memory.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

// Every element type of the format; those that are numbers of ours say which.
typedef struct element_type {
  const char *name;
  uint64_t bytes;
  bool is_number;
  titan_number number;
} element_type;

static const element_type types[] = {
    {"F32", 4, true, TITAN_NUMBER_FLOAT32},
    {"BF16", 2, true, TITAN_NUMBER_BFLOAT16},
    {"F16", 2, true, TITAN_NUMBER_FLOAT16},
    {.name = "F64", .bytes = 8},
    {.name = "I64", .bytes = 8},
    {.name = "U64", .bytes = 8},
    {.name = "I32", .bytes = 4},
    {.name = "U32", .bytes = 4},
    {.name = "I16", .bytes = 2},
    {.name = "U16", .bytes = 2},
    {.name = "I8", .bytes = 1},
    {.name = "U8", .bytes = 1},
    {.name = "BOOL", .bytes = 1},
    {.name = "F8_E4M3", .bytes = 1},
    {.name = "F8_E5M2", .bytes = 1},
};

const char *titan_safetensors_type(titan_number number) {
  for (size_t i = 0;; i++)
    if (types[i].is_number && types[i].number == number)
      return types[i].name;
}

static const element_type *find_type(const char *name) {
  for (size_t i = 0; name != NULL && i < sizeof types / sizeof *types; i++)
    if (strcmp(types[i].name, name) == 0)
      return &types[i];
  return NULL;
}

static titan_status tensor_error(const titan_safetensors *file, const char *name, const char *what) {
  return titan_error(TITAN_ERROR_CHECKPOINT, "%s: tensor %.200s %s", file->path, name, what);
}

// A whole number of zero or more.
static bool natural(const json_t *value, uint64_t *out) {
  if (!json_is_integer(value) || json_integer_value(value) < 0)
    return false;
  *out = (uint64_t)json_integer_value(value);
  return true;
}

static titan_status parse_shape(const titan_safetensors *file, const json_t *shape, titan_safetensors_tensor *tensor) {
  uint64_t count = 1;
  if (!json_is_array(shape))
    return tensor_error(file, tensor->name, "has no shape");
  if (json_array_size(shape) > TITAN_SAFETENSORS_DIMS)
    return tensor_error(file, tensor->name, "has more than 8 dimensions");
  tensor->rank = (int)json_array_size(shape);
  for (int i = 0; i < tensor->rank; i++) {
    uint64_t dim;
    if (!natural(json_array_get(shape, (size_t)i), &dim))
      return tensor_error(file, tensor->name, "has a dimension that is not a whole number");
    if (__builtin_mul_overflow(count, dim, &count) || count > INT64_MAX / 8)
      return tensor_error(file, tensor->name, "has more elements than fit into any file");
    tensor->dims[i] = (int64_t)dim;
  }
  tensor->count = (int64_t)count;
  return TITAN_OK;
}

static titan_status parse_tensor(const titan_safetensors *file, const json_t *value, uint64_t data, uint64_t file_bytes,
                                 titan_safetensors_tensor *tensor) {
  const json_t *offsets = json_object_get(value, "data_offsets");
  const char *name = json_string_value(json_object_get(value, "dtype"));
  const element_type *type = find_type(name);
  uint64_t begin, end;
  if (!json_is_object(value))
    return tensor_error(file, tensor->name, "is not described by a JSON object");
  if (type == NULL)
    return titan_error(TITAN_ERROR_CHECKPOINT, "%s: tensor %.200s has the unknown dtype %.40s", file->path,
                       tensor->name, name != NULL ? name : "(none)");
  TITAN_TRY(parse_shape(file, json_object_get(value, "shape"), tensor));
  if (json_array_size(offsets) != 2 || !natural(json_array_get(offsets, 0), &begin) ||
      !natural(json_array_get(offsets, 1), &end) || begin > end)
    return tensor_error(file, tensor->name, "has no data_offsets [begin, end]");
  tensor->type = type->name;
  tensor->is_number = type->is_number;
  tensor->number = type->number;
  tensor->bytes = end - begin;
  tensor->offset = data + begin;
  if (tensor->bytes != (uint64_t)tensor->count * type->bytes)
    return titan_error(TITAN_ERROR_CHECKPOINT,
                       "%s: tensor %.200s has %" PRIu64 " bytes, but its shape and dtype make %" PRIu64, file->path,
                       tensor->name, tensor->bytes, (uint64_t)tensor->count * type->bytes);
  if (end > file_bytes - data)
    return titan_error(TITAN_ERROR_CHECKPOINT,
                       "%s is truncated: tensor %.200s ends at byte %" PRIu64 ", but the file has %" PRIu64 " bytes",
                       file->path, tensor->name, end + data, file_bytes);
  return TITAN_OK;
}

static titan_status parse_metadata(titan_safetensors *file, json_t *metadata) {
  const char *key;
  json_t *value;
  if (!json_is_object(metadata))
    return titan_error(TITAN_ERROR_CHECKPOINT, "%s: __metadata__ is not a JSON object", file->path);
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, json_object_size(metadata), sizeof *file->entries,
                                         &file->entries));
  json_object_foreach(metadata, key, value) {
    if (!json_is_string(value))
      return titan_error(TITAN_ERROR_CHECKPOINT, "%s: __metadata__ holds something else than text", file->path);
    titan_safetensors_entry *entry = &file->entries[file->entry_count++];
    TITAN_TRY(titan_memory_duplicate(TITAN_MEMORY_GENERAL, key, &entry->key));
    TITAN_TRY(titan_memory_duplicate(TITAN_MEMORY_GENERAL, json_string_value(value), &entry->value));
  }
  return TITAN_OK;
}

static int by_offset(const void *a, const void *b) {
  const titan_safetensors_tensor *const *left = a, *const *right = b;
  if ((*left)->offset != (*right)->offset)
    return (*left)->offset < (*right)->offset ? -1 : 1;
  return (*left)->bytes < (*right)->bytes ? -1 : (*left)->bytes > (*right)->bytes;
}

// The tensors' bytes follow each other without gap or overlap, to the end of the file.
static titan_status check_tiling(const titan_safetensors *file, uint64_t data, uint64_t file_bytes) {
  const titan_safetensors_tensor **sorted;
  titan_status status = TITAN_OK;
  uint64_t expected = data;
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)file->count * sizeof *sorted, &sorted));
  for (int i = 0; i < file->count; i++)
    sorted[i] = &file->tensors[i];
  qsort(sorted, (size_t)file->count, sizeof *sorted, by_offset);
  for (int i = 0; i < file->count && status == TITAN_OK; i++) {
    if (sorted[i]->offset < expected)
      status = titan_error(TITAN_ERROR_CHECKPOINT, "%s: tensors %.200s and %.200s overlap", file->path,
                           sorted[i - 1]->name, sorted[i]->name);
    else if (sorted[i]->offset > expected)
      status = tensor_error(file, sorted[i]->name, "has bytes before it that belong to no tensor");
    expected = sorted[i]->offset + sorted[i]->bytes;
  }
  if (status == TITAN_OK && expected != file_bytes)
    status = titan_error(TITAN_ERROR_CHECKPOINT, "%s: %" PRIu64 " bytes at the end belong to no tensor", file->path,
                         file_bytes - expected);
  titan_memory_free(sorted);
  return status;
}

titan_status titan_safetensors_header_parse(titan_safetensors *file, const char *text, size_t length, uint64_t data,
                                            uint64_t file_bytes) {
  titan_status status = TITAN_OK;
  json_error_t reason;
  const char *name;
  json_t *value, *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &reason);
  if (!json_is_object(root)) {
    status = titan_error(TITAN_ERROR_CHECKPOINT, "%s: the header is not a JSON object%s%s", file->path,
                         root == NULL ? ": " : "", root == NULL ? reason.text : "");
    goto cleanup;
  }
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, json_object_size(root), sizeof *file->tensors,
                                                 &file->tensors));
  json_object_foreach(root, name, value) {
    if (strcmp(name, "__metadata__") == 0) {
      TITAN_TRY_CLEANUP(parse_metadata(file, value));
      continue;
    }
    titan_safetensors_tensor *tensor = &file->tensors[file->count++];
    TITAN_TRY_CLEANUP(titan_memory_duplicate(TITAN_MEMORY_GENERAL, name, &tensor->name));
    TITAN_TRY_CLEANUP(parse_tensor(file, value, data, file_bytes, tensor));
  }
  TITAN_TRY_CLEANUP(check_tiling(file, data, file_bytes));
cleanup:
  json_decref(root);
  return status;
}
