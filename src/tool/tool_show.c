// SPDX-License-Identifier: Apache-2.0
// titan-checkpoint list, show, verify: what is in files.
#include "base/clock.h"
#include "checkpoint/share.h"
#include "checkpoint/store.h"
#include "storage/path.h"
#include "tool/tool_pieces.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *text_or(const char *text, const char *otherwise) {
  return text != NULL ? text : otherwise;
}

// "model float32 + optimizer + state"
static void describe_contents(const titan_checkpoint_file *file, char *text, size_t size) {
  snprintf(text, size, "%s%s%s%s", file->tensor_count > 0 ? titan_number_name(file->tensors[0].number) : "no",
           " weights", titan_checkpoint_file_has_optimizer(file) ? ", optimizer" : "",
           file->contents.has_state ? ", state" : "");
}

// --- list ---

static titan_status list_one(const char *folder, int64_t step) {
  titan_text path = {0};
  titan_checkpoint_file *file = NULL;
  char contents[80];
  titan_status status = titan_store_path(folder, step, &path);
  if (status == TITAN_OK && titan_checkpoint_file_open(path.data, &file, NULL) != TITAN_OK) {
    printf("%10" PRId64 "  cannot be used: %s\n", step, titan_error_message());
    titan_error_clear();
  } else if (status == TITAN_OK && file->contents.step != step) {
    printf("%10" PRId64 "  cannot be used: %s is a checkpoint of step %" PRId64 "\n", step, path.data,
           file->contents.step);
  } else if (status == TITAN_OK) {
    describe_contents(file, contents, sizeof contents);
    printf("%10" PRId64 "  %9s  %-36s  %s\n", step, titan_tool_size_text((double)file->block.file_bytes).text, contents,
           text_or(file->contents.written, ""));
  }
  titan_checkpoint_file_close(&file);
  titan_text_destroy(&path);
  return status;
}

// Files that a save is writing, or that a killed run left behind.
static void list_partial(const char *path) {
  DIR *folder = opendir(path);
  for (const struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
    const char *dot = strrchr(entry->d_name, '.');
    if (strncmp(entry->d_name, "step-", 5) == 0 && dot != NULL && strcmp(dot, ".partial") == 0)
      printf("%s: not complete (being written, or left by a killed run)\n", entry->d_name);
  }
  if (folder != NULL)
    closedir(folder);
}

// Appends the path of the folder `name` in `path` if it holds checkpoints.
static titan_status add_folder(const char *path, const char *name, titan_text *found) {
  titan_text below = {0};
  int64_t *steps = NULL, count = 0;
  titan_status status = titan_path_join(&below, path, name);
  if (status == TITAN_OK && titan_store_list(below.data, &steps, &count) != TITAN_OK)
    titan_error_clear(); // not a folder
  if (count > 0)
    status = titan_text_append(found, below.data, below.length);
  titan_memory_free(steps);
  titan_text_destroy(&below);
  return status;
}

// A run's folder has its checkpoints in a folder of it: the message names one.
static titan_status holds_none(const char *path) {
  titan_text found = {0};
  DIR *folder = opendir(path);
  titan_status status = TITAN_OK;
  for (const struct dirent *entry; folder != NULL && found.length == 0 && (entry = readdir(folder)) != NULL;)
    if (entry->d_name[0] != '.')
      TITAN_TRY_CLEANUP(add_folder(path, entry->d_name, &found));
  status = titan_error(TITAN_ERROR_CHECKPOINT, "the folder %s holds no checkpoint (files named step-N.h5)%s%s", path,
                       found.length > 0 ? "; there are some in " : "", found.length > 0 ? found.data : "");
cleanup:
  if (folder != NULL)
    closedir(folder);
  titan_text_destroy(&found);
  return status;
}

