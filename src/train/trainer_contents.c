// SPDX-License-Identifier: Apache-2.0
// What a checkpoint holds beside tensors, gathered from the trainer.
#include "train/trainer_checkpoint.h"

#include "base/clock.h"

#include <string.h>

void titan_trainer_contents_destroy(trainer_contents *contents) {
  titan_text_destroy(&contents->mesh);
  titan_text_destroy(&contents->configuration);
  titan_text_destroy(&contents->written);
  titan_trainer_history_destroy(&contents->history);
  titan_memory_free(contents->cursors);
  *contents = (trainer_contents){0};
}

// Where all lanes go on, in their order, on rank 0: the data-parallel ranks serve one range after another, and each of
// them sends its own. Collective over the mesh.
static titan_status gather_cursors(titan_trainer *trainer, int64_t **out) {
  _Static_assert(sizeof(titan_loader_cursor) == 4 * sizeof(int64_t), "a cursor is four numbers");
  titan_comm *dp = titan_mesh_comm(trainer->env.mesh, TITAN_MESH_DP);
  bool takes_part = titan_mesh_coordinate(trainer->env.mesh, TITAN_MESH_PP | TITAN_MESH_CP | TITAN_MESH_TP) == 0;
  size_t lanes = (size_t)titan_trainer_lanes(trainer), ranks = (size_t)titan_comm_size(dp);
  titan_loader_cursor *cursors = NULL;
  *out = NULL;
  titan_status status = TITAN_OK;
  if (takes_part)
    status = titan_memory_allocate(TITAN_MEMORY_GENERAL, lanes * (trainer->rank == 0 ? ranks : 1) * sizeof *cursors,
                                   &cursors);
  TITAN_TRY(titan_comm_agree(titan_trainer_world(trainer), status));
  if (!takes_part)
    return TITAN_OK;
  titan_loader_get_cursors(trainer->loader, cursors);
  *out = (int64_t *)cursors;
  if (trainer->rank != 0)
    return titan_comm_send(dp, cursors, lanes * 4, TITAN_INT64, 0, 0, NULL);
  for (size_t rank = 1; rank < ranks; rank++)
    TITAN_TRY(titan_comm_recv(dp, cursors + rank * lanes, lanes * 4, TITAN_INT64, (int)rank, 0, NULL));
  return TITAN_OK;
}

// The steps since the last line of the log. A sum kept as it is, and a maximum, give the line that a run without the
// stop writes, to the bit.
static titan_status reduce_window(titan_trainer *trainer, titan_checkpoint_contents *contents) {
  titan_comm *group = titan_trainer_world(trainer);
  const trainer_window *window = &trainer->window;
  contents->window_steps = window->steps;
  contents->window_sum = window->loss_sum;
  if (window->steps == 0)
    return TITAN_OK;
  return titan_comm_all_reduce(group, &window->loss_max, &contents->window_max, 1, TITAN_FLOAT64, TITAN_MAX, NULL);
}

static titan_status copy_history(const trainer_history *from, trainer_history *to) {
  for (int64_t i = 0; i < from->count; i++)
    TITAN_TRY(titan_trainer_history_append(to, from->steps[i], from->mean[i], from->max[i]));
  return TITAN_OK;
}

static titan_status describe(const titan_trainer *trainer, trainer_contents *out) {
  char text[256], date[TITAN_CLOCK_DATE_BYTES];
  titan_mesh_describe(trainer->env.mesh, text, sizeof text);
  TITAN_TRY(titan_text_printf(&out->mesh, "%s", text));
  TITAN_TRY(titan_config_to_toml(trainer->env.config, &out->configuration));
  titan_clock_date(date);
  return titan_text_printf(&out->written, "%s", date);
}

static titan_status fill_state(titan_trainer *trainer, trainer_contents *out) {
  titan_checkpoint_contents *c = &out->contents;
  TITAN_TRY(copy_history(&trainer->history, &out->history));
  c->has_state = true;
  c->load_step = trainer->checkpoint->load_step;
  for (int part = 0; part < 3; part++)
    c->excluded |= (int64_t)trainer->checkpoint->excluded[part] << part;
  c->tokens = trainer->tokens;
  c->schedule_first = trainer->optimizer.schedule_first;
  c->optimizer_first = trainer->optimizer.moments_first;
  c->learning_rate = trainer->step > 0 ? titan_optimizer_learning_rate(&trainer->optimizer, trainer->step) : 0;
  c->peak = trainer->optimizer.learning_rate;
  c->warmup_steps = trainer->optimizer.warmup_steps;
  c->total_steps = trainer->optimizer.total_steps;
  c->log_count = out->history.count;
  c->log_steps = out->history.steps;
  c->log_mean = out->history.mean;
  c->log_max = out->history.max;
  TITAN_TRY(reduce_window(trainer, c));
  TITAN_TRY(gather_cursors(trainer, &out->cursors));
  c->has_data = true;
  c->lane_count = titan_trainer_lanes(trainer) * trainer->dp;
  c->seq_len = trainer->env.config->training.seq_len;
  c->corpus = trainer->checkpoint->corpus;
  c->cursors = out->cursors;
  return TITAN_OK;
}

titan_status titan_trainer_contents_fill(titan_trainer *trainer, bool model_only, trainer_contents *out) {
  const titan_config *config = trainer->env.config;
  titan_trainer_contents_destroy(out);
  TITAN_TRY(titan_comm_agree(titan_trainer_world(trainer), describe(trainer, out)));
  out->contents = (titan_checkpoint_contents){
      .step = trainer->step,
      .program = "titan-hpc " TITAN_VERSION,
      .mesh = out->mesh.data,
      .configuration = out->configuration.data,
      .written = out->written.data,
      .model_name = config->model.name,
      .model_flavor = config->model.flavor,
      .optimizer = config->optimizer.name,
      .model = titan_runtime_options_of(trainer->runtime)->arguments,
      .tokenizer = titan_tokenizer_fingerprint(trainer->env.tokenizer),
      .instruction_set = trainer->env.device->level,
      .threads = trainer->env.topology->threads,
  };
  return model_only ? TITAN_OK : titan_comm_agree(titan_trainer_world(trainer), fill_state(trainer, out));
}
