// SPDX-License-Identifier: Apache-2.0
#include "data/loader_lanes.h"

#include "base/log.h"
#include "base/memory.h"
#include "data/document.h"

#include <string.h>

// A document, or what is left of it, in a lane's queue.
typedef struct segment {
  int64_t document, token,
      left; // the next token to be served is number `token` of the document; `left` tokens are queued
  titan_corpus_place place;
} segment;

enum { BLOCK_TOKENS = 4000 }; // of a queue; 16 KB

typedef struct token_block {
  struct token_block *next;
  int32_t tokens[BLOCK_TOKENS];
} token_block;

typedef struct lane {
  token_block *first, *last; // queued: `count` tokens, from first->tokens[start] on; all blocks but the last are full
  int64_t start, count;
  segment *segments; // queued: segments[first_segment .. first_segment+segment_count-1]
  int64_t first_segment, segment_count, segment_capacity;
  titan_loader_cursor cursor; // where serving goes on
  titan_loader_cursor resume; // what lies before is not queued
} lane;

struct titan_lanes {
  titan_loader_options options;
  const atomic_bool *stop;
  titan_corpus_reader *reader;
  titan_tokenizer_scratch *scratch;
  titan_document_encoder encoder;
  lane *lanes;
  int64_t earliest;    // of these lanes' documents, the first that is read
  uint64_t invalid;    // sequences replaced by the tokenizer
  uint64_t text_bytes; // read so far
  bool checked;        // the corpus is known to fill a window
  bool met_end, warned_of_invalid;
};

void titan_lanes_first_cursors(int64_t first_lane, int64_t lane_count, titan_loader_cursor *cursors) {
  for (int64_t i = 0; i < lane_count; i++)
    cursors[i] = (titan_loader_cursor){.document = first_lane + i};
}

// The first document that no lane has begun.
static int64_t first_unread(const titan_loader_cursor *cursors, int64_t count) {
  int64_t first = 0;
  for (int64_t i = 0; i < count; i++) {
    // A lane that stands at a document's beginning has finished the one before it in the lane.
    int64_t behind = cursors[i].token > 0 ? cursors[i].document + 1 : cursors[i].document - count + 1;
    first = behind > first ? behind : first;
  }
  return first;
}

titan_loader_change titan_loader_change_of(const titan_loader_cursor *old, int64_t old_count) {
  titan_loader_change change = {.first_document = first_unread(old, old_count)};
  int64_t first = change.first_document;
  for (int64_t i = 0; i < old_count; i++) {
    if (old[i].place.document <= first && old[i].place.document >= change.place.document)
      change.place = old[i].place;
    if (old[i].document >= first)
      continue;
    change.skipped += (first - 1 - old[i].document) / old_count + 1;
    change.in_part += old[i].token > 0;
  }
  return change;
}

void titan_loader_deal_anew(const titan_loader_change *change, int64_t global_batch, int64_t first_lane,
                            int64_t lane_count, titan_loader_cursor *cursors) {
  int64_t first = change->first_document;
  for (int64_t i = 0; i < lane_count; i++) {
    int64_t lane_number = first_lane + i, behind = (lane_number - first % global_batch + global_batch) % global_batch;
    cursors[i] = (titan_loader_cursor){.document = first + behind, .place = change->place};
  }
}

static titan_status check_cursors(const titan_loader_options *options, const titan_loader_cursor *cursors) {
  for (int64_t i = 0; i < options->lane_count; i++) {
    const titan_loader_cursor *cursor = &cursors[i];
    int64_t lane_number = options->first_lane + i;
    bool fits = cursor->document >= 0 && cursor->document % options->global_batch == lane_number &&
                cursor->token >= 0 && cursor->place.document >= 0 && cursor->place.document <= cursor->document &&
                cursor->place.file >= 0 && cursor->place.file < titan_corpus_file_count(options->corpus);
    if (!fits)
      return titan_error(TITAN_ERROR_DATA,
                         "the saved position of lane %lld (document %lld, token %lld, file %lld) does not fit a global "
                         "batch of %lld and the %lld files of %s; expected the batch and the corpus "
                         "of the run that saved it",
                         (long long)lane_number, (long long)cursor->document, (long long)cursor->token,
                         (long long)cursor->place.file, (long long)options->global_batch,
                         (long long)titan_corpus_file_count(options->corpus), titan_corpus_name(options->corpus));
  }
  return TITAN_OK;
}

