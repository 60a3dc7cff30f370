// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/contents.h"

#include "base/memory.h"
#include "checkpoint/values.h"

#include <string.h>

// An attribute may take 64 KiB. (A configuration takes some 10.)
enum { LONGEST_TEXT = 60000 };

static const char *const norm_names[] = {"rmsnorm", "fused_rmsnorm", "layernorm", "np_layernorm"};
enum { NORMS = sizeof norm_names / sizeof *norm_names };

const char *titan_checkpoint_norm_name(titan_norm_type type) {
  return norm_names[type];
}

int titan_checkpoint_norm_find(const char *name) {
  for (int type = 0; type < NORMS; type++)
    if (strcmp(name, norm_names[type]) == 0)
      return type;
  return -1;
}

static herr_t put_text(hid_t object, const char *name, const char *text) {
  char cut[LONGEST_TEXT + 1];
  if (text == NULL || *text == '\0')
    return 0;
  if (strlen(text) <= LONGEST_TEXT)
    return titan_values_put_text(object, name, text);
  memcpy(cut, text, LONGEST_TEXT);
  cut[LONGEST_TEXT] = '\0';
  return titan_values_put_text(object, name, cut);
}

// Numbers by name; the same table writes and reads.
typedef struct number_row {
  const char *name;
  // Files of earlier versions lack the later ones; the value then stays as it is.
  enum { INT, UNSIGNED, FLOAT, LATER_INT, LATER_FLOAT, LATER_BOOL } kind; // a bool is 0 or 1 in the file
  void *value;
} number_row;

static bool is_int(const number_row *row) {
  return row->kind == INT || row->kind == LATER_INT;
}

static herr_t get_bool(hid_t object, const number_row *row) {
  int64_t number = 0;
  herr_t result = titan_values_get_int(object, row->name, &number);
  *(bool *)row->value = number != 0;
  return result;
}

static herr_t put_numbers(hid_t object, int count, const number_row *rows) {
  herr_t result = 0;
  for (int i = 0; i < count && result >= 0; i++) {
    const number_row *row = &rows[i];
    result = is_int(row)               ? titan_values_put_int(object, row->name, *(const int64_t *)row->value)
             : row->kind == LATER_BOOL ? titan_values_put_int(object, row->name, *(const bool *)row->value)
             : row->kind == UNSIGNED   ? titan_values_put_unsigned(object, row->name, *(const uint64_t *)row->value)
                                       : titan_values_put_float(object, row->name, *(const double *)row->value);
  }
  return result;
}

static herr_t get_numbers(hid_t object, int count, const number_row *rows, const char **lacking) {
  herr_t result = 0;
  for (int i = 0; i < count && result >= 0; i++) {
    const number_row *row = &rows[i];
    if (row->kind >= LATER_INT && H5Aexists(object, row->name) == 0)
      continue;
    result = is_int(row)               ? titan_values_get_int(object, row->name, row->value)
             : row->kind == LATER_BOOL ? get_bool(object, row)
             : row->kind == UNSIGNED   ? titan_values_get_unsigned(object, row->name, row->value)
                                       : titan_values_get_float(object, row->name, row->value);
    if (result < 0)
      *lacking = row->name;
  }
  return result;
}

#define ROWS(array) (int)(sizeof(array) / sizeof *(array)), (array)

#define ROOT_ROWS(contents)                                                                                            \
  {                                                                                                                    \
    {"step", INT, &(contents)->step}, {"tokenizer_fingerprint", UNSIGNED, &(contents)->tokenizer}, {                   \
      "threads", LATER_INT, &(contents)->threads                                                                       \
    }                                                                                                                  \
  }

