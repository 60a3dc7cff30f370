// SPDX-License-Identifier: Apache-2.0
// Property: a schedule's file gives the order that it says, in both dialects; a fault names file, row, rank and cell;
// whatever is accepted can be lowered and run. Oracle: the orders of the schedules, written as files; files with one
// fault each; the checker of steps. Tolerance: none.
#include "leaks.h"
#include "schedules.h"
#include "toy.h"

#include "step/in_order.h"
#include "step/schedule_csv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[] = "/tmp/titan_schedule_XXXXXX";

static titan_status read_bytes(const char *bytes, size_t count, bool single, int ranks, int microbatches,
                               titan_order *order) {
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(bytes, 1, count, file), count);
  assert_int_equal(fclose(file), 0);
  titan_text contents = {0};
  *order = (titan_order){0};
  titan_status status = titan_schedule_load_csv(path, &contents);
  if (status == TITAN_OK)
    status = titan_schedule_read_csv(&contents, path, single, ranks, microbatches, order);
  titan_text_destroy(&contents);
  return status;
}

static titan_status read_csv(const char *text, bool single, int ranks, int microbatches, titan_order *order) {
  return read_bytes(text, strlen(text), single, ranks, microbatches, order);
}

static void expect_order(const char *csv, int ranks, int microbatches, const char *expected) {
  titan_order order;
  titan_text text = {0};
  if (read_csv(csv, false, ranks, microbatches, &order) != TITAN_OK)
    fail_msg("%s", titan_error_message());
  assert_int_equal(titan_order_print(&order, &text), TITAN_OK);
  assert_string_equal(text.data, expected);
  titan_text_destroy(&text);
  titan_order_destroy(&order);
}

#define LOOPED_0 "0F0 0F1 2F0 2F1 2I0 2W0 2I1 2W1 0I0 0I1 0W0 0W1\n"
#define LOOPED_1 "1F0 1F1 3F0 3F1 3I0 3W0 3I1 3W1 1I0 1W0 1I1 1W1\n"

static void computing_alone_is_read_with_idle_cells_blanks_and_any_line_end(void **state) {
  (void)state;
  expect_order("0F0,0F1,2F0,2F1,2I0,2W0,2I1,2W1,0I0,0I1,0W0,0W1\n"
               "1F0,1F1,3F0,3F1,3I0,3W0,3I1,3W1,1I0,1W0,1I1,1W1\n",
               2, 2, LOOPED_0 LOOPED_1);
  expect_order("\xef\xbb\xbf"
               "0F0, 0F1,2F0,2F1,,\"2I0\",2W0,2I1,2W1,0I0 ,0I1,0W0,0W1,,\r\n"
               ",1F0,1F1,3F0,,3F1,3I0,3W0,3I1,3W1,1I0,1W0,1I1,1W1\r\n\r\n",
               2, 2, LOOPED_0 LOOPED_1);
}

static void communication_is_checked_and_left_out(void **state) {
  (void)state;
  expect_order("0UNSHARD,0F0,0SEND_F0,0F1,0SEND_F1,2UNSHARD,2RECV_F0,2F0,2SEND_F0,2RECV_F1,2F1,2SEND_F1,2RECV_B0,2I0,"
               "2SEND_B0,2W0,2RECV_B1,2I1,2SEND_B1,2W1,2REDUCE_GRAD,2RESHARD,0RECV_B0,0I0,0RECV_B1,0I1,0W0,0W1,"
               "0REDUCE_GRAD,0RESHARD\n"
               "1UNSHARD,1RECV_F0,1F0,1SEND_F0,1RECV_F1,1F1,1SEND_F1,3UNSHARD,3RECV_F0,3F0,3RECV_F1,3F1,3I0,3SEND_B0,"
               "3W0,3I1,3SEND_B1,3W1,1RECV_B0,1I0,1SEND_B0,1W0,1RECV_B1,1I1,1SEND_B1,1W1\n",
               2, 2, LOOPED_0 LOOPED_1);
}

