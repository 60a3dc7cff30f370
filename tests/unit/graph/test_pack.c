// SPDX-License-Identifier: Apache-2.0
// Property: packed blocks that live at the same time do not overlap, and the arena is as large as it must be and no
// larger than without sharing. Oracle: every pair of blocks, and the largest sum of blocks alive at once. Tolerance:
// none.
#include "graph/plan_private.h"
#include "graph_test.h"

#include <string.h>

enum { MOST = 120, POSITIONS = 40 };

static bool alive_at(const titan_block *block, int position) {
  return block->first <= position && position <= block->last;
}

// Sizes are multiples of `unit`.
static int random_blocks(random_source *random, size_t unit, titan_block *blocks) {
  int count = random_below(random, MOST + 1);
  for (int i = 0; i < count; i++) {
    int first = random_below(random, POSITIONS), length = random_below(random, i % 7 == 0 ? POSITIONS : 6);
    int last = first + length < POSITIONS ? first + length : POSITIONS - 1;
    // few different sizes, so that there are ties; now and then nothing at all
    size_t bytes = (size_t)random_below(random, 5) * 100 + (i % 11 == 0 ? (size_t)random_below(random, 100000) : 0);
    blocks[i] = (titan_block){.bytes = bytes * unit, .offset = SIZE_MAX, .first = first, .last = last};
  }
  return count;
}

static size_t aligned(size_t bytes, size_t alignment) {
  return (bytes + alignment - 1) / alignment * alignment;
}

static void check_blocks(const titan_block *blocks, int count, size_t alignment, size_t total, size_t bound) {
  size_t sum = 0, end = 0, most = 0;
  for (int i = 0; i < count; i++) {
    const titan_block *a = &blocks[i];
    assert_int_equal(a->offset % alignment, 0);
    assert_int_equal(a->bytes % alignment, 0);
    sum += a->bytes;
    if (a->offset + a->bytes > end)
      end = a->offset + a->bytes;
    for (int k = 0; k < i; k++) {
      const titan_block *b = &blocks[k];
      bool together = a->first <= b->last && b->first <= a->last;
      bool apart = a->offset + a->bytes <= b->offset || b->offset + b->bytes <= a->offset;
      if (together && a->bytes > 0 && b->bytes > 0 && !apart)
        fail_msg("blocks %d and %d overlap while both are alive", k, i);
    }
  }
  for (int position = 0; position < POSITIONS; position++) {
    size_t alive = 0;
    for (int i = 0; i < count; i++)
      alive += alive_at(&blocks[i], position) ? blocks[i].bytes : 0;
    most = alive > most ? alive : most;
  }
  assert_int_equal(total, end);
  assert_int_equal(bound, most);
  assert_true(total >= bound && total <= sum);
}

static void random_blocks_do_not_overlap_and_keep_within_bounds(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 400; seed++) {
    random_source random = {seed};
    size_t alignment = seed % 2 ? 64 : 256;
    titan_block blocks[MOST] = {0}, before[MOST], again[MOST];
    size_t total, bound, total_again, bound_again;
    // now and then sizes that 32 bits do not count, without data
    int count = random_blocks(&random, seed % 8 == 0 ? (size_t)1 << 31 : 1, blocks);
    memcpy(before, blocks, sizeof blocks);
    memcpy(again, blocks, sizeof blocks);
    TRY(titan_blocks_pack(blocks, count, POSITIONS, alignment, &total, &bound));
    check_blocks(blocks, count, alignment, total, bound);
    for (int i = 0; i < count; i++) {
      assert_int_equal(blocks[i].bytes, aligned(before[i].bytes, alignment));
      assert_true(blocks[i].first == before[i].first && blocks[i].last == before[i].last);
    }
    TRY(titan_blocks_pack(again, count, POSITIONS, alignment, &total_again, &bound_again));
    assert_true(total_again == total && bound_again == bound);
    for (int i = 0; i < count; i++)
      assert_int_equal(again[i].offset, blocks[i].offset);
  }
}

static void blocks_that_follow_each_other_share_memory(void **state) {
  (void)state;
  titan_block blocks[10] = {0};
  size_t total, bound;
  for (int i = 0; i < 10; i++)
    blocks[i] = (titan_block){.bytes = 640, .first = 2 * i, .last = 2 * i + 1};
  TRY(titan_blocks_pack(blocks, 10, 20, 64, &total, &bound));
  assert_true(total == 640 && bound == 640);
  // one position in common is enough to need both
  for (int i = 0; i < 10; i++)
    blocks[i] = (titan_block){.bytes = 640, .first = i, .last = i + 1};
  TRY(titan_blocks_pack(blocks, 10, 11, 64, &total, &bound));
  assert_true(total == 1280 && bound == 1280);
}

