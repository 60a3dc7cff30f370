// SPDX-License-Identifier: Apache-2.0
// titan-checkpoint compare: where two checkpoints differ, and by how much.
#include "checkpoint/share.h"
#include "tool/tool_pieces.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

// Of one tensor of A.
typedef struct difference {
  double largest;   // |a - b|; infinite where one is no number and the other differs
  double magnitude; // largest |a| and |b|
  double elements;  // that differ
} difference;

typedef struct comparison {
  const titan_tool *tool;
  const titan_tool_arguments *arguments;
  titan_checkpoint_file *a, *b;
  int *partners; // tensor of B for each of A, -1: none, or of another shape
  difference *differences;
  void *raw;
  float *values_a, *values_b;
} comparison;

static bool is_wanted(const comparison *c, const titan_checkpoint_tensor *tensor) {
  return !c->arguments->weights || tensor->group == TITAN_CHECKPOINT_MODEL;
}

static bool same_shape(const titan_checkpoint_tensor *a, const titan_checkpoint_tensor *b) {
  return a->rank == b->rank && a->dims[0] == b->dims[0] && (a->rank == 1 || a->dims[1] == b->dims[1]);
}

static titan_status read_values(comparison *c, const titan_checkpoint_file *file, int tensor, int64_t row, int64_t rows,
                                float *out) {
  int64_t columns = titan_checkpoint_columns(&file->tensors[tensor]);
  TITAN_TRY(titan_checkpoint_file_read(file, tensor, row, rows, c->raw));
  titan_number_to_float(file->tensors[tensor].number, rows * columns, c->raw, out);
  return TITAN_OK;
}

static titan_status compare_piece(void *context, int tensor, int64_t row, int64_t rows) {
  comparison *c = context;
  difference *d = &c->differences[tensor];
  if (c->partners[tensor] < 0)
    return TITAN_OK;
  TITAN_TRY(read_values(c, c->a, tensor, row, rows, c->values_a));
  TITAN_TRY(read_values(c, c->b, c->partners[tensor], row, rows, c->values_b));
  int64_t count = rows * titan_checkpoint_columns(&c->a->tensors[tensor]);
  for (int64_t i = 0; i < count; i++) {
    double a = c->values_a[i], b = c->values_b[i], off = fabs(a - b);
    d->magnitude = fmax(d->magnitude, fmax(fabs(a), fabs(b)));
    // NOLINTNEXTLINE(bugprone-suspicious-memory-comparison,cert-exp42-c,cert-flp37-c): 0 and -0 differ
    if (memcmp(&c->values_a[i], &c->values_b[i], sizeof(float)) == 0)
      continue;
    d->elements++;
    d->largest = fmax(d->largest, isnan(off) ? INFINITY : off);
  }
  return TITAN_OK;
}

// Collective. One result of all ranks.
static titan_status join(comparison *c) {
  int count = c->a->tensor_count;
  double *maxima, *sums;
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)count * 3 * sizeof *maxima, &maxima));
  sums = maxima + 2 * count;
  for (int i = 0; i < count; i++) {
    maxima[2 * i] = c->differences[i].largest;
    maxima[2 * i + 1] = c->differences[i].magnitude;
    sums[i] = c->differences[i].elements;
  }
  titan_comm *world = c->tool->world;
  titan_status status = titan_comm_all_reduce(world, maxima, maxima, 2 * (size_t)count, TITAN_FLOAT64, TITAN_MAX, NULL);
  if (status == TITAN_OK)
    status = titan_comm_all_reduce(world, sums, sums, (size_t)count, TITAN_FLOAT64, TITAN_SUM, NULL);
  for (int i = 0; i < count; i++)
    c->differences[i] = (difference){maxima[2 * i], maxima[2 * i + 1], sums[i]};
  titan_memory_free(maxima);
  return status;
}

static titan_status pair_tensors(comparison *c) {
  size_t count = (size_t)c->a->tensor_count;
  int64_t largest = titan_tool_largest_piece(c->a->tensor_count, c->a->tensors, NULL);
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, count * sizeof *c->partners, &c->partners));
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, count, sizeof *c->differences, &c->differences));
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)largest * sizeof(float), &c->raw));
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)largest * sizeof(float), &c->values_a));
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)largest * sizeof(float), &c->values_b));
  for (int i = 0; i < c->a->tensor_count; i++) {
    const titan_checkpoint_tensor *tensor = &c->a->tensors[i];
    int partner = is_wanted(c, tensor) ? titan_checkpoint_file_find(c->b, tensor->group, tensor->name) : -1;
    c->partners[i] = partner >= 0 && same_shape(tensor, &c->b->tensors[partner]) ? partner : -1;
  }
  return TITAN_OK;
}

// --- telling ---

// Tensors of `from` that `other` has not, or in another shape (told for A only).
static int tell_unpaired(const comparison *c, const titan_checkpoint_file *from, const titan_checkpoint_file *other,
                         bool shapes) {
  int count = 0;
  for (int i = 0; i < from->tensor_count; i++) {
    const titan_checkpoint_tensor *tensor = &from->tensors[i];
    int partner = titan_checkpoint_file_find(other, tensor->group, tensor->name);
    bool reshaped = partner >= 0 && shapes && !same_shape(tensor, &other->tensors[partner]);
    if (!is_wanted(c, tensor) || (partner >= 0 && !reshaped))
      continue;
    count++;
    if (count <= 10)
      printf("%s/%s: %s %s\n", titan_checkpoint_group_path(tensor->group), tensor->name,
             reshaped ? "has another shape in" : "is missing in", other->path);
  }
  if (count > 10)
    printf("... and %d more such tensors\n", count - 10);
  return count;
}

