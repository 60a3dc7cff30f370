// titan-corpus: writes a corpus of generated text.
#include "base/memory.h"
#include "data/corpus_generate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: titan-corpus --documents N --output FILE [--seed S]\n"
    "Writes N documents of generated text as JSON lines {\"text\": ...}; a FILE that ends in .gz is compressed.\n"
    "Equal arguments give equal files. S is 0 unless given.\n";

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

static titan_status parse_arguments(int count, char **values, arguments *out) {
  for (int i = 1; i < count; i += 2) {
    if (i + 1 == count)
      return titan_error(TITAN_ERROR_USAGE, "%s needs a value\n%s", values[i], usage);
    if (strcmp(values[i], "--documents") == 0)
      TITAN_TRY(parse_number(values[i], values[i + 1], &out->documents));
    else if (strcmp(values[i], "--seed") == 0)
      TITAN_TRY(parse_number(values[i], values[i + 1], &out->seed));
    else if (strcmp(values[i], "--output") == 0)
      out->output = values[i + 1];
    else
      return titan_error(TITAN_ERROR_USAGE, "unknown option %s\n%s", values[i], usage);
  }
  if (out->documents == 0 || out->output == NULL)
    return titan_error(TITAN_ERROR_USAGE, "--documents and --output are needed\n%s", usage);
  return TITAN_OK;
}

static titan_status run(int count, char **values) {
  arguments wanted = {0};
  titan_corpus_generator *generator;
  TITAN_TRY(parse_arguments(count, values, &wanted));
  TITAN_TRY(titan_corpus_generator_create(wanted.seed, &generator));
  titan_status status = titan_corpus_generator_write(generator, wanted.documents, wanted.output);
  titan_corpus_generator_destroy(&generator);
  return status;
}

int main(int count, char **values) {
  if (count == 2 && (strcmp(values[1], "--help") == 0 || strcmp(values[1], "-h") == 0)) {
    fputs(usage, stdout);
    return 0;
  }
  titan_status status = run(count, values);
  if (status != TITAN_OK)
    fprintf(stderr, "titan-corpus: %s\n", titan_error_message());
  return titan_status_exit_code(status);
}
