// SPDX-License-Identifier: Apache-2.0
// titan-checkpoint export: the model of a checkpoint as safetensors, with our names or Hugging Face's.
#include "checkpoint/share.h"
#include "storage/folder.h"
#include "tokenizer/tokenizer_export.h"
#include "tool/tool_files.h"
#include "tool/tool_metadata.h"
#include "tool/tool_pieces.h"
#include "tool/tool_tokenizer.h"
#include "weights/hugging_face.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct exporting {
  const titan_tool *tool;
  const titan_tool_arguments *arguments;
  const char *out;
  bool folder;                // `out` is one
  uint64_t made;              // folders, see titan_folder_create_noting
  titan_tokenizer *tokenizer; // rank 0: NULL where it is not known
  int beside_count;
  const char *beside[5]; // names of what was written beside the tensors
  titan_checkpoint_file *file;
  int count;
  titan_checkpoint_tensor *sources; // the model's tensors
  int *indices;                     // of each in the file
  int64_t *units;
  titan_safetensors_tensor *targets;
  titan_tool_files files;
  void *raw;
  float *values, *permuted;
  int64_t not_finite;
} exporting;

static bool ends_with(const char *text, const char *end) {
  size_t length = strlen(text), tail = strlen(end);
  return length >= tail && strcmp(text + length - tail, end) == 0;
}

// --- where to ---

// The output must not exist; a folder may, when it is empty.
static titan_status check_output(const exporting *e) {
  struct stat properties;
  if (lstat(e->out, &properties) != 0)
    return TITAN_OK;
  if (!e->folder || !S_ISDIR(properties.st_mode))
    return titan_error(TITAN_ERROR_CHECKPOINT, "%s exists; nothing is overwritten: give another name, or remove it",
                       e->out);
  DIR *folder = opendir(e->out);
  if (folder == NULL)
    return titan_error(TITAN_ERROR_CHECKPOINT, "cannot open the folder %s: %s", e->out, strerror(errno));
  int entries = 0;
  while (readdir(folder) != NULL)
    entries++;
  closedir(folder);
  return entries <= 2
             ? TITAN_OK
             : titan_error(TITAN_ERROR_CHECKPOINT,
                           "the folder %s is not empty; nothing is overwritten: give another name, or empty it",
                           e->out);
}

static titan_status make_folders(exporting *e) {
  titan_status status =
      e->folder ? titan_folder_create_noting(e->out, &e->made) : titan_folder_create_for_noting(e->out, &e->made);
  return status == TITAN_ERROR_OUTPUT ? titan_error(TITAN_ERROR_CHECKPOINT, "%s", titan_error_message()) : status;
}

// --- what ---

static titan_status take_tensor(exporting *e, int index) {
  const titan_checkpoint_tensor *source = &e->file->tensors[index];
  titan_safetensors_tensor *target = &e->targets[e->count];
  const titan_model_arguments *model = &e->file->contents.model;
  char name[TITAN_HUGGING_FACE_NAME_BYTES];
  bool renamed = e->arguments->hugging_face;
  if (renamed && !titan_hugging_face_name(source->name, name))
    return titan_error(TITAN_ERROR_CHECKPOINT, "%s: Hugging Face's Llama has no parameter like %s", e->file->path,
                       source->name);
  TITAN_TRY(titan_memory_duplicate(TITAN_MEMORY_GENERAL, renamed ? name : source->name, &target->name));
  target->number = e->arguments->has_number ? e->arguments->number : source->number;
  target->rank = source->rank;
  target->dims[0] = source->dims[0];
  target->dims[1] = source->dims[1];
  e->sources[e->count] = *source;
  e->indices[e->count] = index;
  e->units[e->count] = renamed && titan_hugging_face_is_permuted(source->name) ? model->dim / model->heads : 1;
  if (titan_checkpoint_rows(source) % e->units[e->count] != 0)
    return titan_error(TITAN_ERROR_CHECKPOINT,
                       "%s: %s has %" PRId64 " rows, which is not a multiple of the head size %" PRId64, e->file->path,
                       source->name, source->dims[0], e->units[e->count]);
  e->count++;
  return TITAN_OK;
}

