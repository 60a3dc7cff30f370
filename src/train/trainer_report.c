// What a run writes: the log's lines, metrics.h5, and the files of the debug options.
#include "train/replicas.h"
#include "train/trainer_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "storage/folder.h"
#include "storage/output.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static const double gib = 1024.0 * 1024 * 1024;

// Holds <dump>/.lock for as long as the run lives: two runs in one folder would write over each other.
static titan_status lock_folder(titan_trainer *trainer) {
  const char *folder = trainer->env.config->job.dump_folder;
  bool held;
  TITAN_TRY(titan_folder_create(folder));
  TITAN_TRY(titan_lock_take(folder, ".lock", TITAN_LOCK_KEEP, &trainer->lock, &held));
  return held ? titan_error(TITAN_ERROR_USAGE, "another run is writing to this folder") : TITAN_OK;
}

// What is wrong with the files of the dump folder is told as a mistake in the option: nothing has been computed yet.
static titan_status of_dump_folder(const titan_trainer *trainer, titan_status status) {
  const titan_config *config = trainer->env.config;
  if (status == TITAN_OK)
    return TITAN_OK;
  return titan_error(TITAN_ERROR_USAGE, "job.dump_folder = %s (%s): %s", config->job.dump_folder,
                     titan_config_origin(config, "job.dump_folder"), titan_error_message());
}

titan_status titan_trainer_lock_outputs(titan_trainer *trainer) {
  titan_status status = trainer->rank == 0 ? of_dump_folder(trainer, lock_folder(trainer)) : TITAN_OK;
  return titan_comm_agree(titan_trainer_world(trainer), status);
}

// The lines of steps.txt that are of steps before this run, which may have gone on from an earlier step than its last.
static titan_status read_steps(const titan_trainer *trainer, const char *path, titan_text *kept) {
  char line[256];
  long long step;
  titan_status status = titan_text_append(kept, "", 0);
  FILE *old = status == TITAN_OK && trainer->first_step > 0 ? fopen(path, "r") : NULL;
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
  titan_status status = titan_text_printf(&path, "%s/steps.txt", trainer->env.config->job.dump_folder);
  if (status == TITAN_OK)
    status = read_steps(trainer, path.data, &kept);
  if (status == TITAN_OK)
    status = titan_output_write_text(path.data, TITAN_OUTPUT_REPLACE, &kept);
  if (status == TITAN_OK && (trainer->steps_file = fopen(path.data, "a")) == NULL)
    status = titan_error(TITAN_ERROR_OUTPUT, "cannot write %s: %s", path.data, strerror(errno));
  titan_text_destroy(&kept);
  titan_text_destroy(&path);
  return status;
}

static titan_status open_outputs(titan_trainer *trainer) {
  const titan_config *config = trainer->env.config;
  titan_text path = {0};
  TITAN_TRY(titan_text_printf(&path, "%s/metrics.h5", config->job.dump_folder));
  int64_t first = trainer->first_step > 0 ? trainer->first_step + 1 : 0;
  titan_status status = titan_metrics_create(path.data, first, &trainer->metrics);
  titan_text_destroy(&path);
  if (status == TITAN_OK && config->debug.record_step_numbers)
    status = open_steps(trainer);
  return of_dump_folder(trainer, status);
}

titan_status titan_trainer_open_outputs(titan_trainer *trainer) {
  return titan_comm_agree(titan_trainer_world(trainer), trainer->rank == 0 ? open_outputs(trainer) : TITAN_OK);
}

titan_status titan_trainer_history_append(trainer_history *history, int64_t step, double mean, double max) {
  if (history->count == history->capacity) {
    int64_t capacity = history->capacity > 0 ? 2 * history->capacity : 256;
    size_t bytes = (size_t)capacity * sizeof(double);
    TITAN_TRY(titan_memory_resize(TITAN_MEMORY_OBSERVE, bytes, &history->steps));
    TITAN_TRY(titan_memory_resize(TITAN_MEMORY_OBSERVE, bytes, &history->mean));
    TITAN_TRY(titan_memory_resize(TITAN_MEMORY_OBSERVE, bytes, &history->max));
    history->capacity = capacity;
  }
  history->steps[history->count] = step;
  history->mean[history->count] = mean;
  history->max[history->count++] = max;
  return TITAN_OK;
}

void titan_trainer_history_destroy(trainer_history *history) {
  titan_memory_free(history->steps);
  titan_memory_free(history->mean);
  titan_memory_free(history->max);
  *history = (trainer_history){0};
}

