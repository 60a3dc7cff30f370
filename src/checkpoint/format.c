// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/format.h"

#include "base/memory.h"
#include "storage/write_at.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

// Numbers lie in the file as little-endian 64-bit integers, one after another behind the magic.
static const char magic[24] = "titan-hpc checkpoint\n";
enum { FIELDS = 7, HASH_AT = TITAN_CHECKPOINT_BLOCK_BYTES - 8, BUFFER_BYTES = 1 << 18 };

static void put(unsigned char *at, uint64_t value) {
  for (int i = 0; i < 8; i++)
    at[i] = (unsigned char)(value >> 8 * i);
}

static uint64_t get(const unsigned char *at) {
  uint64_t value = 0;
  for (int i = 0; i < 8; i++)
    value |= (uint64_t)at[i] << 8 * i;
  return value;
}

static void encode(const titan_checkpoint_block *block, unsigned char *bytes) {
  const uint64_t fields[FIELDS] = {block->version,      (uint64_t)block->step, block->file_bytes,
                                   block->region_count, block->regions_offset, block->regions_hash,
                                   block->metadata_hash};
  memset(bytes, 0, TITAN_CHECKPOINT_BLOCK_BYTES);
  memcpy(bytes, magic, sizeof magic);
  for (int i = 0; i < FIELDS; i++)
    put(bytes + sizeof magic + 8 * i, fields[i]);
  put(bytes + HASH_AT, XXH64(bytes, HASH_AT, 0));
}

static void decode(const unsigned char *bytes, titan_checkpoint_block *block) {
  uint64_t fields[FIELDS];
  for (int i = 0; i < FIELDS; i++)
    fields[i] = get(bytes + sizeof magic + 8 * i);
  *block =
      (titan_checkpoint_block){fields[0], (int64_t)fields[1], fields[2], fields[3], fields[4], fields[5], fields[6]};
}

static titan_status damaged(titan_checkpoint_fault *fault, titan_status status) {
  *fault = TITAN_CHECKPOINT_DAMAGED;
  return status;
}

titan_status titan_checkpoint_read_bytes(int descriptor, const char *path, uint64_t offset, void *out, size_t bytes,
                                         titan_checkpoint_fault *fault) {
  for (size_t done = 0; done < bytes;) {
    ssize_t count = pread(descriptor, (char *)out + done, bytes - done, (off_t)(offset + done));
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0) { // says nothing about what the file holds
      *fault = TITAN_CHECKPOINT_SYSTEM;
      return titan_error(TITAN_ERROR_CHECKPOINT, "%s cannot be read at byte %llu: %s", path,
                         (unsigned long long)(offset + done), strerror(errno));
    }
    if (count == 0)
      return damaged(fault, titan_error(TITAN_ERROR_CHECKPOINT, "%s is truncated at byte %llu", path,
                                        (unsigned long long)(offset + done)));
    done += (size_t)count;
  }
  return TITAN_OK;
}

// --- whose it is ---

titan_status titan_checkpoint_open_descriptor(const char *path, int *descriptor, titan_checkpoint_fault *fault) {
  struct stat information;
  *fault = TITAN_CHECKPOINT_SYSTEM;
  *descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // a pipe without a writer is not waited for
  if (*descriptor < 0 || fstat(*descriptor, &information) != 0)
    return titan_error(TITAN_ERROR_CHECKPOINT, "cannot open the checkpoint %s: %s", path, strerror(errno));
  if (S_ISREG(information.st_mode))
    return TITAN_OK;
  *fault = TITAN_CHECKPOINT_FOREIGN;
  if (S_ISDIR(information.st_mode))
    return titan_error(TITAN_ERROR_CHECKPOINT,
                       "%s is a folder, not a checkpoint; titan-checkpoint list %s shows the checkpoints in it", path,
                       path);
  return titan_error(TITAN_ERROR_CHECKPOINT, "%s is not a file, not a checkpoint", path);
}

// A few altered bytes, or none but zeros, are damage; anything else was written by somebody else.
static bool is_nearly_magic(const unsigned char *bytes, size_t count) {
  enum { FEW = 4 };
  size_t zeros = 0, others = 0;
  for (size_t i = 0; i < count; i++) {
    zeros += bytes[i] == 0;
    others += bytes[i] != (unsigned char)magic[i];
  }
  return others <= FEW || zeros == count;
}

// What the file has of its first bytes. FOREIGN when they are not ours.
static titan_status check_magic(int descriptor, const char *path, titan_checkpoint_fault *fault) {
  unsigned char bytes[sizeof magic];
  ssize_t count = pread(descriptor, bytes, sizeof bytes, 0);
  if (count < 0 || is_nearly_magic(bytes, (size_t)count))
    return TITAN_OK; // what cannot be read is told by who reads it in earnest
  *fault = TITAN_CHECKPOINT_FOREIGN;
  return titan_error(TITAN_ERROR_CHECKPOINT,
                     "%s is not a checkpoint of this program: its first bytes are not those of one", path);
}