// Hugging Face's files of a tied model leave out the output.
static bool is_left_out(const exporting *e, const titan_checkpoint_tensor *tensor) {
  return tensor->group != TITAN_CHECKPOINT_MODEL ||
         (e->arguments->hugging_face && e->file->contents.model.tied && strcmp(tensor->name, "output.weight") == 0);
}

static titan_status take_tensors(exporting *e) {
  const titan_checkpoint_file *file = e->file;
  const titan_model_arguments *model = &file->contents.model;
  size_t count = (size_t)file->tensor_count;
  if (e->arguments->hugging_face)
    TITAN_TRY(titan_hugging_face_check(file->path, model));
  if (model->dim < 1 || model->heads < 1 || model->dim / model->heads < 2 || model->dim / model->heads % 2 != 0)
    return titan_error(TITAN_ERROR_CHECKPOINT,
                       "%s: the sizes of the model are none (dim %" PRId64 ", heads %" PRId64 ")", file->path,
                       model->dim, model->heads);
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, count, sizeof *e->sources, &e->sources));
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, count, sizeof *e->indices, &e->indices));
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, count, sizeof *e->units, &e->units));
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, count, sizeof *e->targets, &e->targets));
  for (int i = 0; i < file->tensor_count; i++)
    if (!is_left_out(e, &file->tensors[i]))
      TITAN_TRY(take_tensor(e, i));
  size_t piece = (size_t)titan_tool_largest_piece(e->count, e->sources, e->units) * sizeof(float);
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, piece, &e->raw));
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, piece, &e->values));
  return titan_memory_allocate(TITAN_MEMORY_GENERAL, piece, &e->permuted);
}

// --- the tensors ---

static titan_status write_piece(void *context, int tensor, int64_t row, int64_t rows) {
  exporting *e = context;
  const titan_checkpoint_tensor *source = &e->sources[tensor];
  const titan_safetensors_tensor *target = &e->targets[tensor];
  const titan_tool_file *file = &e->files.files[e->files.file_of[tensor]];
  int64_t columns = titan_checkpoint_columns(source), count = rows * columns;
  const float *values = e->values;
  TITAN_TRY(titan_checkpoint_file_read(e->file, e->indices[tensor], row, rows, e->raw));
  titan_number_to_float(source->number, count, e->raw, e->values);
  for (int64_t i = 0; i < count; i++)
    e->not_finite += !isfinite(values[i]);
  int64_t place = titan_number_unfit(target->number, count, values);
  if (place >= 0)
    return titan_number_unfit_error(e->file->path, source->name, values[place]);
  if (e->units[tensor] > 1) {
    titan_hugging_face_permute(rows / e->units[tensor], e->units[tensor], columns, values, e->permuted);
    values = e->permuted;
  }
  return titan_safetensors_write(file->descriptor, file->path, target, row * columns, count, values);
}

// --- what goes beside them ---

static const char index_name[] = "model.safetensors.index.json", config_name[] = "config.json",
                  generation_name[] = "generation_config.json", tokenizer_name[] = "tokenizer.json",
                  tokenizer_config_name[] = "tokenizer_config.json";

static titan_status write_beside(exporting *e, const char *name, const titan_text *text) {
  titan_text path = {0};
  titan_status status = titan_text_printf(&path, "%s/%s", e->out, name);
  if (status == TITAN_OK)
    status = titan_tool_write_text(path.data, text);
  if (status == TITAN_OK)
    e->beside[e->beside_count++] = name;
  titan_text_destroy(&path);
  return status;
}

static void remove_beside(const exporting *e, const char *name) {
  titan_text path = {0};
  if (titan_text_printf(&path, "%s/%s", e->out, name) == TITAN_OK)
    unlink(path.data);
  titan_text_destroy(&path);
}

