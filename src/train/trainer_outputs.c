// SPDX-License-Identifier: Apache-2.0
// The files that a run writes beside its checkpoints. It does not depend on any of them.
#include "train/observer.h"

#include "base/log.h"
#include "storage/aside.h"
#include "storage/folder.h"
#include "storage/output.h"
#include "storage/path.h"

#include <sys/stat.h>

titan_status titan_trainer_by_product(titan_status status) {
  if (status != TITAN_ERROR_OUTPUT)
    return status;
  titan_log_warning("%s; the training continues without it", titan_error_message());
  return TITAN_OK;
}

static titan_status path_of(const titan_trainer *trainer, const char *name, titan_text *path) {
  return titan_path_join(path, trainer->env.config->job.dump_folder, name);
}

// Moves what is at the path aside: everything that is no regular file, and with `whole` files too.
static titan_status clear_way(const char *path, bool whole) {
  struct stat information;
  titan_text kept = {0};
  if (lstat(path, &information) != 0 || (S_ISREG(information.st_mode) && !whole))
    return TITAN_OK;
  titan_status status = titan_set_aside(path, &kept);
  if (status == TITAN_OK && !S_ISREG(information.st_mode))
    titan_log_warning("%s is not a regular file; it is renamed to %s", path, kept.data);
  titan_text_destroy(&kept);
  return status;
}

titan_status titan_trainer_write_file(const titan_trainer *trainer, const char *name, bool keep,
                                      const titan_text *text) {
  titan_text path = {0};
  titan_status status = path_of(trainer, name, &path);
  if (status == TITAN_OK)
    status = titan_folder_create_for(path.data);
  if (status == TITAN_OK)
    status = clear_way(path.data, keep);
  if (status == TITAN_OK)
    status = titan_output_write_text(path.data, TITAN_OUTPUT_REPLACE, text);
  titan_text_destroy(&path);
  return status;
}

// --- the folder and the log ---

// Holds <dump>/.lock for as long as the run lives: two runs in one folder would write over each other.
static titan_status lock_folder(titan_trainer *trainer) {
  const char *folder = trainer->env.config->job.dump_folder;
  bool held;
  TITAN_TRY(titan_folder_create(folder));
  TITAN_TRY(titan_lock_take(folder, ".lock", TITAN_LOCK_KEEP, &trainer->lock, &held));
  return held ? titan_error(TITAN_ERROR_USAGE, "another run is writing to this folder") : TITAN_OK;
}

// What is wrong with the dump folder is told as a mistake in the option: nothing has been computed yet.
static titan_status of_dump_folder(const titan_trainer *trainer, titan_status status) {
  const titan_config *config = trainer->env.config;
  if (status == TITAN_OK)
    return TITAN_OK;
  return titan_error(TITAN_ERROR_USAGE, "job.dump_folder = %s (%s): %s", config->job.dump_folder,
                     titan_config_origin(config, "job.dump_folder"), titan_error_message());
}

static titan_status open_log(const titan_trainer *trainer) {
  titan_text path = {0};
  TITAN_TRY(path_of(trainer, "run.log", &path));
  titan_status status = clear_way(path.data, false);
  if (status == TITAN_OK)
    status = titan_log_open(path.data);
  titan_text_destroy(&path);
  return titan_trainer_by_product(status);
}

titan_status titan_trainer_lock_outputs(titan_trainer *trainer) {
  titan_status status = TITAN_OK;
  if (trainer->rank == 0) {
    status = of_dump_folder(trainer, lock_folder(trainer));
    if (status == TITAN_OK)
      status = open_log(trainer);
  }
  return titan_comm_agree(titan_trainer_world(trainer), status);
}

// --- the other files ---

static titan_status write_configuration(titan_trainer *trainer) {
  titan_text text = {0};
  titan_status status =
      titan_text_printf(&text,
                        "# %s, commit %s, started %s with the command\n#   %s\n# titan-hpc --job.config_file with "
                        "this file runs it again.\n\n%s",
                        trainer->about.version.data, trainer->about.commit.data, trainer->about.date.data,
                        trainer->about.command.data, trainer->about.configuration.data);
  if (status == TITAN_OK)
    status = titan_trainer_write_file(trainer, "configuration.toml", trainer->first_step == 0, &text);
  titan_text_destroy(&text);
  return status;
}

titan_status titan_trainer_open_outputs(titan_trainer *trainer) {
  titan_status status = trainer->rank == 0 ? titan_trainer_by_product(write_configuration(trainer)) : TITAN_OK;
  TITAN_TRY(titan_comm_agree(titan_trainer_world(trainer), status));
  return titan_observers_create(trainer);
}
