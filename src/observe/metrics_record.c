// SPDX-License-Identifier: Apache-2.0
#include "observe/metrics_record.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

// The end of the file: a text whose digit is the number of series and one, then start, capacity and columns of each
// series, and a checksum of all before it.
static const char magic[32] = "titan-hpc metrics record ";
enum {
  MAGIC_BYTES = sizeof magic,
  DIGIT = 25, // its place in the text
  NUMBERS = 3,
  MOST_END_BYTES = MAGIC_BYTES + 8 * (NUMBERS * TITAN_METRICS_SERIES + 1),
  MOST_RECORD_BYTES = 8 * (TITAN_METRICS_MOST_COLUMNS + 1),
  ROWS_AT_ONCE = 512
};

static void encode(uint64_t value, unsigned char *bytes) {
  for (int i = 0; i < 8; i++)
    bytes[i] = (unsigned char)(value >> 8 * i);
}

static uint64_t decode(const unsigned char *bytes) {
  uint64_t value = 0;
  for (int i = 7; i >= 0; i--)
    value = value << 8 | bytes[i];
  return value;
}

void titan_metrics_encode(const double *values, int count, unsigned char *bytes) {
  for (int i = 0; i < count; i++) {
    uint64_t bits;
    memcpy(&bits, &values[i], sizeof bits);
    encode(bits, bytes + 8 * i);
  }
}

static uint64_t bytes_of(uint64_t columns) {
  return 8 * (columns + 1);
}

uint64_t titan_metrics_record_bytes(titan_metrics_series series) {
  return bytes_of((uint64_t)titan_metrics_series_table[series].column_count);
}

static int write_at(int descriptor, const void *bytes, size_t count, uint64_t place) {
  ssize_t written = pwrite(descriptor, bytes, count, (off_t)place);
  return written == (ssize_t)count ? 0 : written < 0 ? errno : ENOSPC;
}

// The end of a file of so many series; returns its length.
static size_t fill_end(int series_count, const titan_metrics_record *records, unsigned char *end) {
  memcpy(end, magic, MAGIC_BYTES);
  end[DIGIT] = (unsigned char)('1' + series_count);
  end[DIGIT + 1] = '\n';
  unsigned char *place = end + MAGIC_BYTES;
  for (int series = 0; series < series_count; series++, place += 8 * NUMBERS) {
    encode(records[series].start, place);
    encode(records[series].capacity, place + 8);
    encode(records[series].columns, place + 16);
  }
  encode(XXH64(end, (size_t)(place - end), 0), place);
  return (size_t)(place - end) + 8;
}

int titan_metrics_record_begin(int descriptor, uint64_t start, titan_metrics_record records[TITAN_METRICS_SERIES]) {
  unsigned char end[MOST_END_BYTES];
  for (int series = 0; series < TITAN_METRICS_SERIES; series++) {
    records[series].start = start;
    records[series].columns = (uint64_t)titan_metrics_series_table[series].column_count;
    start += records[series].capacity * titan_metrics_record_bytes((titan_metrics_series)series);
  }
  size_t bytes = fill_end(TITAN_METRICS_SERIES, records, end);
  if (ftruncate(descriptor, (off_t)(start + bytes)) != 0)
    return errno;
  return write_at(descriptor, end, bytes, start);
}

// 0 stands for no row.
static uint64_t checksum_of(const unsigned char *values, int columns, uint64_t index) {
  uint64_t sum = XXH64(values, 8 * (size_t)columns, index);
  return sum != 0 ? sum : 1;
}

int titan_metrics_record_write(int descriptor, titan_metrics_series series, const titan_metrics_record *record,
                               uint64_t first, const double *rows, uint64_t count) {
  int columns = titan_metrics_series_table[series].column_count, reason = 0;
  size_t size = titan_metrics_record_bytes(series);
  for (uint64_t i = 0; i < count && reason == 0; i++, rows += columns) {
    unsigned char bytes[MOST_RECORD_BYTES];
    titan_metrics_encode(rows, columns, bytes);
    encode(checksum_of(bytes, columns, first + i), bytes + 8 * columns);
    reason = write_at(descriptor, bytes, size, record->start + (first + i) * size);
  }
  return reason;
}

// --- reading ---

static titan_status refuse(const char *path, const char *reason) {
  return titan_error(TITAN_ERROR_OUTPUT, "cannot read the metrics file %s: %s", path, reason);
}

// Whether the last bytes of a file are the end of one with so many series, and where their records are.
static bool read_end(const unsigned char *last, size_t available, int series_count, titan_metrics_record *records) {
  unsigned char end[MOST_END_BYTES];
  size_t bytes = MAGIC_BYTES + 8 * (NUMBERS * (size_t)series_count + 1);
  if (available < bytes)
    return false;
  last += available - bytes;
  for (int series = 0; series < series_count; series++) {
    const unsigned char *numbers = last + MAGIC_BYTES + 8 * NUMBERS * series;
    records[series] = (titan_metrics_record){
        .start = decode(numbers), .capacity = decode(numbers + 8), .columns = decode(numbers + 16)};
    if (records[series].columns == 0 ||
        records[series].columns > (uint64_t)titan_metrics_series_table[series].column_count)
      return false;
  }
  fill_end(series_count, records, end);
  return memcmp(last, end, bytes) == 0;
}

