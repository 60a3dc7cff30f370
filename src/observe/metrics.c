// SPDX-License-Identifier: Apache-2.0
#include "observe/metrics.h"

#include "base/log.h"
#include "base/memory.h"
#include "observe/metrics_file.h"
#include "storage/aside.h"
#include "storage/folder.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// Room that a file begins with at most; it is made anew with twice as much where that is not enough.
enum { MOST_ROWS_AT_FIRST = 1 << 17 };

struct titan_metrics {
  titan_metrics_options options;
  char *path;
  titan_metrics_attribute *attributes;
  titan_metrics_file file;
  bool made;                              // the file is there
  uint64_t written[TITAN_METRICS_SERIES]; // rows in it
  titan_metrics_rows pending[TITAN_METRICS_SERIES];
  bool has_before, has_validation_before;
  titan_metrics_row before;
  titan_metrics_validation_row validation_before;
  double mfu_before;
};

static uint64_t room_for(uint64_t expected) {
  return expected < MOST_ROWS_AT_FIRST ? expected : MOST_ROWS_AT_FIRST;
}

// Rows that a new file has room for.
static void room_at_first(const titan_metrics_options *options, uint64_t room[TITAN_METRICS_SERIES]) {
  room[TITAN_METRICS_TRAINING] = room_for(options->expected_rows);
  room[TITAN_METRICS_VALIDATION] = room_for(options->expected_validations);
  room[TITAN_METRICS_RANK] = room_for(options->expected_rank_rows);
}

static void note_rows_before(titan_metrics *metrics, const titan_metrics_rows *old) {
  const titan_metrics_row *rows = (const titan_metrics_row *)old[TITAN_METRICS_TRAINING].values;
  uint64_t count = old[TITAN_METRICS_TRAINING].count, validations = old[TITAN_METRICS_VALIDATION].count;
  double seconds = 0, weighted = 0;
  for (uint64_t i = 0; i < count; i++) {
    double part = rows[i].elapsed - (i > 0 ? rows[i - 1].elapsed : 0);
    seconds += part;
    weighted += part * rows[i].mfu;
  }
  metrics->has_before = count > 0;
  if (count > 0)
    metrics->before = rows[count - 1];
  metrics->mfu_before = seconds > 0 ? weighted / seconds : 0;
  metrics->has_validation_before = validations > 0;
  if (validations > 0)
    metrics->validation_before =
        ((const titan_metrics_validation_row *)old[TITAN_METRICS_VALIDATION].values)[validations - 1];
}

static void set_aside(const char *path, const char *why) {
  titan_text kept = {0};
  titan_status status = titan_set_aside(path, &kept);
  if (status != TITAN_OK)
    titan_log_warning("%s%s%s", why != NULL ? why : "", why != NULL ? "; " : "", titan_error_message());
  else if (why != NULL)
    titan_log_warning("%s; it is kept as %s, and a new file starts", why, kept.data);
  else
    titan_log_info("The metrics of the previous run are kept as %s", kept.data);
  titan_text_destroy(&kept);
}

// Drops the rows of `first` and later steps.
static void keep_before(titan_metrics_series series, int64_t first, titan_metrics_rows *rows) {
  size_t columns = (size_t)titan_metrics_series_table[series].column_count;
  uint64_t kept = 0;
  for (uint64_t i = 0; i < rows->count; i++)
    if (rows->values[i * columns] < (double)first)
      memmove(&rows->values[kept++ * columns], &rows->values[i * columns], columns * sizeof(double));
  rows->count = kept;
}

// Whatever is at the path, be it a folder or a pipe, is read or moved away.
static titan_status open_old(titan_metrics *metrics, titan_metrics_rows *rows) {
  struct stat unused;
  if (lstat(metrics->path, &unused) != 0)
    return TITAN_OK;
  if (metrics->options.first_step <= 0) {
    set_aside(metrics->path, NULL);
    return TITAN_OK;
  }
  titan_status status = titan_metrics_record_read(metrics->path, rows);
  if (status == TITAN_ERROR_MEMORY)
    return status;
  if (status != TITAN_OK) {
    titan_kept_error why;
    titan_error_keep(&why);
    set_aside(metrics->path, why.message);
    return TITAN_OK;
  }
  keep_before(TITAN_METRICS_TRAINING, metrics->options.first_step, &rows[TITAN_METRICS_TRAINING]);
  keep_before(TITAN_METRICS_RANK, metrics->options.first_step, &rows[TITAN_METRICS_RANK]);
  keep_before(TITAN_METRICS_VALIDATION, metrics->options.first_validation, &rows[TITAN_METRICS_VALIDATION]);
  note_rows_before(metrics, rows);
  return TITAN_OK;
}

