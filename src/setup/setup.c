// SPDX-License-Identifier: Apache-2.0
#include "setup/setup.h"

#include "base/size.h"
#include "checkpoint/hints.h"
#include "passes/tensor.h"
#include "setup/estimate_options.h"

#include <stdlib.h>
#include <string.h>

titan_mesh_degrees titan_setup_degrees(const titan_config *config) {
  return (titan_mesh_degrees){
#define TITAN_MESH_ROW(set, name, section, key) .name = (int)config->section.key,
#include "mesh/rows.def"
#undef TITAN_MESH_ROW
  };
}

static titan_norm_type norm_type_of(const char *name) {
  static const char *const names[] = {"rmsnorm", "fused_rmsnorm", "layernorm", "np_layernorm"};
  int type = 0;
  while (strcmp(names[type], name) != 0) // the options were checked
    type++;
  return (titan_norm_type)type;
}

static titan_intra_node intra_node_of(const char *name) {
  return strcmp(name, "shared") == 0 ? TITAN_INTRA_NODE_SHARED
         : strcmp(name, "mpi") == 0  ? TITAN_INTRA_NODE_MPI
                                     : TITAN_INTRA_NODE_AUTO;
}

static titan_status add_message(titan_text *problems, titan_status status) {
  return status == TITAN_OK ? TITAN_OK : titan_text_printf(problems, "%s\n", titan_error_message());
}

// What each rank of a tp group takes an equal part of.
typedef struct tensor_cut {
  const char *what;
  int64_t size;
  bool of_model; // set by model.flavor, not by an option of its own
} tensor_cut;

enum { MOST_TENSOR_CUTS = 5 };

// Returns their number.
static int list_tensor_cuts(const titan_config *config, const titan_model_arguments *arguments,
                            tensor_cut cuts[MOST_TENSOR_CUTS]) {
  cuts[0] = (tensor_cut){"heads", arguments->heads, true};
  cuts[1] = (tensor_cut){"kv heads", arguments->kv_heads, true};
  cuts[2] = (tensor_cut){"training.seq_len", config->training.seq_len, false};
  cuts[3] = (tensor_cut){"feed-forward hidden size", titan_model_ffn_hidden(arguments), true};
  cuts[4] = (tensor_cut){"validation.seq_len", config->validation.seq_len, false};
  return config->validation.enabled && config->validation.seq_len > 0 ? 5 : 4; // 0: training.seq_len
}

static titan_status check_tensor(const titan_config *config, const titan_model_arguments *arguments,
                                 titan_text *problems) {
  int64_t tp = config->training.tensor_parallel_degree;
  tensor_cut cuts[MOST_TENSOR_CUTS];
  int count = list_tensor_cuts(config, arguments, cuts);
  for (int i = 0; i < count && tp > 1; i++) {
    if (cuts[i].size % tp == 0)
      continue;
    TITAN_TRY(titan_text_printf(problems, "training.tensor_parallel_degree = %lld (%s) does not divide %s %lld",
                                (long long)tp, titan_config_origin(config, "training.tensor_parallel_degree"),
                                cuts[i].what, (long long)cuts[i].size));
    TITAN_TRY(cuts[i].of_model ? titan_text_printf(problems, " of model.flavor = %s (%s)\n", config->model.flavor,
                                                   titan_config_origin(config, "model.flavor"))
                               : titan_text_printf(problems, " (%s)\n", titan_config_origin(config, cuts[i].what)));
  }
  return TITAN_OK;
}

// Whether `tp` ranks, of as many as the run has, can share the model and its vocabulary.
static bool tensor_degree_works(const titan_config *config, const titan_model_arguments *arguments,
                                titan_mesh_degrees degrees, int tp) {
  tensor_cut cuts[MOST_TENSOR_CUTS];
  int count = list_tensor_cuts(config, arguments, cuts);
  bool works = degrees.dp_shard * degrees.tp % tp == 0 && titan_tensor_vocabulary_reaches(arguments->vocabulary, tp);
  for (int i = 0; i < count; i++)
    works &= cuts[i].size % tp == 0;
  return works;
}

