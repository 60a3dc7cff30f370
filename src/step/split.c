// SPDX-License-Identifier: Apache-2.0
#include "step/split.h"

#include "base/memory.h"

#include <math.h>
#include <string.h>

titan_status titan_split_even(int unit_count, int stages, int *first_unit) {
  int layers = unit_count - 2, base = layers / stages, extra = layers % stages, at = 1;
  if (stages > layers)
    return titan_error(TITAN_ERROR_USAGE,
                       "%d pipeline stages need at least as many layers; the model has %d "
                       "(experimental.pipeline_parallel_degree times the stages of a rank)",
                       stages, layers);
  first_unit[0] = 0;
  for (int stage = 1; stage < stages; stage++) {
    at += base + (stage > 1 && stage - 1 <= extra);
    first_unit[stage] = at;
  }
  first_unit[stages] = unit_count;
  return TITAN_OK;
}

// --- at points ---

static const char option[] = "experimental.pipeline_parallel_split_points";

static int find_unit(const titan_step_unit *units, int unit_count, const char *name) {
  for (int unit = 0; unit < unit_count; unit++)
    if (strcmp(units[unit].name, name) == 0)
      return unit;
  return -1;
}

titan_status titan_split_at(const titan_step_unit *units, int unit_count, const char *const *points, int point_count,
                            int ranks, int *first_unit) {
  first_unit[0] = 0;
  for (int i = 0; i < point_count; i++) {
    int unit = find_unit(units, unit_count, points[i]);
    if (unit < 0)
      return titan_error(TITAN_ERROR_USAGE, "%s: \"%s\" is not a part of the model: expected %s to %s", option,
                         points[i], units[1].name, units[unit_count - 1].name);
    if (unit == 0)
      return titan_error(TITAN_ERROR_USAGE, "%s: \"%s\" always begins the first stage: expected %s or a later part",
                         option, points[i], units[1].name);
    if (unit <= first_unit[i])
      return titan_error(TITAN_ERROR_USAGE, "%s: \"%s\" comes after \"%s\": expected rising order, each name once",
                         option, points[i], points[i - 1]);
    first_unit[i + 1] = unit;
  }
  first_unit[point_count + 1] = unit_count;
  if ((point_count + 1) % ranks == 0)
    return TITAN_OK;
  return titan_error(
      TITAN_ERROR_USAGE,
      "%s: %d name%s make %d stages, which %d pipeline ranks cannot share equally: expected a multiple of "
      "%d stages",
      option, point_count, point_count == 1 ? "" : "s", point_count + 1, ranks, ranks);
}

// --- balanced ---

typedef struct balance {
  int units, stages;
  double *sums; // [units + 1]: of the costs before a unit
  double *best; // [stages + 1][units + 1]: of the units before the second, in as many stages as the first
  int *from;    // where the last of these stages begins
} balance;

static size_t at(const balance *b, int stage, int unit) {
  return (size_t)stage * ((size_t)b->units + 1) + (size_t)unit;
}

// Without a limit: the least cost of the costliest stage. With one, on each stage: the least sum of squares.
static void find_best(const balance *b, double limit) {
  bool squares = limit < INFINITY;
  for (int unit = 0; unit <= b->units; unit++)
    b->best[at(b, 0, unit)] = unit == 0 ? 0 : INFINITY;
  for (int stage = 1; stage <= b->stages; stage++)
    for (int end = 0; end <= b->units; end++) {
      double *best = &b->best[at(b, stage, end)];
      *best = INFINITY;
      for (int begin = 0; begin < end; begin++) {
        double before = b->best[at(b, stage - 1, begin)], cost = b->sums[end] - b->sums[begin];
        double value = squares ? before + cost * cost : cost > before ? cost : before;
        if (cost > limit || !(value < *best))
          continue;
        *best = value;
        b->from[at(b, stage, end)] = begin;
      }
    }
}

titan_status titan_split_balanced(const double *costs, int unit_count, int stages, int *first_unit) {
  balance b = {.units = unit_count, .stages = stages};
  titan_status status = TITAN_OK;
  size_t entries = ((size_t)stages + 1) * ((size_t)unit_count + 1);
  if (stages > unit_count)
    return titan_error(TITAN_ERROR_USAGE, "%d pipeline stages need at least as many parts of the model; it has %d",
                       stages, unit_count);
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, (size_t)unit_count + 1, sizeof(double), &b.sums));
  TITAN_TRY_CLEANUP(titan_memory_allocate(TITAN_MEMORY_GRAPH, entries * sizeof(double), &b.best));
  TITAN_TRY_CLEANUP(titan_memory_allocate(TITAN_MEMORY_GRAPH, entries * sizeof(int), &b.from));
  for (int unit = 0; unit < unit_count; unit++)
    b.sums[unit + 1] = b.sums[unit] + costs[unit];
  find_best(&b, INFINITY);
  find_best(&b, b.best[at(&b, stages, unit_count)]);
  first_unit[stages] = unit_count;
  for (int stage = stages; stage > 0; stage--)
    first_unit[stage - 1] = b.from[at(&b, stage, first_unit[stage])];
