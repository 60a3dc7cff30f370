// SPDX-License-Identifier: Apache-2.0
// What a check reports of records that were written down here. Oracle: which number was planted, and medians of a
// pencil; no time is measured.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include "check/results.h"

#include <stdio.h>
#include <string.h>

enum { RANKS = 6 };

// Six ranks on two nodes, three groups of a kind, and a spread of a tenth, which does not stand out.
static void make_records(titan_check_results *results, titan_check_record records[RANKS]) {
  *results = (titan_check_results){.ranks = RANKS, .group_count = 1, .records = records};
  results->groups[0] = (titan_check_group){.name = "tp", .also = "", .ranks = 2, .bytes = 1 << 20};
  for (int rank = 0; rank < RANKS; rank++) {
    titan_check_record *r = &records[rank];
    double factor = 1 + 0.02 * rank;
    *r = (titan_check_record){.node = rank / 3 * 3, .link_latency = 1e-6, .link_rate = rank % 3 == 2 ? 1e9 : 8e9};
    snprintf(r->host, sizeof r->host, "node%d", rank / 3);
    for (int i = 0; i < TITAN_CHECK_TO_DEVICE; i++)
      r->rates[i] = 1e12 * factor;
    r->first[0] = rank / 2 * 2;
    r->one_node[0] = rank / 2 != 1; // ranks 2 and 3 are on different nodes
    for (int i = 0; i < TITAN_CHECK_OPERATIONS; i++)
      r->seconds[0][i] = rank / 2 == 1 ? 1e-2 : 1e-3;
  }
}

static titan_check_findings find(const titan_check_results *results) {
  titan_check_findings findings;
  assert_int_equal(titan_check_find(results, &findings), TITAN_OK);
  return findings;
}

static void expect_one(const titan_check_results *results, titan_check_finding wanted, const char *sentence) {
  titan_check_findings findings = find(results);
  titan_text text = {0};
  assert_int_equal(findings.count, 1);
  const titan_check_finding *f = &findings.list[0];
  assert_int_equal(f->kind, wanted.kind);
  assert_int_equal(f->rank, wanted.rank);
  assert_string_equal(f->measured, wanted.measured);
  assert_string_equal(f->unit, wanted.unit);
  assert_true(f->value > 0.999 * wanted.value && f->value < 1.001 * wanted.value);
  assert_true(f->others > 0.999 * wanted.others && f->others < 1.001 * wanted.others);
  assert_int_equal(f->other_count, wanted.other_count);
  assert_int_equal(titan_check_describe(results, f, &text), TITAN_OK);
  assert_string_equal(text.data, sentence);
  titan_text_destroy(&text);
  titan_memory_free(findings.list);
}

// Links between nodes are eight times slower than those within one, and the group across nodes ten times.
static void like_is_compared_with_like(void **state) {
  (void)state;
  titan_check_results results;
  titan_check_record records[RANKS];
  make_records(&results, records);
  titan_check_findings findings = find(&results);
  assert_int_equal(findings.count, 0);
  assert_null(findings.list);
}

static void a_slow_rank_is_named_with_the_median_of_the_others(void **state) {
  (void)state;
  titan_check_results results;
  titan_check_record records[RANKS];
  make_records(&results, records);
  records[4].rates[TITAN_CHECK_BFLOAT16] = 0.05e12;
  // The others have 1.00, 1.02, 1.04, 1.06 and 1.10.
  expect_one(&results,
             (titan_check_finding){.kind = TITAN_CHECK_OF_RANK,
                                   .rank = 4,
                                   .measured = "bfloat16 product",
                                   .unit = "TFLOP/s",
                                   .value = 0.05,
                                   .others = 1.04,
                                   .other_count = 5},
             "rank 4 (host node1): bfloat16 product 0.05 TFLOP/s, 20.8 times slower than the median of the others, "
             "1.04 TFLOP/s");
}