// With loss parallel each rank computes with its tokens' logits, so that it must have some.
static titan_status check_vocabulary(const titan_config *config, const titan_model_arguments *arguments,
                                     titan_mesh_degrees degrees) {
  int largest = degrees.tp;
  if (!config->training.enable_loss_parallel || titan_tensor_vocabulary_reaches(arguments->vocabulary, degrees.tp))
    return TITAN_OK;
  while (!tensor_degree_works(config, arguments, degrees, largest)) // 1 works
    largest--;
  return titan_error(TITAN_ERROR_USAGE,
                     "training.tensor_parallel_degree = %d (%s) leaves a rank without any token of the vocabulary's "
                     "%lld tokens; the largest degree that works is %d, or set training.enable_loss_parallel = false",
                     degrees.tp, titan_config_origin(config, "training.tensor_parallel_degree"),
                     (long long)arguments->vocabulary, largest);
}

static titan_status check_optimizer(const titan_config *config, titan_text *problems) {
  if (titan_optimizer_rule_find(config->optimizer.name) != NULL)
    return TITAN_OK;
  return titan_text_printf(problems, "%s: optimizer.name: expected one of %s, got \"%s\"\n",
                           titan_config_origin(config, "optimizer.name"), titan_optimizer_rule_names(),
                           config->optimizer.name);
}

// Constants of other optimizers that were set.
titan_status titan_setup_warnings(const titan_config *config, void (*report)(void *context, const char *line),
                                  void *context) {
  const titan_optimizer_rule *rule = titan_optimizer_rule_find(config->optimizer.name);
  titan_text text = {0};
  titan_status status = TITAN_OK;
  for (int i = 0; rule != NULL && titan_optimizer_rule_at(i) != NULL && status == TITAN_OK; i++)
    for (const char *const *name = titan_optimizer_rule_at(i)->constants; *name != NULL && status == TITAN_OK; name++)
      if (!titan_optimizer_rule_has(rule, *name) && titan_config_is_set(config, *name) &&
          (text.data == NULL || strstr(text.data, *name) == NULL))
        status = titan_text_printf(&text, "%s%s (%s)", text.length > 0 ? ", " : "", *name,
                                   titan_config_origin(config, *name));
  if (status == TITAN_OK && text.length > 0)
    status = titan_text_printf(&text, ": no effect, as optimizer.name is %s", config->optimizer.name);
  if (status == TITAN_OK && text.length > 0)
    report(context, text.data);
  titan_text_destroy(&text);
  return status;
}

titan_status titan_setup_device_warnings(const titan_config *config, const titan_device *device,
                                         void (*report)(void *context, const char *line), void *context) {
  bool other = titan_estimate_is_fake(config) && !titan_estimate_is_cpu(config);
  titan_text text = {0};
  if (!config->training.enable_cpu_offload || other || !titan_device_is_host(device))
    return TITAN_OK;
  titan_status status =
      titan_text_printf(&text,
                        "training.enable_cpu_offload = true (%s): nothing is moved, since the cpu device has "
                        "parameters, gradients and optimizer states in host memory already",
                        titan_config_origin(config, "training.enable_cpu_offload"));
  if (status == TITAN_OK)
    report(context, text.data);
  titan_text_destroy(&text);
  return status;
}

titan_status titan_setup_check_device(const titan_config *config, const titan_device *device) {
  if (device->queues == NULL)
    return TITAN_OK;
  if (intra_node_of(config->comm.intra_node) == TITAN_INTRA_NODE_SHARED)
    return titan_error(TITAN_ERROR_USAGE,
                       "comm.intra_node = shared (%s): ranks cannot share the memory of the device %s; use auto or mpi",
                       titan_config_origin(config, "comm.intra_node"), device->name);
  return TITAN_OK;
}

// Sizes by the flavor, the rest by options; false when there is no such flavor.
static bool find_arguments(const titan_config *config, const titan_model_definition *model,
                           titan_model_arguments *out) {
  if (!model->flavor(config->model.flavor, out))
    return false;
  if (strcmp(config->model.tie_embeddings, "auto") != 0)
    out->tied = strcmp(config->model.tie_embeddings, "true") == 0;
  if (config->model.rope_scaling_factor > 1)
    out->rope_scaling = (titan_rope_scaling){.factor = config->model.rope_scaling_factor,
                                             .low = config->model.rope_scaling_low_freq_factor,
                                             .high = config->model.rope_scaling_high_freq_factor,
                                             .original_length = config->model.rope_scaling_original_length};
  return true;
}