static titan_status list_folder(const char *path) {
  int64_t *steps = NULL, count = 0;
  DIR *folder = opendir(path);
  if (folder == NULL)
    return titan_error(TITAN_ERROR_CHECKPOINT, "cannot open the folder %s: %s", path, strerror(errno));
  closedir(folder);
  TITAN_TRY(titan_store_list(path, &steps, &count));
  titan_status status = TITAN_OK;
  if (count == 0)
    status = holds_none(path);
  else
    printf("%10s  %9s  %-36s  %s\n", "step", "size", "contents", "written");
  for (int64_t i = 0; i < count && status == TITAN_OK; i++)
    status = list_one(path, steps[i]);
  list_partial(path);
  titan_memory_free(steps);
  return status;
}

titan_status titan_tool_list(const titan_tool *tool, const titan_tool_arguments *arguments) {
  return titan_comm_agree(tool->world, tool->rank == 0 ? list_folder(arguments->paths[0]) : TITAN_OK);
}

// --- show ---

static void show_model(const titan_checkpoint_contents *contents) {
  const titan_model_arguments *model = &contents->model;
  printf("model:          %s %s\n", text_or(contents->model_name, "?"), text_or(contents->model_flavor, "?"));
  printf("                dim %" PRId64 ", layers %" PRId64 ", heads %" PRId64 ", kv heads %" PRId64 ", ffn %" PRId64
         ", vocabulary %" PRId64 "\n",
         model->dim, model->layers, model->heads, model->kv_heads, titan_model_ffn_hidden(model), model->vocabulary);
  printf("                %s, epsilon %g, rope theta %g\n", titan_checkpoint_norm_name(model->norm_type),
         model->norm_epsilon, model->rope_theta);
  if (model->rope_scaling.factor > 0)
    printf("                rope scaling: factor %g, low %g, high %g, original length %" PRId64 "\n",
           model->rope_scaling.factor, model->rope_scaling.low, model->rope_scaling.high,
           model->rope_scaling.original_length);
  if (model->tied)
    printf("                the output's weights are the embedding's\n");
}

static void show_state(const titan_checkpoint_contents *contents) {
  if (contents->tokenizer != 0)
    printf("tokenizer:      fingerprint %016" PRIx64 "\n", contents->tokenizer);
  if (contents->has_state) {
    printf("training:       %" PRId64 " tokens, learning rate %g, optimizer %s\n", contents->tokens,
           contents->learning_rate, text_or(contents->optimizer, "?"));
    if (contents->total_steps > 0)
      printf("schedule:       optimizer.lr %g, %" PRId64 " of %" PRId64 " steps of warm-up\n", contents->peak,
             contents->warmup_steps, contents->total_steps);
    if (contents->log_count > 0)
      printf("loss:           %.4f at step %" PRId64 ", %.4f at step %" PRId64 " (%" PRId64 " logged)\n",
             contents->log_mean[0], contents->log_steps[0], contents->log_mean[contents->log_count - 1],
             contents->log_steps[contents->log_count - 1], contents->log_count);
  } else {
    printf("training:       no state; a run that loads this starts with a new optimizer, schedule and data\n");
  }
  if (contents->has_data)
    printf("data:           %" PRId64 " lanes, sequence length %" PRId64 ", corpus fingerprint %016" PRIx64 "\n",
           contents->lane_count, contents->seq_len, contents->corpus);
}

static void show_tensors(const titan_checkpoint_file *file) {
  for (titan_checkpoint_group group = TITAN_CHECKPOINT_MODEL; group < titan_checkpoint_group_count(); group++) {
    int64_t elements = 0, count = 0;
    for (int i = 0; i < file->tensor_count; i++)
      if (file->tensors[i].group == group) {
        elements += titan_checkpoint_rows(&file->tensors[i]) * titan_checkpoint_columns(&file->tensors[i]);
        count++;
      }
    if (count == 0)
      continue;
    printf("\n%s: %" PRId64 " tensors, %" PRId64 " elements, %s\n", titan_checkpoint_group_path(group), count, elements,
           titan_tool_size_text((double)titan_tool_group_bytes(file, group)).text);
    for (int i = 0; i < file->tensor_count; i++) {
      const titan_checkpoint_tensor *tensor = &file->tensors[i];
      char shape[48];
      if (tensor->group != group)
        continue;
      if (tensor->rank == 2)
        snprintf(shape, sizeof shape, "[%" PRId64 ", %" PRId64 "]", tensor->dims[0], tensor->dims[1]);
      else
        snprintf(shape, sizeof shape, "[%" PRId64 "]", tensor->dims[0]);
      printf("  %-44s %-18s %s\n", tensor->name, shape, titan_number_name(tensor->number));
    }
  }
}

