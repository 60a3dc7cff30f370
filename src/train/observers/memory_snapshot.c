// SPDX-License-Identifier: Apache-2.0
// profiling.enable_memory_snapshot: every profile_freq steps,
// <dump>/<save_memory_snapshot_folder>/iteration_<step>/rank<r>_memory_snapshot.json and .svg of each rank; and one
// more where the memory of a run cannot be had.
#include "train/observer.h"
#include "train/observers/memory_picture.h"

#include <string.h>

static titan_status write_one(const titan_trainer *trainer, const char *folder, int64_t step, const char *extension,
                              titan_status (*draw)(const titan_runtime *runtime, int rank, int64_t step,
                                                   titan_text *text)) {
  titan_text name = {0}, text = {0};
  titan_status status =
      titan_text_printf(&name, "%s/%s/rank%d_memory_snapshot.%s",
                        trainer->env.config->profiling.save_memory_snapshot_folder, folder, trainer->rank, extension);
  if (status == TITAN_OK)
    status = draw(trainer->runtime, trainer->rank, step, &text);
  if (status == TITAN_OK)
    status = titan_trainer_write_file(trainer, name.data, false, &text);
  titan_text_destroy(&name);
  titan_text_destroy(&text);
  return status;
}

static titan_status write_snapshot(const titan_trainer *trainer, const char *folder) {
  TITAN_TRY(write_one(trainer, folder, trainer->step, "json", titan_memory_picture_json));
  return write_one(trainer, folder, trainer->step, "svg", titan_memory_picture_svg);
}

void titan_trainer_memory_ran_out(const titan_trainer *trainer) {
  titan_kept_error failure;
  if (!trainer->env.config->profiling.enable_memory_snapshot)
    return;
  titan_error_keep(&failure);
  titan_status status = write_snapshot(trainer, "out_of_memory");
  size_t length = strlen(failure.message);
  if (status == TITAN_OK)
    snprintf(failure.message + length, sizeof failure.message - length,
             "; what was to lie where is in the memory snapshot out_of_memory");
  (void)titan_trainer_by_product(status);
  titan_error_restore(&failure);
}

typedef struct memory_snapshot {
  bool failed; // the latest one could not be written
} memory_snapshot;

static titan_status memory_snapshot_create(titan_trainer *trainer, void **state) {
  return trainer->env.config->profiling.enable_memory_snapshot
             ? titan_memory_allocate_zeroed(TITAN_MEMORY_OBSERVE, 1, sizeof(memory_snapshot), state)
             : TITAN_OK;
}

static titan_status memory_snapshot_step(void *state, titan_trainer *trainer, const trainer_step *step) {
  memory_snapshot *snapshot = state;
  char folder[48];
  if (step->step % trainer->env.config->profiling.profile_freq != 0)
    return snapshot->failed ? titan_error(TITAN_ERROR_OUTPUT, "the latest snapshot could not be written") : TITAN_OK;
  snprintf(folder, sizeof folder, "iteration_%lld", (long long)step->step);
  titan_status status = write_snapshot(trainer, folder);
  snapshot->failed = status == TITAN_ERROR_OUTPUT;
  return status;
}

static void memory_snapshot_destroy(void **state) {
  titan_memory_free(*state);
  *state = NULL;
}

const titan_observer titan_observer_memory_snapshot = {
    .name = "the memory snapshot",
    .missing = "this rank's snapshots are missing until they can be written",
    .create = memory_snapshot_create,
    .step = memory_snapshot_step,
    .destroy = memory_snapshot_destroy,
};