// The roles of optimizer.no_decay, as bits; names that are no roles were told by the options' own check.
static unsigned no_decay_of(const titan_config *config) {
  const char *list = config->optimizer.no_decay;
  unsigned roles = 0, bit = 0;
  while (list != NULL && *list != '\0') {
    size_t length = strcspn(list, ",");
    roles |= titan_optimizer_role_find(list, length, &bit) ? bit : 0;
    list += length + (list[length] == ',');
  }
  return roles;
}

// Two parameters that are one are updated alike.
static titan_status check_tied(const titan_config *config, const titan_model_definition *model,
                               const titan_model_arguments *arguments, titan_text *problems) {
  const titan_model_tie *tie = titan_model_tie_of(model, arguments);
  unsigned roles = no_decay_of(config);
  if (arguments->tied && tie == NULL)
    return titan_text_printf(problems, "model.tie_embeddings = true (%s): model.name = %s has nothing to tie\n",
                             titan_config_origin(config, "model.tie_embeddings"), config->model.name);
  if (tie == NULL || (roles >> model->role(tie->parameters[0]) & 1) == (roles >> model->role(tie->parameters[1]) & 1))
    return TITAN_OK;
  return titan_text_printf(problems,
                           "optimizer.no_decay = %s (%s) names one of embedding and output, which are one parameter in "
                           "this model; expected both or neither, or model.tie_embeddings = false\n",
                           config->optimizer.no_decay, titan_config_origin(config, "optimizer.no_decay"));
}

static titan_status check_model(const titan_config *config, titan_text *problems) {
  const titan_model_definition *model = titan_model_find(config->model.name);
  titan_model_arguments arguments;
  if (model == NULL)
    return titan_text_printf(problems, "%s: model.name: expected one of %s, got \"%s\"\n",
                             titan_config_origin(config, "model.name"), titan_model_names(), config->model.name);
  if (!find_arguments(config, model, &arguments))
    return titan_text_printf(problems, "model.flavor = %s (%s): %s has the flavors %s\n", config->model.flavor,
                             titan_config_origin(config, "model.flavor"), config->model.name, model->flavor_names);
  TITAN_TRY(model->check(&arguments, problems));
  TITAN_TRY(check_tied(config, model, &arguments, problems));
  return check_tensor(config, &arguments, problems);
}

// So many tokens a rank are more than any node has memory for, and few enough that no size in bytes overflows.
static const int64_t most_tokens = (int64_t)1 << 32;

// The shape of a batch, and the options that give it.
typedef struct batch_shape {
  int64_t batch, length;
  const char *batch_option, *length_option;
} batch_shape;

static titan_status check_shape(const titan_config *config, const batch_shape *shape, titan_text *problems) {
  if (shape->batch < 1 || shape->length < 1 || shape->batch <= most_tokens / shape->length)
    return TITAN_OK;
  return titan_text_printf(
      problems, "%s = %lld (%s) with %s = %lld (%s): more than %lld tokens a rank and step\n", shape->batch_option,
      (long long)shape->batch, titan_config_origin(config, shape->batch_option), shape->length_option,
      (long long)shape->length, titan_config_origin(config, shape->length_option), (long long)most_tokens);
}

static titan_status check_tokens(const titan_config *config, titan_text *problems) {
  batch_shape training = {config->training.batch_size, config->training.seq_len, "training.batch_size",
                          "training.seq_len"};
  batch_shape validation = training;
  if (config->validation.local_batch_size > 0) {
    validation.batch = config->validation.local_batch_size;
    validation.batch_option = "validation.local_batch_size";
  }
  if (config->validation.seq_len > 0) {
    validation.length = config->validation.seq_len;
    validation.length_option = "validation.seq_len";
  }
  TITAN_TRY(check_shape(config, &training, problems));
  bool own = config->validation.local_batch_size > 0 || config->validation.seq_len > 0;
  return config->validation.enabled && own ? check_shape(config, &validation, problems) : TITAN_OK;
}

