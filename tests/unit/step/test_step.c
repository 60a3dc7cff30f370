// SPDX-License-Identifier: Apache-2.0
// Property: a step's list is what its schedule and shape ask for, as text, and runs right in the memory that is planned
// for it. Oracle: lists written by hand; a toy model whose results are computed without a list. Tolerance: none.
#include "leaks.h"
#include "toy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void expect_text(const toy *t, const char *expected) {
  titan_step_list list;
  titan_text text = {0};
  assert_int_equal(titan_step_lower(&t->order, &t->shape, 0, &list), TITAN_OK);
  assert_int_equal(titan_step_check(&t->order, &t->shape, &list), TITAN_OK);
  assert_int_equal(titan_step_print(&list, &t->shape, &text), TITAN_OK);
  assert_string_equal(text.data, expected);
  assert_true(toy_run(t, &list));
  titan_text_destroy(&text);
  titan_step_list_destroy(&list);
}

static void a_plain_step_gathers_one_unit_ahead_and_keeps_two_reductions_in_flight(void **state) {
  (void)state;
  toy t;
  toy_create(&t, 4, 1, true);
  expect_text(&t, "#0     LOAD m0\n"
                  "#1     GATHER embedding\n"
                  "#2     GATHER layers.0\n"
                  "#3     RUN embedding forward m0\n"
                  "#4     RELEASE embedding\n"
                  "#5     GATHER layers.1\n"
                  "#6     RUN layers.0 forward m0\n"
                  "#7     RELEASE layers.0\n"
                  "#8     GATHER head\n"
                  "#9     RUN layers.1 forward m0\n"
                  "#10    RUN head forward+backward m0 set last\n"
                  "#11    RELEASE head\n"
                  "#12    REDUCE head m0 set last\n"
                  "#13    GATHER layers.0\n"
                  "#14    RUN layers.1 backward m0 set last\n"
                  "#15    RELEASE layers.1\n"
                  "#16    REDUCE layers.1 m0 set last\n"
                  "#17    GATHER embedding\n"
                  "#18    RUN layers.0 backward m0 set last after #12\n"
                  "#19    RELEASE layers.0\n"
                  "#20    REDUCE layers.0 m0 set last\n"
                  "#21    RUN embedding backward m0 set last after #16\n"
                  "#22    RELEASE embedding\n"
                  "#23    REDUCE embedding m0 set last\n"
                  "#24    UPDATE embedding after #23\n"
                  "#25    UPDATE layers.0\n"
                  "#26    UPDATE layers.1\n"
                  "#27    UPDATE head\n");
  toy_destroy(&t);
}

static void a_unit_is_not_gathered_for_a_run_that_reads_none_of_its_parameters(void **state) {
  (void)state;
  toy t;
  toy_create(&t, 3, 1, true);
  t.units[0].leaves_parameters[TITAN_COMPUTE_BACKWARD] = true;
  expect_text(&t, "#0     LOAD m0\n"
                  "#1     GATHER embedding\n"
                  "#2     GATHER layers.0\n"
                  "#3     RUN embedding forward m0\n"
                  "#4     RELEASE embedding\n"
                  "#5     GATHER head\n"
                  "#6     RUN layers.0 forward m0\n"
                  "#7     RUN head forward+backward m0 set last\n"
                  "#8     RELEASE head\n"
                  "#9     REDUCE head m0 set last\n"
                  "#10    RUN layers.0 backward m0 set last\n"
                  "#11    RELEASE layers.0\n"
                  "#12    REDUCE layers.0 m0 set last\n"
                  "#13    RUN embedding backward m0 set last after #9\n"
                  "#14    REDUCE embedding m0 set last\n"
                  "#15    UPDATE embedding after #14\n"
                  "#16    UPDATE layers.0\n"
                  "#17    UPDATE head\n");
  toy_destroy(&t);
}

static void parameters_that_are_whole_are_neither_gathered_nor_released(void **state) {
  (void)state;
  toy t;
  toy_create(&t, 3, 1, true);
  t.shape.gathers = false;
  expect_text(&t, "#0     LOAD m0\n"
                  "#1     RUN embedding forward m0\n"
                  "#2     RUN layers.0 forward m0\n"
                  "#3     RUN head forward+backward m0 set last\n"
                  "#4     REDUCE head m0 set last\n"
                  "#5     RUN layers.0 backward m0 set last\n"
                  "#6     REDUCE layers.0 m0 set last\n"
                  "#7     RUN embedding backward m0 set last after #4\n"
                  "#8     REDUCE embedding m0 set last\n"
                  "#9     UPDATE embedding after #8\n"
                  "#10    UPDATE layers.0\n"
                  "#11    UPDATE head\n");
  toy_destroy(&t);
}

