// SPDX-License-Identifier: Apache-2.0
// Property: the learning rate, Adam, AdamW, the clip and the norm are what their formulas say, on one rank and on
// meshes. Oracles: a table; float64 arithmetic element by element; a runtime of this rank alone. Tolerances: 1e-15 for
// the table; for each float32 step 1e-6 of the learning rate, 1e-6 of the value, and what rounding leaves of a gradient
// that cancels; 1e-5 relative for a norm whose gradients are sums over ranks in another order.
#include "device_test.h"
#include "small_model.h"

#include "optim/lr_schedule.h"
#include "optim/optimizer.h"

#include <math.h>
#include <string.h>

static void learning_rates_warm_up_and_decay_linearly(void **state) {
  (void)state;
  static const struct {
    int64_t finished, warmup, total;
    double factor;
  } rows[] = {
      {0, 0, 10, 1},
      {1, 0, 10, 0.9},
      {9, 0, 10, 0.1},
      {10, 0, 10, 0},
      {11, 0, 10, 0},
      {0, 2, 10, 1.0 / 3},
      {1, 2, 10, 2.0 / 3},
      {2, 2, 10, 1},
      {3, 2, 10, 0.875},
      {9, 2, 10, 0.125},
      {10, 2, 10, 0},
      {0, 200, 10, 1.0 / 201},
      {9, 200, 10, 10.0 / 201},
      {200, 200, 10, 1},
      {201, 200, 10, 0},
      {5, 5, 5, 1},
      {6, 5, 5, 0},
      {0, 0, 1, 1},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    double factor = titan_lr_factor(&(titan_lr_curve){0}, rows[i].finished, rows[i].warmup, rows[i].total);
    if (!(fabs(factor - rows[i].factor) <= 1e-15))
      fail_msg("after %d of %d steps, warm-up %d: %.17g, expected %.17g", (int)rows[i].finished, (int)rows[i].total,
               (int)rows[i].warmup, factor, rows[i].factor);
  }
  titan_optimizer_options options = {.learning_rate = 3e-4, .warmup_steps = 2, .total_steps = 10};
  assert_true(titan_optimizer_learning_rate(&options, 1) == 3e-4 / 3 ||
              fabs(titan_optimizer_learning_rate(&options, 1) - 1e-4) < 1e-19);
  assert_true(titan_optimizer_learning_rate(&options, 3) == 3e-4);
}

// Runs that were begun before there were other curves go on bitwise.
static void without_options_the_curve_is_bitwise_the_linear_one(void **state) {
  (void)state;
  for (int total = 1; total <= 40; total++)
    for (int warmup = 0; warmup <= 50; warmup++)
      for (int s = 0; s <= 100; s++) {
        double linear = 1.0 - (double)(s - warmup) / (total - warmup > 1 ? total - warmup : 1);
        double expected = s < warmup ? (double)(s + 1) / (warmup + 1) : linear > 0 ? linear : 0;
        if (titan_lr_factor(&(titan_lr_curve){0}, s, warmup, total) != expected)
          fail_msg("after %d of %d steps, warm-up %d: not %.17g", s, total, warmup, expected);
      }
}

#define NONE .has_decay_ratio = false
#define RATIO(r) .has_decay_ratio = true, .decay_ratio = (r)
#define LINEAR .decay = TITAN_LR_LINEAR
#define SQRT .decay = TITAN_LR_SQRT
#define COSINE .decay = TITAN_LR_COSINE

