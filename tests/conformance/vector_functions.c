// SPDX-License-Identifier: Apache-2.0
// The device's functions over flat vectors, against float64.
#include "base/random.h"
#include "conformance.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t sizes[] = {1, 3, 17, 1023, 1025, 65537};
enum { SIZES = sizeof sizes / sizeof *sizes, STEPS = 3 };

static int failed(const char *what, int64_t n, int64_t i, double got, double wanted) {
  fprintf(stderr, "FAILED %s of %lld: element %lld is %.9g, expected %.9g\n", what, (long long)n, (long long)i, got,
          wanted);
  return 1;
}

static float *floats(int64_t n, uint64_t seed) {
  float *x = malloc((size_t)(n + 1) * sizeof *x); // one more, to see that it stays
  if (x == NULL)
    abort();
  titan_random_normal(titan_random_stream_create(seed, "vector"), 0, (uint64_t)n, 0, 1, -INFINITY, INFINITY, x);
  x[n] = 12345;
  return x;
}

// One step of torch.optim.Adam or AdamW, as its single-tensor form computes it, in float64.
static void adam_reference(const titan_step_state *state, titan_adam_decay decay, int64_t n, double *w, double *m,
                           double *v, const float *gradient) {
  const titan_step_constants *s = &state->constants;
  double lr = (double)s->learning_rate, beta1 = (double)s->beta1, beta2 = (double)s->beta2;
  for (int64_t i = 0; i < n; i++) {
    double g = (double)gradient[i] * (double)state->gradient_scale;
    if (decay.decoupled)
      w[i] *= 1 - lr * (double)decay.weight_decay;
    else
      g += (double)decay.weight_decay * w[i];
    m[i] = beta1 * m[i] + (1 - beta1) * g;
    v[i] = beta2 * v[i] + (1 - beta2) * g * g;
    double denominator = sqrt(v[i]) / sqrt((double)s->bias_correction2) + (double)s->epsilon;
    w[i] -= lr / (double)s->bias_correction1 * m[i] / denominator;
  }
}

// Tolerance: a few roundings a step, of numbers of size 1.
static int check_adam_numbers(int64_t n, const float *got[3], double *const wanted[3]) {
  static const char *const names[] = {"adam master", "adam exp_avg", "adam exp_avg_sq"};
  for (int k = 0; k < 3; k++) {
    for (int64_t i = 0; i < n; i++)
      if (!(fabs((double)got[k][i] - wanted[k][i]) <= 2e-6 * (fabs(wanted[k][i]) + 0.1)))
        return failed(names[k], n, i, (double)got[k][i], wanted[k][i]);
    if (got[k][n] != 12345)
      return failed(names[k], n, n, (double)got[k][n], 12345);
  }
  return 0;
}

// compute: 0 none, 1 the master itself, 2 another float32 vector, 3 bfloat16
static int check_compute(int64_t n, const float *master, const float *compute, const titan_bf16 *narrow, int kind) {
  for (int64_t i = 0; i < n; i++) {
    if (kind == 2 && compute[i] != master[i])
      return failed("adam compute copy (float32)", n, i, (double)compute[i], (double)master[i]);
    if (kind == 3 && narrow[i] != titan_bf16_from_float(master[i]))
      return failed("adam compute copy (bfloat16)", n, i, narrow[i], titan_bf16_from_float(master[i]));
  }
  return kind == 3 && narrow[n] != 0x7777 ? failed("adam compute copy", n, n, narrow[n], 0x7777) : 0;
}

static int check_adam(titan_device *device, int64_t n, bool decoupled, int kind) {
  float *state[3] = {floats(n, 1), floats(n, 2), floats(n, 3)}, *copy = floats(n, 4);
  titan_bf16 *narrow = malloc((size_t)(n + 1) * sizeof *narrow);
  double *wanted[3];
  if (narrow == NULL)
    abort();
  narrow[n] = 0x7777;
  for (int64_t i = 0; i < n; i++)
    state[2][i] *= state[2][i];
  for (int k = 0; k < 3; k++) {
    wanted[k] = malloc((size_t)n * sizeof(double));
    if (wanted[k] == NULL)
      abort();
    for (int64_t i = 0; i < n; i++)
      wanted[k][i] = (double)state[k][i];
  }
  void *const compute[] = {NULL, state[0], copy, narrow};
  for (int t = 1; t <= STEPS; t++) {
    titan_step_state step = {.constants = {.learning_rate = 1e-2f,
                                           .beta1 = 0.9f,
                                           .beta2 = 0.95f,
                                           .epsilon = 1e-8f,
                                           .bias_correction1 = (float)(1 - pow(0.9, t)),
                                           .bias_correction2 = (float)(1 - pow(0.95, t))},
                             .gradient_scale = 0.5f};
    titan_adam_decay decay = {0.1f, decoupled};
    float *gradient = floats(n, 10 + (uint64_t)t);
    device->vector->adam(device, &step, decay, n, state[0], state[1], state[2], gradient, compute[kind],
                         kind == 3 ? TITAN_BFLOAT16 : TITAN_FLOAT32);
    adam_reference(&step, decay, n, wanted[0], wanted[1], wanted[2], gradient);
    free(gradient);
  }
  int failures = check_adam_numbers(n, (const float *[3]){state[0], state[1], state[2]}, wanted);
  failures += check_compute(n, state[0], copy, narrow, kind);
  for (int k = 0; k < 3; k++) {
    free(state[k]);
    free(wanted[k]);
  }
  free(copy);
  free(narrow);
  return failures;
}