static titan_status write_row(titan_trainer *trainer, const trainer_step *step, double mean, double loss_max) {
  const titan_trainer_environment *env = &trainer->env;
  const titan_model_shape *shape = &titan_runtime_options_of(trainer->runtime)->shape;
  double seconds = titan_clock_seconds() - trainer->window.start;
  double sharing = titan_mesh_degree(env->mesh, TITAN_MESH_PP | TITAN_MESH_CP | TITAN_MESH_TP);
  double tokens = (double)(shape->batch * shape->length * (trainer->window.steps - trainer->window.restored));
  double tps = tokens / (seconds * sharing);
  double peak = (double)titan_memory_usage_total().peak_bytes;
  double available = (double)env->topology->node_bytes / env->topology->node_size;
  titan_report_step report = {
      .step = step->step,
      .loss = mean,
      .memory_gib = peak / gib,
      .memory_percent = 100 * peak / available,
      .tps = tps,
      .mfu = 100 * trainer->flops_per_token * tps / trainer->peak_flops,
      .grad_norm = step->grad_norm,
      .tflops = trainer->flops_per_token * tps / 1e12,
  };
  char line[TITAN_REPORT_BYTES];
  titan_report_step_line(&report, trainer->color, line, sizeof line);
  titan_log_info("%s", line);
  titan_metrics_row row = {
      .step = (double)step->step,
      .loss = mean,
      .loss_max = loss_max,
      .grad_norm = step->grad_norm,
      .lr = titan_optimizer_learning_rate(&trainer->optimizer, step->step),
      .tokens = (double)trainer->tokens,
      .seconds = step->seconds,
      .tps = tps,
      .mfu = report.mfu,
      .memory = report.memory_gib,
  };
  TITAN_TRY(titan_trainer_history_append(&trainer->history, step->step, mean, loss_max));
  return titan_metrics_append(trainer->metrics, &row);
}

titan_status titan_trainer_report(titan_trainer *trainer, const trainer_step *step) {
  trainer_window *window = &trainer->window;
  window->loss_sum += step->loss;
  if (window->steps == 0 || step->local_loss > window->loss_max)
    window->loss_max = step->local_loss;
  window->steps++;
  if (trainer->steps_file != NULL) {
    fprintf(trainer->steps_file, "%" PRId64 " %.9e %.9e\n", step->step, step->loss, step->grad_norm);
    fflush(trainer->steps_file);
  }
  int64_t log_freq = trainer->env.config->metrics.log_freq;
  if (step->step != 1 && step->step % log_freq != 0)
    return TITAN_OK;
  titan_comm *group = titan_mesh_comm(trainer->env.mesh, TITAN_MESH_DP_CP);
  double mean = window->loss_sum / (double)window->steps, loss_max;
  TITAN_TRY(titan_comm_all_reduce(group, &window->loss_max, &loss_max, 1, TITAN_FLOAT64, TITAN_MAX, NULL));
  titan_status status = trainer->rank == 0 ? write_row(trainer, step, mean, loss_max) : TITAN_OK;
  *window = (trainer_window){.start = titan_clock_seconds()};
  return titan_comm_agree(titan_trainer_world(trainer), status);
}

void titan_trainer_report_end(const titan_trainer *trainer, double seconds) {
  char line[TITAN_REPORT_BYTES];
  if (trainer->rank != 0)
    return;
  titan_report_end_line(trainer->step - trainer->first_step, trainer->tokens - trainer->first_tokens, seconds, line,
                        sizeof line);
  titan_log_info("%s", line);
}

// What a tp group holds alike counts on its first rank.
static uint64_t parameter_checksum(const titan_trainer *trainer, const titan_unit *unit, int p) {
  bool counts =
      unit->plan->parameters[p].sharded || titan_comm_rank(titan_mesh_comm(trainer->env.mesh, TITAN_MESH_TP)) == 0;
  return counts ? titan_replicas_checksum(unit, p) : 0;
}

// Adds the line of a parameter. Collective over the mesh.
static titan_status add_checksum(const titan_trainer *trainer, const titan_unit *unit, int p, titan_text *lines) {
  titan_comm *group = titan_mesh_comm(trainer->env.mesh, TITAN_MESH_DP_SHARD_CP);
  titan_comm *tp = titan_mesh_comm(trainer->env.mesh, TITAN_MESH_TP);
  // Sums of 32-bit halves fit int64 exactly for any number of ranks; wrap-around is the hash's own arithmetic.
  uint64_t mine = parameter_checksum(trainer, unit, p);
  int64_t halves[2] = {(int64_t)(mine & 0xffffffffu), (int64_t)(mine >> 32)}, part[2], all[2];
  TITAN_TRY(titan_comm_all_reduce(group, halves, part, 2, TITAN_INT64, TITAN_SUM, NULL));
  TITAN_TRY(titan_comm_all_reduce(tp, part, all, 2, TITAN_INT64, TITAN_SUM, NULL));
  return titan_text_printf(lines, "%s%s %016" PRIx64 "\n", unit->prefix, unit->plan->parameters[p].name,
                           (uint64_t)all[0] + ((uint64_t)all[1] << 32));
}

static titan_status write_weights(const titan_trainer *trainer, const titan_text *lines) {
  titan_text path = {0};
  titan_status status = titan_text_printf(&path, "%s/weights.txt", trainer->env.config->job.dump_folder);
  if (status == TITAN_OK)
    status = titan_folder_create_for(path.data);
  if (status == TITAN_OK)
    status = titan_output_write_text(path.data, TITAN_OUTPUT_REPLACE, lines);
  titan_text_destroy(&path);
  return status;
}

titan_status titan_trainer_dump_weights(titan_trainer *trainer) {
  titan_text lines = {0};
  titan_status status = TITAN_OK;
  for (int i = 0; i < titan_runtime_unit_count(trainer->runtime) && status == TITAN_OK; i++) {
    const titan_unit *unit = titan_runtime_unit(trainer->runtime, i);
    for (int p = 0; p < unit->plan->parameter_count && status == TITAN_OK; p++)
      status = add_checksum(trainer, unit, p, &lines);
  }
  if (status == TITAN_OK && trainer->rank == 0)
    status = write_weights(trainer, &lines);
  titan_text_destroy(&lines);
  return titan_comm_agree(titan_trainer_world(trainer), status);
}