// What titan_lr_factor says it is, worked out by hand.
static void learning_rates_are_the_closed_forms_of_their_curves(void **state) {
  (void)state;
  static const struct {
    titan_lr_curve curve;
    int64_t finished, warmup, total;
    double factor;
  } rows[] = {
      // all steps after the warm-up decay
      {{SQRT, NONE}, 1, 2, 10, 2.0 / 3},
      {{SQRT, NONE}, 2, 2, 10, 1},
      {{SQRT, NONE}, 4, 2, 10, 0.5},                  // p = 1/4
      {{SQRT, NONE}, 9, 2, 10, 0.064585653306514654}, // p = 7/8
      {{SQRT, NONE}, 10, 2, 10, 0},
      {{COSINE, NONE}, 2, 2, 10, 1},
      {{COSINE, NONE}, 4, 2, 10, 0.85355339059327378}, // p = 1/4: (1 + sqrt(1/2)) / 2
      {{COSINE, NONE}, 6, 2, 10, 0.5},
      {{COSINE, NONE}, 10, 2, 10, 0},
      {{LINEAR, NONE, .minimum = 0.2}, 0, 2, 10, 1.0 / 3}, // the minimum is the decay's, not the warm-up's
      {{LINEAR, NONE, .minimum = 0.2}, 6, 2, 10, 0.6},
      {{LINEAR, NONE, .minimum = 0.2}, 9, 2, 10, 0.3},
      {{COSINE, NONE, .minimum = 0.5}, 6, 2, 10, 0.75},
      {{SQRT, NONE, .minimum = 1}, 9, 2, 10, 1},
      // warm-up, stable, decay
      {{LINEAR, RATIO(0.4)}, 1, 2, 10, 2.0 / 3},
      {{LINEAR, RATIO(0.4)}, 2, 2, 10, 1},
      {{LINEAR, RATIO(0.4)}, 6, 2, 10, 1}, // step 7, the last stable one
      {{LINEAR, RATIO(0.4)}, 7, 2, 10, 0.75},
      {{LINEAR, RATIO(0.4)}, 9, 2, 10, 0.25},
      {{LINEAR, RATIO(0.4)}, 10, 2, 10, 0},
      {{SQRT, RATIO(0.4)}, 7, 2, 10, 0.5},
      {{COSINE, RATIO(0.4), .minimum = 0.1}, 8, 2, 10, 0.55},
      {{LINEAR, RATIO(0.25)}, 9, 0, 10, 0.5},  // 2.5 steps: 2
      {{LINEAR, RATIO(0.35)}, 9, 0, 10, 0.25}, // 3.5 steps: 4
      {{LINEAR, RATIO(1)}, 5, 0, 10, 0.5},
      // warm-up and decay that are more than the total: the decay takes what the warm-up leaves
      {{LINEAR, RATIO(0.9)}, 4, 4, 8, 1},
      {{LINEAR, RATIO(0.9)}, 5, 4, 8, 0.75},
      {{LINEAR, RATIO(1)}, 7, 4, 8, 0.25},
      // one step
      {{LINEAR, NONE}, 0, 0, 1, 1},
      {{COSINE, NONE, .minimum = 0.1}, 0, 0, 1, 1},
      {{COSINE, NONE, .minimum = 0.1}, 1, 0, 1, 0.1},
      {{LINEAR, RATIO(1)}, 0, 0, 1, 1},
      {{LINEAR, RATIO(1)}, 0, 1, 1, 0.5},
      // a warm-up of all steps or more
      {{SQRT, NONE, .minimum = 0.1}, 9, 10, 10, 10.0 / 11},
      {{SQRT, NONE, .minimum = 0.1}, 10, 10, 10, 1},
      {{SQRT, NONE, .minimum = 0.1}, 11, 10, 10, 0.1},
      {{LINEAR, RATIO(0.5), .minimum = 0.1}, 9, 200, 10, 10.0 / 201},
      {{LINEAR, RATIO(0.5), .minimum = 0.1}, 201, 200, 10, 0.1},
      // a decay of 0 steps
      {{LINEAR, RATIO(0), .minimum = 0.1}, 9, 2, 10, 1},
      {{LINEAR, RATIO(0), .minimum = 0.1}, 1000, 2, 10, 1},
      {{COSINE, RATIO(0.01), .minimum = 0.1}, 9, 2, 10, 1}, // 0.1 steps: 0
      // a run that resumes behind the curve's total
      {{LINEAR, NONE, .minimum = 0.1}, 10, 2, 10, 0.1},
      {{LINEAR, NONE, .minimum = 0.1}, 500, 2, 10, 0.1},
      {{SQRT, RATIO(0.4), .minimum = 0.1}, 500, 2, 10, 0.1},
      {{COSINE, RATIO(0.4), .minimum = 0.1}, 11, 2, 10, 0.1}, // and does not rise again
      {{COSINE, NONE}, 500, 2, 10, 0},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    double factor = titan_lr_factor(&rows[i].curve, rows[i].finished, rows[i].warmup, rows[i].total);
    if (!(fabs(factor - rows[i].factor) <= 1e-15))
      fail_msg("row %d: after %d of %d steps, warm-up %d: %.17g, expected %.17g", (int)i, (int)rows[i].finished,
               (int)rows[i].total, (int)rows[i].warmup, factor, rows[i].factor);
  }
  titan_optimizer_options options = {
      .learning_rate = 2, .warmup_steps = 2, .total_steps = 10, .curve = {COSINE, NONE, .minimum = 0.5}};
  assert_true(fabs(titan_optimizer_learning_rate(&options, 7) - 1.5) <= 1e-15);
}

