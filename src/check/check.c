// SPDX-License-Identifier: Apache-2.0
#include "check/check.h"

#include "base/clock.h"
#include "base/log.h"
#include "check/results.h"
#include "comm/recorder.h"

#include <string.h>
#include <unistd.h>

titan_status titan_check_options(const titan_config *config) {
  if (!config->memory_estimation.enabled)
    return TITAN_OK;
  return titan_error(TITAN_ERROR_USAGE,
                     "--check measures this machine, and memory_estimation.enabled = true (%s) asks for an estimate; "
                     "expected one of the two",
                     titan_config_origin(config, "memory_estimation.enabled"));
}

static titan_status name_place(const titan_check_environment *e, titan_check_record *record) {
  if (gethostname(record->host, sizeof record->host - 1) != 0)
    strcpy(record->host, "unknown");
  record->host[sizeof record->host - 1] = '\0';
  record->node = titan_comm_rank(e->world);
  return titan_comm_broadcast(e->node, &record->node, 1, TITAN_INT32, 0, NULL);
}

static titan_status measure(const titan_check_environment *e, titan_check_results *results) {
  titan_check_record *record = &results->records[titan_comm_rank(e->world)];
  TITAN_TRY(name_place(e, record));
  titan_recorder_set_action("measurement", "products and copies");
  TITAN_TRY(titan_check_measure_rank(e, record));
  titan_recorder_set_action("measurement", "links");
  TITAN_TRY(titan_check_measure_links(e, record));
  TITAN_TRY(titan_check_measure_groups(e, results, record));
  return titan_comm_all_gather(e->world, record, results->records, sizeof *record, TITAN_BYTE, NULL);
}

static titan_status warn(const titan_check_results *results, const titan_check_findings *findings) {
  for (int i = 0; i < findings->count; i++) {
    titan_text text = {0};
    titan_status status = titan_check_describe(results, &findings->list[i], &text);
    if (status == TITAN_OK)
      titan_log_warning("%s", text.data);
    titan_text_destroy(&text);
    TITAN_TRY(status);
  }
  return TITAN_OK;
}

// Rank 0 alone.
static titan_status report(const titan_check_environment *e, const titan_check_results *results) {
  bool json = strcmp(e->config->metrics.log_format, "json") == 0;
  titan_check_findings findings = {0};
  titan_text text = {0};
  titan_status status = TITAN_OK;
  TITAN_TRY_CLEANUP(titan_check_find(results, &findings));
  TITAN_TRY_CLEANUP((json ? titan_check_print_json : titan_check_print)(results, &findings, &text));
  fputs(text.data, stdout);
  TITAN_TRY_CLEANUP(titan_text_flush(stdout, "standard output"));
  TITAN_TRY_CLEANUP(warn(results, &findings));
cleanup:
  titan_text_destroy(&text);
  titan_memory_free(findings.list);
  return status;
}

titan_status titan_check_run(const titan_check_environment *e) {
  titan_check_results results = {.ranks = titan_comm_size(e->world)};
  double start = titan_clock_seconds();
  bool is_first = titan_comm_rank(e->world) == 0;
  titan_recorder_set_phase("check", -1);
  titan_check_list_groups(e->mesh, &results);
  titan_status status = titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, (size_t)results.ranks,
                                                     sizeof *results.records, &results.records);
  TITAN_TRY_CLEANUP(titan_comm_agree(e->world, status));
  TITAN_TRY_CLEANUP(measure(e, &results));
  TITAN_TRY_CLEANUP(titan_comm_agree(e->world, is_first ? report(e, &results) : TITAN_OK));
  if (is_first)
    titan_log_info("The check took %.1f s", titan_clock_seconds() - start);
cleanup:
  titan_memory_free(results.records);
  return status;
}
