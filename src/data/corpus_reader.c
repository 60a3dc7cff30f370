// SPDX-License-Identifier: Apache-2.0
#include "base/memory.h"
#include "data/corpus.h"
#include "data/jsonl.h"

#include <stdio.h>

struct titan_corpus_reader {
  const titan_corpus *corpus;
  titan_jsonl *file; // NULL: to be opened at place.file
  titan_corpus_place place;
  int64_t document, passes;
  int64_t pass_begin; // number of the first document that this reader met in this pass
  bool whole_pass;    // this pass began at the first file
  size_t limit;       // of a line's bytes; 0: none
  uint64_t replaced;  // in the files that are closed again
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

// text NULL: passes over the document.
static titan_status advance(titan_corpus_reader *reader, const char **text, size_t *length) {
  for (bool end = true; end;) {
    if (reader->file == NULL) {
      TITAN_TRY(titan_jsonl_open(titan_corpus_file(reader->corpus, reader->place.file), &reader->file));
      titan_jsonl_set_limit(reader->file, reader->limit);
    }
    if (text != NULL)
      TITAN_TRY(titan_jsonl_next(reader->file, text, length, &end));
    else
      TITAN_TRY(titan_jsonl_skip(reader->file, &end));
    if (end)
      TITAN_TRY(go_to_next_file(reader));
  }
  reader->document++;
  return TITAN_OK;
}

titan_status titan_corpus_reader_next(titan_corpus_reader *reader, const char **text, size_t *length) {
  return advance(reader, text, length);
}

titan_status titan_corpus_reader_skip(titan_corpus_reader *reader) {
  return advance(reader, NULL, NULL);
}
