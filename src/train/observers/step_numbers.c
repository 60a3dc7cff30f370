// SPDX-License-Identifier: Apache-2.0
// debug.record_step_numbers: steps.txt, a line "step loss norm" a step, with ten digits.
#include "train/observer.h"

#include "storage/path.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

// The lines of an earlier start that are of steps before this one, which may have gone on from an earlier step than the
// last.
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
static titan_status open_file(titan_trainer *trainer, FILE **file) {
  titan_text path = {0}, kept = {0};
  titan_status status = titan_path_join(&path, trainer->env.config->job.dump_folder, "steps.txt");
  if (status == TITAN_OK)
    status = read_steps(trainer, path.data, &kept);
  if (status == TITAN_OK)
    status = titan_trainer_write_file(trainer, "steps.txt", trainer->first_step == 0, &kept);
  if (status == TITAN_OK && (*file = fopen(path.data, "a")) == NULL)
    status = titan_error(TITAN_ERROR_OUTPUT, "cannot write %s: %s", path.data, strerror(errno));
  titan_text_destroy(&kept);
  titan_text_destroy(&path);
  return status;
}

// The state is the file.
static titan_status step_numbers_create(titan_trainer *trainer, void **state) {
  FILE *file = NULL;
  if (trainer->rank != 0 || !trainer->env.config->debug.record_step_numbers)
    return TITAN_OK;
  titan_status status = open_file(trainer, &file);
  *state = file;
  return status;
}

static titan_status step_numbers_step(void *state, titan_trainer *trainer, const trainer_step *step) {
  FILE *file = state;
  fprintf(file, "%" PRId64 " %.9e %.9e\n", step->step, step->loss, step->grad_norm);
  bool fails = fflush(file) != 0;
  int reason = errno;
  clearerr(file);
  return fails ? titan_error(TITAN_ERROR_OUTPUT, "cannot write to steps.txt in %s: %s",
                             trainer->env.config->job.dump_folder, strerror(reason))
               : TITAN_OK;
}

static void step_numbers_destroy(void **state) {
  fclose(*state);
  *state = NULL;
}

const titan_observer titan_observer_step_numbers = {
    .name = "steps.txt",
    .create = step_numbers_create,
    .step = step_numbers_step,
    .destroy = step_numbers_destroy,
};
