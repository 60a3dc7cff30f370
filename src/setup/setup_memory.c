// SPDX-License-Identifier: Apache-2.0
#include "setup/setup.h"

#include "base/integer.h"
#include "base/size.h"
#include "data/loader.h"
#include "data/validation.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

// --- beside the runtime ---

// What validation keeps of its corpus; 0 without validation.
static size_t validation_bytes(const titan_model_shape *shape) {
  return shape->batch > 0 ? titan_validation_data_bytes(shape->length) : 0;
}

titan_setup_beside titan_setup_beside_of(const titan_config *config, titan_runtime *runtime, const titan_comm *world,
                                         const titan_comm *node) {
  const titan_runtime_options *options = titan_runtime_options_of(runtime);
  const titan_model_shape *shape = &options->shape;
  size_t reading = titan_loader_reading_bytes(titan_setup_document_limit(config));
  size_t validation = options->validation.batch > 0 ? validation_bytes(&options->validation) + reading : 0;
  return (titan_setup_beside){
      .groups = titan_mesh_bytes(titan_runtime_mesh(runtime)) + titan_comm_bytes(world) + titan_comm_bytes(node),
      .loader = titan_loader_bytes(options->microbatches * shape->batch, shape->length),
      .reading = reading + validation,
      .staging = config->checkpoint.enable_checkpoint
                     ? titan_checkpoint_staging_bytes(runtime, titan_setup_save_mode(config), config->checkpoint.verify)
                     : 0,
      .process = titan_setup_process_bytes,
  };
}

size_t titan_setup_beside_sum(const titan_setup_beside *beside) {
  return beside->groups + beside->loader + beside->reading + beside->staging + beside->process;
}

size_t titan_setup_document_limit(const titan_config *config) {
  static const int64_t most = (int64_t)1 << 40; // more than any node has
  int64_t mebibytes = config->training.document_limit;
  return (size_t)(mebibytes < most ? mebibytes : most) << 20;
}

// --- a budget for activations ---

titan_status titan_setup_share_budget(const titan_config *config, titan_runtime *runtime, titan_comm *world,
                                      titan_comm *node, size_t *fixed) {
  *fixed = 0;
  if (titan_runtime_options_of(runtime)->activations.mode != TITAN_ACTIVATIONS_BUDGET)
    return TITAN_OK;
  titan_runtime_memory memory = titan_runtime_memory_of(runtime);
  titan_setup_beside beside = titan_setup_beside_of(config, runtime, world, node);
  size_t outside = titan_runtime_device(runtime)->memory != NULL ? 0 : titan_setup_beside_sum(&beside);
  int64_t mine = (int64_t)(memory.total - memory.chosen + outside), most = 0;
  TITAN_TRY(titan_comm_all_reduce(world, &mine, &most, 1, TITAN_INT64, TITAN_MAX, NULL));
  *fixed = (size_t)most;
  return TITAN_OK;
}

titan_status titan_setup_budget_error(const titan_config *config, titan_status status) {
  static const char name[] = "activation_checkpoint.selective_ac_option";
  const char *option = config->activation_checkpoint.selective_ac_option;
  if (status != TITAN_ERROR_USAGE)
    return status;
  return titan_error(status, "%s = %s (%s): %s%s", name, option, titan_config_origin(config, name),
                     titan_error_message(),
                     strcmp(option, "auto") == 0 ? "; auto uses the memory that the device has for a rank" : "");
}

// --- the node's memory ---

// What a suggestion is looked for with.
typedef struct memory_search {
  const titan_runtime *runtime; // the plan that does not fit
  titan_setup_beside beside;    // of that plan
  titan_mesh *mesh;
  titan_device *device;
  double limit;    // bytes that a rank has
  bool validation; // the shape looked for is that of validation alone
} memory_search;

static const titan_model_shape *shape_of(const memory_search *search) {
  const titan_runtime_options *options = titan_runtime_options_of(search->runtime);
  return search->validation ? &options->validation : &options->shape;
}

