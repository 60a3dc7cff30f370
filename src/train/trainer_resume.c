// How a run finds the checkpoint to continue from, and continues.
#include "base/clock.h"
#include "base/log.h"
#include "checkpoint/load.h"
#include "checkpoint/store.h"
#include "train/trainer_checkpoint.h"

#include <inttypes.h>
#include <string.h>

// --- what is taken from a file ---

static titan_status check_tokenizer(const titan_trainer *trainer, const titan_checkpoint_file *file) {
  uint64_t mine = titan_tokenizer_fingerprint(trainer->env.tokenizer);
  if (file->contents.tokenizer == 0 || file->contents.tokenizer == mine)
    return TITAN_OK;
  return titan_error(TITAN_ERROR_CHECKPOINT,
                     "%s was trained with another tokenizer (fingerprint %016" PRIx64 ", that of model.tokenizer_path "
                     "is %016" PRIx64 "): its weights mean other tokens",
                     file->path, file->contents.tokenizer, mine);
}

// The data goes on where it stopped only if it is the same data in the same windows.
static titan_status check_data(const titan_trainer *trainer, const titan_checkpoint_file *file) {
  const titan_checkpoint_contents *c = &file->contents;
  int64_t seq_len = trainer->env.config->training.seq_len;
  int64_t lanes = trainer->env.config->training.batch_size * trainer->dp;
  static const char advice[] = "to begin the data at its start, set checkpoint.exclude_from_loading = data";
  if (c->corpus != trainer->checkpoint->corpus)
    return titan_error(TITAN_ERROR_CHECKPOINT, "%s was trained on another corpus than %s; %s", file->path,
                       titan_corpus_name(trainer->corpus), advice);
  if (c->seq_len != seq_len)
    return titan_error(TITAN_ERROR_CHECKPOINT,
                       "%s was trained with training.seq_len = %" PRId64 ", and this run has %" PRId64
                       ": the data cannot go on where it stopped; %s",
                       file->path, c->seq_len, seq_len, advice);
  if (c->lane_count != lanes)
    return titan_error(TITAN_ERROR_CHECKPOINT,
                       "%s was trained with a global batch of %" PRId64 " sequences, and this run has %" PRId64
                       " (training.batch_size times the data-parallel ranks): the data cannot go on where it stopped; "
                       "%s",
                       file->path, c->lane_count, lanes, advice);
  return TITAN_OK;
}

static titan_status take_data(titan_trainer *trainer, const titan_checkpoint_file *file) {
  const titan_checkpoint_contents *c = &file->contents;
  if (!c->has_data || trainer->checkpoint->excluded[TITAN_EXCLUDE_DATA])
    return TITAN_OK;
  TITAN_TRY(check_data(trainer, file));
  int64_t lanes = trainer->env.config->training.batch_size;
  int64_t first = lanes * titan_comm_rank(titan_mesh_comm(trainer->env.mesh, TITAN_MESH_DP));
  return titan_loader_set_cursors(trainer->loader, (const titan_loader_cursor *)(c->cursors + 4 * first));
}

static titan_status take_state(titan_trainer *trainer, const titan_checkpoint_file *file) {
  const titan_checkpoint_contents *c = &file->contents;
  const bool *excluded = trainer->checkpoint->excluded;
  bool moments = !excluded[TITAN_EXCLUDE_OPTIMIZER] && titan_checkpoint_file_has(file, TITAN_CHECKPOINT_EXP_AVG);
  trainer->step = trainer->first_step = c->step;
  trainer->tokens = trainer->first_tokens = c->tokens;
  trainer->optimizer.schedule_first = excluded[TITAN_EXCLUDE_SCHEDULE] ? c->step : c->schedule_first;
  trainer->optimizer.moments_first = moments ? c->optimizer_first : c->step;
  trainer->window = (trainer_window){
      .loss_sum = c->window_sum, .loss_max = c->window_max, .steps = c->window_steps, .restored = c->window_steps};
  for (int64_t i = 0; i < c->log_count; i++)
    TITAN_TRY(titan_trainer_history_append(&trainer->history, c->log_steps[i], c->log_mean[i], c->log_max[i]));
  return TITAN_OK;
}

static void log_loaded(const titan_trainer *trainer, const titan_checkpoint_file *file, double seconds) {
  const bool *excluded = trainer->checkpoint->excluded;
  double gigabytes = (double)file->block.file_bytes / 1e9;
  titan_log_info("Loaded the checkpoint %s: step %" PRId64 ", %.3f GB in %.2f s (%.2f GB/s)", file->path,
                 file->contents.step, gigabytes, seconds, gigabytes / seconds);
  if (excluded[TITAN_EXCLUDE_OPTIMIZER])
    titan_log_info("checkpoint.exclude_from_loading: the optimizer's moments begin at zero");
  else if (!titan_checkpoint_file_has(file, TITAN_CHECKPOINT_EXP_AVG))
    titan_log_info("The checkpoint has no optimizer state: the moments begin at zero");
  if (excluded[TITAN_EXCLUDE_DATA])
    titan_log_info("checkpoint.exclude_from_loading: the data begins at its start");
  else if (!file->contents.has_data)
    titan_log_info("The checkpoint has no position in the data: it begins at its start");
  if (excluded[TITAN_EXCLUDE_SCHEDULE])
    titan_log_info("checkpoint.exclude_from_loading: the learning rate's schedule begins at its start");
}

