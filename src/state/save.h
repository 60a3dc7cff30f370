// SPDX-License-Identifier: Apache-2.0
// Saving a runtime's state, at once or while the training goes on.
#ifndef TITAN_STATE_SAVE_H
#define TITAN_STATE_SAVE_H

#include "checkpoint/writer.h"
#include "parallel/runtime.h"

typedef enum titan_save_mode {
  TITAN_SAVE_AT_ONCE,
  TITAN_SAVE_ASYNC,        // what this rank writes is copied; a thread writes the copy
  TITAN_SAVE_ASYNC_PINNED, // as ASYNC, into memory that is kept for the run
} titan_save_mode;

typedef struct titan_saver titan_saver;

typedef struct titan_saver_options {
  titan_runtime *runtime; // borrowed
  titan_save_mode mode;
  const char *hints; // MPI-IO's; borrowed; NULL: none
  size_t piece;      // bytes that are written at once; 0: TITAN_CHECKPOINT_STAGING_BYTES
  size_t tile_bytes; // of checksums; 0: TITAN_CHECKPOINT_TILE_BYTES
  bool apart;        // as if the ranks were on several nodes
  bool verify;       // read each file back before it gets its name (writer.h)
} titan_saver_options;

// Bytes of staging memory that saves take on this rank at most (tag CHECKPOINT).
size_t titan_checkpoint_staging_bytes(titan_runtime *runtime, titan_save_mode mode, bool verify);

// Collective over the mesh. The asynchronous modes need MPI_THREAD_MULTIPLE: TITAN_ERROR_USAGE without.
titan_status titan_saver_create(const titan_saver_options *options, titan_saver **out);
// Collective; waits for a save that is under way. NULL handle is fine; the handle becomes NULL.
void titan_saver_destroy(titan_saver **saver);

// Not collective. The length of a file with masters and moments, about.
uint64_t titan_saver_file_bytes(const titan_saver *saver);

// Collective; no save is under way. TITAN_ERROR_CHECKPOINT, with the tensor and the value, where a weight is too large
// for the type.
titan_status titan_saver_check_values(titan_saver *saver, titan_number number);

typedef struct titan_save_request {
  const char *path;
  const titan_checkpoint_contents *contents; // on rank 0; must stay as it is until the save is over
  bool model_only;
  titan_number number; // of the model's tensors; other than float32 with model_only
  bool at_once;        // whatever the mode
  bool replace;        // a file of that path may be there, and is overwritten
} titan_save_request;

// Collective; no save is under way. Returns when the file is complete, or, in the asynchronous modes, when the copy is
// made; titan_saver_finish then gives the result. A failure comes back on all ranks alike: TITAN_ERROR_CHECKPOINT.
titan_status titan_saver_start(titan_saver *saver, const titan_save_request *request);

// Not collective. Whether a save has been started and not finished; whether this rank's part of it is over.
bool titan_saver_is_busy(const titan_saver *saver);
bool titan_saver_is_done(const titan_saver *saver);

typedef struct titan_save_result {
  titan_checkpoint_written written;
  double seconds, copy_seconds; // from start to end, of which the training stood still
} titan_save_result;

// Collective in effect: waits for the save under way, and gives the status that all ranks have agreed on.
titan_status titan_saver_finish(titan_saver *saver, titan_save_result *result);

#endif
