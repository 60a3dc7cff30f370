// titan-checkpoint import: weights in safetensors, with either naming, as a checkpoint that a run can go on from.
#include "checkpoint/hugging_face.h"
#include "checkpoint/store.h"
#include "checkpoint/tool_files.h"
#include "checkpoint/tool_metadata.h"
#include "checkpoint/tool_pieces.h"
#include "checkpoint/writer.h"
#include "storage/folder.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

typedef struct importing {
  const titan_tool *tool;
  const titan_tool_arguments *arguments;
  titan_safetensors_set *set;
  bool hugging_face, tied;
  titan_tool_model model;
  int count;
  titan_checkpoint_tensor *tensors;
  int64_t *units;
  int *sources; // of each, in the set
  float *values, *permuted;
  int64_t slab_count;
  titan_checkpoint_writer *writer;
  uint64_t made; // folders, see titan_folder_create_noting
  titan_lock *lock;
} importing;

static const char embedding_name[] = "tok_embeddings.weight", output_name[] = "output.weight";

// --- which model ---

static titan_status read_config(const importing *m, titan_hugging_face_config *config, bool *found) {
  titan_text path = {0};
  struct stat properties;
  titan_status status = titan_text_printf(&path, "%sconfig.json", m->set->folder);
  *found = status == TITAN_OK && stat(path.data, &properties) == 0;
  if (*found)
    status = titan_hugging_face_config_read(path.data, config);
  titan_text_destroy(&path);
  return status;
}

// Whether any of the names is one of Hugging Face's: in a set that is not complete, which one is missing does not
// matter.
static bool is_hugging_face(const titan_safetensors_set *set) {
  char ours[TITAN_HUGGING_FACE_NAME_BYTES];
  for (int i = 0; i < set->count; i++)
    if (titan_hugging_face_name_to_ours(set->tensors[i].tensor->name, ours) &&
        strcmp(ours, set->tensors[i].tensor->name) != 0)
      return true;
  return false;
}

static titan_status find_model(importing *m) {
  titan_hugging_face_config config;
  bool has_config = false;
  m->hugging_face = is_hugging_face(m->set);
  if (m->arguments->model != NULL && titan_model_find(m->arguments->model) == NULL)
    return titan_error(TITAN_ERROR_USAGE, "--model: there is no %s; expected one of %s", m->arguments->model,
                       titan_model_names());
  if (m->hugging_face)
    TITAN_TRY(read_config(m, &config, &has_config));
  TITAN_TRY(titan_tool_model_find(m->set, m->hugging_face, has_config ? &config : NULL, m->arguments->model,
                                  m->arguments->flavor, &m->model));
  TITAN_TRY(titan_tool_model_tensors(&m->model, &m->tensors, &m->count));
  m->tied = has_config && config.tied && titan_safetensors_set_find(m->set, "lm_head.weight") < 0;
  return TITAN_OK;
}

// --- which tensors ---

typedef struct complaint_list {
  titan_text text;
  int count;
} complaint_list;

static titan_status complain(complaint_list *list, const char *what, const char *name) {
  enum { TOLD = 10 };
  if (list->count++ < TOLD)
    return titan_text_printf(&list->text, "\n  %s: %.100s", what, name);
  return list->count == TOLD + 1 ? titan_text_printf(&list->text, "\n  and more") : TITAN_OK;
}

// "[256, 768]"
static void describe_shape(int rank, const int64_t *dims, char *text, size_t size) {
  size_t used = (size_t)snprintf(text, size, "[");
  for (int d = 0; d < rank && used < size; d++)
    used += (size_t)snprintf(text + used, size - used, "%s%" PRId64, d > 0 ? ", " : "", dims[d]);
  if (used < size)
    snprintf(text + used, size - used, "]");
}

static titan_status find_source(importing *m, int index, bool *used, complaint_list *complaints) {
  const titan_checkpoint_tensor *tensor = &m->tensors[index];
  char theirs[TITAN_HUGGING_FACE_NAME_BYTES], what[192];
  const char *name = m->tied && strcmp(tensor->name, output_name) == 0 ? embedding_name : tensor->name;
  if (m->hugging_face) {
    if (!titan_hugging_face_name(name, theirs))
      return complain(complaints, "Hugging Face's Llama has none", name);
    name = theirs;
  }
  m->sources[index] = titan_safetensors_set_find(m->set, name);
  if (m->sources[index] < 0)
    return complain(complaints, "missing", name);
  const titan_safetensors_tensor *source = m->set->tensors[m->sources[index]].tensor;
  used[m->sources[index]] = true;
  if (!source->is_number) {
    snprintf(what, sizeof what, "of dtype %s (expected F32, BF16 or F16)", source->type);
    return complain(complaints, what, name);
  }
  if (source->rank == tensor->rank && source->dims[0] == tensor->dims[0] &&
      (tensor->rank == 1 || source->dims[1] == tensor->dims[1]))
    return TITAN_OK;
  char found[100], wanted[48];
  describe_shape(source->rank, source->dims, found, sizeof found);
  describe_shape(tensor->rank, tensor->dims, wanted, sizeof wanted);
  snprintf(what, sizeof what, "of shape %s, not %s", found, wanted);
  return complain(complaints, what, name);
}