static titan_runtime *runtime_on(titan_mesh *mesh, const titan_runtime_options *options) {
  titan_runtime *runtime;
  expect_on_all(titan_runtime_plan(options, mesh, device, &runtime) == TITAN_OK);
  expect_on_all(titan_runtime_allocate(runtime) == TITAN_OK);
  expect_on_all(titan_runtime_initialize(runtime, 7) == TITAN_OK);
  return runtime;
}

static titan_mesh *own_mesh(void) {
  titan_mesh *mesh = NULL;
  expect_on_all(titan_mesh_create(MPI_COMM_SELF, (titan_mesh_degrees){1, 1, 1, 1, 1}, &mesh) == TITAN_OK);
  return mesh;
}

// --- against float64 ---

// Returns how far float32 may be off: two roundings of the gradient's terms, which may cancel, over what they are
// divided by.
static double reference_step(const titan_optimizer_options *o, int step, double clip, double g, double *w, double *m,
                             double *v) {
  double lr = titan_optimizer_learning_rate(o, step);
  bool decoupled = strcmp(o->rule->name, "AdamW") == 0;
  g *= clip;
  double terms = fabs(g) + (decoupled ? 0 : o->weight_decay * fabs(*w));
  if (strcmp(o->rule->name, "SGD") == 0) {
    *m = o->momentum * *m + g + o->weight_decay * *w;
    *w -= lr * *m;
    *v += 2e-7 * terms; // what rounding leaves in the momentum
    return lr * (*v + 2e-7 * fabs(*m));
  }
  if (decoupled)
    *w -= lr * o->weight_decay * *w;
  else
    g += o->weight_decay * *w;
  *m = o->beta1 * *m + (1 - o->beta1) * g;
  *v = o->beta2 * *v + (1 - o->beta2) * g * g;
  double m_hat = *m / (1 - pow(o->beta1, step)), v_hat = *v / (1 - pow(o->beta2, step));
  *w -= lr * m_hat / (sqrt(v_hat) + o->epsilon);
  return lr * 2e-7 * terms / (sqrt(v_hat) + o->epsilon);
}

// Gradients of some size, a few of them 0; gaps stay 0.
static double set_gradients(titan_runtime *runtime, int step, double size) {
  double squares = 0;
  for (int u = 0; u < titan_runtime_unit_count(runtime); u++) {
    titan_unit *unit = titan_runtime_unit(runtime, u);
    for (int64_t i = 0; i < unit->shard_elements; i++)
      unit->gradient[i] = i % 13 == 5 ? 0 : (float)(size * sin((double)(i * 17 + u * 5 + step * 31)));
    assert_int_equal(titan_unit_clear_gaps(unit, device, unit->gradient), TITAN_OK);
    for (int64_t i = 0; i < unit->shard_elements; i++)
      squares += (double)unit->gradient[i] * unit->gradient[i];
  }
  return squares;
}