static void microbatches_are_reduced_each_or_added_up_and_reduced_last(void **state) {
  (void)state;
  toy t;
  toy_create(&t, 2, 2, true);
  t.shape.gathers = false;
  expect_text(&t, "#0     LOAD m0\n"
                  "#1     RUN embedding forward m0\n"
                  "#2     RUN head forward+backward m0 set\n"
                  "#3     REDUCE head m0 set\n"
                  "#4     RUN embedding backward m0 set\n"
                  "#5     REDUCE embedding m0 set\n"
                  "#6     LOAD m1\n"
                  "#7     RUN embedding forward m1\n"
                  "#8     RUN head forward+backward m1 set last after #3\n"
                  "#9     REDUCE head m1 add last\n"
                  "#10    RUN embedding backward m1 set last after #5\n"
                  "#11    REDUCE embedding m1 add last\n"
                  "#12    UPDATE embedding after #11\n"
                  "#13    UPDATE head\n");
  t.shape.reduce = TITAN_REDUCE_LAST;
  expect_text(&t, "#0     LOAD m0\n"
                  "#1     RUN embedding forward m0\n"
                  "#2     RUN head forward+backward m0 set\n"
                  "#3     RUN embedding backward m0 set\n"
                  "#4     LOAD m1\n"
                  "#5     RUN embedding forward m1\n"
                  "#6     RUN head forward+backward m1 add last\n"
                  "#7     REDUCE head m1 set last\n"
                  "#8     RUN embedding backward m1 add last\n"
                  "#9     REDUCE embedding m1 set last\n"
                  "#10    UPDATE embedding after #9\n"
                  "#11    UPDATE head\n");
  toy_destroy(&t);
}

static void an_early_update_follows_the_last_reduction_of_a_unit(void **state) {
  (void)state;
  toy t;
  toy_create(&t, 4, 1, true);
  t.shape.gathers = false;
  t.shape.early_update = true;
  t.sizes.own_shards = false;
  expect_text(&t, "#0     LOAD m0\n"
                  "#1     RUN embedding forward m0\n"
                  "#2     RUN layers.0 forward m0\n"
                  "#3     RUN layers.1 forward m0\n"
                  "#4     RUN head forward+backward m0 set last\n"
                  "#5     REDUCE head m0 set last\n"
                  "#6     RUN layers.1 backward m0 set last\n"
                  "#7     REDUCE layers.1 m0 set last\n"
                  "#8     UPDATE head after #5\n"
                  "#9     RUN layers.0 backward m0 set last\n"
                  "#10    REDUCE layers.0 m0 set last\n"
                  "#11    UPDATE layers.1 after #7\n"
                  "#12    RUN embedding backward m0 set last\n"
                  "#13    REDUCE embedding m0 set last\n"
                  "#14    UPDATE layers.0 after #10\n"
                  "#15    UPDATE embedding after #13\n");
  toy_destroy(&t);
}

static void gradients_of_tied_units_are_added_up_between_their_reductions_and_their_updates(void **state) {
  (void)state;
  toy t;
  toy_create(&t, 3, 1, true);
  toy_tie(&t);
  t.shape.gathers = false;
  expect_text(&t, "#0     LOAD m0\n"
                  "#1     RUN embedding forward m0\n"
                  "#2     RUN layers.0 forward m0\n"
                  "#3     RUN head forward+backward m0 set last\n"
                  "#4     REDUCE head m0 set last\n"
                  "#5     RUN layers.0 backward m0 set last\n"
                  "#6     REDUCE layers.0 m0 set last\n"
                  "#7     RUN embedding backward m0 set last after #4\n"
                  "#8     REDUCE embedding m0 set last\n"
                  "#9     TIE embedding head after #8\n"
                  "#10    UPDATE embedding\n"
                  "#11    UPDATE layers.0\n"
                  "#12    UPDATE head\n");
  toy_destroy(&t);
}

static void an_early_update_of_tied_units_waits_for_the_later_of_them(void **state) {
  (void)state;
  toy t;
  toy_create(&t, 4, 1, true);
  toy_tie(&t);
  t.shape.gathers = false;
  t.shape.early_update = true;
  t.sizes.own_shards = false;
  expect_text(&t, "#0     LOAD m0\n"
                  "#1     RUN embedding forward m0\n"
                  "#2     RUN layers.0 forward m0\n"
                  "#3     RUN layers.1 forward m0\n"
                  "#4     RUN head forward+backward m0 set last\n"
                  "#5     REDUCE head m0 set last\n"
                  "#6     RUN layers.1 backward m0 set last\n"
                  "#7     REDUCE layers.1 m0 set last\n"
                  "#8     RUN layers.0 backward m0 set last after #5\n"
                  "#9     REDUCE layers.0 m0 set last\n"
                  "#10    UPDATE layers.1 after #7\n"
                  "#11    RUN embedding backward m0 set last\n"
                  "#12    REDUCE embedding m0 set last\n"
                  "#13    UPDATE layers.0 after #9\n"
                  "#14    TIE embedding head after #12\n"
                  "#15    UPDATE embedding\n"
                  "#16    UPDATE head\n");
  toy_destroy(&t);
}

