// SPDX-License-Identifier: Apache-2.0
// titan-tokenizer: trains, describes and tries out tokenizers.
#include "app/usage.h"
#include "base/memory.h"
#include "data/jsonl.h"
#include "storage/output.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_train.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INPUT_LIMIT = 1024 };

typedef struct arguments {
  const char *model, *output;
  const char *inputs[INPUT_LIMIT];
  int input_count;
  int64_t vocabulary_size;
  bool special;
} arguments;

typedef struct command {
  const char *name;
  titan_status (*run)(const arguments *);
  const char *options; // names that the command knows, each with a blank on both sides
  const char *input;   // how its input is given, for a message
} command;

static titan_status parse_size(const char *text, int64_t *out) {
  char *end;
  errno = 0;
  *out = strtoll(text, &end, 10);
  if (errno || end == text || *end)
    return titan_error(TITAN_ERROR_USAGE, "--vocab-size: '%s' is not a whole number", text);
  return TITAN_OK;
}

static titan_status set_value(arguments *out, const char *name, const char *value) {
  if (strcmp(name, "--model") == 0) {
    out->model = value;
  } else if (strcmp(name, "--output") == 0) {
    out->output = value;
  } else if (strcmp(name, "--vocab-size") == 0) {
    return parse_size(value, &out->vocabulary_size);
  } else {
    if (out->input_count == INPUT_LIMIT)
      return titan_error(TITAN_ERROR_USAGE, "more than %d files", INPUT_LIMIT);
    out->inputs[out->input_count++] = value;
  }
  return TITAN_OK;
}

// Options as "--name value" and "--name=value".
static titan_status parse_arguments(const command *wanted, int count, char **values, arguments *out) {
  for (int i = 2; i < count; i++) {
    char name[24], padded[32];
    const char *equals = strchr(values[i], '=');
    snprintf(name, sizeof name, "%.*s", (int)(equals ? equals - values[i] : 20), values[i]);
    snprintf(padded, sizeof padded, " %s ", name);
    if (values[i][0] != '-')
      return titan_error(TITAN_ERROR_USAGE, "%s: unexpected argument '%s'; %s", wanted->name, values[i], wanted->input);
    if (strncmp(name, "--", 2) != 0 || strchr(name, ' ') || !strstr(wanted->options, padded))
      return titan_error(TITAN_ERROR_USAGE, "%s has no option '%s'; see titan-tokenizer --help", wanted->name,
                         values[i]);
    if (strcmp(name, "--special") == 0) {
      if (equals)
        return titan_error(TITAN_ERROR_USAGE, "--special takes no value");
      out->special = true;
      continue;
    }
    if (!equals && i + 1 == count)
      return titan_error(TITAN_ERROR_USAGE, "%s needs a value", name);
    TITAN_TRY(set_value(out, name, equals ? equals + 1 : values[++i]));
  }
  if (strstr(wanted->options, " --model ") && !out->model)
    return titan_error(TITAN_ERROR_USAGE, "%s needs --model FILE", wanted->name);
  return TITAN_OK;
}

static titan_status load(const char *path, titan_tokenizer **out) {
  char *bytes;
  size_t length;
  TITAN_TRY(titan_tokenizer_read_file(path, &bytes, &length));
  titan_status status = titan_tokenizer_create(bytes, length, path, out);
  titan_memory_free(bytes);
  return status;
}

static titan_status add_file(titan_tokenizer_trainer *trainer, const char *path) {
  titan_jsonl *reader;
  titan_status status = TITAN_OK;
  TITAN_TRY(titan_jsonl_open(path, &reader));
  for (;;) {
    const char *text;
    size_t length;
    bool end;
    TITAN_TRY_CLEANUP(titan_jsonl_next(reader, &text, &length, &end));
    if (end)
      break;
    TITAN_TRY_CLEANUP(titan_tokenizer_trainer_add(trainer, text, length));
  }
cleanup:
  titan_jsonl_close(&reader);
  return status;
}

