// SPDX-License-Identifier: Apache-2.0
// The files that a run writes beside its checkpoints. It does not depend on any of them.
#include "train/trainer_private.h"

#include "base/log.h"
#include "storage/aside.h"
#include "storage/folder.h"
#include "storage/output.h"
#include "storage/path.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

titan_status titan_trainer_by_product(titan_status status) {
  if (status != TITAN_ERROR_OUTPUT)
    return status;
  titan_log_warning("%s; the training goes on without it", titan_error_message());
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
    titan_log_warning("%s was no regular file; it is kept as %s", path, kept.data);
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

// The lines of steps.txt that are of steps before this run, which may have gone on from an earlier step than its last.
static titan_status read_steps(const titan_trainer *trainer, const char *path, titan_text *kept) {
  char line[256];
  long long step;
  struct stat information;
  titan_status status = titan_text_append(kept, "", 0);
  bool regular = lstat(path, &information) == 0 && S_ISREG(information.st_mode);
  FILE *old = status == TITAN_OK && regular && trainer->first_step > 0 ? fopen(path, "r") : NULL;
  if (old == NULL)
    return status;
  while (status == TITAN_OK && fgets(line, sizeof line, old) != NULL)
    if (sscanf(line, "%lld", &step) == 1 && step <= trainer->first_step)
      status = titan_text_printf(kept, "%s", line);
  if (status == TITAN_OK && ferror(old)) // not the end of the file
    status = titan_error(TITAN_ERROR_OUTPUT, "cannot read %s: %s", path, strerror(errno));
  fclose(old);
  return status;
}

// The file has its kept lines when it takes its name, and is appended to from then on.
static titan_status open_steps(titan_trainer *trainer) {
  titan_text path = {0}, kept = {0};
  titan_status status = path_of(trainer, "steps.txt", &path);
  if (status == TITAN_OK)
    status = read_steps(trainer, path.data, &kept);
  if (status == TITAN_OK)
    status = titan_trainer_write_file(trainer, "steps.txt", trainer->first_step == 0, &kept);
  if (status == TITAN_OK && (trainer->steps_file = fopen(path.data, "a")) == NULL)
    status = titan_error(TITAN_ERROR_OUTPUT, "cannot write %s: %s", path.data, strerror(errno));
  titan_text_destroy(&kept);
  titan_text_destroy(&path);
  return status;
}

void titan_trainer_record_step(titan_trainer *trainer, const trainer_step *step) {
  if (trainer->steps_file == NULL)
    return;
  fprintf(trainer->steps_file, "%" PRId64 " %.9e %.9e\n", step->step, step->loss, step->grad_norm);
  bool fails = fflush(trainer->steps_file) != 0;
  if (fails && !trainer->steps_fail)
    titan_log_warning("cannot write to steps.txt in %s: %s; the training goes on", trainer->env.config->job.dump_folder,
                      strerror(errno));
  clearerr(trainer->steps_file);
  trainer->steps_fail = fails;
}

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

static titan_status open_metrics(titan_trainer *trainer) {
  const titan_config *config = trainer->env.config;
  titan_text path = {0};
  titan_metrics_attribute attributes[TITAN_TRAINER_ATTRIBUTES];
  titan_trainer_about_attributes(&trainer->about, attributes);
  TITAN_TRY(path_of(trainer, "metrics.h5", &path));
  // With nothing left to train, the checkpoint is validated, and its row takes the place of an earlier one.
  bool again = config->validation.enabled && trainer->first_step >= config->training.steps;
  titan_metrics_options options = {
      .path = path.data,
      .first_step = trainer->first_step > 0 ? trainer->first_step + 1 : 0,
      .first_validation = trainer->first_step + !again,
      .expected_rows = (uint64_t)(config->training.steps / config->metrics.log_freq) + 2,
      .expected_validations =
          config->validation.enabled ? (uint64_t)(config->training.steps / config->validation.freq) + 2 : 0,
      .attributes = attributes,
      .attribute_count = TITAN_TRAINER_ATTRIBUTES,
  };
  titan_status status = titan_metrics_create(&options, &trainer->metrics);
  titan_text_destroy(&path);
  trainer->metrics_fail = status != TITAN_OK;
  return titan_trainer_by_product(status);
}

static titan_status open_outputs(titan_trainer *trainer) {
  TITAN_TRY(open_metrics(trainer));
  TITAN_TRY(titan_trainer_by_product(write_configuration(trainer)));
  return trainer->env.config->debug.record_step_numbers ? titan_trainer_by_product(open_steps(trainer)) : TITAN_OK;
}

titan_status titan_trainer_open_outputs(titan_trainer *trainer) {
  return titan_comm_agree(titan_trainer_world(trainer), trainer->rank == 0 ? open_outputs(trainer) : TITAN_OK);
}

void titan_trainer_close_outputs(titan_trainer *trainer) {
  titan_metrics_destroy(&trainer->metrics);
  if (trainer->steps_file != NULL)
    fclose(trainer->steps_file);
  trainer->steps_file = NULL;
}
