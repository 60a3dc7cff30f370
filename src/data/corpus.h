// SPDX-License-Identifier: Apache-2.0
// A corpus: an ordered list of files of JSON lines, and a reader that goes round and round through their documents.
#ifndef TITAN_DATA_CORPUS_H
#define TITAN_DATA_CORPUS_H

#include "base/text.h"
#include <stdbool.h>
#include <stdint.h>

typedef struct titan_corpus titan_corpus; // never changes after creation: any number of threads

// Finds the files. `dataset` is c4_test or c4_mini (installed with the program, see assets.h), c4 or c4_validation.
// `dataset_path` (NULL or "": none) is a file, or a folder, of which the files *.json, *.jsonl, *.json.gz and
// *.jsonl.gz count, sorted by name, bytewise; it is needed for c4 and c4_validation and replaces the installed file of
// the others. `section` is that of the two options, "training" or "validation". Not collective. TITAN_ERROR_USAGE: an
// unknown dataset, c4 without a path, a path that is missing, cannot be
// read or is neither a file nor a folder. TITAN_ERROR_DATA: a folder without such
// files; files that are all empty.
titan_status titan_corpus_create_for(const char *section, const char *dataset, const char *dataset_path,
                                     titan_corpus **out);
// The same for "training".
titan_status titan_corpus_create(const char *dataset, const char *dataset_path, titan_corpus **out);
void titan_corpus_destroy(titan_corpus **corpus);

// For many processes: one finds the files and lists them (names relative to the folder, sizes, which have an index),
// the others take the list, and neither read the folder nor look at the files. Each finds an installed file for itself.
// Not collective.
titan_status titan_corpus_list(const titan_corpus *corpus, titan_text *list);
titan_status titan_corpus_create_from_list(const char *section, const char *dataset, const char *dataset_path,
                                           const titan_text *list, titan_corpus **out);

// The dataset's name, or its path where one was given: for messages.
const char *titan_corpus_name(const titan_corpus *corpus);
// The option that names it, for messages: "validation.dataset_path".
const char *titan_corpus_option(const titan_corpus *corpus);
int64_t titan_corpus_file_count(const titan_corpus *corpus);
const char *titan_corpus_file(const titan_corpus *corpus, int64_t file);

// Bytes of the file, and whether it had an index (corpus_index.h), when the corpus was created or listed.
int64_t titan_corpus_file_size(const titan_corpus *corpus, int64_t file);
bool titan_corpus_file_has_index(const titan_corpus *corpus, int64_t file);

// --- what it holds ---

// A hash of one file's size and bytes, whatever its name: all bytes of a file of at most 64 KiB, otherwise the first,
// the middle and the last 4 KiB. Equal for copies of a file, in all likelihood different for others. *size (may be
// NULL) is the file's size now. TITAN_ERROR_DATA when it cannot be read.
titan_status titan_corpus_digest(const titan_corpus *corpus, int64_t file, uint64_t *digest, int64_t *size);
// Of a corpus whose files, in their order, have these digests.
uint64_t titan_corpus_fingerprint(const uint64_t *digests, int64_t count);

// Reads the file up to its first document. *some: whether it has one. TITAN_ERROR_DATA: what titan_jsonl_next reports,
// where a line has at most `limit` bytes (0: any); TITAN_ERROR_USAGE: a file that cannot be opened.
titan_status titan_corpus_check_file(const titan_corpus *corpus, int64_t file, size_t limit, bool *some);

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
// From now on a line of more than `bytes` bytes is TITAN_ERROR_DATA; 0: no limit, as a reader begins.
void titan_corpus_reader_set_limit(titan_corpus_reader *reader, size_t bytes);

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
// Passes over the next document without parsing it; with an index, over more of them, up to `most` (at least 1).
titan_status titan_corpus_reader_skip(titan_corpus_reader *reader, int64_t most);

// --- with the indexes that titan-corpus writes (corpus_index.h) ---

// What a reader reads: the documents n with n mod `of` in first .. first+count-1. It passes over the others.
typedef struct titan_corpus_share {
  int64_t first, count, of;
} titan_corpus_share;

// What was told of indexes, once for any number of readers one after another.
typedef struct titan_corpus_told {
  bool quiet;         // nothing is to be told
  bool used, refused; // an index is used, or could not be
} titan_corpus_told;

// From now on the reader goes to its own documents by the indexes of the files that have one. Documents, numbers and
// places are those without. An index that does not fit its file or is damaged is told as a warning, and the file is
// read through. A line beyond the limit among the documents that are passed over is not met. `told` is borrowed.
void titan_corpus_reader_use_indexes(titan_corpus_reader *reader, titan_corpus_share share, titan_corpus_told *told);

#endif
