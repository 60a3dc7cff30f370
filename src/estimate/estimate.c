// SPDX-License-Identifier: Apache-2.0
#include "estimate/estimate.h"

#include "base/memory.h"
#include "device/gpu_workspace.h"
#include "estimate/estimate_private.h"
#include "graph/plan_report.h"
#include "parallel/pipeline_choice.h"
#include "train/plan_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

// Schedules of a pipeline that are tried, where the quicker ones do not fit.
enum { MOST_CHOICES = 24 };

// --- one rank ---

static void add_packing(titan_estimate_kind *kind, double packing) {
  kind->packing = packing > kind->packing ? packing : kind->packing;
}

static void add_plans(titan_runtime *runtime, titan_estimate_kind *kind) {
  kind->work = titan_runtime_work_of(runtime);
  kind->packing = 1;
  for (int i = 0; i < titan_runtime_unit_count(runtime); i++)
    add_packing(kind, titan_plan_packing(titan_runtime_unit(runtime, i)->plan));
  for (int validation = 0; validation < 2; validation++) {
    const titan_step_memory *memory = titan_runtime_list_of(runtime, validation == 1).memory;
    for (int arena = 0; memory != NULL && arena < TITAN_ARENAS; arena++)
      if (memory->bounds[arena] > 0)
        add_packing(kind, (double)memory->bytes[arena] / (double)memory->bounds[arena]);
  }
}

// Stand-ins for the groups that the program has beside the mesh's.
static titan_status create_groups(const titan_estimate_question *question, int rank, titan_comm **world,
                                  titan_comm **node) {
  int most = question->ranks_per_node, first = rank / most * most, left = question->world_size - first;
  int own = left < most ? left : most, last = question->world_size % most;
  titan_comm_nodes nodes = {(question->world_size + most - 1) / most, most, last > 0 ? last : most, own};
  *node = NULL;
  TITAN_TRY(titan_comm_create_fake("world", rank, question->world_size, nodes, world));
  return titan_comm_create_fake("node", rank - first, own, (titan_comm_nodes){1, own, own, own}, node);
}

// What the program takes beside the runtime.
static titan_status add_the_rest(const titan_estimate_question *question, titan_runtime *runtime,
                                 titan_estimate_kind *kind) {
  titan_comm *world = NULL, *node = NULL;
  size_t reading = 0;
  titan_status status = create_groups(question, kind->first_rank, &world, &node);
  if (status == TITAN_OK && question->facts != NULL) { // only what lies in the device's memory counts
    kind->by_tag[TITAN_MEMORY_COMMUNICATION] = 0;
  } else if (status == TITAN_OK) {
    titan_setup_beside beside = titan_setup_beside_of(question->config, runtime, world, node);
    kind->by_tag[TITAN_MEMORY_COMMUNICATION] += beside.groups;
    kind->by_tag[TITAN_MEMORY_DATA] = beside.loader;
    kind->by_tag[TITAN_MEMORY_CHECKPOINT] = beside.staging;
    reading = beside.reading;
  }
  titan_comm_destroy(&world);
  titan_comm_destroy(&node);
  kind->own = kind->total = titan_estimate_own_bytes(question, reading);
  for (int tag = 0; tag < TITAN_MEMORY_TAG_COUNT; tag++)
    kind->total += kind->by_tag[tag];
  return status;
}

static titan_status describe_pipeline(titan_runtime *runtime, titan_estimate_kind *kind) {
  titan_prediction prediction;
  titan_text text = {0};
  if (titan_runtime_pipeline_of(runtime).order->ranks == 1)
    return TITAN_OK;
  TITAN_TRY(titan_runtime_predict(runtime, 1, &prediction));
  kind->step_flops = prediction.makespan / titan_comm_size(titan_mesh_comm(titan_runtime_mesh(runtime), TITAN_MESH_TP));
  titan_status status = titan_runtime_describe_pipeline(runtime, &text);
  if (status == TITAN_OK)
    status = titan_text_printf(&text, "\n");
  if (status == TITAN_OK)
    status = titan_prediction_print(&prediction, &text);
  if (status == TITAN_OK)
    snprintf(kind->pipeline, sizeof kind->pipeline, "%s", text.data);
  titan_text_destroy(&text);
  titan_prediction_destroy(&prediction);
  return status;
}