static titan_status match_tensors(importing *m) {
  complaint_list complaints = {0};
  bool *used = NULL;
  titan_status status = TITAN_OK;
  const titan_model_arguments *model = &m->model.arguments;
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, (size_t)m->set->count, sizeof *used, &used));
  TITAN_TRY_CLEANUP(titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)m->count * sizeof *m->sources, &m->sources));
  TITAN_TRY_CLEANUP(titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)m->count * sizeof *m->units, &m->units));
  for (int i = 0; i < m->count; i++) {
    m->units[i] = m->hugging_face && titan_hugging_face_is_permuted(m->tensors[i].name) ? model->dim / model->heads : 1;
    TITAN_TRY_CLEANUP(find_source(m, i, used, &complaints));
  }
  for (int i = 0; i < m->set->count; i++)
    if (!used[i] && !(m->hugging_face && titan_hugging_face_is_derived(m->set->tensors[i].tensor->name)))
      TITAN_TRY_CLEANUP(complain(&complaints, "not part of the model", m->set->tensors[i].tensor->name));
  if (complaints.count > 0)
    status = titan_error(TITAN_ERROR_CHECKPOINT, "%s: %d tensors do not fit %s %s:%s", m->set->path, complaints.count,
                         m->model.definition->name, m->model.flavor, complaints.text.data);
cleanup:
  titan_memory_free(used);
  titan_text_destroy(&complaints.text);
  return status;
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
  int64_t columns = titan_checkpoint_columns(tensor), count = rows * columns, unit = m->units[index];
  float *values = m->values;
  TITAN_TRY(titan_safetensors_set_read(m->set, m->sources[index], row * columns, count, values));
  for (int64_t i = 0; i < count; i++)
    if (!isfinite(values[i]))
      return titan_error(TITAN_ERROR_CHECKPOINT, "%s: %s holds %g; expected finite values", m->set->path,
                         m->set->tensors[m->sources[index]].tensor->name, (double)values[i]);
  if (unit > 1) {
    titan_hugging_face_permute_to_ours(rows / unit, unit, columns, values, m->permuted);
    values = m->permuted;
  }
  titan_checkpoint_slab slab = {.tensor = index, .row = row, .rows = rows, .column = 0, .columns = columns};
  return titan_checkpoint_writer_write(m->writer, &slab, values, columns);
}

static titan_status write_file(importing *m, const titan_checkpoint_contents *contents) {
  titan_checkpoint_writer_options options = {.comm = titan_comm_mpi(m->tool->world),
                                             .path = m->arguments->paths[1],
                                             .contents = contents,
                                             .tensor_count = m->count,
                                             .tensors = m->tensors,
                                             .slab_count = m->slab_count};
  titan_checkpoint_written written;
  TITAN_TRY(titan_checkpoint_is_apart(options.comm, &options.apart));
  TITAN_TRY(titan_checkpoint_writer_create(&options, &m->writer));
  titan_status status = titan_tool_deal(m->tool, m->count, m->tensors, m->units, write_slab, m);
  TITAN_TRY(titan_checkpoint_writer_finish(&m->writer, status, &written));
  if (m->tool->rank == 0)
    printf("%s: %s %s, %d tensors, %s\n", options.path, m->model.definition->name, m->model.flavor, m->count,
           titan_tool_size_text((double)written.bytes).text);
  return TITAN_OK;
}

static titan_status write_checkpoint(importing *m) {
  titan_text origin = {0}, written = {0};
  char date[32];
  time_t now = time(NULL);
  struct tm local;
  titan_status status = titan_text_printf(&origin, "# imported from %s, which is in %s naming\n", m->set->path,
                                          m->hugging_face ? "Hugging Face's" : "titan-hpc's");
  strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S%z", localtime_r(&now, &local));
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
  if (step <= 0)
    return TITAN_OK;
  return titan_error(TITAN_ERROR_USAGE,
                     "%s: an import is a checkpoint of step 0, and a name step-%" PRId64 ".h5 says otherwise: call it "
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
  TITAN_TRY(titan_safetensors_set_open(m->arguments->paths[0], &m->set));
  TITAN_TRY(find_model(m));
  TITAN_TRY(match_tensors(m));
  TITAN_TRY(titan_tool_deal(m->tool, m->count, m->tensors, m->units, count_slab, m));
  size_t piece = (size_t)titan_tool_largest_piece(m->count, m->tensors, m->units) * sizeof(float);
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
                         "cannot write %s: a run, or another import, is writing to this folder; wait for its end, or "
                         "give another folder",
                         out);
  return status;
}

static void tell(const importing *m) {
  const char *name = last_part(m->arguments->paths[1]);
  if (m->tied)
    printf("the output's weights were those of the embedding; from here on they are trained apart\n");
  printf("it holds weights only: a run that loads it starts with a fresh optimizer, schedule and data\n");
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
  titan_memory_free(m.units);
  titan_memory_free(m.sources);
  titan_memory_free(m.values);
  titan_memory_free(m.permuted);
  titan_safetensors_set_close(&m.set);
  return status;
}