cleanup:
  titan_memory_free(b.sums);
  titan_memory_free(b.best);
  titan_memory_free(b.from);
  return status;
}

// --- even ranks ---

typedef struct evenness {
  double largest, ranks, stages; // the costliest rank; sums of squares
} evenness;

typedef struct descent {
  const double *sums; // [units + 1]: of the costs before a unit
  const int *rank_of_stage;
  int ranks, stages, *first_unit;
  double *of_rank; // [ranks]
  evenness best;
} descent;

static evenness measure(const descent *d) {
  evenness e = {0};
  for (int rank = 0; rank < d->ranks; rank++)
    d->of_rank[rank] = 0;
  for (int stage = 0; stage < d->stages; stage++) {
    double cost = d->sums[d->first_unit[stage + 1]] - d->sums[d->first_unit[stage]];
    d->of_rank[d->rank_of_stage[stage]] += cost;
    e.stages += cost * cost;
  }
  for (int rank = 0; rank < d->ranks; rank++) {
    e.largest = d->of_rank[rank] > e.largest ? d->of_rank[rank] : e.largest;
    e.ranks += d->of_rank[rank] * d->of_rank[rank];
  }
  return e;
}

// By more than sums are rounded, so that the descent ends.
static bool is_less(double a, double b) {
  return a < b * (1 - 1e-12);
}

static bool is_better(const evenness *a, const evenness *b) {
  if (is_less(a->largest, b->largest) || is_less(b->largest, a->largest))
    return is_less(a->largest, b->largest);
  if (is_less(a->ranks, b->ranks) || is_less(b->ranks, a->ranks))
    return is_less(a->ranks, b->ranks);
  return is_less(a->stages, b->stages);
}

// Whether stages keep a unit when a cut is where it is now.
static bool is_cut(const descent *d, int cut) {
  return d->first_unit[cut - 1] < d->first_unit[cut] && d->first_unit[cut] < d->first_unit[cut + 1];
}

// Moves two cuts (or one: the same twice, by a step and 0) where that is better.
static bool move(descent *d, int a, int by_a, int b, int by_b) {
  d->first_unit[a] += by_a;
  d->first_unit[b] += by_b;
  if (is_cut(d, a) && is_cut(d, b)) {
    evenness now = measure(d);
    if (is_better(&now, &d->best)) {
      d->best = now;
      return true;
    }
  }
  d->first_unit[a] -= by_a;
  d->first_unit[b] -= by_b;
  return false;
}

static bool move_any(descent *d) {
  bool any = false;
  for (int a = 1; a < d->stages; a++)
    for (int by_a = -1; by_a <= 1; by_a += 2) {
      any |= move(d, a, by_a, a, 0);
      for (int b = a + 1; b < d->stages; b++)
        for (int by_b = -1; by_b <= 1; by_b += 2)
          any |= move(d, a, by_a, b, by_b);
    }
  return any;
}

titan_status titan_split_even_ranks(const double *costs, int unit_count, const int *rank_of_stage, int ranks,
                                    int stages, int *first_unit) {
  descent d = {.rank_of_stage = rank_of_stage, .ranks = ranks, .stages = stages, .first_unit = first_unit};
  double *sums;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, (size_t)(unit_count + 1 + ranks), sizeof *sums, &sums));
  for (int unit = 0; unit < unit_count; unit++)
    sums[unit + 1] = sums[unit] + costs[unit];
  d.sums = sums;
  d.of_rank = sums + unit_count + 1;
  d.best = measure(&d);
  while (move_any(&d)) {
  }
  titan_memory_free(sums);
  return TITAN_OK;
}

double titan_split_largest(const double *costs, const int *first_unit, int stages) {
  double largest = 0;
  for (int stage = 0; stage < stages; stage++) {
    double cost = 0;
    for (int unit = first_unit[stage]; unit < first_unit[stage + 1]; unit++)
      cost += costs[unit];
    largest = cost > largest ? cost : largest;
  }
  return largest;
}
