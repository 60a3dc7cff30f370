// SPDX-License-Identifier: Apache-2.0
// Property: the reader gives what a golden file holds and refuses files that are not whole. Oracles: a file written
// here by hand, byte for byte; and for the committed cases, the C random numbers against the values their script's
// numpy copy left in the file. Comparisons are exact: nothing is rounded on the way, but for the sum of a tensor (1e-12
// relative to the sum of its absolute values: the order of summation differs).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include "base/memory.h"
#include "base/random.h"
#include "golden.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char folder[] = "/tmp/titan-golden-XXXXXX";
static char path[64];

static const char header[] = "titan-golden 1 3 128 88\n"
                             "tokens int32 2 2 3 0\n"
                             "a/loss float64 0 64\n"
                             "b float32 4 1 2 1 2 72\n";
static const char settings[] = "dim=64\n\nmultiplier=1.5\nnorm_type=rmsnorm\nempty=\nhuge=99999999999999999999\n";

typedef struct golden_image {
  char bytes[128 + 88];
} golden_image;

static golden_image image_create(void) {
  golden_image image;
  memset(&image, ' ', 128);
  memset(image.bytes + 128, 0, 88);
  memcpy(image.bytes, header, sizeof header - 1);
  memcpy(image.bytes + 128, (int32_t[]){5, -6, 7, 8, 9, 10}, 24);
  memcpy(image.bytes + 128 + 64, (double[]){0.1}, 8);
  memcpy(image.bytes + 128 + 72, (float[]){1, 2, 3, 0.1f}, 16);
  return image;
}

static void file_write(const char *suffix, const void *bytes, size_t count) {
  char name[80];
  snprintf(name, sizeof name, "%s%s", path, suffix);
  FILE *file = fopen(name, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(bytes, 1, count, file), count);
  assert_int_equal(fclose(file), 0);
}

static void refused(const char *part_of_message) {
  titan_golden *golden;
  assert_int_equal(titan_golden_open(path, &golden), TITAN_ERROR_DATA);
  assert_null(golden);
  if (strstr(titan_error_message(), part_of_message) == NULL)
    fail_msg("'%s' does not say '%s'", titan_error_message(), part_of_message);
}

static void tensors_and_settings_come_back_as_written(void **state) {
  (void)state;
  golden_image image = image_create();
  file_write(".golden", &image, sizeof image);
  file_write(".txt", settings, sizeof settings - 1);
  titan_golden *golden;
  assert_int_equal(titan_golden_open(path, &golden), TITAN_OK);
  assert_int_equal(titan_golden_count(golden), 3);
  assert_string_equal(titan_golden_at(golden, 1)->name, "a/loss");

  const titan_golden_tensor *tensor;
  assert_int_equal(titan_golden_find(golden, "tokens", &tensor), TITAN_OK);
  assert_int_equal(tensor->dtype, TITAN_INT32);
  assert_int_equal(tensor->rank, 2);
  assert_int_equal(tensor->dims[0], 2);
  assert_int_equal(tensor->dims[1], 3);
  assert_int_equal(tensor->count, 6);
  assert_true(titan_golden_value(tensor, 1) == -6 && titan_golden_value(tensor, 5) == 10);
  assert_int_equal(titan_golden_find(golden, "b", &tensor), TITAN_OK);
  assert_int_equal(tensor->rank, 4);
  assert_int_equal(tensor->count, 4);
  assert_true(titan_golden_value(tensor, 3) == (double)0.1f);

  double value;
  assert_int_equal(titan_golden_scalar(golden, "a/loss", &value), TITAN_OK);
  assert_true(value == 0.1);
  assert_int_equal(titan_golden_scalar(golden, "b", &value), TITAN_ERROR_DATA);
  assert_int_equal(titan_golden_find(golden, "token", &tensor), TITAN_ERROR_DATA);
  assert_null(tensor);

  int64_t integer;
  const char *text;
  assert_int_equal(titan_golden_integer(golden, "dim", &integer), TITAN_OK);
  assert_int_equal(integer, 64);
  assert_int_equal(titan_golden_real(golden, "multiplier", &value), TITAN_OK);
  assert_true(value == 1.5);
  assert_int_equal(titan_golden_text(golden, "norm_type", &text), TITAN_OK);
  assert_string_equal(text, "rmsnorm");
  assert_int_equal(titan_golden_integer(golden, "multiplier", &integer), TITAN_ERROR_DATA);
  assert_int_equal(titan_golden_integer(golden, "huge", &integer), TITAN_ERROR_DATA);
  assert_int_equal(titan_golden_real(golden, "empty", &value), TITAN_ERROR_DATA);
  assert_int_equal(titan_golden_real(golden, "norm_type", &value), TITAN_ERROR_DATA);
  assert_int_equal(titan_golden_text(golden, "absent", &text), TITAN_ERROR_DATA);
  titan_golden_close(&golden);
  assert_null(golden);
  titan_golden_close(&golden);
}

