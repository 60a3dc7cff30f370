// SPDX-License-Identifier: Apache-2.0
// The folder of checkpoints when a run begins: taken for this run, cleared of what killed ones left, and looked
// through.
#include "base/log.h"
#include "checkpoint/store.h"
#include "storage/folder.h"
#include "storage/path.h"
#include "storage/space.h"
#include "train/shared_folder.h"
#include "train/trainer_checkpoint.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

static titan_status of_folder(const titan_config *config, titan_status status) {
  if (status == TITAN_OK)
    return TITAN_OK;
  return titan_error(TITAN_ERROR_USAGE, "checkpoint.folder = %s (%s): %s", config->checkpoint.folder,
                     titan_config_origin(config, "checkpoint.folder"), titan_error_message());
}

// What is unfinished in the folder is only known for left over once no other run holds it.
static titan_status open_folder(trainer_checkpoint *checkpoint) {
  const char *folder = checkpoint->folder.data;
  bool held;
  TITAN_TRY(titan_folder_create(folder));
  if (access(folder, W_OK | X_OK) != 0)
    return titan_error(TITAN_ERROR_USAGE, "cannot write to the folder %s: %s", folder, strerror(errno));
  TITAN_TRY(titan_store_lock(folder, TITAN_LOCK_KEEP, &checkpoint->lock, &held));
  if (held)
    return titan_error(TITAN_ERROR_USAGE, "another run is writing to this folder");
  return titan_store_remove_partial(folder);
}

bool titan_trainer_checkpoint_was_there(const trainer_checkpoint *checkpoint, int64_t step) {
  for (int64_t i = 0; i < checkpoint->step_count; i++)
    if (checkpoint->steps[i] == step)
      return true;
  return false;
}

static titan_status list_steps(const trainer_checkpoint *checkpoint, titan_text *text) {
  enum { LISTED = 8 };
  int64_t first = checkpoint->step_count > LISTED ? checkpoint->step_count - LISTED : 0;
  if (checkpoint->step_count == 0)
    return titan_text_printf(text, "none");
  if (first > 0)
    TITAN_TRY(titan_text_printf(text, "..., "));
  for (int64_t i = first; i < checkpoint->step_count; i++)
    TITAN_TRY(titan_text_printf(text, "%s%" PRId64, i > first ? ", " : "", checkpoint->steps[i]));
  return TITAN_OK;
}

// What can be said of the folder before any work is done.
static titan_status check_steps(const titan_config *config, const trainer_checkpoint *checkpoint) {
  int64_t wanted = config->checkpoint.load_step;
  titan_text there = {0};
  titan_status status = TITAN_OK;
  if (config->checkpoint.create_seed_checkpoint && titan_trainer_checkpoint_was_there(checkpoint, 0))
    return titan_error(TITAN_ERROR_CHECKPOINT,
                       "checkpoint.create_seed_checkpoint: %s holds a checkpoint of step 0 already; remove it first",
                       checkpoint->folder.data);
  if (config->checkpoint.create_seed_checkpoint || wanted < 0 || titan_trainer_checkpoint_was_there(checkpoint, wanted))
    return TITAN_OK;
  for (int64_t i = 0; i < checkpoint->step_count; i++) { // keep_latest_k may have removed the one itself
    bool descends;
    TITAN_TRY(titan_trainer_checkpoint_descends(checkpoint, checkpoint->steps[i], wanted, &descends));
    if (descends)
      return TITAN_OK;
  }
  status = list_steps(checkpoint, &there);
  if (status == TITAN_OK)
    status =
        titan_error(TITAN_ERROR_CHECKPOINT,
                    "checkpoint.load_step = %" PRId64 " (%s): %s holds no checkpoint of that step; it has: %s", wanted,
                    titan_config_origin(config, "checkpoint.load_step"), checkpoint->folder.data, there.data);
  titan_text_destroy(&there);
  return status;
}

titan_status titan_trainer_checkpoint_foreign(const char *path) {
  return titan_error(TITAN_ERROR_CHECKPOINT,
                     "%s is not a checkpoint of this program, and nothing is overwritten: move it away, because this "
                     "run writes files named step-N.h5 in this folder",
                     path);
}

