// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/share.h"

#include <stdio.h>
#include <string.h>

// Rank 0's array of `bytes` bytes, in *array, for all.
static titan_status share_array(titan_comm *comm, size_t bytes, void *array) {
  if (titan_comm_rank(comm) != 0)
    TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, bytes, array));
  return bytes > 0 ? titan_comm_broadcast(comm, *(void **)array, bytes, TITAN_BYTE, 0, NULL) : TITAN_OK;
}

// The numbers of states are a process's own: those of rank 0 become this rank's, by their names.
static titan_status share_groups(titan_comm *comm, titan_checkpoint_file *file) {
  titan_checkpoint_group mine[TITAN_CHECKPOINT_GROUPS_MOST] = {TITAN_CHECKPOINT_MODEL};
  int32_t count = titan_checkpoint_group_count();
  titan_status status = TITAN_OK; // kept until all have taken part
  TITAN_TRY(titan_comm_broadcast(comm, &count, 1, TITAN_INT32, 0, NULL));
  for (int32_t group = 1; group < count; group++) {
    char path[TITAN_CHECKPOINT_GROUP_BYTES] = "";
    if (titan_comm_rank(comm) == 0)
      snprintf(path, sizeof path, "%s", titan_checkpoint_group_path(group));
    TITAN_TRY(titan_comm_broadcast(comm, path, sizeof path, TITAN_BYTE, 0, NULL));
    if (status == TITAN_OK)
      status = titan_checkpoint_group_of(strrchr(path, '/') + 1, &mine[group]);
  }
  for (int i = 0; i < file->tensor_count && status == TITAN_OK; i++)
    file->tensors[i].group = mine[file->tensors[i].group];
  return status;
}

static titan_status share(titan_comm *comm, titan_checkpoint_file *file) {
  titan_checkpoint_contents *contents = &file->contents;
  TITAN_TRY(titan_comm_broadcast(comm, &file->block, sizeof file->block, TITAN_BYTE, 0, NULL));
  int64_t numbers[5] = {file->tensor_count, file->check_count, (int64_t)file->checks_offset, (int64_t)file->tile_bytes,
                        (int64_t)file->cursors_offset};
  TITAN_TRY(titan_comm_broadcast(comm, numbers, 5, TITAN_INT64, 0, NULL));
  file->tensor_count = (int)numbers[0];
  file->check_count = numbers[1];
  file->checks_offset = (uint64_t)numbers[2];
  file->tile_bytes = (size_t)numbers[3];
  file->cursors_offset = (uint64_t)numbers[4];
  TITAN_TRY(share_array(comm, (size_t)numbers[0] * sizeof *file->tensors, &file->tensors));
  TITAN_TRY(share_groups(comm, file));
  titan_checkpoint_contents mine = *contents;
  TITAN_TRY(titan_comm_broadcast(comm, contents, sizeof *contents, TITAN_BYTE, 0, NULL));
  // Pointers of another process mean nothing here.
  if (titan_comm_rank(comm) != 0) {
    contents->program = contents->mesh = contents->configuration = contents->written = NULL;
    contents->model_name = contents->model_flavor = contents->optimizer = contents->instruction_set = NULL;
    contents->log_count = 0;
    contents->log_steps = NULL;
    contents->log_mean = contents->log_max = NULL;
    contents->cursors = NULL;
  } else {
    *contents = mine;
  }
  return TITAN_OK;
}

// Rank 0 has the file; others make theirs.
static titan_status prepare(titan_comm *comm, const char *path, titan_checkpoint_file **out) {
  titan_checkpoint_fault unused;
  if (titan_comm_rank(comm) == 0)
    return TITAN_OK;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, 1, sizeof **out, out));
  (*out)->descriptor = -1;
  TITAN_TRY(titan_memory_duplicate(TITAN_MEMORY_GENERAL, path, &(*out)->path));
  return titan_checkpoint_open_descriptor(path, &(*out)->descriptor, &unused);
}

titan_status titan_checkpoint_file_open_shared(titan_comm *comm, const char *path, titan_checkpoint_file **out,
                                               titan_checkpoint_fault *fault) {
  int32_t kind = TITAN_CHECKPOINT_SOUND;
  titan_status status = TITAN_OK;
  *out = NULL;
  *fault = TITAN_CHECKPOINT_SOUND;
  if (titan_comm_rank(comm) == 0)
    status = titan_checkpoint_file_open(path, out, fault);
  kind = (int32_t)*fault;
  status = titan_comm_agree(comm, status);
  titan_status shared = titan_comm_broadcast(comm, &kind, 1, TITAN_INT32, 0, NULL);
  *fault = (titan_checkpoint_fault)kind;
  if (status != TITAN_OK)
    return status;
  TITAN_TRY(shared);
  status = titan_comm_agree(comm, prepare(comm, path, out));
  if (status != TITAN_OK)
    *fault = TITAN_CHECKPOINT_SYSTEM;
  if (status == TITAN_OK)
    status = titan_comm_agree(comm, share(comm, *out));
  if (status != TITAN_OK)
    titan_checkpoint_file_close(out);
  return status;
}
