// SPDX-License-Identifier: Apache-2.0
// The framing of TFRecord files, of which TensorBoard's event files are some.
#ifndef TITAN_OBSERVE_TFRECORD_H
#define TITAN_OBSERVE_TFRECORD_H

#include <stddef.h>
#include <stdint.h>

// A record is: its length (8 bytes, least first), the masked checksum of these (4), the bytes, their masked checksum
// (4).
enum { TITAN_TFRECORD_HEAD_BYTES = 12, TITAN_TFRECORD_TAIL_BYTES = 4 };

// CRC32C (Castagnoli; RFC 3720, appendix B.4) of the bytes.
uint32_t titan_crc32c(const void *bytes, size_t count);

// Not collective. Fills head and tail of a record whose `length` bytes are there, TITAN_TFRECORD_HEAD_BYTES behind the
// record's beginning.
void titan_tfrecord_frame(unsigned char *record, size_t length);

#endif
