// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/tokenizer_internal.h"

#include "base/hash.h"

#include <errno.h>
#include <stdio.h>

// A line of the file: its token's bytes lie at offset in `decoded`.
typedef struct model_line {
  size_t offset, length, number;
} model_line;

typedef struct model_file {
  const char *path;
  char *decoded;
  model_line *lines; // in the order of the file, then by rank
  int64_t *ranks;    // of lines in the order of the file
  size_t count;
} model_file;

titan_status titan_tokenizer_read_file(const char *path, char **bytes, size_t *length) {
  titan_status status = TITAN_OK;
  size_t used = 0, capacity = 1 << 16;
  *bytes = NULL;
  *length = 0;
  FILE *file = fopen(path, "rb");
  if (!file)
    return titan_error(TITAN_ERROR_USAGE, "cannot open the tokenizer %s: %s", path, strerror(errno));
  for (;;) {
    TITAN_TRY_CLEANUP(titan_memory_resize(TITAN_MEMORY_DATA, capacity, bytes));
    errno = 0;
    size_t got = fread(*bytes + used, 1, capacity - used, file);
    used += got;
    if (ferror(file)) {
      status = titan_error(TITAN_ERROR_USAGE, "cannot read the tokenizer %s: %s", path, strerror(errno));
      goto cleanup;
    }
    if (used < capacity)
      break;
    capacity *= 2;
  }
  *length = used;
cleanup:
  fclose(file);
  if (status != TITAN_OK) {
    titan_memory_free(*bytes);
    *bytes = NULL;
  }
  return status;
}

static int base64_digit(char c) {
  if (c >= 'A' && c <= 'Z')
    return c - 'A';
  if (c >= 'a' && c <= 'z')
    return c - 'a' + 26;
  if (c >= '0' && c <= '9')
    return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

// Strict base64 (RFC 4648 with padding). Returns the number of bytes, or -1.
static ptrdiff_t base64_decode(const char *text, size_t length, char *out) {
  if (length == 0 || length % 4 != 0)
    return -1;
  size_t padding = text[length - 1] != '=' ? 0 : text[length - 2] != '=' ? 1 : 2;
  size_t digits = length - padding, written = 0;
  uint32_t bits = 0;
  for (size_t i = 0; i < digits; i++) {
    int digit = base64_digit(text[i]);
    if (digit < 0)
      return -1;
    bits = bits << 6 | (uint32_t)digit;
    if (i % 4 > 0)
      out[written++] = (char)(bits >> (6 - 2 * (i % 4)));
  }
  uint32_t rest = padding == 1 ? bits & 3 : padding == 2 ? bits & 15 : 0;
  return rest ? -1 : (ptrdiff_t)written;
}

static titan_status line_error(const model_file *file, size_t line, const char *what) {
  return titan_error(TITAN_ERROR_DATA, "%s:%zu: %s (expected a token in base64, a space and its rank)", file->path,
                     line, what);
}

// One line without its newline; it is not empty.
static titan_status parse_line(model_file *file, const char *line, size_t length, size_t number, size_t *used) {
  const char *space = memchr(line, ' ', length);
  if (!space)
    return line_error(file, number, "the rank is missing");
  ptrdiff_t bytes = base64_decode(line, (size_t)(space - line), file->decoded + *used);
  if (bytes < 0)
    return line_error(file, number, "broken base64");
  const char *digit = space + 1, *end = line + length;
  if (digit == end)
    return line_error(file, number, "the rank is missing");
  int64_t rank = 0;
  for (; digit < end; digit++) {
    if (*digit < '0' || *digit > '9')
      return line_error(file, number, "the rank is not a number");
    rank = rank * 10 + (*digit - '0');
    if (rank > INT32_MAX - TITAN_TOKENIZER_SPECIAL_COUNT)
      return line_error(file, number, "the rank is too large");
  }
  file->lines[file->count] = (model_line){.offset = *used, .length = (size_t)bytes, .number = number};
  file->ranks[file->count++] = rank;
  *used += (size_t)bytes;
  return TITAN_OK;
}

static titan_status parse_lines(model_file *file, const char *bytes, size_t length) {
  size_t line_count = 1, used = 0, number = 0;
  for (size_t i = 0; i < length; i++)
    line_count += bytes[i] == '\n';
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_DATA, length + 4, &file->decoded));
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_DATA, line_count * sizeof *file->lines, &file->lines));
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_DATA, line_count * sizeof *file->ranks, &file->ranks));
  for (const char *at = bytes, *end = bytes + length; at < end;) {
    const char *newline = memchr(at, '\n', (size_t)(end - at));
    size_t count = (size_t)((newline ? newline : end) - at);
    size_t step = count + (newline ? 1 : 0);
    if (count > 0 && at[count - 1] == '\r')
      count--;
    number++;
    if (count > 0)
      TITAN_TRY(parse_line(file, at, count, number, &used));
    at += step;
  }
  if (file->count == 0)
    return titan_error(TITAN_ERROR_DATA, "%s: the tokenizer holds no tokens", file->path);
  return TITAN_OK;
}

