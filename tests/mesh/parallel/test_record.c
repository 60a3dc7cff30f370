// SPDX-License-Identifier: Apache-2.0
// Recorded steps of a runtime. Property: the host asks for a recorded step once, and again where its list has changed;
// each replay gives the gradients of its own batch. Oracle: the same steps without a recording, to the bit. Where steps
// cannot be recorded, the reason says so.
#include "device_test.h"
#include "small_model.h"

#include "device/queue.h"
#include "parallel/runtime_private.h"
#include "parallel/shard_view.h"

#include <stdlib.h>
#include <string.h>

enum { BATCHES = 3 };

typedef struct fixture {
  titan_mesh *mesh;
  titan_runtime *runtime;
  int64_t elements;
  float *gradients[BATCHES], *got; // of all units
  int asked;
  bool fails;
} fixture;

static fixture create(void) {
  titan_runtime_options options = small_model_options(0, test_size(), TITAN_FLOAT32, TITAN_INTRA_NODE_MPI);
  fixture f = {.mesh = small_mesh(1)};
  options.shape.batch /= 2;
  options.microbatches = 2;
  expect_on_all(titan_runtime_plan(&options, f.mesh, device, &f.runtime) == TITAN_OK);
  expect_on_all(titan_runtime_allocate(f.runtime) == TITAN_OK);
  expect_on_all(titan_runtime_initialize(f.runtime, 42) == TITAN_OK);
  for (int unit = 0; unit < titan_runtime_unit_count(f.runtime); unit++)
    f.elements += titan_runtime_unit(f.runtime, unit)->shard_elements;
  for (int batch = 0; batch < BATCHES; batch++)
    f.gradients[batch] = malloc((size_t)f.elements * sizeof(float));
  f.got = malloc((size_t)f.elements * sizeof(float));
  return f;
}

static void destroy(fixture *f) {
  for (int batch = 0; batch < BATCHES; batch++)
    free(f->gradients[batch]);
  free(f->got);
  titan_runtime_destroy(&f->runtime);
  titan_mesh_destroy(&f->mesh);
}

static titan_status ask(void *context) {
  fixture *f = context;
  f->asked++;
  TITAN_TRY(titan_runtime_step(f->runtime, NULL));
  TITAN_TRY(titan_runtime_publish(f->runtime));
  return f->fails ? titan_error(TITAN_ERROR_DEVICE, "this cannot be recorded") : TITAN_OK;
}

static void set_batch(fixture *f, int batch) {
  expect_on_all(titan_runtime_next_batch(f->runtime) == TITAN_OK);
  small_model_batch(f->runtime, batch, test_rank());
}

static void read_gradients(const fixture *f, float *to) {
  titan_shard_view view;
  bool good = true;
  for (int i = 0; i < titan_runtime_unit_count(f->runtime) && good; i++) {
    const titan_unit *unit = titan_runtime_unit(f->runtime, i);
    good = titan_shard_view_open(device, unit->gradient, unit->shard_elements, TITAN_ACCESS_READ, TITAN_MEMORY_GENERAL,
                                 &view) == TITAN_OK;
    if (good)
      memcpy(to, view.values, (size_t)unit->shard_elements * sizeof(float));
    good = good && titan_shard_view_close(&view) == TITAN_OK;
    to += unit->shard_elements;
  }
  expect_on_all(good);
}

static bool is_gradient_of(const fixture *f, int batch) {
  read_gradients(f, f->got);
  return memcmp(f->got, f->gradients[batch], (size_t)f->elements * sizeof(float)) == 0;
}

static void replay(fixture *f, int batch) {
  set_batch(f, batch);
  expect_on_all(titan_runtime_replays(f->runtime));
  expect_on_all(titan_runtime_replay(f->runtime, ask, f) == TITAN_OK);
  expect_on_all(is_gradient_of(f, batch));
}

static bool records(void) {
  return device->queues != NULL && device->queues->record != NULL;
}

static void a_device_without_recordings_says_so(void **state) {
  (void)state;
  fixture f = create();
  titan_recording_obstacle obstacle = titan_runtime_recording_obstacle(f.runtime);
  expect_on_all(obstacle == (records() ? TITAN_RECORDING_POSSIBLE : TITAN_RECORDING_NO_QUEUE));
  expect_on_all(!titan_runtime_replays(f.runtime));
  titan_executor_synchronous(true);
  obstacle = titan_runtime_recording_obstacle(f.runtime);
  titan_executor_synchronous(false);
  expect_on_all(obstacle == (records() ? TITAN_RECORDING_SYNCHRONOUS : TITAN_RECORDING_NO_QUEUE));
  destroy(&f);
}

static void replays_give_the_gradients_of_their_batches(void **state) {
  (void)state;
  fixture f = create();
  if (records())
    titan_runtime_record_steps(f.runtime);
  expect_on_all(!titan_runtime_replays(f.runtime)); // the first step is none
  for (int batch = 0; batch < BATCHES; batch++) {
    set_batch(&f, batch);
    expect_on_all(ask(&f) == TITAN_OK);
    read_gradients(&f, f.gradients[batch]);
  }
  expect_on_all(memcmp(f.gradients[0], f.gradients[1], (size_t)f.elements * sizeof(float)) != 0);
  f.asked = 0;
  for (int batch = 0; batch < 2 * BATCHES && records(); batch++)
    replay(&f, batch % BATCHES);
  expect_on_all(f.asked == records());
  destroy(&f);
}

static void a_changed_list_is_recorded_again(void **state) {
  (void)state;
  fixture f = create();
  if (records())
    titan_runtime_record_steps(f.runtime);
  set_batch(&f, 0);
  expect_on_all(ask(&f) == TITAN_OK);
  read_gradients(&f, f.gradients[0]);
  f.asked = 0;
  for (int time = 0; time < 3 && records(); time++) {
    expect_on_all(titan_device_drain(device) == TITAN_OK);
    expect_on_all(titan_runtime_list_create(f.runtime, STEP_TRAINING) == TITAN_OK);
    replay(&f, 0);
    replay(&f, 0);
    expect_on_all(f.asked == time + 1);
  }
  destroy(&f);
}

static void what_cannot_be_recorded_is_an_error_of_all_ranks(void **state) {
  (void)state;
  fixture f = create();
  if (records())
    titan_runtime_record_steps(f.runtime);
  set_batch(&f, 0);
  expect_on_all(ask(&f) == TITAN_OK);
  read_gradients(&f, f.gradients[0]);
  f.fails = test_rank() == 0;
  if (records()) {
    set_batch(&f, 0);
    expect_on_all(titan_runtime_replay(f.runtime, ask, &f) == TITAN_ERROR_DEVICE);
    expect_on_all(strstr(titan_error_message(), "a step cannot be recorded: this cannot be recorded") != NULL);
    f.fails = false;
    replay(&f, 0);
  }
  destroy(&f);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_device_without_recordings_says_so),
      cmocka_unit_test(replays_give_the_gradients_of_their_batches),
      cmocka_unit_test(a_changed_list_is_recorded_again),
      cmocka_unit_test(what_cannot_be_recorded_is_an_error_of_all_ranks),
  };
  begin_mpi_tests(&argc, &argv);
  return end_mpi_tests(cmocka_run_group_tests(tests, begin_device, end_device));
}