bool titan_checkpoint_is_foreign(const char *path) {
  titan_checkpoint_fault fault;
  int descriptor;
  titan_status status = titan_checkpoint_open_descriptor(path, &descriptor, &fault);
  if (status == TITAN_OK)
    status = check_magic(descriptor, path, &fault);
  if (descriptor >= 0)
    close(descriptor);
  return status != TITAN_OK && fault == TITAN_CHECKPOINT_FOREIGN;
}

// --- hashes ---

typedef struct hashing {
  int descriptor;
  const char *path;
  titan_checkpoint_keep *keep; // may be NULL
  void *context;
  XXH64_state_t *state;
  unsigned char *buffer;
} hashing;

static titan_status hash_range(const hashing *h, uint64_t begin, uint64_t end, titan_checkpoint_fault *fault) {
  while (begin < end) {
    size_t count = end - begin < BUFFER_BYTES ? (size_t)(end - begin) : BUFFER_BYTES;
    TITAN_TRY(titan_checkpoint_read_bytes(h->descriptor, h->path, begin, h->buffer, count, fault));
    XXH64_update(h->state, h->buffer, count);
    if (h->keep != NULL)
      TITAN_TRY(h->keep(h->context, begin, h->buffer, count));
    begin += count;
  }
  return TITAN_OK;
}

static titan_status hash_ranges(const hashing *h, const titan_checkpoint_block *block,
                                const titan_checkpoint_region *regions, titan_checkpoint_fault *fault) {
  uint64_t at = TITAN_CHECKPOINT_BLOCK_BYTES;
  for (uint64_t i = 0; i < block->region_count; i++) {
    if (regions[i].offset < at || regions[i].offset > block->file_bytes ||
        regions[i].bytes > block->file_bytes - regions[i].offset)
      return damaged(fault, titan_error(TITAN_ERROR_CHECKPOINT, "%s is damaged: its table of regions", h->path));
    TITAN_TRY(hash_range(h, at, regions[i].offset, fault));
    at = regions[i].offset + regions[i].bytes;
  }
  return hash_range(h, at, block->file_bytes, fault);
}

// Of all that lies between the regions. They must be sorted, apart, and inside of the file.
static titan_status hash_metadata(hashing h, const titan_checkpoint_block *block,
                                  const titan_checkpoint_region *regions, uint64_t *hash,
                                  titan_checkpoint_fault *fault) {
  *fault = TITAN_CHECKPOINT_SYSTEM;
  h.state = XXH64_createState();
  if (h.state == NULL)
    return titan_error(TITAN_ERROR_MEMORY, "not enough memory for a checksum");
  titan_status status = titan_memory_allocate(TITAN_MEMORY_GENERAL, BUFFER_BYTES, &h.buffer);
  XXH64_reset(h.state, 0);
  if (status == TITAN_OK)
    status = hash_ranges(&h, block, regions, fault);
  *hash = XXH64_digest(h.state);
  if (status == TITAN_OK)
    *fault = TITAN_CHECKPOINT_SOUND;
  XXH64_freeState(h.state);
  titan_memory_free(h.buffer);
  return status;
}

// *regions: owned by the caller.
static titan_status read_regions(int descriptor, const char *path, const titan_checkpoint_block *block,
                                 titan_checkpoint_region **regions, titan_checkpoint_fault *fault) {
  uint64_t bytes = block->region_count * sizeof **regions;
  *regions = NULL;
  if (block->region_count > block->file_bytes / sizeof **regions || block->regions_offset > block->file_bytes ||
      bytes > block->file_bytes - block->regions_offset)
    return damaged(fault, titan_error(TITAN_ERROR_CHECKPOINT, "%s is damaged: its table of regions", path));
  *fault = TITAN_CHECKPOINT_SYSTEM;
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, bytes, regions));
  titan_status status = titan_checkpoint_read_bytes(descriptor, path, block->regions_offset, *regions, bytes, fault);
  for (uint64_t i = 0; i < block->region_count && status == TITAN_OK; i++) {
    const unsigned char *at = (const unsigned char *)&(*regions)[i];
    (*regions)[i] = (titan_checkpoint_region){get(at), get(at + 8)};
  }
  if (status == TITAN_OK) {
    *fault = TITAN_CHECKPOINT_SOUND;
    return TITAN_OK;
  }
  titan_memory_free(*regions);
  *regions = NULL;
  return status;
}