// What stands out begins above the factor: 1.5 times slower does not, and a little more does.
static void the_factor_is_the_border(void **state) {
  (void)state;
  titan_check_results results;
  titan_check_record records[RANKS];
  make_records(&results, records);
  records[0].rates[TITAN_CHECK_COPY] = 1.06e12 / 1.5; // the others: 1.02, 1.04, 1.06, 1.08, 1.10
  titan_check_findings findings = find(&results);
  assert_int_equal(findings.count, 0);
  records[0].rates[TITAN_CHECK_COPY] = 1.06e12 / 1.51;
  findings = find(&results);
  assert_int_equal(findings.count, 1);
  titan_memory_free(findings.list);
}

static void a_fast_rank_makes_the_other_of_two_slow(void **state) {
  (void)state;
  titan_check_results results;
  titan_check_record records[RANKS];
  make_records(&results, records);
  results.ranks = 2;
  records[1].rates[TITAN_CHECK_FLOAT32] = 3e12;
  expect_one(&results,
             (titan_check_finding){.kind = TITAN_CHECK_OF_RANK,
                                   .rank = 0,
                                   .measured = "float32 product",
                                   .unit = "TFLOP/s",
                                   .value = 1,
                                   .others = 3,
                                   .other_count = 1},
             "rank 0 (host node0): float32 product 1 TFLOP/s, 3.0 times slower than the other one, 3 TFLOP/s");
}

static void a_slow_link_is_named_with_both_ends(void **state) {
  (void)state;
  titan_check_results results;
  titan_check_record records[RANKS];
  make_records(&results, records);
  records[5].link_rate = 0.1e9; // from the last rank to the first one
  expect_one(&results,
             (titan_check_finding){.kind = TITAN_CHECK_OF_LINK,
                                   .rank = 5,
                                   .measured = "ping-pong between nodes",
                                   .unit = "GB/s",
                                   .value = 0.1,
                                   .others = 1,
                                   .other_count = 1},
             "link from rank 5 (host node1) to rank 0 (host node0): ping-pong between nodes 0.1 GB/s, 10.0 times "
             "slower than the other one, 1 GB/s");
}

static void a_slow_group_is_named(void **state) {
  (void)state;
  titan_check_results results;
  titan_check_record records[RANKS];
  make_records(&results, records);
  records[4].seconds[0][TITAN_CHECK_REDUCE_SCATTER] = 2e-3;
  records[5].seconds[0][TITAN_CHECK_REDUCE_SCATTER] = 2e-3;
  // 1 MiB (2 - 1) / 1 ms
  expect_one(&results,
             (titan_check_finding){.kind = TITAN_CHECK_OF_GROUP,
                                   .rank = 4,
                                   .measured = "reduce_scatter",
                                   .unit = "GB/s",
                                   .value = 0.524288,
                                   .others = 1.048576,
                                   .other_count = 1},
             "group tp of 2 ranks from rank 4 (host node1): reduce_scatter 0.524 GB/s, 2.0 times slower than the other "
             "one, 1.05 GB/s");
}

static void one_rank_has_nothing_to_be_compared_with(void **state) {
  (void)state;
  titan_check_results results;
  titan_check_record records[RANKS];
  make_records(&results, records);
  results.ranks = 1;
  results.group_count = 0;
  titan_check_findings findings = find(&results);
  assert_int_equal(findings.count, 0);
}

// Links of a ring of so many ranks: none, one, three, four.
static void a_ring_has_each_link_once(void **state) {
  (void)state;
  static const int wanted[] = {0, 0, 1, 3, 4};
  for (int ranks = 1; ranks <= 4; ranks++) {
    int links = 0;
    for (int rank = 0; rank < ranks; rank++)
      links += titan_check_has_link(rank, ranks);
    assert_int_equal(links, wanted[ranks]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(like_is_compared_with_like),
      cmocka_unit_test(a_slow_rank_is_named_with_the_median_of_the_others),
      cmocka_unit_test(the_factor_is_the_border),
      cmocka_unit_test(a_fast_rank_makes_the_other_of_two_slow),
      cmocka_unit_test(a_slow_link_is_named_with_both_ends),
      cmocka_unit_test(a_slow_group_is_named),
      cmocka_unit_test(one_rank_has_nothing_to_be_compared_with),
      cmocka_unit_test(a_ring_has_each_link_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL) || titan_memory_report_leaks() > 0;
}
