// SPDX-License-Identifier: Apache-2.0
// report_check PAGE FILE...: compares the numbers in a page of titan-report with the metrics files of its runs, which
// are read through HDF5 by the names of datasets, and looks for what would make a browser fetch something.
// Exit status: 0, 1 (with messages), 2 usage.
#include <hdf5.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures;

#define FAIL(...) (failures++, fprintf(stderr, "report_check: " __VA_ARGS__), fputc('\n', stderr))

// Page's curve, dataset of its values.
static const struct {
  const char *curve, *dataset;
} curves[] = {{"loss", "loss"},
              {"validation_loss", "validation_loss"},
              {"grad_norm", "grad_norm"},
              {"lr", "lr"},
              {"tps", "tps"},
              {"mfu", "mfu"},
              {"memory", "memory_max"},
              {"seconds", "seconds"},
              {"exposed", "exposed"},
              {"data_loading", "data_loading"},
              {"loss_max", "loss_max"}};

typedef struct column {
  double *values;
  size_t count;
} column;

static column read_column(hid_t file, const char *name) {
  column c = {0};
  hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT), space = H5Dget_space(dataset);
  hssize_t length = H5Sget_simple_extent_npoints(space);
  c.count = length > 0 ? (size_t)length : 0;
  c.values = malloc((c.count + 1) * sizeof *c.values);
  if (length < 0 || c.values == NULL ||
      H5Dread(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, c.values) < 0)
    FAIL("cannot read /%s", name);
  H5Sclose(space);
  H5Dclose(dataset);
  return c;
}

static int is_near(double a, double b) { // nine digits in the page
  return fabs(a - b) <= 1e-8 * fabs(b);
}

static double number_at(const json_t *array, size_t i) {
  const json_t *value = json_array_get(array, i);
  return json_is_number(value) ? json_number_value(value) : NAN;
}

// Each point is a row of the file, in order; the smallest and the largest value are among them.
static void check_points(const char *name, const json_t *curve, const column *steps, const column *values,
                         const column *tokens, const column *elapsed) {
  const json_t *at = json_object_get(curve, "step"), *shown = json_object_get(curve, "value");
  double least = INFINITY, most = -INFINITY, shown_least = INFINITY, shown_most = -INFINITY;
  size_t row = 0, count = json_array_size(shown);
  for (size_t i = 0; i < values->count; i++)
    least = fmin(least, values->values[i]), most = fmax(most, values->values[i]);
  for (size_t i = 0; i < count; i++) {
    double value = number_at(shown, i);
    while (row < steps->count && steps->values[row] < number_at(at, i))
      row++;
    if (row == steps->count || steps->values[row] != number_at(at, i)) {
      FAIL("%s: point %zu has step %g, which no row has", name, i, number_at(at, i));
      return;
    }
    if (!(isnan(value) ? isnan(values->values[row]) : is_near(value, values->values[row])))
      FAIL("%s: step %g has %.17g in the page, %.17g in the file", name, number_at(at, i), value, values->values[row]);
    shown_least = fmin(shown_least, value), shown_most = fmax(shown_most, value);
    if (tokens != NULL && (number_at(json_object_get(curve, "tokens"), i) != tokens->values[row] ||
                           !is_near(number_at(json_object_get(curve, "time"), i), elapsed->values[row])))
      FAIL("%s: step %g has other tokens or another time", name, number_at(at, i));
  }
  if (!is_near(shown_least, least) || !is_near(shown_most, most))
    FAIL("%s: from %g to %g in the page, from %g to %g in the file", name, shown_least, shown_most, least, most);
}

// All rows, or not more points than there may be and means that have every row once.
static void check_size(const char *name, const json_t *curve, const column *values, size_t most_points) {
  size_t count = json_array_size(json_object_get(curve, "value"));
  const json_t *means = json_object_get(curve, "means");
  if (values->count <= most_points) {
    if (count != values->count || !json_is_null(means))
      FAIL("%s: %zu points of %zu rows", name, count, values->count);
    return;
  }
  double sum = 0, shown = 0, rows = 0, finite = 0;
  for (size_t i = 0; i < values->count; i++)
    if (isfinite(values->values[i]))
      sum += values->values[i], finite++;
  for (size_t i = 0; i < json_array_size(json_object_get(means, "value")); i++) {
    rows += number_at(json_object_get(means, "rows"), i);
    shown += number_at(json_object_get(means, "rows"), i) * number_at(json_object_get(means, "value"), i);
  }
  if (count > most_points || rows != finite || !(fabs(shown - sum) <= 1e-7 * fabs(sum)))
    FAIL("%s: %zu points, means of %g rows with the sum %g; the file has %g with %g", name, count, rows, shown, finite,
         sum);
}

