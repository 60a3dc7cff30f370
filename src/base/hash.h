// SPDX-License-Identifier: Apache-2.0
// FNV-1a, 64 bits (Fowler, Noll, Vo): for names and fingerprints, not against an attacker.
#ifndef TITAN_BASE_HASH_H
#define TITAN_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define TITAN_HASH_START UINT64_C(0xcbf29ce484222325)

// The hash of what `hash` is of, followed by these bytes; the first begins with TITAN_HASH_START.
static inline uint64_t titan_hash_bytes(uint64_t hash, const void *bytes, size_t count) {
  for (size_t i = 0; i < count; i++)
    hash = (hash ^ ((const unsigned char *)bytes)[i]) * UINT64_C(0x100000001b3);
  return hash;
}

// The same with the `bytes` lowest bytes of a number, the lowest first: alike on every machine.
static inline uint64_t titan_hash_number(uint64_t hash, uint64_t number, int bytes) {
  for (int i = 0; i < bytes; i++)
    hash = titan_hash_bytes(hash, &(unsigned char){(unsigned char)(number >> 8 * i)}, 1);
  return hash;
}

#endif
