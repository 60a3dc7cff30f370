// SPDX-License-Identifier: Apache-2.0
// Private to the loader: reads the corpus and deals tokens into the lanes. Belongs to one thread.
#ifndef TITAN_DATA_LOADER_LANES_H
#define TITAN_DATA_LOADER_LANES_H

#include "data/loader.h"
#include <stdatomic.h>

typedef struct titan_lanes titan_lanes;

// options->cursors NULL: from the beginning. `stop` and `told` are borrowed; once `stop` is true, titan_lanes_next ends
// soon.
titan_status titan_lanes_create(const titan_loader_options *options, const atomic_bool *stop, titan_corpus_told *told,
                                titan_lanes **out);
void titan_lanes_destroy(titan_lanes **lanes);

// windows = [lane_count][seq_len+1]; cursors[lane_count] = the positions behind them. When told to stop it returns
// TITAN_OK with the contents undefined.
titan_status titan_lanes_next(titan_lanes *lanes, int32_t *windows, titan_loader_cursor *cursors);

uint64_t titan_lanes_replaced(const titan_lanes *lanes);

// Positions of lanes first_lane .. at the beginning of the corpus.
void titan_lanes_first_cursors(int64_t first_lane, int64_t lane_count, titan_loader_cursor *cursors);

#endif