static void a_file_of_any_other_length_is_refused(void **state) {
  (void)state;
  golden_image image = image_create();
  char longer[sizeof image + 1] = {0};
  memcpy(longer, &image, sizeof image);
  file_write(".txt", settings, sizeof settings - 1);
  for (size_t length = 0; length <= sizeof longer; length++)
    if (length != sizeof image) {
      file_write(".golden", longer, length);
      refused("golden");
    }
}

static void a_damaged_header_is_refused(void **state) {
  (void)state;
  // What is written over the header, of the same length, so that nothing else moves.
  static const char *const damage[][2] = {
      {"titan-golden", "titan-garden"},
      {"golden 1 3", "golden 2 3"},
      {"golden 1 3", "golden 1 9"},
      {"3 128 88", "999999999999999 128 88\n"},
      {"128 88", "127 89"},
      {"128 88", "999999"},
      {"128 88", "128 -8"},
      {"int32 2 2 3 0", "int16 2 2 3 0"},
      {"int32 2 2 3 0", "int32 2 2 3 1"},
      {"int32 2 2 3 0", "int32 2 2 3x0"},
      {"int32 2 2 3 0", "int32 1 2 3 0"},
      {"int32 2 2 3 0", "int32 3 2 3 0"},
      {"int32 2 2 3 0", "int32 2 9 9 0"},
      {"float64 0 64", "float64 0 88"},
      {"float32 4 1 2 1 2 72", "float32 5 1 1 1 1 72"},
      {"float32 4 1 2 1 2 72", "float32 1 99999999 0"},
      {"float32 4 1 2 1 2 72", "float32            4"},
  };
  file_write(".txt", settings, sizeof settings - 1);
  for (size_t i = 0; i < sizeof damage / sizeof damage[0]; i++) {
    golden_image image = image_create();
    char *place = strstr(image.bytes, damage[i][0]);
    assert_non_null(place);
    memcpy(place, damage[i][1], strlen(damage[i][1]));
    file_write(".golden", &image, sizeof image);
    refused("line");
  }
}

static void missing_files_and_bad_settings_are_named(void **state) {
  (void)state;
  golden_image image = image_create();
  file_write(".golden", &image, sizeof image);
  file_write(".txt", "dim=1\nno equals sign\n", 21);
  refused("case.txt:2");
  char name[80];
  snprintf(name, sizeof name, "%s.txt", path);
  assert_int_equal(unlink(name), 0);
  refused("case.txt: cannot open");
  snprintf(name, sizeof name, "%s.golden", path);
  assert_int_equal(unlink(name), 0);
  refused("case.golden: cannot open");
}

static const char *const cases[] = {"llama3_rmsnorm", "llama3_gqa", "llama2_fused_rmsnorm", "llama3_layernorm",
                                    "llama2_np_layernorm"};

static void golden_open(const char *name, titan_golden **golden) {
  char file[4096];
  snprintf(file, sizeof file, "%s/%s", GOLDEN_LLAMA, name);
  if (titan_golden_open(file, golden) != TITAN_OK)
    fail_msg("%s", titan_error_message());
}

static int64_t setting_of(const titan_golden *golden, const char *key) {
  int64_t value;
  assert_int_equal(titan_golden_integer(golden, key, &value), TITAN_OK);
  return value;
}

