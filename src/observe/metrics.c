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
enum { MOST_ROWS_AT_FIRST = 1 << 17, PENDING_AT_FIRST = 64 };

struct titan_metrics {
  titan_metrics_options options;
  char *path;
  titan_metrics_attribute *attributes;
  titan_metrics_file file;
  bool made;     // the file is there
  uint64_t rows; // in it
  titan_metrics_row *pending;
  uint64_t pending_count, pending_room;
  bool has_before;
  titan_metrics_row before;
  double mfu_before;
};

static uint64_t room_for(uint64_t expected) {
  return expected < MOST_ROWS_AT_FIRST ? expected : MOST_ROWS_AT_FIRST;
}

static void note_rows_before(titan_metrics *metrics, const titan_metrics_row *rows, uint64_t count) {
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
}

static void set_aside(const char *path, const char *why) {
  titan_text kept = {0};
  titan_status status = titan_set_aside(path, &kept);
  if (status != TITAN_OK)
    titan_log_warning("%s%s%s", why != NULL ? why : "", why != NULL ? "; " : "", titan_error_message());
  else if (why != NULL)
    titan_log_warning("%s; it is kept as %s, and a new file begins", why, kept.data);
  else
    titan_log_info("The metrics of the run before are kept as %s", kept.data);
  titan_text_destroy(&kept);
}

// Whatever is at the path, be it a folder or a pipe, is read or moved away.
static titan_status open_old(titan_metrics *metrics, titan_metrics_row **rows, uint64_t *kept) {
  struct stat unused;
  uint64_t count = 0;
  *rows = NULL;
  *kept = 0;
  if (lstat(metrics->path, &unused) != 0)
    return TITAN_OK;
  if (metrics->options.first_step <= 0) {
    set_aside(metrics->path, NULL);
    return TITAN_OK;
  }
  titan_status status = titan_metrics_read(metrics->path, rows, &count);
  if (status == TITAN_ERROR_MEMORY)
    return status;
  if (status != TITAN_OK) {
    titan_text why = {0};
    status = titan_text_printf(&why, "%s", titan_error_message());
    if (status == TITAN_OK)
      set_aside(metrics->path, why.data);
    titan_text_destroy(&why);
    return status;
  }
  for (uint64_t i = 0; i < count; i++)
    if ((*rows)[i].step < (double)metrics->options.first_step)
      (*rows)[(*kept)++] = (*rows)[i];
  note_rows_before(metrics, *rows, *kept);
  return TITAN_OK;
}

static titan_status make_file(titan_metrics *metrics, const titan_metrics_row *rows, uint64_t count, uint64_t room) {
  TITAN_TRY(titan_folder_create_for(metrics->path));
  TITAN_TRY(titan_metrics_file_create(&metrics->options, rows, count, room, &metrics->file));
  metrics->made = true;
  metrics->rows = count;
  return TITAN_OK;
}

// Puts rows behind those that wait to be written.
static titan_status wait_with(titan_metrics *metrics, const titan_metrics_row *rows, uint64_t count) {
  uint64_t wanted = metrics->pending_count + count;
  if (wanted > metrics->pending_room) {
    uint64_t room = wanted < PENDING_AT_FIRST ? PENDING_AT_FIRST : 2 * wanted;
    TITAN_TRY(titan_memory_resize(TITAN_MEMORY_OBSERVE, (size_t)room * sizeof *rows, &metrics->pending));
    metrics->pending_room = room;
  }
  memcpy(metrics->pending + metrics->pending_count, rows, (size_t)count * sizeof *rows);
  metrics->pending_count = wanted;
  return TITAN_OK;
}

static titan_status create(const titan_metrics_options *options, titan_metrics *metrics) {
  titan_metrics_row *rows;
  uint64_t kept;
  metrics->options = *options;
  TITAN_TRY(titan_memory_duplicate(TITAN_MEMORY_OBSERVE, options->path, &metrics->path));
  metrics->options.path = metrics->path;
  size_t bytes = (size_t)options->attribute_count * sizeof *options->attributes;
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_OBSERVE, bytes, &metrics->attributes));
  if (bytes > 0)
    memcpy(metrics->attributes, options->attributes, bytes);
  metrics->options.attributes = metrics->attributes;
  TITAN_TRY(open_old(metrics, &rows, &kept));
  titan_status status = make_file(metrics, rows, kept, room_for(options->expected_rows));
  if (status == TITAN_ERROR_OUTPUT && kept > 0) { // they wait for a file, as later ones do
    titan_text message = {0};
    if (titan_text_printf(&message, "%s", titan_error_message()) == TITAN_OK)
      status = wait_with(metrics, rows, kept);
    if (status == TITAN_OK)
      status = titan_error(TITAN_ERROR_OUTPUT, "%s", message.data);
    titan_text_destroy(&message);
  }
  titan_memory_free(rows);
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

double titan_metrics_mfu_before(const titan_metrics *metrics) {
  return metrics->mfu_before;
}

// The file has no room for what waits: one that has takes its place.
static titan_status grow(titan_metrics *metrics) {
  titan_metrics_row *rows;
  uint64_t count;
  TITAN_TRY(titan_metrics_read(metrics->path, &rows, &count));
  if (count > metrics->rows)
    count = metrics->rows;
  titan_status status = make_file(metrics, rows, count, count + metrics->pending_count);
  titan_memory_free(rows);
  return status;
}

static titan_status write_pending(titan_metrics *metrics) {
  int descriptor = -1;
  bool gone = !metrics->made;
  if (metrics->made) {
    titan_status status = titan_metrics_file_open(&metrics->file, metrics->path, &descriptor, &gone);
    if (status != TITAN_OK && !gone)
      return status;
  }
  if (gone) {
    TITAN_TRY(make_file(metrics, metrics->pending, metrics->pending_count, room_for(metrics->options.expected_rows)));
    metrics->pending_count = 0;
    return TITAN_OK;
  }
  if (metrics->rows + metrics->pending_count > metrics->file.capacity) {
    close(descriptor);
    TITAN_TRY(grow(metrics));
    return write_pending(metrics);
  }
  int reason =
      titan_metrics_file_write(&metrics->file, descriptor, metrics->rows, metrics->pending, metrics->pending_count);
  if (close(descriptor) != 0 && reason == 0) // network file systems tell of a full disk here
    reason = errno;
  if (reason != 0)
    return titan_error(TITAN_ERROR_OUTPUT, "cannot write to the metrics file %s: %s", metrics->path, strerror(reason));
  metrics->rows += metrics->pending_count;
  metrics->pending_count = 0;
  return TITAN_OK;
}

titan_status titan_metrics_append(titan_metrics *metrics, const titan_metrics_row *row) {
  TITAN_TRY(wait_with(metrics, row, 1));
  return write_pending(metrics);
}

uint64_t titan_metrics_pending(const titan_metrics *metrics) {
  return metrics->pending_count;
}

void titan_metrics_destroy(titan_metrics **metrics) {
  if (*metrics == NULL)
    return;
  titan_memory_free((*metrics)->path);
  titan_memory_free((*metrics)->attributes);
  titan_memory_free((*metrics)->pending);
  titan_memory_free(*metrics);
  *metrics = NULL;
}
