// SPDX-License-Identifier: Apache-2.0
#include "parallel/unit.h"

#include "base/integer.h"

#include <stdio.h>

titan_way titan_way_choose(const titan_comm *comm, titan_intra_node intra_node) {
  if (titan_comm_size(comm) == 1)
    return TITAN_WAY_LOCAL;
  return intra_node == TITAN_INTRA_NODE_MPI || !titan_comm_is_one_node(comm) ? TITAN_WAY_MPI : TITAN_WAY_SHARED;
}

int64_t titan_units_longest(int unit_count, const titan_unit *units) {
  int64_t most = 0;
  for (int i = 0; i < unit_count; i++)
    most = units[i].flat_elements > most ? units[i].flat_elements : most;
  return most;
}

int64_t titan_units_shard_elements(int unit_count, const titan_unit *units) {
  int64_t elements = 0;
  for (int i = 0; i < unit_count; i++)
    elements += units[i].shard_elements;
  return elements;
}

void titan_unit_lay_out(titan_unit *unit, const char *prefix, const titan_plan *plan, int rank, int ranks) {
  titan_unit_lay_out_at(unit, prefix, plan, 0, plan->flat_elements, rank, ranks);
}

void titan_unit_lay_out_at(titan_unit *unit, const char *prefix, const titan_plan *plan, int64_t lead, int64_t elements,
                           int rank, int ranks) {
  *unit = (titan_unit){.plan = plan, .lead = lead};
  snprintf(unit->prefix, sizeof unit->prefix, "%s", prefix);
  int64_t piece = (int64_t)ranks * TITAN_PARAMETER_ALIGNMENT;
  unit->shard_elements = (elements + piece - 1) / piece * TITAN_PARAMETER_ALIGNMENT;
  unit->flat_elements = unit->shard_elements * ranks;
  unit->first = unit->shard_elements * rank;
}

bool titan_unit_slice_of(const titan_unit *unit, int index, titan_unit_slice *out) {
  const titan_plan_parameter *parameter = &unit->plan->parameters[index];
  int64_t first = unit->lead + parameter->first, begin = first > unit->first ? first : unit->first;
  int64_t shard_end = unit->first + unit->shard_elements, end = first + parameter->elements;
  if (end > shard_end)
    end = shard_end;
  if (begin >= end)
    return false;
  *out = (titan_unit_slice){parameter, begin - first, begin - unit->first, end - begin};
  return true;
}

void titan_unit_slice_runs(const titan_unit_slice *slice, void (*visit)(void *context, const titan_unit_run *run),
                           void *context) {
  const titan_plan_parameter *p = slice->parameter;
  // A vector is one row.
  bool vector = p->type.rank == 1;
  int64_t columns = titan_tensor_columns(&p->type), whole_rows = vector ? 1 : p->place.whole[0];
  int64_t whole_columns = p->place.whole[p->type.rank - 1], first_column = p->place.first[p->type.rank - 1];
  int64_t first_row = vector ? 0 : p->place.first[0];
  bool dense = columns == whole_columns; // rows lie one after another in the whole too
  for (int64_t done = 0; done < slice->count;) {
    int64_t element = slice->first_in_parameter + done, row = element / columns, column = element % columns;
    int64_t left = slice->count - done;
    int64_t count = dense ? left : titan_lesser(columns - column, left);
    int64_t valid = dense ? titan_lesser((whole_rows - first_row) * columns - element, count)
                          : titan_lesser(whole_columns - first_column - column, count);
    if (!dense && first_row + row >= whole_rows)
      valid = 0;
    titan_unit_run run = {(first_row + row) * whole_columns + first_column + column, slice->first_in_shard + done,
                          valid};
    if (valid > 0)
      visit(context, &run);
    done += count;
  }
}

titan_status titan_unit_clear_gaps(const titan_unit *unit, titan_device *device, float *flat) {
  int64_t end = 0;
  for (int i = 0; i <= unit->plan->parameter_count; i++) {
    bool parameter = i < unit->plan->parameter_count;
    int64_t next = parameter ? unit->lead + unit->plan->parameters[i].first : unit->flat_elements;
    if (next > end)
      TITAN_TRY(device->vector->fill(device, next - end, flat + end, 0));
    end = parameter ? next + unit->plan->parameters[i].elements : next;
  }
  return TITAN_OK;
}
