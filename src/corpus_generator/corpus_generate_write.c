// SPDX-License-Identifier: Apache-2.0
#include "corpus_generator/corpus_generate.h"

#include "data/jsonl_write.h"

titan_status titan_corpus_generator_write(titan_corpus_generator *generator, uint64_t documents, const char *path) {
  titan_jsonl_writer *writer;
  titan_text text = {0};
  titan_status status = TITAN_OK;
  TITAN_TRY(titan_jsonl_create(path, &writer));
  for (uint64_t i = 0; i < documents; i++) {
    TITAN_TRY_CLEANUP(titan_corpus_generator_document(generator, i, &text));
    TITAN_TRY_CLEANUP(titan_jsonl_write(writer, text.data, text.length));
  }
  TITAN_TRY_CLEANUP(titan_jsonl_finish(&writer));
cleanup:
  titan_jsonl_discard(&writer);
  titan_text_destroy(&text);
  return status;
}
