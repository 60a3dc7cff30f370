// SPDX-License-Identifier: Apache-2.0
#include "observe/event_file.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "observe/event.pb-c.h"
#include "observe/tfrecord.h"
#include "storage/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DT_STRING = 7, HOST_BYTES = 64 };

struct titan_event_file {
  char *folder;
  titan_text path;
  int descriptor; // below 0: there is none
  off_t length;   // of whole records
  int number;     // of the files made so far
};

static titan_status output_error(const titan_event_file *file, int reason) {
  return titan_error(TITAN_ERROR_OUTPUT, "cannot write to the event file %s: %s", file->path.data, strerror(reason));
}

// --- records ---

static titan_status write_record(titan_event_file *file, const unsigned char *record, size_t bytes) {
  ssize_t written = pwrite(file->descriptor, record, bytes, file->length);
  if (written == (ssize_t)bytes) {
    file->length += written;
    return TITAN_OK;
  }
  int reason = written < 0 ? errno : ENOSPC;
  if (ftruncate(file->descriptor, file->length) != 0) // nothing of it stays that a reader would stumble over
    reason = errno;
  return output_error(file, reason);
}

static titan_status append(titan_event_file *file, TitanEvent__Event *event) {
  size_t length = titan_event__event__get_packed_size((const TitanEvent__Event *)event);
  unsigned char *record;
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_OBSERVE, TITAN_TFRECORD_HEAD_BYTES + length + TITAN_TFRECORD_TAIL_BYTES,
                                  &record));
  titan_event__event__pack(event, record + TITAN_TFRECORD_HEAD_BYTES);
  titan_tfrecord_frame(record, length);
  titan_status status = write_record(file, record, TITAN_TFRECORD_HEAD_BYTES + length + TITAN_TFRECORD_TAIL_BYTES);
  titan_memory_free(record);
  return status;
}

// --- the file ---

static titan_status open_file(titan_event_file *file) {
  char host[HOST_BYTES] = "unknown";
  gethostname(host, sizeof host - 1);
  file->path.length = 0;
  TITAN_TRY(titan_text_printf(&file->path, "%s/events.out.tfevents.%010lld.%s.%ld.%d", file->folder,
                              (long long)titan_clock_since_1970(), host, (long)getpid(), file->number));
  TITAN_TRY(titan_folder_create(file->folder));
  file->descriptor = open(file->path.data, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (file->descriptor < 0)
    return output_error(file, errno);
  file->number++;
  file->length = 0;
  TitanEvent__Event event = TITAN_EVENT__EVENT__INIT;
  event.wall_time = titan_clock_since_1970();
  event.what_case = TITAN_EVENT__EVENT__WHAT_FILE_VERSION;
  event.file_version = (char[]){"brain.Event:2"};
  return append(file, &event);
}

static void close_file(titan_event_file *file) {
  if (file->descriptor >= 0)
    close(file->descriptor);
  file->descriptor = -1;
}

// Opens a new file where there is none, or it has been removed.
static titan_status reopen(titan_event_file *file) {
  struct stat mine, there;
  bool is_there = file->descriptor >= 0 && file->length > 0 && fstat(file->descriptor, &mine) == 0 &&
                  stat(file->path.data, &there) == 0 && mine.st_ino == there.st_ino && mine.st_dev == there.st_dev;
  if (is_there)
    return TITAN_OK;
  if (file->descriptor >= 0 && file->length == 0) // its first record could not be written
    unlink(file->path.data);
  close_file(file);
  return open_file(file);
}

titan_status titan_event_file_create(const char *folder, titan_event_file **out) {
  titan_event_file *file;
  *out = NULL;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_OBSERVE, 1, sizeof *file, &file));
  file->descriptor = -1;
  titan_status status = titan_memory_duplicate(TITAN_MEMORY_OBSERVE, folder, &file->folder);
  if (status == TITAN_OK)
    status = open_file(file);
  *out = file;
  if (status != TITAN_OK && status != TITAN_ERROR_OUTPUT)
    titan_event_file_destroy(out);
  return status;
}

void titan_event_file_destroy(titan_event_file **handle) {
  titan_event_file *file = *handle;
  if (file == NULL)
    return;
  close_file(file);
  titan_text_destroy(&file->path);
  titan_memory_free(file->folder);
  titan_memory_free(file);
  *handle = NULL;
}

// --- events ---

static titan_status append_values(titan_event_file *file, int64_t step, TitanEvent__Summary__Value **values,
                                  size_t count) {
  TitanEvent__Summary summary = TITAN_EVENT__SUMMARY__INIT;
  TitanEvent__Event event = TITAN_EVENT__EVENT__INIT;
  TITAN_TRY(reopen(file));
  summary.n_value = count;
  summary.value = values;
  event.wall_time = titan_clock_since_1970();
  event.step = step;
  event.what_case = TITAN_EVENT__EVENT__WHAT_SUMMARY;
  event.summary = &summary;
  return append(file, &event);
}

titan_status titan_event_file_scalars(titan_event_file *file, int64_t step, const titan_event_scalar *scalars,
                                      int count) {
  TitanEvent__Summary__Value *values = NULL, **pointers = NULL;
  size_t size = (size_t)count;
  titan_status status = titan_memory_allocate(TITAN_MEMORY_OBSERVE, size * sizeof *values, &values);
  if (status == TITAN_OK)
    status = titan_memory_allocate(TITAN_MEMORY_OBSERVE, size * sizeof *pointers, &pointers);
  for (size_t i = 0; i < size && status == TITAN_OK; i++) {
    values[i] = (TitanEvent__Summary__Value)TITAN_EVENT__SUMMARY__VALUE__INIT;
    values[i].tag = (char *)scalars[i].tag;
    values[i].value_case = TITAN_EVENT__SUMMARY__VALUE__VALUE_SIMPLE_VALUE;
    values[i].simple_value = (float)scalars[i].value;
    pointers[i] = &values[i];
  }
  if (status == TITAN_OK)
    status = append_values(file, step, pointers, size);
  titan_memory_free(pointers);
  titan_memory_free(values);
  return status;
}

// A tensor of one string, for the plugin "text".
titan_status titan_event_file_text(titan_event_file *file, int64_t step, const char *tag, const char *text) {
  TitanEvent__SummaryMetadata__PluginData plugin = TITAN_EVENT__SUMMARY_METADATA__PLUGIN_DATA__INIT;
  TitanEvent__SummaryMetadata metadata = TITAN_EVENT__SUMMARY_METADATA__INIT;
  TitanEvent__TensorShape__Dim dim = TITAN_EVENT__TENSOR_SHAPE__DIM__INIT, *dims = &dim;
  TitanEvent__TensorShape shape = TITAN_EVENT__TENSOR_SHAPE__INIT;
  TitanEvent__Tensor tensor = TITAN_EVENT__TENSOR__INIT;
  TitanEvent__Summary__Value value = TITAN_EVENT__SUMMARY__VALUE__INIT, *values = &value;
  ProtobufCBinaryData bytes = {.len = strlen(text), .data = (uint8_t *)text};
  plugin.plugin_name = (char[]){"text"};
  metadata.plugin_data = &plugin;
  dim.size = 1;
  shape.n_dim = 1;
  shape.dim = &dims;
  tensor.dtype = DT_STRING;
  tensor.tensor_shape = &shape;
  tensor.n_string_val = 1;
  tensor.string_val = &bytes;
  value.tag = (char *)tag;
  value.metadata = &metadata;
  value.value_case = TITAN_EVENT__SUMMARY__VALUE__VALUE_TENSOR;
  value.tensor = &tensor;
  return append_values(file, step, &values, 1);
}
