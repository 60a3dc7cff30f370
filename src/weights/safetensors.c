// SPDX-License-Identifier: Apache-2.0
#include "weights/safetensors.h"

#include "base/memory.h"
#include "storage/write_at.h"
#include "weights/safetensors_header.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LENGTH_BYTES = 8, HEADER_LIMIT = 100000000, PIECE_ELEMENTS = 1 << 16 }; // the limit is the format's

static uint64_t little_endian(const unsigned char bytes[LENGTH_BYTES]) {
  uint64_t value = 0;
  for (int i = LENGTH_BYTES - 1; i >= 0; i--)
    value = value << 8 | bytes[i];
  return value;
}

static titan_status read_bytes(const titan_safetensors *file, uint64_t offset, void *out, size_t bytes) {
  for (size_t done = 0; done < bytes;) {
    ssize_t got = pread(file->descriptor, (char *)out + done, bytes - done, (off_t)(offset + done));
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return titan_error(TITAN_ERROR_CHECKPOINT, "cannot read %s: %s", file->path, strerror(errno));
    if (got == 0)
      return titan_error(TITAN_ERROR_CHECKPOINT, "%s is truncated: byte %" PRIu64 " is missing", file->path,
                         offset + done);
    done += (size_t)got;
  }
  return TITAN_OK;
}

static titan_status read_header(titan_safetensors *file, uint64_t file_bytes) {
  unsigned char prefix[LENGTH_BYTES];
  char *text;
  if (file_bytes < LENGTH_BYTES + 2)
    return titan_error(TITAN_ERROR_CHECKPOINT, "%s is not a safetensors file: it has only %" PRIu64 " bytes",
                       file->path, file_bytes);
  TITAN_TRY(read_bytes(file, 0, prefix, sizeof prefix));
  uint64_t length = little_endian(prefix);
  if (length > HEADER_LIMIT || length > file_bytes - LENGTH_BYTES)
    return titan_error(TITAN_ERROR_CHECKPOINT,
                       "%s is not a safetensors file, or is truncated: its header would have %" PRIu64
                       " bytes (the format allows %d), and the file has %" PRIu64,
                       file->path, length, HEADER_LIMIT, file_bytes);
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)length, &text));
  titan_status status = read_bytes(file, LENGTH_BYTES, text, (size_t)length);
  if (status == TITAN_OK)
    status = titan_safetensors_header_parse(file, text, (size_t)length, LENGTH_BYTES + length, file_bytes);
  titan_memory_free(text);
  return status;
}

titan_status titan_safetensors_open(const char *path, titan_safetensors **out) {
  titan_safetensors *file;
  titan_status status = TITAN_OK;
  struct stat properties;
  *out = NULL;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, 1, sizeof *file, &file));
  file->descriptor = -1;
  TITAN_TRY_CLEANUP(titan_memory_duplicate(TITAN_MEMORY_GENERAL, path, &file->path));
  file->descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file->descriptor < 0 || fstat(file->descriptor, &properties) != 0) {
    status = titan_error(TITAN_ERROR_CHECKPOINT, "cannot open %s: %s", path, strerror(errno));
    goto cleanup;
  }
  if (!S_ISREG(properties.st_mode)) {
    status = titan_error(TITAN_ERROR_CHECKPOINT, "%s is not a file", path);
    goto cleanup;
  }
  TITAN_TRY_CLEANUP(read_header(file, (uint64_t)properties.st_size));
  *out = file;
  return TITAN_OK;
cleanup:
  titan_safetensors_close(&file);
  return status;
}

void titan_safetensors_close(titan_safetensors **inout) {
  titan_safetensors *file = *inout;
  if (file == NULL)
    return;
  if (file->descriptor >= 0)
    close(file->descriptor);
  for (int i = 0; i < file->count; i++)
    titan_memory_free(file->tensors[i].name);
  for (int i = 0; i < file->entry_count; i++) {
    titan_memory_free(file->entries[i].key);
    titan_memory_free(file->entries[i].value);
  }
  titan_memory_free(file->tensors);
  titan_memory_free(file->entries);
  titan_memory_free(file->path);
  titan_memory_free(file);
  *inout = NULL;
}

const titan_safetensors_tensor *titan_safetensors_find(const titan_safetensors *file, const char *name) {
  for (int i = 0; i < file->count; i++)
    if (strcmp(file->tensors[i].name, name) == 0)
      return &file->tensors[i];
  return NULL;
}

const char *titan_safetensors_metadata(const titan_safetensors *file, const char *key) {
  for (int i = 0; i < file->entry_count; i++)
    if (strcmp(file->entries[i].key, key) == 0)
      return file->entries[i].value;
  return NULL;
}