// Texts that the runtime gives of itself, in a line each.
static titan_status describe(titan_runtime *runtime, titan_estimate_kind *kind) {
  titan_text text = {0};
  titan_status status = titan_runtime_describe_activations(runtime, &text);
  size_t end = text.length;
  if (status == TITAN_OK)
    status = titan_text_printf(&text, "%s", "\n");
  if (status == TITAN_OK)
    status = titan_runtime_describe_compile(runtime, &text);
  if (status == TITAN_OK) {
    snprintf(kind->activations, sizeof kind->activations, "%.*s", (int)end, text.data);
    snprintf(kind->compiled, sizeof kind->compiled, "%s", text.data + end + 1);
  }
  titan_text_destroy(&text);
  return status == TITAN_OK ? describe_pipeline(runtime, kind) : status;
}

titan_status titan_estimate_rank(const titan_estimate_question *question, titan_device *device,
                                 titan_mesh_degrees degrees, const titan_runtime_options *options, int rank,
                                 bool with_peak, titan_estimate_kind *out) {
  titan_mesh *mesh = NULL;
  titan_runtime *runtime = NULL;
  titan_status status = TITAN_OK;
  *out = (titan_estimate_kind){.first_rank = rank, .last_rank = rank, .ranks = 1};
  TITAN_TRY(titan_mesh_create_fake(degrees, rank, question->ranks_per_node, &mesh));
  status = titan_runtime_create(options, mesh, device, &runtime);
  TITAN_TRY_CLEANUP(titan_setup_pipeline_error(question->config, status));
  status = titan_runtime_choose(runtime, options->activations.fixed);
  TITAN_TRY_CLEANUP(titan_setup_budget_error(question->config, status));
  memcpy(out->by_tag, titan_runtime_memory_of(runtime).by_tag, sizeof out->by_tag);
  out->chosen = titan_runtime_memory_of(runtime).chosen;
  out->pinned = titan_runtime_memory_of(runtime).pinned;
  out->prefetch = titan_runtime_prefetch(runtime);
  if (with_peak) {
    add_plans(runtime, out);
    TITAN_TRY_CLEANUP(titan_estimate_find_peak(runtime, &out->peak));
    TITAN_TRY_CLEANUP(describe(runtime, out));
  }
  TITAN_TRY_CLEANUP(add_the_rest(question, runtime, out));
cleanup:
  titan_runtime_destroy(&runtime);
  titan_mesh_destroy(&mesh);
  return status;
}

titan_status titan_estimate_dump(const titan_estimate *estimate) {
  const titan_config *config = estimate->question.config;
  const titan_estimate_question *question = &estimate->question;
  titan_device *device = NULL;
  titan_mesh *mesh = NULL;
  titan_runtime *runtime = NULL;
  titan_status status = TITAN_OK;
  TITAN_TRY(titan_estimate_device_create(question, &device));
  TITAN_TRY_CLEANUP(titan_mesh_create_fake(estimate->degrees, 0, question->ranks_per_node, &mesh));
  TITAN_TRY_CLEANUP(titan_runtime_plan(&estimate->options, mesh, device, &runtime));
  if (config->debug.dump_plan)
    TITAN_TRY_CLEANUP(titan_plan_files_write(runtime, config->job.dump_folder));
  if (config->debug.dump_graph)
    TITAN_TRY_CLEANUP(titan_graph_files_write(runtime, config->job.dump_folder));
cleanup:
  titan_runtime_destroy(&runtime);
  titan_mesh_destroy(&mesh);
  titan_device_destroy(&device);
  return status;
}

// --- all ranks ---

titan_status titan_estimate_device_create(const titan_estimate_question *question, titan_device **out) {
  const titan_config *config = question->config;
  if (question->facts == NULL)
    return titan_device_create_cpu(question->threads, out);
  TITAN_TRY(titan_device_create_meta(question->facts, config->training.deterministic, out));
  // As on several ranks NCCL serves; other makers' devices have no NCCL.
  if (question->world_size > 1 && question->facts->capability > 0 && strcmp(config->comm.gpu_transport, "host") != 0)
    (*out)->exchange_unit = TITAN_GPU_EXCHANGE_BYTES;
  return TITAN_OK;
}

// The candidate of experimental.pipeline_parallel_schedule = auto at place `choice`; the last where there are fewer.
static titan_status take_candidate(const titan_config *config, titan_mesh_degrees degrees, int choice,
                                   titan_runtime_options *options) {
  titan_pipeline_candidate *found;
  int count;
  titan_status status = titan_pipeline_candidates(options, degrees.pp, &found, &count);
  TITAN_TRY(titan_setup_pipeline_error(config, status));
  titan_pipeline_take(&found[choice < count ? choice : count - 1], options);
  titan_memory_free(found);
  return TITAN_OK;
}

