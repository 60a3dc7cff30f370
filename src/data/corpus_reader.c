// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"
#include "base/memory.h"
#include "data/corpus.h"
#include "data/corpus_index.h"
#include "data/jsonl.h"

#include <stdio.h>

// With an index, more bytes than these are not read to pass over them: the reader goes to the place behind them. In
// fewer bytes, reading is about as fast as one more request, and a file system that reads ahead has fetched them
// already. The mean of a file decides for it: others' documents between two runs of a rank's own, times the bytes of a
// document. So a file is read in large pieces throughout, or in pieces that end with a run of own documents.
enum { WORTH_SEEKING = 65536 };

struct titan_corpus_reader {
  const titan_corpus *corpus;
  titan_jsonl *file; // NULL: to be opened at place.file
  titan_corpus_place place;
  int64_t document, passes;
  int64_t pass_begin;        // number of the first document that this reader met in this pass
  bool whole_pass;           // this pass began at the first file
  size_t limit;              // of a line's bytes; 0: none
  uint64_t replaced;         // in the files that are closed again
  titan_corpus_share share;  // of 0: no indexes are used
  titan_corpus_told *told;   // borrowed
  titan_corpus_index *index; // of the open file; NULL: it has none that is used
  double document_bytes;     // with an index: the mean
  bool sparse;               // with an index: what lies between two runs of own documents is worth seeking
  char where[600];
};

titan_status titan_corpus_reader_create(const titan_corpus *corpus, titan_corpus_place place,
                                        titan_corpus_reader **out) {
  titan_corpus_reader *reader;
  *out = NULL;
  if (place.file < 0 || place.file >= titan_corpus_file_count(corpus) || place.document < 0)
    return titan_error(TITAN_ERROR_DATA,
                       "the corpus %s has %lld files; file number %lld was asked for: not the corpus of before?",
                       titan_corpus_name(corpus), (long long)titan_corpus_file_count(corpus), (long long)place.file);
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_DATA, 1, sizeof *reader, &reader));
  reader->corpus = corpus;
  reader->place = place;
  reader->document = reader->pass_begin = place.document;
  reader->whole_pass = place.file == 0;
  *out = reader;
  return TITAN_OK;
}

void titan_corpus_reader_set_limit(titan_corpus_reader *reader, size_t bytes) {
  reader->limit = bytes;
}

void titan_corpus_reader_destroy(titan_corpus_reader **reader) {
  if (*reader == NULL)
    return;
  titan_jsonl_close(&(*reader)->file);
  titan_corpus_index_close(&(*reader)->index);
  titan_memory_free(*reader);
  *reader = NULL;
}

int64_t titan_corpus_reader_document(const titan_corpus_reader *reader) {
  return reader->document;
}

int64_t titan_corpus_reader_passes(const titan_corpus_reader *reader) {
  return reader->passes;
}

titan_corpus_place titan_corpus_reader_place(const titan_corpus_reader *reader) {
  return reader->place;
}

const char *titan_corpus_reader_where(titan_corpus_reader *reader) {
  snprintf(reader->where, sizeof reader->where, "%s:%llu", titan_corpus_file(reader->corpus, reader->place.file),
           reader->file != NULL ? (unsigned long long)titan_jsonl_line(reader->file) : 0ull);
  return reader->where;
}

uint64_t titan_corpus_reader_replaced(const titan_corpus_reader *reader) {
  return reader->replaced + (reader->file != NULL ? titan_jsonl_replaced(reader->file) : 0);
}

static titan_status go_to_next_file(titan_corpus_reader *reader) {
  reader->replaced += titan_jsonl_replaced(reader->file);
  titan_jsonl_close(&reader->file);
  titan_corpus_index_close(&reader->index);
  if (++reader->place.file == titan_corpus_file_count(reader->corpus)) {
    if (reader->document == reader->pass_begin && reader->whole_pass)
      return titan_error(TITAN_ERROR_DATA, "%s: the corpus %s is empty: it holds no document",
                         titan_corpus_option(reader->corpus), titan_corpus_name(reader->corpus));
    reader->passes++;
    reader->whole_pass = true;
    reader->place.file = 0;
    reader->pass_begin = reader->document;
  }
  reader->place.document = reader->document;
  return TITAN_OK;
}

// --- indexes ---

void titan_corpus_reader_use_indexes(titan_corpus_reader *reader, titan_corpus_share share, titan_corpus_told *told) {
  reader->share = share;
  reader->told = told;
}

// From here on the open file is read through.
static void do_without_index(titan_corpus_reader *reader, const char *reason) {
  const char *path = titan_corpus_file(reader->corpus, reader->place.file);
  titan_corpus_index_close(&reader->index);
  titan_jsonl_expect(reader->file, 0);
  if (!reader->told->quiet && !reader->told->refused)
    titan_log_warning("The index %s%s is not used: %s. The file is read through; titan-corpus index %s renews the "
                      "index. Others that do not fit are not reported",
                      path, TITAN_CORPUS_INDEX_ENDING, reason, path);
  reader->told->refused = true;
}