// As the run's log says it, "Building 1-D device mesh with ...", without the verb.
static const char *mesh_text(const char *mesh) {
  static const char verb[] = "Building ";
  mesh = text_or(mesh, "?");
  return strncmp(mesh, verb, sizeof verb - 1) == 0 ? mesh + sizeof verb - 1 : mesh;
}

static titan_status show(const char *path) {
  titan_checkpoint_file *file;
  TITAN_TRY(titan_checkpoint_file_open(path, &file, NULL));
  const titan_checkpoint_contents *contents = &file->contents;
  printf("file:           %s, %s, format version %" PRIu64 "\n", path,
         titan_tool_size_text((double)file->block.file_bytes).text, file->block.version);
  printf("written:        %s by %s\n", text_or(contents->written, "?"), text_or(contents->program, "?"));
  printf("step:           %" PRId64 "\n", contents->step);
  printf("mesh:           %s (a file can be loaded on any mesh)\n", mesh_text(contents->mesh));
  show_model(contents);
  show_state(contents);
  if (file->tile_bytes > 0)
    printf("checksums:      %" PRId64 ", of tiles of %s\n", file->check_count,
           titan_tool_size_text((double)file->tile_bytes).text);
  else
    printf("checksums:      %" PRId64 ", of what each rank wrote\n", file->check_count);
  show_tensors(file);
  if (contents->configuration != NULL)
    printf("\nconfiguration:\n%s\n", contents->configuration);
  titan_checkpoint_file_close(&file);
  return TITAN_OK;
}

titan_status titan_tool_show(const titan_tool *tool, const titan_tool_arguments *arguments) {
  return titan_comm_agree(tool->world, tool->rank == 0 ? show(arguments->paths[0]) : TITAN_OK);
}

// --- verify ---

static titan_status verify_one(const titan_tool *tool, const char *path) {
  titan_checkpoint_file *file = NULL;
  titan_checkpoint_fault fault;
  double start = titan_clock_seconds();
  titan_status status = titan_checkpoint_file_open_shared(tool->world, path, &file, &fault);
  if (status == TITAN_OK)
    status = titan_tool_check(tool, file, false);
  if (status == TITAN_OK && tool->rank == 0) {
    double seconds = titan_clock_seconds() - start, bytes = (double)file->block.file_bytes;
    printf("%s: good; step %" PRId64 ", %d tensors, %" PRId64 " checksums, %s in %.2f s (%.2f GB/s)\n", path,
           file->contents.step, file->tensor_count, file->check_count, titan_tool_size_text(bytes).text, seconds,
           bytes / 1e9 / seconds);
    fflush(stdout);
  }
  titan_checkpoint_file_close(&file);
  return status;
}

titan_status titan_tool_verify(const titan_tool *tool, const titan_tool_arguments *arguments) {
  titan_text failures = {0};
  int failed = 0;
  titan_status status = TITAN_OK;
  for (int i = 0; i < arguments->path_count; i++) {
    titan_status one = verify_one(tool, arguments->paths[i]);
    if (one != TITAN_OK && one != TITAN_ERROR_CHECKPOINT)
      TITAN_TRY_CLEANUP(one);
    if (one != TITAN_OK) {
      failed++;
      TITAN_TRY_CLEANUP(titan_text_printf(&failures, "\n  %s", titan_error_message()));
    }
  }
  if (failed > 0 && arguments->path_count == 1)
    status = titan_error(TITAN_ERROR_CHECKPOINT, "%s", failures.data + 3);
  else if (failed > 0)
    status = titan_error(TITAN_ERROR_CHECKPOINT, "%d of %d files cannot be used:%s", failed, arguments->path_count,
                         failures.data);
  status = titan_comm_agree(tool->world, status);
cleanup:
  titan_text_destroy(&failures);
  return status;
}
