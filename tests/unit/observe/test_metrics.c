// Property: metrics.h5 holds what was appended, bit for bit; other processes can read it while it is being written, and
// after its writer was killed. Oracle: rows that are a function of the step, exact; the file is also read through plain
// HDF5 calls, by dataset name, as a plotting script would.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include "base/memory.h"
#include "observe/metrics.h"
#include "storage/folder.h"

#include <hdf5.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_ROWS = 1100 }; // beyond the first chunk of a dataset

static char folder[64], path[128];

static titan_metrics_row row_of(int step) {
  double s = step;
  return (titan_metrics_row){.step = s,
                             .loss = 8 / (1 + s),
                             .loss_max = 9 / (1 + s),
                             .grad_norm = sqrt(s),
                             .lr = 8e-4 / s,
                             .tokens = 16384 * s,
                             .seconds = 0.1 * s,
                             .tps = 1000.5 + s,
                             .mfu = s / 3,
                             .memory = 1.5 + 1 / s};
}

static void append_steps(titan_metrics *metrics, int first, int last) {
  for (int step = first; step <= last; step++) {
    titan_metrics_row row = row_of(step);
    assert_int_equal(titan_metrics_append(metrics, &row), TITAN_OK);
  }
}

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
  if (titan_metrics_create(file, 0, &metrics) != TITAN_OK)
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
  assert_int_equal(titan_metrics_create(path, 0, &metrics), TITAN_OK);
  append_steps(metrics, 1, 3);
  titan_metrics_destroy(&metrics);
  assert_null(metrics);
  const char *names[] = {"/step",   "/loss",    "/loss_max", "/grad_norm", "/lr",
                         "/tokens", "/seconds", "/tps",      "/mfu",       "/memory"};
  hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
  assert_true(file >= 0);
  for (int column = 0; column < 10; column++) {
    hid_t dataset = H5Dopen2(file, names[column], H5P_DEFAULT), space = H5Dget_space(dataset),
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
  assert_int_equal(titan_metrics_create(path, 0, &metrics), TITAN_OK);
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
  assert_int_equal(titan_metrics_create(path, 0, &metrics), TITAN_OK);
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
  assert_int_equal(titan_metrics_create(path, 0, &metrics), TITAN_OK);
  append_steps(metrics, 1, 2);
  hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
  assert_true(file >= 0);
  H5Fclose(file);
  append_steps(metrics, 3, 3);
  titan_metrics_destroy(&metrics);
  check_file_holds_steps(3);
}

static void a_file_of_another_run_is_not_written_to(void **state) {
  (void)state;
  titan_metrics *first, *second;
  titan_metrics_row row = row_of(1);
  assert_int_equal(titan_metrics_create(path, 0, &first), TITAN_OK);
  assert_int_equal(titan_metrics_create(path, 0, &second), TITAN_OK);
  append_steps(second, 1, 1);
  assert_int_equal(titan_metrics_append(first, &row), TITAN_ERROR_OUTPUT);
  assert_non_null(strstr(titan_error_message(), path));
  titan_metrics_destroy(&first);
  titan_metrics_destroy(&second);
  check_file_holds_steps(1);
}

static void a_new_run_replaces_the_old_file(void **state) {
  (void)state;
  titan_metrics *metrics;
  assert_int_equal(titan_metrics_create(path, 0, &metrics), TITAN_OK);
  append_steps(metrics, 1, 2);
  titan_metrics_destroy(&metrics);
  check_file_holds_steps(2);
}

static void a_resumed_run_keeps_the_rows_before_its_first_step(void **state) {
  (void)state;
  titan_metrics *metrics;
  assert_int_equal(titan_metrics_create(path, 0, &metrics), TITAN_OK);
  append_steps(metrics, 1, 10);
  titan_metrics_destroy(&metrics);
  assert_int_equal(titan_metrics_create(path, 7, &metrics), TITAN_OK);
  check_file_holds_steps(6);
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
    assert_int_equal(titan_metrics_create(path, (int64_t)count + 1, &metrics), TITAN_OK);
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
  assert_int_equal(titan_metrics_create(deep, 0, &metrics), TITAN_OK);
  titan_metrics_destroy(&metrics);
  assert_int_equal(access(deep, F_OK), 0);
}

