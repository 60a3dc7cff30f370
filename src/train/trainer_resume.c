// SPDX-License-Identifier: Apache-2.0
// How a run finds the checkpoint to continue from, and continues.
#include "base/clock.h"
#include "base/log.h"
#include "checkpoint/store.h"
#include "state/layout.h"
#include "state/load.h"
#include "train/trainer_checkpoint.h"

#include <inttypes.h>
#include <string.h>

// --- what is taken from a file ---

titan_status titan_trainer_check_tokenizer(const titan_trainer *trainer, const titan_checkpoint_file *file) {
  uint64_t mine = titan_tokenizer_fingerprint(trainer->env.tokenizer);
  if (file->contents.tokenizer == 0 || file->contents.tokenizer == mine)
    return TITAN_OK;
  return titan_error(TITAN_ERROR_CHECKPOINT,
                     "%s was trained with another tokenizer (fingerprint %016" PRIx64 ", that of model.tokenizer_path "
                     "is %016" PRIx64 "): its weights belong to other tokens",
                     file->path, file->contents.tokenizer, mine);
}

static titan_status check_corpus(const titan_trainer *trainer, const titan_checkpoint_file *file) {
  if (file->contents.corpus == trainer->checkpoint->corpus)
    return TITAN_OK;
  return titan_error(TITAN_ERROR_CHECKPOINT,
                     "%s was trained on another corpus than %s; to start the data at its beginning, set "
                     "checkpoint.exclude_from_loading = data",
                     file->path, titan_corpus_name(trainer->corpus));
}

// Lanes of another number go on behind the furthest document that has been begun. Collective: rank 0 has all positions.
static titan_status share_change(titan_trainer *trainer, const titan_checkpoint_file *file,
                                 titan_loader_change *change) {
  _Static_assert(sizeof *change == 5 * sizeof(int64_t), "five numbers");
  const titan_checkpoint_contents *c = &file->contents;
  int64_t all = titan_trainer_lanes(trainer) * trainer->dp;
  *change = (titan_loader_change){0};
  if (trainer->rank == 0)
    *change = titan_loader_change_of((const titan_loader_cursor *)c->cursors, c->lane_count);
  TITAN_TRY(titan_comm_broadcast(titan_trainer_world(trainer), change, 5, TITAN_INT64, 0, NULL));
  if (trainer->rank == 0)
    titan_log_warning("%s was trained with a global batch of %" PRId64 " sequences, and this run has %" PRId64
                      " (training.global_batch_size): the data continues with document %" PRId64 "; before it %" PRId64
                      " documents are skipped, %" PRId64 " of them after a part was read, and none is used twice",
                      file->path, c->lane_count, all, change->first_document, change->skipped, change->in_part);
  return TITAN_OK;
}

static void log_place(const titan_trainer *trainer, const titan_loader_cursor *cursors) {
  titan_loader_cursor first = cursors[0];
  for (int64_t i = 1; i < titan_trainer_lanes(trainer); i++)
    if (cursors[i].document < first.document)
      first = cursors[i];
  if (trainer->rank == 0 && first.document > first.place.document)
    titan_log_info("The data continues in %s, past its first %" PRId64
                   " documents; they are read again, which takes time in a large file",
                   titan_corpus_file(trainer->corpus, first.place.file), first.document - first.place.document);
}

// Collective. Each rank reads the positions of its own lanes.
static titan_status take_data(titan_trainer *trainer, const titan_checkpoint_file *file) {
  const titan_checkpoint_contents *c = &file->contents;
  int64_t lanes = titan_trainer_lanes(trainer);
  int64_t first = lanes * titan_comm_rank(titan_mesh_comm(trainer->env.mesh, TITAN_MESH_DP));
  titan_loader_cursor *mine = NULL;
  titan_status status = TITAN_OK;
  if (!c->has_data || trainer->checkpoint->left_out[TITAN_EXCLUDE_DATA])
    return TITAN_OK;
  TITAN_TRY(check_corpus(trainer, file));
  bool same = c->lane_count == lanes * trainer->dp;
  titan_loader_change change;
  titan_checkpoint_fault unused;
  if (!same)
    TITAN_TRY(share_change(trainer, file, &change));
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)lanes * sizeof *mine, &mine));
  if (same)
    TITAN_TRY_CLEANUP(titan_checkpoint_file_read_cursors(file, first, lanes, (int64_t *)mine, &unused));
  else
    titan_loader_deal_anew(&change, lanes * trainer->dp, first, lanes, mine);
  TITAN_TRY_CLEANUP(titan_loader_set_cursors(trainer->loader, mine));
  log_place(trainer, mine);