// The file that would be loaded and those of later steps, which would be overwritten.
static titan_status check_foreign(const titan_config *config, const trainer_checkpoint *checkpoint) {
  int64_t last = checkpoint->step_count - 1;
  int64_t from = config->checkpoint.load_step >= 0 || last < 0 ? config->checkpoint.load_step : checkpoint->steps[last];
  titan_text path = {0};
  titan_status status = TITAN_OK;
  for (int64_t i = last; i >= 0 && checkpoint->steps[i] >= from && status == TITAN_OK; i--) {
    path.length = 0;
    status = titan_store_path(checkpoint->folder.data, checkpoint->steps[i], &path);
    if (status == TITAN_OK && titan_checkpoint_is_foreign(path.data))
      status = titan_trainer_checkpoint_foreign(path.data);
  }
  titan_text_destroy(&path);
  return status;
}

// Saves that the run will make; with checkpoint.interval in seconds nobody knows, and one is certain.
static int64_t count_saves(const titan_trainer *trainer) {
  const titan_config *config = trainer->env.config;
  int64_t steps = config->training.steps - trainer->step, interval = config->checkpoint.interval;
  if (steps <= 0 || strcmp(config->checkpoint.interval_type, "seconds") == 0)
    return steps > 0;
  int64_t saves = config->training.steps / interval - trainer->step / interval;
  return saves + (config->training.steps % interval != 0);
}

void titan_trainer_checkpoint_check_room(const titan_trainer *trainer) {
  const trainer_checkpoint *checkpoint = trainer->checkpoint;
  int64_t keep = trainer->env.config->checkpoint.keep_latest_k;
  int64_t files = titan_store_new_files(keep, checkpoint->step_count, count_saves(trainer));
  uint64_t left = titan_space_left(checkpoint->folder.data), bytes = titan_saver_file_bytes(checkpoint->saver);
  if (left == 0 || left / bytes >= (uint64_t)files)
    return;
  titan_log_warning("%s has space for %" PRIu64 " more checkpoint%s of %.2f GiB, and this run needs space for %" PRId64
                    " (checkpoint.keep_latest_k = %" PRId64 "%s): saves will fail",
                    checkpoint->folder.data, left / bytes, left / bytes == 1 ? "" : "s", (double)bytes / (1 << 30),
                    files, keep, keep > 0 ? ", and one more while it is written" : ": all are kept");
}

// Rank 0.
static titan_status find_steps(const titan_config *config, trainer_checkpoint *checkpoint) {
  TITAN_TRY(of_folder(config, open_folder(checkpoint)));
  TITAN_TRY(titan_store_list(checkpoint->folder.data, &checkpoint->steps, &checkpoint->step_count));
  TITAN_TRY(check_steps(config, checkpoint));
  if (checkpoint->step_count == 0)
    TITAN_TRY(titan_trainer_initial_check(config));
  return check_foreign(config, checkpoint);
}

static titan_status share_steps(titan_comm *world, trainer_checkpoint *checkpoint) {
  TITAN_TRY(titan_comm_broadcast(world, &checkpoint->step_count, 1, TITAN_INT64, 0, NULL));
  if (titan_comm_rank(world) != 0)
    TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)checkpoint->step_count * sizeof(int64_t),
                                    &checkpoint->steps));
  return checkpoint->step_count == 0
             ? TITAN_OK
             : titan_comm_broadcast(world, checkpoint->steps, (size_t)checkpoint->step_count, TITAN_INT64, 0, NULL);
}

static titan_status allocate(titan_trainer *trainer) {
  const titan_config *config = trainer->env.config;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, 1, sizeof *trainer->checkpoint, &trainer->checkpoint));
  trainer_checkpoint *checkpoint = trainer->checkpoint;
  for (const char *word = config->checkpoint.exclude_from_loading; word != NULL && *word != '\0';) {
    int length = (int)strcspn(word, ",");
    titan_checkpoint_part part;
    if (titan_setup_checkpoint_part(word, length, &part))
      checkpoint->excluded[part] = true;
    word += length + (word[length] == ',');
  }
  return titan_path_join(&checkpoint->folder, config->job.dump_folder, config->checkpoint.folder);
}

titan_status titan_trainer_checkpoint_open(titan_trainer *trainer) {
  const titan_config *config = trainer->env.config;
  titan_comm *world = titan_trainer_world(trainer);
  if (!config->checkpoint.enable_checkpoint && !config->checkpoint.create_seed_checkpoint)
    return TITAN_OK;
  TITAN_TRY(titan_comm_agree(world, allocate(trainer)));
  titan_status status = trainer->rank == 0 ? find_steps(config, trainer->checkpoint) : TITAN_OK;
  TITAN_TRY(titan_comm_agree(world, status));
  status = of_folder(config, titan_shared_folder_check(world, trainer->checkpoint->folder.data));
  TITAN_TRY(titan_comm_agree(world, status));
  return titan_comm_agree(world, share_steps(world, trainer->checkpoint));
}