static void check_steps(const char *name, double max_norm, titan_dtype dtype) {
  titan_mesh *mesh = own_mesh();
  titan_runtime_options options = small_model_options(0, 1, dtype, TITAN_INTRA_NODE_AUTO);
  titan_runtime *runtime = runtime_on(mesh, &options);
  titan_optimizer_options optimizer = {.rule = titan_optimizer_rule_find(name),
                                       .learning_rate = 1e-2,
                                       .beta1 = 0.9,
                                       .beta2 = 0.95,
                                       .epsilon = 1e-8,
                                       .momentum = 0.8,
                                       .weight_decay = 0.1,
                                       .max_norm = max_norm,
                                       .warmup_steps = 2,
                                       .total_steps = 10};
  int units = titan_runtime_unit_count(runtime);
  int64_t elements = 0;
  for (int u = 0; u < units; u++)
    elements += titan_runtime_unit(runtime, u)->shard_elements;
  double *states[4]; // weights, moments, tolerances
  for (int i = 0; i < 4; i++)
    expect_on_all(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, (size_t)elements, sizeof(double), &states[i]) ==
                  TITAN_OK);
  for (int64_t u = 0, at = 0; u < units; at += titan_runtime_unit(runtime, (int)u)->shard_elements, u++)
    for (int64_t i = 0; i < titan_runtime_unit(runtime, (int)u)->shard_elements; i++)
      states[0][at + i] = titan_runtime_unit(runtime, (int)u)->master[i];
  for (int step = 1; step <= 5; step++) {
    double squares = set_gradients(runtime, step, 0.01 * step);
    double given = titan_optimizer_sum_of_squares(runtime), norm = sqrt(squares);
    if (!(fabs(given - squares) <= 1e-12 * squares))
      fail_msg("sum of squares %.15g, expected %.15g", given, squares);
    double clip = fmin(1, max_norm / (norm + 1e-6));
    bool clipped = clip < 1;
    assert_int_equal(clipped, max_norm < 1); // the test has both
    expect_on_all(titan_optimizer_step(runtime, &optimizer, step, norm) == TITAN_OK);
    double worst = 0;
    for (int64_t u = 0, at = 0; u < units; at += titan_runtime_unit(runtime, (int)u)->shard_elements, u++) {
      const titan_unit *unit = titan_runtime_unit(runtime, (int)u);
      for (int64_t i = 0; i < unit->shard_elements; i++) {
        double *w = &states[0][at + i];
        double *tolerance = &states[3][at + i];
        *tolerance +=
            reference_step(&optimizer, step, clip, unit->gradient[i], w, &states[1][at + i], &states[2][at + i]);
        *tolerance += 1e-6 * optimizer.learning_rate;
        double error = fabs(unit->master[i] - *w) / (*tolerance + 1e-6 * fabs(*w));
        worst = error > worst || isnan(error) ? error : worst;
        if (dtype == TITAN_BFLOAT16)
          assert_int_equal(((titan_bf16 *)unit->compute)[i], titan_bf16_from_float(unit->master[i]));
      }
    }
    if (!(worst <= 1))
      fail_msg("step %d, %s, max_norm %g: off by %g tolerances", step, name, max_norm, worst);
  }
  for (int i = 0; i < 4; i++)
    titan_memory_free(states[i]);
  titan_runtime_destroy(&runtime);
  titan_mesh_destroy(&mesh);
}

static void steps_are_those_of_each_optimizer_in_float64(void **state) {
  (void)state;
  static const char *const names[] = {"Adam", "AdamW", "SGD"};
  for (int i = 0; i < 3; i++)
    for (int clipping = 0; clipping < 2; clipping++) {
      check_steps(names[i], clipping ? 0.05 : 1e6, TITAN_FLOAT32);
      check_steps(names[i], clipping ? 0.05 : 1e6, TITAN_BFLOAT16);
    }
}

