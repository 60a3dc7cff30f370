// SPDX-License-Identifier: Apache-2.0
#include "data/text_convert.h"

#include "base/text.h"
#include "data/packed_file.h"
#include "tokenizer/tokenizer_internal.h"

enum { READ_BYTES = 1 << 16 };

typedef struct conversion {
  const char *input;
  titan_text_document document;
  titan_jsonl_writer *writer;
  titan_text_counts *counts;
  titan_text text; // of the document so far
  titan_text line; // the beginning of a line whose end is not read yet
  titan_merge_space repaired;
  bool begun; // the first bytes of the file are known to be no byte order mark
} conversion;

static bool is_blank(const char *bytes, size_t length) {
  for (size_t i = 0; i < length; i++)
    if (strchr(" \t\r\n\v\f", bytes[i]) == NULL || bytes[i] == '\0')
      return false;
  return true;
}

// Writes the document, if it has any text, and begins the next.
static titan_status end_document(conversion *c) {
  const char *text = c->text.data;
  size_t length = c->text.length;
  uint64_t replaced = 0;
  c->text.length = 0;
  if (is_blank(text, length))
    return TITAN_OK;
  TITAN_TRY(titan_utf8_repair(&text, &length, &c->repaired, &replaced));
  c->counts->documents++;
  c->counts->bytes += length;
  c->counts->replaced += replaced;
  return titan_jsonl_write(c->writer, text, length);
}

// One line without its newline.
static titan_status add_line(conversion *c, const char *line, size_t length) {
  if (length > 0 && line[length - 1] == '\r')
    length--;
  bool blank = is_blank(line, length);
  if (blank || c->document == TITAN_TEXT_LINE)
    TITAN_TRY(end_document(c));
  if (blank)
    return TITAN_OK;
  if (c->text.length > 0)
    TITAN_TRY(titan_text_append(&c->text, "\n", 1));
  return titan_text_append(&c->text, line, length);
}

static titan_status add_bytes(conversion *c, const char *bytes, size_t count) {
  if (c->document == TITAN_TEXT_FILE)
    return titan_text_append(&c->text, bytes, count);
  for (const char *end = bytes + count; bytes < end;) {
    const char *newline = memchr(bytes, '\n', (size_t)(end - bytes));
    size_t length = (size_t)((newline != NULL ? newline : end) - bytes);
    TITAN_TRY(titan_text_append(&c->line, bytes, length));
    if (newline == NULL)
      return TITAN_OK;
    TITAN_TRY(add_line(c, c->line.data, c->line.length));
    c->line.length = 0;
    bytes = newline + 1;
  }
  return TITAN_OK;
}

static void note_json_lines(conversion *c, const char *bytes, size_t count) {
  static const char beginning[] = "{\"text\"";
  if (c->counts->json_lines == NULL && count >= sizeof beginning && memcmp(bytes, beginning, sizeof beginning - 1) == 0)
    c->counts->json_lines = c->input;
}

static titan_status convert(conversion *c, titan_packed_file *file, char *block) {
  size_t filled = 0, count;
  const char *damage;
  do {
    TITAN_TRY(titan_packed_file_read(file, block + filled, READ_BYTES - filled, &count, &damage));
    if (damage != NULL)
      return titan_error(TITAN_ERROR_DATA, "%s: %s", c->input, damage);
    filled += count;
    if (!c->begun && count > 0 && filled < 3)
      continue; // may be the beginning of a byte order mark
    size_t mark = !c->begun && filled >= 3 && memcmp(block, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    if (!c->begun)
      note_json_lines(c, block + mark, filled - mark);
    c->begun = true;
    TITAN_TRY(add_bytes(c, block + mark, filled - mark));
    filled = 0;
  } while (count > 0);
  if (c->line.length > 0)
    TITAN_TRY(add_line(c, c->line.data, c->line.length));
  return c->text.length > 0 ? end_document(c) : TITAN_OK;
}

titan_status titan_text_convert(const char *input, titan_text_document document, titan_jsonl_writer *writer,
                                titan_text_counts *counts) {
  conversion c = {.input = input, .document = document, .writer = writer, .counts = counts};
  titan_packed_file *file;
  char *block = NULL;
  titan_status status = TITAN_OK;
  TITAN_TRY(titan_packed_file_open(input, &file));
  TITAN_TRY_CLEANUP(titan_memory_allocate(TITAN_MEMORY_DATA, READ_BYTES, &block));
  TITAN_TRY_CLEANUP(titan_text_append(&c.text, "", 0));
  TITAN_TRY_CLEANUP(titan_text_append(&c.line, "", 0));
  TITAN_TRY_CLEANUP(convert(&c, file, block));
cleanup:
  titan_memory_free(block);
  titan_memory_free(c.repaired.bytes);
  titan_text_destroy(&c.text);
  titan_text_destroy(&c.line);
  titan_packed_file_close(&file);
  return status;
}