// Every upper half with lower halves around the rounding boundary: all exponents, infinities and NaN among them.
static int check_convert(titan_device *device) {
  static float wide[65536 * 4], back[65536 * 4];
  static titan_bf16 narrow[65536 * 4];
  static const uint32_t lower[] = {0, 0x7fff, 0x8000, 0x8001};
  int64_t n = 65536 * 4;
  for (uint32_t i = 0; i < (uint32_t)n; i++) {
    uint32_t bits = (i / 4) << 16 | lower[i % 4];
    memcpy(&wide[i], &bits, sizeof bits);
  }
  device->vector->convert(device, n, wide, TITAN_FLOAT32, narrow, TITAN_BFLOAT16);
  for (int64_t i = 0; i < n; i++)
    if (narrow[i] != titan_bf16_from_float(wide[i]))
      return failed("convert to bfloat16 (bits)", n, i, narrow[i], titan_bf16_from_float(wide[i]));
  device->vector->convert(device, n, narrow, TITAN_BFLOAT16, back, TITAN_FLOAT32);
  for (int64_t i = 0; i < n; i++) {
    float wanted = titan_bf16_to_float(narrow[i]);
    if (memcmp(&back[i], &wanted, sizeof wanted) != 0)
      return failed("convert to float32", n, i, (double)back[i], (double)wanted);
  }
  for (int64_t k = 0; k < SIZES; k++) {
    memset(back, 0, sizeof back);
    device->vector->convert(device, sizes[k], wide + 70000, TITAN_FLOAT32, back, TITAN_FLOAT32);
    if (memcmp(back, wide + 70000, (size_t)sizes[k] * sizeof *back) != 0 || back[sizes[k]] != 0)
      return failed("convert to the same type", sizes[k], 0, 0, 0);
  }
  return 0;
}

// Each factor makes b -1.5.
static int check_scaled_add(titan_device *device, int64_t n, const float *x, float *y) {
  static const struct {
    titan_state_factor factor;
    float b;
  } cases[] = {{TITAN_FACTOR_ONE, -1.5f}, {TITAN_FACTOR_GRADIENT_SCALE, -3}, {TITAN_FACTOR_LEARNING_RATE, -6}};
  const titan_step_state state = {.constants.learning_rate = 0.25f, .gradient_scale = 0.5f};
  float *before = floats(n, 23);
  int failures = 0;
  for (int c = 0; c < 3 && failures == 0; c++) {
    memcpy(before, y, (size_t)n * sizeof *y);
    device->vector->scaled_add(device, &state, n, y, 0.75f, x, cases[c].b, cases[c].factor);
    for (int64_t i = 0; i < n && failures == 0; i++) {
      double wanted = 0.75 * (double)before[i] - 1.5 * (double)x[i]; // two roundings, or one where they are fused
      double size = 0.75 * fabs((double)before[i]) + 1.5 * fabs((double)x[i]);
      if (!(fabs((double)y[i] - wanted) <= 1.2e-7 * size))
        failures += failed("scaled_add", n, i, (double)y[i], wanted);
    }
  }
  free(before);
  return failures;
}

static int check_simple(titan_device *device, int64_t n) {
  float *x = floats(n, 21), *y = floats(n, 22), *before = floats(n, 22);
  double square = 0;
  int failures = 0;
  for (int64_t i = 0; i < n; i++)
    square += (double)x[i] * (double)x[i];
  double got = 0;
  device->vector->sum_of_squares(device, n, x, &got);
  if (!(fabs(got - square) <= 1e-13 * square))
    failures += failed("sum_of_squares", n, 0, got, square);
  device->vector->accumulate(device, n, y, x);
  for (int64_t i = 0; i < n && failures == 0; i++)
    if (y[i] != before[i] + x[i])
      failures += failed("accumulate", n, i, (double)y[i], (double)(before[i] + x[i]));
  memcpy(before, y, (size_t)n * sizeof *y);
  const titan_step_state bad = {.gradient_scale = 0.5f, .bad = 1};
  device->vector->scaled_add(device, &bad, n, y, 0.75f, x, -1.5f, TITAN_FACTOR_ONE);
  if (memcmp(before, y, (size_t)n * sizeof *y) != 0)
    failures += failed("scaled_add of a bad step", n, 0, 0, 0);
  failures += check_scaled_add(device, n, x, y);
  device->vector->fill(device, n, x, -2.5f);
  for (int64_t i = 0; i < n && failures == 0; i++)
    if (x[i] != -2.5f)
      failures += failed("fill", n, i, (double)x[i], -2.5);
  if (x[n] != 12345 || y[n] != 12345)
    failures += failed("fill or accumulate beyond the end", n, n, (double)x[n], 12345);
  free(x);
  free(y);
  free(before);
  return failures;
}

int check_vector_functions(titan_device *device) {
  int failures = check_convert(device);
  for (int s = 0; s < SIZES; s++) {
    failures += check_simple(device, sizes[s]);
    for (int kind = 0; kind < 4; kind++)
      for (int decoupled = 0; decoupled < 2; decoupled++)
        failures += check_adam(device, sizes[s], decoupled, kind);
  }
  return failures;
}