bool titan_setup_checkpoint_part(const char *word, int length, titan_checkpoint_part *out) {
  static const char *const words[] = {"optimizer", "data", "schedule"};
  for (int i = 0; i < 3; i++)
    if ((int)strlen(words[i]) == length && strncmp(words[i], word, (size_t)length) == 0) {
      *out = (titan_checkpoint_part)i;
      return true;
    }
  return false;
}

static titan_status check_excluded(const titan_config *config, titan_text *problems) {
  const char *list = config->checkpoint.exclude_from_loading;
  while (list != NULL && *list != '\0') {
    int length = (int)strcspn(list, ",");
    titan_checkpoint_part part;
    if (!titan_setup_checkpoint_part(list, length, &part))
      TITAN_TRY(titan_text_printf(problems,
                                  "checkpoint.exclude_from_loading = %s (%s): \"%.*s\" is none of optimizer, data, "
                                  "schedule\n",
                                  config->checkpoint.exclude_from_loading,
                                  titan_config_origin(config, "checkpoint.exclude_from_loading"), length, list));
    list += length + (list[length] == ',');
  }
  return TITAN_OK;
}

static titan_status check_debug(const titan_config *config, int world_size, titan_text *problems) {
  if (config->debug.raise_signal_rank < world_size)
    return TITAN_OK;
  return titan_text_printf(problems, "debug.raise_signal_rank = %lld (%s): this run has the ranks 0 to %d\n",
                           (long long)config->debug.raise_signal_rank,
                           titan_config_origin(config, "debug.raise_signal_rank"), world_size - 1);
}

static titan_status check_checkpoint(const titan_config *config, int world_size, titan_text *problems) {
  TITAN_TRY(check_excluded(config, problems));
  if (config->checkpoint.initial_load_path != NULL && !config->checkpoint.enable_checkpoint &&
      !config->checkpoint.create_seed_checkpoint)
    TITAN_TRY(titan_text_printf(problems,
                                "checkpoint.initial_load_path (%s) needs checkpoint.enable_checkpoint, or "
                                "checkpoint.create_seed_checkpoint\n",
                                titan_config_origin(config, "checkpoint.initial_load_path")));
  if (titan_checkpoint_hints_check(config->checkpoint.mpi_io_hints) != TITAN_OK)
    TITAN_TRY(titan_text_printf(problems, "checkpoint.mpi_io_hints (%s): %s\n",
                                titan_config_origin(config, "checkpoint.mpi_io_hints"), titan_error_message()));
  if (config->checkpoint.create_seed_checkpoint && world_size != 1)
    return titan_text_printf(problems,
                             "checkpoint.create_seed_checkpoint = true (%s): a seed checkpoint is made by one rank, "
                             "and this run has %d; any number of ranks can load it\n",
                             titan_config_origin(config, "checkpoint.create_seed_checkpoint"), world_size);
  return TITAN_OK;
}

titan_status titan_setup_check(const titan_config *config, int ranks) {
  titan_text problems = {0};
  int world_size = titan_estimate_world_size(config, ranks);
  titan_mesh_degrees degrees = titan_setup_degrees(config);
  titan_status status = add_message(&problems, titan_config_validate(config, world_size));
  if (status == TITAN_OK)
    status = check_model(config, &problems);
  if (status == TITAN_OK)
    status = check_optimizer(config, &problems);
  if (status == TITAN_OK)
    status = check_tokens(config, &problems);
  if (status == TITAN_OK)
    status = check_checkpoint(config, world_size, &problems);
  if (status == TITAN_OK)
    status = titan_setup_check_pipeline(config, &problems);
  if (status == TITAN_OK)
    status = check_debug(config, world_size, &problems);
  if (status == TITAN_OK)
    status = titan_estimate_check(config, ranks, &problems);
  if (status == TITAN_OK && problems.length == 0)
    status = add_message(&problems, titan_mesh_resolve(&degrees, world_size));
  if (status == TITAN_OK && problems.length > 0) {
    problems.data[problems.length - 1] = '\0'; // the last line end
    status = titan_error(TITAN_ERROR_USAGE, "%s", problems.data);
  }
  titan_text_destroy(&problems);
  return status;
}

