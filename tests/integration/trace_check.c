// SPDX-License-Identifier: Apache-2.0
// Whether traces are what Chrome's trace viewer and Perfetto read (Trace Event Format), and what they say of a step.
//
//   trace_check FILE...    the traces of all ranks of one step. A line a rank: the share of the step that stages
//   explain,
//                          and the share of the stage "forward and backward" that units and waits explain; a line a
//                          rank that saves in it: the share of the stage "save" that I/O and waits explain, and the
//                          spans of I/O; then counts.
//
// Every event has the members that its phase needs; spans of a row lie in each other or apart; each asynchronous begin
// has its end, and each arrow one start and one end, over all files, each in a span. Ends with 1, and a message, where
// that is not so.
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct span {
  int process, row;
  double begin, end;
  const char *name, *category;
} span;

typedef struct arrow_end {
  int process, row;
  double time;
  const char *category;
} arrow_end;

static span *spans;
static arrow_end *arrow_ends;
static size_t span_count, arrow_count;
static json_t *starts, *ends, *begins, *finishes; // counts by name of an arrow or asynchronous event

static void fail(const char *file, size_t index, const char *what) {
  fprintf(stderr, "%s: event %zu: %s\n", file, index, what);
  exit(1);
}

static void count(json_t *counts, const char *prefix, const json_t *id) {
  char key[256];
  snprintf(key, sizeof key, "%s %s", prefix, json_string_value(id));
  json_object_set_new(counts, key, json_integer(json_integer_value(json_object_get(counts, key)) + 1));
}

static void take_span(const char *file, size_t index, const json_t *event) {
  const json_t *duration = json_object_get(event, "dur");
  double begin = json_number_value(json_object_get(event, "ts"));
  if (!json_is_number(duration) || !(json_number_value(duration) >= 0))
    fail(file, index, "a span has no duration");
  spans = realloc(spans, (span_count + 1) * sizeof *spans);
  spans[span_count++] = (span){.process = (int)json_integer_value(json_object_get(event, "pid")),
                               .row = (int)json_integer_value(json_object_get(event, "tid")),
                               .begin = begin,
                               .end = begin + json_number_value(duration),
                               .name = json_string_value(json_object_get(event, "name")),
                               .category = json_string_value(json_object_get(event, "cat"))};
  if (spans[span_count - 1].category == NULL)
    fail(file, index, "a span has no category");
}

// Perfetto takes hexadecimal numbers for the names of arrows.
static void take_arrow_end(const char *file, size_t index, const json_t *event) {
  const char *id = json_string_value(json_object_get(event, "id"));
  if (strncmp(id, "0x", 2) != 0 || id[2] == '\0' || strspn(id + 2, "0123456789abcdef") != strlen(id + 2))
    fail(file, index, "an arrow's identification is no hexadecimal number");
  arrow_ends = realloc(arrow_ends, (arrow_count + 1) * sizeof *arrow_ends);
  arrow_ends[arrow_count++] = (arrow_end){.process = (int)json_integer_value(json_object_get(event, "pid")),
                                          .row = (int)json_integer_value(json_object_get(event, "tid")),
                                          .time = json_number_value(json_object_get(event, "ts")),
                                          .category = json_string_value(json_object_get(event, "cat"))};
}

