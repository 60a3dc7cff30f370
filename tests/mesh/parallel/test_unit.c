// SPDX-License-Identifier: Apache-2.0
// Property: over the ranks of a group, the shards of a unit hold every element of every parameter exactly once. Oracle:
// counting. Tolerance: none.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include "base/memory.h"
#include "fake_units.h"

#include <string.h>

enum { MOST = 4096, RANKS = 17 };

static void check_partition(int unit_index, int ranks) {
  static int owners[FAKE_PARAMETERS][MOST];
  memset(owners, 0, sizeof owners);
  int64_t shard = -1;
  for (int rank = 0; rank < ranks; rank++) {
    fake_units fake;
    fake_units_create(&fake, 1, rank, ranks);
    const titan_unit *unit = &fake.units[unit_index];
    assert_true(shard < 0 || shard == unit->shard_elements);
    shard = unit->shard_elements;
    assert_int_equal(unit->shard_elements % TITAN_PARAMETER_ALIGNMENT, 0);
    assert_int_equal(unit->flat_elements, unit->shard_elements * ranks);
    assert_int_equal(unit->first, unit->shard_elements * rank);
    // padding is less than an alignment for each rank
    assert_true(unit->flat_elements >= unit->plan->flat_elements);
    assert_true(unit->flat_elements - unit->plan->flat_elements < (int64_t)ranks * TITAN_PARAMETER_ALIGNMENT);
    for (int p = 0; p < unit->plan->parameter_count; p++) {
      titan_unit_slice slice;
      if (!titan_unit_slice_of(unit, p, &slice))
        continue;
      assert_ptr_equal(slice.parameter, &unit->plan->parameters[p]);
      assert_true(slice.count > 0 && slice.first_in_parameter >= 0 && slice.first_in_shard >= 0);
      assert_true(slice.first_in_parameter + slice.count <= slice.parameter->elements);
      assert_true(slice.first_in_shard + slice.count <= unit->shard_elements);
      // the same element of the flat vector, seen from the parameter and from the shard
      assert_int_equal(slice.parameter->first + slice.first_in_parameter, unit->first + slice.first_in_shard);
      for (int64_t i = 0; i < slice.count; i++)
        owners[p][slice.first_in_parameter + i]++;
    }
  }
  fake_units fake;
  fake_units_create(&fake, 1, 0, ranks);
  for (int p = 0; p < fake.plans[unit_index].parameter_count; p++)
    for (int64_t i = 0; i < fake.parameters[unit_index][p].elements; i++)
      assert_int_equal(owners[p][i], 1);
}

static void every_element_has_one_owner_on_any_number_of_ranks(void **state) {
  (void)state;
  for (int ranks = 1; ranks <= RANKS; ranks++)
    for (int unit = 0; unit < FAKE_UNITS; unit++)
      check_partition(unit, ranks);
}

// Without data: one parameter of more elements than 32 bits count.
static void units_beyond_32_bits_are_cut_without_gap_or_overlap(void **state) {
  (void)state;
  static const int64_t sizes[] = {((int64_t)1 << 31) - 1, (int64_t)1 << 31, ((int64_t)1 << 31) + 1, (int64_t)1 << 33};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
    for (int ranks = 1; ranks <= 5; ranks += 2) {
      titan_plan_parameter parameters[2];
      titan_plan plan = {.parameters = parameters};
      int64_t first_in_flat = 0, next = 0;
      fake_plan_add(&plan, 100); // the large one begins behind it
      fake_plan_add(&plan, sizes[s]);
      for (int rank = 0; rank < ranks; rank++) {
        titan_unit unit;
        titan_unit_slice slice;
        titan_unit_lay_out(&unit, "", &plan, rank, ranks);
        assert_true(unit.first == first_in_flat && unit.shard_elements > 0);
        first_in_flat += unit.shard_elements;
        if (!titan_unit_slice_of(&unit, 1, &slice))
          continue;
        assert_true(slice.first_in_parameter == next && slice.count > 0);
        assert_true(slice.first_in_shard == (rank == 0 ? 128 : 0));
        next += slice.count;
      }
      assert_true(next == sizes[s]);
      assert_true(first_in_flat >= plan.flat_elements);
    }
}

static void gaps_are_cleared_and_parameters_are_not(void **state) {
  (void)state;
  static float flat[2 * MOST];
  titan_device *device;
  assert_int_equal(titan_device_create_cpu(1, &device), TITAN_OK);
  for (int ranks = 1; ranks <= RANKS; ranks++) {
    fake_units fake;
    fake_units_create(&fake, 1, 0, ranks);
    for (int u = 0; u < FAKE_UNITS; u++) {
      const titan_unit *unit = &fake.units[u];
      assert_true(unit->flat_elements + 1 <= 2 * MOST);
      for (int64_t i = 0; i <= unit->flat_elements; i++)
        flat[i] = 7;
      assert_int_equal(titan_unit_clear_gaps(unit, device, flat), TITAN_OK);
      for (int64_t i = 0; i < unit->flat_elements; i++)
        assert_true(flat[i] == (fake_unit_has(unit, i) ? 7 : 0));
      assert_true(flat[unit->flat_elements] == 7);
    }
  }
  titan_device_destroy(&device);
}

static void a_long_prefix_stays_whole(void **state) {
  (void)state;
  fake_units fake;
  titan_unit unit;
  fake_units_create(&fake, 1, 0, 1);
  titan_unit_lay_out(&unit, "layers.1000000.", &fake.plans[0], 0, 1);
  assert_string_equal(unit.prefix, "layers.1000000.");
  assert_true(unit.master == NULL && unit.slots[0] == NULL && unit.gradient == NULL && unit.compute == NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_element_has_one_owner_on_any_number_of_ranks),
      cmocka_unit_test(units_beyond_32_bits_are_cut_without_gap_or_overlap),
      cmocka_unit_test(gaps_are_cleared_and_parameters_are_not),
      cmocka_unit_test(a_long_prefix_stays_whole),
  };
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  return failures != 0 || titan_memory_report_leaks() != 0;
}
