// SPDX-License-Identifier: Apache-2.0
#include "tool/tool_files.h"

#include "base/memory.h"
#include "storage/output.h"
#include "storage/rename.h"
#include "storage/space.h"
#include "storage/write_at.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

titan_status titan_tool_check_name(const char *path, bool folder) {
  size_t length = strlen(path);
  if (length == 0)
    return titan_error(TITAN_ERROR_USAGE, "the output has no name: OUT is empty");
  if (!folder && path[length - 1] == '/')
    return titan_error(TITAN_ERROR_USAGE, "%s ends in a slash, and the output is a file: give its name", path);
  return TITAN_OK;
}

titan_status titan_tool_check_ending(const char *path, const char *ending, const char *made) {
  size_t length = strlen(path), end = strlen(ending);
  if (length < end || strcmp(path + length - end, ending) != 0)
    return TITAN_OK;
  return titan_error(TITAN_ERROR_USAGE, "%s ends in %s, and %s", path, ending, made);
}

// --- planning ---

static int count_files(uint64_t limit, int tensor_count, const titan_safetensors_tensor *tensors, int *file_of) {
  uint64_t used = 0;
  int file = 0;
  for (int i = 0; i < tensor_count; i++) {
    uint64_t bytes = titan_number_bytes(tensors[i].number);
    for (int d = 0; d < tensors[i].rank; d++)
      bytes *= (uint64_t)tensors[i].dims[d];
    if (limit > 0 && used > 0 && used + bytes > limit) {
      file++;
      used = 0;
    }
    used += bytes;
    file_of[i] = file;
  }
  return file + 1;
}

static titan_status name_file(const char *path, bool numbered, int index, int count, titan_tool_file *file) {
  titan_text text = {0};
  titan_status status = TITAN_OK;
  if (!numbered)
    TITAN_TRY_CLEANUP(titan_text_printf(&text, "%s", path));
  else if (count == 1)
    TITAN_TRY_CLEANUP(titan_text_printf(&text, "%s/model.safetensors", path));
  else
    TITAN_TRY_CLEANUP(titan_text_printf(&text, "%s/model-%05d-of-%05d.safetensors", path, index + 1, count));
  TITAN_TRY_CLEANUP(titan_memory_duplicate(TITAN_MEMORY_GENERAL, text.data, &file->path));
  TITAN_TRY_CLEANUP(titan_text_printf(&text, ".partial"));
  TITAN_TRY_CLEANUP(titan_memory_duplicate(TITAN_MEMORY_GENERAL, text.data, &file->partial));
cleanup:
  titan_text_destroy(&text);
  return status;
}

titan_status titan_tool_files_plan(const char *path, bool numbered, uint64_t limit, int tensor_count,
                                   titan_safetensors_tensor *tensors, int entry_count,
                                   const titan_safetensors_entry *entries, titan_tool_files *files) {
  files->tensors = tensors;
  files->tensor_count = tensor_count;
  TITAN_TRY(
      titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)tensor_count * sizeof *files->file_of, &files->file_of));
  int count = count_files(limit, tensor_count, tensors, files->file_of);
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, (size_t)count, sizeof *files->files, &files->files));
  files->count = count;
  for (int i = 0; i < count; i++)
    files->files[i].descriptor = -1;
  for (int i = 0; i < tensor_count; i++)
    files->files[files->file_of[i]].count++;
  for (int i = 0, first = 0; i < count; i++) {
    titan_tool_file *file = &files->files[i];
    file->first = first;
    first += file->count;
    TITAN_TRY(name_file(path, numbered, i, count, file));
    TITAN_TRY(titan_safetensors_layout(file->count, tensors + file->first, entry_count, entries, &file->header,
                                       &file->bytes));
  }
  return TITAN_OK;
}

// --- making ---

static titan_status output_error(const char *path) {
  return titan_error(TITAN_ERROR_CHECKPOINT, "cannot write %s: %s", path, strerror(errno));
}

static titan_status write_all(int descriptor, const char *path, const titan_text *text) {
  errno = titan_write_at(descriptor, text->data, text->length, 0);
  return errno == 0 ? TITAN_OK : output_error(path);
}