static void the_committed_cases_are_finite_and_of_the_sizes_they_name(void **state) {
  (void)state;
  for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
    titan_golden *golden;
    golden_open(cases[c], &golden);
    for (int i = 0; i < titan_golden_count(golden); i++)
      for (int64_t j = 0; j < titan_golden_at(golden, i)->count; j++)
        assert_true(isfinite(titan_golden_value(titan_golden_at(golden, i), j)));
    int64_t batch = setting_of(golden, "batch"), length = setting_of(golden, "seq_len");
    int64_t steps = setting_of(golden, "steps"), vocab = setting_of(golden, "vocab");
    const titan_golden_tensor *tensor;
    assert_int_equal(titan_golden_find(golden, "logits", &tensor), TITAN_OK);
    assert_int_equal(tensor->count, batch * length * vocab);
    assert_int_equal(titan_golden_find(golden, "training/loss", &tensor), TITAN_OK);
    assert_int_equal(tensor->count, steps);
    double loss;
    assert_int_equal(titan_golden_scalar(golden, "loss", &loss), TITAN_OK);
    assert_true(fabs(loss - titan_golden_value(tensor, 0)) <
                1e-12); // the first step's loss is that of the first weights
    titan_golden_close(&golden);
  }
}

// The tokens are floor(vocab u u) of the stream "golden.tokens".
static void the_committed_tokens_are_those_of_the_random_stream(void **state) {
  (void)state;
  for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
    titan_golden *golden;
    golden_open(cases[c], &golden);
    const titan_golden_tensor *tokens;
    assert_int_equal(titan_golden_find(golden, "tokens", &tokens), TITAN_OK);
    assert_int_equal(tokens->count,
                     setting_of(golden, "steps") * setting_of(golden, "batch") * (setting_of(golden, "seq_len") + 1));
    titan_random_stream stream = titan_random_stream_create((uint64_t)setting_of(golden, "seed"), "golden.tokens");
    for (int64_t i = 0; i < tokens->count; i++) {
      double u;
      titan_random_uniform(stream, (uint64_t)i, 1, &u);
      assert_int_equal(titan_golden_value(tokens, i), floor((double)setting_of(golden, "vocab") * (u * u)));
    }
    titan_golden_close(&golden);
  }
}

// wq is [D, D] with std 0.02, cut at an absolute 2. The file keeps its first and last element and its sum.
static void the_committed_initial_weights_are_those_of_the_random_stream(void **state) {
  (void)state;
  static const char name[] = "layers.1.attention.wq.weight";
  for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
    titan_golden *golden;
    golden_open(cases[c], &golden);
    const titan_golden_tensor *initial;
    assert_int_equal(titan_golden_find(golden, "initial/layers.1.attention.wq.weight", &initial), TITAN_OK);
    uint64_t count = (uint64_t)(setting_of(golden, "dim") * setting_of(golden, "dim"));
    float *weights;
    assert_int_equal(titan_memory_allocate(TITAN_MEMORY_GENERAL, count * sizeof *weights, &weights), TITAN_OK);
    titan_random_normal(titan_random_stream_create((uint64_t)setting_of(golden, "seed"), name), 0, count, 0, 0.02,
                        -2 / 0.02, 2 / 0.02, weights);
    double sum = 0, absolute = 0;
    for (uint64_t i = 0; i < count; i++)
      sum += weights[i], absolute += fabs((double)weights[i]);
    assert_true(weights[0] == titan_golden_value(initial, 0));
    assert_true(weights[count - 1] == titan_golden_value(initial, 1));
    assert_true(fabs(sum - titan_golden_value(initial, 2)) <= 1e-12 * absolute);
    titan_memory_free(weights);
    titan_golden_close(&golden);
  }
}

static int folder_create(void **state) {
  (void)state;
  if (mkdtemp(folder) == NULL)
    return -1;
  snprintf(path, sizeof path, "%s/case", folder);
  return 0;
}

static int nothing_is_left(void **state) {
  (void)state;
  return rmdir(folder) == 0 && titan_memory_report_leaks() == 0 ? 0 : -1;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(tensors_and_settings_come_back_as_written),
      cmocka_unit_test(a_file_of_any_other_length_is_refused),
      cmocka_unit_test(a_damaged_header_is_refused),
      cmocka_unit_test(missing_files_and_bad_settings_are_named),
      cmocka_unit_test(the_committed_cases_are_finite_and_of_the_sizes_they_name),
      cmocka_unit_test(the_committed_tokens_are_those_of_the_random_stream),
      cmocka_unit_test(the_committed_initial_weights_are_those_of_the_random_stream),
  };
  return cmocka_run_group_tests(tests, folder_create, nothing_is_left);
}