static int tell_values(const comparison *c) {
  int count = 0;
  for (int i = 0; i < c->a->tensor_count; i++) {
    const difference *d = &c->differences[i];
    const titan_checkpoint_tensor *tensor = &c->a->tensors[i];
    if (d->elements == 0)
      continue;
    bool within = isfinite(d->largest) && d->largest <= c->arguments->tolerance * d->magnitude;
    count += !within;
    printf("%s/%s: %.0f of %" PRId64 " elements differ, by %.3g at most (largest value %.3g)%s\n",
           titan_checkpoint_group_path(tensor->group), tensor->name, d->elements,
           titan_checkpoint_rows(tensor) * titan_checkpoint_columns(tensor), d->largest, d->magnitude,
           within ? ": within the tolerance" : "");
  }
  return count;
}

static int tell_number(const char *what, double a, double b) {
  if (a == b || (isnan(a) && isnan(b)))
    return 0;
  printf("%s: %.17g and %.17g\n", what, a, b);
  return 1;
}

static int tell_losses(const titan_checkpoint_contents *a, const titan_checkpoint_contents *b) {
  size_t count = (size_t)a->log_count;
  if (a->log_count == b->log_count && memcmp(a->log_steps, b->log_steps, count * sizeof *a->log_steps) == 0 &&
      memcmp(a->log_mean, b->log_mean, count * sizeof *a->log_mean) == 0 &&
      memcmp(a->log_max, b->log_max, count * sizeof *a->log_max) == 0)
    return 0;
  printf("the losses as logged differ\n");
  return 1;
}

static int tell_state(const comparison *c) {
  const titan_checkpoint_contents *a = &c->a->contents, *b = &c->b->contents;
  int count = tell_number("step", (double)a->step, (double)b->step);
  if (a->has_state != b->has_state || a->has_data != b->has_data) {
    printf("%s has training state, %s lacks some or all of it\n", a->has_state || a->has_data ? c->a->path : c->b->path,
           a->has_state || a->has_data ? c->b->path : c->a->path);
    return count + 1;
  }
  if (a->has_state) {
    count += tell_number("tokens", (double)a->tokens, (double)b->tokens);
    count += tell_number("learning rate", a->learning_rate, b->learning_rate);
    count += tell_losses(a, b);
  }
  if (a->has_data && (a->lane_count != b->lane_count || a->corpus != b->corpus || a->seq_len != b->seq_len ||
                      memcmp(a->cursors, b->cursors, (size_t)a->lane_count * 4 * sizeof *a->cursors) != 0)) {
    printf("the positions in the data differ\n");
    count++;
  }
  return count;
}

// On rank 0.
static titan_status tell(const comparison *c) {
  int unpaired = tell_unpaired(c, c->a, c->b, true) + tell_unpaired(c, c->b, c->a, false);
  int values = tell_values(c), state = c->arguments->weights ? 0 : tell_state(c);
  if (unpaired + values + state > 0)
    return titan_error(
        TITAN_ERROR_CHECKPOINT,
        "%s and %s differ: %d tensors in their values, %d missing or of another shape, %d entries of the state",
        c->a->path, c->b->path, values, unpaired, state);
  printf("%s and %s are equal%s%s\n", c->a->path, c->b->path, c->arguments->weights ? " in their weights" : "",
         c->arguments->tolerance > 0 ? ", within the tolerance" : "");
  return TITAN_OK;
}

static titan_status compare(comparison *c) {
  titan_checkpoint_fault fault;
  titan_comm *world = c->tool->world;
  TITAN_TRY(titan_checkpoint_file_open_shared(world, c->arguments->paths[0], &c->a, &fault));
  TITAN_TRY(titan_checkpoint_file_open_shared(world, c->arguments->paths[1], &c->b, &fault));
  TITAN_TRY(titan_tool_check(c->tool, c->a, c->arguments->weights));
  TITAN_TRY(titan_tool_check(c->tool, c->b, c->arguments->weights));
  titan_status status = pair_tensors(c);
  if (status == TITAN_OK)
    status = titan_tool_deal(c->tool, c->a->tensor_count, c->a->tensors, NULL, compare_piece, c);
  TITAN_TRY(titan_comm_agree(world, status));
  TITAN_TRY(join(c));
  return titan_comm_agree(world, c->tool->rank == 0 ? tell(c) : TITAN_OK);
}

titan_status titan_tool_compare(const titan_tool *tool, const titan_tool_arguments *arguments) {
  comparison c = {.tool = tool, .arguments = arguments};
  titan_status status = compare(&c);
  titan_memory_free(c.partners);
  titan_memory_free(c.differences);
  titan_memory_free(c.raw);
  titan_memory_free(c.values_a);
  titan_memory_free(c.values_b);
  titan_checkpoint_file_close(&c.a);
  titan_checkpoint_file_close(&c.b);
  return status;
}