// Weights of the roles named do not decay, all others do; without gradients decay is all that happens.
static void parameters_of_some_roles_do_not_decay(void **state) {
  (void)state;
  titan_mesh *mesh = small_mesh(1);
  titan_runtime_options options = small_model_options(0, test_size(), TITAN_FLOAT32, TITAN_INTRA_NODE_AUTO);
  titan_runtime *runtime = runtime_on(mesh, &options);
  unsigned norm = 0, embedding = 0;
  assert_true(titan_optimizer_role_find("norm", 4, &norm) && titan_optimizer_role_find("embedding", 9, &embedding));
  titan_optimizer_options optimizer = {.rule = titan_optimizer_rule_find("AdamW"),
                                       .learning_rate = 0.5,
                                       .beta1 = 0.9,
                                       .beta2 = 0.95,
                                       .epsilon = 1e-8,
                                       .weight_decay = 0.5,
                                       .no_decay = norm | embedding,
                                       .max_norm = 1,
                                       .total_steps = 1000000};
  bool good = true;
  int kept = 0, decayed = 0;
  float *before[8];
  for (int u = 0; u < titan_runtime_unit_count(runtime); u++) {
    titan_unit *unit = titan_runtime_unit(runtime, u);
    size_t bytes = (size_t)unit->shard_elements * sizeof(float);
    memset(unit->gradient, 0, bytes);
    good &= titan_memory_allocate(TITAN_MEMORY_GENERAL, bytes, &before[u]) == TITAN_OK;
    memcpy(before[u], unit->master, bytes);
  }
  expect_on_all(good);
  expect_on_all(titan_optimizer_step(runtime, &optimizer, 1, 0) == TITAN_OK);
  for (int u = 0; u < titan_runtime_unit_count(runtime); u++) {
    const titan_unit *unit = titan_runtime_unit(runtime, u);
    for (int p = 0; p < unit->plan->parameter_count; p++) {
      titan_unit_slice slice;
      const char *name = unit->plan->parameters[p].name;
      bool keeps = strstr(name, "norm") != NULL || strstr(name, "embeddings") != NULL;
      for (int64_t i = 0; titan_unit_slice_of(unit, p, &slice) && i < slice.count; i++) {
        float old = before[u][slice.first_in_shard + i], now = unit->master[slice.first_in_shard + i];
        good &= keeps ? now == old : now == old * 0.75f;
        kept += keeps;
        decayed += !keeps;
      }
    }
    titan_memory_free(before[u]);
  }
  expect_on_all(good && kept + decayed > 0);
  titan_runtime_destroy(&runtime);
  titan_mesh_destroy(&mesh);
}

