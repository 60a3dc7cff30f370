// Initial values: a function of the seed, the parameter's full name and the element's global index, so that every mesh
// begins with the same bits.
#include "base/random.h"
#include "parallel/runtime_private.h"

#include <stdio.h>

enum { CHUNK = 1 << 15 };

static void fill_slice(titan_runtime *runtime, const titan_unit *unit, const titan_unit_slice *slice, int64_t layer,
                       uint64_t seed) {
  const titan_runtime_options *options = &runtime->options;
  titan_parameter_init init = options->model->init(&options->arguments, slice->parameter->name, layer);
  float *out = unit->master + slice->first_in_shard;
  char name[TITAN_PREFIX_BYTES + TITAN_NAME_BYTES];
  snprintf(name, sizeof name, "%s%s", unit->prefix, slice->parameter->name);
  titan_random_stream stream = titan_random_stream_create(seed, name);
#pragma omp parallel for num_threads(runtime->device->threads) schedule(static)
  for (int64_t begin = 0; begin < slice->count; begin += CHUNK) {
    int64_t count = slice->count - begin < CHUNK ? slice->count - begin : CHUNK;
    if (init.std > 0)
      titan_random_normal(stream, (uint64_t)(slice->first_in_parameter + begin), (uint64_t)count, init.mean, init.std,
                          init.low, init.high, out + begin);
    else
      for (int64_t i = 0; i < count; i++)
        out[begin + i] = (float)init.mean;
  }
}

titan_status titan_runtime_initialize(titan_runtime *runtime, uint64_t seed) {
  titan_device *device = runtime->device;
  titan_dtype dtype = runtime->options.shape.dtype;
  for (int i = 0; i < runtime->unit_count; i++) {
    titan_unit *unit = &runtime->units[i];
    titan_unit_slice slice;
    for (int p = 0; p < unit->plan->parameter_count; p++)
      if (titan_unit_slice_of(unit, p, &slice))
        fill_slice(runtime, unit, &slice, i - 1, seed);
    if (dtype != TITAN_FLOAT32)
      device->vector->convert(device, unit->shard_elements, unit->master, TITAN_FLOAT32, unit->compute, dtype);
  }
  return titan_runtime_publish(runtime);
}
