// SPDX-License-Identifier: Apache-2.0
// Loading a checkpoint into a runtime, whatever mesh wrote it.
#ifndef TITAN_STATE_LOAD_H
#define TITAN_STATE_LOAD_H

#include "checkpoint/file.h"
#include "parallel/runtime.h"

typedef struct titan_checkpoint_load_options {
  titan_runtime *runtime;
  bool optimizer; // load the moments too, where the file has them
  int64_t step;   // that the file must be of, by its name; below 0: any
  size_t piece;   // see titan_checkpoint_file.piece
} titan_checkpoint_load_options;

// Collective over the mesh. Opens `path` on rank 0, shares what it holds beside tensors (contents without texts and
// without the logged losses on the other ranks), and loads masters and moments; moments that are not loaded are zero.
// All tensor data of the file is verified, what is loaded as it is loaded, but of files of version 1 by a second
// reading. TITAN_ERROR_CHECKPOINT on all ranks: the file cannot be used
// (*fault alike on all ranks: SYSTEM where one of them could not read it, whatever others found), or it is not of this
// model (one message lists constants of another value, and tensors that are missing, too much, or of another shape), or
// of another step than its name says; *fault is SOUND in these two cases. The runtime's masters and moments are
// undefined where data was damaged, and else untouched.
titan_status titan_checkpoint_load(const titan_checkpoint_load_options *options, const char *path,
                                   titan_checkpoint_file **out, titan_checkpoint_fault *fault);

#endif
