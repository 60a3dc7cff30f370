// The walk over the units: forward, then back.
#include "parallel/runtime_private.h"

// Binds a unit's externals for either direction.
static titan_bindings bind(titan_runtime *runtime, int unit, const void *parameters, float *gradients) {
  runtime_part *part = titan_runtime_part_of(runtime, unit);
  void *const output = unit + 1 < runtime->unit_count ? runtime->boundaries[unit + 1] : NULL;
  void *const wires[WIRES] = {
      [WIRE_TOKENS] = runtime->tokens,
      [WIRE_LABELS] = runtime->labels,
      [WIRE_X] = runtime->boundaries[unit],
      [WIRE_Y] = output,
      [WIRE_LOSS] = runtime->loss,
      [WIRE_D_Y] = runtime->gradients[(unit + 1) % 2],
      [WIRE_D_X] = runtime->gradients[unit % 2],
      [WIRE_D_LOSS] = runtime->d_loss,
  };
  for (int wire = 0; wire < WIRES; wire++)
    if (part->at[wire] >= 0)
      part->externals[part->at[wire]] = wires[wire];
  return (titan_bindings){.scratch = runtime->scratch,
                          .saved = runtime->saved[unit],
                          .parameters = parameters,
                          .gradients = gradients,
                          .externals = part->externals,
                          .groups = runtime->groups};
}

static titan_status run_unit(titan_runtime *runtime, int unit, titan_phase phase, int next, bool with_gradients) {
  const void *parameters;
  float *gradients = NULL;
  TITAN_TRY(titan_gather_wait(runtime->gather, unit, &parameters));
  if (next >= 0 && next < runtime->unit_count)
    TITAN_TRY(titan_gather_begin(runtime->gather, next));
  if (with_gradients)
    TITAN_TRY(titan_reduce_begin(runtime->reduce, unit, &gradients));
  titan_bindings bindings = bind(runtime, unit, parameters, gradients);
  titan_executable *executable = titan_runtime_part_of(runtime, unit)->executable;
  TITAN_TRY(titan_executable_run(executable, phase, &bindings, titan_comm_progress));
  if (with_gradients)
    TITAN_TRY(titan_reduce_end(runtime->reduce, unit));
  return TITAN_OK;
}

static titan_status check_ids(const char *what, const int32_t *ids, int64_t count, int64_t vocabulary, int32_t least) {
  for (int64_t i = 0; i < count; i++)
    if (ids[i] < least || ids[i] >= vocabulary)
      return titan_error(TITAN_ERROR_DATA, "%s %d at row %lld of the batch, expected 0 to %lld%s", what, ids[i],
                         (long long)i, (long long)vocabulary - 1,
                         least < 0 ? ", or -1 for a token that does not count" : "");
  return TITAN_OK;
}

titan_status titan_runtime_check_batch(const titan_runtime *runtime) {
  const titan_model_shape *shape = &runtime->options.shape;
  int64_t count = shape->batch * shape->length, vocabulary = runtime->options.arguments.vocabulary;
  TITAN_TRY(check_ids("token", runtime->tokens, count, vocabulary, 0));
  return check_ids("label", runtime->labels, count, vocabulary, TITAN_LABEL_IGNORED);
}

titan_status titan_runtime_step(titan_runtime *runtime, double *loss) {
  int last = runtime->unit_count - 1;
  TITAN_TRY(titan_gather_begin(runtime->gather, 0));
  for (int unit = 0; unit < last; unit++)
    TITAN_TRY(run_unit(runtime, unit, TITAN_FORWARD, unit + 1, false));
  // The last unit's plan holds both directions. The unit before it is still whole: nothing to prefetch.
  TITAN_TRY(run_unit(runtime, last, TITAN_FORWARD, last - 1, true));
  for (int unit = last - 1; unit >= 0; unit--)
    TITAN_TRY(run_unit(runtime, unit, TITAN_BACKWARD, unit - 1, true));
  TITAN_TRY(titan_reduce_finish(runtime->reduce));
  *loss = (double)*runtime->loss / (double)runtime->options.global_tokens;
  return TITAN_OK;
}

titan_status titan_runtime_logits(titan_runtime *runtime, float *logits) {
  runtime_part *part = &runtime->logits;
  int last = runtime->unit_count - 1;
  void *scratch = NULL;
  const void *parameters;
  TITAN_TRY(titan_runtime_logits_create(runtime));
  TITAN_TRY(titan_executable_prepare(part->executable));
  for (int unit = 0; unit < last; unit++)
    TITAN_TRY(run_unit(runtime, unit, TITAN_FORWARD, unit + 1, false));
  TITAN_TRY(titan_gather_wait(runtime->gather, last, &parameters));
  part->externals[part->at[WIRE_X]] = runtime->boundaries[last];
  part->externals[part->at[WIRE_LOGITS]] = logits;
  // Not part of training, so not part of the runtime's scratch.
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, part->plan->phases[TITAN_FORWARD].scratch_bytes, &scratch));
  titan_bindings bindings = {
      .scratch = scratch, .parameters = parameters, .externals = part->externals, .groups = runtime->groups};
  titan_status status = titan_executable_run(part->executable, TITAN_FORWARD, &bindings, NULL);
  titan_memory_free(scratch);
  return status;
}