static void offloaded_gradients_leave_once_they_are_complete_and_updates_come_last(void **state) {
  (void)state;
  toy t;
  toy_create(&t, 4, 1, true);
  toy_tie(&t);
  t.shape.gathers = false;
  t.shape.offloads = true;
  t.sizes.own_shards = false;
  expect_text(&t, "#0     LOAD m0\n"
                  "#1     RUN embedding forward m0\n"
                  "#2     RUN layers.0 forward m0\n"
                  "#3     RUN layers.1 forward m0\n"
                  "#4     RUN head forward+backward m0 set last\n"
                  "#5     REDUCE head m0 set last\n"
                  "#6     RUN layers.1 backward m0 set last\n"
                  "#7     REDUCE layers.1 m0 set last\n"
                  "#8     RUN layers.0 backward m0 set last after #5\n"
                  "#9     REDUCE layers.0 m0 set last\n"
                  "#10    OFFLOAD layers.1 after #7\n"
                  "#11    RUN embedding backward m0 set last\n"
                  "#12    REDUCE embedding m0 set last\n"
                  "#13    OFFLOAD layers.0 after #9\n"
                  "#14    TIE embedding head after #12\n"
                  "#15    OFFLOAD embedding\n"
                  "#16    OFFLOAD head\n"
                  "#17    UPDATE embedding\n"
                  "#18    UPDATE layers.0\n"
                  "#19    UPDATE layers.1\n"
                  "#20    UPDATE head\n");
  toy_destroy(&t);
}

static void forwards_alone_have_no_gradients_and_no_update(void **state) {
  (void)state;
  toy t;
  toy_create(&t, 3, 2, false);
  expect_text(&t, "#0     LOAD m0\n"
                  "#1     GATHER embedding\n"
                  "#2     GATHER layers.0\n"
                  "#3     RUN embedding forward m0\n"
                  "#4     RELEASE embedding\n"
                  "#5     GATHER head\n"
                  "#6     RUN layers.0 forward m0\n"
                  "#7     RELEASE layers.0\n"
                  "#8     GATHER embedding\n"
                  "#9     RUN head forward m0\n"
                  "#10    RELEASE head\n"
                  "#11    LOAD m1\n"
                  "#12    GATHER layers.0\n"
                  "#13    RUN embedding forward m1\n"
                  "#14    RELEASE embedding\n"
                  "#15    GATHER head\n"
                  "#16    RUN layers.0 forward m1\n"
                  "#17    RELEASE layers.0\n"
                  "#18    RUN head forward m1\n"
                  "#19    RELEASE head\n");
  toy_destroy(&t);
}

// Every combination runs right in its packed memory.
static void every_shape_runs_right_in_its_memory(void **state) {
  (void)state;
  for (int bits = 0; bits < 256; bits++)
    for (int units = 2; units <= 8; units += 2)
      for (int microbatches = 1; microbatches <= 5; microbatches++) {
        toy t;
        titan_step_list list;
        toy_create(&t, units, microbatches, !(bits & 32));
        if (bits & 64)
          toy_tie(&t);
        t.shape.gathers = bits & 1;
        t.shape.reduce = bits & 2 ? TITAN_REDUCE_LAST : TITAN_REDUCE_EACH;
        t.shape.early_update = bits & 4;
        t.shape.offloads = bits & 128;
        t.sizes.own_shards = !(bits & (4 | 128));
        t.sizes.whole_shards = (bits & 8) && (bits & 2);
        t.shape.look_ahead = bits & 16 ? 3 : 1;
        t.shape.reduces_in_flight = bits & 16 ? 1 : 2;
        assert_int_equal(titan_step_lower(&t.order, &t.shape, 0, &list), TITAN_OK);
        if (titan_step_check(&t.order, &t.shape, &list) != TITAN_OK)
          fail_msg("%s", titan_error_message());
        assert_true(toy_run(&t, &list));
        titan_step_list_destroy(&list);
        toy_destroy(&t);
      }
}

static size_t alive(const titan_step_memory *memory, titan_arena arena, int action) {
  size_t bytes = 0;
  for (int i = 0; i < memory->block_count; i++) {
    const titan_step_block *block = &memory->blocks[i];
    if (block->arena == arena && block->first <= action && action <= block->last)
      bytes += block->bytes;
  }
  return bytes;
}