static titan_status start_lanes(titan_lanes *lanes, titan_corpus_told *told) {
  const titan_loader_options *options = &lanes->options;
  titan_loader_cursor *cursors;
  titan_status status = TITAN_OK;
  size_t count = (size_t)options->lane_count;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_DATA, count, sizeof *lanes->lanes, &lanes->lanes));
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_DATA, count, sizeof *cursors, &cursors));
  titan_lanes_first_cursors(options->first_lane, options->lane_count, cursors);
  if (options->cursors != NULL)
    memcpy(cursors, options->cursors, count * sizeof *cursors);
  TITAN_TRY_CLEANUP(check_cursors(options, cursors));
  const titan_loader_cursor *earliest = &cursors[0];
  for (size_t i = 0; i < count; i++) {
    lanes->lanes[i].cursor = lanes->lanes[i].resume = cursors[i];
    if (cursors[i].document < earliest->document)
      earliest = &cursors[i];
  }
  lanes->checked = earliest->place.file > 0 || earliest->place.document > 0; // this run filled windows before
  TITAN_TRY_CLEANUP(titan_corpus_reader_create(options->corpus, earliest->place, &lanes->reader));
  titan_corpus_reader_set_limit(lanes->reader, options->document_limit);
  titan_corpus_share share = {options->first_lane, options->lane_count, options->global_batch};
  titan_corpus_reader_use_indexes(lanes->reader, share, told);
  lanes->earliest = earliest->document;
cleanup:
  titan_memory_free(cursors);
  return status;
}

titan_status titan_lanes_create(const titan_loader_options *options, const atomic_bool *stop, titan_corpus_told *told,
                                titan_lanes **out) {
  titan_lanes *lanes;
  titan_status status;
  *out = NULL;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_DATA, 1, sizeof *lanes, &lanes));
  lanes->options = *options;
  lanes->stop = stop;
  TITAN_TRY_CLEANUP(titan_tokenizer_scratch_create(&lanes->scratch));
  lanes->encoder = (titan_document_encoder){
      .tokenizer = options->tokenizer, .scratch = lanes->scratch, .limit = options->document_limit};
  TITAN_TRY_CLEANUP(start_lanes(lanes, told));
  lanes->options.cursors = NULL;
  *out = lanes;
  return TITAN_OK;
cleanup:
  titan_lanes_destroy(&lanes);
  return status;
}

void titan_lanes_destroy(titan_lanes **lanes) {
  if (*lanes == NULL)
    return;
  for (int64_t i = 0; (*lanes)->lanes != NULL && i < (*lanes)->options.lane_count; i++) {
    for (token_block *block = (*lanes)->lanes[i].first, *next; block != NULL; block = next) {
      next = block->next;
      titan_memory_free(block);
    }
    titan_memory_free((*lanes)->lanes[i].segments);
  }
  titan_memory_free((*lanes)->lanes);
  titan_document_encoder_destroy(&(*lanes)->encoder);
  titan_tokenizer_scratch_destroy(&(*lanes)->scratch);
  titan_corpus_reader_destroy(&(*lanes)->reader);
  titan_memory_free(*lanes);
  *lanes = NULL;
}

uint64_t titan_lanes_replaced(const titan_lanes *lanes) {
  return lanes->invalid + titan_corpus_reader_replaced(lanes->reader);
}

// --- queues ---

// Room for `more` elements of `size` bytes behind array[start .. start+count-1], which moves to the front when that
// suffices.
static titan_status make_room(void *array, int64_t *start, int64_t count, int64_t *capacity, int64_t more,
                              size_t size) {
  char **bytes = array;
  if (*start + count + more <= *capacity)
    return TITAN_OK;
  if (*start > 0) {
    memmove(*bytes, *bytes + (size_t)*start * size, (size_t)count * size);
    *start = 0;
  }
  if (2 * (count + more) <= *capacity) // moved by no more than what was taken since the last move
    return TITAN_OK;
  int64_t grown = 3 * (count + more);
  TITAN_TRY(titan_memory_resize(TITAN_MEMORY_DATA, (size_t)grown * size, array));
  *capacity = grown;
  return TITAN_OK;
}