titan_status titan_estimate_options(const titan_estimate_question *question, const titan_config *config, int choice,
                                    titan_mesh_degrees *degrees, titan_runtime_options *out) {
  *degrees = titan_setup_degrees(config);
  TITAN_TRY(titan_mesh_resolve(degrees, question->world_size));
  TITAN_TRY(titan_setup_runtime_options(config, question->vocabulary, *degrees, question->auto_budget,
                                        question->schedule, out));
  if (out->pipeline.automatic)
    TITAN_TRY(take_candidate(config, *degrees, choice, out));
  if (question->facts != NULL) // devices share no memory, and gather through their own library
    out->intra_node = TITAN_INTRA_NODE_MPI;
  return TITAN_OK;
}

// What decides a rank's figures: its place in the groups that shard the graph, how its groups lie on nodes, and the
// ranks of its node. Ranks with equal keys have equal figures.
typedef struct rank_key {
  int place, node_size;
  uint64_t nodes;
} rank_key;

static titan_status key_of(const titan_estimate *estimate, int rank, rank_key *key) {
  titan_mesh *mesh;
  int a_node = estimate->question.ranks_per_node, left = estimate->question.world_size - rank / a_node * a_node;
  TITAN_TRY(titan_mesh_create_fake(estimate->degrees, rank, a_node, &mesh));
  memset(key, 0, sizeof *key);
  key->node_size = left < a_node ? left : a_node;
  key->place = titan_mesh_coordinate(mesh, TITAN_MESH_PP | TITAN_MESH_CP | TITAN_MESH_TP);
  key->nodes = titan_mesh_nodes_key(mesh);
  titan_mesh_destroy(&mesh);
  return TITAN_OK;
}

static bool alike(const titan_estimate_kind *a, const titan_estimate_kind *b) {
  return memcmp(a->by_tag, b->by_tag, sizeof a->by_tag) == 0 && a->own == b->own && a->pinned == b->pinned &&
         strcmp(a->peak.unit, b->peak.unit) == 0 && a->peak.instruction == b->peak.instruction &&
         a->peak.scratch_bytes == b->peak.scratch_bytes;
}

// The kind with these figures, which is new where no other has them.
static int find_kind(titan_estimate *estimate, const titan_estimate_kind *figures) {
  for (int i = 0; i < estimate->kind_count; i++)
    if (alike(&estimate->kinds[i], figures))
      return i;
  estimate->kinds[estimate->kind_count] = *figures;
  estimate->kinds[estimate->kind_count].ranks = 0;
  return estimate->kind_count++;
}

// Numbers the keys by their first ranks: the ranks whose figures are those of all.
static titan_status find_keys(titan_estimate *estimate) {
  int world = estimate->question.world_size;
  rank_key *keys;
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)world * sizeof *keys, &keys));
  titan_status status = TITAN_OK;
  for (int rank = 0; rank < world && status == TITAN_OK; rank++) {
    rank_key key;
    int k = 0;
    status = key_of(estimate, rank, &key);
    while (status == TITAN_OK && k < estimate->sample_count && memcmp(&keys[k], &key, sizeof key) != 0)
      k++;
    if (status == TITAN_OK && k == estimate->sample_count) {
      keys[k] = key;
      estimate->samples[estimate->sample_count++] = rank;
    }
    estimate->kind_of_rank[rank] = k; // its key, until kinds are known
  }
  titan_memory_free(keys);
  return status;
}

titan_status titan_estimate_share_budget(const titan_estimate *estimate, titan_device *device,
                                         titan_mesh_degrees degrees, titan_runtime_options *options) {
  titan_runtime_options plain = *options;
  plain.activations = (titan_activation_options){.mode = TITAN_ACTIVATIONS_FULL};
  if (options->activations.mode != TITAN_ACTIVATIONS_BUDGET)
    return TITAN_OK;
  options->activations.fixed = 0;
  for (int i = 0; i < estimate->sample_count; i++) {
    titan_estimate_kind figures;
    TITAN_TRY(titan_estimate_rank(&estimate->question, device, degrees, &plain, estimate->samples[i], false, &figures));
    size_t fixed = figures.total - figures.chosen;
    options->activations.fixed = fixed > options->activations.fixed ? fixed : options->activations.fixed;
  }
  return TITAN_OK;
}

