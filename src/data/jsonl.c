// SPDX-License-Identifier: Apache-2.0
#include "data/jsonl.h"
#include "base/memory.h"
#include "data/jsonl_parse.h"
#include "data/packed_file.h"

#include <stdio.h>
#include <string.h>

enum { READ_BYTES = 1 << 18 }; // asked for at once

struct titan_jsonl {
  char *path;
  titan_packed_file *file;
  char *buffer;                   // unread bytes are buffer[start .. filled-1]; one byte more is allocated for a NUL
  size_t start, filled, capacity; // capacity without that byte
  bool at_end;                    // the file has no more bytes that can be read
  const char *damage;             // NULL or why they cannot; told once the lines before it are used up
  size_t limit;                   // of a line's bytes; 0: none
  uint64_t line, replaced;
  uint64_t begin, next; // offsets among the (unpacked) bytes of the file: of the last line, and of buffer[start]
};

titan_status titan_jsonl_open(const char *path, titan_jsonl **out) {
  titan_jsonl *reader;
  titan_status status = TITAN_OK;
  *out = NULL;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_DATA, 1, sizeof *reader, &reader));
  TITAN_TRY_CLEANUP(titan_memory_duplicate(TITAN_MEMORY_DATA, path, &reader->path));
  TITAN_TRY_CLEANUP(titan_packed_file_open(path, &reader->file));
  TITAN_TRY_CLEANUP(titan_memory_allocate(TITAN_MEMORY_DATA, READ_BYTES + 1, &reader->buffer));
  reader->capacity = READ_BYTES;
  *out = reader;
cleanup:
  if (status != TITAN_OK)
    titan_jsonl_close(&reader);
  return status;
}

void titan_jsonl_set_limit(titan_jsonl *reader, size_t bytes) {
  reader->limit = bytes;
}

size_t titan_jsonl_bytes(size_t limit) {
  return sizeof(titan_jsonl) + titan_packed_file_bytes() + limit + READ_BYTES + 1;
}

// Gives the buffer `capacity` bytes; the unread ones are at its front.
static titan_status resize(titan_jsonl *reader, size_t capacity) {
  TITAN_TRY(titan_memory_resize(TITAN_MEMORY_DATA, capacity + 1, &reader->buffer));
  reader->capacity = capacity;
  return TITAN_OK;
}

// Room for READ_BYTES more behind the unread bytes, which are at the front. What a long line took is given back once it
// is used up. Lines that have a limit get it all at once where they are long: growing by copies takes the sum of both.
static titan_status make_room(titan_jsonl *reader) {
  if (reader->capacity > 16 * READ_BYTES && reader->filled < READ_BYTES)
    return resize(reader, 2 * READ_BYTES);
  if (reader->capacity - reader->filled >= READ_BYTES)
    return TITAN_OK;
  size_t capacity = 2 * reader->capacity + READ_BYTES, most = reader->limit + READ_BYTES;
  if (reader->limit > 0 && capacity > most / 4)
    capacity = most > reader->filled + READ_BYTES ? most : reader->filled + READ_BYTES;
  return resize(reader, capacity);
}

// Moves the unread bytes to the front, makes room, and reads once more.
static titan_status fill(titan_jsonl *reader) {
  size_t count;
  if (reader->start > 0) {
    memmove(reader->buffer, reader->buffer + reader->start, reader->filled - reader->start);
    reader->filled -= reader->start;
    reader->start = 0;
  }
  TITAN_TRY(make_room(reader));
  TITAN_TRY(titan_packed_file_read(reader->file, reader->buffer + reader->filled, READ_BYTES, &count, &reader->damage));
  reader->filled += count;
  reader->at_end = count == 0;
  return TITAN_OK;
}

static titan_status limit_error(const titan_jsonl *reader) {
  return titan_error(
      TITAN_ERROR_DATA,
      "%s:%llu: the line is longer than %.6g MiB (training.document_limit); with a larger limit it can be "
      "read, and each rank takes twice the limit in memory",
      reader->path, (unsigned long long)reader->line + 1, (double)reader->limit / (1 << 20));
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
    if (reader->limit > 0 && (newline ? (size_t)(newline - first) : unread) > reader->limit)
      return limit_error(reader);
    if (!newline && !reader->at_end) {
      searched = unread;
      TITAN_TRY(fill(reader));
      continue;
    }
    if (!newline && reader->damage)
      return titan_error(TITAN_ERROR_DATA, "%s:%llu: %s", reader->path, (unsigned long long)reader->line + 1,
                         reader->damage);
    if (!newline && unread == 0)
      return TITAN_OK;
    size_t count = newline ? (size_t)(newline - first) : unread;
    reader->start += count + (newline ? 1 : 0);
    reader->begin = reader->next;
    reader->next += count + (newline ? 1 : 0);
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
  // cppcheck-suppress ctunullpointer ; the reader of corpora passes NULL to titan_jsonl_skip alone
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
  TITAN_TRY(titan_packed_file_rewind(reader->file));
  reader->start = reader->filled = 0;
  reader->at_end = false;
  reader->damage = NULL;
  reader->line = reader->begin = reader->next = 0;
  return TITAN_OK;
}

static titan_status no_line_error(const titan_jsonl *reader, uint64_t begin) {
  return titan_error(
      TITAN_ERROR_DATA,
      "%s: no line begins at byte %llu, though its index has one there: the file has changed; titan-corpus "
      "index %s renews the index",
      reader->path, (unsigned long long)begin, reader->path);
}

// Drops the unread bytes and reads on behind the newline at byte `newline`.
static titan_status go_behind(titan_jsonl *reader, uint64_t newline) {
  char byte = '\0';
  size_t count;
  reader->start = reader->filled = 0;
  reader->at_end = false;
  TITAN_TRY(titan_packed_file_seek(reader->file, newline));
  TITAN_TRY(titan_packed_file_read(reader->file, &byte, 1, &count, &reader->damage));
  if (reader->damage != NULL)
    return titan_error(TITAN_ERROR_DATA, "%s: %s", reader->path, reader->damage);
  return byte == '\n' ? TITAN_OK : no_line_error(reader, newline + 1);
}

titan_status titan_jsonl_seek(titan_jsonl *reader, uint64_t begin, uint64_t line) {
  size_t unread = reader->filled - reader->start;
  if (begin == 0) {
    TITAN_TRY(titan_jsonl_rewind(reader));
  } else if (begin > reader->next && begin - reader->next < unread) {
    reader->start += (size_t)(begin - reader->next);
    if (reader->buffer[reader->start - 1] != '\n')
      return no_line_error(reader, begin);
  } else if (begin != reader->next) {
    TITAN_TRY(go_behind(reader, begin - 1));
  }
  reader->next = begin;
  reader->line = line - 1;
  return TITAN_OK;
}

void titan_jsonl_expect(titan_jsonl *reader, uint64_t end) {
  titan_packed_file_expect(reader->file, end);
}

uint64_t titan_jsonl_begin(const titan_jsonl *reader) {
  return reader->begin;
}

bool titan_jsonl_is_gzip(const titan_jsonl *reader) {
  return titan_packed_file_is_gzip(reader->file);
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
  titan_packed_file_close(&(*reader)->file);
  titan_memory_free((*reader)->buffer);
  titan_memory_free((*reader)->path);
  titan_memory_free(*reader);
  *reader = NULL;
}
