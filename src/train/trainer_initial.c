// SPDX-License-Identifier: Apache-2.0
// checkpoint.initial_load_path: other weights to begin with, where the run's own folder has no checkpoint.
#include "base/log.h"
#include "checkpoint/store.h"
#include "state/load.h"
#include "state/load_weights.h"
#include "storage/path.h"
#include "train/trainer_checkpoint.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

static bool ends_with(const char *text, const char *end) {
  size_t length = strlen(text), tail = strlen(end);
  return length >= tail && strcmp(text + length - tail, end) == 0;
}

titan_status titan_trainer_initial_check(const titan_config *config) {
  const char *path = config->checkpoint.initial_load_path;
  struct stat properties;
  if (path == NULL || stat(path, &properties) == 0)
    return TITAN_OK;
  return titan_error(TITAN_ERROR_CHECKPOINT, "checkpoint.initial_load_path = %s (%s): %s", path,
                     titan_config_origin(config, "checkpoint.initial_load_path"), strerror(errno));
}

// The newest checkpoint of a folder, or of its folder `inside`; left empty where there is none.
static titan_status find_newest(const char *path, const char *inside, titan_text *checkpoint) {
  int64_t *steps = NULL, count = 0;
  titan_text folder = {0};
  titan_status status = titan_store_list(path, &steps, &count);
  if (status == TITAN_OK && count > 0)
    status = titan_store_path(path, steps[count - 1], checkpoint);
  titan_memory_free(steps);
  if (status == TITAN_OK && count == 0 && inside != NULL) { // a run's dump folder
    struct stat properties;
    status = titan_path_join(&folder, path, inside);
    if (status == TITAN_OK && stat(folder.data, &properties) == 0 && S_ISDIR(properties.st_mode))
      status = find_newest(folder.data, NULL, checkpoint);
  }
  titan_text_destroy(&folder);
  return status;
}

// Rank 0. *checkpoint: the file to load, of this program; left empty for weights in safetensors.
static titan_status find_checkpoint(const titan_config *config, const char *path, titan_text *checkpoint) {
  struct stat properties;
  if (stat(path, &properties) != 0)
    return titan_error(TITAN_ERROR_CHECKPOINT, "%s: %s", path, strerror(errno));
  if (!S_ISDIR(properties.st_mode))
    return ends_with(path, ".safetensors") || ends_with(path, ".json") ? TITAN_OK
                                                                       : titan_text_printf(checkpoint, "%s", path);
  return find_newest(path, config->checkpoint.folder, checkpoint);
}

static titan_status share_path(titan_trainer *trainer, titan_text *checkpoint) {
  titan_comm *world = titan_trainer_world(trainer);
  const char *path = trainer->env.config->checkpoint.initial_load_path;
  char bytes[4096] = "";
  titan_status status = trainer->rank == 0 ? find_checkpoint(trainer->env.config, path, checkpoint) : TITAN_OK;
  if (status == TITAN_OK && checkpoint->length >= sizeof bytes)
    status = titan_error(TITAN_ERROR_CHECKPOINT, "%s: the name is too long", path);
  TITAN_TRY(titan_comm_agree(world, status));
  if (checkpoint->length > 0)
    memcpy(bytes, checkpoint->data, checkpoint->length);
  TITAN_TRY(titan_comm_broadcast(world, bytes, sizeof bytes, TITAN_BYTE, 0, NULL));
  checkpoint->length = 0;
  return titan_text_printf(checkpoint, "%s", bytes);
}

static titan_status load_safetensors(titan_trainer *trainer) {
  const titan_config *config = trainer->env.config;
  const char *path = config->checkpoint.initial_load_path;
  titan_weights_remarks remarks;
  if (!config->checkpoint.initial_load_model_only)
    return titan_error(TITAN_ERROR_CHECKPOINT,
                       "checkpoint.initial_load_model_only = false (%s): %s has only weights in safetensors, without "
                       "a training state",
                       titan_config_origin(config, "checkpoint.initial_load_model_only"), path);
  TITAN_TRY(titan_checkpoint_load_weights(trainer->runtime, path, &remarks));
  if (trainer->rank != 0)
    return TITAN_OK;
  titan_log_info("The run starts from the weights of %s (names: %s)", path,
                 remarks.hugging_face ? "Hugging Face's" : "titan-hpc's");
  if (remarks.untied)
    titan_log_info("These weights are tied (the output is the embedding); this run trains the two separately "
                   "(model.tie_embeddings)");
  if (remarks.unknown[0] != '\0')
    titan_log_warning("config.json has unknown keys, which are ignored: %s", remarks.unknown);
  return TITAN_OK;
}

static titan_status load_model(titan_trainer *trainer, const char *path) {
  titan_checkpoint_load_options options = {.runtime = trainer->runtime, .step = -1};
  titan_checkpoint_fault fault;
  titan_checkpoint_file *file = NULL;
  TITAN_TRY(titan_checkpoint_load(&options, path, &file, &fault));
  titan_status status = titan_comm_agree(titan_trainer_world(trainer), titan_trainer_check_tokenizer(trainer, file));
  if (status == TITAN_OK && trainer->rank == 0)
    titan_log_info("The run starts from the weights of %s (step %" PRId64
                   " of that run); optimizer, schedule and data start "
                   "at their beginning",
                   path, file->contents.step);
  titan_checkpoint_file_close(&file);
  return status;
}

titan_status titan_trainer_initial_load(titan_trainer *trainer) {
  titan_text path = {0};
  titan_checkpoint_fault fault;
  titan_status status = share_path(trainer, &path);
  if (status == TITAN_OK && path.length == 0)
    status = load_safetensors(trainer);
  else if (status == TITAN_OK && trainer->env.config->checkpoint.initial_load_model_only)
    status = load_model(trainer, path.data);
  else if (status == TITAN_OK)
    status = titan_trainer_checkpoint_load_file(trainer, path.data, -1, &fault);
  titan_text_destroy(&path);
  return status;
}
