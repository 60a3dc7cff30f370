// SPDX-License-Identifier: Apache-2.0
#ifndef TITAN_STORAGE_WRITE_AT_H
#define TITAN_STORAGE_WRITE_AT_H

#include <stddef.h>
#include <stdint.h>

// Not collective. Writes all of bytes[count] at byte `offset` of an open file, however many calls that takes. 0, or the
// system's error number; ENOSPC where nothing more is taken.
int titan_write_at(int descriptor, const void *bytes, size_t count, uint64_t offset);

#endif
