// SPDX-License-Identifier: Apache-2.0
// Plain text as JSON lines.
#ifndef TITAN_DATA_TEXT_CONVERT_H
#define TITAN_DATA_TEXT_CONVERT_H

#include "data/jsonl_write.h"
#include <stdint.h>

typedef enum titan_text_document {
  TITAN_TEXT_FILE,      // a file is a document, with its newlines
  TITAN_TEXT_PARAGRAPH, // blank lines separate documents; newlines inside stay
  TITAN_TEXT_LINE,      // a line is a document, without its newline
} titan_text_document;

typedef struct titan_text_counts {
  uint64_t documents, bytes; // written; bytes of text
  uint64_t replaced;         // invalid UTF-8 sequences that became U+FFFD
  const char *json_lines;    // the first input that begins as JSON lines of text do; NULL: none
} titan_text_counts;

// Adds the documents of the file `input` (UTF-8, plain or gzip) to the writer's file and to *counts. A byte order mark
// is left out, and so are documents of white space only; CR before LF counts as part of the newline in paragraphs and
// lines. TITAN_ERROR_USAGE: the file is missing, unreadable or a folder; TITAN_ERROR_DATA: damaged gzip data;
// TITAN_ERROR_OUTPUT.
titan_status titan_text_convert(const char *input, titan_text_document document, titan_jsonl_writer *writer,
                                titan_text_counts *counts);

#endif
