// SPDX-License-Identifier: Apache-2.0
// A device whose memory is the host's, made of one whose memory is apart: each kernel and vector function copies its
// operands to that device, waits, and copies them back. So tests of kernels that read and write operands as they are
// run on any device.
#ifndef TITAN_TESTS_DEVICES_STAGED_H
#define TITAN_TESTS_DEVICES_STAGED_H

#include "device/device.h"

// Possesses `inner`, also where it fails. Around each operand lie 64 bytes on the device; a call that changes them, or
// an input that is no output too, is TITAN_ERROR_INTERNAL. Collectives are not offered.
titan_status titan_staged_create(titan_device *inner, titan_device **out);
// From now on operands, but for workspaces, lie so many bytes behind a multiple of 64. 0 at first.
void titan_staged_shift(size_t bytes);

#endif