static void take_event(const char *file, size_t index, const json_t *event) {
  const char *phase = json_string_value(json_object_get(event, "ph"));
  const json_t *id = json_object_get(event, "id");
  if (phase != NULL && strchr("be", *phase) != NULL)
    id = json_object_get(json_object_get(event, "id2"), "local");
  if (phase == NULL || strlen(phase) != 1 || strchr("XMCsfbe", *phase) == NULL)
    fail(file, index, "it has no phase that is known");
  if (!json_is_string(json_object_get(event, "name")) || !json_is_integer(json_object_get(event, "pid")))
    fail(file, index, "it has no name or no process");
  if (*phase != 'M' && !isfinite(json_number_value(json_object_get(event, "ts"))))
    fail(file, index, "it has no time");
  if (strchr("Xsfbe", *phase) != NULL && !json_is_integer(json_object_get(event, "tid")))
    fail(file, index, "it has no row");
  if (*phase != 'C' && json_is_integer(json_object_get(event, "tid")) &&
      json_integer_value(json_object_get(event, "tid")) == 0)
    fail(file, index, "it is in row 0, which is no thread to Perfetto");
  if (strchr("MC", *phase) != NULL && !json_is_object(json_object_get(event, "args")))
    fail(file, index, "it has no arguments");
  if (strchr("sfbe", *phase) != NULL && (!json_is_string(id) || !json_is_string(json_object_get(event, "cat"))))
    fail(file, index, "it has no identification");
  if (strchr("sf", *phase) != NULL)
    take_arrow_end(file, index, event);
  if (*phase == 'X')
    take_span(file, index, event);
  else if (strchr("sfbe", *phase) != NULL)
    count(*phase == 's'   ? starts
          : *phase == 'f' ? ends
          : *phase == 'b' ? begins
                          : finishes,
          json_string_value(json_object_get(event, "cat")), id);
}

static int by_place(const void *a, const void *b) {
  const span *x = a, *y = b;
  if (x->process != y->process || x->row != y->row)
    return x->process != y->process ? x->process - y->process : x->row - y->row;
  if (x->begin != y->begin)
    return x->begin < y->begin ? -1 : 1;
  return x->end > y->end ? -1 : x->end < y->end;
}

// Times are rounded to nanoseconds.
static void check_rows(void) {
  const double rounding = 0.002;
  qsort(spans, span_count, sizeof *spans, by_place);
  for (size_t i = 1; i < span_count; i++) {
    const span *a = &spans[i - 1], *b = &spans[i];
    if (a->process == b->process && a->row == b->row && b->begin < a->end - rounding && b->end > a->end + rounding) {
      fprintf(stderr, "process %d, row %d: %s and %s overlap\n", a->process, a->row, a->name, b->name);
      exit(1);
    }
  }
}

// Viewers draw an arrow between the spans that its ends lie in.
static void check_arrows(void) {
  for (size_t i = 0; i < arrow_count; i++) {
    const arrow_end *end = &arrow_ends[i];
    bool found = false;
    for (size_t k = 0; k < span_count && !found; k++)
      found = spans[k].process == end->process && spans[k].row == end->row && spans[k].begin <= end->time &&
              end->time <= spans[k].end;
    if (!found) {
      fprintf(stderr, "process %d, row %d: no span for the end of an arrow (%s) at %.3f\n", end->process, end->row,
              end->category, end->time);
      exit(1);
    }
  }
}

static void check_pairs(const json_t *first, const json_t *second, const char *what) {
  const char *key;
  json_t *value;
  if (!json_equal((json_t *)first, (json_t *)second)) {
    json_object_foreach((json_t *)first, key, value) if (!json_equal(value, json_object_get(second, key)))
        fprintf(stderr, "%s %s has no other end\n", what, key);
    json_object_foreach((json_t *)second, key, value) if (json_object_get(first, key) == NULL)
        fprintf(stderr, "%s %s has no beginning\n", what, key);
    exit(1);
  }
  json_object_foreach((json_t *)first, key, value) if (json_integer_value(value) != 1) {
    fprintf(stderr, "%s %s is there more than once\n", what, key);
    exit(1);
  }
}

static int by_begin(const void *a, const void *b) {
  const span *x = *(const span *const *)a, *y = *(const span *const *)b;
  return x->begin < y->begin ? -1 : x->begin > y->begin;
}