// What lies between parameters in the flat vectors stays 0, so that it never adds to a norm.
static void gaps_stay_zero(void **state) {
  (void)state;
  titan_mesh *mesh = small_mesh(1);
  titan_runtime_options options = small_model_options(1, test_size(), TITAN_FLOAT32, TITAN_INTRA_NODE_AUTO);
  titan_runtime *runtime = runtime_on(mesh, &options);
  titan_optimizer_options optimizer = {.rule = titan_optimizer_rule_find("Adam"),
                                       .learning_rate = 1,
                                       .beta1 = 0.9,
                                       .beta2 = 0.95,
                                       .epsilon = 1e-8,
                                       .weight_decay = 0.1,
                                       .max_norm = 1,
                                       .total_steps = 10};
  double loss;
  bool zero = true;
  int gaps = 0;
  for (int step = 1; step <= 2; step++) {
    small_model_batch(runtime, step, test_rank());
    expect_on_all(titan_runtime_step(runtime, &loss) == TITAN_OK);
    expect_on_all(titan_optimizer_step(runtime, &optimizer, step, 1) == TITAN_OK);
  }
  for (int u = 0; u < titan_runtime_unit_count(runtime); u++) {
    const titan_unit *unit = titan_runtime_unit(runtime, u);
    for (int64_t i = 0; i < unit->shard_elements; i++) {
      bool inside = false;
      for (int p = 0; p < unit->plan->parameter_count; p++) {
        const titan_plan_parameter *parameter = &unit->plan->parameters[p];
        inside |= unit->first + i >= parameter->first && unit->first + i < parameter->first + parameter->elements;
      }
      gaps += !inside;
      zero &= inside ||
              (unit->gradient[i] == 0 && unit->master[i] == 0 && unit->slots[0][i] == 0 && unit->slots[1][i] == 0);
    }
  }
  expect_on_all(zero);
  int all = 0;
  MPI_Allreduce(&gaps, &all, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
  expect_on_all(all > 0); // there are some to look at
  titan_runtime_destroy(&runtime);
  titan_mesh_destroy(&mesh);
}

// --- on meshes ---

static void check_mesh(int replicate) {
  titan_mesh *mesh = small_mesh(replicate), *self = own_mesh();
  titan_runtime_options options = small_model_options(2, test_size(), TITAN_FLOAT32, TITAN_INTRA_NODE_AUTO);
  titan_runtime_options alone_options = small_model_options(2, 1, TITAN_FLOAT32, TITAN_INTRA_NODE_AUTO);
  titan_runtime *runtime = runtime_on(mesh, &options), *alone = runtime_on(self, &alone_options);
  titan_optimizer_options optimizer = {.rule = titan_optimizer_rule_find("AdamW"),
                                       .learning_rate = 1e-2,
                                       .beta1 = 0.9,
                                       .beta2 = 0.95,
                                       .epsilon = 1e-8,
                                       .weight_decay = 0.1,
                                       .max_norm = 0.5,
                                       .total_steps = 10};
  for (int step = 1; step <= 4; step++) {
    double loss, alone_loss, sum = 0;
    small_model_batch(runtime, step, titan_comm_rank(titan_mesh_comm(mesh, TITAN_MESH_DP)));
    small_model_batch(alone, step, 0);
    expect_on_all(titan_runtime_step(runtime, &loss) == TITAN_OK);
    expect_on_all(titan_runtime_step(alone, &alone_loss) == TITAN_OK);
    double mine = titan_optimizer_sum_of_squares(runtime), all = 0, expected = titan_optimizer_sum_of_squares(alone);
    titan_comm *shard = titan_mesh_comm(mesh, TITAN_MESH_DP_SHARD_CP), *dp = titan_mesh_comm(mesh, TITAN_MESH_DP);
    expect_on_all(titan_comm_all_reduce(shard, &mine, &all, 1, TITAN_FLOAT64, TITAN_SUM, NULL) == TITAN_OK);
    expect_on_all(titan_comm_all_reduce(dp, &loss, &sum, 1, TITAN_FLOAT64, TITAN_SUM, NULL) == TITAN_OK);
    expect_on_all(fabs(sqrt(all) - sqrt(expected)) <= 1e-5 * sqrt(expected));
    expect_on_all(fabs(sum - alone_loss) <= 1e-5 * alone_loss);
    expect_on_all(sqrt(expected) > 0.5); // so that the clip matters
    expect_on_all(titan_optimizer_step(runtime, &optimizer, step, sqrt(all)) == TITAN_OK);
    expect_on_all(titan_optimizer_step(alone, &optimizer, step, sqrt(expected)) == TITAN_OK);
  }
  titan_runtime_destroy(&runtime);
  titan_runtime_destroy(&alone);
  titan_mesh_destroy(&mesh);
  titan_mesh_destroy(&self);
}

static void a_mesh_trains_as_one_rank_with_the_same_norm(void **state) {
  (void)state;
  for (int replicate = 1; replicate <= test_size(); replicate++)
    if (test_size() % replicate == 0)
      check_mesh(replicate);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(learning_rates_warm_up_and_decay_linearly),
      cmocka_unit_test(without_options_the_curve_is_bitwise_the_linear_one),
      cmocka_unit_test(learning_rates_are_the_closed_forms_of_their_curves),
      cmocka_unit_test(steps_are_those_of_each_optimizer_in_float64),
      cmocka_unit_test(parameters_of_some_roles_do_not_decay),
      cmocka_unit_test(gaps_stay_zero),
      cmocka_unit_test(a_mesh_trains_as_one_rank_with_the_same_norm),
  };
  begin_mpi_tests(&argc, &argv);
  return end_mpi_tests(cmocka_run_group_tests(tests, begin_device, end_device));
}
