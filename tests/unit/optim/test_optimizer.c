// Property: the learning rate, Adam, AdamW, the clip and the norm are what their formulas say, on one rank and on
// meshes. Oracles: a table; float64 arithmetic element by element; a runtime of this rank alone. Tolerances: 1e-15 for
// the table; for each float32 step 1e-6 of the learning rate, 1e-6 of the value, and what rounding leaves of a gradient
// that cancels; 1e-5 relative for a norm whose gradients are sums over ranks in another order.
#include "../../mesh/device_test.h"
#include "../../mesh/parallel/small_model.h"

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
    double factor = titan_lr_factor(rows[i].finished, rows[i].warmup, rows[i].total);
    if (!(fabs(factor - rows[i].factor) <= 1e-15))
      fail_msg("after %d of %d steps, warm-up %d: %.17g, expected %.17g", (int)rows[i].finished, (int)rows[i].total,
               (int)rows[i].warmup, factor, rows[i].factor);
  }
  titan_optimizer_options options = {.learning_rate = 3e-4, .warmup_steps = 2, .total_steps = 10};
  assert_true(titan_optimizer_learning_rate(&options, 1) == 3e-4 / 3 ||
              fabs(titan_optimizer_learning_rate(&options, 1) - 1e-4) < 1e-19);
  assert_true(titan_optimizer_learning_rate(&options, 3) == 3e-4);
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
  g *= clip;
  double terms = fabs(g) + (o->decoupled ? 0 : o->weight_decay * fabs(*w));
  if (o->decoupled)
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
    titan_unit_clear_gaps(unit, unit->gradient);
    for (int64_t i = 0; i < unit->shard_elements; i++)
      squares += (double)unit->gradient[i] * unit->gradient[i];
  }
  return squares;
}

static void check_steps(bool decoupled, double max_norm, titan_dtype dtype) {
  titan_mesh *mesh = own_mesh();
  titan_runtime_options options = small_model_options(0, 1, dtype, TITAN_INTRA_NODE_AUTO);
  titan_runtime *runtime = runtime_on(mesh, &options);
  titan_optimizer_options optimizer = {.decoupled = decoupled,
                                       .learning_rate = 1e-2,
                                       .beta1 = 0.9,
                                       .beta2 = 0.95,
                                       .epsilon = 1e-8,
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
      fail_msg("step %d, %s, max_norm %g: off by %g tolerances", step, decoupled ? "AdamW" : "Adam", max_norm, worst);
  }
  for (int i = 0; i < 4; i++)
    titan_memory_free(states[i]);
  titan_runtime_destroy(&runtime);
  titan_mesh_destroy(&mesh);
}

static void steps_are_those_of_adam_and_adamw_in_float64(void **state) {
  (void)state;
  for (int decoupled = 0; decoupled < 2; decoupled++)
    for (int clipping = 0; clipping < 2; clipping++) {
      check_steps(decoupled, clipping ? 0.05 : 1e6, TITAN_FLOAT32);
      check_steps(decoupled, clipping ? 0.05 : 1e6, TITAN_BFLOAT16);
    }
}

// What lies between parameters in the flat vectors stays 0, so that it never adds to a norm.
static void gaps_stay_zero(void **state) {
  (void)state;
  titan_mesh *mesh = small_mesh(1);
  titan_runtime_options options = small_model_options(1, test_size(), TITAN_FLOAT32, TITAN_INTRA_NODE_AUTO);
  titan_runtime *runtime = runtime_on(mesh, &options);
  titan_optimizer_options optimizer = {.decoupled = false,
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
              (unit->gradient[i] == 0 && unit->master[i] == 0 && unit->exp_avg[i] == 0 && unit->exp_avg_sq[i] == 0);
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
  titan_optimizer_options optimizer = {.decoupled = true,
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
      cmocka_unit_test(steps_are_those_of_adam_and_adamw_in_float64),
      cmocka_unit_test(gaps_stay_zero),
      cmocka_unit_test(a_mesh_trains_as_one_rank_with_the_same_norm),
  };
  begin_mpi_tests(&argc, &argv);
  return end_mpi_tests(cmocka_run_group_tests(tests, begin_device, end_device));
}
