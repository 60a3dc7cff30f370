// SPDX-License-Identifier: Apache-2.0
// Hugging Face's form of a Llama: its names of the parameters, its order of the rows of wq and wk, its config.json.
//
// Our rotary embedding turns the pair (2 i, 2 i + 1) of a head's H elements, Hugging Face's the pair (i, i + H/2), by
// the same angle. So a head's row 2 i + j of wq or wk is their row j H/2 + i (j = 0, 1); all else is equal.
#ifndef TITAN_WEIGHTS_HUGGING_FACE_H
#define TITAN_WEIGHTS_HUGGING_FACE_H

#include "base/text.h"
#include "model/model.h"
#include "weights/number.h"

enum { TITAN_HUGGING_FACE_NAME_BYTES = 128 };

// The other naming's name of a parameter; false when it is none of a Llama's.
bool titan_hugging_face_name(const char *ours, char theirs[TITAN_HUGGING_FACE_NAME_BYTES]);
bool titan_hugging_face_name_to_ours(const char *theirs, char ours[TITAN_HUGGING_FACE_NAME_BYTES]);

// Whether a tensor of theirs holds nothing that is learned, and can be left out.
bool titan_hugging_face_is_derived(const char *theirs);

// Whether the rows of this parameter (our name) are ordered otherwise.
bool titan_hugging_face_is_permuted(const char *ours);

// out[heads*H,columns]: the rows of whole heads, in the other order. in and out do not overlap.
void titan_hugging_face_permute(int64_t heads, int64_t head_size, int64_t columns, const float *in, float *out);
void titan_hugging_face_permute_to_ours(int64_t heads, int64_t head_size, int64_t columns, const float *in, float *out);

// What config.json says. Zero: not said.
typedef struct titan_hugging_face_config {
  int64_t dim, layers, heads, kv_heads, ffn_hidden, vocabulary; // D, number of blocks, N, K, F, V
  double norm_epsilon, rope_theta;
  titan_rope_scaling rope_scaling;
  int64_t length;                 // max_position_embeddings
  int64_t begin_token, end_token; // -1: none
  bool tied;                      // the output's weights are the embedding's
  char unknown[200];              // keys, comma-separated, of which it is not known whether they change the model
} titan_hugging_face_config;

// TITAN_ERROR_CHECKPOINT, naming the file `path`, for a model whose norms Hugging Face's Llama has not.
titan_status titan_hugging_face_check(const char *path, const titan_model_arguments *arguments);

// Appends config.json for weights of type `number`.
titan_status titan_hugging_face_config_write(const titan_hugging_face_config *config, titan_number number,
                                             titan_text *text);

// Reads config.json. TITAN_ERROR_CHECKPOINT with the path for what cannot be read, for sizes that are no sizes, and,
// with the key, for a model that computes something else than ours (another rotary scaling than llama3's, biases,
// another activation, quantized weights, ...).
titan_status titan_hugging_face_config_read(const char *path, titan_hugging_face_config *config);

#endif
