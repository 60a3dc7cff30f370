// SPDX-License-Identifier: Apache-2.0
#include "model/linear_cross_entropy.h"

static const size_t usual_bytes = (size_t)32 << 20; // of a chunk: what stays in a CPU's caches as far as can be

// Rows of a chunk: about so many bytes of float32 logits, at least 256 rows (smaller products run slowly), and no more
// chunks than one concat can take.
static int64_t chunk_rows(int64_t rows, int64_t vocabulary, size_t bytes) {
  int64_t chunk = (int64_t)((bytes > 0 ? bytes : usual_bytes) / sizeof(float)) / vocabulary;
  if (chunk < 256)
    chunk = 256;
  if (chunk < (rows + TITAN_MAX_INPUTS - 1) / TITAN_MAX_INPUTS)
    chunk = (rows + TITAN_MAX_INPUTS - 1) / TITAN_MAX_INPUTS;
  int64_t chunks = (rows + chunk - 1) / chunk;
  return (rows + chunks - 1) / chunks;
}

static titan_status build_chunk(titan_graph *graph, titan_value x_RD, titan_value w_VD, titan_value labels_R,
                                int64_t begin, int64_t count, titan_value *loss) {
  titan_value x, labels, logits, outputs[TITAN_MAX_OUTPUTS];
  TITAN_TRY(titan_graph_slice(graph, x_RD, begin, count, &x));
  TITAN_TRY(titan_graph_slice(graph, labels_R, begin, count, &labels));
  TITAN_TRY(titan_graph_matmul(graph, x, false, w_VD, true, TITAN_FLOAT32, &logits));
  titan_op_attributes attributes = {.cross_entropy = {.output = titan_graph_value(graph, x_RD)->type.dtype}};
  TITAN_TRY(titan_graph_apply(graph, TITAN_OP_cross_entropy, &attributes, 2, (titan_value[]){logits, labels}, outputs));
  *loss = outputs[0];
  return TITAN_OK;
}

titan_status titan_linear_cross_entropy_build(titan_graph *graph, titan_value x_BLD, titan_value w_VD,
                                              titan_value labels_BL, size_t chunk_bytes, titan_value *loss) {
  const titan_tensor_type *type = &titan_graph_value(graph, x_BLD)->type;
  int64_t rows = titan_tensor_rows(type), columns = titan_tensor_columns(type);
  int64_t chunk = chunk_rows(rows, titan_graph_value(graph, w_VD)->type.dims[0], chunk_bytes);
  titan_value x_RD, labels_R;
  TITAN_TRY(titan_graph_reshape(graph, x_BLD, 2, (int64_t[]){rows, columns}, &x_RD));
  TITAN_TRY(titan_graph_reshape(graph, labels_BL, 1, (int64_t[]){rows}, &labels_R));
  for (int64_t begin = 0; begin < rows; begin += chunk) {
    titan_value part = TITAN_NO_VALUE;
    int64_t count = rows - begin < chunk ? rows - begin : chunk;
    TITAN_TRY(build_chunk(graph, x_RD, w_VD, labels_R, begin, count, &part));
    if (begin == 0)
      *loss = part;
    else
      TITAN_TRY(titan_graph_binary(graph, TITAN_OP_add, *loss, part, loss));
  }
  return TITAN_OK;
}
