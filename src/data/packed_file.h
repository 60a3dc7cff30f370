// SPDX-License-Identifier: Apache-2.0
// Private to data/: the bytes of a file, plain or gzip (RFC 1952; recognised by its first two bytes). Gzip files may
// have several members one after another, and zeros after the last. zlib's own gzread takes a member that is damaged
// in its header, and anything else behind a member, for the end of the file; here these are errors.
#ifndef TITAN_DATA_PACKED_FILE_H
#define TITAN_DATA_PACKED_FILE_H

#include "base/status.h"
#include <stdbool.h>
#include <stdint.h>

typedef struct titan_packed_file titan_packed_file; // belongs to one thread

// Opens `path` (copied). TITAN_ERROR_USAGE when it is missing, unreadable or a folder.
titan_status titan_packed_file_open(const char *path, titan_packed_file **out);

// Reads the next bytes: *count of them, at most `room` (at least 1), are at `bytes`; 0 is the end of the file. Damage
// is TITAN_OK with *count 0 and *damage a text that says what is wrong and at which byte of the file, valid until the
// file is closed; *damage is NULL otherwise. Only bytes before the damage are given, and damage stays.
// TITAN_ERROR_MEMORY.
titan_status titan_packed_file_read(titan_packed_file *file, char *bytes, size_t room, size_t *count,
                                    const char **damage);

// Goes back to the first byte. TITAN_ERROR_DATA for a pipe.
titan_status titan_packed_file_rewind(titan_packed_file *file);

// Whether the file is gzip, once something was read of it.
bool titan_packed_file_is_gzip(const titan_packed_file *file);

// Of a plain file: the next byte read is number `offset`. TITAN_ERROR_DATA for a pipe.
titan_status titan_packed_file_seek(titan_packed_file *file, uint64_t offset);
// What the caller needs next ends before byte `end`: no more is asked of the system until the file was read that far.
// 0: as much as fits the buffer, as a file begins.
void titan_packed_file_expect(titan_packed_file *file, uint64_t end);

// Bytes that an open file takes, zlib's own included.
size_t titan_packed_file_bytes(void);

// NULL handle is fine; the handle becomes NULL.
void titan_packed_file_close(titan_packed_file **file);

#endif
