// SPDX-License-Identifier: Apache-2.0
#include "tool/tool_tokenizer.h"

#include "base/memory.h"
#include "config/config.h"
#include "data/assets.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

static titan_status open_tokenizer(const char *path, titan_tokenizer **out) {
  char *bytes = NULL;
  size_t length = 0;
  TITAN_TRY(titan_tokenizer_read_file(path, &bytes, &length));
  titan_status status = titan_tokenizer_create(bytes, length, path, out);
  titan_memory_free(bytes);
  return status == TITAN_ERROR_DATA ? titan_error(TITAN_ERROR_CHECKPOINT, "%s", titan_error_message()) : status;
}

// Weights that were imported do not tell their tokenizer: then it must have as many tokens.
static bool is_of(const titan_tokenizer *tokenizer, const titan_checkpoint_contents *contents) {
  return contents->tokenizer != 0 ? titan_tokenizer_fingerprint(tokenizer) == contents->tokenizer
                                  : titan_tokenizer_vocabulary_size(tokenizer) == contents->model.vocabulary;
}

static titan_status take_given(const char *path, const titan_checkpoint_contents *contents, titan_tokenizer **out) {
  TITAN_TRY(open_tokenizer(path, out));
  if (is_of(*out, contents))
    return TITAN_OK;
  titan_status status = titan_error(
      TITAN_ERROR_CHECKPOINT,
      "--tokenizer: %s is another tokenizer than the model's: it has %d tokens and the fingerprint %016" PRIx64
      ", expected %" PRId64 " and %016" PRIx64,
      path, (int)titan_tokenizer_vocabulary_size(*out), titan_tokenizer_fingerprint(*out), contents->model.vocabulary,
      contents->tokenizer);
  titan_tokenizer_destroy(out);
  return status;
}

// A file that may be there, and may be the one.
static void try_file(const char *path, const titan_checkpoint_contents *contents, titan_tokenizer **out) {
  if (*out != NULL || path == NULL || access(path, R_OK) != 0 || open_tokenizer(path, out) != TITAN_OK)
    return;
  if (!is_of(*out, contents))
    titan_tokenizer_destroy(out);
}

// The path in the configuration, without its quotes. One with characters that TOML escapes is not looked for.
static titan_status configured_path(const titan_checkpoint_contents *contents, titan_text *path) {
  titan_text value = {0};
  bool found = false;
  titan_status status = TITAN_OK;
  if (contents->configuration != NULL)
    status = titan_config_saved_value(contents->configuration, "model.tokenizer_path", &value, &found);
  if (status == TITAN_OK && found && value.length > 2 && strchr(value.data, '\\') == NULL)
    status = titan_text_append(path, value.data + 1, value.length - 2);
  titan_text_destroy(&value);
  return status;
}

titan_status titan_tool_tokenizer_find(const char *given, const titan_checkpoint_contents *contents,
                                       titan_tokenizer **out) {
  titan_text path = {0};
  *out = NULL;
  if (given != NULL)
    return take_given(given, contents, out);
  if (contents->tokenizer == 0)
    return TITAN_OK;
  titan_status status = configured_path(contents, &path);
  if (status == TITAN_OK)
    try_file(path.data, contents, out);
  path.length = 0;
  if (status == TITAN_OK && titan_assets_find("test_tokenizer.model", &path) == TITAN_OK)
    try_file(path.data, contents, out);
  titan_text_destroy(&path);
  return status;
}