// Puts the lines in the order of their ranks, which must be 0, 1, 2, ...
static titan_status sort_lines(model_file *file) {
  titan_status status = TITAN_OK;
  model_line *sorted = NULL;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_DATA, file->count, sizeof *sorted, &sorted));
  for (size_t i = 0; i < file->count; i++) {
    size_t rank = (size_t)file->ranks[i];
    if (rank >= file->count)
      continue; // then another rank is missing, which is the better message
    if (sorted[rank].number) {
      status = titan_error(TITAN_ERROR_DATA, "%s:%zu: rank %zu was already given in line %zu", file->path,
                           file->lines[i].number, rank, sorted[rank].number);
      goto cleanup;
    }
    sorted[rank] = file->lines[i];
  }
  for (size_t rank = 0; rank < file->count; rank++)
    if (!sorted[rank].number) {
      size_t last = 0;
      for (size_t i = 0; i < file->count; i++)
        if (file->ranks[i] > file->ranks[last])
          last = i;
      status = titan_error(
          TITAN_ERROR_DATA,
          "%s:%zu: rank %lld is given, but rank %zu is missing (%zu tokens must have the ranks 0 to %zu)", file->path,
          file->lines[last].number, (long long)file->ranks[last], rank, file->count, file->count - 1);
      goto cleanup;
    }
  memcpy(file->lines, sorted, file->count * sizeof *sorted);
cleanup:
  titan_memory_free(sorted);
  return status;
}

static titan_status add_tokens(const model_file *file, titan_tokenizer *tokenizer) {
  for (size_t rank = 0; rank < file->count; rank++) {
    const model_line *line = &file->lines[rank];
    int32_t number;
    bool added;
    TITAN_TRY(titan_byte_strings_add(&tokenizer->tokens, file->decoded + line->offset, line->length, &number, &added));
    if (!added) {
      const model_line *other = &file->lines[number];
      size_t first = line->number < other->number ? line->number : other->number;
      size_t second = line->number < other->number ? other->number : line->number;
      return titan_error(TITAN_ERROR_DATA, "%s:%zu: the token was already given in line %zu", file->path, second,
                         first);
    }
  }
  for (int byte = 0; byte < 256; byte++) {
    unsigned char c = (unsigned char)byte;
    tokenizer->byte_ranks[byte] = titan_byte_strings_find(&tokenizer->tokens, &c, 1);
    if (tokenizer->byte_ranks[byte] < 0)
      return titan_error(
          TITAN_ERROR_DATA,
          "%s: no token for the single byte 0x%02x; each of the 256 bytes needs one, so that every text can "
          "be encoded",
          file->path, (unsigned)byte);
  }
  return TITAN_OK;
}

// Of the lengths and bytes of all tokens, by rank.
static uint64_t fingerprint(const titan_byte_strings *tokens) {
  uint64_t hash = TITAN_HASH_START;
  for (size_t rank = 0; rank < tokens->count; rank++) {
    size_t length = titan_byte_strings_length(tokens, rank);
    hash = titan_hash_number(hash, length, 4);
    hash = titan_hash_bytes(hash, titan_byte_strings_get(tokens, rank), length);
  }
  return hash;
}

titan_status titan_tokenizer_create(const char *bytes, size_t length, const char *path, titan_tokenizer **out) {
  titan_status status = TITAN_OK;
  titan_tokenizer *tokenizer = NULL;
  model_file file = {.path = path};
  *out = NULL;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_DATA, 1, sizeof *tokenizer, &tokenizer));
  TITAN_TRY_CLEANUP(parse_lines(&file, bytes, length));
  TITAN_TRY_CLEANUP(sort_lines(&file));
  TITAN_TRY_CLEANUP(add_tokens(&file, tokenizer));
  tokenizer->fingerprint = fingerprint(&tokenizer->tokens);
  titan_unicode_classes_fill(&tokenizer->classes);
  *out = tokenizer;
cleanup:
  titan_memory_free(file.decoded);
  titan_memory_free(file.lines);
  titan_memory_free(file.ranks);
  if (status != TITAN_OK)
    titan_tokenizer_destroy(&tokenizer);
  return status;
}

void titan_tokenizer_destroy(titan_tokenizer **tokenizer) {
  if (!*tokenizer)
    return;
  titan_byte_strings_destroy(&(*tokenizer)->tokens);
  titan_memory_free(*tokenizer);
  *tokenizer = NULL;
}
