// SPDX-License-Identifier: Apache-2.0
#include "parallel/nonfinite.h"

#include "device/queue.h"
#include "parallel/runtime_private.h"

#include <math.h>

// --- the first over the ranks ---

// Collective. *winner: the lowest of the world's ranks whose keys are the least; -1: no rank has found anything.
static titan_status find_first(const titan_runtime *runtime, const double keys[SEARCH_KEYS], int *winner) {
  titan_comm *world = titan_mesh_comm(runtime->mesh, TITAN_MESH_WORLD);
  bool found = !isinf(keys[0]);
  double least = 0;
  *winner = -1;
  for (int i = 0; i <= SEARCH_KEYS; i++) {
    double mine = !found ? (double)INFINITY : i < SEARCH_KEYS ? keys[i] : titan_comm_rank(world);
    TITAN_TRY(titan_comm_all_reduce(world, &mine, &least, 1, TITAN_FLOAT64, TITAN_MIN, NULL));
    if (isinf(least))
      return TITAN_OK;
    found = found && mine == least;
  }
  *winner = (int)least;
  return TITAN_OK;
}

// Collective. The winner's text for all, as far as it fits.
static titan_status share(const titan_runtime *runtime, int winner, const titan_text *text,
                          char found[TITAN_FOUND_BYTES]) {
  snprintf(found, TITAN_FOUND_BYTES, "%s",
           text->data != NULL && text->length > 0 ? text->data : "found, without memory for its description");
  return titan_comm_broadcast(titan_mesh_comm(runtime->mesh, TITAN_MESH_WORLD), found, TITAN_FOUND_BYTES, TITAN_BYTE,
                              winner, NULL);
}

// --- shards ---

// What is searched: the compute copies of the masters, or the sums of the gradients.
typedef struct shards {
  const titan_runtime *runtime;
  const titan_nonfinite_scanner *scanner;
  bool gradients;
} shards;

static const char *part_of(const shards *s, const titan_unit *unit, titan_dtype *dtype) {
  *dtype = s->gradients ? TITAN_FLOAT32 : s->runtime->options.shape.dtype;
  return s->gradients ? (const char *)unit->gradient : unit->compute;
}

// Finds the element of the whole parameter that an element of the shard is.
typedef struct element_search {
  int64_t in_shard, in_whole;
} element_search;

static void find_element(void *context, const titan_unit_run *run) {
  element_search *element = context;
  if (element->in_shard >= run->first_in_shard && element->in_shard < run->first_in_shard + run->count)
    element->in_whole = run->first_in_whole + element->in_shard - run->first_in_shard;
}

// What this rank's shard has of a parameter; found->first becomes an element of the whole.
static titan_status scan_parameter(const shards *s, int unit_index, int p, titan_nonfinite *found) {
  const titan_unit *unit = &s->runtime->units[unit_index];
  titan_unit_slice slice;
  titan_dtype dtype;
  *found = (titan_nonfinite){0};
  if (!s->runtime->holds[unit_index] || !titan_unit_slice_of(unit, p, &slice))
    return TITAN_OK;
  const char *part = part_of(s, unit, &dtype);
  TITAN_TRY(titan_nonfinite_scan(s->scanner, dtype, slice.count,
                                 part + (size_t)slice.first_in_shard * titan_dtype_bytes(dtype), found));
  element_search element = {.in_shard = slice.first_in_shard + found->first};
  titan_unit_slice_runs(&slice, find_element, &element);
  found->first = element.in_whole;
  return TITAN_OK;
}

// The first of this rank, in the order in which a step uses the units: keys are place, parameter, element.
static titan_status scan_shards(const shards *s, double keys[SEARCH_KEYS], titan_nonfinite *found) {
  int units = s->runtime->unit_count;
  for (int place = 0; place < units; place++) {
    int unit = s->gradients ? units - 1 - place : place;
    for (int p = 0; p < s->runtime->units[unit].plan->parameter_count; p++) {
      TITAN_TRY(scan_parameter(s, unit, p, found));
      if (found->count == 0)
        continue;
      keys[0] = place;
      keys[1] = p;
      keys[2] = (double)found->first;
      keys[3] = 0;
      return TITAN_OK;
    }
  }
  return TITAN_OK;
}

// Whether what this rank has of a parameter is not counted on another rank too.
static bool counts(const titan_runtime *runtime, const titan_plan_parameter *parameter) {
  return titan_comm_rank(titan_runtime_replicate_group(runtime)) == 0 &&
         (parameter->sharded || titan_comm_rank(titan_mesh_comm(runtime->mesh, TITAN_MESH_TP)) == 0);
}

// "2 ranks and 4 microbatches"
static titan_status add_terms(const titan_runtime *runtime, titan_text *text) {
  int ranks = titan_comm_size(titan_mesh_comm(runtime->mesh, TITAN_MESH_DP_CP)),
      microbatches = titan_runtime_microbatches(runtime, STEP_TRAINING);
  return titan_text_printf(text, "%d rank%s and %d microbatch%s", ranks, ranks == 1 ? "" : "s", microbatches,
                           microbatches == 1 ? "" : "es");
}

