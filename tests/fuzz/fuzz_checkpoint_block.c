// SPDX-License-Identifier: Apache-2.0
// The first block of a checkpoint, and its table of regions. The first two numbers of 8 bytes are the count of regions
// and where their table lies; the others are the file behind the block. Property: a file that was sealed passes the
// check, and one with a byte changed, or cut, does not; bytes that were not sealed are refused, with a fault that is
// not SOUND.
#include "fuzz.h"

#include "checkpoint/format.h"

#include <string.h>
#include <unistd.h>

enum { NUMBERS = 16 };

static const char *path;

static titan_status check(titan_checkpoint_fault *fault) {
  titan_checkpoint_block block;
  int descriptor = -1;
  titan_status status = titan_checkpoint_open_descriptor(path, &descriptor, fault);
  FUZZ_REQUIRE(status == TITAN_OK);
  status = titan_checkpoint_block_check(descriptor, path, &block, NULL, NULL, fault);
  close(descriptor);
  return status;
}

static void require_refused(void) {
  titan_checkpoint_fault fault = TITAN_CHECKPOINT_SOUND;
  FUZZ_REQUIRE(check(&fault) == TITAN_ERROR_CHECKPOINT && fault != TITAN_CHECKPOINT_SOUND);
}

static void flip(off_t at) {
  unsigned char byte;
  FUZZ_REQUIRE(pread(fuzz_descriptor(), &byte, 1, at) == 1);
  byte ^= 1;
  FUZZ_REQUIRE(pwrite(fuzz_descriptor(), &byte, 1, at) == 1);
}

static void damage(const uint8_t *data, size_t size) {
  titan_checkpoint_fault fault;
  FUZZ_REQUIRE(check(&fault) == TITAN_OK);
  off_t at = data[size - 1] * 16 + data[0] % 16; // in the block
  flip(at);
  require_refused();
  flip(at);
  FUZZ_REQUIRE(check(&fault) == TITAN_OK);
  FUZZ_REQUIRE(ftruncate(fuzz_descriptor(), TITAN_CHECKPOINT_BLOCK_BYTES + (off_t)(size - NUMBERS) - 1) == 0);
  require_refused();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  uint64_t live = fuzz_live();
  titan_checkpoint_block block = {.version = TITAN_CHECKPOINT_VERSION, .step = 1};
  if (size <= NUMBERS)
    return 0;
  path = fuzz_file(".h5", data, size);
  require_refused();
  path = fuzz_file(".h5", NULL, 0);
  FUZZ_REQUIRE(pwrite(fuzz_descriptor(), data + NUMBERS, size - NUMBERS, TITAN_CHECKPOINT_BLOCK_BYTES) ==
               (ssize_t)(size - NUMBERS));
  memcpy(&block.region_count, data, 8);
  memcpy(&block.regions_offset, data + 8, 8);
  if (titan_checkpoint_block_seal(fuzz_descriptor(), path, &block) == TITAN_OK)
    damage(data, size);
  fuzz_require_no_leak(live);
  return 0;
}