cleanup:
  titan_memory_free(mine);
  return status;
}

static titan_status take_state(titan_trainer *trainer, const titan_checkpoint_file *file) {
  const titan_checkpoint_contents *c = &file->contents;
  const bool *left_out = trainer->checkpoint->left_out;
  bool moments = !left_out[TITAN_EXCLUDE_OPTIMIZER] && titan_checkpoint_has_states(file, trainer->runtime);
  trainer->step = trainer->first_step = c->step;
  trainer->tokens = trainer->first_tokens = c->tokens;
  if (trainer->env.config->checkpoint.load_step < 0 && trainer->checkpoint->step_count > 0)
    trainer->checkpoint->load_step = c->load_step;
  trainer->optimizer.schedule_first = left_out[TITAN_EXCLUDE_SCHEDULE] ? c->step : c->schedule_first;
  trainer->optimizer.moments_first = moments ? c->optimizer_first : c->step;
  trainer->window = (trainer_window){
      .loss_sum = c->window_sum, .loss_max = c->window_max, .steps = c->window_steps, .restored = c->window_steps};
  for (int64_t i = 0; i < c->log_count; i++)
    TITAN_TRY(titan_trainer_history_append(&trainer->history, c->log_steps[i], c->log_mean[i], c->log_max[i]));
  return TITAN_OK;
}

static void log_loaded(const titan_trainer *trainer, const titan_checkpoint_file *file, double seconds) {
  const bool *left_out = trainer->checkpoint->left_out;
  double gigabytes = (double)file->block.file_bytes / 1e9;
  titan_log_info("Loaded the checkpoint %s: step %" PRId64 ", %.3f GB in %.2f s (%.2f GB/s)", file->path,
                 file->contents.step, gigabytes, seconds, gigabytes / seconds);
  if (left_out[TITAN_EXCLUDE_OPTIMIZER])
    titan_log_info("checkpoint.exclude_from_loading: the optimizer's moments start at zero");
  else if (!titan_checkpoint_has_states(file, trainer->runtime))
    titan_log_info("The checkpoint has no optimizer state: the moments start at zero");
  if (left_out[TITAN_EXCLUDE_DATA])
    titan_log_info("checkpoint.exclude_from_loading: the data starts at its beginning");
  else if (!file->contents.has_data)
    titan_log_info("The checkpoint has no position in the data: the data starts at its beginning");
  if (left_out[TITAN_EXCLUDE_SCHEDULE])
    titan_log_info("checkpoint.exclude_from_loading: the learning rate schedule starts at its beginning");
}

// --- choosing ---

// A run that was told an earlier step than the newest leaves files behind that a later run would take.
static void warn_of_newer(const titan_trainer *trainer) {
  const trainer_checkpoint *checkpoint = trainer->checkpoint;
  int64_t newest = checkpoint->step_count > 0 ? checkpoint->steps[checkpoint->step_count - 1] : -1;
  if (trainer->env.config->checkpoint.load_step >= 0 && newest > trainer->first_step)
    titan_log_warning("%s holds checkpoints up to step %" PRId64 ", newer than the loaded one: a later run with "
                      "checkpoint.load_step = -1 loads the newest; move the unwanted files away",
                      checkpoint->folder.data, newest);
}

// The moments are the same averages of gradients in Adam and AdamW; what they are used for differs.
static void warn_of_optimizer(const titan_trainer *trainer, const titan_checkpoint_file *file) {
  const char *mine = trainer->env.config->optimizer.name, *theirs = file->contents.optimizer;
  if (theirs == NULL || strcmp(theirs, mine) == 0 || trainer->checkpoint->left_out[TITAN_EXCLUDE_OPTIMIZER])
    return;
  if (!titan_checkpoint_has_states(file, trainer->runtime))
    titan_log_warning(
        "%s was trained with %s, and this run continues with %s (optimizer.name), whose states start at zero",
        file->path, theirs, mine);
  else
    titan_log_warning("%s was trained with %s, and this run continues with %s (optimizer.name): it keeps the moments, "
                      "and weight decay acts differently",
                      file->path, theirs, mine);
}

static void warn_of_instruction_set(const titan_trainer *trainer, const titan_checkpoint_file *file) {
  const char *mine = trainer->env.device->level, *theirs = file->contents.instruction_set;
  if (mine != NULL && theirs != NULL && strcmp(mine, theirs) != 0)
    titan_log_warning("%s was written with the instruction set %s, and this run continues with %s: results are rounded "
                      "differently from this step on (TITAN_CPU_ISA lowers the level)",
                      file->path, theirs, mine);
}