titan_status titan_safetensors_read(const titan_safetensors *file, const titan_safetensors_tensor *tensor,
                                    int64_t first, int64_t count, float *out) {
  size_t size = titan_number_bytes(tensor->number);
  uint32_t piece[PIECE_ELEMENTS];
  for (int64_t done = 0; done < count;) {
    int64_t part = count - done < PIECE_ELEMENTS ? count - done : PIECE_ELEMENTS;
    TITAN_TRY(read_bytes(file, tensor->offset + (uint64_t)(first + done) * size, piece, (size_t)part * size));
    titan_number_to_float(tensor->number, part, piece, out + done);
    done += part;
  }
  return TITAN_OK;
}

// --- writing ---

// {"dtype": .., "shape": [..], "data_offsets": [begin, end]}; NULL when memory runs out.
static json_t *describe(const titan_safetensors_tensor *tensor, uint64_t begin) {
  json_t *shape = json_array();
  for (int i = 0; i < tensor->rank; i++)
    json_array_append_new(shape, json_integer(tensor->dims[i]));
  return json_pack("{s:s, s:o, s:[I, I]}", "dtype", tensor->type, "shape", shape, "data_offsets", (json_int_t)begin,
                   (json_int_t)(begin + tensor->bytes));
}

// The header's text, which the caller frees with free(); offsets are set relative to the data. NULL when memory runs
// out.
static char *header_text(int count, titan_safetensors_tensor *tensors, int entry_count,
                         const titan_safetensors_entry *entries, uint64_t *data_bytes) {
  json_t *root = json_object(), *metadata = json_object();
  int failed = 0;
  *data_bytes = 0;
  for (int i = 0; i < entry_count; i++)
    failed |= json_object_set_new(metadata, entries[i].key, json_string(entries[i].value));
  failed |= json_object_set_new(root, "__metadata__", metadata);
  for (int i = 0; i < count; i++) {
    titan_safetensors_tensor *tensor = &tensors[i];
    tensor->type = titan_safetensors_type(tensor->number);
    tensor->is_number = true;
    tensor->count = 1;
    for (int d = 0; d < tensor->rank; d++)
      tensor->count *= tensor->dims[d];
    tensor->bytes = (uint64_t)tensor->count * titan_number_bytes(tensor->number);
    tensor->offset = *data_bytes;
    failed |= json_object_set_new(root, tensor->name, describe(tensor, *data_bytes));
    *data_bytes += tensor->bytes;
  }
  char *text = failed ? NULL : json_dumps(root, JSON_COMPACT);
  json_decref(root);
  return text;
}

titan_status titan_safetensors_layout(int count, titan_safetensors_tensor *tensors, int entry_count,
                                      const titan_safetensors_entry *entries, titan_text *header,
                                      uint64_t *file_bytes) {
  uint64_t data_bytes;
  char prefix[LENGTH_BYTES], *text = header_text(count, tensors, entry_count, entries, &data_bytes);
  if (text == NULL)
    return titan_error(TITAN_ERROR_MEMORY, "no memory for the header of a safetensors file");
  size_t used = strlen(text), padded = (used + 7) / 8 * 8; // so that the data begin at a multiple of 8
  for (int i = 0; i < LENGTH_BYTES; i++)
    prefix[i] = (char)(padded >> 8 * i & 255);
  titan_status status = padded > HEADER_LIMIT ? titan_error(TITAN_ERROR_CHECKPOINT,
                                                            "the header of a safetensors file would have %zu "
                                                            "bytes; the format allows %d",
                                                            padded, HEADER_LIMIT)
                                              : titan_text_append(header, prefix, sizeof prefix);
  if (status == TITAN_OK)
    status = titan_text_printf(header, "%-*s", (int)padded, text);
  free(text);
  for (int i = 0; i < count; i++)
    tensors[i].offset += LENGTH_BYTES + padded;
  *file_bytes = LENGTH_BYTES + padded + data_bytes;
  return status;
}

titan_status titan_safetensors_write(int descriptor, const char *path, const titan_safetensors_tensor *tensor,
                                     int64_t first, int64_t count, const float *values) {
  size_t size = titan_number_bytes(tensor->number);
  uint32_t piece[PIECE_ELEMENTS];
  for (int64_t done = 0; done < count;) {
    int64_t part = count - done < PIECE_ELEMENTS ? count - done : PIECE_ELEMENTS;
    titan_number_from_float(tensor->number, part, values + done, piece);
    int error =
        titan_write_at(descriptor, piece, (size_t)part * size, tensor->offset + (uint64_t)(first + done) * size);
    if (error != 0)
      return titan_error(TITAN_ERROR_CHECKPOINT, "cannot write %s: %s", path, strerror(error));
    done += part;
  }
  return TITAN_OK;
}