#define MODEL_ROWS(model)                                                                                              \
  {                                                                                                                    \
    {"dim", INT, &(model)->dim}, {"layers", INT, &(model)->layers}, {"heads", INT, &(model)->heads},                   \
        {"kv_heads", INT, &(model)->kv_heads}, {"multiple_of", INT, &(model)->multiple_of},                            \
        {"ffn_dim_multiplier", FLOAT, &(model)->ffn_dim_multiplier}, {"norm_epsilon", FLOAT, &(model)->norm_epsilon},  \
        {"rope_theta", FLOAT, &(model)->rope_theta}, {"vocabulary", INT, &(model)->vocabulary},                        \
        {"rope_scaling_factor", LATER_FLOAT, &(model)->rope_scaling.factor},                                           \
        {"rope_scaling_low_freq_factor", LATER_FLOAT, &(model)->rope_scaling.low},                                     \
        {"rope_scaling_high_freq_factor", LATER_FLOAT, &(model)->rope_scaling.high},                                   \
        {"rope_scaling_original_length", LATER_INT, &(model)->rope_scaling.original_length},                           \
        {"tie_embeddings", LATER_BOOL, &(model)->tied},                                                                \
  }

#define STATE_ROWS(contents)                                                                                           \
  {                                                                                                                    \
    {"tokens", INT, &(contents)->tokens}, {"window_steps", INT, &(contents)->window_steps},                            \
        {"window_loss_sum", FLOAT, &(contents)->window_sum}, {"window_loss_max", FLOAT, &(contents)->window_max},      \
        {"load_step", LATER_INT, &(contents)->load_step}, {"excluded", LATER_INT, &(contents)->excluded},              \
  }
#define SCHEDULE_ROWS(contents)                                                                                        \
  {                                                                                                                    \
    {"schedule_first", INT, &(contents)->schedule_first}, {"optimizer_first", INT, &(contents)->optimizer_first},      \
        {"learning_rate", FLOAT, &(contents)->learning_rate}, {"peak", LATER_FLOAT, &(contents)->peak},                \
        {"warmup_steps", LATER_INT, &(contents)->warmup_steps}, {"total_steps", LATER_INT, &(contents)->total_steps},  \
  }
#define DATA_ROWS(contents)                                                                                            \
  {                                                                                                                    \
    {"seq_len", INT, &(contents)->seq_len}, {                                                                          \
      "corpus_fingerprint", UNSIGNED, &(contents)->corpus                                                              \
    }                                                                                                                  \
  }

// --- writing ---

// The group is there with the moments.
static bool has_optimizer(hid_t file) {
  return H5Lexists(file, "/optimizer", H5P_DEFAULT) > 0;
}

static herr_t write_optimizer(hid_t file, const titan_checkpoint_contents *contents) {
  hid_t group = H5Gopen2(file, "/optimizer", H5P_DEFAULT);
  herr_t result = group < 0 ? -1 : put_text(group, "name", contents->optimizer);
  if (group >= 0)
    H5Gclose(group);
  return result;
}

static herr_t write_model(hid_t file, titan_checkpoint_contents *contents) {
  hid_t group = H5Gopen2(file, "/model", H5P_DEFAULT);
  if (group < 0)
    return -1;
  const number_row rows[] = MODEL_ROWS(&contents->model);
  int64_t hidden = contents->model.dim > 0 ? titan_model_ffn_hidden(&contents->model) : 0;
  herr_t result = put_numbers(group, ROWS(rows));
  if (result >= 0)
    result = titan_values_put_int(group, "ffn_hidden", hidden);
  if (result >= 0)
    result = titan_values_put_text(group, "norm_type", norm_names[contents->model.norm_type]);
  H5Gclose(group);
  return result;
}

static herr_t write_group(hid_t file, const char *path, int count, const number_row *rows) {
  hid_t group = titan_values_create_group(file, path);
  herr_t result = group < 0 ? -1 : put_numbers(group, count, rows);
  return group >= 0 && H5Gclose(group) < 0 ? -1 : result;
}

static herr_t write_state(hid_t file, titan_checkpoint_contents *c) {
  const number_row state[] = STATE_ROWS(c), schedule[] = SCHEDULE_ROWS(c);
  herr_t result = write_group(file, "/train_state", ROWS(state));
  if (result >= 0)
    result = write_group(file, "/lr_scheduler", ROWS(schedule));
  if (result >= 0)
    result = titan_values_put_array(file, "/train_state/log_steps", H5T_STD_I64LE, c->log_count, 0, c->log_steps);
  if (result >= 0)
    result =
        titan_values_put_array(file, "/train_state/global_avg_losses", H5T_IEEE_F64LE, c->log_count, 0, c->log_mean);
  if (result >= 0)
    result =
        titan_values_put_array(file, "/train_state/global_max_losses", H5T_IEEE_F64LE, c->log_count, 0, c->log_max);
  return result;
}