// --- choosing ---

// A run that was told an earlier step than the newest leaves files behind that a later run would take.
static void warn_of_newer(const titan_trainer *trainer) {
  const trainer_checkpoint *checkpoint = trainer->checkpoint;
  int64_t newest = checkpoint->steps[checkpoint->step_count - 1];
  if (trainer->env.config->checkpoint.load_step >= 0 && newest > trainer->first_step)
    titan_log_warning("%s holds checkpoints up to step %" PRId64 ", newer than the one loaded: a later run with "
                      "checkpoint.load_step = -1 takes the newest; move away those that are not wanted",
                      checkpoint->folder.data, newest);
}

// The moments are the same averages of gradients in Adam and AdamW; what they are used for differs.
static void warn_of_optimizer(const titan_trainer *trainer, const titan_checkpoint_file *file) {
  const char *mine = trainer->env.config->optimizer.name, *theirs = file->contents.optimizer;
  if (theirs != NULL && strcmp(theirs, mine) != 0 && !trainer->checkpoint->excluded[TITAN_EXCLUDE_OPTIMIZER])
    titan_log_warning("%s was trained with %s, and this run goes on with %s (optimizer.name): the moments are taken "
                      "over, weight decay acts otherwise",
                      file->path, theirs, mine);
}

static titan_status load_one(titan_trainer *trainer, const char *path, int64_t step, titan_checkpoint_fault *fault) {
  double start = titan_clock_seconds();
  titan_checkpoint_load_options options = {
      .runtime = trainer->runtime, .optimizer = !trainer->checkpoint->excluded[TITAN_EXCLUDE_OPTIMIZER], .step = step};
  titan_checkpoint_file *file;
  TITAN_TRY(titan_checkpoint_load(&options, path, &file, fault));
  titan_status status = check_tokenizer(trainer, file);
  if (status == TITAN_OK)
    status = take_data(trainer, file);
  if (status == TITAN_OK)
    status = take_state(trainer, file);
  status = titan_comm_agree(titan_trainer_world(trainer), status);
  if (status == TITAN_OK && trainer->rank == 0) {
    log_loaded(trainer, file, titan_clock_seconds() - start);
    warn_of_optimizer(trainer, file);
    warn_of_newer(trainer);
  }
  if (status == TITAN_OK)
    status = titan_trainer_checkpoint_note(trainer->checkpoint, path);
  titan_checkpoint_file_close(&file);
  return status;
}

// From the newest down to the first that is whole.
static titan_status load_newest(titan_trainer *trainer) {
  trainer_checkpoint *checkpoint = trainer->checkpoint;
  int64_t wanted = trainer->env.config->checkpoint.load_step;
  titan_text path = {0};
  titan_status status = TITAN_OK;
  for (int64_t i = checkpoint->step_count; i-- > 0;) {
    titan_checkpoint_fault fault = TITAN_CHECKPOINT_SOUND;
    if (wanted >= 0 && checkpoint->steps[i] != wanted)
      continue;
    path.length = 0;
    TITAN_TRY_CLEANUP(titan_store_path(checkpoint->folder.data, checkpoint->steps[i], &path));
    status = load_one(trainer, path.data, checkpoint->steps[i], &fault);
    if (status != TITAN_OK && fault == TITAN_CHECKPOINT_FOREIGN) {
      status = titan_trainer_checkpoint_foreign(path.data);
      titan_error_mark_agreed();
    }
    if (status == TITAN_OK || fault != TITAN_CHECKPOINT_DAMAGED || wanted >= 0)
      goto cleanup;
    if (i > 0 && trainer->rank == 0)
      titan_log_warning("%s; trying the checkpoint before it", titan_error_message());
  }
  status = titan_error(TITAN_ERROR_CHECKPOINT, "%s; no whole checkpoint is left in %s", titan_error_message(),
                       checkpoint->folder.data);
  titan_error_mark_agreed();
cleanup:
  titan_text_destroy(&path);
  return status;
}

titan_status titan_trainer_checkpoint_load(titan_trainer *trainer) {
  trainer_checkpoint *checkpoint = trainer->checkpoint;
  const titan_config *config = trainer->env.config;
  if (checkpoint == NULL)
    return TITAN_OK;
  titan_saver_options options = {
      .runtime = trainer->runtime, .mode = titan_setup_save_mode(config), .hints = config->checkpoint.mpi_io_hints};
  TITAN_TRY(titan_saver_create(&options, &checkpoint->saver));
  checkpoint->corpus = trainer->corpus_fingerprint;
  if (checkpoint->step_count > 0 && !config->checkpoint.create_seed_checkpoint)
    TITAN_TRY(load_newest(trainer));
  else if (trainer->rank == 0 && config->checkpoint.enable_checkpoint)
    titan_log_info("No checkpoint in %s: the run begins at step 1", checkpoint->folder.data);
  if (trainer->rank == 0)
    titan_trainer_checkpoint_check_room(trainer);
  checkpoint->last_save = titan_clock_seconds();
  return TITAN_OK;
}
