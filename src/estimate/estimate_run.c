// SPDX-License-Identifier: Apache-2.0
// memory_estimation.enabled: the question from the options, the answer to stdout and to a file.
#include "base/log.h"
#include "estimate/estimate_private.h"
#include "storage/folder.h"
#include "storage/output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Threads of a rank where so many share a node like this one, as the topology would count them.
static int threads_of(const titan_topology *topology, int ranks_per_node) {
  if (ranks_per_node == topology->node_size)
    return topology->threads;
  const char *wanted = getenv("OMP_NUM_THREADS");
  int threads = wanted != NULL ? atoi(wanted) : topology->node_cores / ranks_per_node;
  return threads > 0 ? threads : 1;
}

titan_estimate_question titan_estimate_question_of(const titan_config *config, const titan_topology *topology,
                                                   int ranks, int64_t tokenizer_vocabulary) {
  titan_estimate_question question = {
      .config = config,
      .world_size = titan_estimate_world_size(config, ranks),
      .vocabulary = config->memory_estimation.vocabulary,
      .vocabulary_source = "memory_estimation.vocabulary",
      .facts = titan_estimate_is_cpu(config) ? NULL : titan_device_facts_find(config->memory_estimation.device),
  };
  if (tokenizer_vocabulary > 0) {
    question.vocabulary = tokenizer_vocabulary;
    question.vocabulary_source = "the tokenizer's";
  }
  // Of CPUs that are not all here: as many on a node as this one has cores, or runs ranks.
  int usual = topology->node_cores > topology->node_size ? topology->node_cores : topology->node_size;
  if (question.facts != NULL)
    usual = question.facts->ranks_per_node;
  else if (question.world_size == ranks)
    usual = topology->node_size;
  question.ranks_per_node =
      config->memory_estimation.ranks_per_node > 0 ? (int)config->memory_estimation.ranks_per_node : usual;
  if (question.ranks_per_node > question.world_size)
    question.ranks_per_node = question.world_size;
  question.threads = threads_of(topology, question.ranks_per_node);
  if (question.facts != NULL)
    question.available = (double)question.facts->bytes;
  else if (topology->node_bytes != UINT64_MAX)
    question.available = (double)topology->node_bytes / question.ranks_per_node;
  question.auto_budget = (size_t)question.available;
  return question;
}

static titan_status write_file(const titan_config *config, const titan_text *json, titan_text *path) {
  TITAN_TRY(titan_text_printf(path, "%s/memory_estimation.json", config->job.dump_folder));
  titan_status status = titan_folder_create_for(path->data);
  if (status == TITAN_OK)
    status = titan_output_write_text(path->data, TITAN_OUTPUT_REPLACE, json);
  if (status != TITAN_OK)
    return titan_error(TITAN_ERROR_USAGE, "job.dump_folder = %s (%s): %s", config->job.dump_folder,
                       titan_config_origin(config, "job.dump_folder"), titan_error_message());
  return TITAN_OK;
}

titan_status titan_estimate_write(const titan_estimate *estimate) {
  titan_text table = {0}, json = {0}, path = {0};
  titan_status status = TITAN_OK;
  TITAN_TRY_CLEANUP(titan_estimate_print(estimate, &table));
  TITAN_TRY_CLEANUP(titan_estimate_json(estimate, &json));
  TITAN_TRY_CLEANUP(write_file(estimate->question.config, &json, &path));
  fputs(table.data, stdout);
  TITAN_TRY_CLEANUP(titan_text_flush(stdout, "standard output"));
  titan_log_info("The estimate is in %s", path.data);
cleanup:
  titan_text_destroy(&table);
  titan_text_destroy(&json);
  titan_text_destroy(&path);
  return status;
}

titan_status titan_estimate_run(const titan_config *config, const titan_topology *topology, titan_comm *world,
                                int64_t tokenizer_vocabulary, const titan_text *schedule) {
  titan_status status = TITAN_OK;
  if (titan_comm_rank(world) == 0) {
    titan_estimate_question question =
        titan_estimate_question_of(config, topology, titan_comm_size(world), tokenizer_vocabulary);
    question.schedule = schedule;
    titan_estimate *estimate = NULL;
    status = titan_estimate_create(&question, &estimate);
    if (status == TITAN_OK)
      status = titan_estimate_fit(estimate);
    if (status == TITAN_OK)
      status = titan_estimate_write(estimate);
    if (status == TITAN_OK && (config->debug.dump_plan || config->debug.dump_graph))
      status = titan_estimate_dump(estimate);
    titan_estimate_destroy(&estimate);
  }
  return titan_comm_agree(world, status);
}