static titan_status make_file(titan_metrics *metrics, const titan_metrics_rows rows[TITAN_METRICS_SERIES],
                              const uint64_t room[TITAN_METRICS_SERIES]) {
  TITAN_TRY(titan_folder_create_for(metrics->path));
  TITAN_TRY(titan_metrics_file_create(&metrics->options, rows, room, &metrics->file));
  metrics->made = true;
  for (int series = 0; series < TITAN_METRICS_SERIES; series++)
    metrics->written[series] = rows[series].count;
  return TITAN_OK;
}

// Puts rows of an earlier start behind those that wait to be written: the file could not be made, for the reason that
// the error tells.
static titan_status wait_with(titan_metrics *metrics, const titan_metrics_rows *rows) {
  titan_kept_error failure;
  titan_status status = TITAN_OK;
  titan_error_keep(&failure);
  for (int series = 0; series < TITAN_METRICS_SERIES && status == TITAN_OK; series++)
    status = titan_metrics_rows_append((titan_metrics_series)series, rows[series].values, rows[series].count,
                                       &metrics->pending[series]);
  TITAN_TRY(status);
  titan_error_restore(&failure);
  return TITAN_ERROR_OUTPUT;
}

static titan_status create(const titan_metrics_options *options, titan_metrics *metrics) {
  titan_metrics_rows rows[TITAN_METRICS_SERIES] = {0};
  uint64_t room[TITAN_METRICS_SERIES];
  metrics->options = *options;
  TITAN_TRY(titan_memory_duplicate(TITAN_MEMORY_OBSERVE, options->path, &metrics->path));
  metrics->options.path = metrics->path;
  size_t bytes = (size_t)options->attribute_count * sizeof *options->attributes;
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_OBSERVE, bytes, &metrics->attributes));
  if (bytes > 0)
    memcpy(metrics->attributes, options->attributes, bytes);
  metrics->options.attributes = metrics->attributes;
  room_at_first(options, room);
  titan_status status = open_old(metrics, rows);
  if (status == TITAN_OK)
    status = make_file(metrics, rows, room);
  if (status == TITAN_ERROR_OUTPUT)
    status = wait_with(metrics, rows);
  titan_metrics_rows_destroy(rows);
  return status;
}

titan_status titan_metrics_create(const titan_metrics_options *options, titan_metrics **out) {
  *out = NULL;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_OBSERVE, 1, sizeof **out, out));
  titan_status status = create(options, *out);
  if (status == TITAN_ERROR_MEMORY)
    titan_metrics_destroy(out);
  return status;
}

const titan_metrics_row *titan_metrics_last_before(const titan_metrics *metrics) {
  return metrics->has_before ? &metrics->before : NULL;
}

const titan_metrics_validation_row *titan_metrics_last_validation_before(const titan_metrics *metrics) {
  return metrics->has_validation_before ? &metrics->validation_before : NULL;
}

double titan_metrics_mfu_before(const titan_metrics *metrics) {
  return metrics->mfu_before;
}

// The file has no room for what waits: one that has takes its place.
static titan_status grow(titan_metrics *metrics) {
  titan_metrics_rows rows[TITAN_METRICS_SERIES];
  uint64_t room[TITAN_METRICS_SERIES];
  TITAN_TRY(titan_metrics_record_read(metrics->path, rows));
  for (int series = 0; series < TITAN_METRICS_SERIES; series++) {
    if (rows[series].count > metrics->written[series])
      rows[series].count = metrics->written[series];
    room[series] = rows[series].count + metrics->pending[series].count;
  }
  titan_status status = make_file(metrics, rows, room);
  titan_metrics_rows_destroy(rows);
  return status;
}

static bool has_room(const titan_metrics *metrics) {
  bool has = true;
  for (int series = 0; series < TITAN_METRICS_SERIES; series++)
    has &= metrics->written[series] + metrics->pending[series].count <= metrics->file.series[series].record.capacity;
  return has;
}

// Opens the file with room for what waits. *descriptor < 0: a new file has been made, which holds it.
static titan_status open_for_pending(titan_metrics *metrics, int *descriptor) {
  bool gone = true;
  *descriptor = -1;
  titan_status status = TITAN_OK;
  if (metrics->made)
    status = titan_metrics_file_open(&metrics->file, metrics->path, descriptor, &gone);
  if (gone) {
    uint64_t room[TITAN_METRICS_SERIES];
    room_at_first(&metrics->options, room);
    bool lost = metrics->made; // what had been written
    TITAN_TRY(make_file(metrics, metrics->pending, room));
    if (lost)
      titan_log_warning("the metrics file %s was moved or removed; a new one starts with the latest row",
                        metrics->path);
    return TITAN_OK;
  }
  if (status != TITAN_OK || has_room(metrics))
    return status;
  close(*descriptor);
  *descriptor = -1;
  TITAN_TRY(grow(metrics));
  return titan_metrics_file_open(&metrics->file, metrics->path, descriptor, &gone);
}

