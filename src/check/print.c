// SPDX-License-Identifier: Apache-2.0
// The tables for people, and a finding as a sentence.
#include "check/results.h"

#include <string.h>

double titan_check_bus_rate(const titan_check_group *group, double seconds) {
  return (double)group->bytes * (group->ranks - 1) / seconds;
}

// --- ranks ---

// Wide enough for all hosts.
static int host_width(const titan_check_results *results) {
  size_t width = 4;
  for (int rank = 0; rank < results->ranks; rank++) {
    size_t length = strlen(results->records[rank].host);
    width = length > width ? length : width;
  }
  return (int)width;
}

// Ends a row of the table; what stands out in it is told there.
static titan_status end_row(const titan_check_findings *findings, titan_check_kind kind, int rank, int group,
                            titan_text *text) {
  bool is_slow = false;
  for (int i = 0; i < findings->count; i++) {
    const titan_check_finding *f = &findings->list[i];
    if (f->kind != kind || f->rank != rank || f->group != group)
      continue;
    TITAN_TRY(titan_text_printf(text, "%s %s", is_slow ? "," : "  slow:", f->measured));
    is_slow = true;
  }
  return titan_text_printf(text, "\n");
}

static titan_status print_ranks(const titan_check_results *results, const titan_check_findings *findings,
                                titan_text *text) {
  int width = host_width(results);
  bool has_queues = results->records[0].rates[TITAN_CHECK_TO_DEVICE] > 0;
  TITAN_TRY(titan_text_printf(text, "%6s  %-*s  %15s  %16s  %9s%s\n", "rank", width, "host", "float32 TFLOP/s",
                              "bfloat16 TFLOP/s", "copy GB/s", has_queues ? "  host to device GB/s" : ""));
  for (int rank = 0; rank < results->ranks; rank++) {
    const titan_check_record *r = &results->records[rank];
    TITAN_TRY(titan_text_printf(text, "%6d  %-*s  %15.4g  %16.4g  %9.4g", rank, width, r->host,
                                r->rates[TITAN_CHECK_FLOAT32] / 1e12, r->rates[TITAN_CHECK_BFLOAT16] / 1e12,
                                r->rates[TITAN_CHECK_COPY] / 1e9));
    if (has_queues)
      TITAN_TRY(titan_text_printf(text, "  %19.4g", r->rates[TITAN_CHECK_TO_DEVICE] / 1e9));
    TITAN_TRY(end_row(findings, TITAN_CHECK_OF_RANK, rank, 0, text));
  }
  return TITAN_OK;
}

// --- links ---

static titan_status print_links(const titan_check_results *results, const titan_check_findings *findings,
                                titan_text *text) {
  int width = host_width(results);
  TITAN_TRY(titan_text_printf(text, "\n%13s  %-*s  %-*s  %10s  %6s\n", "link", width, "host", width, "host",
                              "latency us", "GB/s"));
  for (int rank = 0; rank < results->ranks; rank++) {
    int next = (rank + 1) % results->ranks;
    const titan_check_record *r = &results->records[rank];
    if (!titan_check_has_link(rank, results->ranks))
      continue;
    TITAN_TRY(titan_text_printf(text, "%5d - %5d  %-*s  %-*s  %10.1f  %6.4g", rank, next, width, r->host, width,
                                results->records[next].host, r->link_latency * 1e6, r->link_rate / 1e9));
    TITAN_TRY(end_row(findings, TITAN_CHECK_OF_LINK, rank, 0, text));
  }
  return TITAN_OK;
}

// --- groups ---

static titan_status print_group(const titan_check_results *results, int index, int first,
                                const titan_check_findings *findings, titan_text *text) {
  const titan_check_group *group = &results->groups[index];
  const double *seconds = results->records[first].seconds[index];
  TITAN_TRY(titan_text_printf(text, "%-13s  %10d  %5d  %9.2f  %10.1f", group->name, first, group->ranks,
                              (double)group->bytes / (1 << 20), seconds[TITAN_CHECK_ALL_REDUCE] * 1e6));
  for (int operation = TITAN_CHECK_ALL_GATHER; operation < TITAN_CHECK_OPERATIONS; operation++)
    TITAN_TRY(titan_text_printf(text, "  %9.4g  %8.4g", (double)group->bytes * group->ranks / seconds[operation] / 1e9,
                                titan_check_bus_rate(group, seconds[operation]) / 1e9));
  if (group->also[0] != '\0')
    TITAN_TRY(titan_text_printf(text, "  also %s", group->also));
  return end_row(findings, TITAN_CHECK_OF_GROUP, first, index, text);
}

static titan_status print_groups(const titan_check_results *results, const titan_check_findings *findings,
                                 titan_text *text) {
  TITAN_TRY(titan_text_printf(text, "\n%-13s  %10s  %5s  %9s  %10s  %19s  %19s\n", "", "", "", "", "all_reduce",
                              "all_gather GB/s", "reduce_scatter GB/s"));
  TITAN_TRY(titan_text_printf(text, "%-13s  %10s  %5s  %9s  %10s  %9s  %8s  %9s  %8s\n", "group", "first rank", "ranks",
                              "MiB/rank", "us", "algorithm", "bus", "algorithm", "bus"));
  for (int group = 0; group < results->group_count; group++)
    for (int rank = 0; rank < results->ranks; rank++)
      if (results->records[rank].first[group] == rank)
        TITAN_TRY(print_group(results, group, rank, findings, text));
  return TITAN_OK;
}

titan_status titan_check_print(const titan_check_results *results, const titan_check_findings *findings,
                               titan_text *text) {
  TITAN_TRY(print_ranks(results, findings, text));
  if (results->ranks > 1) {
    TITAN_TRY(print_links(results, findings, text));
    TITAN_TRY(print_groups(results, findings, text));
  }
  if (findings->count > 0)
    return titan_text_printf(text, "\n%d measurement%s more than %.1f times slower than the median of the others\n",
                             findings->count, findings->count == 1 ? " is" : "s are", titan_check_factor);
  return titan_text_printf(text, "\nNothing is more than %.1f times slower than the median of the others\n",
                           titan_check_factor);
}

// --- a finding ---

// "rank 3 (host a)"
static titan_status name_rank(const titan_check_results *results, int rank, titan_text *text) {
  return titan_text_printf(text, "rank %d (host %s)", rank, results->records[rank].host);
}

static titan_status name_subject(const titan_check_results *results, const titan_check_finding *f, titan_text *text) {
  if (f->kind == TITAN_CHECK_OF_LINK)
    TITAN_TRY(titan_text_printf(text, "link from "));
  if (f->kind == TITAN_CHECK_OF_GROUP)
    TITAN_TRY(titan_text_printf(text, "group %s of %d ranks from ", results->groups[f->group].name,
                                results->groups[f->group].ranks));
  TITAN_TRY(name_rank(results, f->rank, text));
  if (f->kind != TITAN_CHECK_OF_LINK)
    return TITAN_OK;
  TITAN_TRY(titan_text_printf(text, " to "));
  return name_rank(results, (f->rank + 1) % results->ranks, text);
}

titan_status titan_check_describe(const titan_check_results *results, const titan_check_finding *f, titan_text *text) {
  TITAN_TRY(name_subject(results, f, text));
  return titan_text_printf(text, ": %s %.3g %s, %.1f times slower than the %s, %.3g %s", f->measured, f->value, f->unit,
                           f->others / f->value, f->other_count == 1 ? "other one" : "median of the others", f->others,
                           f->unit);
}
