// SPDX-License-Identifier: Apache-2.0
// Property: a malformed safetensors file is refused with a message that names it, never read out of bounds, and leaves
// no memory. Oracle: the format's rules, each broken once, and a few thousand files damaged at random places, which are
// refused or read whole.
#include "safetensors_test.h"

#include <stdlib.h>
#include <unistd.h>

static char path[] = "/tmp/titan-malformed-XXXXXX";

static const char good[] =
    "{\"__metadata__\":{\"format\":\"pt\"},\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,"
    "24]},\"b\":{\"dtype\":\"F16\",\"shape\":[4],\"data_offsets\":[24,32]}}";

static void refused(const char *header, size_t data, const char *part) {
  titan_safetensors *file;
  write_raw(path, strlen(header), header, strlen(header), data);
  assert_int_equal(titan_safetensors_open(path, &file), TITAN_ERROR_CHECKPOINT);
  assert_null(file);
  if (strstr(titan_error_message(), part) == NULL || strstr(titan_error_message(), path) == NULL)
    fail_msg("%s: '%s' does not hold '%s'", header, titan_error_message(), part);
}

#define TENSOR(name, dtype, shape, offsets)                                                                            \
  "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static void each_broken_rule_is_named(void **state) {
  (void)state;
  refused("[]", 0, "not a JSON object");
  refused("{\"a\":", 0, "not a JSON object");
  refused("{\"a\":1}", 0, "not described by a JSON object");
  refused("{" TENSOR("a", "F32", "[1]", "[0,4]") "," TENSOR("a", "F32", "[1]", "[4,8]") "}", 8, "duplicate");
  refused("{" TENSOR("a", "F33", "[1]", "[0,4]") "}", 4, "unknown dtype F33");
  refused("{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "unknown dtype (none)");
  refused("{" TENSOR("a", "F32", "7", "[0,4]") "}", 4, "has no shape");
  refused("{" TENSOR("a", "F32", "[-1]", "[0,4]") "}", 4, "whole number");
  refused("{" TENSOR("a", "F32", "[1.0]", "[0,4]") "}", 4, "whole number");
  refused("{" TENSOR("a", "F32", "[4294967296,4294967296]", "[0,4]") "}", 4, "more elements");
  refused("{" TENSOR("a", "F32", "[9223372036854775807,2]", "[0,4]") "}", 4, "more elements");
  refused("{" TENSOR("a", "F32", "[99999999999999999999]", "[0,4]") "}", 4, "not a JSON object");
  refused("{" TENSOR("a", "F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]") "}", 4, "more than 8");
  refused("{" TENSOR("a", "F32", "[1]", "[4,0]") "}", 4, "data_offsets");
  refused("{" TENSOR("a", "F32", "[1]", "[0,4,8]") "}", 4, "data_offsets");
  refused("{" TENSOR("a", "F32", "[1]", "[-4,0]") "}", 4, "data_offsets");
  refused("{" TENSOR("a", "F32", "[2]", "[0,4]") "}", 4, "shape and dtype make 8");
  refused("{" TENSOR("a", "F32", "[2]", "[0,8]") "}", 4, "truncated");
  refused("{" TENSOR("a", "F32", "[1]", "[9223372036854775803,9223372036854775807]") "}", 4, "truncated");
  refused("{" TENSOR("a", "F32", "[2]", "[0,8]") "," TENSOR("b", "F32", "[2]", "[4,12]") "}", 12, "overlap");
  refused("{" TENSOR("a", "F32", "[1]", "[4,8]") "}", 8, "belong to no tensor");
  refused("{" TENSOR("a", "F32", "[1]", "[0,4]") "}", 8, "belong to no tensor");
  refused("{\"__metadata__\":7}", 0, "__metadata__");
  refused("{\"__metadata__\":{\"a\":7}}", 0, "__metadata__");
  refused("{\"a\\u0000b\":{}}", 0, "not a JSON object");
}

static void a_wrong_length_is_named(void **state) {
  (void)state;
  const uint64_t lengths[] = {UINT64_MAX, INT64_MAX, 100000001, sizeof good + 40, 0};
  titan_safetensors *file;
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    write_raw(path, lengths[i], good, sizeof good - 1, 32);
    assert_int_equal(titan_safetensors_open(path, &file), TITAN_ERROR_CHECKPOINT);
  }
  FILE *empty = fopen(path, "wb");
  assert_non_null(empty);
  fclose(empty);
  assert_int_equal(titan_safetensors_open(path, &file), TITAN_ERROR_CHECKPOINT);
  assert_non_null(strstr(titan_error_message(), "not a safetensors file"));
  assert_int_equal(titan_safetensors_open("/tmp", &file), TITAN_ERROR_CHECKPOINT);
  assert_non_null(strstr(titan_error_message(), "not a file"));
}

static void read_everything(const titan_safetensors *file) {
  for (int i = 0; i < file->count; i++) {
    float values[64];
    assert_true(!file->tensors[i].is_number || file->tensors[i].count <= 64);
    if (file->tensors[i].is_number)
      TRY(titan_safetensors_read(file, &file->tensors[i], 0, file->tensors[i].count, values));
  }
}

static void truncation_is_found_at_every_byte(void **state) {
  (void)state;
  titan_safetensors *file;
  write_raw(path, sizeof good - 1, good, sizeof good - 1, 32);
  TRY(titan_safetensors_open(path, &file));
  read_everything(file);
  titan_safetensors_close(&file);
  for (long length = 8 + (long)sizeof good - 1 + 32 - 1; length >= 0; length--) {
    assert_int_equal(truncate(path, length), 0);
    assert_int_equal(titan_safetensors_open(path, &file), TITAN_ERROR_CHECKPOINT);
  }
}

static void random_damage_is_refused_or_harmless(void **state) {
  (void)state;
  int refusals = 0;
  srand(1);
  for (int i = 0; i < 4000; i++) {
    char header[sizeof good];
    titan_safetensors *file;
    memcpy(header, good, sizeof good);
    for (int n = rand() % 3; n >= 0; n--)
      header[(size_t)rand() % (sizeof good - 1)] = rand() % 3 ? (char)(32 + rand() % 95) : (char)(rand() & 255);
    write_raw(path, sizeof good - 1, header, sizeof good - 1, 32);
    if (titan_safetensors_open(path, &file) != TITAN_OK) {
      refusals++;
      continue;
    }
    read_everything(file);
    titan_safetensors_close(&file);
  }
  assert_in_range(refusals, 1000, 3999);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_broken_rule_is_named),
      cmocka_unit_test(a_wrong_length_is_named),
      cmocka_unit_test(truncation_is_found_at_every_byte),
      cmocka_unit_test(random_damage_is_refused_or_harmless),
  };
  int descriptor = mkstemp(path);
  if (descriptor < 0)
    return 1;
  close(descriptor);
  int failed = cmocka_run_group_tests(tests, NULL, nothing_is_left);
  unlink(path);
  return failed;
}
