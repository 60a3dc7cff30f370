// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/weights.h"

#include "base/memory.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char embedding_name[] = "tok_embeddings.weight", output_name[] = "output.weight";

// --- opening ---

static titan_status read_config(titan_weights *w) {
  titan_text path = {0};
  struct stat properties;
  titan_status status = titan_text_printf(&path, "%sconfig.json", w->set->folder);
  w->has_config = status == TITAN_OK && stat(path.data, &properties) == 0;
  if (w->has_config)
    status = titan_hugging_face_config_read(path.data, &w->config);
  titan_text_destroy(&path);
  return status;
}

// Whether any of the names is one of Hugging Face's: in a set that is not complete, which one is missing does not
// matter.
static bool is_hugging_face(const titan_safetensors_set *set) {
  char ours[TITAN_HUGGING_FACE_NAME_BYTES];
  for (int i = 0; i < set->count; i++)
    if (titan_hugging_face_name_to_ours(set->tensors[i].tensor->name, ours) &&
        strcmp(ours, set->tensors[i].tensor->name) != 0)
      return true;
  return false;
}

titan_status titan_weights_open(const char *path, titan_weights **out) {
  titan_weights *weights = NULL;
  titan_status status = TITAN_OK;
  *out = NULL;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, 1, sizeof *weights, &weights));
  TITAN_TRY_CLEANUP(titan_safetensors_set_open(path, &weights->set));
  weights->hugging_face = is_hugging_face(weights->set);
  if (weights->hugging_face)
    TITAN_TRY_CLEANUP(read_config(weights));
  const char *said = titan_safetensors_set_metadata(weights->set, "titan.tied");
  weights->tied = weights->has_config ? weights->config.tied : said != NULL && strcmp(said, "true") == 0;
  *out = weights;
  weights = NULL;
cleanup:
  titan_weights_close(&weights);
  return status;
}

void titan_weights_close(titan_weights **weights) {
  if (*weights == NULL)
    return;
  titan_safetensors_set_close(&(*weights)->set);
  titan_memory_free((*weights)->sources);
  titan_memory_free((*weights)->units);
  titan_memory_free(*weights);
  *weights = NULL;
}

// --- matching ---

typedef struct complaint_list {
  titan_text text;
  int count;
} complaint_list;

static titan_status complain(complaint_list *list, const char *what, const char *name) {
  enum { TOLD = 10 };
  if (list->count++ < TOLD)
    return titan_text_printf(&list->text, "\n  %s: %.100s", what, name);
  return list->count == TOLD + 1 ? titan_text_printf(&list->text, "\n  and more") : TITAN_OK;
}

// "[256, 768]"
static void describe_shape(int rank, const int64_t *dims, char *text, size_t size) {
  size_t used = (size_t)snprintf(text, size, "[");
  for (int d = 0; d < rank && used < size; d++)
    used += (size_t)snprintf(text + used, size - used, "%s%" PRId64, d > 0 ? ", " : "", dims[d]);
  if (used < size)
    snprintf(text + used, size - used, "]");
}

static titan_status find_source(titan_weights *w, int index, const titan_checkpoint_tensor *tensor, bool *used,
                                complaint_list *complaints) {
  char theirs[TITAN_HUGGING_FACE_NAME_BYTES], what[192];
  const char *name =
      w->hugging_face && w->tied && strcmp(tensor->name, output_name) == 0 ? embedding_name : tensor->name;
  if (w->hugging_face) {
    if (!titan_hugging_face_name(name, theirs))
      return complain(complaints, "Hugging Face's Llama has none", name);
    name = theirs;
  }
  w->sources[index] = titan_safetensors_set_find(w->set, name);
  if (w->sources[index] < 0)
    return complain(complaints, "missing", name);
  const titan_safetensors_tensor *source = w->set->tensors[w->sources[index]].tensor;
  used[w->sources[index]] = true;
  if (!source->is_number) {
    snprintf(what, sizeof what, "of dtype %s (expected F32, BF16 or F16)", source->type);
    return complain(complaints, what, name);
  }
  if (source->rank == tensor->rank && source->dims[0] == tensor->dims[0] &&
      (tensor->rank == 1 || source->dims[1] == tensor->dims[1]))
    return TITAN_OK;
  char found[100], wanted[48];
  describe_shape(source->rank, source->dims, found, sizeof found);
  describe_shape(tensor->rank, tensor->dims, wanted, sizeof wanted);
  snprintf(what, sizeof what, "of shape %s, not %s", found, wanted);
  return complain(complaints, what, name);
}

// What holds nothing that is learned, and an output that is the embedding.
static bool may_be_left(const titan_weights *w, const char *name) {
  return w->hugging_face && (titan_hugging_face_is_derived(name) || (w->tied && strcmp(name, "lm_head.weight") == 0));
}

titan_status titan_weights_match(titan_weights *w, const char *model, int64_t head_size, int count,
                                 const titan_checkpoint_tensor *tensors) {
  complaint_list complaints = {0};
  bool *used = NULL;
  titan_status status = TITAN_OK;
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, (size_t)w->set->count, sizeof *used, &used));
  TITAN_TRY_CLEANUP(titan_memory_resize(TITAN_MEMORY_GENERAL, (size_t)count * sizeof *w->sources, &w->sources));
  TITAN_TRY_CLEANUP(titan_memory_resize(TITAN_MEMORY_GENERAL, (size_t)count * sizeof *w->units, &w->units));
  for (int i = 0; i < count; i++) {
    w->units[i] = w->hugging_face && titan_hugging_face_is_permuted(tensors[i].name) ? head_size : 1;
    TITAN_TRY_CLEANUP(find_source(w, i, &tensors[i], used, &complaints));
  }
  for (int i = 0; i < w->set->count; i++)
    if (!used[i] && !may_be_left(w, w->set->tensors[i].tensor->name))
      TITAN_TRY_CLEANUP(complain(&complaints, "not part of the model", w->set->tensors[i].tensor->name));
  if (complaints.count > 0)
    status = titan_error(TITAN_ERROR_CHECKPOINT, "%s: %d tensors do not fit %s:%s", w->set->path, complaints.count,
                         model, complaints.text.data);
cleanup:
  titan_memory_free(used);
  titan_text_destroy(&complaints.text);
  return status;
}

titan_status titan_weights_read(const titan_weights *weights, int index, int64_t first, int64_t count, float *out) {
  const titan_safetensors_set *set = weights->set;
  int source = weights->sources[index];
  TITAN_TRY(titan_safetensors_set_read(set, source, first, count, out));
  for (int64_t i = 0; i < count; i++)
    if (!isfinite(out[i]))
      return titan_error(TITAN_ERROR_CHECKPOINT, "%s: %s holds %g; expected finite values", set->path,
                         set->tensors[source].tensor->name, (double)out[i]);
  return TITAN_OK;
}