static titan_status write_index(exporting *e) {
  json_t *map = json_object(), *root;
  titan_text text = {0};
  uint64_t total = 0;
  int failed = 0;
  for (int i = 0; i < e->count; i++) {
    const char *file = strrchr(e->files.files[e->files.file_of[i]].path, '/') + 1;
    total += e->targets[i].bytes;
    failed |= json_object_set_new(map, e->targets[i].name, json_string(file));
  }
  root = json_pack("{s:{s:I}, s:o}", "metadata", "total_size", (json_int_t)total, "weight_map", map);
  char *dumped = failed || root == NULL ? NULL : json_dumps(root, JSON_INDENT(2));
  titan_status status = dumped == NULL ? titan_error(TITAN_ERROR_MEMORY, "no memory for the index of %s", e->out)
                                       : titan_text_printf(&text, "%s\n", dumped);
  if (status == TITAN_OK)
    status = write_beside(e, index_name, &text);
  free(dumped);
  json_decref(root);
  titan_text_destroy(&text);
  return status;
}

static titan_status write_config(exporting *e) {
  const titan_checkpoint_contents *contents = &e->file->contents;
  titan_hugging_face_config config = titan_tool_config_of(contents);
  titan_text text = {0};
  titan_status status = titan_hugging_face_config_write(&config, e->targets[0].number, &text);
  if (status == TITAN_OK)
    status = write_beside(e, config_name, &text);
  titan_text_destroy(&text);
  return status;
}

// With what a text begins, and what ends it.
static titan_status write_generation(exporting *e) {
  titan_hugging_face_config config = titan_tool_config_of(&e->file->contents);
  titan_text text = {0};
  titan_status status = titan_text_printf(&text, "{\n  \"_from_model_config\": true");
  if (status == TITAN_OK && config.begin_token >= 0)
    status = titan_text_printf(&text, ",\n  \"bos_token_id\": %" PRId64 ",\n  \"eos_token_id\": %" PRId64,
                               config.begin_token, config.end_token);
  if (status == TITAN_OK)
    status = titan_text_printf(&text, "\n}\n");
  if (status == TITAN_OK)
    status = write_beside(e, generation_name, &text);
  titan_text_destroy(&text);
  return status;
}

static titan_status write_tokenizer(exporting *e) {
  titan_text text = {0}, config = {0};
  titan_status status = titan_tokenizer_to_json(e->tokenizer, &text);
  if (status == TITAN_OK)
    status = write_beside(e, tokenizer_name, &text);
  if (status == TITAN_OK)
    status = titan_tokenizer_config_to_json(e->tokenizer, titan_tool_config_of(&e->file->contents).length, &config);
  if (status == TITAN_OK)
    status = write_beside(e, tokenizer_config_name, &config);
  titan_text_destroy(&text);
  titan_text_destroy(&config);
  return status;
}

static titan_status write_companions(exporting *e) {
  if (!e->folder)
    return TITAN_OK;
  if (e->files.count > 1)
    TITAN_TRY(write_index(e));
  TITAN_TRY(write_config(e));
  TITAN_TRY(write_generation(e));
  return e->tokenizer != NULL ? write_tokenizer(e) : TITAN_OK;
}

// --- all of it ---

static void tell(const exporting *e) {
  uint64_t bytes = 0;
  for (int i = 0; i < e->files.count; i++)
    bytes += e->files.files[i].bytes;
  printf("%s: %d tensors of step %" PRId64 ", %s in %d file%s%s\n", e->out, e->count, e->file->contents.step,
         titan_tool_size_text((double)bytes).text, e->files.count, e->files.count > 1 ? "s" : "",
         !e->folder             ? ""
         : e->tokenizer != NULL ? ", with config.json, generation_config.json, tokenizer.json and tokenizer_config.json"
                                : ", with config.json and generation_config.json");
  if (e->folder && e->tokenizer == NULL)
    printf("the tokenizer of the training was not found: give its file with --tokenizer, and it is written too\n");
  if (e->arguments->hugging_face && !e->folder)
    printf("a single file has no config.json; to get one, give a folder instead\n");
  if (e->not_finite > 0)
    fprintf(stderr, "titan-checkpoint: warning: %" PRId64 " values of %s are not finite\n", e->not_finite,
            e->file->path);
}

