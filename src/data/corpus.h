// A corpus: an ordered list of files of JSON lines, and a reader that goes round and round through their documents.
#ifndef TITAN_DATA_CORPUS_H
#define TITAN_DATA_CORPUS_H

#include "base/status.h"
#include <stdbool.h>
#include <stdint.h>

typedef struct titan_corpus titan_corpus; // never changes after creation: any number of threads

// Finds the files. `dataset` is c4_test or c4_mini (installed with the program, see assets.h), c4 or c4_validation.
// `dataset_path` (NULL or "": none) is a file, or a folder, of which the files *.json, *.jsonl, *.json.gz and
// *.jsonl.gz count, sorted by name, bytewise; it is needed for c4 and c4_validation and replaces the installed file of
// the others. `section` is that of the two options, "training" or "validation". Not collective. TITAN_ERROR_USAGE: an
// unknown dataset, c4 without a path, a path that is missing or cannot be read. TITAN_ERROR_DATA: a folder without such
// files; files that are all empty.
titan_status titan_corpus_create_for(const char *section, const char *dataset, const char *dataset_path,
                                     titan_corpus **out);
// The same for "training".
titan_status titan_corpus_create(const char *dataset, const char *dataset_path, titan_corpus **out);
void titan_corpus_destroy(titan_corpus **corpus);

// The dataset's name, or its path where one was given: for messages.
const char *titan_corpus_name(const titan_corpus *corpus);
// The option that names it, for messages: "validation.dataset_path".
const char *titan_corpus_option(const titan_corpus *corpus);
int64_t titan_corpus_file_count(const titan_corpus *corpus);
const char *titan_corpus_file(const titan_corpus *corpus, int64_t file);

// A hash of each file's name (without folders), size, and first and last 4096 bytes: equal for copies of a corpus, in
// all likelihood different for others. Reads 8 KiB of each file. TITAN_ERROR_USAGE when a file cannot be read.
titan_status titan_corpus_fingerprint(const titan_corpus *corpus, uint64_t *out);

// --- reading ---

// Where a reader may begin: file `file` (0 .. file_count-1), whose first document has the number `document` in the
// endless repetition of the corpus (number n of a corpus of D documents is document n mod D). {0, 0} is the beginning.
typedef struct titan_corpus_place {
  int64_t file, document;
} titan_corpus_place;

typedef struct titan_corpus_reader titan_corpus_reader; // belongs to one thread

// `corpus` is borrowed. TITAN_ERROR_DATA for a place outside the corpus.
titan_status titan_corpus_reader_create(const titan_corpus *corpus, titan_corpus_place place,
                                        titan_corpus_reader **out);
void titan_corpus_reader_destroy(titan_corpus_reader **reader);

// Number of the document that the next call reads, in the endless repetition.
int64_t titan_corpus_reader_document(const titan_corpus_reader *reader);
// How often the reader has passed the corpus' end since it was created.
int64_t titan_corpus_reader_passes(const titan_corpus_reader *reader);
// The file that the last document came from.
titan_corpus_place titan_corpus_reader_place(const titan_corpus_reader *reader);
// Line of the last document, for messages: "file:line", valid until the next call.
const char *titan_corpus_reader_where(titan_corpus_reader *reader);
// How many escaped surrogates without a partner were replaced by U+FFFD so far (see jsonl.h).
uint64_t titan_corpus_reader_replaced(const titan_corpus_reader *reader);

// Reads the next document, in the order of files and lines, and after the last one the first again. *text holds
// *length bytes, owned by the reader, valid until the next call. TITAN_ERROR_DATA: what titan_jsonl_next reports, and a
// corpus without a document; TITAN_ERROR_USAGE: a file that cannot be opened.
titan_status titan_corpus_reader_next(titan_corpus_reader *reader, const char **text, size_t *length);
// Passes over the next document without parsing it.
titan_status titan_corpus_reader_skip(titan_corpus_reader *reader);

#endif
