// SPDX-License-Identifier: Apache-2.0
#include "weights/hugging_face.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct pair {
  const char *ours, *theirs;
} pair;

static const pair whole[] = {
    {"tok_embeddings.weight", "model.embed_tokens.weight"},
    {"norm.weight", "model.norm.weight"},
    {"output.weight", "lm_head.weight"},
};
static const pair of_blocks[] = {
    {"attention.wq.weight", "self_attn.q_proj.weight"},     {"attention.wk.weight", "self_attn.k_proj.weight"},
    {"attention.wv.weight", "self_attn.v_proj.weight"},     {"attention.wo.weight", "self_attn.o_proj.weight"},
    {"feed_forward.w1.weight", "mlp.gate_proj.weight"},     {"feed_forward.w2.weight", "mlp.down_proj.weight"},
    {"feed_forward.w3.weight", "mlp.up_proj.weight"},       {"attention_norm.weight", "input_layernorm.weight"},
    {"ffn_norm.weight", "post_attention_layernorm.weight"},
};
enum { WHOLE = sizeof whole / sizeof *whole, OF_BLOCKS = sizeof of_blocks / sizeof *of_blocks };

static const char ours_prefix[] = "layers.", theirs_prefix[] = "model.layers.";

// What follows PREFIX and a layer's number with its dot; NULL when the name does not begin so.
static const char *within_block(const char *name, const char *prefix, long *layer) {
  size_t length = strlen(prefix);
  char *end;
  if (strncmp(name, prefix, length) != 0 || name[length] < '0' || name[length] > '9')
    return NULL;
  if (name[length] == '0' && name[length + 1] != '.')
    return NULL;
  *layer = strtol(name + length, &end, 10);
  return *end == '.' && *layer < 1000000 ? end + 1 : NULL;
}

bool titan_hugging_face_name(const char *ours, char theirs[TITAN_HUGGING_FACE_NAME_BYTES]) {
  long layer;
  const char *rest = within_block(ours, ours_prefix, &layer);
  for (int i = 0; i < WHOLE; i++)
    if (strcmp(ours, whole[i].ours) == 0)
      return snprintf(theirs, TITAN_HUGGING_FACE_NAME_BYTES, "%s", whole[i].theirs) > 0;
  for (int i = 0; i < OF_BLOCKS && rest != NULL; i++)
    if (strcmp(rest, of_blocks[i].ours) == 0)
      return snprintf(theirs, TITAN_HUGGING_FACE_NAME_BYTES, "%s%ld.%s", theirs_prefix, layer, of_blocks[i].theirs) > 0;
  return false;
}

bool titan_hugging_face_name_to_ours(const char *theirs, char ours[TITAN_HUGGING_FACE_NAME_BYTES]) {
  long layer;
  const char *rest = within_block(theirs, theirs_prefix, &layer);
  for (int i = 0; i < WHOLE; i++)
    if (strcmp(theirs, whole[i].theirs) == 0)
      return snprintf(ours, TITAN_HUGGING_FACE_NAME_BYTES, "%s", whole[i].ours) > 0;
  for (int i = 0; i < OF_BLOCKS && rest != NULL; i++)
    if (strcmp(rest, of_blocks[i].theirs) == 0)
      return snprintf(ours, TITAN_HUGGING_FACE_NAME_BYTES, "%s%ld.%s", ours_prefix, layer, of_blocks[i].ours) > 0;
  return false;
}

bool titan_hugging_face_is_derived(const char *theirs) {
  long layer;
  const char *rest = within_block(theirs, theirs_prefix, &layer);
  return rest != NULL && strcmp(rest, "self_attn.rotary_emb.inv_freq") == 0;
}

bool titan_hugging_face_is_permuted(const char *ours) {
  long layer;
  const char *rest = within_block(ours, ours_prefix, &layer);
  return rest != NULL && (strcmp(rest, "attention.wq.weight") == 0 || strcmp(rest, "attention.wk.weight") == 0);
}

// Row `to` of the other order is row `from` of this one.
static void permute(int64_t heads, int64_t head_size, int64_t columns, const float *in, float *out, bool to_ours) {
  int64_t half = head_size / 2;
  for (int64_t head = 0; head < heads; head++)
    for (int64_t i = 0; i < half; i++)
      for (int64_t j = 0; j < 2; j++) {
        int64_t ours = head * head_size + 2 * i + j, theirs = head * head_size + j * half + i;
        int64_t from = to_ours ? theirs : ours, to = to_ours ? ours : theirs;
        memcpy(out + to * columns, in + from * columns, (size_t)columns * sizeof *out);
      }
}

void titan_hugging_face_permute(int64_t heads, int64_t head_size, int64_t columns, const float *in, float *out) {
  permute(heads, head_size, columns, in, out, false);
}

void titan_hugging_face_permute_to_ours(int64_t heads, int64_t head_size, int64_t columns, const float *in,
                                        float *out) {
  permute(heads, head_size, columns, in, out, true);
}

titan_status titan_hugging_face_check(const char *path, const titan_model_arguments *arguments) {
  if (arguments->norm_type != TITAN_NORM_RMSNORM && arguments->norm_type != TITAN_NORM_FUSED_RMSNORM)
    return titan_error(TITAN_ERROR_CHECKPOINT,
                       "%s: Hugging Face's Llama has RMSNorm, and this model was trained with model.norm_type %s", path,
                       arguments->norm_type == TITAN_NORM_LAYERNORM ? "layernorm" : "np_layernorm");
  return TITAN_OK;
}
