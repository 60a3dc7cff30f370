// SPDX-License-Identifier: Apache-2.0
// Property: metrics.h5 holds what was appended, bit for bit; other processes can read it while it is being written, and
// after its writer was killed. Oracle: rows that are a function of the step, exact; the file is also read through plain
// HDF5 calls, by dataset name, as a plotting script would.
#include "metrics_test.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xxhash.h>

// The last row of a file of steps 1 .. count, and its length; 0 when right. Runs in a process of its own.
static int reader(const char *file, int count) {
  titan_metrics_row *rows;
  uint64_t found;
  if (titan_metrics_read(file, &rows, &found) != TITAN_OK) {
    fprintf(stderr, "%s\n", titan_error_message());
    return 2;
  }
  int wrong = found != (uint64_t)count;
  for (int step = 1; step <= count && !wrong; step++) {
    titan_metrics_row row = row_of(step);
    wrong = memcmp(&rows[step - 1], &row, sizeof row) != 0;
  }
  titan_memory_free(rows);
  return wrong;
}

// Appends rows until it is killed.
static int endless_writer(const char *file) {
  titan_metrics *metrics;
  if (create(file, 0, &metrics) != TITAN_OK)
    return 2;
  for (int step = 1;; step++) {
    titan_metrics_row row = row_of(step);
    if (titan_metrics_append(metrics, &row) != TITAN_OK)
      return 3;
  }
}

// Keeps the file open as an SWMR reader, tells so on descriptor `to_parent`, waits for a byte from `from_parent`, and
// looks whether the dataset has grown to `count` right values.
static int patient_reader(const char *file, int count, int to_parent, int from_parent) {
  hid_t access = H5Pcreate(H5P_FILE_ACCESS);
  H5Pset_file_locking(access, 0, 1);
  hid_t opened = H5Fopen(file, H5F_ACC_RDONLY | H5F_ACC_SWMR_READ, access);
  hid_t dataset = H5Dopen2(opened, "/loss", H5P_DEFAULT);
  char byte = 'x';
  if (dataset < 0 || write(to_parent, &byte, 1) != 1 || read(from_parent, &byte, 1) != 1)
    return 2;
  double values[MOST_ROWS];
  H5Drefresh(dataset);
  hid_t space = H5Dget_space(dataset);
  if (H5Sget_simple_extent_npoints(space) != count ||
      H5Dread(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0)
    return 3;
  int wrong = 0;
  for (int step = 1; step <= count; step++)
    wrong |= !(values[step - 1] == row_of(step).loss);
  H5Sclose(space);
  H5Dclose(dataset);
  H5Fclose(opened);
  H5Pclose(access);
  return wrong;
}

// Starts this program again in another role: HDF5 in a mere fork would share the parent's open file.
static pid_t start_role(const char *role, const char *argument) {
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    execl("/proc/self/exe", "test_metrics", role, path, argument, (char *)NULL);
    _exit(99);
  }
  return child;
}

static void check_child_ends_well(pid_t child) {
  int result = -1;
  assert_int_equal(waitpid(child, &result, 0), child);
  assert_true(WIFEXITED(result));
  assert_int_equal(WEXITSTATUS(result), 0);
}

static void check_file_holds_steps(int count) {
  char text[16];
  snprintf(text, sizeof text, "%d", count);
  check_child_ends_well(start_role("read", text));
}

