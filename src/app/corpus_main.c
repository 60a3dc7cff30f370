// SPDX-License-Identifier: Apache-2.0
// titan-corpus: makes corpora, of generated text or of plain text files, and indexes of their documents.
#include "app/usage.h"
#include "base/memory.h"
#include "corpus_generator/corpus_generate.h"
#include "data/corpus_index.h"
#include "data/text_convert.h"
#include "storage/output.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// --- generated text ---

typedef struct arguments {
  uint64_t documents, seed;
  const char *output;
} arguments;

static titan_status parse_number(const char *name, const char *text, uint64_t *out) {
  char *end;
  errno = 0;
  *out = strtoull(text, &end, 10);
  if (errno != 0 || end == text || *end != '\0' || text[0] == '-')
    return titan_error(TITAN_ERROR_USAGE, "%s: '%s' is not a whole number", name, text);
  return TITAN_OK;
}

static const char *output_name(const char *text) {
  return strcmp(text, "-") == 0 ? "/dev/stdout" : text;
}

// Whether the argument is the option `name`, as "--name value" or "--name=value".
static bool is_option(const char *text, const char *name) {
  size_t length = strlen(name);
  return strncmp(text, name, length) == 0 && (text[length] == '\0' || text[length] == '=');
}

// The value of the option values[*i]; *i is then the place of the last argument that belongs to it.
static titan_status take_value(int count, char **values, int *i, const char **value) {
  const char *equals = strchr(values[*i], '=');
  if (equals == NULL && *i + 1 == count)
    return titan_error(TITAN_ERROR_USAGE, "%s needs a value\n%s", values[*i], titan_corpus_usage);
  *value = equals != NULL ? equals + 1 : values[++*i];
  return TITAN_OK;
}

static titan_status parse_arguments(int count, char **values, arguments *out) {
  for (int i = 1; i < count; i++) {
    static const char *const names[] = {"--documents", "--seed", "--output"};
    const char *name = NULL, *value = "";
    for (int n = 0; n < 3 && name == NULL; n++)
      name = is_option(values[i], names[n]) ? names[n] : NULL;
    if (name == NULL && values[i][0] != '-')
      return titan_error(TITAN_ERROR_USAGE, "unexpected argument '%s'; the commands are text2jsonl and index\n%s",
                         values[i], titan_corpus_usage);
    if (name == NULL)
      return titan_error(TITAN_ERROR_USAGE, "unknown option %s\n%s", values[i], titan_corpus_usage);
    TITAN_TRY(take_value(count, values, &i, &value));
    if (name == names[2])
      out->output = output_name(value);
    else
      TITAN_TRY(parse_number(name, value, name == names[0] ? &out->documents : &out->seed));
    if (name == names[0] && out->documents == 0)
      return titan_error(TITAN_ERROR_USAGE, "--documents: expected a number of at least 1, got 0");
  }
  if (out->documents == 0 || out->output == NULL)
    return titan_error(TITAN_ERROR_USAGE, "--documents and --output are needed\n%s", titan_corpus_usage);
  return TITAN_OK;
}

static titan_status generate(int count, char **values) {
  arguments wanted = {0};
  titan_corpus_generator *generator;
  TITAN_TRY(parse_arguments(count, values, &wanted));
  TITAN_TRY(titan_corpus_generator_create(wanted.seed, &generator));
  titan_status status = titan_corpus_generator_write(generator, wanted.documents, wanted.output);
  titan_corpus_generator_destroy(&generator);
  return status;
}

// --- plain text ---

typedef struct text_arguments {
  char **inputs; // input_count of them: the arguments that are no options, moved to the front
  int input_count;
  const char *output;
  titan_text_document document;
} text_arguments;

static titan_status parse_document(const char *text, titan_text_document *out) {
  static const char *const names[] = {"file", "paragraph", "line"};
  for (int i = 0; i < 3; i++)
    if (strcmp(text, names[i]) == 0) {
      *out = (titan_text_document)i;
      return TITAN_OK;
    }
  return titan_error(TITAN_ERROR_USAGE, "--document: '%s' is unknown; expected file, paragraph or line", text);
}

