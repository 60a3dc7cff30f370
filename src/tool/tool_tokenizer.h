// SPDX-License-Identifier: Apache-2.0
// The tokenizer that goes with an export. Private to tool_*.c.
#ifndef TITAN_TOOL_TOOL_TOKENIZER_H
#define TITAN_TOOL_TOOL_TOKENIZER_H

#include "checkpoint/file.h"
#include "tokenizer/tokenizer.h"

// Not collective. The tokenizer of the training: the file `given` or, where that is NULL, the one that the checkpoint's
// configuration names or that is installed with the program, if it is the same (by its fingerprint); *out is NULL when
// neither is. TITAN_ERROR_USAGE and TITAN_ERROR_CHECKPOINT for a given one that cannot be read, or is another.
titan_status titan_tool_tokenizer_find(const char *given, const titan_checkpoint_contents *contents,
                                       titan_tokenizer **out);

#endif
