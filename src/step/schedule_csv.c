// SPDX-License-Identifier: Apache-2.0
#include "step/schedule_csv.h"

#include "base/memory.h"
#include "step/csv_cell.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { LARGEST_FILE = 64 << 20 };

// An action with its place in the file: 0 is the first row and the first cell.
typedef struct entry {
  titan_csv_action action;
  int rank, column;
  const char *text; // of the whole cell
  int length;
} entry;

typedef struct reader {
  const titan_text *text;
  const char *path;
  bool single;
  int ranks, microbatches, stages;
  entry *entries; // those of a row after those of the row before
  int count, capacity;
  titan_order *out;
} reader;

titan_status titan_schedule_load_csv(const char *path, titan_text *out) {
  FILE *file = fopen(path, "rb");
  if (file == NULL)
    return titan_error(TITAN_ERROR_USAGE, "experimental.pipeline_parallel_schedule_csv: cannot read %s: %s", path,
                       strerror(errno));
  int failure;
  titan_status status = titan_text_append_stream(out, file, LARGEST_FILE, &failure);
  fclose(file);
  TITAN_TRY(status);
  if (failure != 0)
    return titan_error(TITAN_ERROR_USAGE, "experimental.pipeline_parallel_schedule_csv: cannot read %s: %s", path,
                       strerror(failure));
  if (out->length > LARGEST_FILE)
    return titan_error(TITAN_ERROR_USAGE, "experimental.pipeline_parallel_schedule_csv: %s is larger than 64 MiB",
                       path);
  if (out->length == 0)
    return titan_error(TITAN_ERROR_USAGE, "experimental.pipeline_parallel_schedule_csv: %s is empty", path);
  if (memchr(out->data, '\0', out->length) != NULL)
    return titan_error(TITAN_ERROR_USAGE, "experimental.pipeline_parallel_schedule_csv: %s is not a text file", path);
  return TITAN_OK;
}

static titan_status fault(const reader *r, const entry *at, const char *reason) {
  return titan_error(TITAN_ERROR_USAGE, "%s: row %d (rank %d), cell %d, \"%.*s\": %s", r->path, at->rank + 1, at->rank,
                     at->column + 1, at->length < 80 ? at->length : 80, at->text, reason);
}

// --- the file ---

static titan_status take_cell(reader *r, entry cell) {
  titan_csv_action actions[2];
  int count;
  const char *reason = titan_csv_cell_parse(cell.text, (size_t)cell.length, r->microbatches, actions, &count);
  if (reason != NULL)
    return fault(r, &cell, reason);
  for (int i = 0; i < count; i++) {
    if (r->count == r->capacity) {
      int capacity = r->capacity > 0 ? 2 * r->capacity : 256;
      TITAN_TRY(titan_memory_resize(TITAN_MEMORY_GRAPH, (size_t)capacity * sizeof(entry), &r->entries));
      r->capacity = capacity;
    }
    cell.action = actions[i];
    r->entries[r->count++] = cell;
  }
  return TITAN_OK;
}

static titan_status take_row(reader *r, int rank, const char *row, const char *end) {
  int column = 0;
  for (const char *cell = row; cell <= end; column++) {
    const char *comma = memchr(cell, ',', (size_t)(end - cell)), *next = comma != NULL ? comma : end;
    const char *last = next;
    while (cell < last && strchr(" \t\r\"", *cell) != NULL)
      cell++;
    while (cell < last && strchr(" \t\r\"", last[-1]) != NULL)
      last--;
    entry at = {.rank = rank, .column = column, .text = cell, .length = (int)(last - cell)};
    if (at.length > 0)
      TITAN_TRY(take_cell(r, at));
    cell = next + 1;
  }
  return TITAN_OK;
}

// Empty lines at the end are no rows.
static titan_status take_rows(reader *r) {
  const char *row = r->text->data, *end = row + r->text->length;
  int rows = 0;
  if (r->text->length >= 3 && memcmp(row, "\xef\xbb\xbf", 3) == 0)
    row += 3;
  while (end > row && strchr(" \t\r\n", end[-1]) != NULL)
    end--;
  for (; row < end; rows++) {
    const char *line = memchr(row, '\n', (size_t)(end - row)), *next = line != NULL ? line : end;
    if (rows < r->ranks)
      TITAN_TRY(take_row(r, rows, row, next));
    row = next + 1;
  }
  if (rows != r->ranks)
    return titan_error(TITAN_ERROR_USAGE,
                       "%s: expected a row for each of the %d pipeline rank%s "
                       "(experimental.pipeline_parallel_degree), got %d",
                       r->path, r->ranks, r->ranks == 1 ? "" : "s", rows);
  return TITAN_OK;
}

// --- stages ---

// The first cell of the highest stage.
static const entry *find_highest(const reader *r) {
  const entry *highest = &r->entries[0];
  for (int i = 1; i < r->count; i++)
    if (r->entries[i].action.cell.stage > highest->action.cell.stage)
      highest = &r->entries[i];
  return highest;
}

