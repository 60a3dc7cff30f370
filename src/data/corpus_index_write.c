// SPDX-License-Identifier: Apache-2.0
#include "data/corpus_index.h"

#include "base/memory.h"
#include "base/text.h"
#include "data/corpus_index_format.h"
#include "data/jsonl.h"
#include "storage/output.h"
#include "storage/write_at.h"

#include <errno.h>
#include <string.h>

typedef struct index_writer {
  titan_output *output;
  int64_t documents, blocks; // blocks written
  int in_block;
  index_block block;
} index_writer;

// `end`: where what follows the block's documents begins.
static titan_status write_block(index_writer *writer, uint64_t end) {
  index_block *block = &writer->block;
  block->begins[writer->in_block] = end;
  block->hash = index_block_hash(block, writer->blocks);
  TITAN_TRY(titan_output_write(writer->output, block, sizeof *block));
  *block = (index_block){0};
  writer->blocks++;
  writer->in_block = 0;
  return TITAN_OK;
}

static titan_status add_document(index_writer *writer, const titan_jsonl *reader) {
  uint64_t begin = titan_jsonl_begin(reader), line = titan_jsonl_line(reader);
  if (writer->in_block == INDEX_BLOCK_DOCUMENTS)
    TITAN_TRY(write_block(writer, begin));
  if (writer->in_block == 0)
    writer->block.first_line = line;
  if (line - writer->block.first_line > UINT32_MAX)
    return titan_error(TITAN_ERROR_DATA, "%s:%llu: more than %llu lines before this document are blank",
                       titan_jsonl_path(reader), (unsigned long long)line, (unsigned long long)UINT32_MAX);
  writer->block.begins[writer->in_block] = begin;
  writer->block.lines[writer->in_block++] = (uint32_t)(line - writer->block.first_line);
  writer->documents++;
  return TITAN_OK;
}

static titan_status write_blocks(index_writer *writer, titan_jsonl *reader, uint64_t size) {
  for (bool end = false;;) {
    TITAN_TRY(titan_jsonl_skip(reader, &end));
    if (titan_jsonl_is_gzip(reader))
      return titan_error(TITAN_ERROR_USAGE,
                         "%s is gzip, which cannot be entered in its middle; an index is for plain JSON lines",
                         titan_jsonl_path(reader));
    if (end)
      break;
    TITAN_TRY(add_document(writer, reader));
  }
  return writer->in_block > 0 ? write_block(writer, size) : TITAN_OK;
}

// The header comes last: it has the number of documents.
static titan_status write_header(index_writer *writer, const index_facts *file) {
  index_header header = {.version = INDEX_VERSION,
                         .block_documents = INDEX_BLOCK_DOCUMENTS,
                         .file = *file,
                         .documents = writer->documents};
  memcpy(header.magic, INDEX_MAGIC, sizeof header.magic);
  header.hash = index_header_hash(&header);
  int error = titan_write_at(titan_output_descriptor(writer->output), &header, sizeof header, 0);
  if (error != 0)
    return titan_error(TITAN_ERROR_OUTPUT, "cannot write %s: %s", titan_output_path(writer->output), strerror(error));
  return TITAN_OK;
}

static titan_status look_at(const char *path, index_facts *file) {
  struct stat facts;
  if (stat(path, &facts) != 0)
    return titan_error(TITAN_ERROR_USAGE, "cannot open %s: %s", path, strerror(errno));
  if (!S_ISREG(facts.st_mode))
    return titan_error(TITAN_ERROR_USAGE, "%s is a folder, a device or a pipe; expected a file of JSON lines", path);
  *file = index_facts_of(&facts);
  return TITAN_OK;
}

static titan_status write_index(index_writer *writer, const char *path) {
  static const index_header none;
  index_facts before, after;
  titan_jsonl *reader = NULL;
  titan_text name = {0};
  titan_status status;
  TITAN_TRY_CLEANUP(look_at(path, &before));
  TITAN_TRY_CLEANUP(titan_jsonl_open(path, &reader));
  TITAN_TRY_CLEANUP(titan_text_printf(&name, "%s%s", path, TITAN_CORPUS_INDEX_ENDING));
  TITAN_TRY_CLEANUP(titan_output_create(name.data, TITAN_OUTPUT_REPLACE, &writer->output));
  TITAN_TRY_CLEANUP(titan_output_write(writer->output, &none, sizeof none));
  TITAN_TRY_CLEANUP(write_blocks(writer, reader, (uint64_t)before.size));
  TITAN_TRY_CLEANUP(look_at(path, &after));
  if (memcmp(&before, &after, sizeof before) != 0)
    TITAN_TRY_CLEANUP(titan_error(TITAN_ERROR_DATA, "%s has changed while its index was made", path));
  TITAN_TRY_CLEANUP(write_header(writer, &before));
  TITAN_TRY_CLEANUP(titan_output_finish(&writer->output));
cleanup:
  titan_text_destroy(&name);
  titan_jsonl_close(&reader);
  return status;
}

titan_status titan_corpus_index_write(const char *path, int64_t *documents) {
  index_writer *writer;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_DATA, 1, sizeof *writer, &writer));
  titan_status status = write_index(writer, path);
  *documents = writer->documents;
  titan_output_discard(&writer->output);
  titan_memory_free(writer);
  return status;
}
