// SPDX-License-Identifier: Apache-2.0
// The batch on its way into the device's memory. Where that is apart, the host fills one of two pairs of buffers while
// the device still copies the other.
#include "device/queue.h"
#include "parallel/runtime_private.h"

#include <string.h>

static int64_t tokens_of(const titan_runtime *runtime, runtime_step_kind kind) {
  const titan_model_shape *shape = kind == STEP_TRAINING ? &runtime->options.shape : &runtime->options.validation;
  return titan_runtime_microbatches(runtime, kind) * shape->batch * shape->length;
}

size_t titan_runtime_batch_bytes(const titan_runtime *runtime) {
  int64_t training = tokens_of(runtime, STEP_TRAINING), validation = tokens_of(runtime, STEP_VALIDATION);
  return (size_t)(training > validation ? training : validation) * sizeof(int32_t);
}

titan_status titan_runtime_batch_allocate(titan_runtime *runtime) {
  titan_device *device = runtime->device;
  size_t bytes = titan_runtime_batch_bytes(runtime);
  TITAN_TRY(device->allocate(device, TITAN_SPACE_DEVICE, TITAN_MEMORY_BATCH, bytes, &runtime->tokens));
  TITAN_TRY(device->allocate(device, TITAN_SPACE_DEVICE, TITAN_MEMORY_BATCH, bytes, &runtime->labels));
  if (device->queues == NULL) {
    runtime->pairs[0] = (runtime_batch){.tokens = runtime->tokens, .labels = runtime->labels};
    return TITAN_OK;
  }
  for (int i = 0; i < PAIRS; i++) {
    TITAN_TRY(device->allocate(device, TITAN_SPACE_HOST, TITAN_MEMORY_BATCH, bytes, &runtime->pairs[i].tokens));
    memset(runtime->pairs[i].tokens, 0, bytes);
    TITAN_TRY(device->allocate(device, TITAN_SPACE_HOST, TITAN_MEMORY_BATCH, bytes, &runtime->pairs[i].labels));
    memset(runtime->pairs[i].labels, 0, bytes);
  }
  return TITAN_OK;
}

void titan_runtime_batch_free(titan_runtime *runtime) {
  titan_device *device = runtime->device;
  for (int i = 0; device->queues != NULL && i < PAIRS; i++) {
    device->free(device, TITAN_SPACE_HOST, runtime->pairs[i].tokens);
    device->free(device, TITAN_SPACE_HOST, runtime->pairs[i].labels);
  }
  device->free(device, TITAN_SPACE_DEVICE, runtime->tokens);
  device->free(device, TITAN_SPACE_DEVICE, runtime->labels);
}

titan_status titan_runtime_next_batch(titan_runtime *runtime) {
  if (runtime->device->queues == NULL)
    return TITAN_OK;
  runtime->pair = (runtime->pair + 1) % PAIRS;
  return titan_queue_wait(runtime->device, runtime->pairs[runtime->pair].copied);
}

int32_t *titan_runtime_tokens(const titan_runtime *runtime) {
  return runtime->pairs[runtime->pair].tokens;
}

int32_t *titan_runtime_labels(const titan_runtime *runtime) {
  return runtime->pairs[runtime->pair].labels;
}

// The step before has read its batch, as far as COMPUTE has got. (A step that is recorded has its batch there already.)
titan_status titan_runtime_batch_begin(titan_runtime *runtime) {
  if (runtime->recording.is_on)
    return TITAN_OK;
  return titan_queue_follow(runtime->device, TITAN_QUEUE_COPY, TITAN_QUEUE_COMPUTE);
}

titan_status titan_runtime_batch_load(titan_runtime *runtime, const runtime_step *step, int microbatch) {
  titan_device *device = runtime->device;
  runtime_batch *pair = &runtime->pairs[runtime->pair];
  size_t count = (size_t)(step->shape.batch * step->shape.length), first = count * (size_t)microbatch;
  if (device->queues == NULL || runtime->recording.is_on)
    return TITAN_OK;
  TITAN_TRY(titan_queue_copy(device, TITAN_QUEUE_COPY, runtime->tokens + first, pair->tokens + first,
                             count * sizeof(int32_t)));
  TITAN_TRY(titan_queue_copy(device, TITAN_QUEUE_COPY, runtime->labels + first, pair->labels + first,
                             count * sizeof(int32_t)));
  TITAN_TRY(titan_queue_mark(device, TITAN_QUEUE_COPY, &pair->copied));
  return titan_queue_after(device, TITAN_QUEUE_COMPUTE, pair->copied);
}

titan_status titan_runtime_batch_load_all(titan_runtime *runtime, const runtime_step *step) {
  TITAN_TRY(titan_runtime_batch_begin(runtime));
  for (int place = 0; place < step->list.count; place++)
    if (step->list.actions[place].kind == TITAN_ACTION_LOAD)
      TITAN_TRY(titan_runtime_batch_load(runtime, step, step->list.actions[place].microbatch));
  return TITAN_OK;
}

// --- its ids ---

static titan_status check_ids(const char *what, const int32_t *ids, int64_t count, int64_t least, int64_t vocabulary) {
  for (int64_t i = 0; i < count; i++)
    if (ids[i] < least || ids[i] >= vocabulary)
      return titan_error(TITAN_ERROR_DATA, "%s %d at row %lld of the batch, expected 0 to %lld%s", what, ids[i],
                         (long long)i, (long long)vocabulary - 1,
                         least < 0 ? ", or -1 for a token that does not count" : "");
  return TITAN_OK;
}

static titan_status check_batch(const titan_runtime *runtime, runtime_step_kind kind) {
  int64_t count = tokens_of(runtime, kind), vocabulary = runtime->options.arguments.vocabulary;
  TITAN_TRY(check_ids("token", titan_runtime_tokens(runtime), count, 0, vocabulary));
  return check_ids("label", titan_runtime_labels(runtime), count, TITAN_LABEL_IGNORED, vocabulary);
}

titan_status titan_runtime_check_batch(const titan_runtime *runtime) {
  return check_batch(runtime, STEP_TRAINING);
}

titan_status titan_runtime_check_validation_batch(const titan_runtime *runtime) {
  return check_batch(runtime, STEP_VALIDATION);
}