static void a_small_block_fills_the_gap_under_a_large_one(void **state) {
  (void)state;
  // the largest at 0; 640 above it; when the largest is gone, 320 goes below the 640 that still lives
  titan_block blocks[] = {{1024, 0, 0, 1}, {640, 0, 1, 3}, {320, 0, 2, 3}};
  size_t total, bound;
  TRY(titan_blocks_pack(blocks, 3, 4, 64, &total, &bound));
  assert_true(blocks[0].offset == 0 && blocks[1].offset == 1024 && blocks[2].offset == 0);
  assert_true(total == 1664 && bound == 1664);
}

// A rectangle of positions and bytes, cut again and again: the pieces fit together without a gap, so the lower bound
// can be met; finding that again is the hard case of the problem.
static int cut(random_source *random, titan_block piece, int pieces, titan_block *blocks) {
  bool along = random_below(random, 2) == 0 && piece.last > piece.first;
  if (pieces <= 1 || (!along && piece.bytes < 2 * 64)) {
    blocks[0] = piece;
    return 1;
  }
  titan_block rest = piece;
  if (along) {
    piece.last = piece.first + random_below(random, piece.last - piece.first);
    rest.first = piece.last + 1;
  } else {
    piece.bytes = 64 * (size_t)(1 + random_below(random, (int)(piece.bytes / 64) - 1));
    rest.bytes -= piece.bytes;
  }
  int first = cut(random, piece, pieces / 2, blocks);
  return first + cut(random, rest, pieces - pieces / 2, blocks + first);
}

// No method finds the best packing of every such puzzle. Measured over these seeds: 1.00 on average, 1.07 at worst.
static void pieces_of_a_cut_rectangle_are_packed_near_its_size(void **state) {
  (void)state;
  double sum = 0, worst = 0;
  enum { SEEDS = 60, HEIGHT = 64 * 1000 };
  for (uint64_t seed = 1; seed <= SEEDS; seed++) {
    random_source random = {seed};
    titan_block blocks[MOST];
    size_t total, bound;
    int count = cut(&random, (titan_block){HEIGHT, 0, 0, POSITIONS - 1}, 10 + (int)seed, blocks);
    TRY(titan_blocks_pack(blocks, count, POSITIONS, 64, &total, &bound));
    check_blocks(blocks, count, 64, total, bound);
    assert_int_equal(bound, HEIGHT);
    double ratio = (double)total / (double)bound;
    sum += ratio;
    worst = ratio > worst ? ratio : worst;
  }
  print_message("packed to %.3f of the bound on average, %.3f at worst\n", sum / SEEDS, worst);
  assert_true(sum / SEEDS <= 1.05 && worst <= 1.15);
}

// Placing the largest first takes 1.6 times the bound here (1024 of 640), since the two large blocks at the bottom
// leave no room for 192 + 192 beside 256.
static void an_order_that_suits_the_lives_is_found(void **state) {
  (void)state;
  titan_block blocks[] = {{256, 0, 3, 4}, {384, 0, 1, 1}, {256, 0, 5, 5},
                          {192, 0, 4, 5}, {192, 0, 4, 5}, {384, 0, 3, 3}};
  size_t total, bound;
  TRY(titan_blocks_pack(blocks, 6, 6, 64, &total, &bound));
  check_blocks(blocks, 6, 64, total, bound);
  assert_int_equal(total, bound);
}

static void no_blocks_take_no_memory(void **state) {
  (void)state;
  size_t total = 1, bound = 1;
  TRY(titan_blocks_pack(NULL, 0, 0, 64, &total, &bound));
  assert_true(total == 0 && bound == 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_blocks_do_not_overlap_and_keep_within_bounds),
      cmocka_unit_test(blocks_that_follow_each_other_share_memory),
      cmocka_unit_test(a_small_block_fills_the_gap_under_a_large_one),
      cmocka_unit_test(pieces_of_a_cut_rectangle_are_packed_near_its_size),
      cmocka_unit_test(an_order_that_suits_the_lives_is_found),
      cmocka_unit_test(no_blocks_take_no_memory),
  };
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  return failures != 0 || titan_memory_report_leaks() != 0;
}
