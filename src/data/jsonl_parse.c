// SPDX-License-Identifier: Apache-2.0
// A strict JSON reader (RFC 8259, and NaN and Infinity, which Python writes) that keeps one string. A general library
// would build a tree of every field, stop at \u0000 and refuse the lone surrogates that crawled text holds.
#include "data/jsonl_parse.h"

#include <string.h>

enum { DEPTH_LIMIT = 256 }; // of nested arrays and objects; bounds the stack

typedef struct parser {
  char *at, *end; // *end is a NUL, which stops every scan
  uint64_t *replaced;
  const char *error;
} parser;

static bool fail(parser *p, const char *error) {
  if (!p->error)
    p->error = error;
  return false;
}

static void skip_space(parser *p) {
  while (*p->at == ' ' || *p->at == '\t' || *p->at == '\r' || *p->at == '\n')
    p->at++;
}

// Four hexadecimal digits, or -1.
static int32_t parse_hex4(const char *s) {
  int32_t value = 0;
  for (int i = 0; i < 4; i++) {
    char c = s[i];
    int digit = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
    if (digit < 0)
      return -1;
    value = value * 16 + digit;
  }
  return value;
}

static char *put_utf8(char *out, uint32_t c) {
  if (c < 0x80) {
    *out++ = (char)c;
  } else if (c < 0x800) {
    *out++ = (char)(0xc0 | c >> 6);
    *out++ = (char)(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    *out++ = (char)(0xe0 | c >> 12);
    *out++ = (char)(0x80 | (c >> 6 & 0x3f));
    *out++ = (char)(0x80 | (c & 0x3f));
  } else {
    *out++ = (char)(0xf0 | c >> 18);
    *out++ = (char)(0x80 | (c >> 12 & 0x3f));
    *out++ = (char)(0x80 | (c >> 6 & 0x3f));
    *out++ = (char)(0x80 | (c & 0x3f));
  }
  return out;
}

// \uXXXX, p->at behind the u; reads the second half of a surrogate pair too.
static bool parse_unicode_escape(parser *p, char **out) {
  int32_t c = p->end - p->at >= 4 ? parse_hex4(p->at) : -1;
  if (c < 0)
    return fail(p, "\\u needs four hexadecimal digits");
  p->at += 4;
  if (c >= 0xd800 && c < 0xe000) {
    int32_t low = c < 0xdc00 && p->end - p->at >= 6 && p->at[0] == '\\' && p->at[1] == 'u' ? parse_hex4(p->at + 2) : -1;
    if (low >= 0xdc00 && low < 0xe000) {
      c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
      p->at += 6;
    } else {
      c = 0xfffd;
      ++*p->replaced;
    }
  }
  *out = put_utf8(*out, (uint32_t)c);
  return true;
}

static bool parse_escape(parser *p, char **out) {
  static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
  char c = *p->at;
  if (c == 'u') {
    p->at++;
    return parse_unicode_escape(p, out);
  }
  const char *found = c ? strchr(names, c) : NULL;
  if (!found)
    return fail(p, "unknown escape in a string");
  *(*out)++ = values[found - names];
  p->at++;
  return true;
}

// Decodes a string in place: what an escape gives is never longer than the escape.
static bool parse_string(parser *p, const char **text, size_t *length) {
  if (*p->at != '"')
    return fail(p, "expected a string in double quotes");
  char *start = ++p->at, *out = start;
  for (;;) {
    char *run = p->at;
    while (*p->at != '"' && *p->at != '\\' && (unsigned char)*p->at >= 0x20)
      p->at++;
    size_t count = (size_t)(p->at - run);
    if (out != run)
      memmove(out, run, count);
    out += count;
    if (*p->at == '"')
      break;
    if (p->at >= p->end)
      return fail(p, "the line ends inside a string");
    if (*p->at != '\\')
      return fail(p, "unescaped control character in a string");
    p->at++;
    if (!parse_escape(p, &out))
      return false;
  }
  p->at++;
  *text = start;
  *length = (size_t)(out - start);
  return true;
}

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

static bool parse_digits(parser *p) {
  if (!is_digit(*p->at))
    return fail(p, "expected a digit");
  while (is_digit(*p->at))
    p->at++;
  return true;
}

static bool parse_number(parser *p) {
  if (*p->at == '0')
    p->at++;
  else if (!parse_digits(p))
    return false;
  if (*p->at == '.') {
    p->at++;
    if (!parse_digits(p))
      return false;
  }
  if (*p->at == 'e' || *p->at == 'E') {
    p->at++;
    if (*p->at == '+' || *p->at == '-')
      p->at++;
    return parse_digits(p);
  }
  return true;
}

static bool parse_scalar(parser *p) {
  static const char *const words[] = {"true", "false", "null", "NaN", "Infinity", "-Infinity"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    size_t length = strlen(words[i]);
    if ((size_t)(p->end - p->at) >= length && memcmp(p->at, words[i], length) == 0) {
      p->at += length;
      return true;
    }
  }
  bool negative = *p->at == '-';
  if (negative)
    p->at++;
  if (is_digit(*p->at))
    return parse_number(p);
  return fail(p, p->at >= p->end ? "the line ends where a value is expected" : "expected a value");
}

static bool parse_value(parser *p, int depth);

// The separator after a member: true in *more for a comma, false for the closing bracket.
static bool parse_separator(parser *p, char close, bool *more) {
  skip_space(p);
  if (*p->at != ',' && *p->at != close)
    return fail(p, p->at >= p->end ? "the line ends inside an object or array"
                   : close == '}'  ? "expected , or }"
                                   : "expected , or ]");
  *more = *p->at++ == ',';
  return true;
}

static bool parse_key(parser *p, const char **key, size_t *length) {
  skip_space(p);
  if (!parse_string(p, key, length))
    return false;
  skip_space(p);
  if (*p->at != ':')
    return fail(p, "expected : after a key");
  p->at++;
  skip_space(p);
  return true;
}

static bool parse_array(parser *p, int depth) {
  skip_space(p);
  if (*p->at == ']') {
    p->at++;
    return true;
  }
  for (bool more = true; more;)
    if (!parse_value(p, depth) || !parse_separator(p, ']', &more))
      return false;
  return true;
}

static bool parse_object(parser *p, int depth) {
  skip_space(p);
  if (*p->at == '}') {
    p->at++;
    return true;
  }
  const char *key;
  size_t length;
  for (bool more = true; more;)
    if (!parse_key(p, &key, &length) || !parse_value(p, depth) || !parse_separator(p, '}', &more))
      return false;
  return true;
}

static bool parse_value(parser *p, int depth) {
  if (depth == 0)
    return fail(p, "arrays and objects are nested too deeply");
  skip_space(p);
  const char *text;
  size_t length;
  switch (*p->at) {
  case '"':
    return parse_string(p, &text, &length);
  case '[':
    p->at++;
    return parse_array(p, depth - 1);
  case '{':
    p->at++;
    return parse_object(p, depth - 1);
  default:
    return parse_scalar(p);
  }
}

static bool parse_document(parser *p, const char **text, size_t *text_length) {
  skip_space(p);
  if (*p->at != '{')
    return fail(p, "expected a JSON object {...} (titan-corpus text2jsonl makes JSON lines of plain text)");
  p->at++;
  skip_space(p);
  bool more = *p->at != '}';
  char *wrong = NULL; // the last field "text", which counts, where it is no string
  if (!more)
    p->at++;
  while (more) {
    const char *key;
    size_t length;
    if (!parse_key(p, &key, &length))
      return false;
    bool is_text = length == 4 && memcmp(key, "text", 4) == 0;
    if (is_text)
      wrong = *p->at == '"' ? NULL : p->at;
    if (is_text && wrong == NULL ? !parse_string(p, text, text_length) : !parse_value(p, DEPTH_LIMIT))
      return false;
    if (!parse_separator(p, '}', &more))
      return false;
  }
  skip_space(p);
  if (p->at != p->end)
    return fail(p, "text follows the object; expected one object per line");
  if (wrong != NULL) {
    p->at = wrong;
    return fail(p, "the field \"text\" is not a string");
  }
  return *text || fail(p, "the object has no field \"text\"");
}

const char *titan_jsonl_parse(char *line, size_t length, const char **text, size_t *text_length, uint64_t *replaced,
                              size_t *column) {
  line[length] = '\0';
  parser p = {.at = line, .end = line + length, .replaced = replaced};
  *text = NULL;
  *text_length = 0;
  if (parse_document(&p, text, text_length))
    return NULL;
  *column = (size_t)(p.at - line) + 1;
  return p.error;
}