static titan_status append_tokens(lane *to, const int32_t *tokens, int64_t count) {
  while (count > 0) {
    int64_t used = (to->start + to->count) % BLOCK_TOKENS;
    if (to->last == NULL || used == 0) {
      token_block *block;
      TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_DATA, sizeof *block, &block));
      block->next = NULL;
      *(to->last != NULL ? &to->last->next : &to->first) = block;
      to->last = block;
    }
    int64_t some = count < BLOCK_TOKENS - used ? count : BLOCK_TOKENS - used;
    memcpy(to->last->tokens + used, tokens, (size_t)some * sizeof *tokens);
    to->count += some;
    tokens += some;
    count -= some;
  }
  return TITAN_OK;
}

static void take_tokens(lane *from, int32_t *tokens, int64_t count) {
  while (count > 0) {
    token_block *block = from->first;
    int64_t some = count < BLOCK_TOKENS - from->start ? count : BLOCK_TOKENS - from->start;
    memcpy(tokens, block->tokens + from->start, (size_t)some * sizeof *tokens);
    from->start += some;
    from->count -= some;
    tokens += some;
    count -= some;
    if (from->start < BLOCK_TOKENS)
      continue;
    from->first = block->next;
    from->last = from->first != NULL ? from->last : NULL;
    from->start = 0;
    titan_memory_free(block);
  }
}

static void take_window(lane *from, int64_t length, int64_t global_batch, int32_t *window) {
  take_tokens(from, window, length);
  while (length > 0) {
    segment *first = &from->segments[from->first_segment];
    int64_t taken = length < first->left ? length : first->left;
    first->token += taken;
    first->left -= taken;
    length -= taken;
    from->cursor = (titan_loader_cursor){.document = first->document, .token = first->token, .place = first->place};
    if (first->left == 0) { // the next document may not be read yet, but its number is known
      from->cursor.document += global_batch;
      from->cursor.token = 0;
      from->first_segment++;
      from->segment_count--;
    }
  }
}

// --- reading ---

// A document on its way into a lane.
typedef struct dealing {
  lane *to;       // NULL: its tokens are counted only
  int64_t begin;  // tokens before this one are left out
  int64_t tokens; // so far
} dealing;

static titan_status deal(void *context, const int32_t *ids, int64_t count) {
  dealing *d = context;
  int64_t left_out = d->begin > d->tokens ? d->begin - d->tokens : 0;
  d->tokens += count;
  if (d->to == NULL || left_out >= count)
    return TITAN_OK;
  return append_tokens(d->to, ids + left_out, count - left_out);
}

// Deals BOS, text, EOS of the document that `reader` has read last.
static titan_status deal_document(titan_lanes *lanes, titan_corpus_reader *reader, const char *text, size_t length,
                                  dealing *d) {
  uint64_t replaced = 0;
  lanes->text_bytes += length;
  titan_status status =
      titan_document_encode(&lanes->encoder, text, length, titan_corpus_reader_where(reader), deal, d, &replaced);
  lanes->invalid += replaced;
  return status;
}

static titan_status queue_document(titan_lanes *lanes, lane *to, int64_t document, const char *text, size_t length) {
  int64_t begin = document == to->resume.document ? to->resume.token : 0;
  dealing d = {.to = to, .begin = begin};
  TITAN_TRY(
      make_room(&to->segments, &to->first_segment, to->segment_count, &to->segment_capacity, 1, sizeof *to->segments));
  TITAN_TRY(deal_document(lanes, lanes->reader, text, length, &d));
  if (d.tokens <= begin)
    return titan_error(TITAN_ERROR_DATA,
                       "%s: the saved position is token %lld of a document of %lld; the corpus or the tokenizer "
                       "has changed",
                       titan_corpus_reader_where(lanes->reader), (long long)begin, (long long)d.tokens);
  to->segments[to->first_segment + to->segment_count++] = (segment){.document = document,
                                                                    .token = begin,
                                                                    .left = d.tokens - begin,
                                                                    .place = titan_corpus_reader_place(lanes->reader)};
  return TITAN_OK;
}

static void warn_of_invalid(titan_lanes *lanes) {
  uint64_t replaced = titan_lanes_replaced(lanes);
  if (replaced == 0 || lanes->warned_of_invalid || lanes->options.quiet)
    return;
  lanes->warned_of_invalid = true;
  titan_log_warning(
      "%s: the text holds invalid UTF-8 (%llu sequences in this document), replaced by U+FFFD; later ones "
      "are counted but not reported",
      titan_corpus_reader_where(lanes->reader), (unsigned long long)replaced);
}

