// SPDX-License-Identifier: Apache-2.0
#include "data/document.h"

#include <inttypes.h>

enum {
  PART_BYTES = 1 << 18,     // of a text that are encoded at once, so that its ids are never held twice
  LARGE_PART_IDS = 1 << 20, // kept no longer than for the document that needs so many
  ALWAYS_BYTES = 4 << 20,   // of which a process has the room
};

typedef struct encoding {
  titan_document_encoder *encoder;
  const char *where;
  titan_document_sink *sink;
  void *context;
  uint64_t tokens; // so far
} encoding;

static size_t most_of(const titan_document_encoder *encoder) {
  return encoder->limit == 0 ? 0 : encoder->limit > ALWAYS_BYTES ? encoder->limit : (size_t)ALWAYS_BYTES;
}

static titan_status give(encoding *e, const int32_t *ids, int64_t count) {
  size_t most = most_of(e->encoder), repaired = titan_tokenizer_scratch_repaired(e->encoder->scratch);
  e->tokens += (uint64_t)count;
  if (most > 0 && e->tokens * sizeof *ids + repaired > most)
    return titan_error(TITAN_ERROR_DATA,
                       "%s: the document takes more than %.6g MiB (training.document_limit): it has more than %" PRIu64
                       " tokens%s; with a larger limit it can be read, and each rank takes twice the limit in memory",
                       e->where, (double)most / (1 << 20), e->tokens - (uint64_t)count,
                       repaired > 0 ? ", and invalid UTF-8, which takes a copy of it" : "");
  TITAN_TRY(e->sink(e->context, ids, count));
  e->encoder->to_come -= (uint64_t)count < e->encoder->to_come ? (uint64_t)count : e->encoder->to_come;
  return TITAN_OK;
}

// After the repair: no id stands for less than a byte.
static void expect_ids(titan_document_encoder *encoder, size_t length) {
  size_t most = most_of(encoder), repaired = titan_tokenizer_scratch_repaired(encoder->scratch);
  encoder->to_come = length + 2;
  if (most > 0 && encoder->to_come > (most - repaired) / sizeof(int32_t))
    encoder->to_come = (most - repaired) / sizeof(int32_t);
}

// What the tokenizer may take, beside the tokens.
static void leave_rest(const encoding *e) {
  size_t most = most_of(e->encoder), taken = (size_t)e->tokens * sizeof(int32_t);
  titan_tokenizer_scratch_set_limit(e->encoder->scratch, most == 0 ? 0 : most > taken ? most - taken : 1);
}

// The tokenizer's error gets the place.
static titan_status at_place(const encoding *e, titan_status status) {
  return status == TITAN_ERROR_DATA ? titan_error(status, "%s: %s", e->where, titan_error_message()) : status;
}

static titan_status encode_text(encoding *e, const char *text, size_t length) {
  titan_document_encoder *encoder = e->encoder;
  titan_token_buffer *ids = &encoder->ids;
  const int32_t bos = titan_tokenizer_bos(encoder->tokenizer), eos = titan_tokenizer_eos(encoder->tokenizer);
  TITAN_TRY(give(e, &bos, 1));
  for (size_t used; length > 0; text += used, length -= used) {
    ids->count = 0;
    leave_rest(e);
    TITAN_TRY(at_place(
        e, titan_tokenizer_encode_part(encoder->tokenizer, encoder->scratch, text, length, PART_BYTES, &used, ids)));
    TITAN_TRY(give(e, ids->ids, (int64_t)ids->count));
  }
  return give(e, &eos, 1);
}

titan_status titan_document_encode(titan_document_encoder *encoder, const char *text, size_t length, const char *where,
                                   titan_document_sink *sink, void *context, uint64_t *replaced) {
  encoding e = {encoder, where, sink, context, 0};
  *replaced = 0;
  leave_rest(&e);
  titan_status status = at_place(&e, titan_tokenizer_repair(encoder->scratch, &text, &length, replaced));
  if (status == TITAN_OK) {
    expect_ids(encoder, length);
    status = encode_text(&e, text, length);
  }
  titan_tokenizer_scratch_set_limit(encoder->scratch, 0);
  if (encoder->ids.capacity > LARGE_PART_IDS)
    titan_token_buffer_destroy(&encoder->ids);
  return status;
}

void titan_document_encoder_destroy(titan_document_encoder *encoder) {
  titan_token_buffer_destroy(&encoder->ids);
}