static titan_status plan_files(exporting *e) {
  titan_safetensors_entry entries[TITAN_TOOL_ENTRIES];
  titan_tool_metadata metadata;
  int count = 0;
  titan_tool_metadata_of(e->tool, e->arguments->hugging_face, &e->file->contents, &metadata, entries, &count);
  return titan_tool_files_plan(e->out, e->folder, e->folder ? e->arguments->shard_bytes : 0, e->count, e->targets,
                               count, entries, &e->files);
}

// The files are made, and room taken, before the checkpoint is read.
static titan_status write_files(exporting *e) {
  titan_comm *world = e->tool->world;
  titan_status status = titan_comm_agree(world, titan_tool_files_create(e->tool, &e->files));
  if (status == TITAN_OK)
    status = titan_tool_check(e->tool, e->file, true);
  if (status == TITAN_OK)
    status = titan_tool_deal(e->tool, e->count, e->sources, e->units, write_piece, e);
  if (status == TITAN_OK && e->tool->rank == 0)
    status = write_companions(e);
  return titan_tool_files_finish(e->tool, &e->files, status);
}

static titan_status run(exporting *e) {
  titan_comm *world = e->tool->world;
  titan_checkpoint_fault fault;
  titan_status named = titan_tool_check_name(e->out, e->folder);
  if (named == TITAN_OK)
    named = titan_tool_check_ending(e->out, ".h5", "export makes safetensors");
  if (named == TITAN_OK && e->arguments->tokenizer != NULL && !e->folder)
    named =
        titan_error(TITAN_ERROR_USAGE, "--tokenizer: %s is one file, and takes no tokenizer: give a folder", e->out);
  TITAN_TRY(titan_comm_agree(world, named));
  TITAN_TRY(titan_checkpoint_file_open_shared(world, e->arguments->paths[0], &e->file, &fault));
  titan_status status = take_tensors(e);
  if (status == TITAN_OK && e->tool->rank == 0)
    status = check_output(e);
  if (status == TITAN_OK && e->tool->rank == 0 && e->folder)
    status = titan_tool_tokenizer_find(e->arguments->tokenizer, &e->file->contents, &e->tokenizer);
  if (status == TITAN_OK && e->tool->rank == 0)
    status = make_folders(e);
  if (status == TITAN_OK)
    status = plan_files(e);
  TITAN_TRY(titan_comm_agree(world, status));
  TITAN_TRY(write_files(e));
  TITAN_TRY(titan_tool_sum(e->tool, &e->not_finite));
  if (e->tool->rank == 0)
    tell(e);
  return TITAN_OK;
}

// Rank 0 has made what there is.
static void remove_output(const exporting *e) {
  for (int i = 0; i < e->beside_count; i++)
    remove_beside(e, e->beside[i]);
  titan_folder_remove_noted(e->out, e->made);
}

titan_status titan_tool_export(const titan_tool *tool, const titan_tool_arguments *arguments) {
  exporting e = {.tool = tool,
                 .arguments = arguments,
                 .out = arguments->paths[1],
                 .folder = arguments->hugging_face && !ends_with(arguments->paths[1], ".safetensors")};
  titan_status status = run(&e);
  if (status != TITAN_OK)
    remove_output(&e);
  titan_tool_files_destroy(&e.files);
  for (int i = 0; e.targets != NULL && e.file != NULL && i < e.file->tensor_count; i++)
    titan_memory_free(e.targets[i].name);
  titan_tokenizer_destroy(&e.tokenizer);
  titan_memory_free(e.sources);
  titan_memory_free(e.indices);
  titan_memory_free(e.units);
  titan_memory_free(e.targets);
  titan_memory_free(e.raw);
  titan_memory_free(e.values);
  titan_memory_free(e.permuted);
  titan_checkpoint_file_close(&e.file);
  return status;
}
