// SPDX-License-Identifier: Apache-2.0
// Models: what is computed, in logical shapes, knowing nothing of parallelism or devices.
//
// A model is a sequence of units (an embedding, blocks, a head, say). Each is of a kind, a row of the model's own
// table; units of a kind share one graph. Graphs are wired by the names of their inputs and outputs:
//   tokens, labels [B,L] int32   of the batch; any unit may read them
//   y -> x                       from each unit to the next; the first unit has no x
//   loss [1] float32             of the last unit: the sum over this rank's tokens, those with labels below 0 left out
// Any other input is a constant: an output of that name of the model's graph of constants.
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
  int64_t vocabulary;              // V
  titan_norm_type norm_type;
  bool tied; // the two parameters of the model's tie are one
} titan_model_arguments;

// What a step computes on one rank.
typedef struct titan_model_shape {
  int64_t batch, length; // B, L of this rank
  titan_dtype dtype;     // compute type
  size_t logits_bytes;   // of a chunk of the loss head (titan_device.logits_bytes); 0: the model's own choice
} titan_model_shape;

// Makes the forward graph of a kind: its inputs, parameters and outputs, not differentiated.
typedef titan_status titan_model_build(const titan_model_arguments *arguments, const titan_model_shape *shape,
                                       titan_graph *graph);

// A kind of units: a row of a model's table.
typedef struct titan_model_kind {
  const char *name; // "block"
  // Put before the parameters' names: "", or "layers.%lld." with the number of the unit, counted from 0 over the units
  // of all kinds with this prefix. Units with numbers are the layers among which activation checkpointing chooses.
  const char *prefix;
  titan_model_build *build;
  const char *differentiate; // the output that gradients start from; NULL: forward only
  bool merged;               // forward and backward are one program: of the last unit, and of no other
} titan_model_kind;

// What a parameter is, for those who treat some differently (optimizer.no_decay).
typedef enum titan_parameter_role {
  TITAN_PARAMETER_WEIGHT,
  TITAN_PARAMETER_NORM,
  TITAN_PARAMETER_EMBEDDING,
  TITAN_PARAMETER_OUTPUT,
} titan_parameter_role;

// Two parameters of one shape that are one where arguments.tied, each in a kind of which a model has one unit. Both are
// parameters of their units, with equal values; the gradient of each is the sum of both.
typedef struct titan_model_tie {
  int kinds[2];              // the kind of the lower unit first
  const char *parameters[2]; // names within the kinds; the initial values are those of the first name's stream
} titan_model_tie;

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
  const titan_model_kind *kinds;
  int kind_count;
  int64_t (*unit_count)(const titan_model_arguments *arguments);
  int (*kind_of)(const titan_model_arguments *arguments, int64_t unit); // index into kinds
  const titan_model_kind *constants; // computed once; every output is an input of units by its name; NULL: none
  const titan_model_kind *logits;    // the last unit without a loss: x -> logits float32, whole; NULL: not offered
  // Distribution of a parameter's initial values, by its name within the kind; `layer`: the number in its prefix, 0
  // where it has none.
  titan_parameter_init (*init)(const titan_model_arguments *arguments, const char *parameter, int64_t layer);
  // By the parameter's name within the kind.
  titan_parameter_role (*role)(const char *parameter);
  const titan_model_tie *tie; // what arguments.tied makes one; NULL: the model cannot do that
} titan_model_definition;

// What is one in a model of these arguments; NULL: nothing.
const titan_model_tie *titan_model_tie_of(const titan_model_definition *model, const titan_model_arguments *arguments);
// Whether a parameter (by its name within its kind) is the second of what is one: equal to the first, and not counted.
bool titan_model_is_copy(const titan_model_definition *model, const titan_model_arguments *arguments, int kind,
                         const char *parameter);

// Whether two scalings are the same function.
bool titan_model_same_scaling(const titan_rope_scaling *a, const titan_rope_scaling *b);

#define TITAN_MODEL(name, definition) extern const titan_model_definition definition;
#include "model/models.def"
#undef TITAN_MODEL

// By model.name; NULL when there is none. titan_model_names: for messages.
const titan_model_definition *titan_model_find(const char *name);
const char *titan_model_names(void);

int64_t titan_model_unit_count(const titan_model_definition *model, const titan_model_arguments *arguments);
const titan_model_kind *titan_model_unit_kind(const titan_model_definition *model,
                                              const titan_model_arguments *arguments, int64_t unit);
// Whether units of the kind are numbered: the model's layers.
bool titan_model_kind_is_numbered(const titan_model_kind *kind);
// The number of a unit among those with its prefix; 0 where the prefix has none.
int64_t titan_model_unit_number(const titan_model_definition *model, const titan_model_arguments *arguments,
                                int64_t unit);
// Into text: the prefix of the unit's parameters ("layers.3.", "") and its name ("layers.3", "embedding", "head").
void titan_model_unit_prefix(const titan_model_definition *model, const titan_model_arguments *arguments, int64_t unit,
                             char *text, size_t size);
void titan_model_unit_name(const titan_model_definition *model, const titan_model_arguments *arguments, int64_t unit,
                           char *text, size_t size);

// FFN hidden size F: multiple_of-rounded int(multiplier * int(2*4*D/3)).
int64_t titan_model_ffn_hidden(const titan_model_arguments *arguments);

// Number of parameters, counted off the kinds' graphs, tied ones once; *embedding (may be NULL): those that an
// embedding looks up and no product reads, so that a tied one is none of them.
titan_status titan_model_count_parameters(const titan_model_definition *model, const titan_model_arguments *arguments,
                                          int64_t *total, int64_t *embedding);

// Floating-point operations per token of a training step: 6 (P - P_embedding) + 12 layers D L (the reference's formula,
// with attention counted in full). P and P_embedding: see titan_model_count_parameters; what is tied costs the product
// of the output, and counts.
double titan_model_flops_per_token(const titan_model_arguments *arguments, int64_t parameters, int64_t embedding,
                                   int64_t length);

#endif