static titan_status make(titan_tool_file *file) {
  file->descriptor = open(file->partial, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0666);
  if (file->descriptor < 0 && errno == EEXIST)
    return titan_error(
        TITAN_ERROR_CHECKPOINT,
        "cannot write %s: %s is in the way (being written, or left by a killed process): remove it first", file->path,
        file->partial);
  if (file->descriptor < 0)
    return output_error(file->path);
  file->made = true;
  TITAN_TRY(titan_space_check_free(file->partial, file->path, file->bytes));
  if (ftruncate(file->descriptor, (off_t)file->bytes) != 0)
    return output_error(file->path);
  TITAN_TRY(titan_space_reserve(file->partial, file->path, file->bytes));
  return write_all(file->descriptor, file->path, &file->header);
}

static titan_status share_places(const titan_tool *tool, titan_tool_files *files) {
  uint64_t *offsets;
  size_t bytes = (size_t)files->tensor_count * sizeof *offsets;
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, bytes, &offsets));
  for (int i = 0; i < files->tensor_count; i++)
    offsets[i] = files->tensors[i].offset;
  titan_status status = titan_comm_broadcast(tool->world, offsets, bytes, TITAN_BYTE, 0, NULL);
  for (int i = 0; i < files->tensor_count; i++)
    files->tensors[i].offset = offsets[i];
  titan_memory_free(offsets);
  return status;
}

titan_status titan_tool_files_create(const titan_tool *tool, titan_tool_files *files) {
  titan_status status = TITAN_OK;
  for (int i = 0; i < files->count && tool->rank == 0 && status == TITAN_OK; i++)
    status = make(&files->files[i]);
  if (status == TITAN_ERROR_OUTPUT) // of a checkpoint
    status = titan_error(TITAN_ERROR_CHECKPOINT, "%s", titan_error_message());
  TITAN_TRY(titan_comm_agree(tool->world, status));
  TITAN_TRY(share_places(tool, files));
  for (int i = 0; i < files->count && tool->rank != 0 && status == TITAN_OK; i++) {
    files->files[i].descriptor = open(files->files[i].partial, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (files->files[i].descriptor < 0)
      status = output_error(files->files[i].path);
  }
  return status;
}

// --- finishing ---

static titan_status sync_and_close(titan_tool_files *files, titan_status status) {
  for (int i = 0; i < files->count; i++) {
    titan_tool_file *file = &files->files[i];
    if (file->descriptor < 0)
      continue;
    if (status == TITAN_OK && fsync(file->descriptor) != 0)
      status = output_error(file->path);
    if (close(file->descriptor) != 0 && status == TITAN_OK)
      status = output_error(file->path);
    file->descriptor = -1;
  }
  return status;
}

static titan_status give_names(titan_tool_files *files) {
  for (int i = 0; i < files->count; i++) {
    titan_tool_file *file = &files->files[i];
    if (titan_rename_new(file->partial, file->path) != 0)
      return output_error(file->path);
    file->named = true;
  }
  return TITAN_OK;
}

static void remove_all(const titan_tool_files *files) {
  for (int i = 0; i < files->count; i++) {
    const titan_tool_file *file = &files->files[i];
    if (file->made)
      unlink(file->named ? file->path : file->partial);
  }
}

titan_status titan_tool_files_finish(const titan_tool *tool, titan_tool_files *files, titan_status status) {
  status = titan_comm_agree(tool->world, sync_and_close(files, status));
  if (tool->rank == 0 && status == TITAN_OK)
    status = give_names(files);
  status = titan_comm_agree(tool->world, status);
  if (status != TITAN_OK)
    remove_all(files);
  return status;
}

void titan_tool_files_destroy(titan_tool_files *files) {
  for (int i = 0; i < files->count; i++) {
    titan_memory_free(files->files[i].path);
    titan_memory_free(files->files[i].partial);
    titan_text_destroy(&files->files[i].header);
    if (files->files[i].descriptor >= 0)
      close(files->files[i].descriptor);
  }
  titan_memory_free(files->files);
  titan_memory_free(files->file_of);
  *files = (titan_tool_files){0};
}

titan_status titan_tool_write_text(const char *path, const titan_text *text) {
  titan_status status = titan_output_write_text(path, TITAN_OUTPUT_NEW, text);
  return status == TITAN_ERROR_OUTPUT ? titan_error(TITAN_ERROR_CHECKPOINT, "%s", titan_error_message()) : status;
}
