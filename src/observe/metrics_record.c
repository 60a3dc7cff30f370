#include "observe/metrics_record.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

// The end of the file: a text, then start, capacity, columns and a checksum of all before it.
static const char magic[32] = "titan-hpc metrics record 2\n";
enum { MAGIC_BYTES = sizeof magic, NUMBERS = 3, END_BYTES = MAGIC_BYTES + 8 * (NUMBERS + 1), ROWS_AT_ONCE = 512 };

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

uint64_t titan_metrics_record_bytes(uint64_t capacity) {
  return capacity * TITAN_METRICS_RECORD_BYTES + END_BYTES;
}

static int write_at(int descriptor, const void *bytes, size_t count, uint64_t place) {
  ssize_t written = pwrite(descriptor, bytes, count, (off_t)place);
  return written == (ssize_t)count ? 0 : written < 0 ? errno : ENOSPC;
}

int titan_metrics_record_begin(int descriptor, uint64_t start, uint64_t capacity) {
  unsigned char end[END_BYTES];
  const uint64_t numbers[NUMBERS] = {start, capacity, TITAN_METRICS_COLUMNS};
  memcpy(end, magic, MAGIC_BYTES);
  for (int i = 0; i < NUMBERS; i++)
    encode(numbers[i], end + MAGIC_BYTES + 8 * i);
  encode(XXH64(end, END_BYTES - 8, 0), end + END_BYTES - 8);
  if (ftruncate(descriptor, (off_t)(start + titan_metrics_record_bytes(capacity))) != 0)
    return errno;
  return write_at(descriptor, end, END_BYTES, start + capacity * TITAN_METRICS_RECORD_BYTES);
}

// 0 stands for no row.
static uint64_t checksum_of(const unsigned char *values, uint64_t index) {
  uint64_t sum = XXH64(values, 8 * TITAN_METRICS_COLUMNS, index);
  return sum != 0 ? sum : 1;
}

int titan_metrics_record_write(int descriptor, uint64_t start, uint64_t first, const titan_metrics_row *rows,
                               uint64_t count) {
  int reason = 0;
  for (uint64_t i = 0; i < count && reason == 0; i++) {
    unsigned char record[TITAN_METRICS_RECORD_BYTES];
    titan_metrics_encode((const double *)&rows[i], TITAN_METRICS_COLUMNS, record);
    encode(checksum_of(record, first + i), record + 8 * TITAN_METRICS_COLUMNS);
    reason = write_at(descriptor, record, sizeof record, start + (first + i) * sizeof record);
  }
  return reason;
}

// --- reading ---

static titan_status refuse(const char *path, const char *reason) {
  return titan_error(TITAN_ERROR_OUTPUT, "cannot read the metrics file %s: %s", path, reason);
}

static titan_status find(int descriptor, const char *path, uint64_t *start, uint64_t *capacity) {
  unsigned char end[END_BYTES];
  struct stat information;
  if (fstat(descriptor, &information) != 0)
    return refuse(path, strerror(errno));
  if (!S_ISREG(information.st_mode))
    return refuse(path, "it is no regular file");
  uint64_t bytes = (uint64_t)information.st_size;
  if (bytes < END_BYTES || pread(descriptor, end, END_BYTES, (off_t)(bytes - END_BYTES)) != END_BYTES ||
      memcmp(end, magic, MAGIC_BYTES) != 0)
    return refuse(path, "its end is missing, or another program or an earlier version wrote it");
  *start = decode(end + MAGIC_BYTES);
  *capacity = decode(end + MAGIC_BYTES + 8);
  if (decode(end + END_BYTES - 8) != XXH64(end, END_BYTES - 8, 0) ||
      decode(end + MAGIC_BYTES + 16) != TITAN_METRICS_COLUMNS || *capacity > bytes / TITAN_METRICS_RECORD_BYTES ||
      *start != bytes - titan_metrics_record_bytes(*capacity))
    return refuse(path, "it is damaged at its end, or another version wrote it");
  return TITAN_OK;
}

// Takes the rows of `bytes`; *ended: an index without a row was met.
static titan_status take(const char *path, const unsigned char *bytes, uint64_t records, titan_metrics_row **rows,
                         uint64_t *count, bool *ended) {
  TITAN_TRY(titan_memory_resize(TITAN_MEMORY_OBSERVE, (size_t)(*count + records) * sizeof **rows, rows));
  for (uint64_t i = 0; i < records; i++, bytes += TITAN_METRICS_RECORD_BYTES) {
    uint64_t checksum = decode(bytes + 8 * TITAN_METRICS_COLUMNS);
    *ended = checksum == 0;
    if (*ended)
      return TITAN_OK;
    if (checksum != checksum_of(bytes, *count))
      return titan_error(TITAN_ERROR_OUTPUT, "cannot read the metrics file %s: its row %llu is damaged", path,
                         (unsigned long long)*count + 1);
    double *row = (double *)&(*rows)[*count];
    for (int column = 0; column < TITAN_METRICS_COLUMNS; column++) {
      uint64_t bits = decode(bytes + 8 * column);
      memcpy(&row[column], &bits, sizeof bits);
    }
    ++*count;
  }
  return TITAN_OK;
}

static titan_status read_rows(int descriptor, const char *path, titan_metrics_row **rows, uint64_t *count) {
  static const size_t most = (size_t)ROWS_AT_ONCE * TITAN_METRICS_RECORD_BYTES;
  uint64_t start = 0, capacity = 0;
  unsigned char *bytes = NULL;
  bool ended = false;
  TITAN_TRY(find(descriptor, path, &start, &capacity));
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_OBSERVE, most, &bytes));
  titan_status status = TITAN_OK;
  for (uint64_t done = 0; done < capacity && !ended && status == TITAN_OK; done += ROWS_AT_ONCE) {
    uint64_t records = capacity - done < ROWS_AT_ONCE ? capacity - done : ROWS_AT_ONCE;
    size_t wanted = (size_t)records * TITAN_METRICS_RECORD_BYTES;
    ssize_t got = pread(descriptor, bytes, wanted, (off_t)(start + done * TITAN_METRICS_RECORD_BYTES));
    status = got == (ssize_t)wanted ? take(path, bytes, records, rows, count, &ended)
                                    : refuse(path, got < 0 ? strerror(errno) : "it is shorter than it says");
  }
  titan_memory_free(bytes);
  return status;
}

titan_status titan_metrics_read(const char *path, titan_metrics_row **rows, uint64_t *count) {
  *rows = NULL;
  *count = 0;
  int descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); // a pipe of that name must not be waited for
  if (descriptor < 0)
    return refuse(path, strerror(errno));
  titan_status status = read_rows(descriptor, path, rows, count);
  close(descriptor);
  if (status == TITAN_OK && *rows == NULL)
    status = titan_memory_allocate(TITAN_MEMORY_OBSERVE, 0, rows);
  if (status != TITAN_OK) {
    titan_memory_free(*rows);
    *rows = NULL;
    *count = 0;
  }
  return status;
}
