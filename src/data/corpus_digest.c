// SPDX-License-Identifier: Apache-2.0
// What a corpus holds: digests of its files, and whether they begin as they should.
#include "base/hash.h"
#include "data/corpus.h"
#include "data/jsonl.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SAMPLE_BYTES = 4096, WHOLE_BYTES = 65536 };

static titan_status read_error(const char *path, const char *reason) {
  return titan_error(TITAN_ERROR_DATA, "cannot read the corpus file %s: %s", path, reason);
}

static titan_status hash_range(const char *path, int descriptor, int64_t begin, int64_t count, uint64_t *hash) {
  static _Thread_local unsigned char bytes[WHOLE_BYTES];
  for (int64_t done = 0; done < count;) {
    ssize_t got = pread(descriptor, bytes + done, (size_t)(count - done), begin + done);
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      return read_error(path, got < 0 ? strerror(errno) : "it has become shorter");
    done += got;
  }
  *hash = titan_hash_bytes(*hash, bytes, (size_t)count);
  return TITAN_OK;
}

static titan_status hash_file(const char *path, int descriptor, uint64_t *hash, int64_t *size) {
  struct stat facts;
  if (fstat(descriptor, &facts) != 0)
    return read_error(path, strerror(errno));
  *size = facts.st_size;
  *hash = titan_hash_number(TITAN_HASH_START, (uint64_t)*size, 8);
  if (*size <= WHOLE_BYTES)
    return hash_range(path, descriptor, 0, *size, hash);
  const int64_t begins[] = {0, *size / 2, *size - SAMPLE_BYTES};
  for (int i = 0; i < 3; i++)
    TITAN_TRY(hash_range(path, descriptor, begins[i], SAMPLE_BYTES, hash));
  return TITAN_OK;
}

titan_status titan_corpus_digest(const titan_corpus *corpus, int64_t file, uint64_t *digest, int64_t *size) {
  const char *path = titan_corpus_file(corpus, file);
  int64_t size_now = 0;
  int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (descriptor < 0)
    return read_error(path, strerror(errno));
  titan_status status = hash_file(path, descriptor, digest, &size_now);
  close(descriptor);
  if (size != NULL)
    *size = size_now;
  return status;
}

uint64_t titan_corpus_fingerprint(const uint64_t *digests, int64_t count) {
  uint64_t hash = TITAN_HASH_START;
  for (int64_t i = 0; i < count; i++)
    hash = titan_hash_number(hash, digests[i], 8);
  return hash;
}

titan_status titan_corpus_check_file(const titan_corpus *corpus, int64_t file, size_t limit, bool *some) {
  titan_jsonl *reader;
  const char *text;
  size_t length;
  bool end = true;
  TITAN_TRY(titan_jsonl_open(titan_corpus_file(corpus, file), &reader));
  titan_jsonl_set_limit(reader, limit);
  titan_status status = titan_jsonl_next(reader, &text, &length, &end);
  titan_jsonl_close(&reader);
  *some = status == TITAN_OK && !end;
  return status;
}