titan_status titan_trainer_checkpoint_load_file(titan_trainer *trainer, const char *path, int64_t step,
                                                titan_checkpoint_fault *fault) {
  double start = titan_clock_seconds();
  titan_checkpoint_load_options options = {
      .runtime = trainer->runtime, .optimizer = !trainer->checkpoint->left_out[TITAN_EXCLUDE_OPTIMIZER], .step = step};
  titan_checkpoint_file *file;
  TITAN_TRY(titan_checkpoint_load(&options, path, &file, fault));
  titan_status status = titan_trainer_check_tokenizer(trainer, file);
  if (status == TITAN_OK)
    status = take_data(trainer, file);
  if (status == TITAN_OK)
    status = take_state(trainer, file);
  status = titan_comm_agree(titan_trainer_world(trainer), status);
  if (status == TITAN_OK && trainer->rank == 0) {
    log_loaded(trainer, file, titan_clock_seconds() - start);
    warn_of_optimizer(trainer, file);
    warn_of_instruction_set(trainer, file);
    warn_of_newer(trainer);
    status = titan_trainer_log_differences(trainer, &file->contents);
  }
  status = titan_comm_agree(titan_trainer_world(trainer), status);
  if (status == TITAN_OK)
    status = titan_trainer_checkpoint_note(trainer->checkpoint, path);
  titan_checkpoint_file_close(&file);
  return status;
}

// How the run began that wrote a file: options of one start are obeyed once.
typedef struct start_of {
  int64_t load_step, excluded;
} start_of;

// A damaged file, or one of another program, tells nothing of a start. One that cannot be read is an error: it may
// descend from this run's start, and going on from an earlier step would overwrite it.
static titan_status read_start(const trainer_checkpoint *checkpoint, int64_t step, start_of *start) {
  titan_checkpoint_fault fault = TITAN_CHECKPOINT_SYSTEM;
  titan_checkpoint_file *file = NULL;
  titan_text path = {0};
  *start = (start_of){-1, 0};
  titan_status status = titan_store_path(checkpoint->folder.data, step, &path);
  if (status == TITAN_OK)
    status = titan_checkpoint_file_open(path.data, &file, &fault);
  if (status == TITAN_OK)
    *start = (start_of){file->contents.load_step, file->contents.excluded};
  else if (fault != TITAN_CHECKPOINT_SYSTEM) {
    titan_error_clear();
    status = TITAN_OK;
  }
  titan_checkpoint_file_close(&file);
  titan_text_destroy(&path);
  return status;
}

titan_status titan_trainer_checkpoint_descends(const trainer_checkpoint *checkpoint, int64_t step, int64_t load_step,
                                               bool *descends) {
  start_of start = {-1, 0};
  if (step > load_step)
    TITAN_TRY(read_start(checkpoint, step, &start));
  *descends = step > load_step && start.load_step == load_step;
  return TITAN_OK;
}

static titan_status share_start(const titan_trainer *trainer, int64_t step, start_of *start) {
  _Static_assert(sizeof *start == 2 * sizeof(int64_t), "two numbers");
  titan_comm *world = titan_trainer_world(trainer);
  TITAN_TRY(titan_comm_agree(world, trainer->rank == 0 ? read_start(trainer->checkpoint, step, start) : TITAN_OK));
  return titan_comm_broadcast(world, &start->load_step, 2, TITAN_INT64, 0, NULL);
}

// Whether a file is one that this run may go on from; sets what is left out in that. Collective.
static titan_status consider(titan_trainer *trainer, int64_t step, bool *fits) {
  trainer_checkpoint *checkpoint = trainer->checkpoint;
  int64_t wanted = trainer->env.config->checkpoint.load_step, asked = 0;
  start_of start = {-1, 0};
  *fits = false;
  if (wanted >= 0 && step < wanted)
    return TITAN_OK;
  for (int part = 0; part < 3; part++)
    asked |= (int64_t)checkpoint->excluded[part] << part;
  if (wanted >= 0 ? step > wanted : asked != 0) // else what the file says of its start decides nothing
    TITAN_TRY(share_start(trainer, step, &start));
  bool descends = wanted >= 0 && step > wanted && start.load_step == wanted;
  bool obeyed = asked != 0 && start.excluded == asked && (wanted < 0 || descends);
  for (int part = 0; part < 3; part++)
    checkpoint->left_out[part] = checkpoint->excluded[part] && !obeyed;
  *fits = wanted < 0 || step == wanted || descends;
  if (trainer->rank != 0 || !*fits)
    return TITAN_OK;
  const titan_config *config = trainer->env.config;
  if (descends)
    titan_log_info("checkpoint.load_step = %" PRId64 " (%s) was applied at an earlier start: the run resumes from step "
                   "%" PRId64 ", which descends from it (to load it again, move the files of later steps away)",
                   wanted, titan_config_origin(config, "checkpoint.load_step"), step);
  if (obeyed)
    titan_log_info(
        "checkpoint.exclude_from_loading = %s (%s) was applied at an earlier start: all of step %" PRId64 " is taken",
        config->checkpoint.exclude_from_loading, titan_config_origin(config, "checkpoint.exclude_from_loading"), step);
  return TITAN_OK;
}

