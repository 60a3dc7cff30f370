// SPDX-License-Identifier: Apache-2.0
// Output projection and cross-entropy in chunks of rows, so that the logits are never held whole.
#ifndef TITAN_MODEL_LINEAR_CROSS_ENTROPY_H
#define TITAN_MODEL_LINEAR_CROSS_ENTROPY_H

#include "graph/graph.h"

// x[B,L,D], w[V,D], labels[B,L] int32 -> loss[1] float32 = sum over tokens of (lse - logit of the label); a token whose
// label is below 0 does not count. Logits of a chunk are float32; chunks are chosen so that they take about
// `chunk_bytes` (0: 32 MiB). In a plan whose phases are merged, a chunk's backward follows its forward, and one chunk
// is alive at a time.
titan_status titan_linear_cross_entropy_build(titan_graph *graph, titan_value x_BLD, titan_value w_VD,
                                              titan_value labels_BL, size_t chunk_bytes, titan_value *loss);

#endif