static void a_pair_is_two_cells_that_may_overlap(void **state) {
  (void)state;
  titan_order order;
  const char *const csv = "0F0,0F1,0B0,0B1\n1F0,(1F1;1B0)OVERLAP_F_B,1B1\n";
  expect_order(csv, 2, 2, "0F0 0F1 0B0 0B1\n1F0 1F1 1B0 1B1\n");
  assert_int_equal(read_csv(csv, true, 2, 2, &order), TITAN_OK);
  for (int i = 0; i < 4; i++)
    assert_int_equal(order.cells[1][i].paired, i == 1);
  titan_order_destroy(&order);
}

static void every_schedule_can_be_written_and_read_again(void **state) {
  (void)state;
  for (int i = 0; i < SCHEDULES; i++) {
    const titan_schedule_row *row = titan_schedule_find(schedules[i]);
    titan_order order, again;
    titan_text before = {0}, csv = {0};
    assert_int_equal(titan_schedule_make(row, 3, 3 * titan_schedule_stages_per_rank(row), 6, &order), TITAN_OK);
    assert_int_equal(titan_order_print(&order, &before), TITAN_OK);
    assert_int_equal(titan_text_append(&csv, before.data, before.length), TITAN_OK);
    for (size_t at = 0; at < csv.length; at++)
      csv.data[at] = csv.data[at] == ' ' ? ',' : csv.data[at];
    if (read_csv(csv.data, row->most == 1, 3, 6, &again) != TITAN_OK)
      fail_msg("%s: %s", schedules[i], titan_error_message());
    assert_memory_equal(again.rank_of_stage, order.rank_of_stage, (size_t)order.stages * sizeof(int));
    titan_text_destroy(&csv);
    assert_int_equal(titan_order_print(&again, &csv), TITAN_OK);
    assert_string_equal(csv.data, before.data);
    titan_text_destroy(&before);
    titan_text_destroy(&csv);
    titan_order_destroy(&order);
    titan_order_destroy(&again);
  }
}

// --- faults ---

static void expect_fault(const char *csv, bool single, int ranks, int microbatches, const char *where,
                         const char *reason) {
  titan_order order;
  assert_int_equal(read_csv(csv, single, ranks, microbatches, &order), TITAN_ERROR_USAGE);
  const char *message = titan_error_message();
  if (strstr(message, path) == NULL || strstr(message, where) == NULL || strstr(message, reason) == NULL)
    fail_msg("\"%s\" and \"%s\" are not both in \"%s\"", where, reason, message);
}

static void a_fault_in_a_cell_names_file_row_and_cell(void **state) {
  (void)state;
  expect_fault("0F0,0B0\n1F0,,1X0\n", false, 2, 1, "row 2 (rank 1), cell 3, \"1X0\"", "not an action");
  expect_fault("0F0,0B0\n1F0,B0\n", false, 2, 1, "row 2 (rank 1), cell 2, \"B0\"", "not an action");
  expect_fault("0F0,0B0x\n1F0,1B0\n", false, 2, 1, "row 1 (rank 0), cell 2, \"0B0x\"", "not an action");
  expect_fault("0F0,0B0\n1F0,1f0\n", false, 2, 1, "row 2 (rank 1), cell 2, \"1f0\"", "not an action");
  expect_fault("0F0,0B\n1F0,1B0\n", false, 2, 1, "row 1 (rank 0), cell 2, \"0B\"", "the microbatch is missing");
  expect_fault("0F0,0B0\n1F0,1SEND_B\n", false, 2, 1, "row 2 (rank 1), cell 2", "the microbatch is missing");
  expect_fault("0UNSHARD0,0F0,0B0\n1F0,1B0\n", false, 2, 1, "row 1 (rank 0), cell 1, \"0UNSHARD0\"", "not an action");
  expect_fault("0F0,0B0\n1F0,1B4\n", false, 2, 1, "row 2 (rank 1), cell 2", "the microbatches are 0 to 0");
  expect_fault("0F0,0B0\n1F0,1B99999999999\n", false, 2, 1, "row 2 (rank 1), cell 2", "microbatch is missing");
  expect_fault("0F0,(0F1;0B0,0B1\n1F0,1B0\n", false, 2, 2, "row 1 (rank 0), cell 2", "not a pair");
  expect_fault("0F0,(0B0;0F1),0B1\n1F0,1B0\n", false, 2, 2, "row 1 (rank 0), cell 2", "a pair is a forward and");
  expect_fault("0F0,(0F1;0B1)\n1F0,1B0\n", false, 2, 2, "row 1 (rank 0), cell 2", "of another microbatch");
}