static titan_status describe_shard(const shards *s, int unit, int p, int64_t count, const titan_nonfinite *found,
                                   titan_text *text) {
  const titan_runtime *runtime = s->runtime;
  const titan_plan_parameter *parameter = &runtime->units[unit].plan->parameters[p];
  const char *prefix = runtime->units[unit].prefix;
  titan_value_info info = {.type = parameter->type};
  memcpy(info.type.dims, parameter->place.whole, sizeof info.type.dims);
  if (s->gradients) {
    info.type.dtype = TITAN_FLOAT32;
    TITAN_TRY(titan_text_printf(text, "run again, every operation gives finite values, and the sum over "));
    TITAN_TRY(add_terms(runtime, text));
    TITAN_TRY(titan_text_printf(text, " is not: of the gradient of "));
  } else
    TITAN_TRY(titan_text_printf(text, "of the parameter "));
  TITAN_TRY(titan_text_printf(text, "%s%s ", prefix, parameter->name));
  TITAN_TRY(titan_graph_print_type(&info, text));
  TITAN_TRY(titan_text_printf(text, ", "));
  return titan_runtime_search_describe(count, found, info.type.rank, info.type.dims, text);
}

// Collective. found stays "" where the shards of all ranks are finite.
static titan_status search_shards(const shards *s, char found[TITAN_FOUND_BYTES]) {
  const titan_runtime *runtime = s->runtime;
  titan_comm *world = titan_mesh_comm(runtime->mesh, TITAN_MESH_WORLD);
  double keys[SEARCH_KEYS] = {(double)INFINITY};
  titan_nonfinite mine = {0}, part;
  int winner;
  TITAN_TRY(titan_comm_agree(world, scan_shards(s, keys, &mine)));
  TITAN_TRY(find_first(runtime, keys, &winner));
  if (winner < 0)
    return TITAN_OK;
  TITAN_TRY(titan_comm_broadcast(world, keys, SEARCH_KEYS, TITAN_FLOAT64, winner, NULL));
  int place = (int)keys[0], p = (int)keys[1], unit = s->gradients ? runtime->unit_count - 1 - place : place;
  TITAN_TRY(titan_comm_agree(world, scan_parameter(s, unit, p, &part)));
  int64_t count = counts(runtime, &runtime->units[unit].plan->parameters[p]) ? part.count : 0, all;
  TITAN_TRY(titan_comm_all_reduce(world, &count, &all, 1, TITAN_INT64, TITAN_SUM, NULL));
  titan_text text = {0};
  if (titan_comm_rank(world) == winner && describe_shard(s, unit, p, all, &mine, &text) != TITAN_OK)
    titan_text_destroy(&text);
  titan_status status = share(runtime, winner, &text, found);
  titan_text_destroy(&text);
  return status;
}

// --- the list ---

// Collective. The step runs again; found stays "" where all operations of all ranks give finite values.
static titan_status search_list(titan_runtime *runtime, const titan_nonfinite_scanner *scanner,
                                char found[TITAN_FOUND_BYTES]) {
  void (*watch)(void *, const titan_runtime_span *) = runtime->watch; // spans of this step are none of the training
  titan_comm *world = titan_mesh_comm(runtime->mesh, TITAN_MESH_WORLD);
  runtime_search search = {.scanner = *scanner, .keys = {(double)INFINITY}};
  titan_status status = TITAN_OK;
  int winner;
  if (titan_comm_size(titan_runtime_pipeline_group(runtime)) > 1)
    status = titan_runtime_predict(runtime, 1, &search.prediction);
  TITAN_TRY_CLEANUP(titan_comm_agree(world, status));
  runtime->search = &search;
  runtime->watch = NULL;
  TITAN_TRY_CLEANUP(titan_runtime_step(runtime, NULL));
  TITAN_TRY_CLEANUP(titan_device_drain(runtime->device));
  TITAN_TRY_CLEANUP(find_first(runtime, search.keys, &winner));
  if (winner >= 0)
    status = share(runtime, winner, &search.text, found);
cleanup:
  runtime->search = NULL;
  runtime->watch = watch;
  titan_text_destroy(&search.text);
  titan_prediction_destroy(&search.prediction);
  return status;
}

static titan_status search_all(titan_runtime *runtime, const titan_nonfinite_scanner *scanner,
                               char found[TITAN_FOUND_BYTES]) {
  shards masters = {.runtime = runtime, .scanner = scanner}, gradients = {runtime, scanner, .gradients = true};
  TITAN_TRY(search_shards(&masters, found));
  if (found[0] == '\0')
    TITAN_TRY(search_list(runtime, scanner, found));
  if (found[0] == '\0')
    TITAN_TRY(search_shards(&gradients, found));
  return TITAN_OK;
}

titan_status titan_runtime_find_nonfinite(titan_runtime *runtime, int since, char found[TITAN_FOUND_BYTES]) {
  titan_comm *world = titan_mesh_comm(runtime->mesh, TITAN_MESH_WORLD);
  titan_nonfinite_scanner scanner;
  int pair = runtime->pair;
  found[0] = '\0';
  titan_status status = titan_device_drain(runtime->device);
  if (status == TITAN_OK)
    status = titan_nonfinite_scanner_create(runtime->device, &scanner);
  else
    scanner = (titan_nonfinite_scanner){0};
  status = titan_comm_agree(world, status);
  runtime->pair = (pair + PAIRS - since) % PAIRS;
  if (status == TITAN_OK)
    status = search_all(runtime, &scanner, found);
  runtime->pair = pair;
  titan_nonfinite_scanner_destroy(&scanner);
  return status;
}