// Root may write anywhere, so what cannot be written here is a folder that is a file, and a name that is a folder.
static void an_impossible_path_is_an_output_error_that_names_it(void **state) {
  (void)state;
  char file[160], below[200];
  snprintf(file, sizeof file, "%s/file", folder);
  FILE *stream = fopen(file, "w");
  assert_non_null(stream);
  fclose(stream);
  snprintf(below, sizeof below, "%s/metrics.h5", file);
  titan_metrics *metrics;
  assert_int_equal(titan_metrics_create(below, 0, &metrics), TITAN_ERROR_OUTPUT);
  assert_null(metrics);
  assert_non_null(strstr(titan_error_message(), file));
  assert_int_equal(titan_metrics_create(folder, 0, &metrics), TITAN_ERROR_OUTPUT);
  assert_null(metrics);
  assert_non_null(strstr(titan_error_message(), folder));
  assert_int_equal(titan_folder_create(file), TITAN_ERROR_OUTPUT);
  assert_int_equal(titan_metrics_create("/dev/null/metrics.h5", 0, &metrics), TITAN_ERROR_OUTPUT);
  assert_null(metrics);
}

static void a_broken_file_is_not_continued(void **state) {
  (void)state;
  char broken[160];
  snprintf(broken, sizeof broken, "%s/broken.h5", folder);
  FILE *stream = fopen(broken, "w");
  assert_non_null(stream);
  fputs("no HDF5", stream);
  fclose(stream);
  titan_metrics *metrics;
  assert_int_equal(titan_metrics_create(broken, 3, &metrics), TITAN_ERROR_OUTPUT);
  assert_non_null(strstr(titan_error_message(), broken));
  assert_non_null(strstr(titan_error_message(), "signature")); // HDF5's own word for it
  assert_int_equal(titan_metrics_create(broken, 0, &metrics), TITAN_OK);
  titan_metrics_destroy(&metrics);
}

// A limit on the size of files stands in for a full disk: both make write() fail.
static void a_full_disk_is_an_output_error(void **state) {
  (void)state;
  titan_metrics *metrics;
  assert_int_equal(titan_metrics_create(path, 0, &metrics), TITAN_OK);
  append_steps(metrics, 1, 1);
  struct rlimit before, limit;
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
  limit = before;
  limit.rlim_cur = 4096;
  signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
  titan_metrics_row row = row_of(2);
  titan_metrics *other;
  titan_status status = titan_metrics_append(metrics, &row);
  char message[512];
  snprintf(message, sizeof message, "%s", titan_error_message());
  titan_status create_status = titan_metrics_create(path, 0, &other);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
  titan_metrics_destroy(&metrics);
  assert_int_equal(status, TITAN_ERROR_OUTPUT);
  assert_non_null(strstr(message, path));
  assert_non_null(strstr(message, "File too large"));
  assert_int_equal(create_status, TITAN_ERROR_OUTPUT);
  check_file_holds_steps(1);
  assert_null(metrics);
}

static int make_folder(void **state) {
  (void)state;
  snprintf(folder, sizeof folder, "/tmp/titan-metrics-XXXXXX");
  if (mkdtemp(folder) == NULL)
    return -1;
  snprintf(path, sizeof path, "%s/metrics.h5", folder);
  return 0;
}

static int nothing_is_left(void **state) {
  (void)state;
  char command[128];
  snprintf(command, sizeof command, "rm -r '%s'", folder);
  int removed = system(command);
  return removed == 0 && titan_memory_report_leaks() == 0 ? 0 : -1;
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
      cmocka_unit_test(a_new_run_replaces_the_old_file),
      cmocka_unit_test(a_resumed_run_keeps_the_rows_before_its_first_step),
      cmocka_unit_test(a_killed_writers_rows_can_be_read_and_continued),
      cmocka_unit_test(missing_folders_are_made),
      cmocka_unit_test(an_impossible_path_is_an_output_error_that_names_it),
      cmocka_unit_test(a_broken_file_is_not_continued),
      cmocka_unit_test(a_full_disk_is_an_output_error),
  };
  return cmocka_run_group_tests(tests, make_folder, nothing_is_left);
}
