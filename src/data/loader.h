// SPDX-License-Identifier: Apache-2.0
// Batches of token windows out of a corpus.
//
// The order of samples is a property of the run, not of its ranks. The corpus is thought of as repeated endlessly and
// its documents numbered through: document n of a corpus of D documents is document n mod D. There is one lane per row
// of the global batch: document n belongs to lane n mod global_batch. A lane is the tokens of its documents, each as
// BOS, text, EOS, one after another, cut into windows of seq_len + 1 tokens that do not overlap: row b of batch s is
// window s of lane b; its first seq_len tokens are the input, its last seq_len the labels. So a lane's windows follow
// from the corpus, the tokenizer, global_batch and seq_len alone. Where D is no multiple of global_batch, a document
// comes to another lane in each pass.
//
// A loader serves a contiguous range of lanes. A thread of its own reads the corpus once through, passing over other
// lanes' documents unparsed (by the files' indexes where it pays, see corpus_reader.c), and keeps some batches ready.
// Lanes advance together while documents differ in length, so tokens of lanes that got the longer documents queue up:
// about the square root of the number of documents read, a few MB after millions.
#ifndef TITAN_DATA_LOADER_H
#define TITAN_DATA_LOADER_H

#include "data/corpus.h"
#include "tokenizer/tokenizer.h"

// Where a lane goes on: token `token` of document `document` (in the endless numbering; tokens counted with BOS), which
// is found by reading on from `place`. Plain numbers, for a checkpoint: a run may resume with them on any partition of
// the lanes, with the same corpus, tokenizer and global_batch (see titan_loader_deal_anew for another one), in windows
// of any length.
typedef struct titan_loader_cursor {
  int64_t document, token;
  titan_corpus_place place;
} titan_loader_cursor;

typedef struct titan_loader_options {
  const titan_corpus *corpus;         // borrowed
  const titan_tokenizer *tokenizer;   // borrowed
  int64_t seq_len, global_batch;      // at least 1
  int64_t first_lane, lane_count;     // lanes first_lane .. first_lane+lane_count-1 of global_batch
  int prefetch;                       // batches kept ready; 0: two
  size_t document_limit;              // bytes of a document's line, with its JSON; 0: none
  bool quiet;                         // leave warnings to another rank
  const titan_loader_cursor *cursors; // [lane_count], read during creation; NULL: from the beginning
} titan_loader_options;

typedef struct titan_loader titan_loader;

// Starts reading at once. Not collective. TITAN_ERROR_USAGE: sizes or lanes out of range; TITAN_ERROR_DATA: cursors
// that do not fit the corpus or the lanes. What is wrong inside of the files is found while reading, and told by
// titan_loader_next.
titan_status titan_loader_create(const titan_loader_options *options, titan_loader **out);

// Bytes that a loader of so many lanes takes: exactly for the batches that it keeps ready; queues, which depend on the
// documents, as if each lane held two windows.
size_t titan_loader_bytes(int64_t lane_count, int64_t seq_len);

// Bytes that reading takes beside them while a document of the limit passes through: its line, and its tokens, of which
// one stands for four bytes of text or more. (Where every byte is a token of its own, they take four times as much.)
size_t titan_loader_reading_bytes(size_t document_limit);

// Ends the thread, at whatever it is. NULL handle is fine; the handle becomes NULL.
void titan_loader_destroy(titan_loader **loader);

// Overwrites tokens_BL and labels_BL, each [lane_count][seq_len] int32, with the lanes' next windows. Waits only where
// the reading thread is behind. Errors stay: each later call gives the same one. TITAN_ERROR_DATA: broken JSON, a
// missing text field, a line beyond document_limit, a damaged gzip file (all with file:line), a corpus that holds no
// document, no text, or fewer than seq_len + 1 tokens in all; TITAN_ERROR_USAGE: a file that cannot be opened.
titan_status titan_loader_next(titan_loader *loader, int32_t *tokens_BL, int32_t *labels_BL);

// Seconds that the last titan_loader_next waited for the reading thread.
double titan_loader_seconds_waited(const titan_loader *loader);

// Invalid UTF-8 sequences that were replaced by U+FFFD in the documents read so far (a few batches ahead of those
// returned).
uint64_t titan_loader_replaced(titan_loader *loader);

// cursors[lane_count] = where each lane goes on after the last batch that titan_loader_next returned.
void titan_loader_get_cursors(const titan_loader *loader, titan_loader_cursor *cursors);

// What happens to the documents when lanes are dealt anew.
typedef struct titan_loader_change {
  int64_t first_document;   // that is served next, in the endless numbering
  int64_t skipped, in_part; // before it, never served or not to their ends; of these, those of which some tokens were
  titan_corpus_place place; // the last one known before it
} titan_loader_change;

// Not collective. When the corpus has been read in old_count lanes up to old[old_count], others go on behind the
// furthest document that any of these has begun, so that no document is served twice. There is at least one lane.
titan_loader_change titan_loader_change_of(const titan_loader_cursor *old, int64_t old_count);
// Where lanes first_lane .. first_lane+lane_count-1 of global_batch go on then. cursors[lane_count] is overwritten.
void titan_loader_deal_anew(const titan_loader_change *change, int64_t global_batch, int64_t first_lane,
                            int64_t lane_count, titan_loader_cursor *cursors);

// Continues from cursors[lane_count] (NULL: from the beginning). TITAN_ERROR_DATA when they do not fit; the loader then
// gives this error from then on.
titan_status titan_loader_set_cursors(titan_loader *loader, const titan_loader_cursor *cursors);

#endif
