// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"

#include "base/memory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static titan_status reserve(titan_text *text, size_t more) {
  size_t need = text->length + more + 1;
  if (need <= text->capacity)
    return TITAN_OK;
  size_t capacity = text->capacity * 2 > need ? text->capacity * 2 : need;
  TITAN_TRY(titan_memory_resize(TITAN_MEMORY_GENERAL, capacity, &text->data));
  text->capacity = capacity;
  return TITAN_OK;
}

titan_status titan_text_append(titan_text *text, const char *bytes, size_t count) {
  TITAN_TRY(reserve(text, count));
  if (count > 0)
    memcpy(text->data + text->length, bytes, count);
  text->length += count;
  text->data[text->length] = '\0';
  return TITAN_OK;
}

// Most texts fit into what is there, and are printed once.
titan_status titan_text_printf(titan_text *text, const char *format, ...) {
  va_list arguments, again;
  va_start(arguments, format);
  va_copy(again, arguments);
  size_t room = text->capacity - text->length;
  int count = vsnprintf(room > 0 ? text->data + text->length : NULL, room, format, arguments);
  va_end(arguments);
  titan_status status = TITAN_OK;
  if (count < 0)
    status = titan_error(TITAN_ERROR_INTERNAL, "bad format: %s", format);
  else if ((size_t)count >= room && (status = reserve(text, (size_t)count)) == TITAN_OK)
    vsnprintf(text->data + text->length, (size_t)count + 1, format, again);
  va_end(again);
  if (status == TITAN_OK)
    text->length += (size_t)count;
  else if (room > 0)
    text->data[text->length] = '\0';
  return status;
}

titan_status titan_text_append_stream(titan_text *text, FILE *file, size_t most, int *failure) {
  enum { BLOCK_BYTES = 1 << 16 };
  char block[BLOCK_BYTES];
  size_t count = 1;
  *failure = 0;
  while (count > 0 && text->length <= most) {
    errno = 0;
    count = fread(block, 1, sizeof block, file);
    if (count == 0 && ferror(file))
      *failure = errno != 0 ? errno : EIO;
    TITAN_TRY(titan_text_append(text, block, count));
  }
  return TITAN_OK;
}

titan_status titan_text_flush(FILE *stream, const char *name) {
  bool fails = fflush(stream) != 0;
  if (fails || ferror(stream))
    return titan_error(TITAN_ERROR_OUTPUT, "cannot write %s: %s", name,
                       fails ? strerror(errno) : "an earlier part could not be written");
  return TITAN_OK;
}

void titan_text_destroy(titan_text *text) {
  titan_memory_free(text->data);
  *text = (titan_text){0};
}

// Bytes of the UTF-8 character that begins here; 0: it is none.
static size_t character_bytes(const unsigned char *c) {
  static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
  size_t count = *c < 0x80                 ? 1
                 : *c >= 0xc2 && *c < 0xe0 ? 2
                 : *c >= 0xe0 && *c < 0xf0 ? 3
                 : *c >= 0xf0 && *c < 0xf5 ? 4
                                           : 0;
  unsigned code = count > 1 ? *c & (0xffu >> (count + 1)) : *c;
  for (size_t i = 1; i < count; i++) {
    if ((c[i] & 0xc0) != 0x80)
      return 0;
    code = code << 6 | (c[i] & 0x3f);
  }
  bool valid = code >= least[count] && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
  return valid ? count : 0;
}

titan_status titan_text_append_utf8(titan_text *text, const char *bytes) {
  static const char replacement[] = "\xef\xbf\xbd"; // U+FFFD
  size_t count;
  TITAN_TRY(titan_text_append(text, "", 0)); // so that there is one
  for (const char *c = bytes; *c != '\0'; c += count > 0 ? count : 1) {
    count = character_bytes((const unsigned char *)c);
    TITAN_TRY(titan_text_append(text, count > 0 ? c : replacement, count > 0 ? count : sizeof replacement - 1));
  }
  return TITAN_OK;
}

size_t titan_text_escape(const char *text, char *out, size_t size) {
  static const char names[] = "btnvfr"; // of the bytes from 8 on
  size_t count = 0, bytes;
  for (const char *c = text; *c != '\0' && count + 8 < size; c += bytes > 0 ? bytes : 1) {
    unsigned char byte = (unsigned char)*c;
    bytes = character_bytes((const unsigned char *)c);
    if (bytes == 0)
      count += (size_t)snprintf(out + count, size - count, "\\ufffd");
    else if (byte == '"' || byte == '\\')
      out[count++] = '\\', out[count++] = *c;
    else if (byte >= 8 && byte <= 13 && byte != 11)
      out[count++] = '\\', out[count++] = names[byte - 8];
    else if (byte < ' ' || byte == 127)
      count += (size_t)snprintf(out + count, size - count, "\\u%04x", byte);
    else
      memcpy(out + count, c, bytes), count += bytes;
  }
  out[count] = '\0';
  return count;
}

size_t titan_text_distance(const char *a, const char *b) {
  enum { LONGEST = 127 };
  size_t n = strlen(a), m = strlen(b);
  if (n > LONGEST || m > LONGEST)
    return n > m ? n : m;
  size_t row[LONGEST + 1];
  for (size_t j = 0; j <= m; j++)
    row[j] = j;
  for (size_t i = 1; i <= n; i++) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= m; j++) {
      size_t best = diagonal + (a[i - 1] != b[j - 1]);
      if (row[j] + 1 < best)
        best = row[j] + 1;
      if (row[j - 1] + 1 < best)
        best = row[j - 1] + 1;
      diagonal = row[j];
      row[j] = best;
    }
  }
  return row[m];
}
