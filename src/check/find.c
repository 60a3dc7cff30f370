// SPDX-License-Identifier: Apache-2.0
// What stands out. All measurements of one kind are rates here, the larger the better.
#include "check/results.h"

#include "base/median.h"

// Measurements that are compared with one another.
typedef struct sample {
  int rank; // or the first rank
  double rate;
} sample;

typedef struct comparison {
  titan_check_findings *out;
  titan_check_finding finding; // what all of its findings share
  double unit;                 // of finding.unit
  sample *samples;             // [ranks]
  double *sorted;              // [ranks]
  int count;
} comparison;

// The k-th of sorted without the one at `left_out`.
static double without(const double *sorted, int left_out, int k) {
  return sorted[k < left_out ? k : k + 1];
}

// The median of the others; `rate` is one of sorted[count].
static double median_of_others(const double *sorted, int count, double rate) {
  int place = 0, others = count - 1;
  while (sorted[place] < rate)
    place++;
  return (without(sorted, place, (others - 1) / 2) + without(sorted, place, others / 2)) / 2;
}

static titan_status add(comparison *c, const sample *s, double others) {
  titan_check_findings *out = c->out;
  TITAN_TRY(titan_memory_resize(TITAN_MEMORY_GENERAL, (size_t)(out->count + 1) * sizeof *out->list, &out->list));
  titan_check_finding *finding = &out->list[out->count++];
  *finding = c->finding;
  finding->rank = s->rank;
  finding->value = s->rate / c->unit;
  finding->others = others / c->unit;
  finding->other_count = c->count - 1;
  return TITAN_OK;
}

// Looks at the samples, and empties them.
static titan_status look(comparison *c) {
  int count = c->count;
  if (count == 0)
    return TITAN_OK;
  for (int i = 0; i < count; i++)
    c->sorted[i] = c->samples[i].rate;
  titan_median(c->sorted, count); // it sorts them
  for (int i = 0; i < count && count > 1; i++) {
    double others = median_of_others(c->sorted, count, c->samples[i].rate);
    if (others > titan_check_factor * c->samples[i].rate)
      TITAN_TRY(add(c, &c->samples[i], others));
  }
  c->count = 0;
  return TITAN_OK;
}

static const struct {
  const char *measured, *unit;
  double in_unit;
} rates[TITAN_CHECK_RATES] = {
    [TITAN_CHECK_FLOAT32] = {"float32 product", "TFLOP/s", 1e12},
    [TITAN_CHECK_BFLOAT16] = {"bfloat16 product", "TFLOP/s", 1e12},
    [TITAN_CHECK_COPY] = {"copy", "GB/s", 1e9},
    [TITAN_CHECK_TO_DEVICE] = {"copy from host to device", "GB/s", 1e9},
};

static titan_status look_at_ranks(const titan_check_results *results, comparison *c) {
  for (int i = 0; i < TITAN_CHECK_RATES; i++) {
    c->finding =
        (titan_check_finding){.kind = TITAN_CHECK_OF_RANK, .measured = rates[i].measured, .unit = rates[i].unit};
    c->unit = rates[i].in_unit;
    for (int rank = 0; rank < results->ranks; rank++)
      if (results->records[rank].rates[i] > 0)
        c->samples[c->count++] = (sample){rank, results->records[rank].rates[i]};
    TITAN_TRY(look(c));
  }
  return TITAN_OK;
}

static bool within_node(const titan_check_results *results, int link) {
  return results->records[link].node == results->records[(link + 1) % results->ranks].node;
}

static titan_status look_at_links(const titan_check_results *results, comparison *c) {
  c->unit = 1e9;
  for (int within = 0; within < 2; within++) {
    c->finding = (titan_check_finding){.kind = TITAN_CHECK_OF_LINK,
                                       .measured = within ? "ping-pong in a node" : "ping-pong between nodes",
                                       .unit = "GB/s"};
    for (int rank = 0; rank < results->ranks; rank++)
      if (titan_check_has_link(rank, results->ranks) && within_node(results, rank) == within)
        c->samples[c->count++] = (sample){rank, results->records[rank].link_rate};
    TITAN_TRY(look(c));
  }
  return TITAN_OK;
}

static titan_status look_at_groups(const titan_check_results *results, comparison *c, int group, int operation,
                                   bool one_node) {
  c->finding = (titan_check_finding){.kind = TITAN_CHECK_OF_GROUP,
                                     .group = group,
                                     .measured = operation == TITAN_CHECK_ALL_GATHER ? "all_gather" : "reduce_scatter",
                                     .unit = "GB/s"};
  c->unit = 1e9;
  for (int rank = 0; rank < results->ranks; rank++) {
    const titan_check_record *record = &results->records[rank];
    if (record->first[group] == rank && (record->one_node[group] != 0) == one_node)
      c->samples[c->count++] =
          (sample){rank, titan_check_bus_rate(&results->groups[group], record->seconds[group][operation])};
  }
  return look(c);
}

titan_status titan_check_find(const titan_check_results *results, titan_check_findings *out) {
  comparison c = {.out = out};
  titan_status status = TITAN_OK;
  size_t ranks = (size_t)results->ranks;
  *out = (titan_check_findings){0};
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, ranks, sizeof *c.samples, &c.samples));
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, ranks, sizeof *c.sorted, &c.sorted));
  TITAN_TRY_CLEANUP(look_at_ranks(results, &c));
  TITAN_TRY_CLEANUP(look_at_links(results, &c));
  for (int group = 0; group < results->group_count; group++)
    for (int operation = TITAN_CHECK_ALL_GATHER; operation < TITAN_CHECK_OPERATIONS; operation++)
      for (int one_node = 0; one_node < 2; one_node++)
        TITAN_TRY_CLEANUP(look_at_groups(results, &c, group, operation, one_node));
cleanup:
  titan_memory_free(c.samples);
  titan_memory_free(c.sorted);
  return status;
}