static uint64_t hash_of_regions(const titan_checkpoint_block *block, const titan_checkpoint_region *regions) {
  return XXH64(regions, block->region_count * sizeof *regions, 0);
}

static titan_status write_block(int descriptor, const char *path, const titan_checkpoint_block *block) {
  unsigned char bytes[TITAN_CHECKPOINT_BLOCK_BYTES];
  encode(block, bytes);
  int error = titan_write_at(descriptor, bytes, sizeof bytes, 0);
  return error == 0 ? TITAN_OK : titan_error(TITAN_ERROR_CHECKPOINT, "%s cannot be written: %s", path, strerror(error));
}

titan_status titan_checkpoint_block_seal(int descriptor, const char *path, titan_checkpoint_block *block) {
  struct stat information;
  titan_checkpoint_fault fault;
  titan_checkpoint_region *regions;
  if (fstat(descriptor, &information) != 0)
    return titan_error(TITAN_ERROR_CHECKPOINT, "%s: %s", path, strerror(errno));
  block->file_bytes = (uint64_t)information.st_size;
  TITAN_TRY(read_regions(descriptor, path, block, &regions, &fault));
  block->regions_hash = hash_of_regions(block, regions);
  titan_status status =
      hash_metadata((hashing){.descriptor = descriptor, .path = path}, block, regions, &block->metadata_hash, &fault);
  titan_memory_free(regions);
  TITAN_TRY(status);
  return write_block(descriptor, path, block);
}

static titan_status check_version(const char *path, uint64_t version, titan_checkpoint_fault *fault) {
  if (version >= 1 && version <= TITAN_CHECKPOINT_VERSION)
    return TITAN_OK;
  *fault = TITAN_CHECKPOINT_UNKNOWN_VERSION;
  return titan_error(TITAN_ERROR_CHECKPOINT, "%s has format version %llu; this program knows versions from 1 to %d%s",
                     path, (unsigned long long)version, TITAN_CHECKPOINT_VERSION,
                     version > TITAN_CHECKPOINT_VERSION ? ": a newer one wrote it" : "");
}

// The block alone.
static titan_status read_block(int descriptor, const char *path, titan_checkpoint_block *block,
                               titan_checkpoint_fault *fault) {
  unsigned char bytes[TITAN_CHECKPOINT_BLOCK_BYTES];
  struct stat information;
  *fault = TITAN_CHECKPOINT_SYSTEM;
  if (fstat(descriptor, &information) != 0)
    return titan_error(TITAN_ERROR_CHECKPOINT, "%s: %s", path, strerror(errno));
  TITAN_TRY(check_magic(descriptor, path, fault));
  TITAN_TRY(titan_checkpoint_read_bytes(descriptor, path, 0, bytes, sizeof bytes, fault));
  *fault = TITAN_CHECKPOINT_DAMAGED;
  if (memcmp(bytes, magic, sizeof magic) != 0)
    return titan_error(TITAN_ERROR_CHECKPOINT, "%s is not a checkpoint of this program, or its beginning is damaged",
                       path);
  if (get(bytes + HASH_AT) != XXH64(bytes, HASH_AT, 0))
    return titan_error(TITAN_ERROR_CHECKPOINT, "%s is damaged: its first block", path);
  decode(bytes, block);
  TITAN_TRY(check_version(path, block->version, fault));
  if (block->file_bytes != (uint64_t)information.st_size)
    return titan_error(TITAN_ERROR_CHECKPOINT, "%s is damaged: it has %llu bytes, expected %llu", path,
                       (unsigned long long)information.st_size, (unsigned long long)block->file_bytes);
  return TITAN_OK;
}

titan_status titan_checkpoint_block_check(int descriptor, const char *path, titan_checkpoint_block *block,
                                          titan_checkpoint_keep *keep, void *context, titan_checkpoint_fault *fault) {
  titan_checkpoint_region *regions;
  hashing h = {.descriptor = descriptor, .path = path, .keep = keep, .context = context};
  uint64_t hash;
  TITAN_TRY(read_block(descriptor, path, block, fault));
  TITAN_TRY(read_regions(descriptor, path, block, &regions, fault));
  titan_status status = TITAN_OK;
  if (hash_of_regions(block, regions) != block->regions_hash)
    status = damaged(fault, titan_error(TITAN_ERROR_CHECKPOINT, "%s is damaged: its table of regions", path));
  if (status == TITAN_OK)
    status = hash_metadata(h, block, regions, &hash, fault);
  if (status == TITAN_OK && hash != block->metadata_hash)
    status = damaged(
        fault, titan_error(TITAN_ERROR_CHECKPOINT, "%s is damaged: its metadata does not match its checksum", path));
  titan_memory_free(regions);
  return status;
}
