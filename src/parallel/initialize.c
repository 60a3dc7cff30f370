// SPDX-License-Identifier: Apache-2.0
// Initial values: a function of the seed, the parameter's full name and the element's global index, so that every mesh
// begins with the same bits.
#include "base/random.h"
#include "parallel/runtime_private.h"
#include "parallel/shard_view.h"

#include <stdio.h>

// Elements of a thread at a time; of a copy that goes to a device whose memory is apart, 64 MiB.
enum { CHUNK = 1 << 15, PIECE = 1 << 24 };

// Fills elements first .. first+count-1 of the whole parameter.
static void fill_range(titan_runtime *runtime, const titan_parameter_init *init, titan_random_stream stream,
                       int64_t first, int64_t count, float *out) {
#pragma omp parallel for num_threads(runtime->device->threads) schedule(static) if (count > CHUNK)
  for (int64_t begin = 0; begin < count; begin += CHUNK) {
    int64_t n = count - begin < CHUNK ? count - begin : CHUNK;
    if (init->std > 0)
      titan_random_normal(stream, (uint64_t)(first + begin), (uint64_t)n, init->mean, init->std, init->low, init->high,
                          out + begin);
    else
      for (int64_t i = 0; i < n; i++)
        out[begin + i] = (float)init->mean;
  }
}

typedef struct fill_context {
  titan_runtime *runtime;
  titan_parameter_init init;
  titan_random_stream stream;
  float *values; // of the shard from element `first` on
  int64_t first;
} fill_context;

static void fill_run(void *context, const titan_unit_run *run) {
  const fill_context *fill = context;
  fill_range(fill->runtime, &fill->init, fill->stream, run->first_in_whole, run->count,
             fill->values + (run->first_in_shard - fill->first));
}

// Padding between runs stays 0.
static titan_status fill_slice(fill_context *fill, const titan_unit_slice *slice, float *shard) {
  titan_device *device = titan_runtime_optimizer_device(fill->runtime);
  int64_t most = titan_shard_view_copies(device) ? PIECE : slice->count;
  titan_unit_slice piece = *slice;
  for (int64_t done = 0; done < slice->count; done += piece.count) {
    titan_shard_view view;
    piece.first_in_parameter = slice->first_in_parameter + done;
    piece.first_in_shard = fill->first = slice->first_in_shard + done;
    piece.count = slice->count - done < most ? slice->count - done : most;
    TITAN_TRY(titan_shard_view_open(device, shard + fill->first, piece.count, TITAN_ACCESS_UPDATE, TITAN_MEMORY_GENERAL,
                                    &view));
    fill->values = view.values;
    titan_unit_slice_runs(&piece, fill_run, fill);
    TITAN_TRY(titan_shard_view_close(&view));
  }
  return TITAN_OK;
}

// A parameter that is a copy has the values of the one that it is equal to.
static titan_status fill_parameter(titan_runtime *runtime, int index, int parameter, uint64_t seed) {
  const titan_runtime_options *options = &runtime->options;
  const titan_runtime_tie *tie = &runtime->tie;
  const titan_unit *unit = &runtime->units[index];
  bool copy = titan_runtime_is_copy(runtime, index, parameter);
  const titan_unit *source = copy ? &runtime->units[tie->units[0]] : unit;
  const char *base = source->plan->parameters[copy ? tie->parameters[0] : parameter].name;
  int64_t layer = titan_model_unit_number(options->model, &options->arguments, copy ? tie->units[0] : index);
  char name[TITAN_PREFIX_BYTES + TITAN_NAME_BYTES];
  titan_unit_slice slice;
  if (!titan_unit_slice_of(unit, parameter, &slice))
    return TITAN_OK;
  snprintf(name, sizeof name, "%s%s", source->prefix, base);
  fill_context fill = {.runtime = runtime,
                       .init = options->model->init(&options->arguments, base, layer),
                       .stream = titan_random_stream_create(seed, name)};
  return fill_slice(&fill, &slice, unit->master);
}

titan_status titan_runtime_publish_masters(titan_runtime *runtime) {
  titan_device *device = runtime->device;
  titan_dtype dtype = runtime->options.shape.dtype;
  if (runtime->options.offload)
    TITAN_TRY(titan_runtime_offload_masters(runtime));
  else
    for (int i = 0; i < runtime->unit_count && dtype != TITAN_FLOAT32; i++) {
      const titan_unit *unit = &runtime->units[i];
      TITAN_TRY(
          device->vector->convert(device, unit->shard_elements, unit->master, TITAN_FLOAT32, unit->compute, dtype));
    }
  return titan_runtime_publish(runtime);
}

titan_status titan_runtime_initialize(titan_runtime *runtime, uint64_t seed) {
  for (int i = 0; i < runtime->unit_count; i++) {
    titan_unit *unit = &runtime->units[i];
    for (int p = 0; p < unit->plan->parameter_count; p++)
      TITAN_TRY(fill_parameter(runtime, i, p, seed));
  }
  return titan_runtime_publish_masters(runtime);
}