static void tell_use(titan_corpus_reader *reader) {
  const char *path = titan_corpus_file(reader->corpus, reader->place.file);
  if (!reader->told->quiet && !reader->told->used && reader->sparse)
    titan_log_info("The index %s%s is used: a rank reads its own documents only", path, TITAN_CORPUS_INDEX_ENDING);
  else if (!reader->told->quiet && !reader->told->used)
    titan_log_info("The index %s%s is used to resume only: less than %d KiB lie between the documents of a rank, which "
                   "reads the file through",
                   path, TITAN_CORPUS_INDEX_ENDING, WORTH_SEEKING / 1024);
  reader->told->used = true;
}

static titan_status open_index(titan_corpus_reader *reader) {
  char reason[TITAN_CORPUS_INDEX_REASON_BYTES];
  if (!titan_corpus_file_has_index(reader->corpus, reader->place.file))
    return TITAN_OK;
  TITAN_TRY(titan_corpus_index_open(titan_corpus_file(reader->corpus, reader->place.file), reason, &reader->index));
  if (reader->index == NULL) {
    if (reason[0] != '\0')
      do_without_index(reader, reason);
    return TITAN_OK;
  }
  int64_t documents = titan_corpus_index_documents(reader->index);
  reader->document_bytes =
      (double)titan_corpus_index_file_size(reader->index) / (double)(documents > 0 ? documents : 1);
  reader->sparse = (double)(reader->share.of - reader->share.count) * reader->document_bytes > WORTH_SEEKING;
  tell_use(reader);
  return TITAN_OK;
}

// Documents of the file before the next one.
static int64_t in_file(const titan_corpus_reader *reader) {
  return reader->document - reader->place.document;
}

// Opens the file that the next document is in, as far as an index says it.
static titan_status open_file(titan_corpus_reader *reader) {
  for (;;) {
    if (reader->file == NULL) {
      TITAN_TRY(titan_jsonl_open(titan_corpus_file(reader->corpus, reader->place.file), &reader->file));
      titan_jsonl_set_limit(reader->file, reader->limit);
      if (reader->share.of > 0)
        TITAN_TRY(open_index(reader));
    }
    if (reader->index == NULL || in_file(reader) < titan_corpus_index_documents(reader->index))
      return TITAN_OK;
    TITAN_TRY(go_to_next_file(reader));
  }
}

// Where document `number` of the open file begins and, where it is an own one, its run of own documents ends. False:
// the index is damaged, and not used any more.
static bool find_run(titan_corpus_reader *reader, int64_t number, titan_corpus_index_range *range) {
  char reason[TITAN_CORPUS_INDEX_REASON_BYTES];
  const titan_corpus_share *share = &reader->share;
  int64_t of_share = (reader->place.document + number) % share->of - share->first;
  int64_t count = of_share >= 0 && of_share < share->count ? share->count - of_share : 1;
  if (titan_corpus_index_find(reader->index, number, count, range, reason))
    return true;
  do_without_index(reader, reason);
  return false;
}

// Goes on by `most` documents or to the end of the file. *done false: the index is damaged, and nothing was passed
// over.
static titan_status leap(titan_corpus_reader *reader, int64_t most, bool *done) {
  titan_corpus_index_range range;
  int64_t left = titan_corpus_index_documents(reader->index) - in_file(reader);
  *done = most >= left || find_run(reader, in_file(reader) + most, &range);
  if (!*done)
    return TITAN_OK;
  if (most < left) {
    titan_jsonl_expect(reader->file, reader->sparse ? range.end : 0);
    TITAN_TRY(titan_jsonl_seek(reader->file, range.begin, range.line));
  }
  reader->document += most < left ? most : left;
  return TITAN_OK;
}

// --- reading ---

// The file has fewer documents than its index says.
static titan_status short_file_error(const titan_corpus_reader *reader) {
  const char *path = titan_corpus_file(reader->corpus, reader->place.file);
  return titan_error(TITAN_ERROR_DATA,
                     "%s ends after %lld documents, and its index has %lld: the file has changed; titan-corpus index "
                     "%s renews the index",
                     path, (long long)in_file(reader), (long long)titan_corpus_index_documents(reader->index), path);
}

// text NULL: passes over the document.
static titan_status advance(titan_corpus_reader *reader, const char **text, size_t *length) {
  titan_corpus_index_range range;
  for (bool end = true; end;) {
    TITAN_TRY(open_file(reader));
    if (reader->index != NULL && reader->sparse && find_run(reader, in_file(reader), &range))
      titan_jsonl_expect(reader->file, range.end);
    if (text != NULL)
      TITAN_TRY(titan_jsonl_next(reader->file, text, length, &end));
    else
      TITAN_TRY(titan_jsonl_skip(reader->file, &end));
    if (end && reader->index != NULL)
      return short_file_error(reader);
    if (end)
      TITAN_TRY(go_to_next_file(reader));
  }
  reader->document++;
  return TITAN_OK;
}

titan_status titan_corpus_reader_next(titan_corpus_reader *reader, const char **text, size_t *length) {
  return advance(reader, text, length);
}

titan_status titan_corpus_reader_skip(titan_corpus_reader *reader, int64_t most) {
  bool done = false;
  TITAN_TRY(open_file(reader));
  if (reader->index != NULL && (reader->sparse || (double)most * reader->document_bytes > WORTH_SEEKING))
    TITAN_TRY(leap(reader, most, &done));
  return done ? TITAN_OK : advance(reader, NULL, NULL);
}
