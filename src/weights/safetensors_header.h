// SPDX-License-Identifier: Apache-2.0
// The JSON header of a safetensors file. Private to safetensors*.c.
#ifndef TITAN_WEIGHTS_SAFETENSORS_HEADER_H
#define TITAN_WEIGHTS_SAFETENSORS_HEADER_H

#include "weights/safetensors.h"

// Fills tensors and entries of `file` (which owns them, also on failure) from the header's text. The tensors' data
// begin at byte `data` and end at byte `file_bytes`.
titan_status titan_safetensors_header_parse(titan_safetensors *file, const char *text, size_t length, uint64_t data,
                                            uint64_t file_bytes);

// The name of a number in the format: "F32".
const char *titan_safetensors_type(titan_number number);

#endif
