// SPDX-License-Identifier: Apache-2.0
// How a run is asked to end early: by a signal to any rank, by a file STOP in the dump folder, or by the job's end.
#include "base/log.h"
#include "train/signals.h"
#include "train/trainer_private.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *stop_path(const titan_trainer *trainer, char path[PATH_MAX]) {
  snprintf(path, PATH_MAX, "%s/STOP", trainer->env.config->job.dump_folder);
  return path;
}

static bool has_stop_file(const titan_trainer *trainer) {
  char path[PATH_MAX];
  return trainer->rank == 0 && access(stop_path(trainer, path), F_OK) == 0;
}

bool titan_trainer_stop_is_asked(const titan_trainer *trainer) {
  return titan_signals_received() != 0 || has_stop_file(trainer) ||
         (trainer->rank == 0 && titan_trainer_time_is_up(trainer));
}

void titan_trainer_stop_clear(const titan_trainer *trainer) {
  char path[PATH_MAX];
  if (has_stop_file(trainer) && remove(stop_path(trainer, path)) != 0)
    titan_log_warning("Cannot remove %s: %s. While it exists, every run in this folder ends after one step", path,
                      strerror(errno));
}

titan_status titan_trainer_stop_error(const titan_trainer *trainer) {
  char file[PATH_MAX];
  int64_t mine = titan_signals_received(), number = 0;
  TITAN_TRY(titan_comm_all_reduce(titan_trainer_world(trainer), &mine, &number, 1, TITAN_INT64, TITAN_MAX, NULL));
  bool by_time = number == 0 && !has_stop_file(trainer) && trainer->rank == 0;
  titan_trainer_stop_clear(trainer);
  const char *what = number != 0 ? titan_signals_name((int)number) : stop_path(trainer, file);
  if (by_time) {
    snprintf(file, sizeof file, "the job's time is nearly over (%s)", trainer->limit.source);
    what = file;
  }
  titan_status status =
      titan_error(TITAN_PREEMPTED, "%s%s after step %lld: %s", trainer->checkpoint != NULL ? "to be continued: " : "",
                  what, (long long)trainer->step, titan_trainer_checkpoint_last(trainer));
  titan_error_mark_agreed(); // with the step's numbers
  return status;
}
