// SPDX-License-Identifier: Apache-2.0
// titan-checkpoint import: weights in safetensors, with either naming, as a checkpoint that a run can go on from.
#include "base/clock.h"
#include "checkpoint/store.h"
#include "checkpoint/weights.h"
#include "checkpoint/writer.h"
#include "storage/folder.h"
#include "tool/tool_files.h"
#include "tool/tool_metadata.h"
#include "tool/tool_pieces.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

typedef struct importing {
  const titan_tool *tool;
  const titan_tool_arguments *arguments;
  titan_weights *weights;
  titan_tool_model model;
  int count;
  titan_checkpoint_tensor *tensors;
  float *values, *permuted;
  int64_t slab_count;
  titan_checkpoint_writer *writer;
  uint64_t made; // folders, see titan_folder_create_noting
  titan_lock *lock;
} importing;

// --- which model ---

static titan_status find_model(importing *m) {
  const titan_weights *w = m->weights;
  char name[80];
  if (m->arguments->model != NULL && titan_model_find(m->arguments->model) == NULL)
    return titan_error(TITAN_ERROR_USAGE, "--model: there is no %s; expected one of %s", m->arguments->model,
                       titan_model_names());
  TITAN_TRY(titan_tool_model_find(w->set, w->hugging_face, w->has_config ? &w->config : NULL, m->arguments->model,
                                  m->arguments->flavor, &m->model));
  m->model.arguments.tied = w->tied && !m->arguments->untie;
  if (m->arguments->untie && !w->tied)
    return titan_error(TITAN_ERROR_USAGE, "--untie: the output of %s has its own weights already", w->set->path);
  TITAN_TRY(titan_tool_model_tensors(&m->model, &m->tensors, &m->count));
  snprintf(name, sizeof name, "%s %s", m->model.definition->name, m->model.flavor);
  return titan_weights_match(m->weights, name, m->model.arguments.dim / m->model.arguments.heads, m->count, m->tensors);
}

// --- the values ---

static titan_status count_slab(void *context, int tensor, int64_t row, int64_t rows) {
  (void)tensor, (void)row, (void)rows;
  ((importing *)context)->slab_count++;
  return TITAN_OK;
}

static titan_status write_slab(void *context, int index, int64_t row, int64_t rows) {
  importing *m = context;
  const titan_checkpoint_tensor *tensor = &m->tensors[index];
  int64_t columns = titan_checkpoint_columns(tensor), count = rows * columns, unit = m->weights->units[index];
  float *values = m->values;
  TITAN_TRY(titan_weights_read(m->weights, index, row * columns, count, values));
  if (unit > 1) {
    titan_hugging_face_permute_to_ours(rows / unit, unit, columns, values, m->permuted);
    values = m->permuted;
  }
  titan_checkpoint_section slab = {.tensor = index, .row = row, .rows = rows, .column = 0, .columns = columns};
  return titan_checkpoint_writer_write(m->writer, &slab, values, columns);
}

static titan_status write_file(importing *m, const titan_checkpoint_contents *contents) {
  titan_checkpoint_writer_options options = {.comm = titan_comm_mpi(m->tool->world),
                                             .path = m->arguments->paths[1],
                                             .contents = contents,
                                             .tensor_count = m->count,
                                             .tensors = m->tensors,
                                             .slab_count = m->slab_count,
                                             .apart = !titan_comm_is_one_node(m->tool->world)};
  titan_checkpoint_written written;
  TITAN_TRY(titan_checkpoint_writer_create(&options, &m->writer));
  titan_status status = titan_tool_deal(m->tool, m->count, m->tensors, m->weights->units, write_slab, m);
  TITAN_TRY(titan_checkpoint_writer_finish(&m->writer, status, &written));
  if (m->tool->rank == 0)
    printf("%s: %s %s, %d tensors, %s\n", options.path, m->model.definition->name, m->model.flavor, m->count,
           titan_tool_size_text((double)written.bytes).text);
  return TITAN_OK;
}

static titan_status write_checkpoint(importing *m) {
  titan_text origin = {0}, written = {0};
  char date[TITAN_CLOCK_DATE_BYTES];
  titan_status status = titan_text_printf(&origin, "# imported from %s, which is in %s naming\n", m->weights->set->path,
                                          m->weights->hugging_face ? "Hugging Face's" : "titan-hpc's");
  titan_clock_date(date);
  if (status == TITAN_OK)
    status = titan_text_printf(&written, "%s", date);
  status = titan_comm_agree(m->tool->world, status);
  if (status == TITAN_OK) {
    titan_checkpoint_contents contents = {.step = 0,
                                          .program = m->tool->program,
                                          .mesh = "none: imported",
                                          .configuration = origin.data,
                                          .written = written.data,
                                          .model_name = m->model.definition->name,
                                          .model_flavor = m->model.flavor,
                                          .model = m->model.arguments};
    status = write_file(m, &contents);
  }
  titan_text_destroy(&origin);
  titan_text_destroy(&written);
  return status;
}