static void set_shape(const memory_search *search, int64_t batch, int64_t length, titan_runtime_options *options) {
  if (search->validation) {
    options->validation.batch = batch;
    options->validation.length = length;
    return;
  }
  options->global_tokens = options->global_tokens / (options->shape.batch * options->shape.length) * (batch * length);
  options->shape.batch = batch;
  options->shape.length = length;
  options->validation.batch = titan_lesser(options->validation.batch, batch);
  options->validation.length = titan_lesser(options->validation.length, length);
}

// Whether one rank has enough with another batch or length, in the same mesh; no batch of validation: without
// validation. The loader takes less with fewer tokens, too. A budget for activations becomes what is left.
static titan_status fits_with(const memory_search *search, int64_t batch, int64_t length, bool *fits) {
  titan_runtime_options options = *titan_runtime_options_of(search->runtime);
  titan_setup_beside beside_all = search->beside;
  titan_runtime *other;
  set_shape(search, batch, length, &options);
  if (beside_all.loader > 0)
    beside_all.loader = titan_loader_bytes(options.microbatches * options.shape.batch, options.shape.length);
  size_t validation = validation_bytes(&titan_runtime_options_of(search->runtime)->validation);
  if (beside_all.reading >= validation)
    beside_all.reading += validation_bytes(&options.validation) - validation;
  size_t beside = titan_setup_beside_sum(&beside_all);
  *fits = false;
  options.activations.budget = search->limit > (double)beside ? (size_t)search->limit - beside : 0;
  options.activations.fixed = 0;
  titan_status status = titan_runtime_plan(&options, search->mesh, search->device, &other);
  if (status == TITAN_OK)
    *fits = (double)titan_runtime_memory_of(other).total + (double)beside <= search->limit;
  titan_runtime_destroy(&other);
  return status == TITAN_ERROR_USAGE ? TITAN_OK : status;
}

// The largest batch that fits, 0 for none.
static titan_status largest_batch(const memory_search *search, int64_t *batch) {
  const titan_model_shape *shape = shape_of(search);
  int64_t low = 0, high = shape->batch; // low fits (or is 0), high does not
  while (high - low > 1) {
    int64_t middle = low + (high - low) / 2;
    bool fits;
    TITAN_TRY(fits_with(search, middle, shape->length, &fits));
    *(fits ? &low : &high) = middle;
  }
  *batch = low;
  return TITAN_OK;
}

// The largest length that fits with one sequence, 0 for none: a multiple of the tp group's ranks, who cut it, and of 16
// besides where the length asked for is one.
static titan_status largest_length(const memory_search *search, int64_t *length) {
  const titan_model_shape *shape = shape_of(search);
  int64_t tp = titan_comm_size(titan_mesh_comm(search->mesh, TITAN_MESH_TP));
  int64_t step = shape->length % (16 * tp) == 0 ? 16 * tp : tp;
  int64_t low = 0, high = shape->length / step;
  while (high - low > 1) {
    int64_t middle = low + (high - low) / 2;
    bool fits;
    TITAN_TRY(fits_with(search, 1, middle * step, &fits));
    *(fits ? &low : &high) = middle;
  }
  *length = low * step;
  return TITAN_OK;
}

// Batch and length as options; those of validation as well where they must be smaller too.
static titan_status name_shape(const memory_search *search, int64_t batch, int64_t length, titan_text *text) {
  const titan_model_shape *shape = shape_of(search),
                          *validation = &titan_runtime_options_of(search->runtime)->validation;
  const char *batch_option = search->validation ? "validation.local_batch_size" : "training.batch_size";
  const char *length_option = search->validation ? "validation.seq_len" : "training.seq_len";
  const titan_runtime_options *options = titan_runtime_options_of(search->runtime);
  int64_t parts = search->validation ? options->validation_microbatches : options->pipeline.parts;
  TITAN_TRY(titan_text_printf(text, "%s = %lld", batch_option, (long long)(batch * (parts > 1 ? parts : 1))));
  if (length < shape->length)
    TITAN_TRY(titan_text_printf(text, " with %s = %lld", length_option, (long long)length));
  if (!search->validation && batch < validation->batch)
    TITAN_TRY(titan_text_printf(text, " and validation.local_batch_size = %lld", (long long)batch));
  if (!search->validation && validation->batch > 0 && length < validation->length)
    TITAN_TRY(titan_text_printf(text, " and validation.seq_len = %lld", (long long)length));
  return titan_text_printf(text, " would fit");
}

