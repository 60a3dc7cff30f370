// SPDX-License-Identifier: Apache-2.0
// The folder of checkpoints: <folder>/step-N.h5, and step-N.h5.partial while one is written. Serial.
#ifndef TITAN_CHECKPOINT_STORE_H
#define TITAN_CHECKPOINT_STORE_H

#include "base/status.h"
#include "base/text.h"
#include "storage/lock.h"

#include <stdbool.h>
#include <stdint.h>

// Appends "<folder>/step-N.h5".
titan_status titan_store_path(const char *folder, int64_t step, titan_text *path);

// The steps of the files named step-N.h5, ascending; *steps is the caller's (titan_memory_free). A folder that does not
// exist has none. TITAN_ERROR_CHECKPOINT when it cannot be read, or is no folder.
titan_status titan_store_list(const char *folder, int64_t **steps, int64_t *count);

// The step that a name like step-12.h5 gives; -1 for one that is no checkpoint's (step-012.h5, step-12.h5.partial).
int64_t titan_store_step_of(const char *name);

// Takes the folder for this process, as titan_lock_take does: one writes to it at a time, whatever name it has there.
titan_status titan_store_lock(const char *folder, titan_lock_file file, titan_lock **out, bool *held);

// Removes what killed runs left half written. Folders of such names are left.
titan_status titan_store_remove_partial(const char *folder);

// How many files a run needs room for, beyond the `there` that are in the folder when it begins, if it saves `saves`
// times and keeps `keep` (0: all): a file is removed only once the one that takes its place is complete.
int64_t titan_store_new_files(int64_t keep, int64_t there, int64_t saves);

// Of the files of the steps up to `latest`, removes all but the `keep` of the highest steps, and never that of `latest`
// nor one that this program has not written. Later steps are another branch's and stay. keep 0: removes none.
// TITAN_ERROR_CHECKPOINT with the first file that cannot be removed.
titan_status titan_store_retain(const char *folder, int64_t keep, int64_t latest);

#endif
