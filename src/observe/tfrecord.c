// SPDX-License-Identifier: Apache-2.0
#include "observe/tfrecord.h"

uint32_t titan_crc32c(const void *bytes, size_t count) {
  const unsigned char *byte = bytes;
  uint32_t sum = 0xffffffffu;
  for (size_t i = 0; i < count; i++) {
    sum ^= byte[i];
    for (int bit = 0; bit < 8; bit++)
      sum = sum >> 1 ^ (0x82f63b78u & (0u - (sum & 1)));
  }
  return ~sum;
}

static void put(unsigned char *bytes, uint64_t value, int count) {
  for (int i = 0; i < count; i++)
    bytes[i] = (unsigned char)(value >> 8 * i);
}

// A checksum of data that contains checksums would be weak: they are stored rotated and shifted.
static uint32_t masked(uint32_t sum) {
  return (sum >> 15 | sum << 17) + 0xa282ead8u;
}

void titan_tfrecord_frame(unsigned char *record, size_t length) {
  unsigned char *payload = record + TITAN_TFRECORD_HEAD_BYTES;
  put(record, length, 8);
  put(record + 8, masked(titan_crc32c(record, 8)), 4);
  put(payload + length, masked(titan_crc32c(payload, length)), 4);
}
