// SPDX-License-Identifier: Apache-2.0
// debug.dump_plan: what runs, where it lies and what it costs, as text. debug.dump_graph: the graphs that plans are
// made from, as text and as drawings.
#ifndef TITAN_TRAIN_PLAN_FILES_H
#define TITAN_TRAIN_PLAN_FILES_H

#include "parallel/runtime.h"

// Not collective: one rank calls it. A file for each different plan of the units, named after the part; where blocks
// differ in what they recompute, a second one that has the first such layer in its name: block.txt, block.layers.1.txt.
// TITAN_ERROR_OUTPUT names option and path.
titan_status titan_plan_files_write(titan_runtime *runtime, const char *folder); // <folder>/plans/<part>.txt
// The order of a pipeline in time: <folder>/plans/<name>, an SVG file. times: of its cells, in `unit`.
titan_status titan_schedule_file_write(titan_runtime *runtime, const titan_prediction *times, const char *what,
                                       const char *unit, const char *folder, const char *name);
titan_status titan_graph_files_write(titan_runtime *runtime, const char *folder); // <folder>/graphs/<part>.txt, .dot

#endif