// --- all of it ---

static const char *last_part(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash != NULL ? slash + 1 : path;
}

static titan_status check_name(const char *out) {
  int64_t step = titan_store_step_of(last_part(out));
  TITAN_TRY(titan_tool_check_name(out, false));
  TITAN_TRY(titan_tool_check_ending(out, ".safetensors", "import makes a checkpoint, OUT.h5"));
  if (step <= 0)
    return TITAN_OK;
  return titan_error(TITAN_ERROR_USAGE,
                     "%s: an import is a checkpoint of step 0, and a name step-%" PRId64
                     ".h5 has another step: call it "
                     "step-0.h5 for a run to find it, or anything else",
                     out, step);
}

static titan_status prepare(importing *m) {
  struct stat properties;
  const char *out = m->arguments->paths[1];
  TITAN_TRY(check_name(out));
  if (lstat(out, &properties) == 0)
    return titan_error(TITAN_ERROR_CHECKPOINT, "%s exists; nothing is overwritten: give another name, or remove it",
                       out);
  TITAN_TRY(titan_weights_open(m->arguments->paths[0], &m->weights));
  TITAN_TRY(find_model(m));
  TITAN_TRY(titan_tool_deal(m->tool, m->count, m->tensors, m->weights->units, count_slab, m));
  size_t piece = (size_t)titan_tool_largest_piece(m->count, m->tensors, m->weights->units) * sizeof(float);
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, piece, &m->values));
  return titan_memory_allocate(TITAN_MEMORY_GENERAL, piece, &m->permuted);
}

// A folder of checkpoints is taken as a run takes it; in any other, a run is only looked for.
static titan_status lock_folder(importing *m, bool *held) {
  const char *out = m->arguments->paths[1], *name = last_part(out);
  titan_text folder = {0};
  titan_status status = titan_text_printf(&folder, "%.*s.", (int)(name - out), out);
  if (status == TITAN_OK)
    status = titan_store_lock(folder.data, titan_store_step_of(name) == 0 ? TITAN_LOCK_REMOVE : TITAN_LOCK_EXISTING,
                              &m->lock, held);
  titan_text_destroy(&folder);
  return status;
}

// Rank 0.
static titan_status take_folder(importing *m) {
  const char *out = m->arguments->paths[1];
  bool held = false;
  titan_status status = titan_folder_create_for_noting(out, &m->made);
  if (status == TITAN_OK)
    status = lock_folder(m, &held);
  if (status == TITAN_ERROR_OUTPUT) // of a checkpoint
    status = titan_error(TITAN_ERROR_CHECKPOINT, "%s", titan_error_message());
  if (status == TITAN_OK && held)
    status = titan_error(TITAN_ERROR_CHECKPOINT,
                         "cannot write %s: a run or another import is writing to this folder; wait for its end, or "
                         "give another folder",
                         out);
  return status;
}

static void tell(const importing *m) {
  const char *name = last_part(m->arguments->paths[1]);
  if (m->model.arguments.tied)
    printf("the output's weights are those of the embedding: a run trains them as one (model.tie_embeddings)\n");
  else if (m->weights->tied)
    printf("the output's weights were those of the embedding (tie_word_embeddings): both are written, and a run trains "
           "them "
           "separately\n");
  if (m->weights->config.unknown[0] != '\0')
    printf("config.json has unknown keys, which are ignored: %s\n", m->weights->config.unknown);
  printf("it holds weights only: a run that loads it starts with a new optimizer, schedule and data\n");
  if (strcmp(name, "step-0.h5") != 0)
    printf("a run finds it under the name step-0.h5 in its folder of checkpoints\n");
}

titan_status titan_tool_import(const titan_tool *tool, const titan_tool_arguments *arguments) {
  importing m = {.tool = tool, .arguments = arguments};
  titan_status status = titan_comm_agree(tool->world, prepare(&m));
  if (status == TITAN_OK)
    status = titan_comm_agree(tool->world, tool->rank == 0 ? take_folder(&m) : TITAN_OK);
  if (status == TITAN_OK)
    status = write_checkpoint(&m);
  if (status == TITAN_OK && tool->rank == 0)
    tell(&m);
  titan_lock_release(&m.lock);
  if (status != TITAN_OK)
    titan_folder_remove_noted(arguments->paths[1], m.made);
  titan_memory_free(m.tensors);
  titan_memory_free(m.values);
  titan_memory_free(m.permuted);
  titan_weights_close(&m.weights);
  return status;
}