static titan_status suggest(memory_search *search, titan_text *text) {
  int64_t batch = 0, length = 0;
  if (titan_runtime_options_of(search->runtime)->validation.batch > 0) {
    search->validation = true;
    TITAN_TRY(fits_with(search, 0, 0, &search->validation));
  }
  TITAN_TRY(largest_batch(search, &batch));
  if (batch > 0)
    return name_shape(search, batch, shape_of(search)->length, text);
  TITAN_TRY(largest_length(search, &length));
  if (length > 0)
    return name_shape(search, 1, length, text);
  if (search->validation)
    return titan_text_printf(text, "without validation.enabled it would fit");
  return titan_text_printf(text, "no batch fits: the parameters and optimizer states alone are too much; take more "
                                 "nodes, fewer ranks a node, or a smaller model.flavor");
}

// Who is too small, what it needs and what it has: "this node is too small: its 2 ranks will need .., and .. are
// available".
static titan_status describe(const titan_runtime *runtime, const char *who, double need, double available,
                             const char *suggestion) {
  titan_runtime_memory memory = titan_runtime_memory_of(runtime);
  titan_text parts = {0};
  char need_text[TITAN_SIZE_BYTES], available_text[TITAN_SIZE_BYTES];
  titan_size_pair(need, available, need_text, available_text);
  for (int tag = TITAN_MEMORY_PARAMETERS; tag < TITAN_MEMORY_TAG_COUNT; tag++)
    if (memory.by_tag[tag] > 0)
      TITAN_TRY(titan_text_printf(&parts, "%s%s %.2f", parts.length ? ", " : "",
                                  titan_memory_tag_text((titan_memory_tag)tag),
                                  (double)memory.by_tag[tag] / TITAN_GIB));
  titan_status status =
      titan_error(TITAN_ERROR_USAGE,
                  "%s will need %s, and %s are available\n"
                  "a rank's %.2f GiB: %s\n"
                  "%s%s",
                  who, need_text, available_text, (double)memory.total / TITAN_GIB, parts.data, suggestion,
                  titan_runtime_options_of(runtime)->shape.dtype == TITAN_FLOAT32
                      ? "; training.mixed_precision_param = bfloat16 takes less"
                      : "");
  titan_text_destroy(&parts);
  return status;
}

// Limits of the node as a whole, and of each process.
static titan_status find_available(titan_comm *node, const titan_topology *topology, double *available) {
  int ranks = titan_comm_size(node);
  double limits[2] = {(double)topology->node_bytes, (double)topology->rank_bytes * ranks}, least[2];
  TITAN_TRY(titan_comm_all_reduce(node, limits, least, 2, TITAN_FLOAT64, TITAN_MIN, NULL));
  *available = least[0] < least[1] ? least[0] : least[1];
  return TITAN_OK;
}

// Of a device with memory of its own, what is left there; INFINITY: the host's memory counts.
static titan_status find_device_memory(titan_device *device, double *available) {
  size_t left = 0, total = 0;
  *available = INFINITY;
  if (device->memory == NULL)
    return TITAN_OK;
  TITAN_TRY(device->memory(device, &left, &total));
  *available = (double)left;
  return TITAN_OK;
}

// What is needed and what there is: of this rank's device, and of its node.
typedef struct memory_needs {
  double device, on_device, node, on_node;
} memory_needs;

// Collective over node. Of a device with memory of its own the host has what is pinned.
static titan_status find_needs(const titan_runtime *runtime, titan_device *device, const titan_setup_beside *beside,
                               titan_comm *node, const titan_topology *topology, memory_needs *out) {
  titan_runtime_memory memory = titan_runtime_memory_of(runtime);
  double host =
      (double)(device->memory != NULL ? memory.pinned : memory.total) + (double)titan_setup_beside_sum(beside);
  *out = (memory_needs){.device = (double)memory.total};
  TITAN_TRY(titan_comm_agree(node, find_device_memory(device, &out->on_device)));
  TITAN_TRY(titan_comm_all_reduce(node, &host, &out->node, 1, TITAN_FLOAT64, TITAN_SUM, NULL));
  return find_available(node, topology, &out->on_node);
}

