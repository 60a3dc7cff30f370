// The folder of checkpoints: <folder>/step-N.h5, and step-N.h5.partial while one is written. Serial.
#ifndef TITAN_CHECKPOINT_STORE_H
#define TITAN_CHECKPOINT_STORE_H

#include "base/status.h"
#include "base/text.h"

#include <stdbool.h>
#include <stdint.h>

// Appends "<folder>/step-N.h5".
titan_status titan_store_path(const char *folder, int64_t step, titan_text *path);

// The steps of the files named step-N.h5, ascending; *steps is the caller's (titan_memory_free). A folder that does not
// exist has none. TITAN_ERROR_CHECKPOINT when it cannot be read, or is no folder.
titan_status titan_store_list(const char *folder, int64_t **steps, int64_t *count);

// Removes what killed runs left half written.
titan_status titan_store_remove_partial(const char *folder);

// Removes all but the `keep` files of the highest steps, and never that of `latest`. keep 0: removes none.
// TITAN_ERROR_CHECKPOINT with the first file that cannot be removed.
titan_status titan_store_retain(const char *folder, int64_t keep, int64_t latest);

#endif
