// SPDX-License-Identifier: Apache-2.0
// metrics.enable_tensorboard: event files in <dump>/<save_tb_folder>/<date-time>, of rank 0, or of each rank in a
// folder rank_<r> of its own. Tags are the reference's, and ours for what it does not have.
#include "observe/event_file.h"
#include "train/observer.h"

#include "storage/path.h"

#include <time.h>

// Rank 0's clock names the folder for all.
static titan_status find_folder(titan_trainer *trainer, titan_text *folder) {
  const titan_config *config = trainer->env.config;
  char when[32] = "";
  time_t now = time(NULL);
  struct tm local;
  if (localtime_r(&now, &local) != NULL)
    strftime(when, sizeof when, "%Y%m%d-%H%M", &local);
  TITAN_TRY(titan_comm_broadcast(titan_trainer_world(trainer), when, sizeof when, TITAN_BYTE, 0, NULL));
  TITAN_TRY(titan_path_join(folder, config->job.dump_folder, config->metrics.save_tb_folder));
  TITAN_TRY(titan_text_printf(folder, "/%s", when));
  return config->metrics.rank_0_only ? TITAN_OK : titan_text_printf(folder, "/rank_%d", trainer->rank);
}

static titan_status write_about(titan_trainer *trainer, titan_event_file *file) {
  titan_text text = {0};
  titan_status status = titan_text_printf(&text, "```toml\n%s\n```\n", trainer->about.configuration.data);
  if (status == TITAN_OK)
    status = titan_event_file_text(file, 0, "configuration", text.data);
  text.length = 0;
  if (status == TITAN_OK)
    status = titan_text_printf(&text, "%s, commit %s, started %s, job %s, hosts %s\n\n```sh\n%s\n```\n",
                               trainer->about.version.data, trainer->about.commit.data, trainer->about.date.data,
                               trainer->about.job.data, trainer->about.hosts.data, trainer->about.command.data);
  if (status == TITAN_OK)
    status = titan_event_file_text(file, 0, "run", text.data);
  titan_text_destroy(&text);
  return status;
}

// The state is the file.
static titan_status open_board(titan_trainer *trainer, const char *folder, void **state) {
  titan_event_file *file;
  titan_status status = titan_event_file_create(folder, &file);
  *state = file;
  TITAN_TRY(status);
  return trainer->rank == 0 ? write_about(trainer, file) : TITAN_OK;
}

static titan_status tensorboard_create(titan_trainer *trainer, void **state) {
  titan_text folder = {0};
  if (!trainer->env.config->metrics.enable_tensorboard)
    return TITAN_OK;
  titan_status status = find_folder(trainer, &folder);
  if (status == TITAN_OK && (trainer->rank == 0 || !trainer->env.config->metrics.rank_0_only))
    status = open_board(trainer, folder.data, state);
  titan_text_destroy(&folder);
  return status;
}

static titan_status tensorboard_row(void *state, titan_trainer *trainer, const trainer_row *event) {
  const titan_metrics_row *row = &event->row;
  const titan_metrics_rank_row *mine = &event->ranks[trainer->rank];
  double memory_percent = titan_trainer_memory_percent(trainer, mine->memory);
  // Nothing is allocated in a step: what is reserved is in use, and a run without memory ends.
  const titan_event_scalar scalars[] = {
      {"loss_metrics/global_avg_loss", row->loss},
      {"loss_metrics/global_max_loss", row->loss_max},
      {"throughput(tps)", row->tps},
      {"mfu(%)", row->mfu},
      {"time_metrics/end_to_end(s)", mine->seconds},
      {"time_metrics/data_loading(s)", mine->data_loading},
      {"time_metrics/data_loading(%)", 100 * mine->data_loading / mine->seconds},
      {"memory/max_active(GiB)", mine->memory},
      {"memory/max_active(%)", memory_percent},
      {"memory/max_reserved(GiB)", mine->memory},
      {"memory/max_reserved(%)", memory_percent},
      {"memory/num_alloc_retries", 0},
      {"memory/num_ooms", 0},
      {"grad_norm", row->grad_norm},
      {"lr", row->lr},
      {"tokens", row->tokens},
      {"tflops", row->tflops},
      {"time_metrics/busy(s)", mine->busy},
      {"time_metrics/busy_max(s)", row->busy_max},
      {"time_metrics/exposed_communication(s)", mine->exposed},
      {"time_metrics/slowest_rank", row->slowest_rank},
      {"time_metrics/time_left(s)", row->time_left},
  };
  return titan_event_file_scalars(state, (int64_t)row->step, scalars, sizeof scalars / sizeof *scalars);
}

static titan_status tensorboard_validation(void *state, titan_trainer *trainer, const trainer_validation *validation) {
  const titan_event_scalar scalars[] = {
      {"validation_metrics/loss", validation->row.loss},
      {"validation_metrics/tokens", validation->row.tokens},
      {"validation_metrics/seconds", validation->seconds},
  };
  (void)trainer;
  return titan_event_file_scalars(state, (int64_t)validation->row.step, scalars, 3);
}

static void tensorboard_warning(void *state, titan_trainer *trainer, const char *text) {
  if (text != NULL && titan_event_file_text(state, trainer->step, "warnings", text) != TITAN_OK)
    titan_error_clear(); // the next row tells
}

static void tensorboard_destroy(void **state) {
  titan_event_file *file = *state;
  titan_event_file_destroy(&file);
  *state = NULL;
}

const titan_observer titan_observer_tensorboard = {
    .name = "the event file",
    .missing = "the rows that it could not take are missing in it",
    .create = tensorboard_create,
    .row = tensorboard_row,
    .validation = tensorboard_validation,
    .warning = tensorboard_warning,
    .destroy = tensorboard_destroy,
};