static titan_status parse_text_arguments(int count, char **values, text_arguments *out) {
  out->inputs = values;
  for (int i = 0; i < count; i++) {
    if (values[i][0] != '-' || values[i][1] == '\0') {
      values[out->input_count++] = strcmp(values[i], "-") == 0 ? "/dev/stdin" : values[i];
      continue;
    }
    bool output = is_option(values[i], "--output");
    const char *value = "";
    if (!output && !is_option(values[i], "--document"))
      return titan_error(TITAN_ERROR_USAGE, "text2jsonl has no option %s\n%s", values[i], titan_corpus_usage);
    TITAN_TRY(take_value(count, values, &i, &value));
    if (output)
      out->output = output_name(value);
    else
      TITAN_TRY(parse_document(value, &out->document));
  }
  if (out->input_count == 0 || out->output == NULL)
    return titan_error(TITAN_ERROR_USAGE, "text2jsonl needs an INPUT and --output FILE\n%s", titan_corpus_usage);
  return TITAN_OK;
}

static titan_status convert(int count, char **values) {
  text_arguments wanted = {.document = TITAN_TEXT_FILE};
  titan_text_counts counts = {0};
  titan_jsonl_writer *writer;
  titan_status status = TITAN_OK;
  TITAN_TRY(parse_text_arguments(count, values, &wanted));
  for (int i = 0; i < wanted.input_count; i++)
    TITAN_TRY(titan_output_check_input(wanted.output, wanted.inputs[i]));
  TITAN_TRY(titan_jsonl_create(wanted.output, &writer));
  for (int i = 0; i < wanted.input_count; i++)
    TITAN_TRY_CLEANUP(titan_text_convert(wanted.inputs[i], wanted.document, writer, &counts));
  if (counts.documents == 0)
    TITAN_TRY_CLEANUP(titan_error(TITAN_ERROR_DATA, "the input holds no text, so %s is not written", wanted.output));
  TITAN_TRY_CLEANUP(titan_jsonl_finish(&writer));
  fprintf(stderr, "%s: %" PRIu64 " documents, %" PRIu64 " bytes of text\n", wanted.output, counts.documents,
          counts.bytes);
  if (counts.json_lines != NULL)
    fprintf(stderr, "titan-corpus: %s seems to be JSON lines already; its lines were taken as plain text\n",
            counts.json_lines);
  if (counts.replaced > 0)
    fprintf(stderr, "titan-corpus: %" PRIu64 " invalid UTF-8 sequences became U+FFFD\n", counts.replaced);
cleanup:
  titan_jsonl_discard(&writer);
  return status;
}

// --- indexes ---

static titan_status make_indexes(int count, char **files) {
  for (int i = 0; i < count; i++)
    if (files[i][0] == '-')
      return titan_error(TITAN_ERROR_USAGE, "index has no option %s\n%s", files[i], titan_corpus_usage);
  if (count == 0)
    return titan_error(TITAN_ERROR_USAGE, "index needs a FILE\n%s", titan_corpus_usage);
  for (int i = 0; i < count; i++) {
    int64_t documents;
    TITAN_TRY(titan_corpus_index_write(files[i], &documents));
    fprintf(stderr, "%s%s: %" PRId64 " documents\n", files[i], TITAN_CORPUS_INDEX_ENDING, documents);
  }
  return TITAN_OK;
}

static titan_status run(int count, char **values) {
  for (int i = 1; i < count; i++) {
    bool help = strcmp(values[i], "--help") == 0 || strcmp(values[i], "-h") == 0;
    if (!help && strcmp(values[i], "--version") != 0)
      continue;
    fputs(help ? titan_corpus_usage : "titan-corpus " TITAN_VERSION "\n", stdout);
    return titan_text_flush(stdout, "standard output");
  }
  if (count > 1 && strcmp(values[1], "text2jsonl") == 0)
    return convert(count - 2, values + 2);
  if (count > 1 && strcmp(values[1], "index") == 0)
    return make_indexes(count - 2, values + 2);
  return generate(count, values);
}

int main(int count, char **values) {
  titan_status status = run(count, values);
  if (status != TITAN_OK)
    fprintf(stderr, "titan-corpus: %s\n", titan_error_message());
  return titan_status_exit_code(status);
}