// Every stage up to the highest has a cell, and ranks share them equally.
static titan_status count_stages(reader *r) {
  char reason[160];
  bool *seen;
  int missing = 0;
  if (r->count == 0)
    return titan_error(TITAN_ERROR_USAGE, "%s: the schedule has no action", r->path);
  const entry *highest = find_highest(r);
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, (size_t)r->count + 1, sizeof(bool), &seen));
  for (int i = 0; i < r->count; i++)
    if (r->entries[i].action.cell.stage < r->count && r->entries[i].action.computes)
      seen[r->entries[i].action.cell.stage] = true;
  while (seen[missing])
    missing++;
  titan_memory_free(seen);
  if (missing <= highest->action.cell.stage) {
    snprintf(reason, sizeof reason, "there is no stage %d: stage %d computes nothing", highest->action.cell.stage,
             missing);
    return fault(r, highest, reason);
  }
  r->stages = missing;
  if (r->single ? r->stages == r->ranks : r->stages % r->ranks == 0)
    return TITAN_OK;
  snprintf(reason, sizeof reason, "expected %s on each of %d ranks, got %d stages",
           r->single ? "one stage" : "the same number of stages", r->ranks, r->stages);
  return fault(r, highest, reason);
}

// A stage is on the rank that has most of its cells; a cell elsewhere is a fault.
static titan_status place_stages(reader *r) {
  int *cells, *first;
  size_t ranks = (size_t)r->ranks, entries = (size_t)r->stages * ranks;
  char reason[160];
  titan_status status = titan_memory_allocate_zeroed(TITAN_MEMORY_GRAPH, 2 * entries, sizeof(int), &cells);
  TITAN_TRY(status);
  first = cells + entries;
  for (int i = 0; i < r->count; i++) {
    size_t at = (size_t)r->entries[i].action.cell.stage * ranks + (size_t)r->entries[i].rank;
    if (cells[at]++ == 0)
      first[at] = r->entries[i].column;
  }
  for (int stage = 0; stage < r->stages; stage++) {
    int *rank = &r->out->rank_of_stage[stage];
    *rank = 0;
    for (int other = 1; other < r->ranks; other++)
      if (cells[(size_t)stage * ranks + (size_t)other] > cells[(size_t)stage * ranks + (size_t)*rank])
        *rank = other;
  }
  for (int i = 0; status == TITAN_OK && i < r->count; i++) {
    int stage = r->entries[i].action.cell.stage, rank = r->out->rank_of_stage[stage];
    if (rank == r->entries[i].rank)
      continue;
    snprintf(reason, sizeof reason, "stage %d is on two ranks: it is also in row %d (rank %d), cell %d", stage,
             rank + 1, rank, first[(size_t)stage * ranks + (size_t)rank] + 1);
    status = fault(r, &r->entries[i], reason);
  }
  titan_memory_free(cells);
  return status;
}

// --- the order ---

static titan_status add_cells(reader *r) {
  for (int i = 0; i < r->count; i++) {
    const titan_cell *cell = &r->entries[i].action.cell;
    int rank = r->entries[i].rank;
    if (!r->entries[i].action.computes)
      continue;
    TITAN_TRY(titan_order_add(r->out, rank, cell->compute, cell->stage, cell->microbatch));
    r->out->cells[rank][r->out->counts[rank] - 1].paired = cell->paired;
  }
  return TITAN_OK;
}

// The entry of a cell of the order.
static const entry *entry_of(const reader *r, int rank, int cell) {
  int i = 0;
  while (r->entries[i].rank != rank || !r->entries[i].action.computes || cell-- > 0)
    i++;
  return &r->entries[i];
}

static titan_status check_order(const reader *r) {
  titan_order_fault found;
  TITAN_TRY(titan_order_check(r->out, true, &found));
  if (found.reason[0] == '\0')
    return TITAN_OK;
  if (found.cell < r->out->counts[found.rank])
    return fault(r, entry_of(r, found.rank, found.cell), found.reason);
  return titan_error(TITAN_ERROR_USAGE, "%s: row %d (rank %d), after its last cell: %s", r->path, found.rank + 1,
                     found.rank, found.reason);
}

titan_status titan_schedule_read_csv(const titan_text *text, const char *path, bool single, int ranks, int microbatches,
                                     titan_order *out) {
  reader r = {.text = text, .path = path, .single = single, .ranks = ranks, .microbatches = microbatches, .out = out};
  titan_status status = TITAN_OK;
  *out = (titan_order){0};
  TITAN_TRY_CLEANUP(take_rows(&r));
  TITAN_TRY_CLEANUP(count_stages(&r));
  TITAN_TRY_CLEANUP(titan_order_create(ranks, r.stages, microbatches, out));
  TITAN_TRY_CLEANUP(place_stages(&r));
  TITAN_TRY_CLEANUP(add_cells(&r));
  TITAN_TRY_CLEANUP(check_order(&r));
cleanup:
  titan_memory_free(r.entries);
  if (status != TITAN_OK)
    titan_order_destroy(out);
  return status;
}
