#include "data/jsonl.h"
#include "base/memory.h"
#include "data/jsonl_parse.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

enum { READ_BYTES = 1 << 18 }; // asked of zlib at once

struct titan_jsonl {
  char *path;
  gzFile file;
  char *buffer;                   // unread bytes are buffer[start .. filled-1]; one byte more is allocated for a NUL
  size_t start, filled, capacity; // capacity without that byte
  bool at_end;                    // the file has no more bytes that can be read
  char damage[160];               // "" or why they cannot; told once the lines before it are used up
  uint64_t line, replaced;
};

static titan_status open_file(titan_jsonl *reader) {
  struct stat facts;
  if (stat(reader->path, &facts) != 0)
    return titan_error(TITAN_ERROR_USAGE, "cannot open the corpus file %s: %s", reader->path, strerror(errno));
  if (S_ISDIR(facts.st_mode))
    return titan_error(TITAN_ERROR_USAGE, "%s is a folder; expected a file of JSON lines", reader->path);
  errno = 0;
  reader->file = gzopen(reader->path, "rb");
  if (!reader->file)
    return titan_error(TITAN_ERROR_USAGE, "cannot open the corpus file %s: %s", reader->path,
                       errno ? strerror(errno) : "out of memory");
  gzbuffer(reader->file, READ_BYTES);
  return TITAN_OK;
}

titan_status titan_jsonl_open(const char *path, titan_jsonl **out) {
  titan_jsonl *reader;
  titan_status status = TITAN_OK;
  *out = NULL;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_DATA, 1, sizeof *reader, &reader));
  TITAN_TRY_CLEANUP(titan_memory_duplicate(TITAN_MEMORY_DATA, path, &reader->path));
  TITAN_TRY_CLEANUP(open_file(reader));
  TITAN_TRY_CLEANUP(titan_memory_allocate(TITAN_MEMORY_DATA, READ_BYTES + 1, &reader->buffer));
  reader->capacity = READ_BYTES;
  *out = reader;
cleanup:
  if (status != TITAN_OK)
    titan_jsonl_close(&reader);
  return status;
}

// Moves the unread bytes to the front, makes room, and reads once more.
static titan_status fill(titan_jsonl *reader) {
  if (reader->start > 0) {
    memmove(reader->buffer, reader->buffer + reader->start, reader->filled - reader->start);
    reader->filled -= reader->start;
    reader->start = 0;
  }
  if (reader->capacity - reader->filled < READ_BYTES) {
    size_t capacity = 2 * reader->capacity + READ_BYTES;
    TITAN_TRY(titan_memory_resize(TITAN_MEMORY_DATA, capacity + 1, &reader->buffer));
    reader->capacity = capacity;
  }
  int count = gzread(reader->file, reader->buffer + reader->filled, READ_BYTES);
  if (count > 0)
    reader->filled += (size_t)count;
  if (count == READ_BYTES)
    return TITAN_OK;
  int code = Z_OK;
  const char *text = gzerror(reader->file, &code);
  reader->at_end = count <= 0 || gzeof(reader->file);
  if (code == Z_OK || code == Z_STREAM_END)
    return TITAN_OK;
  reader->at_end = true;
  if (code == Z_BUF_ERROR)
    snprintf(reader->damage, sizeof reader->damage, "the gzip data end too early; the file is truncated");
  else if (code == Z_ERRNO)
    snprintf(reader->damage, sizeof reader->damage, "cannot read: %s", strerror(errno));
  else
    snprintf(reader->damage, sizeof reader->damage, "damaged gzip data (%s)", text);
  return TITAN_OK;
}

static bool is_blank(const char *line, size_t length) {
  for (size_t i = 0; i < length; i++)
    if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r')
      return false;
  return true;
}

// The next line that is not blank, without its newline; *line NULL at the end.
static titan_status next_line(titan_jsonl *reader, char **line, size_t *length) {
  *line = NULL;
  *length = 0;
  size_t searched = 0; // bytes after start known to hold no newline
  for (;;) {
    size_t unread = reader->filled - reader->start;
    char *first = reader->buffer + reader->start;
    char *newline = unread > searched ? memchr(first + searched, '\n', unread - searched) : NULL;
    if (!newline && !reader->at_end) {
      searched = unread;
      TITAN_TRY(fill(reader));
      continue;
    }
    if (!newline && reader->damage[0])
      return titan_error(TITAN_ERROR_DATA, "%s:%llu: %s", reader->path, (unsigned long long)reader->line + 1,
                         reader->damage);
    if (!newline && unread == 0)
      return TITAN_OK;
    size_t count = newline ? (size_t)(newline - first) : unread;
    reader->start += count + (newline ? 1 : 0);
    reader->line++;
    searched = 0;
    if (reader->line == 1 && count >= 3 && memcmp(first, "\xef\xbb\xbf", 3) == 0) {
      first += 3; // byte order mark
      count -= 3;
    }
    if (is_blank(first, count))
      continue;
    *line = first;
    *length = count;
    return TITAN_OK;
  }
}

titan_status titan_jsonl_next(titan_jsonl *reader, const char **text, size_t *length, bool *end) {
  char *line;
  size_t line_length, column = 0;
  *text = NULL;
  *length = 0;
  *end = false;
  TITAN_TRY(next_line(reader, &line, &line_length));
  if (!line) {
    *end = true;
    return TITAN_OK;
  }
  const char *error = titan_jsonl_parse(line, line_length, text, length, &reader->replaced, &column);
  if (error) {
    *text = NULL;
    *length = 0;
    return titan_error(TITAN_ERROR_DATA, "%s:%llu: column %zu: %s", reader->path, (unsigned long long)reader->line,
                       column, error);
  }
  return TITAN_OK;
}

titan_status titan_jsonl_skip(titan_jsonl *reader, bool *end) {
  char *line;
  size_t length;
  TITAN_TRY(next_line(reader, &line, &length));
  *end = line == NULL;
  return TITAN_OK;
}

titan_status titan_jsonl_rewind(titan_jsonl *reader) {
  if (gzrewind(reader->file) != 0)
    return titan_error(TITAN_ERROR_DATA, "%s: cannot go back to the start of the file", reader->path);
  reader->start = reader->filled = 0;
  reader->at_end = false;
  reader->damage[0] = '\0';
  reader->line = 0;
  return TITAN_OK;
}

uint64_t titan_jsonl_line(const titan_jsonl *reader) {
  return reader->line;
}

const char *titan_jsonl_path(const titan_jsonl *reader) {
  return reader->path;
}

uint64_t titan_jsonl_replaced(const titan_jsonl *reader) {
  return reader->replaced;
}

void titan_jsonl_close(titan_jsonl **reader) {
  if (!*reader)
    return;
  if ((*reader)->file)
    gzclose((*reader)->file);
  titan_memory_free((*reader)->buffer);
  titan_memory_free((*reader)->path);
  titan_memory_free(*reader);
  *reader = NULL;
}