// Microseconds of [begin, end) of a process that spans of one of the categories cover, each counted once.
static double covered(int process, const char *categories, double begin, double end) {
  const span **chosen = malloc((span_count + 1) * sizeof(span *));
  size_t count = 0;
  double sum = 0, done = begin;
  for (size_t i = 0; i < span_count; i++)
    if (spans[i].process == process && strstr(categories, spans[i].category) != NULL)
      chosen[count++] = &spans[i];
  qsort(chosen, count, sizeof(span *), by_begin);
  for (size_t i = 0; i < count; i++) {
    double from = fmax(chosen[i]->begin, done), to = fmin(chosen[i]->end, end);
    if (to > from) {
      sum += to - from;
      done = to;
    }
  }
  free(chosen);
  return sum;
}

static void report(void) {
  for (size_t i = 0; i < span_count; i++) {
    const span *step = &spans[i];
    if (strcmp(step->category, "step") != 0)
      continue;
    double units = 0, stage = 0;
    for (size_t k = 0; k < span_count; k++)
      if (spans[k].process == step->process && strcmp(spans[k].category, "stage") == 0 &&
          strcmp(spans[k].name, "forward and backward") == 0) {
        units = covered(step->process, "action wait", spans[k].begin, spans[k].end);
        stage = spans[k].end - spans[k].begin;
      }
    printf("%s of rank %d: stages %.4f units %.4f operations %.4f\n", step->name, step->process,
           covered(step->process, "stage", step->begin, step->end) / (step->end - step->begin), units / stage,
           covered(step->process, "operation", step->begin, step->end) / (step->end - step->begin));
  }
}

static void report_saves(void) {
  for (size_t i = 0; i < span_count; i++) {
    const span *stage = &spans[i];
    size_t count = 0;
    if (strcmp(stage->category, "stage") != 0 || strcmp(stage->name, "save") != 0)
      continue;
    for (size_t k = 0; k < span_count; k++)
      count += spans[k].process == stage->process && strcmp(spans[k].category, "io") == 0 &&
               spans[k].begin >= stage->begin && spans[k].end <= stage->end;
    if (count > 0)
      printf("save, rank %d: I/O and waits %.4f spans %zu\n", stage->process,
             covered(stage->process, "io wait", stage->begin, stage->end) / (stage->end - stage->begin), count);
  }
}

int main(int argc, char **argv) {
  size_t transfers = 0;
  const char *key;
  json_t *value, *files = json_array();
  starts = json_object(), ends = json_object(), begins = json_object(), finishes = json_object();
  for (int i = 1; i < argc; i++) {
    json_error_t error;
    json_t *trace = json_load_file(argv[i], 0, &error), *events = json_object_get(trace, "traceEvents");
    if (!json_is_array(events) || json_array_size(events) == 0) {
      fprintf(stderr, "%s: no trace: %s\n", argv[i], error.text);
      return 1;
    }
    json_array_append_new(files, trace); // names in it are used until the end
    for (size_t e = 0; e < json_array_size(events); e++)
      take_event(argv[i], e, json_array_get(events, e));
    if (json_integer_value(json_object_get(json_object_get(trace, "otherData"), "dropped_spans")) != 0)
      fail(argv[i], 0, "spans are missing");
    const json_t *lacked = json_object_get(json_object_get(trace, "otherData"), "dropped_operations");
    if (!json_is_integer(lacked) || json_integer_value(lacked) != 0)
      fail(argv[i], 0, "operations of communication are missing");
  }
  check_rows();
  check_arrows();
  check_pairs(starts, ends, "the arrow");
  check_pairs(begins, finishes, "the operation");
  report();
  report_saves();
  json_object_foreach(starts, key, value) transfers += strncmp(key, "transfer ", 9) == 0;
  printf("%zu spans, %zu communications, %zu transfers\n", span_count, json_object_size(begins), transfers);
  json_decref(files);
  json_decref(starts), json_decref(ends), json_decref(begins), json_decref(finishes);
  free(spans), free(arrow_ends);
  return argc < 2;
}