static void rows_come_back_exactly_by_dataset_name(void **state) {
  (void)state;
  titan_metrics *metrics;
  assert_int_equal(create(path, 0, &metrics), TITAN_OK);
  append_steps(metrics, 1, 3);
  titan_metrics_destroy(&metrics);
  assert_null(metrics);
  hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
  assert_true(file >= 0);
  for (int column = 0; column < COLUMNS; column++) {
    hid_t dataset = H5Dopen2(file, column_names[column], H5P_DEFAULT), space = H5Dget_space(dataset),
          type = H5Dget_type(dataset);
    double values[3];
    assert_int_equal(H5Sget_simple_extent_ndims(space), 1);
    assert_int_equal(H5Sget_simple_extent_npoints(space), 3);
    assert_true(H5Tequal(type, H5T_IEEE_F64LE) > 0);
    assert_true(H5Aexists(dataset, "units") > 0 && H5Aexists(dataset, "description") > 0);
    assert_true(H5Dread(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    for (int i = 0; i < 3; i++) {
      titan_metrics_row row = row_of(i + 1);
      assert_true(values[i] == ((const double *)&row)[column]);
    }
    H5Tclose(type);
    H5Sclose(space);
    H5Dclose(dataset);
  }
  H5Fclose(file);
}

static void another_process_reads_while_rows_are_added(void **state) {
  (void)state;
  titan_metrics *metrics;
  assert_int_equal(create(path, 0, &metrics), TITAN_OK);
  check_file_holds_steps(0);
  append_steps(metrics, 1, 1);
  check_file_holds_steps(1);
  append_steps(metrics, 2, 40);
  check_file_holds_steps(40);
  titan_metrics_destroy(&metrics);
}

static void a_reader_that_keeps_the_file_open_sees_new_rows(void **state) {
  (void)state;
  int to_parent[2], to_child[2];
  assert_int_equal(pipe(to_parent) | pipe(to_child), 0);
  char text[64], byte = 'x';
  snprintf(text, sizeof text, "%d,%d,%d", MOST_ROWS, to_parent[1], to_child[0]);
  titan_metrics *metrics;
  assert_int_equal(create(path, 0, &metrics), TITAN_OK);
  append_steps(metrics, 1, 2);
  pid_t child = start_role("wait", text);
  close(to_parent[1]);
  close(to_child[0]);
  assert_int_equal(read(to_parent[0], &byte, 1), 1);
  append_steps(metrics, 3, MOST_ROWS);
  assert_int_equal(write(to_child[1], &byte, 1), 1);
  check_child_ends_well(child);
  close(to_parent[0]);
  close(to_child[1]);
  titan_metrics_destroy(&metrics);
}

// h5dump and the like open files without SWMR; they refuse one that carries a writer's mark.
static void a_tool_without_swmr_reads_between_two_rows(void **state) {
  (void)state;
  titan_metrics *metrics;
  assert_int_equal(create(path, 0, &metrics), TITAN_OK);
  append_steps(metrics, 1, 2);
  check_plain(path, 2, 0);
  append_steps(metrics, 3, 3);
  check_plain(path, 3, 0);
  titan_metrics_destroy(&metrics);
}

static void a_file_of_another_run_is_not_written_to(void **state) {
  (void)state;
  titan_metrics *first, *second;
  titan_metrics_row row = row_of(1);
  assert_int_equal(create(path, 0, &first), TITAN_OK);
  assert_int_equal(create(path, 0, &second), TITAN_OK);
  append_steps(second, 1, 1);
  assert_int_equal(titan_metrics_append(first, &row), TITAN_ERROR_OUTPUT);
  assert_non_null(strstr(titan_error_message(), path));
  titan_metrics_destroy(&first);
  titan_metrics_destroy(&second);
  check_file_holds_steps(1);
}

static void a_new_run_keeps_the_file_of_the_run_before(void **state) {
  (void)state;
  titan_metrics *metrics;
  remove_all();
  for (int run = 1; run <= 3; run++) {
    assert_int_equal(create(path, 0, &metrics), TITAN_OK);
    append_steps(metrics, 1, run);
    assert_null(titan_metrics_last_before(metrics));
    titan_metrics_destroy(&metrics);
  }
  check_rows(numbered(1), 1);
  check_rows(numbered(2), 2);
  check_rows(path, 3);
}

static void a_resumed_run_keeps_the_rows_before_its_first_step(void **state) {
  (void)state;
  titan_metrics *metrics;
  assert_int_equal(create(path, 0, &metrics), TITAN_OK);
  append_steps(metrics, 1, 10);
  titan_metrics_destroy(&metrics);
  assert_int_equal(create(path, 7, &metrics), TITAN_OK);
  check_file_holds_steps(6);
  assert_true(titan_metrics_last_before(metrics)->tokens == row_of(6).tokens);
  // Rows of equal times: mfu of steps 1 to 6, each a third of its step.
  assert_true(fabs(titan_metrics_mfu_before(metrics) - (1 + 2 + 3 + 4 + 5 + 6) / 3.0 / 6) < 1e-12);
  append_steps(metrics, 7, 8);
  titan_metrics_destroy(&metrics);
  check_file_holds_steps(8);
}

// The instants of the kills are spread over many rows' writing; at each the file must be whole up to its last row.
static void a_killed_writers_rows_can_be_read_and_continued(void **state) {
  (void)state;
  for (int kill_number = 0; kill_number < 8; kill_number++) {
    unlink(path);
    pid_t child = start_role("write", "");
    while (access(path, F_OK) != 0 && waitpid(child, NULL, WNOHANG) == 0)
      usleep(500);
    usleep((useconds_t)(10000 + 1777 * kill_number));
    assert_int_equal(kill(child, SIGKILL), 0);
    int result = -1;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFSIGNALED(result));
    titan_metrics_row *rows;
    uint64_t count;
    assert_int_equal(titan_metrics_read(path, &rows, &count), TITAN_OK);
    titan_memory_free(rows);
    check_file_holds_steps((int)count);
    titan_metrics *metrics;
    assert_int_equal(create(path, (int64_t)count + 1, &metrics), TITAN_OK);
    append_steps(metrics, (int)count + 1, (int)count + 2);
    titan_metrics_destroy(&metrics);
    check_file_holds_steps((int)count + 2);
  }
}

static void missing_folders_are_made(void **state) {
  (void)state;
  char deep[160];
  snprintf(deep, sizeof deep, "%s/a/b//c/metrics.h5", folder);
  titan_metrics *metrics;
  assert_int_equal(create(deep, 0, &metrics), TITAN_OK);
  titan_metrics_destroy(&metrics);
  assert_int_equal(access(deep, F_OK), 0);
}

static void a_file_grows_beyond_the_rows_it_was_made_for(void **state) {
  (void)state;
  enum { MANY = 5000 };
  titan_metrics *metrics;
  remove_all();
  assert_int_equal(create_for(path, 0, 0, 10, &metrics), TITAN_OK);
  append_steps(metrics, 1, MANY);
  append_validations(metrics, 1, MANY);
  append_steps(metrics, MANY + 1, MANY + 1);
  titan_metrics_destroy(&metrics);
  check_rows(path, MANY + 1);
  check_validations(path, MANY);
  static double values[MANY + 1];
  hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT), dataset = H5Dopen2(file, "/mfu", H5P_DEFAULT);
  assert_true(H5Dread(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
  for (int step = 1; step <= MANY + 1; step++)
    assert_true(values[step - 1] == row_of(step).mfu);
  H5Dclose(dataset);
  H5Fclose(file);
}

static void validations_have_rows_of_their_own(void **state) {
  (void)state;
  titan_metrics *metrics;
  remove_all();
  assert_int_equal(create(path, 0, &metrics), TITAN_OK);
  check_plain(path, 0, 0);
  append_validations(metrics, 1, 1);
  check_plain(path, 0, 1);
  append_steps(metrics, 1, 7);
  append_validations(metrics, 2, 3);
  check_plain(path, 7, 3);
  append_steps(metrics, 8, 8);
  titan_metrics_destroy(&metrics);
  check_plain(path, 8, 3);
  check_rows(path, 8);
  check_validations(path, 3);
}

// Validations 1 to 5 are of steps 2 to 10.
static void a_resumed_run_keeps_the_validations_before_its_first_one(void **state) {
  (void)state;
  static const struct {
    int first_step, first_validation, steps, validations;
  } cases[] = {{7, 7, 6, 3}, {7, 6, 6, 2}, {11, 11, 10, 5}, {11, 10, 10, 4}, {2, 2, 1, 0}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    titan_metrics *metrics;
    remove_all();
    assert_int_equal(create(path, 0, &metrics), TITAN_OK);
    assert_null(titan_metrics_last_validation_before(metrics));
    append_steps(metrics, 1, 10);
    append_validations(metrics, 1, 5);
    titan_metrics_destroy(&metrics);
    assert_int_equal(create_for(path, cases[i].first_step, cases[i].first_validation, 10, &metrics), TITAN_OK);
    check_plain(path, cases[i].steps, cases[i].validations);
    const titan_metrics_validation_row *last = titan_metrics_last_validation_before(metrics);
    assert_true(cases[i].validations == 0 ? last == NULL : last->step == 2 * cases[i].validations);
    append_validations(metrics, cases[i].validations + 1, 6);
    titan_metrics_destroy(&metrics);
    check_plain(path, cases[i].steps, 6);
  }
}

static uint64_t number_at(const unsigned char *bytes) {
  uint64_t value = 0;
  for (int i = 7; i >= 0; i--)
    value = value << 8 | bytes[i];
  return value;
}

// Makes of the file what the program wrote when it had 12 columns, and no validations: it ends behind the records of
// the steps, with their place, number and columns, and a checksum of these.
static void make_it_old(int rows) {
  enum { TEXT = 32, NEW_END = TEXT + 8 * 10, OLD_END = TEXT + 8 * 4, OLD_COLUMNS = 12 };
  unsigned char end[NEW_END], record[8 * (COLUMNS + 1)];
  FILE *stream = fopen(path, "r+");
  assert_non_null(stream);
  assert_int_equal(fseek(stream, -NEW_END, SEEK_END), 0);
  assert_int_equal(fread(end, 1, sizeof end, stream), sizeof end);
  long start = (long)number_at(end + TEXT), capacity = (long)number_at(end + TEXT + 8);
  for (long i = 0; i < capacity; i++) { // the records of fewer columns, from the first on
    assert_int_equal(fseek(stream, start + i * (long)sizeof record, SEEK_SET), 0);
    assert_int_equal(fread(record, 1, sizeof record, stream), sizeof record);
    uint64_t checksum = i < rows ? XXH64(record, 8 * OLD_COLUMNS, (uint64_t)i) : 0;
    for (int k = 0; k < 8; k++)
      record[8 * OLD_COLUMNS + k] = (unsigned char)(checksum >> 8 * k);
    assert_int_equal(fseek(stream, start + i * 8 * (OLD_COLUMNS + 1), SEEK_SET), 0);
    assert_int_equal(fwrite(record, 1, 8 * (OLD_COLUMNS + 1), stream), 8 * (OLD_COLUMNS + 1));
  }
  long size = start + capacity * 8 * (OLD_COLUMNS + 1);
  memset(end, 0, TEXT);
  memcpy(end, "titan-hpc metrics record 2\n", 27);
  end[TEXT + 16] = OLD_COLUMNS;
  uint64_t checksum = XXH64(end, OLD_END - 8, 0);
  for (int i = 0; i < 8; i++)
    end[OLD_END - 8 + i] = (unsigned char)(checksum >> 8 * i);
  assert_int_equal(ftruncate(fileno(stream), size), 0);
  assert_int_equal(fseek(stream, size, SEEK_SET), 0);
  assert_int_equal(fwrite(end, 1, OLD_END, stream), OLD_END);
  assert_int_equal(fclose(stream), 0);
}

static void a_file_of_fewer_columns_and_series_is_continued(void **state) {
  (void)state;
  titan_metrics *metrics;
  titan_metrics_row *rows;
  uint64_t count;
  remove_all();
  assert_int_equal(create(path, 0, &metrics), TITAN_OK);
  append_steps(metrics, 1, 5);
  titan_metrics_destroy(&metrics);
  make_it_old(5);
  check_validations(path, 0);
  assert_int_equal(create(path, 5, &metrics), TITAN_OK);
  assert_int_equal(access(numbered(1), F_OK), -1);
  append_steps(metrics, 5, 6);
  append_validations(metrics, 1, 1);
  titan_metrics_destroy(&metrics);
  check_validations(path, 1);
  assert_int_equal(titan_metrics_read(path, &rows, &count), TITAN_OK);
  assert_int_equal(count, 6);
  for (int i = 0; i < 6; i++) {
    titan_metrics_row row = row_of(i + 1);
    int known = i < 4 ? 12 : COLUMNS;
    assert_memory_equal(&rows[i], &row, (size_t)known * sizeof(double));
    for (int column = known; column < COLUMNS; column++)
      assert_true(isnan(((const double *)&rows[i])[column]));
  }
  titan_memory_free(rows);
}

static void ranks_have_rows_of_their_own(void **state) {
  (void)state;
  titan_metrics *metrics;
  titan_metrics_rank_row *rows;
  uint64_t count;
  remove_all();
  for (int start = 0; start < 2; start++) { // the second one goes on from step 3, and takes its rows back
    assert_int_equal(create(path, start > 0 ? 3 : 0, &metrics), TITAN_OK);
    for (int step = start > 0 ? 3 : 1; step <= 4; step++) {
      titan_metrics_row row = row_of(step);
      titan_metrics_rank_row ranks[3];
      for (int rank = 0; rank < 3; rank++)
        ranks[rank] = (titan_metrics_rank_row){step, rank, 10.5 * rank + start, 1, 2, 3, 4, step + 0.25 * rank};
      assert_int_equal(titan_metrics_append(metrics, &row), TITAN_OK);
      assert_int_equal(titan_metrics_append_ranks(metrics, ranks, 3), TITAN_OK);
    }
    titan_metrics_destroy(&metrics);
  }
  assert_int_equal(titan_metrics_read_ranks(path, &rows, &count), TITAN_OK);
  assert_int_equal(count, 12);
  for (int i = 0; i < 12; i++) {
    int step = 1 + i / 3, rank = i % 3;
    assert_true(rows[i].step == step && rows[i].number == rank && rows[i].loss_max == 10.5 * rank + (step > 2) &&
                rows[i].memory == step + 0.25 * rank);
  }
  titan_memory_free(rows);
  hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT), dataset = H5Dopen2(file, "/rank_memory", H5P_DEFAULT);
  double values[12];
  assert_true(H5Dread(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
  assert_true(values[11] == 4.5);
  H5Dclose(dataset);
  H5Fclose(file);
}

static void a_file_says_what_run_it_is_of(void **state) {
  (void)state;
  static char large[100000];
  memset(large, 'x', sizeof large - 1);
  titan_metrics_attribute attributes[] = {{"version", "titan-hpc 1.2.3"}, {"configuration", large}};
  titan_metrics_options options = {.path = path, .attributes = attributes, .attribute_count = 2};
  titan_metrics *metrics;
  assert_int_equal(titan_metrics_create(&options, &metrics), TITAN_OK);
  append_steps(metrics, 1, 2);
  titan_metrics_destroy(&metrics);
  hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
  for (int i = 0; i < 2; i++) {
    static char text[sizeof large];
    hid_t attribute = H5Aopen(file, attributes[i].name, H5P_DEFAULT), type = H5Aget_type(attribute);
    assert_true(H5Aread(attribute, type, text) >= 0);
    assert_string_equal(text, attributes[i].value);
    H5Tclose(type);
    H5Aclose(attribute);
  }
  H5Fclose(file);
}

int main(int argc, char **argv) {
  if (argc == 4 && strcmp(argv[1], "read") == 0)
    return reader(argv[2], atoi(argv[3]));
  if (argc == 4 && strcmp(argv[1], "write") == 0)
    return endless_writer(argv[2]);
  int count, to_parent, from_parent;
  if (argc == 4 && strcmp(argv[1], "wait") == 0 && sscanf(argv[3], "%d,%d,%d", &count, &to_parent, &from_parent) == 3)
    return patient_reader(argv[2], count, to_parent, from_parent);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rows_come_back_exactly_by_dataset_name),
      cmocka_unit_test(another_process_reads_while_rows_are_added),
      cmocka_unit_test(a_reader_that_keeps_the_file_open_sees_new_rows),
      cmocka_unit_test(a_tool_without_swmr_reads_between_two_rows),
      cmocka_unit_test(a_file_of_another_run_is_not_written_to),
      cmocka_unit_test(a_new_run_keeps_the_file_of_the_run_before),
      cmocka_unit_test(a_resumed_run_keeps_the_rows_before_its_first_step),
      cmocka_unit_test(a_killed_writers_rows_can_be_read_and_continued),
      cmocka_unit_test(missing_folders_are_made),
      cmocka_unit_test(a_file_grows_beyond_the_rows_it_was_made_for),
      cmocka_unit_test(validations_have_rows_of_their_own),
      cmocka_unit_test(a_resumed_run_keeps_the_validations_before_its_first_one),
      cmocka_unit_test(a_file_of_fewer_columns_and_series_is_continued),
      cmocka_unit_test(ranks_have_rows_of_their_own),
      cmocka_unit_test(a_file_says_what_run_it_is_of),
  };
  return cmocka_run_group_tests(tests, make_folder, nothing_is_left);
}
