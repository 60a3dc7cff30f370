// debug.dump_plan: what runs, where it lies and what it costs, as text.
#ifndef TITAN_TRAIN_PLAN_FILES_H
#define TITAN_TRAIN_PLAN_FILES_H

#include "parallel/runtime.h"

// Not collective: one rank calls it. Writes <folder>/plans/<part>.txt for each different plan of the units; a second
// plan of a part has the number of its first unit in its name.
titan_status titan_plan_files_write(titan_runtime *runtime, const char *folder);

#endif
