// SPDX-License-Identifier: Apache-2.0
// JSON lines: an object for each rank, link and group, one for each finding, and a last one. Numbers are in seconds,
// bytes/s and FLOP/s.
#include "check/results.h"

#include <string.h>

static titan_status print_host(const titan_check_results *results, int rank, titan_text *text) {
  char escaped[6 * TITAN_CHECK_HOST_BYTES];
  titan_text_escape(results->records[rank].host, escaped, sizeof escaped);
  return titan_text_printf(text, "\"%s\"", escaped);
}

// "ranks": [0, 1], "hosts": ["a", "b"]: of a link; of the rank alone where next is not wanted.
static titan_status print_places(const titan_check_results *results, int rank, bool next, titan_text *text) {
  int other = (rank + 1) % results->ranks;
  TITAN_TRY(titan_text_printf(text, "\"ranks\": [%d", rank));
  if (next)
    TITAN_TRY(titan_text_printf(text, ", %d", other));
  TITAN_TRY(titan_text_printf(text, "], \"hosts\": ["));
  TITAN_TRY(print_host(results, rank, text));
  if (next) {
    TITAN_TRY(titan_text_printf(text, ", "));
    TITAN_TRY(print_host(results, other, text));
  }
  return titan_text_printf(text, "]");
}

static titan_status print_rank(const titan_check_results *results, int rank, titan_text *text) {
  const double *rates = results->records[rank].rates;
  TITAN_TRY(titan_text_printf(text, "{\"check\": \"rank\", "));
  TITAN_TRY(print_places(results, rank, false, text));
  TITAN_TRY(titan_text_printf(text, ", \"float32_flops\": %.6g, \"bfloat16_flops\": %.6g, \"copy\": %.6g",
                              rates[TITAN_CHECK_FLOAT32], rates[TITAN_CHECK_BFLOAT16], rates[TITAN_CHECK_COPY]));
  if (rates[TITAN_CHECK_TO_DEVICE] > 0)
    TITAN_TRY(titan_text_printf(text, ", \"host_to_device\": %.6g", rates[TITAN_CHECK_TO_DEVICE]));
  return titan_text_printf(text, "}\n");
}

static titan_status print_link(const titan_check_results *results, int rank, titan_text *text) {
  const titan_check_record *record = &results->records[rank];
  TITAN_TRY(titan_text_printf(text, "{\"check\": \"link\", "));
  TITAN_TRY(print_places(results, rank, true, text));
  return titan_text_printf(text, ", \"latency\": %.6g, \"bandwidth\": %.6g}\n", record->link_latency,
                           record->link_rate);
}

static titan_status print_group(const titan_check_results *results, int index, int first, titan_text *text) {
  const titan_check_group *group = &results->groups[index];
  const double *seconds = results->records[first].seconds[index];
  TITAN_TRY(titan_text_printf(text, "{\"check\": \"group\", \"group\": \"%s\", \"also\": \"%s\", \"first_rank\": %d, ",
                              group->name, group->also, first));
  TITAN_TRY(titan_text_printf(text, "\"size\": %d, \"bytes_per_rank\": %zu, \"all_reduce_latency\": %.6g, ",
                              group->ranks, group->bytes, seconds[TITAN_CHECK_ALL_REDUCE]));
  TITAN_TRY(titan_text_printf(text, "\"all_gather\": %.6g, \"all_gather_bus_bandwidth\": %.6g, ",
                              seconds[TITAN_CHECK_ALL_GATHER],
                              titan_check_bus_rate(group, seconds[TITAN_CHECK_ALL_GATHER])));
  return titan_text_printf(text, "\"reduce_scatter\": %.6g, \"reduce_scatter_bus_bandwidth\": %.6g}\n",
                           seconds[TITAN_CHECK_REDUCE_SCATTER],
                           titan_check_bus_rate(group, seconds[TITAN_CHECK_REDUCE_SCATTER]));
}

static titan_status print_finding(const titan_check_results *results, const titan_check_finding *f, titan_text *text) {
  static const char *const kinds[] = {"rank", "link", "group"};
  TITAN_TRY(titan_text_printf(text, "{\"check\": \"slow\", \"what\": \"%s\", ", kinds[f->kind]));
  if (f->kind == TITAN_CHECK_OF_GROUP)
    TITAN_TRY(titan_text_printf(text, "\"group\": \"%s\", ", results->groups[f->group].name));
  TITAN_TRY(print_places(results, f->rank, f->kind == TITAN_CHECK_OF_LINK, text));
  return titan_text_printf(text,
                           ", \"measured\": \"%s\", \"unit\": \"%s\", \"value\": %.6g, \"median_of_others\": %.6g, "
                           "\"times_slower\": %.6g}\n",
                           f->measured, f->unit, f->value, f->others, f->others / f->value);
}

titan_status titan_check_print_json(const titan_check_results *results, const titan_check_findings *findings,
                                    titan_text *text) {
  for (int rank = 0; rank < results->ranks; rank++)
    TITAN_TRY(print_rank(results, rank, text));
  for (int rank = 0; rank < results->ranks; rank++)
    if (titan_check_has_link(rank, results->ranks))
      TITAN_TRY(print_link(results, rank, text));
  for (int group = 0; group < results->group_count; group++)
    for (int rank = 0; rank < results->ranks; rank++)
      if (results->records[rank].first[group] == rank)
        TITAN_TRY(print_group(results, group, rank, text));
  for (int i = 0; i < findings->count; i++)
    TITAN_TRY(print_finding(results, &findings->list[i], text));
  return titan_text_printf(text, "{\"check\": \"end\", \"ranks\": %d, \"slow\": %d, \"factor\": %.6g}\n",
                           results->ranks, findings->count, titan_check_factor);
}
