// SPDX-License-Identifier: Apache-2.0
// The time that the job has: job.time_limit, or what the batch system tells. A run saves and ends before that is over.
// All of it is rank 0's.
#include "train/trainer_private.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

// What is left at the end, beside steps and a save: closing files, and the launcher's own end.
static const double closing_seconds = 10;
// A file system's pace before a save has shown it.
static const double assumed_bytes_per_second = 500e6;

// Seconds that are left as SLURM tells it, or the batch script for it; INFINITY: it does not.
static double left_by_slurm(void) {
  const char *text = getenv("SLURM_JOB_END_TIME");
  char *end;
  if (text == NULL || *text == '\0')
    return INFINITY;
  errno = 0;
  long long number = strtoll(text, &end, 10);
  if (errno != 0 || *end != '\0')
    return INFINITY;
  double left = (double)number - titan_clock_since_1970();
  if (left > 0)
    return left;
  titan_log_warning("SLURM_JOB_END_TIME = %s is in the past: the job's time limit is not known, and the run does not "
                    "end before it by itself",
                    text);
  return INFINITY;
}

void titan_trainer_time_begin(titan_trainer *trainer) {
  int64_t wanted = trainer->env.config->job.time_limit;
  trainer_limit *limit = &trainer->limit;
  *limit = (trainer_limit){.end = INFINITY};
  if (trainer->rank != 0 || wanted < 0)
    return;
  limit->source = wanted > 0 ? "job.time_limit" : "SLURM_JOB_END_TIME";
  double left = wanted > 0 ? (double)wanted - titan_clock_since_process_start() : left_by_slurm();
  limit->end = titan_clock_seconds() + left;
  if (isinf(left))
    return;
  char text[TITAN_REPORT_BYTES];
  titan_report_duration(left, text, sizeof text);
  titan_log_info("The job's time is over in %s (%s): the run %sends before that", text, limit->source,
                 trainer->checkpoint != NULL ? "saves and " : "");
}

void titan_trainer_time_note_step(titan_trainer *trainer, double seconds) {
  double *step = &trainer->limit.step_seconds;
  *step = fmax(seconds, 0.95 * *step);
}

void titan_trainer_time_note_save(titan_trainer *trainer, double seconds) {
  trainer_limit *limit = &trainer->limit;
  bool first = limit->save_seconds <= 0;
  limit->save_seconds = fmax(seconds, 0.95 * limit->save_seconds);
  if (first && !isinf(limit->end) && trainer->rank == 0)
    titan_log_info("A step takes %.1f s and a save %.1f s: the run ends when less than %.0f s are left (%s)",
                   limit->step_seconds, limit->save_seconds, titan_trainer_time_needed(trainer), limit->source);
}

double titan_trainer_time_needed(const titan_trainer *trainer) {
  const trainer_limit *limit = &trainer->limit;
  double save = 0;
  if (trainer->checkpoint != NULL)
    save = limit->save_seconds > 0 ? limit->save_seconds
                                   : titan_trainer_checkpoint_bytes(trainer) / assumed_bytes_per_second;
  return 2 * limit->step_seconds + 1.5 * save + closing_seconds;
}

bool titan_trainer_time_is_up(const titan_trainer *trainer) {
  double end = trainer->limit.end;
  return !isinf(end) && titan_clock_seconds() + titan_trainer_time_needed(trainer) >= end;
}
