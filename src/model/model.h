// Models: what is computed, in logical shapes, knowing nothing of parallelism or devices.
//
// A model is a sequence of units (embedding, each block, head); units of a kind share one part, a graph. Part inputs
// and results are wired by name: "tokens", "labels", "x" -> "y" from unit to unit, "loss", and constants that the part
// TITAN_PART_SETUP computes once ("rope_table").
#ifndef TITAN_MODEL_MODEL_H
#define TITAN_MODEL_MODEL_H

#include "graph/graph.h"

typedef enum titan_norm_type {
  TITAN_NORM_RMSNORM,
  TITAN_NORM_FUSED_RMSNORM,
  TITAN_NORM_LAYERNORM,
  TITAN_NORM_NP_LAYERNORM,
} titan_norm_type;

typedef struct titan_model_arguments {
  int64_t dim, layers, heads, kv_heads; // D, number of blocks, N, K
  int64_t multiple_of;
  double ffn_dim_multiplier;
  double norm_epsilon, rope_theta;
  titan_rope_scaling rope_scaling; // factor 0: none
  int64_t vocabulary; // V
  titan_norm_type norm_type;
} titan_model_arguments;

// What a step computes on one rank.
typedef struct titan_model_shape {
  int64_t batch, length; // B, L of this rank
  int64_t global_tokens; // of the whole step: the loss is a sum over this rank's tokens divided by this
  titan_dtype dtype;     // compute type
} titan_model_shape;

typedef enum titan_part {
  TITAN_PART_EMBEDDING, // tokens[B,L] -> y[B,L,D]
  TITAN_PART_BLOCK,     // x[B,L,D], rope_table -> y[B,L,D]
  TITAN_PART_HEAD,      // x[B,L,D], labels[B,L] -> loss[1]; logits in chunks
  TITAN_PART_SETUP,     // -> rope_table[L,H/2,2]
  TITAN_PART_LOGITS,    // x[B,L,D] -> logits[B*L,V] float32: the head without a loss, whole
  TITAN_PARTS
} titan_part;

typedef struct titan_parameter_init {
  double mean, std;
  double low, high; // cut, in standard deviations
} titan_parameter_init;

typedef struct titan_model_definition {
  const char *name;
  // Arguments of a flavor (all but vocabulary and norm type); false when there is none.
  bool (*flavor)(const char *name, titan_model_arguments *out);
  const char *flavor_names; // for messages
  // Appends to `problems` a line for each size that does not fit.
  titan_status (*check)(const titan_model_arguments *arguments, titan_text *problems);
  // The forward graph of a part, with its parameters, outputs added, not differentiated.
  titan_status (*build)(const titan_model_arguments *arguments, const titan_model_shape *shape, titan_part part,
                        titan_graph *graph);
  // Distribution of a parameter's initial values, by its name within the part; `layer` counts blocks from 0.
  titan_parameter_init (*init)(const titan_model_arguments *arguments, const char *parameter, int64_t layer);
} titan_model_definition;

// Whether two scalings are the same function.
bool titan_model_same_scaling(const titan_rope_scaling *a, const titan_rope_scaling *b);

// By model.name; NULL when there is none. titan_model_names: for messages.
const titan_model_definition *titan_model_find(const char *name);
const char *titan_model_names(void);

static inline int64_t titan_model_unit_count(const titan_model_arguments *arguments) {
  return arguments->layers + 2;
}

// The part of a unit, and the prefix of its parameters' names ("layers.3." for a block) into text.
titan_part titan_model_unit_part(const titan_model_arguments *arguments, int64_t unit);
void titan_model_unit_prefix(const titan_model_arguments *arguments, int64_t unit, char *text, size_t size);

// FFN hidden size F: multiple_of-rounded int(multiplier * int(2*4*D/3)).
int64_t titan_model_ffn_hidden(const titan_model_arguments *arguments);

// Number of parameters, counted off the parts' graphs; *embedding (may be NULL): those of the token embedding.
titan_status titan_model_count_parameters(const titan_model_definition *model, const titan_model_arguments *arguments,
                                          int64_t *total, int64_t *embedding);

// Floating-point operations per token of a training step: 6 (P - P_embedding) + 12 layers D L (the reference's formula,
// with attention counted in full).
double titan_model_flops_per_token(const titan_model_arguments *arguments, int64_t parameters, int64_t embedding,
                                   int64_t length);

#endif