static herr_t write_data(hid_t file, titan_checkpoint_contents *c) {
  const number_row data[] = DATA_ROWS(c);
  herr_t result = write_group(file, "/dataloader", ROWS(data));
  if (result >= 0)
    result = titan_values_put_array(file, "/dataloader/cursors", H5T_STD_I64LE, c->lane_count, 4, c->cursors);
  return result;
}

herr_t titan_checkpoint_contents_write(hid_t file, const titan_checkpoint_contents *contents) {
  titan_checkpoint_contents copy = *contents; // the tables of numbers point to what they may read into
  hid_t root = H5Gopen2(file, "/", H5P_DEFAULT);
  if (root < 0)
    return -1;
  const struct {
    const char *name, *text;
  } texts[] = {{"program", copy.program},
               {"mesh", copy.mesh},
               {"configuration", copy.configuration},
               {"written", copy.written},
               {"model_name", copy.model_name},
               {"model_flavor", copy.model_flavor},
               {"instruction_set", copy.instruction_set}};
  const number_row numbers[] = ROOT_ROWS(&copy);
  herr_t result = titan_values_put_int(root, "format_version", TITAN_CHECKPOINT_VERSION);
  for (size_t i = 0; i < sizeof texts / sizeof *texts && result >= 0; i++)
    result = put_text(root, texts[i].name, texts[i].text);
  if (result >= 0)
    result = put_numbers(root, ROWS(numbers));
  H5Gclose(root);
  if (result >= 0)
    result = write_model(file, &copy);
  if (result >= 0 && has_optimizer(file))
    result = write_optimizer(file, &copy);
  if (result >= 0 && copy.has_state)
    result = write_state(file, &copy);
  if (result >= 0 && copy.has_data)
    result = write_data(file, &copy);
  return result;
}

uint64_t titan_checkpoint_contents_bytes(const titan_checkpoint_contents *contents) {
  return (uint64_t)(contents->log_count * 24 + contents->lane_count * 32) + 8 * LONGEST_TEXT;
}

// --- reading ---

static herr_t read_texts(hid_t root, titan_checkpoint_file *file) {
  titan_checkpoint_contents *c = &file->contents;
  const struct {
    const char *name, **text;
  } texts[] = {{"program", &c->program},
               {"mesh", &c->mesh},
               {"configuration", &c->configuration},
               {"written", &c->written},
               {"model_name", &c->model_name},
               {"model_flavor", &c->model_flavor},
               {"instruction_set", &c->instruction_set}};
  herr_t result = 0;
  for (size_t i = 0; i < sizeof texts / sizeof *texts && result >= 0; i++) {
    if (H5Aexists(root, texts[i].name) > 0)
      result = titan_values_get_text(root, texts[i].name, &file->texts[i]);
    *texts[i].text = file->texts[i];
  }
  return result;
}

static herr_t read_optimizer(hid_t hdf5, titan_checkpoint_file *file, const char **lacking) {
  char **text = &file->texts[7];
  *lacking = "/optimizer/name";
  hid_t group = H5Gopen2(hdf5, "/optimizer", H5P_DEFAULT);
  herr_t result = group < 0 ? -1 : 0;
  if (result >= 0 && H5Aexists(group, "name") > 0)
    result = titan_values_get_text(group, "name", text);
  if (group >= 0)
    H5Gclose(group);
  file->contents.optimizer = *text;
  return result;
}

static herr_t read_model(hid_t hdf5, titan_checkpoint_contents *c, const char **lacking) {
  const number_row rows[] = MODEL_ROWS(&c->model);
  char *norm = NULL;
  hid_t group = H5Gopen2(hdf5, "/model", H5P_DEFAULT);
  if (group < 0)
    return -1;
  herr_t result = get_numbers(group, ROWS(rows), lacking);
  if (result >= 0) {
    int type = titan_values_get_text(group, "norm_type", &norm) >= 0 ? titan_checkpoint_norm_find(norm) : -1;
    *lacking = type < 0 ? "norm_type" : *lacking;
    result = type < 0 ? -1 : 0;
    c->model.norm_type = (titan_norm_type)(type < 0 ? 0 : type);
  }
  titan_memory_free(norm);
  H5Gclose(group);
  return result;
}