static titan_status sort_ranks(titan_estimate *estimate, titan_device *device) {
  int *kind_of_key;
  TITAN_TRY(
      titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)estimate->sample_count * sizeof *kind_of_key, &kind_of_key));
  titan_status status = TITAN_OK;
  for (int k = 0; k < estimate->sample_count && status == TITAN_OK; k++) {
    titan_estimate_kind figures;
    status = titan_estimate_rank(&estimate->question, device, estimate->degrees, &estimate->options,
                                 estimate->samples[k], true, &figures);
    if (status == TITAN_OK)
      kind_of_key[k] = find_kind(estimate, &figures);
  }
  for (int rank = 0; rank < estimate->question.world_size && status == TITAN_OK; rank++) {
    titan_estimate_kind *kind =
        &estimate->kinds[estimate->kind_of_rank[rank] = kind_of_key[estimate->kind_of_rank[rank]]];
    kind->last_rank = rank;
    kind->ranks++;
  }
  titan_memory_free(kind_of_key);
  return status;
}

static bool fits(const titan_estimate *estimate) {
  return estimate->question.available <= 0 ||
         (double)estimate->kinds[estimate->largest].total <= estimate->question.available;
}

// With the options' choices that memory allows, the quickest first. keys: by rank.
static titan_status estimate_ranks(titan_estimate *estimate, titan_device *device, const int *keys) {
  do {
    memcpy(estimate->kind_of_rank, keys, (size_t)estimate->question.world_size * sizeof *keys);
    estimate->kind_count = estimate->largest = 0;
    TITAN_TRY(titan_estimate_share_budget(estimate, device, estimate->degrees, &estimate->options));
    TITAN_TRY(sort_ranks(estimate, device));
    for (int i = 0; i < estimate->kind_count; i++)
      if (estimate->kinds[i].total > estimate->kinds[estimate->largest].total)
        estimate->largest = i;
  } while (!fits(estimate) &&
           titan_setup_take_less(estimate->question.config, estimate->kinds[0].prefetch, &estimate->options));
  return TITAN_OK;
}

// Where the schedule of the pipeline is to be chosen: the quickest that fits.
static titan_status estimate_choices(titan_estimate *estimate, titan_device *device, const int *keys) {
  const titan_estimate_question *question = &estimate->question;
  const char *schedule = question->config->experimental.pipeline_parallel_schedule;
  bool automatic = strcasecmp(schedule, "auto") == 0 && estimate->degrees.pp > 1;
  TITAN_TRY(estimate_ranks(estimate, device, keys));
  for (int choice = 1; automatic && !fits(estimate) && choice < MOST_CHOICES; choice++) {
    estimate->choice = choice;
    TITAN_TRY(titan_estimate_options(question, question->config, choice, &estimate->degrees, &estimate->options));
    TITAN_TRY(estimate_ranks(estimate, device, keys));
  }
  return TITAN_OK;
}

static titan_status create(titan_estimate *estimate) {
  const titan_estimate_question *question = &estimate->question;
  size_t world = (size_t)question->world_size;
  titan_device *device = NULL;
  int *keys = NULL; // by rank
  titan_status status = TITAN_OK;
  TITAN_TRY(titan_estimate_options(question, question->config, 0, &estimate->degrees, &estimate->options));
  TITAN_TRY(
      titan_model_count_parameters(estimate->options.model, &estimate->options.arguments, &estimate->parameters, NULL));
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, world, sizeof(int), &estimate->kind_of_rank));
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, world, sizeof(int), &estimate->samples));
  TITAN_TRY_CLEANUP(titan_estimate_device_create(question, &device));
  TITAN_TRY_CLEANUP(find_keys(estimate));
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, (size_t)estimate->sample_count,
                                                 sizeof *estimate->kinds, &estimate->kinds));
  TITAN_TRY_CLEANUP(titan_memory_allocate(TITAN_MEMORY_GENERAL, world * sizeof *keys, &keys));
  memcpy(keys, estimate->kind_of_rank, world * sizeof *keys);
  TITAN_TRY_CLEANUP(estimate_choices(estimate, device, keys));
cleanup:
  titan_memory_free(keys);
  titan_device_destroy(&device);
  return status;
}

titan_status titan_estimate_create(const titan_estimate_question *question, titan_estimate **out) {
  titan_estimate *estimate;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, 1, sizeof *estimate, &estimate));
  estimate->question = *question;
  titan_status status = create(estimate);
  if (status != TITAN_OK)
    titan_estimate_destroy(&estimate);
  *out = estimate;
  return status;
}

void titan_estimate_destroy(titan_estimate **estimate) {
  if (*estimate == NULL)
    return;
  titan_memory_free((*estimate)->kinds);
  titan_memory_free((*estimate)->kind_of_rank);
  titan_memory_free((*estimate)->samples);
  titan_memory_free(*estimate);
  *estimate = NULL;
}
