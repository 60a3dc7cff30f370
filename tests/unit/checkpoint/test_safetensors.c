// SPDX-License-Identifier: Apache-2.0
// Property: what is written to a safetensors file comes back, in each element type, by any pieces; a set of files is
// read as one. Oracles: the values before, a file written out by hand from the format's description, and for float16
// and bfloat16 all 65,536 values. Exact.
#include "safetensors_test.h"

#include "weights/safetensors_set.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/titan-safetensors-XXXXXX";

// Tensors "a" [3,5] and "b" [200000] of one type, with values that every type holds exactly.
static void write_two(const char *path, titan_number number, const char *first_name, const char *second_name) {
  titan_safetensors_tensor tensors[2] = {{.name = (char *)first_name, .number = number, .rank = 2, .dims = {3, 5}},
                                         {.name = (char *)second_name, .number = number, .rank = 1, .dims = {200000}}};
  titan_safetensors_entry entry = {"maker", "a \"test\"\n"};
  titan_text header = {0};
  uint64_t bytes;
  float *values;
  TRY(titan_safetensors_layout(2, tensors, 1, &entry, &header, &bytes));
  TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, 200000 * sizeof *values, &values));
  for (int i = 0; i < 200000; i++)
    values[i] = (float)(i % 255 - 127) / 8;
  int descriptor = open(path, O_CREAT | O_TRUNC | O_RDWR, 0644);
  assert_true(descriptor >= 0);
  assert_int_equal(pwrite(descriptor, header.data, header.length, 0), header.length);
  TRY(titan_safetensors_write(descriptor, path, &tensors[1], 100000, 100000, values + 100000));
  TRY(titan_safetensors_write(descriptor, path, &tensors[0], 0, 15, values));
  TRY(titan_safetensors_write(descriptor, path, &tensors[1], 0, 100000, values));
  struct stat properties;
  assert_int_equal(fstat(descriptor, &properties), 0);
  assert_int_equal(properties.st_size, bytes);
  close(descriptor);
  titan_text_destroy(&header);
  titan_memory_free(values);
}

static void values_come_back_in_every_type(void **state) {
  (void)state;
  const char *const types[] = {"F32", "BF16", "F16"};
  for (int number = 0; number < 3; number++) {
    titan_safetensors *file;
    float *values;
    write_two("two.safetensors", (titan_number)number, "a", "b");
    TRY(titan_safetensors_open("two.safetensors", &file));
    assert_int_equal(file->count, 2);
    const titan_safetensors_tensor *a = titan_safetensors_find(file, "a"), *b = titan_safetensors_find(file, "b");
    assert_null(titan_safetensors_find(file, "c"));
    assert_string_equal(b->type, types[number]);
    assert_int_equal(a->rank, 2);
    assert_int_equal(a->dims[1], 5);
    assert_int_equal(a->offset % 8, 0);
    assert_string_equal(titan_safetensors_metadata(file, "maker"), "a \"test\"\n");
    TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, 200000 * sizeof *values, &values));
    TRY(titan_safetensors_read(file, b, 7, 199993, values));
    for (int i = 7; i < 200000; i++)
      assert_true(values[i - 7] == (float)(i % 255 - 127) / 8);
    TRY(titan_safetensors_read(file, a, 4, 1, values));
    assert_true(values[0] == -123.0f / 8);
    titan_memory_free(values);
    titan_safetensors_close(&file);
    assert_null(file);
  }
}

static void a_file_made_by_hand_is_read(void **state) {
  (void)state;
  static const char header[] = "{\"x\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[4,12]},"
                               "\"w\":{\"shape\":[2,1],\"dtype\":\"BF16\",\"data_offsets\":[0,4]},"
                               "\"none\":{\"dtype\":\"F32\",\"shape\":[0,7],\"data_offsets\":[12,12]}}   ";
  titan_safetensors *file;
  float values[2];
  write_raw("hand.safetensors", sizeof header - 1, header, sizeof header - 1, 12);
  TRY(titan_safetensors_open("hand.safetensors", &file));
  assert_int_equal(file->count, 3);
  assert_false(titan_safetensors_find(file, "x")->is_number);
  assert_int_equal(titan_safetensors_find(file, "none")->count, 0);
  TRY(titan_safetensors_read(file, titan_safetensors_find(file, "w"), 0, 2, values));
  assert_true(values[0] == titan_bf16_to_float(0x0100) && values[1] == titan_bf16_to_float(0x0302));
  titan_safetensors_close(&file);
}

// Every 16-bit pattern goes to float32 and back unchanged; a float32 between two neighbours goes to the nearer one.
static void short_floats_round_to_the_nearest(void **state) {
  (void)state;
  for (int number = TITAN_NUMBER_BFLOAT16; number <= TITAN_NUMBER_FLOAT16; number++)
    for (uint32_t bits = 0; bits < 0x10000; bits++) {
      uint16_t pattern = (uint16_t)bits, next = (uint16_t)(bits + 1), back;
      float value, above, middle;
      titan_number_to_float((titan_number)number, 1, &pattern, &value);
      titan_number_from_float((titan_number)number, 1, &value, &back);
      if (isnan(value)) {
        titan_number_to_float((titan_number)number, 1, &back, &value);
        assert_true(isnan(value));
        continue;
      }
      assert_int_equal(back, pattern);
      titan_number_to_float((titan_number)number, 1, &next, &above);
      if (!isfinite(value) || !isfinite(above) || (bits & 0x7fff) == 0x7fff)
        continue;
      middle = (float)(((double)value + (double)above) / 2); // exact: one more bit
      titan_number_from_float((titan_number)number, 1, &middle, &back);
      assert_int_equal(back, bits & 1 ? next : pattern);
    }
}