static herr_t read_group(hid_t hdf5, const char *path, int count, const number_row *rows, const char **lacking) {
  *lacking = path;
  hid_t group = H5Gopen2(hdf5, path, H5P_DEFAULT);
  herr_t result = group < 0 ? -1 : get_numbers(group, count, rows, lacking);
  if (group >= 0)
    H5Gclose(group);
  return result;
}

static herr_t read_array(hid_t hdf5, const char *path, hid_t type, int64_t columns, int64_t rows, void **values,
                         const char **lacking) {
  int64_t found;
  *lacking = path;
  herr_t result = titan_values_get_array(hdf5, path, type, columns, &found, values);
  return result >= 0 && (rows < 0 || found == rows) ? (herr_t)0 : -1;
}

static herr_t read_state(hid_t hdf5, titan_checkpoint_file *file, const char **lacking) {
  titan_checkpoint_contents *c = &file->contents;
  const number_row state[] = STATE_ROWS(c), schedule[] = SCHEDULE_ROWS(c);
  if (read_group(hdf5, "/train_state", ROWS(state), lacking) < 0 ||
      read_group(hdf5, "/lr_scheduler", ROWS(schedule), lacking) < 0)
    return -1;
  *lacking = "/train_state/log_steps";
  if (titan_values_get_array(hdf5, *lacking, H5T_NATIVE_INT64, 0, &c->log_count, &file->arrays[0]) < 0 ||
      read_array(hdf5, "/train_state/global_avg_losses", H5T_NATIVE_DOUBLE, 0, c->log_count, &file->arrays[1],
                 lacking) < 0 ||
      read_array(hdf5, "/train_state/global_max_losses", H5T_NATIVE_DOUBLE, 0, c->log_count, &file->arrays[2],
                 lacking) < 0)
    return -1;
  c->log_steps = file->arrays[0];
  c->log_mean = file->arrays[1];
  c->log_max = file->arrays[2];
  return 0;
}

static herr_t read_data(hid_t hdf5, titan_checkpoint_file *file, const char **lacking) {
  titan_checkpoint_contents *c = &file->contents;
  const number_row data[] = DATA_ROWS(c);
  if (read_group(hdf5, "/dataloader", ROWS(data), lacking) < 0)
    return -1;
  *lacking = "/dataloader/cursors";
  if (titan_values_get_array(hdf5, *lacking, H5T_NATIVE_INT64, 4, &c->lane_count, &file->arrays[3]) < 0)
    return -1;
  c->cursors = file->arrays[3];
  int64_t rows = 0;
  if (c->lane_count > 0 && (titan_values_find_table(hdf5, *lacking, 4, NULL, NULL, &rows, &file->cursors_offset) < 0 ||
                            file->cursors_offset > file->block.file_bytes ||
                            (uint64_t)rows > (file->block.file_bytes - file->cursors_offset) / (4 * sizeof(int64_t))))
    return -1;
  return 0;
}

herr_t titan_checkpoint_contents_read(hid_t hdf5, titan_checkpoint_file *file, const char **lacking) {
  titan_checkpoint_contents *c = &file->contents;
  const number_row numbers[] = ROOT_ROWS(c);
  c->load_step = -1;
  *lacking = "the attributes of /";
  hid_t root = H5Gopen2(hdf5, "/", H5P_DEFAULT);
  herr_t result = root < 0 ? -1 : read_texts(root, file);
  if (result >= 0)
    result = get_numbers(root, ROWS(numbers), lacking);
  if (root >= 0)
    H5Gclose(root);
  if (result < 0 || read_model(hdf5, c, lacking) < 0)
    return -1;
  if (has_optimizer(hdf5) && read_optimizer(hdf5, file, lacking) < 0)
    return -1;
  c->has_state = H5Lexists(hdf5, "/train_state", H5P_DEFAULT) > 0;
  c->has_data = H5Lexists(hdf5, "/dataloader", H5P_DEFAULT) > 0;
  if (c->has_state && read_state(hdf5, file, lacking) < 0)
    return -1;
  return c->has_data ? read_data(hdf5, file, lacking) : 0;
}
