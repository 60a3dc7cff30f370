#include "parallel/unit.h"

#include <stdio.h>

void titan_unit_lay_out(titan_unit *unit, const char *prefix, const titan_plan *plan, int rank, int ranks) {
  *unit = (titan_unit){.plan = plan};
  snprintf(unit->prefix, sizeof unit->prefix, "%s", prefix);
  int64_t piece = (int64_t)ranks * TITAN_PARAMETER_ALIGNMENT;
  unit->shard_elements = (plan->flat_elements + piece - 1) / piece * TITAN_PARAMETER_ALIGNMENT;
  unit->flat_elements = unit->shard_elements * ranks;
  unit->first = unit->shard_elements * rank;
}

bool titan_unit_slice_of(const titan_unit *unit, int index, titan_unit_slice *out) {
  const titan_plan_parameter *parameter = &unit->plan->parameters[index];
  int64_t begin = parameter->first > unit->first ? parameter->first : unit->first;
  int64_t shard_end = unit->first + unit->shard_elements, end = parameter->first + parameter->elements;
  if (end > shard_end)
    end = shard_end;
  if (begin >= end)
    return false;
  *out = (titan_unit_slice){parameter, begin - parameter->first, begin - unit->first, end - begin};
  return true;
}

void titan_unit_clear_gaps(const titan_unit *unit, float *flat) {
  int64_t end = 0;
  for (int i = 0; i <= unit->plan->parameter_count; i++) {
    int64_t next = i < unit->plan->parameter_count ? unit->plan->parameters[i].first : unit->flat_elements;
    for (; end < next; end++)
      flat[end] = 0;
    if (i < unit->plan->parameter_count)
      end = next + unit->plan->parameters[i].elements;
  }
}