// --- sets ---

static void write_text(const char *path, const char *text) {
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fputs(text, file);
  assert_int_equal(fclose(file), 0);
}

static void refused(const char *path, const char *part) {
  titan_safetensors_set *set;
  assert_int_equal(titan_safetensors_set_open(path, &set), TITAN_ERROR_CHECKPOINT);
  assert_null(set);
  if (strstr(titan_error_message(), part) == NULL)
    fail_msg("'%s' does not hold '%s'", titan_error_message(), part);
}

static void files_with_an_index_are_one_set(void **state) {
  (void)state;
  titan_safetensors_set *set;
  float value;
  assert_int_equal(mkdir("set", 0755), 0);
  write_two("set/one.safetensors", TITAN_NUMBER_FLOAT32, "a", "d");
  write_two("set/two.safetensors", TITAN_NUMBER_FLOAT16, "c", "b");
  refused("set", "holds 2 files");
  write_text("set/model.safetensors.index.json",
             "{\"weight_map\":{\"d\":\"one.safetensors\",\"a\":\"one.safetensors\",\"b\":\"two.safetensors\"}}");
  const char *const ways[] = {"set", "set/", "set/model.safetensors.index.json"};
  for (int way = 0; way < 3; way++) {
    TRY(titan_safetensors_set_open(ways[way], &set));
    assert_int_equal(set->count, 3);
    assert_int_equal(set->file_count, 2);
    assert_int_equal(titan_safetensors_set_find(set, "c"), -1);
    assert_string_equal(titan_safetensors_set_metadata(set, "maker"), "a \"test\"\n");
    TRY(titan_safetensors_set_read(set, titan_safetensors_set_find(set, "b"), 9, 1, &value));
    assert_true(value == (9 - 127) / 8.0f);
    titan_safetensors_set_close(&set);
  }
  TRY(titan_safetensors_set_open("set/two.safetensors", &set));
  assert_int_equal(set->count, 2);
  assert_true(titan_safetensors_set_find(set, "c") >= 0);
  titan_safetensors_set_close(&set);
}

static void a_broken_set_is_refused(void **state) {
  (void)state;
  assert_int_equal(mkdir("broken", 0755), 0);
  refused("nowhere", "nowhere");
  refused("broken", "holds 0 files");
  write_two("broken/one.safetensors", TITAN_NUMBER_FLOAT32, "a", "d");
  write_text("broken/model.safetensors.index.json", "{\"weight_map\":{\"e\":\"one.safetensors\"}}");
  refused("broken", "tensor e is not in one.safetensors");
  write_text("broken/model.safetensors.index.json", "{\"weight_map\":{\"a\":\"three.safetensors\"}}");
  refused("broken", "three.safetensors");
  write_text("broken/model.safetensors.index.json", "{\"weight_map\":{\"a\":\"../one.safetensors\"}}");
  refused("broken", "in the same folder");
  write_text("broken/model.safetensors.index.json", "{\"weight_map\":{\"a\":7}}");
  refused("broken", "in the same folder");
  write_text("broken/model.safetensors.index.json", "[]");
  refused("broken", "weight_map");
  write_text("broken/model.safetensors.index.json", "{");
  refused("broken", "model.safetensors.index.json:1: ");
  // What cannot be read is not taken for the end of the file: this one opens, and gives EIO at its start.
  assert_int_equal(unlink("broken/model.safetensors.index.json"), 0);
  assert_int_equal(symlink("/proc/self/mem", "broken/model.safetensors.index.json"), 0);
  refused("broken", "cannot read broken/model.safetensors.index.json: Input/output error");
}

static void a_disk_that_is_full_is_said(void **state) {
  (void)state;
  int full = open("/dev/full", O_WRONLY);
  if (full < 0)
    skip();
  titan_safetensors_tensor tensor = {.name = (char *)"a", .number = TITAN_NUMBER_BFLOAT16, .rank = 1, .dims = {4}};
  float values[4] = {0};
  titan_text header = {0};
  uint64_t bytes;
  TRY(titan_safetensors_layout(1, &tensor, 0, NULL, &header, &bytes));
  assert_int_equal(titan_safetensors_write(full, "full", &tensor, 0, 4, values), TITAN_ERROR_CHECKPOINT);
  assert_non_null(strstr(titan_error_message(), "No space left"));
  titan_text_destroy(&header);
  close(full);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(values_come_back_in_every_type),    cmocka_unit_test(a_file_made_by_hand_is_read),
      cmocka_unit_test(short_floats_round_to_the_nearest), cmocka_unit_test(files_with_an_index_are_one_set),
      cmocka_unit_test(a_broken_set_is_refused),           cmocka_unit_test(a_disk_that_is_full_is_said),
  };
  if (!mkdtemp(folder) || chdir(folder) != 0)
    return 1;
  int failed = cmocka_run_group_tests(tests, NULL, nothing_is_left);
  char command[64];
  snprintf(command, sizeof command, "rm -r '%s'", folder);
  return chdir("/") != 0 || system(command) != 0 ? 1 : failed;
}
