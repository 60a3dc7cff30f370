// SPDX-License-Identifier: Apache-2.0
// Compares the numbers that runs of titan-hpc leave behind; the exit status is the verdict (0 alike, 1 not, 2 usage).
//
//   compare_steps numbers STEPS TOLERANCE REFERENCE OTHER   loss and gradient norm of each step, relative tolerance
//   compare_steps bitwise STEPS REFERENCE OTHER             the same bytes, and STEPS finite steps in them
//   compare_steps weights REFERENCE OTHER                   checksums of the initial weights, parameter by parameter
//   compare_steps learns STEPS LOSS TOLERANCE FILE          the first loss is LOSS within TOLERANCE, the last is lower
//
// A number that is not finite, a step that is missing or too much, and an empty file are failures in every mode.
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = 512, LARGEST_STEP_COUNT = 1000 };

typedef struct step_numbers {
  double loss, grad_norm;
} step_numbers;

__attribute__((format(printf, 1, 2))) static bool fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("compare_steps: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  return false;
}

// Reads exactly `count` lines "step loss grad_norm", the steps counted from 1.
static bool read_steps(const char *path, int count, step_numbers *steps) {
  FILE *file = fopen(path, "r");
  if (file == NULL)
    return fail("cannot open %s", path);
  char line[LINE_BYTES];
  int found = 0;
  bool good = true;
  while (good && fgets(line, sizeof line, file) != NULL) {
    int step, end = 0;
    step_numbers numbers;
    if (sscanf(line, "%d %lf %lf %n", &step, &numbers.loss, &numbers.grad_norm, &end) != 3 || line[end] != '\0')
      good = fail("%s:%d: expected a step, its loss and its gradient norm, got: %s", path, found + 1, line);
    else if (step != found + 1 || step > count)
      good = fail("%s:%d: expected step %d of %d, got step %d", path, found + 1, found + 1, count, step);
    else if (!isfinite(numbers.loss) || !isfinite(numbers.grad_norm))
      good = fail("%s:%d: not finite: %s", path, found + 1, line);
    else
      steps[found++] = numbers;
  }
  fclose(file);
  return good && (found == count || fail("%s: %d steps, expected %d", path, found, count));
}

static bool close_enough(const char *what, int step, double reference, double other, double tolerance) {
  double error = fabs(other - reference) / fabs(reference);
  if (error <= tolerance)
    return true;
  return fail("step %d: %s %.9e, the reference has %.9e: relative error %.2e, allowed %.2e", step, what, other,
              reference, error, tolerance);
}

static bool compare_numbers(const step_numbers *reference, const step_numbers *other, int count, double tolerance) {
  bool good = true;
  for (int i = 0; i < count; i++) {
    good = close_enough("loss", i + 1, reference[i].loss, other[i].loss, tolerance) && good;
    good = close_enough("gradient norm", i + 1, reference[i].grad_norm, other[i].grad_norm, tolerance) && good;
  }
  return good;
}

static bool same_bytes(const char *reference, const char *other) {
  FILE *files[2] = {fopen(reference, "rb"), fopen(other, "rb")};
  bool good = files[0] != NULL && files[1] != NULL;
  if (!good)
    fail("cannot open %s or %s", reference, other);
  int bytes[2] = {0, 0};
  for (long position = 0; good && bytes[0] != EOF; position++) {
    bytes[0] = fgetc(files[0]);
    bytes[1] = fgetc(files[1]);
    if (bytes[0] != bytes[1])
      good = fail("%s and %s differ from byte %ld on", reference, other, position);
  }
  for (int i = 0; i < 2; i++)
    if (files[i] != NULL)
      fclose(files[i]);
  return good;
}

// Lines "name checksum"; a line of the same number must be the same in both.
static bool compare_weights(const char *reference, const char *other) {
  FILE *files[2] = {fopen(reference, "r"), fopen(other, "r")};
  bool good = files[0] != NULL && files[1] != NULL;
  if (!good)
    fail("cannot open %s or %s", reference, other);
  int lines = 0;
  while (good) {
    char line[2][LINE_BYTES], name[LINE_BYTES], checksum[LINE_BYTES];
    const char *got[2] = {fgets(line[0], LINE_BYTES, files[0]), fgets(line[1], LINE_BYTES, files[1])};
    if (got[0] == NULL && got[1] == NULL)
      break;
    lines++;
    if (got[0] == NULL || got[1] == NULL)
      good = fail("%s has fewer parameters than %s", got[0] == NULL ? reference : other,
                  got[0] == NULL ? other : reference);
    else if (sscanf(line[0], "%s %s", name, checksum) != 2 || strlen(checksum) != 16)
      good = fail("%s:%d: expected a name and a checksum of 16 digits, got: %s", reference, lines, line[0]);
    else if (strcmp(line[0], line[1]) != 0)
      good = fail("%s:%d: the initial weights differ: %s  and %s", reference, lines, line[0], line[1]);
  }
  for (int i = 0; i < 2; i++)
    if (files[i] != NULL)
      fclose(files[i]);
  return good && (lines > 0 || fail("%s is empty", reference));
}

static bool learns(const step_numbers *steps, int count, double first, double tolerance) {
  if (!(fabs(steps[0].loss - first) <= tolerance))
    return fail("the first loss is %.4f, expected %.4f within %.4f", steps[0].loss, first, tolerance);
  if (!(steps[count - 1].loss < steps[0].loss))
    return fail("the loss does not fall: %.4f at first, %.4f at last", steps[0].loss, steps[count - 1].loss);
  return true;
}

static int usage(void) {
  fputs("usage: compare_steps numbers STEPS TOLERANCE REFERENCE OTHER | bitwise STEPS REFERENCE OTHER | "
        "weights REFERENCE OTHER | learns STEPS LOSS TOLERANCE FILE\n",
        stderr);
  return 2;
}

int main(int argc, char **argv) {
  static step_numbers reference[LARGEST_STEP_COUNT], other[LARGEST_STEP_COUNT];
  const char *mode = argc > 1 ? argv[1] : "";
  if (strcmp(mode, "weights") == 0 && argc == 4)
    return compare_weights(argv[2], argv[3]) ? 0 : 1;
  int count = argc > 2 ? atoi(argv[2]) : 0;
  if (count < 1 || count > LARGEST_STEP_COUNT)
    return usage();
  if (strcmp(mode, "numbers") == 0 && argc == 6)
    return read_steps(argv[4], count, reference) && read_steps(argv[5], count, other) &&
                   compare_numbers(reference, other, count, atof(argv[3]))
               ? 0
               : 1;
  if (strcmp(mode, "bitwise") == 0 && argc == 5)
    return read_steps(argv[3], count, reference) && same_bytes(argv[3], argv[4]) ? 0 : 1;
  if (strcmp(mode, "learns") == 0 && argc == 6)
    return read_steps(argv[5], count, reference) && learns(reference, count, atof(argv[3]), atof(argv[4])) ? 0 : 1;
  return usage();
}