// `auto_budget`: what auto may take, bytes.
static titan_activation_options activations_of(const titan_config *config, size_t auto_budget) {
  const char *mode = config->activation_checkpoint.mode, *option = config->activation_checkpoint.selective_ac_option;
  if (strcmp(mode, "none") == 0)
    return (titan_activation_options){.mode = TITAN_ACTIVATIONS_KEPT};
  if (strcmp(mode, "full") == 0)
    return (titan_activation_options){.mode = TITAN_ACTIVATIONS_FULL};
  if (strcmp(option, "op") == 0)
    return (titan_activation_options){.mode = TITAN_ACTIVATIONS_OPERATIONS};
  if (strcmp(option, "auto") == 0)
    return (titan_activation_options){.mode = TITAN_ACTIVATIONS_BUDGET, .budget = auto_budget};
  if (strncmp(option, "budget=", 7) == 0) {
    double bytes = atof(option + 7) * TITAN_GIB;
    return (titan_activation_options){.mode = TITAN_ACTIVATIONS_BUDGET,
                                      .budget = bytes < 9e18 ? (size_t)bytes : (size_t)9e18};
  }
  return (titan_activation_options){.mode = TITAN_ACTIVATIONS_EVERY, .every = atoll(option)};
}

// Sequences of a step over all ranks (the options were checked).
static int64_t global_batch_of(const titan_config *config, titan_mesh_degrees degrees) {
  int64_t one = config->training.batch_size * degrees.dp_replicate * degrees.dp_shard;
  return config->training.global_batch_size > 0 ? config->training.global_batch_size : one;
}

// Of a step on each rank: training.global_batch_size over what the ranks take at once.
static int64_t count_microbatches(const titan_config *config, titan_mesh_degrees degrees) {
  return global_batch_of(config, degrees) / (config->training.batch_size * degrees.dp_replicate * degrees.dp_shard);
}

static titan_model_shape validation_shape(const titan_config *config, titan_dtype dtype) {
  if (!config->validation.enabled)
    return (titan_model_shape){0};
  return (titan_model_shape){
      .batch =
          config->validation.local_batch_size > 0 ? config->validation.local_batch_size : config->training.batch_size,
      .length = config->validation.seq_len > 0 ? config->validation.seq_len : config->training.seq_len,
      .dtype = dtype,
  };
}

// Several microbatches use a unit several times. `default` begins without gathering anew; see titan_setup_take_less.
static bool keeps_gathered(const titan_config *config, titan_mesh_degrees degrees) {
  const char *reshard = config->training.fsdp_reshard_after_forward;
  if (strcmp(reshard, "default") != 0)
    return strcmp(reshard, "never") == 0;
  return degrees.pp > 1 || count_microbatches(config, degrees) > 1;
}

// More units than a model has are all of them. What memory a budget for activations leaves saves computing instead.
void titan_setup_set_prefetch(const titan_config *config, titan_runtime_options *options) {
  enum { MOST_CHOSEN = 8, MOST = 1 << 20 };
  const char *prefetch = config->training.fsdp_prefetch;
  bool automatic = strcmp(prefetch, "auto") == 0;
  int64_t count = automatic ? MOST_CHOSEN : atoll(prefetch);
  options->prefetch_is_chosen = automatic && options->activations.mode != TITAN_ACTIVATIONS_BUDGET;
  options->prefetch = automatic && !options->prefetch_is_chosen ? 1 : (int)(count < MOST ? count : MOST);
}

titan_status titan_setup_describe_prefetch(const titan_config *config, int prefetch, titan_text *text) {
  if (strcmp(config->training.fsdp_prefetch, "auto") != 0)
    return TITAN_OK;
  return titan_text_printf(text, "training.fsdp_prefetch = auto: weights are gathered %d part%s ahead%s", prefetch,
                           prefetch == 1 ? "" : "s",
                           activations_of(config, 0).mode == TITAN_ACTIVATIONS_BUDGET
                               ? ", as the budget for activations takes the memory that is left"
                               : "");
}