// Counts through the whole corpus, every lane's documents, until it is known to fill a window.
static titan_status check_corpus(titan_lanes *lanes) {
  titan_corpus_reader *reader;
  titan_status status = TITAN_OK;
  uint64_t tokens = 0, needed = (uint64_t)lanes->options.seq_len + 1, bytes = 0, invalid = lanes->invalid;
  TITAN_TRY(titan_corpus_reader_create(lanes->options.corpus, (titan_corpus_place){0, 0}, &reader));
  titan_corpus_reader_set_limit(reader, lanes->options.document_limit);
  while (!atomic_load(lanes->stop) && (tokens < needed || bytes == 0)) {
    const char *text;
    size_t length;
    TITAN_TRY_CLEANUP(titan_corpus_reader_next(reader, &text, &length));
    if (titan_corpus_reader_passes(reader) > 0)
      break;
    dealing d = {0};
    TITAN_TRY_CLEANUP(deal_document(lanes, reader, text, length, &d));
    tokens += (uint64_t)d.tokens;
    bytes += length;
  }
  if (atomic_load(lanes->stop))
    goto cleanup;
  if (bytes == 0)
    status = titan_error(TITAN_ERROR_DATA, "%s: the corpus %s holds no text",
                         titan_corpus_option(lanes->options.corpus), titan_corpus_name(lanes->options.corpus));
  else if (tokens < needed)
    status =
        titan_error(TITAN_ERROR_DATA,
                    "%s: the corpus %s is shorter than one window: it has %llu tokens, and training.seq_len %lld needs "
                    "%llu",
                    titan_corpus_option(lanes->options.corpus), titan_corpus_name(lanes->options.corpus),
                    (unsigned long long)tokens, (long long)lanes->options.seq_len, (unsigned long long)needed);
cleanup:
  lanes->invalid = invalid;
  titan_corpus_reader_destroy(&reader);
  return status;
}

// Called when the reader has passed the corpus' end for the first time.
static titan_status meet_end(titan_lanes *lanes) {
  if (!lanes->checked || lanes->text_bytes == 0)
    TITAN_TRY(check_corpus(lanes));
  lanes->checked = true;
  lanes->met_end = true;
  if (!lanes->options.quiet && !atomic_load(lanes->stop))
    titan_log_warning("The corpus %s has been read to its end and starts over",
                      titan_corpus_name(lanes->options.corpus));
  return TITAN_OK;
}

// How many documents from `document` on, which is none to be queued, can be passed over without a further look.
static int64_t others_from(const titan_lanes *lanes, int64_t document) {
  int64_t batch = lanes->options.global_batch, index = document % batch - lanes->options.first_lane;
  if (document < lanes->earliest)
    return lanes->earliest - document;
  if (index >= lanes->options.lane_count)
    return batch - index; // to the first of these lanes, next time round
  return index < 0 ? -index : 1;
}

// Reads one document and queues it, if it belongs to one of these lanes.
static titan_status read_document(titan_lanes *lanes) {
  const titan_loader_options *options = &lanes->options;
  int64_t document = titan_corpus_reader_document(lanes->reader), passes = titan_corpus_reader_passes(lanes->reader);
  int64_t index = document % options->global_batch - options->first_lane;
  bool ours = index >= 0 && index < options->lane_count && document >= lanes->lanes[index].resume.document;
  const char *text = NULL;
  size_t length = 0;
  if (ours)
    TITAN_TRY(titan_corpus_reader_next(lanes->reader, &text, &length));
  else
    TITAN_TRY(titan_corpus_reader_skip(lanes->reader, others_from(lanes, document)));
  if (titan_corpus_reader_passes(lanes->reader) > passes && !lanes->met_end)
    TITAN_TRY(meet_end(lanes));
  if (!ours)
    return TITAN_OK;
  TITAN_TRY(queue_document(lanes, &lanes->lanes[index], document, text, length));
  warn_of_invalid(lanes);
  lanes->checked |= lanes->lanes[index].count > options->seq_len;
  return TITAN_OK;
}

titan_status titan_lanes_next(titan_lanes *lanes, int32_t *windows, titan_loader_cursor *cursors) {
  int64_t length = lanes->options.seq_len + 1;
  for (int64_t i = 0; i < lanes->options.lane_count; i++) {
    lane *from = &lanes->lanes[i];
    while (from->count < length) {
      if (atomic_load(lanes->stop))
        return TITAN_OK;
      TITAN_TRY(read_document(lanes));
    }
    take_window(from, length, lanes->options.global_batch, windows + i * length);
    cursors[i] = from->cursor;
  }
  return TITAN_OK;
}