static titan_status write_pending(titan_metrics *metrics) {
  int descriptor, reason = 0;
  TITAN_TRY(open_for_pending(metrics, &descriptor));
  for (int series = 0; series < TITAN_METRICS_SERIES && descriptor >= 0 && reason == 0; series++)
    reason = titan_metrics_file_write(&metrics->file, descriptor, (titan_metrics_series)series,
                                      metrics->written[series], &metrics->pending[series]);
  if (descriptor >= 0 && close(descriptor) != 0 && reason == 0) // network file systems tell of a full disk here
    reason = errno;
  if (reason != 0) // what was written of it is written again with the next row
    return titan_error(TITAN_ERROR_OUTPUT, "cannot write to the metrics file %s: %s", metrics->path, strerror(reason));
  for (int series = 0; series < TITAN_METRICS_SERIES; series++) {
    metrics->written[series] += descriptor >= 0 ? metrics->pending[series].count : 0;
    metrics->pending[series].count = 0;
  }
  return TITAN_OK;
}

titan_status titan_metrics_append(titan_metrics *metrics, const titan_metrics_row *row) {
  TITAN_TRY(titan_metrics_rows_append(TITAN_METRICS_TRAINING, (const double *)row, 1,
                                      &metrics->pending[TITAN_METRICS_TRAINING]));
  return write_pending(metrics);
}

titan_status titan_metrics_append_validation(titan_metrics *metrics, const titan_metrics_validation_row *row) {
  TITAN_TRY(titan_metrics_rows_append(TITAN_METRICS_VALIDATION, (const double *)row, 1,
                                      &metrics->pending[TITAN_METRICS_VALIDATION]));
  return write_pending(metrics);
}

titan_status titan_metrics_append_ranks(titan_metrics *metrics, const titan_metrics_rank_row *rows, uint64_t count) {
  TITAN_TRY(titan_metrics_rows_append(TITAN_METRICS_RANK, (const double *)rows, count,
                                      &metrics->pending[TITAN_METRICS_RANK]));
  return write_pending(metrics);
}

uint64_t titan_metrics_pending(const titan_metrics *metrics) {
  uint64_t count = 0;
  for (int series = 0; series < TITAN_METRICS_SERIES; series++)
    count += metrics->pending[series].count;
  return count;
}

void titan_metrics_destroy(titan_metrics **metrics) {
  if (*metrics == NULL)
    return;
  titan_memory_free((*metrics)->path);
  titan_memory_free((*metrics)->attributes);
  titan_metrics_rows_destroy((*metrics)->pending);
  titan_memory_free(*metrics);
  *metrics = NULL;
}

// --- reading ---

// The rows of one series, which the caller frees; the others are freed.
static titan_status read_one(const char *path, titan_metrics_series series, double **values, uint64_t *count) {
  titan_metrics_rows rows[TITAN_METRICS_SERIES];
  *values = NULL;
  *count = 0;
  TITAN_TRY(titan_metrics_record_read(path, rows));
  titan_status status = TITAN_OK;
  if (rows[series].values == NULL)
    status = titan_memory_allocate(TITAN_MEMORY_OBSERVE, 0, &rows[series].values);
  if (status == TITAN_OK) {
    *values = rows[series].values;
    *count = rows[series].count;
    rows[series] = (titan_metrics_rows){0};
  }
  titan_metrics_rows_destroy(rows);
  return status;
}

titan_status titan_metrics_read(const char *path, titan_metrics_row **rows, uint64_t *count) {
  double *values;
  titan_status status = read_one(path, TITAN_METRICS_TRAINING, &values, count);
  *rows = (titan_metrics_row *)values;
  return status;
}

titan_status titan_metrics_read_validations(const char *path, titan_metrics_validation_row **rows, uint64_t *count) {
  double *values;
  titan_status status = read_one(path, TITAN_METRICS_VALIDATION, &values, count);
  *rows = (titan_metrics_validation_row *)values;
  return status;
}

titan_status titan_metrics_read_ranks(const char *path, titan_metrics_rank_row **rows, uint64_t *count) {
  double *values;
  titan_status status = read_one(path, TITAN_METRICS_RANK, &values, count);
  *rows = (titan_metrics_rank_row *)values;
  return status;
}