static titan_status run_train(const arguments *wanted) {
  titan_tokenizer_trainer *trainer = NULL;
  titan_output *output = NULL;
  titan_text model = {0};
  titan_status status = TITAN_OK;
  if (wanted->input_count == 0 || !wanted->output || wanted->vocabulary_size == 0)
    return titan_error(TITAN_ERROR_USAGE, "train needs --jsonl FILE, --vocab-size N and --output FILE");
  for (int i = 0; i < wanted->input_count; i++)
    TITAN_TRY(titan_output_check_input(wanted->output, wanted->inputs[i]));
  TITAN_TRY(titan_output_create(wanted->output, TITAN_OUTPUT_REPLACE, &output)); // before the work, not after it
  TITAN_TRY_CLEANUP(titan_tokenizer_trainer_create(&trainer));
  for (int i = 0; i < wanted->input_count; i++)
    TITAN_TRY_CLEANUP(add_file(trainer, wanted->inputs[i]));
  TITAN_TRY_CLEANUP(titan_tokenizer_trainer_finish(trainer, wanted->vocabulary_size, &model));
  TITAN_TRY_CLEANUP(titan_output_write(output, model.data, model.length));
  TITAN_TRY_CLEANUP(titan_output_finish(&output));
  fprintf(stderr, "%s: %lld tokens from %llu bytes of text, %llu different pieces\n", wanted->output,
          (long long)wanted->vocabulary_size, (unsigned long long)titan_tokenizer_trainer_bytes(trainer),
          (unsigned long long)titan_tokenizer_trainer_pieces(trainer));
cleanup:
  titan_output_discard(&output);
  titan_text_destroy(&model);
  titan_tokenizer_trainer_destroy(&trainer);
  return status;
}

static void print_ids(const titan_token_buffer *tokens) {
  for (size_t i = 0; i < tokens->count; i++) {
    char digits[12], *at = digits + sizeof digits;
    *--at = i + 1 < tokens->count ? ' ' : '\n';
    for (int32_t id = tokens->ids[i];; id /= 10) {
      *--at = (char)('0' + id % 10);
      if (id < 10)
        break;
    }
    fwrite(at, 1, (size_t)(digits + sizeof digits - at), stdout);
  }
  if (tokens->count == 0)
    fputc('\n', stdout);
}

typedef struct encoding {
  titan_tokenizer *tokenizer;
  titan_tokenizer_scratch *scratch;
  titan_token_buffer tokens;
  uint64_t replaced;
  bool special;
} encoding;

static titan_status encode_text(encoding *encoder, const char *text, size_t length) {
  uint64_t replaced;
  titan_token_buffer *tokens = &encoder->tokens;
  tokens->count = 0;
  if (encoder->special)
    TITAN_TRY(titan_token_buffer_append(tokens, titan_tokenizer_bos(encoder->tokenizer)));
  TITAN_TRY(titan_tokenizer_encode(encoder->tokenizer, encoder->scratch, text, length, tokens, &replaced));
  if (encoder->special)
    TITAN_TRY(titan_token_buffer_append(tokens, titan_tokenizer_eos(encoder->tokenizer)));
  encoder->replaced += replaced;
  print_ids(tokens);
  return TITAN_OK;
}

static titan_status encode_file(encoding *encoder, const char *path) {
  titan_jsonl *reader;
  titan_status status = TITAN_OK;
  TITAN_TRY(titan_jsonl_open(path, &reader));
  for (;;) {
    const char *text;
    size_t length;
    bool end;
    TITAN_TRY_CLEANUP(titan_jsonl_next(reader, &text, &length, &end));
    if (end)
      break;
    TITAN_TRY_CLEANUP(encode_text(encoder, text, length));
  }
  encoder->replaced += titan_jsonl_replaced(reader);
cleanup:
  titan_jsonl_close(&reader);
  return status;
}

static titan_status read_input(titan_text *text) {
  int failure;
  TITAN_TRY(titan_text_append_stream(text, stdin, SIZE_MAX - 1, &failure));
  return failure == 0 ? TITAN_OK : titan_error(TITAN_ERROR_USAGE, "cannot read standard input: %s", strerror(failure));
}

static titan_status run_encode(const arguments *wanted) {
  encoding encoder = {.special = wanted->special};
  titan_text input = {0};
  titan_status status = TITAN_OK;
  TITAN_TRY(load(wanted->model, &encoder.tokenizer));
  TITAN_TRY_CLEANUP(titan_tokenizer_scratch_create(&encoder.scratch));
  for (int i = 0; i < wanted->input_count; i++)
    TITAN_TRY_CLEANUP(encode_file(&encoder, wanted->inputs[i]));
  if (wanted->input_count == 0) {
    TITAN_TRY_CLEANUP(read_input(&input));
    TITAN_TRY_CLEANUP(encode_text(&encoder, input.data, input.length));
  }
  TITAN_TRY_CLEANUP(titan_text_flush(stdout, "standard output"));
  if (encoder.replaced > 0)
    fprintf(stderr, "titan-tokenizer: %llu invalid UTF-8 sequences counted as U+FFFD\n",
            (unsigned long long)encoder.replaced);
cleanup:
  titan_text_destroy(&input);
  titan_token_buffer_destroy(&encoder.tokens);
  titan_tokenizer_scratch_destroy(&encoder.scratch);
  titan_tokenizer_destroy(&encoder.tokenizer);
  return status;
}