// From the newest that fits down to the first that is whole.
static titan_status load_newest(titan_trainer *trainer) {
  trainer_checkpoint *checkpoint = trainer->checkpoint;
  int64_t wanted = trainer->env.config->checkpoint.load_step;
  titan_text path = {0};
  titan_status status = TITAN_OK;
  for (int64_t i = checkpoint->step_count; i-- > 0;) {
    titan_checkpoint_fault fault = TITAN_CHECKPOINT_SOUND;
    bool fits;
    TITAN_TRY_CLEANUP(consider(trainer, checkpoint->steps[i], &fits));
    if (!fits)
      continue;
    path.length = 0;
    TITAN_TRY_CLEANUP(titan_store_path(checkpoint->folder.data, checkpoint->steps[i], &path));
    status = titan_trainer_checkpoint_load_file(trainer, path.data, checkpoint->steps[i], &fault);
    if (status != TITAN_OK && fault == TITAN_CHECKPOINT_FOREIGN) {
      status = titan_trainer_checkpoint_foreign(path.data);
      titan_error_mark_agreed();
    }
    if (status == TITAN_OK || fault != TITAN_CHECKPOINT_DAMAGED || checkpoint->steps[i] == wanted)
      goto cleanup;
    if (i > 0 && trainer->rank == 0)
      titan_log_warning("%s; trying the checkpoint before it", titan_error_message());
  }
  status = titan_error(TITAN_ERROR_CHECKPOINT, "%s; no complete checkpoint is left in %s", titan_error_message(),
                       checkpoint->folder.data);
  titan_error_mark_agreed();
cleanup:
  titan_text_destroy(&path);
  return status;
}

// Whether the folder has checkpoints that the run goes on from.
static bool goes_on(const titan_trainer *trainer) {
  return trainer->checkpoint->step_count > 0 && !trainer->env.config->checkpoint.create_seed_checkpoint;
}

bool titan_trainer_checkpoint_loads(const titan_trainer *trainer) {
  return trainer->checkpoint != NULL && (goes_on(trainer) || trainer->env.config->checkpoint.initial_load_path != NULL);
}

titan_status titan_trainer_checkpoint_load(titan_trainer *trainer) {
  trainer_checkpoint *checkpoint = trainer->checkpoint;
  const titan_config *config = trainer->env.config;
  if (checkpoint == NULL)
    return TITAN_OK;
  checkpoint->load_step = config->checkpoint.load_step;
  titan_saver_options options = {.runtime = trainer->runtime,
                                 .mode = titan_setup_save_mode(config),
                                 .hints = config->checkpoint.mpi_io_hints,
                                 .verify = config->checkpoint.verify};
  TITAN_TRY(titan_saver_create(&options, &checkpoint->saver));
  checkpoint->corpus = trainer->corpus_fingerprint;
  memcpy(checkpoint->left_out, checkpoint->excluded, sizeof checkpoint->left_out);
  bool own = goes_on(trainer);
  const char *initial = config->checkpoint.initial_load_path;
  if (own)
    TITAN_TRY(load_newest(trainer));
  else if (initial != NULL)
    TITAN_TRY(titan_trainer_initial_load(trainer));
  else if (trainer->rank == 0 && config->checkpoint.enable_checkpoint)
    titan_log_info("No checkpoint in %s: the run starts at step 1", checkpoint->folder.data);
  if (own && initial != NULL && trainer->rank == 0)
    titan_log_info("checkpoint.initial_load_path = %s (%s) applies to the first start only: %s has checkpoints of this "
                   "run",
                   initial, titan_config_origin(config, "checkpoint.initial_load_path"), checkpoint->folder.data);
  if (trainer->rank == 0)
    titan_trainer_checkpoint_check_room(trainer);
  checkpoint->last_save = titan_clock_seconds();
  return TITAN_OK;
}
