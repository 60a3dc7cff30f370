// SPDX-License-Identifier: Apache-2.0
// Text for tests and first steps: documents from a grammar, word lists and a small invented world, all written for this
// project. Document i depends on the seed and on i only.
#ifndef TITAN_CORPUS_GENERATOR_CORPUS_GENERATE_H
#define TITAN_CORPUS_GENERATOR_CORPUS_GENERATE_H

#include "base/text.h"
#include <stdint.h>

typedef struct titan_corpus_generator titan_corpus_generator;

titan_status titan_corpus_generator_create(uint64_t seed, titan_corpus_generator **out);
void titan_corpus_generator_destroy(titan_corpus_generator **generator);

// Replaces the contents of `text` by document `index` (UTF-8). Lengths are log-normal, 200 to 20,000 bytes, 1,800 in
// the mean.
titan_status titan_corpus_generator_document(titan_corpus_generator *generator, uint64_t index, titan_text *text);

// Writes documents 0 .. documents-1 as JSON lines {"text": "..."}, compressed when `path` ends in ".gz". Equal
// arguments give equal files. The file appears under its name when it is complete. TITAN_ERROR_OUTPUT when it cannot be
// written.
titan_status titan_corpus_generator_write(titan_corpus_generator *generator, uint64_t documents, const char *path);

#endif