static void a_fault_in_the_stages_names_the_cell(void **state) {
  (void)state;
  expect_fault("0F0,0B0\n1F0,1B0,0W0\n", false, 2, 1, "row 2 (rank 1), cell 3",
               "stage 0 is on two ranks: it is also in row 1 (rank 0), cell 1");
  expect_fault("0F0,0B0\n1F0,1B0,7F0\n", false, 2, 1, "row 2 (rank 1), cell 3", "stage 2 computes nothing");
  expect_fault("0F0,0B0\n1F0,1B0,2F0\n", false, 2, 1, "row 2 (rank 1), cell 3", "same number of stages on each of 2");
  expect_fault("0F0,2F0,2B0,0B0\n1F0,3F0,3B0,1B0\n", true, 2, 1, "row 2 (rank 1), cell 2", "one stage on each of 2");
  expect_fault("0F0,1F0,1B0,0B0\n", false, 2, 1, "", "expected a row for each of the 2 pipeline ranks");
  expect_fault("0F0,1F0,1B0,0B0\n\n\n1F0\n", false, 2, 1, "", "got 4");
  expect_fault("\n", false, 1, 1, "", "got 0");
  expect_fault("", false, 1, 1, "", "is empty");
  expect_fault(",,\n,", false, 2, 1, "", "no action");
}

static void a_fault_in_the_order_names_the_cell(void **state) {
  (void)state;
  expect_fault("0F0,0B0\n1F0,1I0\n", false, 2, 1, "row 2 (rank 1), cell 2, \"1I0\"",
               "the weight gradient of stage 1 and microbatch 0 is missing");
  expect_fault("0F0,0B0\n1F0,1W0,1I0\n", false, 2, 1, "row 2 (rank 1), cell 2", "must be before its weight gradient");
  expect_fault("0B0,0F0\n1F0,1B0\n", false, 2, 1, "row 1 (rank 0), cell 1", "must be before its backward");
  expect_fault("0F0,0B0\n1F0,,1B0,1F0\n", false, 2, 1, "row 2 (rank 1), cell 4", "a second time");
  expect_fault("0F0,0B0\n1F0,1B0,1W0\n", false, 2, 1, "row 2 (rank 1), cell 3", "a second time");
  expect_fault("0F0,0B0\n1F0,1B0\n", false, 2, 2, "row 1 (rank 0), after its last cell",
               "the forward of stage 0 and microbatch 1 is missing");
  expect_fault("0F0,0F1,0B0,0B1\n1F0,1B0,1F1\n", false, 2, 2, "row 2 (rank 1), cell 3", "the backward of stage 1");
  // Rank 0 computes microbatch 1 only after a gradient for which rank 1 waits for microbatch 1.
  expect_fault("0F0,2F0,2B0,0F1,0B0,2F1,2B1,0B1\n1F0,3F0,3F1,3B0,1B0,1F1,3B1,1B1\n", false, 2, 2,
               "row 1 (rank 0), cell 3, \"2B0\"",
               "deadlocks: this waits for the gradient of stage 3 and microbatch 0, which rank 1 cannot reach");
}

static void a_file_that_cannot_be_read_is_named(void **state) {
  (void)state;
  titan_order order;
  titan_text contents = {0};
  assert_int_equal(titan_schedule_load_csv("/nowhere/a.csv", &contents), TITAN_ERROR_USAGE);
  assert_non_null(
      strstr(titan_error_message(), "pipeline_parallel_schedule_csv: cannot read /nowhere/a.csv: No such file"));
  assert_int_equal(titan_schedule_load_csv("/tmp", &contents), TITAN_ERROR_USAGE);
  titan_text_destroy(&contents);
  assert_int_equal(read_bytes("0F0\0,0B0", 8, false, 1, 1, &order), TITAN_ERROR_USAGE);
  assert_non_null(strstr(titan_error_message(), "not a text file"));
}

