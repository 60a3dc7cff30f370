// SPDX-License-Identifier: Apache-2.0
#include "step/gather_ahead.h"

#include "base/memory.h"

static const double tolerance = 1.01;
// Gathers of a step over what it computes.
static const double balances[] = {0.5, 1, 2};
enum { BALANCES = sizeof balances / sizeof *balances };

titan_status titan_step_gather_time(const titan_step_list *list, const titan_step_shape *shape,
                                    const titan_gather_times *times, double *out) {
  double *whole, computed = 0, gathered = 0; // whole: by unit, when it is
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, (size_t)shape->unit_count, sizeof *whole, &whole));
  for (int i = 0; i < list->count; i++) {
    const titan_action *action = &list->actions[i];
    if (action->kind == TITAN_ACTION_GATHER) {
      gathered = (gathered > computed ? gathered : computed) + times->scale * times->gather[action->unit];
      whole[action->unit] = gathered;
    } else if (action->kind == TITAN_ACTION_RUN) {
      bool waits = titan_action_reads_parameters(action, shape) && whole[action->unit] > computed;
      computed = (waits ? whole[action->unit] : computed) + times->compute[action->unit][action->compute];
    }
  }
  *out = computed;
  titan_memory_free(whole);
  return TITAN_OK;
}

// With which all gathers take as long as what is computed; 0: nothing is gathered.
static double scale_of(const titan_order *order, const titan_step_list *lists, const titan_gather_times *times) {
  double computed = 0, gathered = 0;
  for (int rank = 0; rank < order->ranks; rank++)
    for (int i = 0; i < lists[rank].count; i++) {
      const titan_action *action = &lists[rank].actions[i];
      if (action->kind == TITAN_ACTION_GATHER)
        gathered += times->gather[action->unit];
      else if (action->kind == TITAN_ACTION_RUN)
        computed += times->compute[action->unit][action->compute];
    }
  return gathered > 0 ? computed / gathered : 0;
}

typedef struct ahead_search {
  const titan_order *order;
  titan_step_shape shape;
  titan_gather_times times;
  double even; // the scale of a balance of 1, which the first look_ahead sets
  titan_step_list *lists;
  double (*slowest)[BALANCES]; // [most + 1], of the slowest rank, by look_ahead
} ahead_search;

static titan_status time_lists(ahead_search *s, double slowest[BALANCES]) {
  for (int rank = 0; rank < s->order->ranks; rank++)
    for (int b = 0; b < BALANCES; b++) {
      double time;
      s->times.scale = balances[b] * s->even;
      TITAN_TRY(titan_step_gather_time(&s->lists[rank], &s->shape, &s->times, &time));
      slowest[b] = time > slowest[b] ? time : slowest[b];
    }
  return TITAN_OK;
}

static titan_status time_ahead(ahead_search *s, int ahead) {
  s->shape.look_ahead = ahead;
  TITAN_TRY(titan_step_lower_all(s->order, &s->shape, s->lists));
  if (ahead == 1)
    s->even = scale_of(s->order, s->lists, &s->times);
  titan_status status = time_lists(s, s->slowest[ahead]);
  for (int rank = 0; rank < s->order->ranks; rank++)
    titan_step_list_destroy(&s->lists[rank]);
  return status;
}

static int least_of(const ahead_search *s, int balance, int most) {
  double best = s->slowest[1][balance];
  int ahead = 1;
  for (int i = 2; i <= most; i++)
    best = s->slowest[i][balance] < best ? s->slowest[i][balance] : best;
  while (s->slowest[ahead][balance] > tolerance * best)
    ahead++;
  return ahead;
}

titan_status titan_step_choose_look_ahead(const titan_order *order, const titan_step_shape *shape,
                                          const titan_gather_times *times, int most, int *out) {
  ahead_search s = {.order = order, .shape = *shape, .times = *times};
  titan_status status = TITAN_OK;
  *out = 1;
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, (size_t)order->ranks, sizeof *s.lists, &s.lists));
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, (size_t)most + 1, sizeof *s.slowest, &s.slowest));
  for (int ahead = 1; ahead <= most; ahead++)
    TITAN_TRY_CLEANUP(time_ahead(&s, ahead));
  for (int b = 0; b < BALANCES; b++) {
    int least = least_of(&s, b, most);
    *out = least > *out ? least : *out;
  }
cleanup:
  titan_memory_free(s.slowest);
  titan_memory_free(s.lists);
  return status;
}
