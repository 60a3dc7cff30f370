// SPDX-License-Identifier: Apache-2.0
// Where things lie in a file, for sizes that no test could write: beyond 2^31 and 2^32. Oracle: the arithmetic by hand.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include "checkpoint/edges.h"
#include "checkpoint/store.h"
#include "leaks.h"
#include "state/layout.h"

static const int64_t sizes[] = {((int64_t)1 << 31) - 1, (int64_t)1 << 31, ((int64_t)1 << 31) + 1, (int64_t)1 << 33};
enum { SIZES = sizeof sizes / sizeof *sizes };

static void elements_lie_at_their_places_in_tensors_of_any_size(void **unused) {
  (void)unused;
  for (int i = 0; i < SIZES; i++) {
    titan_checkpoint_tensor vector = {.number = TITAN_NUMBER_FLOAT32, .rank = 1, .dims = {sizes[i]}, .offset = 4096};
    titan_checkpoint_tensor rows = {.number = TITAN_NUMBER_BFLOAT16, .rank = 2, .dims = {sizes[i], 3}, .offset = 8192};
    titan_checkpoint_tensor wide = {.number = TITAN_NUMBER_FLOAT32, .rank = 2, .dims = {3, sizes[i]}, .offset = 0};
    uint64_t n = (uint64_t)sizes[i];
    assert_true(titan_checkpoint_tensor_bytes(&vector) == 4 * n);
    assert_true(titan_checkpoint_tensor_bytes(&rows) == 6 * n);
    assert_true(titan_checkpoint_tensor_bytes(&wide) == 12 * n);
    assert_true(titan_checkpoint_place(&vector, 0, sizes[i] - 1) == 4096 + 4 * n - 4);
    assert_true(titan_checkpoint_place(&rows, sizes[i] - 1, 2) == 8192 + 6 * n - 2);
    assert_true(titan_checkpoint_place(&wide, 2, sizes[i] - 1) == 12 * n - 4);
  }
}

static void rows_are_dealt_without_gaps(void **unused) {
  (void)unused;
  for (int i = -2; i < SIZES; i++)
    for (int ranks = 1; ranks <= 1025; ranks += 128) {
      int64_t all = i < 0 ? 3 + i : sizes[i], at = 0; // 1 and 2 rows for many ranks too
      for (int rank = 0; rank < ranks; rank++) {
        int64_t begin, end;
        titan_checkpoint_deal_rows(all, rank, ranks, &begin, &end);
        assert_true(begin == at && end >= begin && end - begin <= all / ranks + 1 && end - begin >= all / ranks);
        at = end;
      }
      assert_true(at == all);
    }
}

// Each byte of a range is in exactly one of the three parts, and the middle is whole pages.
static void a_range_is_split_at_the_borders_of_pages(void **unused) {
  (void)unused;
  static const uint64_t offsets[] = {0, 1, 4095, 4096, 4097, ((uint64_t)1 << 33) + 5};
  static const size_t lengths[] = {0, 1, 10, 4095, 4096, 4097, 8191, 8192, 12288, 100000};
  for (size_t o = 0; o < sizeof offsets / sizeof *offsets; o++)
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
      size_t before, behind;
      titan_checkpoint_page_split(offsets[o], lengths[l], &before, &behind);
      size_t middle = lengths[l] - before - behind;
      assert_true(before + behind <= lengths[l] && middle % 4096 == 0);
      assert_true(middle == 0 || (offsets[o] + before) % 4096 == 0);
      assert_true(lengths[l] == 0 || middle > 0 || before + behind == lengths[l]);
      assert_true(before < 4096 || middle == 0);
    }
}

// A page belongs to one rank whichever tensor's bytes in it are looked at; those that hold more than one tensor's data
// to rank 0.
static void a_page_has_one_owner(void **unused) {
  (void)unused;
  titan_checkpoint_tensor first = {.number = TITAN_NUMBER_FLOAT32, .rank = 1, .dims = {3000}, .offset = 8192};
  titan_checkpoint_tensor second = {.number = TITAN_NUMBER_FLOAT32, .rank = 1, .dims = {3000}, .offset = 8192 + 12000};
  assert_int_equal(titan_checkpoint_page_owner(&first, 2, 7), 2);
  assert_int_equal(titan_checkpoint_page_owner(&first, 3, 3), 0);
  assert_int_equal(titan_checkpoint_page_owner(&first, 4, 7), 0);
  assert_int_equal(titan_checkpoint_page_owner(&second, 4, 7), 0);
  assert_int_equal(titan_checkpoint_page_owner(&second, 5, 7), 5);
  second.dims[0] = (int64_t)1 << 33;
  assert_int_equal(titan_checkpoint_page_owner(&second, ((uint64_t)1 << 22) + 1, 1 << 20), 1);
}

static void room_is_needed_for_one_file_more_than_are_kept(void **unused) {
  (void)unused;
  assert_int_equal(titan_store_new_files(0, 5, 7), 7);
  assert_int_equal(titan_store_new_files(2, 0, 9), 3);
  assert_int_equal(titan_store_new_files(2, 1, 9), 2);
  assert_int_equal(titan_store_new_files(2, 2, 9), 1);
  assert_int_equal(titan_store_new_files(2, 8, 9), 1);
  assert_int_equal(titan_store_new_files(2, 0, 1), 1);
  assert_int_equal(titan_store_new_files(1, 0, 0), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(elements_lie_at_their_places_in_tensors_of_any_size),
      cmocka_unit_test(rows_are_dealt_without_gaps),
      cmocka_unit_test(a_range_is_split_at_the_borders_of_pages),
      cmocka_unit_test(a_page_has_one_owner),
      cmocka_unit_test(room_is_needed_for_one_file_more_than_are_kept),
  };
  return cmocka_run_group_tests(tests, NULL, expect_no_leaks);
}
