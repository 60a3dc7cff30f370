#include "data/loader_lanes.h"

#include "base/log.h"
#include "base/memory.h"

#include <string.h>

// A document, or what is left of it, in a lane's queue.
typedef struct segment {
  int64_t document, token,
      left; // the next token to be served is number `token` of the document; `left` tokens are queued
  titan_corpus_place place;
} segment;

typedef struct lane {
  int32_t *tokens; // queued: tokens[start .. start+count-1]
  int64_t start, count, capacity;
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
  titan_token_buffer ids;
  lane *lanes;
  uint64_t invalid;    // sequences replaced by the tokenizer
  uint64_t text_bytes; // read so far
  bool checked;        // the corpus is known to fill a window
  bool met_end, warned_of_invalid;
};

void titan_lanes_first_cursors(int64_t first_lane, int64_t lane_count, titan_loader_cursor *cursors) {
  for (int64_t i = 0; i < lane_count; i++)
    cursors[i] = (titan_loader_cursor){.document = first_lane + i};
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
                         "batch of %lld and the %lld files of %s; a run continues only with the batch and the corpus "
                         "that it began with",
                         (long long)lane_number, (long long)cursor->document, (long long)cursor->token,
                         (long long)cursor->place.file, (long long)options->global_batch,
                         (long long)titan_corpus_file_count(options->corpus), titan_corpus_name(options->corpus));
  }
  return TITAN_OK;
}

static titan_status start_lanes(titan_lanes *lanes) {
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
cleanup:
  titan_memory_free(cursors);
  return status;
}

titan_status titan_lanes_create(const titan_loader_options *options, const atomic_bool *stop, titan_lanes **out) {
  titan_lanes *lanes;
  titan_status status;
  *out = NULL;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_DATA, 1, sizeof *lanes, &lanes));
  lanes->options = *options;
  lanes->stop = stop;
  TITAN_TRY_CLEANUP(titan_tokenizer_scratch_create(&lanes->scratch));
  TITAN_TRY_CLEANUP(start_lanes(lanes));
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
    titan_memory_free((*lanes)->lanes[i].tokens);
    titan_memory_free((*lanes)->lanes[i].segments);
  }
  titan_memory_free((*lanes)->lanes);
  titan_token_buffer_destroy(&(*lanes)->ids);
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

static titan_status queue_document(lane *to, int64_t document, titan_corpus_place place, const titan_token_buffer *ids,
                                   const char *where) {
  int64_t begin = document == to->resume.document ? to->resume.token : 0;
  int64_t count = (int64_t)ids->count - begin;
  if (count <= 0)
    return titan_error(TITAN_ERROR_DATA,
                       "%s: the saved position is token %lld of a document of %zu; the corpus or the tokenizer is not "
                       "that of before",
                       where, (long long)begin, ids->count);
  TITAN_TRY(make_room(&to->tokens, &to->start, to->count, &to->capacity, count, sizeof *to->tokens));
  TITAN_TRY(
      make_room(&to->segments, &to->first_segment, to->segment_count, &to->segment_capacity, 1, sizeof *to->segments));
  memcpy(to->tokens + to->start + to->count, ids->ids + begin, (size_t)count * sizeof(int32_t));
  to->segments[to->first_segment + to->segment_count++] =
      (segment){.document = document, .token = begin, .left = count, .place = place};
  to->count += count;
  return TITAN_OK;
}

static void take_window(lane *from, int64_t length, int64_t global_batch, int32_t *window) {
  memcpy(window, from->tokens + from->start, (size_t)length * sizeof *window);
  from->start += length;
  from->count -= length;
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

// ids = BOS, text, EOS.
static titan_status encode_document(titan_lanes *lanes, const char *text, size_t length) {
  const titan_tokenizer *tokenizer = lanes->options.tokenizer;
  uint64_t replaced = 0;
  lanes->ids.count = 0;
  TITAN_TRY(titan_token_buffer_append(&lanes->ids, titan_tokenizer_bos(tokenizer)));
  TITAN_TRY(titan_tokenizer_encode(tokenizer, lanes->scratch, text, length, &lanes->ids, &replaced));
  lanes->invalid += replaced;
  lanes->text_bytes += length;
  return titan_token_buffer_append(&lanes->ids, titan_tokenizer_eos(tokenizer));
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
  while (!atomic_load(lanes->stop) && (tokens < needed || bytes == 0)) {
    const char *text;
    size_t length;
    TITAN_TRY_CLEANUP(titan_corpus_reader_next(reader, &text, &length));
    if (titan_corpus_reader_passes(reader) > 0)
      break;
    TITAN_TRY_CLEANUP(encode_document(lanes, text, length));
    tokens += lanes->ids.count;
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
    TITAN_TRY(titan_corpus_reader_skip(lanes->reader));
  if (titan_corpus_reader_passes(lanes->reader) > passes && !lanes->met_end)
    TITAN_TRY(meet_end(lanes));
  if (!ours)
    return TITAN_OK;
  TITAN_TRY(encode_document(lanes, text, length));
  warn_of_invalid(lanes);
  TITAN_TRY(queue_document(&lanes->lanes[index], document, titan_corpus_reader_place(lanes->reader), &lanes->ids,
                           titan_corpus_reader_where(lanes->reader)));
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