// Ids from text, separated by white space.
static titan_status parse_ids(const char *text, size_t length, titan_token_buffer *out) {
  static const char space[] = " \t\r\n";
  for (const char *at = text, *end = text + length; at < end;) {
    if (*at && strchr(space, *at)) {
      at++;
      continue;
    }
    int64_t id = 0;
    const char *start = at;
    for (; at < end && *at >= '0' && *at <= '9' && id <= INT32_MAX; at++)
      id = id * 10 + (*at - '0');
    if (at == start || id > INT32_MAX || (at < end && (*at == '\0' || !strchr(space, *at))))
      return titan_error(TITAN_ERROR_DATA, "standard input: '%.*s' is not a token id",
                         (int)(end - start < 20 ? end - start : 20), start);
    TITAN_TRY(titan_token_buffer_append(out, (int32_t)id));
  }
  return TITAN_OK;
}

static titan_status run_decode(const arguments *wanted) {
  titan_tokenizer *tokenizer = NULL;
  titan_token_buffer ids = {0};
  titan_text input = {0};
  char *bytes = NULL;
  size_t length;
  titan_status status = TITAN_OK;
  TITAN_TRY(load(wanted->model, &tokenizer));
  TITAN_TRY_CLEANUP(read_input(&input));
  TITAN_TRY_CLEANUP(parse_ids(input.data, input.length, &ids));
  TITAN_TRY_CLEANUP(titan_tokenizer_decode(tokenizer, ids.ids, ids.count, &bytes, &length));
  fwrite(bytes, 1, length, stdout);
  TITAN_TRY_CLEANUP(titan_text_flush(stdout, "standard output"));
cleanup:
  titan_memory_free(bytes);
  titan_text_destroy(&input);
  titan_token_buffer_destroy(&ids);
  titan_tokenizer_destroy(&tokenizer);
  return status;
}

static titan_status run_info(const arguments *wanted) {
  titan_tokenizer *tokenizer;
  TITAN_TRY(load(wanted->model, &tokenizer));
  printf("tokens in the file: %d\n", titan_tokenizer_base_size(tokenizer));
  printf("special tokens:     %d\n", TITAN_TOKENIZER_SPECIAL_COUNT);
  printf("vocabulary size:    %d\n", titan_tokenizer_vocabulary_size(tokenizer));
  printf("<|begin_of_text|>:  %d\n", titan_tokenizer_bos(tokenizer));
  printf("<|end_of_text|>:    %d\n", titan_tokenizer_eos(tokenizer));
  printf("longest token:      %zu bytes\n", titan_tokenizer_longest(tokenizer));
  printf("fingerprint:        %016llx\n", (unsigned long long)titan_tokenizer_fingerprint(tokenizer));
  titan_tokenizer_destroy(&tokenizer);
  return titan_text_flush(stdout, "standard output");
}

static const command commands[] = {
    {"train", run_train, " --jsonl --vocab-size --output ", "a file of text is given as --jsonl FILE"},
    {"encode", run_encode, " --model --jsonl --special ", "the text comes from standard input or --jsonl FILE"},
    {"decode", run_decode, " --model ", "the ids come from standard input"},
    {"info", run_info, " --model ", "the tokenizer is given as --model FILE"},
};

static titan_status run(int count, char **values) {
  static arguments wanted;
  for (int i = 1; i < count; i++) {
    bool help = strcmp(values[i], "--help") == 0 || strcmp(values[i], "-h") == 0;
    if (!help && strcmp(values[i], "--version") != 0)
      continue;
    fputs(help ? titan_tokenizer_usage : "titan-tokenizer " TITAN_VERSION " (Unicode 16.0.0)\n", stdout);
    return titan_text_flush(stdout, "standard output");
  }
  if (count < 2)
    return titan_error(TITAN_ERROR_USAGE, "a command is needed: train, encode, decode or info\n%s",
                       titan_tokenizer_usage);
  for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
    if (strcmp(values[1], commands[i].name) == 0) {
      TITAN_TRY(parse_arguments(&commands[i], count, values, &wanted));
      return commands[i].run(&wanted);
    }
  return titan_error(TITAN_ERROR_USAGE, "unknown command '%s'; the commands are train, encode, decode and info",
                     values[1]);
}

int main(int count, char **values) {
  titan_status status = run(count, values);
  if (status != TITAN_OK)
    fprintf(stderr, "titan-tokenizer: %s\n", titan_error_message());
  return titan_status_exit_code(status);
}
