// SPDX-License-Identifier: Apache-2.0
#include "data/validation.h"

#include "base/log.h"
#include "base/memory.h"
#include "data/document.h"

#include <string.h>

enum { MANY_IDS = 1 << 16 };

struct titan_validation_data {
  titan_validation_data_options options;
  titan_corpus_reader *reader;
  titan_tokenizer_scratch *scratch;
  titan_document_encoder encoder;
  titan_token_buffer ids; // read and not yet taken: ids.ids[start .. ids.count-1]
  size_t start;
  int64_t position;     // of ids.ids[start] among the corpus' tokens
  bool ended;           // there is nothing behind ids
  int64_t known_tokens; // of the whole corpus; -1: no round has come to its end
  bool warned_of_invalid;
};

size_t titan_validation_data_bytes(int64_t seq_len) {
  return sizeof(titan_validation_data) + 3 * ((size_t)seq_len + 1) * sizeof(int32_t);
}

static int64_t queued(const titan_validation_data *data) {
  return (int64_t)(data->ids.count - data->start);
}

// Drops the next tokens, at most those that are queued.
static void drop(titan_validation_data *data, int64_t count) {
  int64_t dropped = count < queued(data) ? count : queued(data);
  data->start += (size_t)dropped;
  data->position += dropped;
}

static void warn_of_invalid(titan_validation_data *data, uint64_t in_tokens) {
  uint64_t replaced = in_tokens + titan_corpus_reader_replaced(data->reader);
  if (replaced == 0 || data->warned_of_invalid || data->options.quiet)
    return;
  data->warned_of_invalid = true;
  titan_log_warning(
      "%s: the text holds invalid UTF-8 (%llu sequences in this document), replaced by U+FFFD; later ones "
      "are not reported",
      titan_corpus_reader_where(data->reader), (unsigned long long)replaced);
}

// The corpus has been read to its end.
static titan_status end_round(titan_validation_data *data) {
  const titan_corpus *corpus = data->options.corpus;
  int64_t tokens = data->position + queued(data);
  data->ended = true;
  if (data->known_tokens >= 0 && data->known_tokens != tokens)
    return titan_error(TITAN_ERROR_DATA,
                       "%s: the corpus %s has %lld tokens, and had %lld in the previous validation: it has changed "
                       "during the run",
                       titan_corpus_option(corpus), titan_corpus_name(corpus), (long long)tokens,
                       (long long)data->known_tokens);
  data->known_tokens = tokens;
  return TITAN_OK;
}

// Growing by copies takes the sum of both: a document that may have many tokens gets the room for the most at once.
static titan_status queue_ids(void *context, const int32_t *ids, int64_t count) {
  titan_validation_data *data = context;
  size_t room = data->encoder.to_come > MANY_IDS ? (size_t)data->encoder.to_come : (size_t)count;
  TITAN_TRY(titan_token_buffer_reserve(&data->ids, room));
  memcpy(data->ids.ids + data->ids.count, ids, (size_t)count * sizeof *ids);
  data->ids.count += (size_t)count;
  return TITAN_OK;
}

// What a large document has left, of which the windows need little, does not stay for the next one.
static titan_status give_room_back(titan_validation_data *data) {
  size_t left = data->ids.count + 1;
  if (data->ids.capacity <= MANY_IDS + 3 * ((size_t)data->options.seq_len + 1) || left >= data->ids.capacity)
    return TITAN_OK;
  TITAN_TRY(titan_memory_resize(TITAN_MEMORY_DATA, left * sizeof *data->ids.ids, &data->ids.ids));
  data->ids.capacity = left;
  return TITAN_OK;
}

// Queues BOS, text and EOS of the next document; *text_bytes (may be NULL) is the text's length. At the end of the
// corpus it ends the round instead.
static titan_status read_document(titan_validation_data *data, size_t *text_bytes) {
  const char *text;
  size_t length;
  uint64_t replaced = 0;
  TITAN_TRY(titan_corpus_reader_next(data->reader, &text, &length));
  if (titan_corpus_reader_passes(data->reader) > 0)
    return end_round(data);
  if (data->start > 0)
    memmove(data->ids.ids, data->ids.ids + data->start, (size_t)queued(data) * sizeof(int32_t));
  data->ids.count -= data->start;
  data->start = 0;
  TITAN_TRY(give_room_back(data));
  TITAN_TRY(titan_document_encode(&data->encoder, text, length, titan_corpus_reader_where(data->reader), queue_ids,
                                  data, &replaced));
  warn_of_invalid(data, replaced);
  if (text_bytes != NULL)
    *text_bytes = length;
  return TITAN_OK;
}

// Goes on to token `begin`, or to the end of the corpus, and reads until `count` tokens are queued from there, or all
// that are left.
static titan_status seek(titan_validation_data *data, int64_t begin, int64_t count) {
  drop(data, begin - data->position);
  while (!data->ended && (data->position < begin || queued(data) < count)) {
    TITAN_TRY(read_document(data, NULL));
    drop(data, begin - data->position);
  }
  return TITAN_OK;
}

