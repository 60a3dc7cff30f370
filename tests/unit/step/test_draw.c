// SPDX-License-Identifier: Apache-2.0
// Property: a drawing is one well-formed SVG element that has a box for every cell, where its time is, and a line for
// every transfer. Oracle: counts and places worked out from the order. Tolerance: a hundredth of a pixel, as printed.
#include "leaks.h"
#include "step/draw.h"
#include "step/schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void draw(const char *schedule, int ranks, int per_rank, int microbatches, const char *title, titan_text *svg) {
  double compute[64][TITAN_COMPUTES];
  titan_step_times times = {.compute = compute, .transfer = 0.5};
  titan_order order;
  titan_prediction prediction;
  for (int stage = 0; stage < 64; stage++)
    for (int i = 0; i < TITAN_COMPUTES; i++)
      compute[stage][i] = i == TITAN_COMPUTE_BACKWARD ? 2 : 1;
  assert_int_equal(titan_schedule_make(titan_schedule_find(schedule), ranks, ranks * per_rank, microbatches, &order),
                   TITAN_OK);
  assert_int_equal(titan_step_predict(&order, &times, &prediction), TITAN_OK);
  assert_int_equal(titan_order_draw(&order, &prediction, title, "s", svg), TITAN_OK);
  titan_prediction_destroy(&prediction);
  titan_order_destroy(&order);
}

static int count_of(const titan_text *svg, const char *words) {
  int count = 0;
  for (const char *at = svg->data; (at = strstr(at, words)) != NULL; at++)
    count++;
  return count;
}

// Every element that is opened is closed, in order; no bare & or <.
static void expect_well_formed(const titan_text *svg) {
  char open[8][8];
  int depth = 0;
  for (const char *at = svg->data; (at = strchr(at, '<')) != NULL;) {
    char name[8];
    const char *end = strchr(at, '>');
    assert_non_null(end);
    assert_true(memchr(at + 1, '<', (size_t)(end - at - 1)) == NULL);
    assert_int_equal(sscanf(at, at[1] == '/' ? "</%7[a-z]" : "<%7[a-z]", name), 1);
    if (at[1] == '/') {
      assert_true(depth > 0);
      assert_string_equal(open[--depth], name);
    } else if (end[-1] != '/') {
      assert_true(depth < 8);
      strcpy(open[depth++], name);
    }
    at = end;
  }
  assert_int_equal(depth, 0);
  for (const char *at = svg->data; (at = strchr(at, '&')) != NULL; at++)
    assert_true(strncmp(at, "&amp;", 5) == 0 || strncmp(at, "&lt;", 4) == 0);
}

static void a_box_for_each_cell_and_a_line_for_each_transfer_are_drawn(void **state) {
  (void)state;
  static const struct {
    const char *schedule;
    int ranks, per_rank, microbatches, cells, transfers;
  } rows[] = {{"GPipe", 1, 1, 2, 4, 0},
              {"1F1B", 4, 1, 8, 4 * 16, 2 * 3 * 8},
              {"ZBVZeroBubble", 3, 2, 5, 6 * 15, 2 * 4 * 5},
              {"DualPipeV", 2, 2, 4, 19 + 18, 2 * 2 * 4},
              {"Interleaved1F1B", 4, 4, 16, 16 * 32, 2 * 15 * 16}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    titan_text svg = {0};
    draw(rows[i].schedule, rows[i].ranks, rows[i].per_rank, rows[i].microbatches, "a < b & c", &svg);
    expect_well_formed(&svg);
    assert_int_equal(count_of(&svg, "<g><title>rank"), rows[i].cells);
    const char *begin = strstr(svg.data, "stroke-opacity"), *end = strstr(begin, "</g>");
    titan_text lines = {0};
    assert_int_equal(titan_text_append(&lines, begin, (size_t)(end - begin)), TITAN_OK);
    assert_int_equal(count_of(&lines, "<line"), rows[i].transfers);
    titan_text_destroy(&lines);
    titan_text_destroy(&svg);
  }
}

static void a_box_lies_where_its_time_is(void **state) {
  (void)state;
  titan_text svg = {0};
  draw("GPipe", 2, 1, 1, "", &svg);
  // 0F0 0..1, 1F0 1.5..2.5, 1B0 2.5..4.5, 0B0 5..7: 1392 pixels for 7 s, from 70 on.
  const double pixel = 1392.0 / 7;
  char expected[160];
  snprintf(expected, sizeof expected, "rank 1: 1B0, 2.5 to 4.5 s</title><rect x=\"%.2f\" y=\"88\" width=\"%.2f\"",
           70 + 2.5 * pixel, 2 * pixel);
  if (strstr(svg.data, expected) == NULL)
    fail_msg("%s is not in %s", expected, svg.data);
  assert_non_null(strstr(svg.data, "busy 42.9 %, 1 in flight"));
  assert_non_null(strstr(svg.data, "7 s in all"));
  titan_text_destroy(&svg);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_box_for_each_cell_and_a_line_for_each_transfer_are_drawn),
      cmocka_unit_test(a_box_lies_where_its_time_is),
  };
  return cmocka_run_group_tests(tests, NULL, expect_no_leaks);
}