// --- any file ---

static int draw(uint64_t *state, int count) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return (int)((*state >> 33) % (uint64_t)count);
}

static void expect_runnable(const titan_order *order) {
  toy t;
  int sizes[TOY_UNITS];
  titan_step_list lists[2];
  for (int stage = 0; stage < order->stages; stage++)
    sizes[stage] = 1;
  toy_create_pipeline(&t, order, sizes);
  for (int rank = 0; rank < 2; rank++)
    assert_int_equal(titan_step_lower(&t.order, &t.shape, rank, &lists[rank]), TITAN_OK);
  if (titan_step_check(&t.order, &t.shape, lists) != TITAN_OK)
    fail_msg("%s", titan_error_message());
  assert_int_equal(titan_step_check_in_order(&t.order, lists), TITAN_OK);
  assert_true(toy_run(&t, lists));
  for (int rank = 0; rank < 2; rank++)
    titan_step_list_destroy(&lists[rank]);
  toy_destroy(&t);
}

static void a_damaged_file_is_refused_or_runs_right(void **state) {
  (void)state;
  static const char good[] = "0F0,0F1,2F0,2F1,2I0,2W0,2B1,0B0,0SEND_B0,0I1,0W1\n1F0,1F1,3F0,3F1,3B0,3I1,1B0,1B1,3W1";
  static const char characters[] = "0123FBIW,;()\n \"SEND_UNSHARD";
  uint64_t random = 99;
  int accepted = 0, refused = 0;
  for (int round = 0; round < 4000; round++) {
    char text[sizeof good];
    titan_order order;
    memcpy(text, good, sizeof good);
    for (int changes = 1 + draw(&random, 2); changes > 0; changes--) {
      int at = draw(&random, sizeof good - 1), other = draw(&random, sizeof good - 4) / 4 * 4;
      if (draw(&random, 2)) {
        text[at] = characters[draw(&random, sizeof characters - 1)];
      } else { // two cells change places
        char cell[4];
        at = at / 4 * 4 < (int)sizeof good - 4 ? at / 4 * 4 : 0;
        memcpy(cell, text + at, 4);
        memmove(text + at, text + other, 4);
        memcpy(text + other, cell, 4);
      }
    }
    titan_status status = read_bytes(text, sizeof good - 1, false, 2, 2, &order);
    if (status == TITAN_OK) {
      expect_runnable(&order);
      accepted++;
    } else {
      assert_int_equal(status, TITAN_ERROR_USAGE);
      assert_non_null(strstr(titan_error_message(), path));
      refused++;
    }
  }
  print_message("%d accepted, %d refused\n", accepted, refused);
  assert_true(accepted > 100 && refused > 1000);
}

int main(void) {
  int file = mkstemp(path);
  if (file < 0)
    return EXIT_FAILURE;
  close(file);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(computing_alone_is_read_with_idle_cells_blanks_and_any_line_end),
      cmocka_unit_test(communication_is_checked_and_left_out),
      cmocka_unit_test(a_pair_is_two_cells_that_may_overlap),
      cmocka_unit_test(every_schedule_can_be_written_and_read_again),
      cmocka_unit_test(a_fault_in_a_cell_names_file_row_and_cell),
      cmocka_unit_test(a_fault_in_the_stages_names_the_cell),
      cmocka_unit_test(a_fault_in_the_order_names_the_cell),
      cmocka_unit_test(a_file_that_cannot_be_read_is_named),
      cmocka_unit_test(a_damaged_file_is_refused_or_runs_right),
  };
  int failed = cmocka_run_group_tests(tests, NULL, expect_no_leaks);
  unlink(path);
  return failed;
}