// `auto` begins with the least traffic; see titan_setup_take_less.
static titan_reduce_when reduce_of(const titan_config *config) {
  return strcmp(config->training.gradient_accumulation_reduce, "each") == 0 ? TITAN_REDUCE_EACH : TITAN_REDUCE_LAST;
}

static void set_slots(const titan_config *config, titan_runtime_options *out) {
  const titan_optimizer_rule *rule = titan_optimizer_rule_find(config->optimizer.name);
  out->slot_count = rule->slot_count;
  for (int slot = 0; slot < rule->slot_count; slot++)
    out->slots[slot] = rule->slots[slot];
}

titan_status titan_setup_runtime_options(const titan_config *config, int64_t vocabulary, titan_mesh_degrees degrees,
                                         size_t auto_budget, const titan_text *schedule, titan_runtime_options *out) {
  titan_dtype dtype = strcmp(config->training.mixed_precision_param, "float32") == 0 ? TITAN_FLOAT32 : TITAN_BFLOAT16;
  *out = (titan_runtime_options){
      .model = titan_model_find(config->model.name),
      .shape = {.batch = config->training.batch_size, .length = config->training.seq_len, .dtype = dtype},
      .microbatches = count_microbatches(config, degrees),
      .pipeline = titan_setup_pipeline_options(config, degrees.pp, schedule),
      .global_tokens = global_batch_of(config, degrees) * config->training.seq_len,
      .reduce = reduce_of(config),
      .keep_gathered = keeps_gathered(config, degrees),
      .early_update = config->optimizer.early_step_in_backward,
      .offload = config->training.enable_cpu_offload,
      .validation = validation_shape(config, dtype),
      .intra_node = intra_node_of(config->comm.intra_node),
      .loss_parallel = config->training.enable_loss_parallel,
      .activations = activations_of(config, auto_budget),
      .compile = config->training.compile,
      .async_tensor = config->experimental.enable_async_tensor_parallel,
  };
  if (!find_arguments(config, out->model, &out->arguments))
    return titan_error(TITAN_ERROR_INTERNAL, "flavor %s passed the checks", config->model.flavor);
  titan_setup_set_prefetch(config, out);
  set_slots(config, out);
  titan_setup_cut_batches(degrees.pp, out);
  out->arguments.vocabulary = vocabulary;
  out->arguments.norm_type = norm_type_of(config->model.norm_type);
  return check_vocabulary(config, &out->arguments, degrees);
}

titan_save_mode titan_setup_save_mode(const titan_config *config) {
  return strcmp(config->checkpoint.async_mode, "async") == 0                   ? TITAN_SAVE_ASYNC
         : strcmp(config->checkpoint.async_mode, "async_with_pinned_mem") == 0 ? TITAN_SAVE_ASYNC_PINNED
                                                                               : TITAN_SAVE_AT_ONCE;
}

static titan_lr_curve lr_curve_of(const titan_config *config) {
  const char *decay = config->lr_scheduler.decay_type;
  return (titan_lr_curve){
      .decay = strcmp(decay, "sqrt") == 0     ? TITAN_LR_SQRT
               : strcmp(decay, "cosine") == 0 ? TITAN_LR_COSINE
                                              : TITAN_LR_LINEAR,
      .has_decay_ratio = config->lr_scheduler.decay_ratio >= 0,
      .decay_ratio = config->lr_scheduler.decay_ratio,
      .minimum = config->lr_scheduler.lr_min,
  };
}

titan_optimizer_options titan_setup_optimizer_options(const titan_config *config) {
  return (titan_optimizer_options){
      .rule = titan_optimizer_rule_find(config->optimizer.name),
      .learning_rate = config->optimizer.lr,
      .beta1 = config->optimizer.beta1,
      .beta2 = config->optimizer.beta2,
      .epsilon = config->optimizer.eps,
      .momentum = config->optimizer.momentum,
      .weight_decay = config->optimizer.weight_decay,
      .no_decay = no_decay_of(config),
      .fused = config->optimizer.fused,
      .max_norm = config->training.max_norm,
      .warmup_steps = config->training.warmup_steps,
      .total_steps = config->lr_scheduler.total_steps > 0 ? config->lr_scheduler.total_steps : config->training.steps,
      .curve = lr_curve_of(config),
  };
}