// Whether the records lie one after another, before the end, in a file of that many bytes.
static bool are_in_file(const titan_metrics_record *records, int series_count, uint64_t bytes) {
  uint64_t expected = records[0].start;
  for (int series = 0; series < series_count; series++) {
    uint64_t record = bytes_of(records[series].columns);
    if (records[series].start != expected || expected > bytes || records[series].capacity > bytes / record)
      return false;
    expected += records[series].capacity * record;
  }
  return expected + MAGIC_BYTES + 8 * (NUMBERS * (uint64_t)series_count + 1) == bytes;
}

static titan_status find(int descriptor, const char *path, titan_metrics_record *records, int *series_count) {
  unsigned char last[MOST_END_BYTES];
  struct stat information;
  if (fstat(descriptor, &information) != 0)
    return refuse(path, strerror(errno));
  if (!S_ISREG(information.st_mode))
    return refuse(path, "it is not a regular file");
  uint64_t bytes = (uint64_t)information.st_size;
  size_t available = bytes < MOST_END_BYTES ? (size_t)bytes : (size_t)MOST_END_BYTES;
  if (pread(descriptor, last, available, (off_t)(bytes - available)) != (ssize_t)available)
    return refuse(path, strerror(errno));
  *series_count = TITAN_METRICS_SERIES;
  while (*series_count > 0 && !read_end(last, available, *series_count, records))
    --*series_count;
  if (*series_count == 0 || !are_in_file(records, *series_count, bytes))
    return refuse(path, "its end is missing or damaged, or another program or version wrote it");
  return TITAN_OK;
}

// Takes the rows of `bytes`; *ended: an index without a row was met.
static titan_status take(const char *path, titan_metrics_series series, int columns, const unsigned char *bytes,
                         uint64_t records, titan_metrics_rows *rows, bool *ended) {
  const titan_metrics_series_row *table = &titan_metrics_series_table[series];
  double row[TITAN_METRICS_MOST_COLUMNS];
  for (int column = columns; column < table->column_count; column++)
    row[column] = NAN;
  for (uint64_t i = 0; i < records; i++, bytes += bytes_of((uint64_t)columns)) {
    uint64_t checksum = decode(bytes + 8 * columns);
    *ended = checksum == 0;
    if (*ended)
      return TITAN_OK;
    if (checksum != checksum_of(bytes, columns, rows->count))
      return titan_error(TITAN_ERROR_OUTPUT, "cannot read the metrics file %s: its %s %llu is damaged", path,
                         table->row, (unsigned long long)rows->count + 1);
    for (int column = 0; column < columns; column++) {
      uint64_t bits = decode(bytes + 8 * column);
      memcpy(&row[column], &bits, sizeof bits);
    }
    TITAN_TRY(titan_metrics_rows_append(series, row, 1, rows));
  }
  return TITAN_OK;
}

static titan_status read_series(int descriptor, const char *path, titan_metrics_series series,
                                const titan_metrics_record *record, titan_metrics_rows *rows) {
  uint64_t size = bytes_of(record->columns);
  unsigned char *bytes = NULL;
  bool ended = false;
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_OBSERVE, ROWS_AT_ONCE * (size_t)size, &bytes));
  titan_status status = TITAN_OK;
  for (uint64_t done = 0; done < record->capacity && !ended && status == TITAN_OK; done += ROWS_AT_ONCE) {
    uint64_t records = record->capacity - done < ROWS_AT_ONCE ? record->capacity - done : ROWS_AT_ONCE;
    size_t wanted = (size_t)(records * size);
    ssize_t got = pread(descriptor, bytes, wanted, (off_t)(record->start + done * size));
    status = got == (ssize_t)wanted ? take(path, series, (int)record->columns, bytes, records, rows, &ended)
                                    : refuse(path, got < 0 ? strerror(errno) : "it is shorter than its header says");
  }
  titan_memory_free(bytes);
  return status;
}

static titan_status read_all(int descriptor, const char *path, titan_metrics_rows *rows) {
  titan_metrics_record records[TITAN_METRICS_SERIES];
  int series_count = 0;
  TITAN_TRY(find(descriptor, path, records, &series_count));
  for (int series = 0; series < series_count; series++)
    TITAN_TRY(read_series(descriptor, path, (titan_metrics_series)series, &records[series], &rows[series]));
  return TITAN_OK;
}

titan_status titan_metrics_record_read(const char *path, titan_metrics_rows rows[TITAN_METRICS_SERIES]) {
  memset(rows, 0, TITAN_METRICS_SERIES * sizeof *rows);
  int descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); // a pipe of that name must not be waited for
  if (descriptor < 0)
    return refuse(path, strerror(errno));
  titan_status status = read_all(descriptor, path, rows);
  close(descriptor);
  if (status != TITAN_OK)
    titan_metrics_rows_destroy(rows);
  return status;
}