titan_status titan_validation_data_rewind(titan_validation_data *data) {
  titan_corpus_reader_destroy(&data->reader);
  data->ids.count = data->start = 0;
  data->position = 0;
  data->ended = false;
  TITAN_TRY(titan_corpus_reader_create(data->options.corpus, (titan_corpus_place){0, 0}, &data->reader));
  titan_corpus_reader_set_limit(data->reader, data->options.document_limit);
  return TITAN_OK;
}

// Reads as far as the first text and the end of the first window, and begins anew.
static titan_status check_text(titan_validation_data *data) {
  const titan_corpus *corpus = data->options.corpus;
  int64_t window = data->options.seq_len + 1;
  bool has_text = false;
  TITAN_TRY(titan_validation_data_rewind(data));
  while (!data->ended && (!has_text || data->position < window)) {
    size_t bytes = 0;
    TITAN_TRY(read_document(data, &bytes));
    has_text |= bytes > 0;
    drop(data, queued(data));
  }
  if (!has_text)
    return titan_error(TITAN_ERROR_DATA, "%s: the corpus %s holds no text", titan_corpus_option(corpus),
                       titan_corpus_name(corpus));
  if (data->position < window)
    return titan_error(TITAN_ERROR_DATA,
                       "%s: the corpus %s is shorter than one window: it has %lld tokens, and sequences of %lld "
                       "need %lld",
                       titan_corpus_option(corpus), titan_corpus_name(corpus), (long long)data->position,
                       (long long)data->options.seq_len, (long long)window);
  return titan_validation_data_rewind(data);
}

titan_status titan_validation_data_create(const titan_validation_data_options *options, titan_validation_data **out) {
  titan_validation_data *data;
  titan_status status;
  *out = NULL;
  if (options->seq_len < 1)
    return titan_error(TITAN_ERROR_USAGE, "validation.seq_len = %lld: expected at least 1",
                       (long long)options->seq_len);
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_DATA, 1, sizeof *data, &data));
  data->options = *options;
  data->known_tokens = -1;
  TITAN_TRY_CLEANUP(titan_tokenizer_scratch_create(&data->scratch));
  data->encoder = (titan_document_encoder){
      .tokenizer = options->tokenizer, .scratch = data->scratch, .limit = options->document_limit};
  TITAN_TRY_CLEANUP(check_text(data));
  *out = data;
  return TITAN_OK;
cleanup:
  titan_validation_data_destroy(&data);
  return status;
}

void titan_validation_data_destroy(titan_validation_data **data) {
  if (*data == NULL)
    return;
  titan_document_encoder_destroy(&(*data)->encoder);
  titan_token_buffer_destroy(&(*data)->ids);
  titan_tokenizer_scratch_destroy(&(*data)->scratch);
  titan_corpus_reader_destroy(&(*data)->reader);
  titan_memory_free(*data);
  *data = NULL;
}

// Whether windows first .. first+count-1 are numbers that fit, and none of them was passed.
static titan_status check_windows(const titan_validation_data *data, int64_t first, int64_t count) {
  int64_t window = data->options.seq_len + 1;
  if (first < 0 || count < 1 || first > INT64_MAX / window - count)
    return titan_error(TITAN_ERROR_INTERNAL, "validation: %lld windows from window %lld on", (long long)count,
                       (long long)first);
  if (first * window < data->position)
    return titan_error(TITAN_ERROR_INTERNAL, "validation: window %lld was passed: token %lld is next", (long long)first,
                       (long long)data->position);
  return TITAN_OK;
}

titan_status titan_validation_data_has(titan_validation_data *data, int64_t window, bool *exists) {
  TITAN_TRY(check_windows(data, window, 1));
  int64_t begin = window * (data->options.seq_len + 1);
  TITAN_TRY(seek(data, begin, 2));
  *exists = data->position == begin && queued(data) >= 2;
  return TITAN_OK;
}

titan_status titan_validation_data_next(titan_validation_data *data, int64_t first, int64_t count, int32_t *tokens_BL,
                                        int32_t *labels_BL) {
  int64_t length = data->options.seq_len;
  TITAN_TRY(check_windows(data, first, count));
  for (int64_t i = 0; i < count; i++) {
    int64_t begin = (first + i) * (length + 1);
    TITAN_TRY(seek(data, begin, length + 1));
    int64_t there = queued(data) < length + 1 ? queued(data) : length + 1;
    const int32_t *window = data->ids.ids + data->start;
    for (int64_t k = 0; k < length; k++) {
      bool predicted = k + 1 < there;
      tokens_BL[i * length + k] = predicted ? window[k] : 0;
      labels_BL[i * length + k] = predicted ? window[k + 1] : TITAN_VALIDATION_NO_LABEL;
    }
    drop(data, there);
  }
  return TITAN_OK;
}

int64_t titan_validation_data_window_count(const titan_validation_data *data) {
  int64_t window = data->options.seq_len + 1;
  return data->known_tokens < 0 ? -1 : data->known_tokens / window + (data->known_tokens % window >= 2);
}