// The sizes of a large model: the arenas take at most 1.05 of what is alive at once.
static void memory_of_many_units_is_packed_close_to_its_bound(void **state) {
  (void)state;
  enum { UNITS = 128 };
  static titan_step_unit units[UNITS];
  static titan_step_unit_sizes unit_sizes[UNITS];
  for (int microbatches = 1; microbatches <= 4; microbatches += 3)
    for (int reduce = 0; reduce < 2; reduce++) {
      for (int u = 0; u < UNITS; u++) {
        bool head = u == UNITS - 1, ends = head || u == 0;
        units[u] = (titan_step_unit){.name = "unit", .merged = head, .reads_batch = ends};
        size_t flat = (size_t)(ends ? 2101346304 : 3187703808) / 8;
        unit_sizes[u] = (titan_step_unit_sizes){.input = u > 0 ? 33554432 : 0,
                                                .saved = ends ? 0 : (u % 2 ? 318767104 : 33554432),
                                                .scratch = {head ? 600000000 : 287309824, 482344960, 0, 0},
                                                .gathered = flat * 2,
                                                .flat = flat * 4,
                                                .shard = flat / 16,
                                                .reads_input = {[TITAN_COMPUTE_BACKWARD] = !ends},
                                                .reads_output_gradient = {[TITAN_COMPUTE_BACKWARD] = !head}};
      }
      int first_unit[] = {0, UNITS};
      titan_step_shape shape = {.unit_count = UNITS,
                                .units = units,
                                .first_unit = first_unit,
                                .backward = true,
                                .gathers = true,
                                .look_ahead = 1,
                                .reduces_in_flight = 2,
                                .reduce = reduce ? TITAN_REDUCE_LAST : TITAN_REDUCE_EACH};
      titan_step_sizes sizes = {.units = unit_sizes, .own_shards = true, .alignment = 64};
      titan_order order;
      titan_step_list list;
      titan_step_memory memory;
      assert_int_equal(titan_schedule_make(titan_schedule_find("PLAIN"), 1, 1, microbatches, &order), TITAN_OK);
      assert_int_equal(titan_step_lower(&order, &shape, 0, &list), TITAN_OK);
      assert_int_equal(titan_step_check(&order, &shape, &list), TITAN_OK);
      assert_int_equal(titan_step_memory_create(&list, &shape, &sizes, &memory), TITAN_OK);
      for (int arena = 0; arena < TITAN_ARENAS; arena++) {
        if ((double)memory.bytes[arena] > 1.05 * (double)memory.bounds[arena])
          fail_msg("arena %d of %d microbatches: %zu bytes, %zu alive", arena, microbatches, memory.bytes[arena],
                   memory.bounds[arena]);
        if (memory.peaks[arena] >= 0)
          assert_int_equal(alive(&memory, (titan_arena)arena, memory.peaks[arena]), memory.bounds[arena]);
        for (int action = 0; action < list.count; action++)
          assert_true(alive(&memory, (titan_arena)arena, action) <= memory.bounds[arena]);
      }
      for (int i = 0; i < memory.block_count; i++)
        for (int k = 0; k < i; k++) {
          const titan_step_block *a = &memory.blocks[i], *b = &memory.blocks[k];
          assert_false(a->arena == b->arena && a->first <= b->last && b->first <= a->last &&
                       a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes);
        }
      titan_step_memory_destroy(&memory);
      titan_step_list_destroy(&list);
      titan_order_destroy(&order);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_plain_step_gathers_one_unit_ahead_and_keeps_two_reductions_in_flight),
      cmocka_unit_test(a_unit_is_not_gathered_for_a_run_that_reads_none_of_its_parameters),
      cmocka_unit_test(parameters_that_are_whole_are_neither_gathered_nor_released),
      cmocka_unit_test(microbatches_are_reduced_each_or_added_up_and_reduced_last),
      cmocka_unit_test(an_early_update_follows_the_last_reduction_of_a_unit),
      cmocka_unit_test(gradients_of_tied_units_are_added_up_between_their_reductions_and_their_updates),
      cmocka_unit_test(an_early_update_of_tied_units_waits_for_the_later_of_them),
      cmocka_unit_test(offloaded_gradients_leave_once_they_are_complete_and_updates_come_last),
      cmocka_unit_test(forwards_alone_have_no_gradients_and_no_update),
      cmocka_unit_test(every_shape_runs_right_in_its_memory),
      cmocka_unit_test(memory_of_many_units_is_packed_close_to_its_bound),
  };
  return cmocka_run_group_tests(tests, NULL, expect_no_leaks);
}