bool titan_setup_take_less(const titan_config *config, int prefetch, titan_runtime_options *options) {
  if (options->prefetch_is_chosen && prefetch > 1) {
    options->prefetch = prefetch - 1;
    return true;
  }
  if (options->keep_gathered && strcmp(config->training.fsdp_reshard_after_forward, "default") == 0) {
    options->keep_gathered = false;
    titan_setup_set_prefetch(config, options);
    return true;
  }
  if (options->reduce == TITAN_REDUCE_LAST && options->microbatches > 1 &&
      strcmp(config->training.gradient_accumulation_reduce, "auto") == 0) {
    options->reduce = TITAN_REDUCE_EACH;
    titan_setup_set_prefetch(config, options);
    return true;
  }
  return false;
}

titan_status titan_setup_memory_fits(const titan_config *config, titan_runtime *runtime, titan_comm *world,
                                     titan_comm *node, const titan_topology *topology, bool *fits) {
  titan_setup_beside beside = titan_setup_beside_of(config, runtime, world, node);
  memory_needs needs;
  TITAN_TRY(
      titan_comm_agree(world, find_needs(runtime, titan_runtime_device(runtime), &beside, node, topology, &needs)));
  double mine = needs.node > needs.on_node || needs.device > needs.on_device, any;
  TITAN_TRY(titan_comm_all_reduce(world, &mine, &any, 1, TITAN_FLOAT64, TITAN_MAX, NULL));
  *fits = any == 0;
  return TITAN_OK;
}

titan_status titan_setup_available_bytes(titan_device *device, titan_comm *world, titan_comm *node,
                                         const titan_topology *topology, size_t *bytes) {
  double available = 0, mine, least;
  TITAN_TRY(titan_comm_agree(world, find_device_memory(device, &mine)));
  TITAN_TRY(find_available(node, topology, &available));
  if (device->memory == NULL)
    mine = available / titan_comm_size(node);
  TITAN_TRY(titan_comm_all_reduce(world, &mine, &least, 1, TITAN_FLOAT64, TITAN_MIN, NULL));
  *bytes = least > 0 ? (size_t)least : 0;
  return TITAN_OK;
}

static titan_status refuse(memory_search *search, const char *who, double need, double available) {
  titan_text suggestion = {0};
  titan_status status = suggest(search, &suggestion);
  if (status == TITAN_OK)
    status = describe(search->runtime, who, need, available, suggestion.data);
  titan_text_destroy(&suggestion);
  return status;
}

titan_status titan_setup_check_memory(const titan_runtime *runtime, const titan_setup_beside *beside, titan_mesh *mesh,
                                      titan_device *device, titan_comm *node, const titan_topology *topology) {
  titan_comm *world = titan_mesh_comm(mesh, TITAN_MESH_WORLD);
  int ranks = titan_comm_size(node);
  memory_search search = {.runtime = runtime, .mesh = mesh, .device = device};
  memory_needs needs;
  char who[96];
  TITAN_TRY(titan_comm_agree(world, find_needs(runtime, device, beside, node, topology, &needs)));
  titan_status status = TITAN_OK;
  if (needs.device > needs.on_device) {
    search.limit = needs.on_device;
    snprintf(who, sizeof who, "the device of rank %d is too small: it", titan_comm_rank(world));
    status = refuse(&search, who, needs.device, needs.on_device);
  } else if (needs.node > needs.on_node) {
    search.beside = *beside;
    search.limit = needs.on_node / ranks;
    snprintf(who, sizeof who, "this node is too small: its %d rank%s", ranks, ranks == 1 ? "" : "s");
    status = refuse(&search, who, needs.node, needs.on_node);
  }
  return titan_comm_agree(world, status);
}
