// SPDX-License-Identifier: Apache-2.0
// See "Disk Format: Level 2A1 - Data Object Headers" and "The Dataspace Message" in the HDF5 File Format Specification,
// version 3.0.
#include "observe/hdf5_extent.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { CHECKSUM_BYTES = 4, DATASPACE_MESSAGE = 1 };

static uint64_t get(const unsigned char *bytes, int count) {
  uint64_t value = 0;
  for (int i = count - 1; i >= 0; i--)
    value = value << 8 | bytes[i];
  return value;
}

static void put(unsigned char *bytes, int count, uint64_t value) {
  for (int i = 0; i < count; i++)
    bytes[i] = (unsigned char)(value >> 8 * i);
}

static uint32_t rotate(uint32_t x, int by) {
  return x << by | x >> (32 - by);
}

static void mix(uint32_t s[3]) {
  static const int by[6] = {4, 6, 8, 16, 19, 4};
  for (int i = 0; i < 6; i++) {
    uint32_t *a = &s[i % 3], *b = &s[(i + 1) % 3], *c = &s[(i + 2) % 3];
    *a -= *c;
    *a ^= rotate(*c, by[i]);
    *c += *b;
  }
}

static void mix_last(uint32_t s[3]) {
  static const int by[7] = {14, 11, 25, 16, 4, 14, 24};
  for (int i = 0; i < 7; i++) {
    uint32_t *to = &s[(i + 2) % 3], *from = &s[(i + 1) % 3];
    *to ^= *from;
    *to -= rotate(*from, by[i]);
  }
}

// Bob Jenkins, lookup3 (2006): the checksum of HDF5's metadata.
static uint32_t lookup3(const unsigned char *bytes, size_t length) {
  uint32_t s[3];
  s[0] = s[1] = s[2] = 0xdeadbeef + (uint32_t)length;
  if (length == 0)
    return s[2];
  for (; length > 12; bytes += 12, length -= 12) {
    for (int i = 0; i < 3; i++)
      s[i] += (uint32_t)get(bytes + 4 * i, 4);
    mix(s);
  }
  unsigned char rest[12] = {0};
  memcpy(rest, bytes, length);
  for (int i = 0; i < 3; i++)
    s[i] += (uint32_t)get(rest + 4 * i, 4);
  mix_last(s);
  return s[2];
}

// Looks for the dataspace message between the bytes `at` and `end`.
static bool find_dataspace(titan_hdf5_extent *extent, size_t at, size_t end, size_t message_header) {
  const unsigned char *header = extent->header;
  while (at + message_header <= end) {
    size_t bytes = (size_t)get(header + at + 1, 2), body = at + message_header;
    if (body + bytes > end)
      return false;
    if (header[at] == DATASPACE_MESSAGE) {
      extent->offset = (uint32_t)body + 4; // behind version, rank, flags and type
      return bytes >= 4 + 8 && header[body] == 2 && header[body + 1] == 1;
    }
    at = body + bytes;
  }
  return false;
}

static bool parse(titan_hdf5_extent *extent, size_t have) {
  const unsigned char *header = extent->header;
  if (have < 8 || memcmp(header, "OHDR", 4) != 0 || header[4] != 2)
    return false;
  int flags = header[5], size_bytes = 1 << (flags & 3);
  size_t at = 6 + ((flags & 0x20) != 0 ? 16u : 0u) + ((flags & 0x10) != 0 ? 4u : 0u);
  if (at + (size_t)size_bytes > have)
    return false;
  uint64_t messages = get(header + at, size_bytes);
  at += (size_t)size_bytes;
  if (messages > have || at + messages + CHECKSUM_BYTES > have)
    return false;
  size_t end = at + (size_t)messages;
  extent->length = (uint32_t)end + CHECKSUM_BYTES;
  return get(header + end, CHECKSUM_BYTES) == lookup3(header, end) &&
         find_dataspace(extent, at, end, (flags & 4) != 0 ? 6 : 4);
}

titan_status titan_hdf5_extent_find(int descriptor, uint64_t address, titan_hdf5_extent *out) {
  *out = (titan_hdf5_extent){.address = address};
  ssize_t have = pread(descriptor, out->header, sizeof out->header, (off_t)address);
  if (have < 0)
    return titan_error(TITAN_ERROR_OUTPUT, "%s", strerror(errno));
  if (!parse(out, (size_t)have))
    return titan_error(TITAN_ERROR_OUTPUT, "this version of HDF5 writes headers of datasets in another form");
  return TITAN_OK;
}

int titan_hdf5_extent_set(int descriptor, titan_hdf5_extent *extent, uint64_t size) {
  put(extent->header + extent->offset, 8, size);
  size_t end = extent->length - CHECKSUM_BYTES, count = extent->length - extent->offset;
  put(extent->header + end, CHECKSUM_BYTES, lookup3(extent->header, end));
  ssize_t written =
      pwrite(descriptor, extent->header + extent->offset, count, (off_t)(extent->address + extent->offset));
  return written == (ssize_t)count ? 0 : written < 0 ? errno : ENOSPC;
}