static void check_run(const json_t *run, const char *path, size_t most_points) {
  hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
  if (file < 0) {
    FAIL("cannot open %s", path);
    return;
  }
  column steps = read_column(file, "step"), tokens = read_column(file, "tokens"), times = read_column(file, "elapsed");
  column validations = read_column(file, "validation_step");
  for (size_t i = 0; i < sizeof curves / sizeof *curves; i++) {
    const json_t *curve = json_object_get(json_object_get(run, "curves"), curves[i].curve);
    column values = read_column(file, curves[i].dataset);
    int validation = strcmp(curves[i].curve, "validation_loss") == 0;
    if (curve == NULL && values.count > 0)
      FAIL("the page lacks the curve %s", curves[i].curve);
    if (curve != NULL) {
      check_points(curves[i].curve, curve, validation ? &validations : &steps, &values, validation ? NULL : &tokens,
                   &times);
      check_size(curves[i].curve, curve, &values, most_points);
    }
    free(values.values);
  }
  const json_t *results = json_object_get(run, "results");
  if (steps.count > 0 && (json_number_value(json_object_get(results, "steps")) != steps.values[steps.count - 1] ||
                          json_number_value(json_object_get(results, "tokens")) != tokens.values[steps.count - 1] ||
                          json_integer_value(json_object_get(run, "rows")) != (json_int_t)steps.count))
    FAIL("%s: steps, tokens or rows are others in the table", path);
  free(steps.values), free(tokens.values), free(times.values), free(validations.values);
  H5Fclose(file);
}

static char *read_file(const char *path) {
  FILE *file = fopen(path, "rb");
  char *text = NULL;
  if (file != NULL && fseek(file, 0, SEEK_END) == 0) {
    long length = ftell(file);
    text = calloc((size_t)length + 1, 1);
    rewind(file);
    if (text != NULL && fread(text, 1, (size_t)length, file) != (size_t)length)
      FAIL("cannot read %s", path);
  }
  if (file != NULL)
    fclose(file);
  return text;
}

// What makes a browser fetch. What scripts might try is forbidden by the page's policy.
static void check_fetches(char *page) {
  static const char *const fetching[] = {"src=", "srcset=", "@import", "url(", "<iframe", "<object"};
  if (strstr(page, "sourceMappingURL") != NULL)
    FAIL("the page names a source map");
  for (char *at = page; (at = strstr(at, "<script")) != NULL;) { // blanks in the place of what is in scripts
    at = strchr(at, '>');
    const char *end = strstr(at, "</script>");
    if (end == NULL) {
      FAIL("a script has no end");
      return;
    }
    memset(at + 1, ' ', (size_t)(end - at - 1));
  }
  for (size_t i = 0; i < sizeof fetching / sizeof *fetching; i++)
    if (strstr(page, fetching[i]) != NULL)
      FAIL("the page has \"%s\"", fetching[i]);
  for (const char *at = page; (at = strstr(at, "href=")) != NULL; at++)
    if (strncmp(at, "href=\"data:,\"", 13) != 0)
      FAIL("the page has %.40s", at);
  if (strstr(page, "Content-Security-Policy\" content=\"default-src 'none'; script-src 'unsafe-inline'; "
                   "style-src 'unsafe-inline'; img-src data:\"") == NULL)
    FAIL("the page does not forbid all requests");
}

int main(int argc, char **argv) {
  static const char begin[] = "<script type=\"application/json\" id=\"data\">";
  char *page = argc > 2 ? read_file(argv[1]) : NULL;
  if (page == NULL) {
    fputs("usage: report_check PAGE FILE...\n", stderr);
    return 2;
  }
  char *data = strstr(page, begin), *end = data != NULL ? strchr(data + strlen(begin), '<') : NULL;
  json_error_t error;
  json_t *root = end != NULL && strncmp(end, "</script>", 9) == 0
                     ? json_loadb(data + strlen(begin), (size_t)(end - data) - strlen(begin), 0, &error)
                     : NULL;
  if (root == NULL) {
    FAIL("the page has no data");
    return 1;
  }
  check_fetches(page);
  size_t most = (size_t)json_integer_value(json_object_get(root, "most_points"));
  const json_t *runs = json_object_get(root, "runs");
  if (json_array_size(runs) != (size_t)(argc - 2))
    FAIL("%zu runs in the page", json_array_size(runs));
  for (int i = 2; i < argc; i++)
    check_run(json_array_get(runs, (size_t)(i - 2)), argv[i], most);
  json_decref(root);
  free(page);
  return failures > 0;
}
