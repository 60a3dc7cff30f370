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

#include <dlfcn.h>
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
static const char *const column_names[] = {"/step",    "/loss", "/loss_max", "/grad_norm", "/lr",      "/tokens",
                                           "/seconds", "/tps",  "/mfu",      "/memory",    "/elapsed", "/node_hours"};

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
                             .memory = 1.5 + 1 / s,
                             .elapsed = 0.2 * s,
                             .node_hours = 0.3 * s};
}

static titan_status create_for(const char *file, int64_t first_step, uint64_t expected_rows, titan_metrics **metrics) {
  static const titan_metrics_attribute attributes[] = {{"version", "titan-hpc 1.2.3"}, {"empty", ""}};
  titan_metrics_options options = {.path = file,
                                   .first_step = first_step,
                                   .expected_rows = expected_rows,
                                   .attributes = attributes,
                                   .attribute_count = 2};
  return titan_metrics_create(&options, metrics);
}

static titan_status create(const char *file, int64_t first_step, titan_metrics **metrics) {
  return create_for(file, first_step, MOST_ROWS, metrics);
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
  for (int column = 0; column < 12; column++) {
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

// Opens the file as h5dump and a plotting script do and as an SWMR reader does: every dataset has at least as many
// right values as /step. Returns their number, which must be `count` unless that is negative.
static int check_plain(const char *file, int count) {
  static double values[MOST_ROWS];
  int rows = -1;
  for (int swmr = 0; swmr < 2; swmr++) {
    hid_t opened = H5Fopen(file, swmr ? H5F_ACC_RDONLY | H5F_ACC_SWMR_READ : H5F_ACC_RDONLY, H5P_DEFAULT);
    assert_true(opened >= 0);
    for (int column = 0; column < (int)(sizeof column_names / sizeof *column_names); column++) {
      hid_t dataset = H5Dopen2(opened, column_names[column], H5P_DEFAULT), space = H5Dget_space(dataset);
      int length = (int)H5Sget_simple_extent_npoints(space);
      if (rows < 0)
        rows = length;
      assert_true(length >= rows && length <= MOST_ROWS);
      assert_true(H5Dread(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
      for (int i = 0; i < rows; i++) {
        titan_metrics_row row = row_of(i + 1);
        assert_true(values[i] == ((const double *)&row)[column]);
      }
      H5Sclose(space);
      H5Dclose(dataset);
    }
    H5Fclose(opened);
  }
  if (count >= 0)
    assert_int_equal(rows, count);
  return rows;
}

// h5dump and the like open files without SWMR; they refuse one that carries a writer's mark.
static void a_tool_without_swmr_reads_between_two_rows(void **state) {
  (void)state;
  titan_metrics *metrics;
  assert_int_equal(create(path, 0, &metrics), TITAN_OK);
  append_steps(metrics, 1, 2);
  check_plain(path, 2);
  append_steps(metrics, 3, 3);
  check_plain(path, 3);
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

// The name of the file when it is kept under a number.
static const char *numbered(int number) {
  static char name[160];
  snprintf(name, sizeof name, "%s/metrics.%d.h5", folder, number);
  return name;
}

static void remove_all(void) {
  char command[160];
  snprintf(command, sizeof command, "rm -rf '%s'/*", folder);
  assert_int_equal(system(command), 0);
}

static void check_rows(const char *file, int count) {
  titan_metrics_row *rows;
  uint64_t found;
  assert_int_equal(titan_metrics_read(file, &rows, &found), TITAN_OK);
  assert_int_equal(found, count);
  for (int step = 1; step <= count; step++) {
    titan_metrics_row row = row_of(step);
    assert_memory_equal(&rows[step - 1], &row, sizeof row);
  }
  titan_memory_free(rows);
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
  assert_int_equal(create(below, 0, &metrics), TITAN_ERROR_OUTPUT);
  assert_non_null(strstr(titan_error_message(), file));
  // The rows wait, and are written once it can be done.
  titan_metrics_row row = row_of(1);
  assert_int_equal(titan_metrics_append(metrics, &row), TITAN_ERROR_OUTPUT);
  assert_int_equal(titan_metrics_pending(metrics), 1);
  assert_int_equal(titan_folder_create(file), TITAN_ERROR_OUTPUT);
  assert_int_equal(unlink(file), 0);
  append_steps(metrics, 2, 2);
  assert_int_equal(titan_metrics_pending(metrics), 0);
  titan_metrics_destroy(&metrics);
  check_rows(below, 2);
}

// What lies at the path, made from a good file of three rows.
static void put_in_place(const char *kind) {
  char command[400];
  remove_all();
  titan_metrics *metrics;
  assert_int_equal(create(path, 0, &metrics), TITAN_OK);
  append_steps(metrics, 1, 3);
  titan_metrics_destroy(&metrics);
  snprintf(command, sizeof command, kind, path, path, path);
  assert_int_equal(system(command), 0);
}

// A run that resumes at step 4 goes on in a new file, and what was there is kept.
static void what_cannot_be_continued_is_set_aside(void **state) {
  (void)state;
  static const char *const kinds[] = {
      "echo 'no HDF5' >'%s'",          ": >'%s'",
      "truncate -s -1 '%s'",           "truncate -s 3000 '%s'",
      "rm '%s' && mkdir '%s'",         "rm '%s' && mkfifo '%s'",
      "rm '%s' && ln -s nowhere '%s'",
  };
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    titan_metrics *metrics;
    struct stat before, after;
    put_in_place(kinds[i]);
    assert_int_equal(lstat(path, &before), 0);
    alarm(60); // it may not hang
    assert_int_equal(create(path, 4, &metrics), TITAN_OK);
    alarm(0);
    assert_null(titan_metrics_last_before(metrics));
    append_steps(metrics, 1, 2);
    titan_metrics_destroy(&metrics);
    check_rows(path, 2);
    assert_int_equal(lstat(numbered(1), &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
  }
}

// The rows are there or the file is set aside, and the new one is whole, wherever a bit was flipped.
static void one_flipped_bit_never_stops_a_run(void **state) {
  (void)state;
  enum { PLACES = 97 };
  int aside = 0;
  put_in_place("true");
  FILE *stream = fopen(path, "r");
  static unsigned char bytes[1 << 22];
  size_t length = fread(bytes, 1, sizeof bytes, stream);
  fclose(stream);
  assert_true(length > 0 && length < sizeof bytes);
  for (int i = 0; i < PLACES; i++) {
    // Both ends densely, where HDF5's own structures and the end of the record lie.
    size_t place = i < 48   ? (size_t)i * 97
                   : i < 80 ? length - 1 - (size_t)(i - 48) * 3
                            : length / 17 * (size_t)(i - 80);
    titan_metrics *metrics;
    remove_all();
    bytes[place] ^= 4;
    stream = fopen(path, "w");
    assert_int_equal(fwrite(bytes, 1, length, stream), length);
    fclose(stream);
    bytes[place] ^= 4;
    alarm(60);
    assert_int_equal(create(path, 4, &metrics), TITAN_OK);
    bool lost = access(numbered(1), F_OK) == 0;
    append_steps(metrics, lost ? 1 : 4, 4);
    alarm(0);
    titan_metrics_destroy(&metrics);
    check_rows(path, 4);
    aside += lost;
  }
  assert_true(aside > 20 && aside < PLACES - 20);
}

static void a_file_grows_beyond_the_rows_it_was_made_for(void **state) {
  (void)state;
  enum { MANY = 5000 };
  titan_metrics *metrics;
  remove_all();
  assert_int_equal(create_for(path, 0, 10, &metrics), TITAN_OK);
  append_steps(metrics, 1, MANY);
  titan_metrics_destroy(&metrics);
  check_rows(path, MANY);
  static double values[MANY];
  hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT), dataset = H5Dopen2(file, "/mfu", H5P_DEFAULT);
  assert_true(H5Dread(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
  for (int step = 1; step <= MANY; step++)
    assert_true(values[step - 1] == row_of(step).mfu);
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

// A limit on the size of files stands in for a full disk: both make write() fail.
static void a_full_disk_loses_no_row(void **state) {
  (void)state;
  titan_metrics *metrics, *other;
  remove_all();
  assert_int_equal(create(path, 0, &metrics), TITAN_OK);
  append_steps(metrics, 1, 1);
  struct rlimit before, limit;
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
  limit = before;
  limit.rlim_cur = 4096;
  signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
  titan_metrics_row row = row_of(2);
  titan_status status = titan_metrics_append(metrics, &row);
  char message[512];
  snprintf(message, sizeof message, "%s", titan_error_message());
  char second[160];
  snprintf(second, sizeof second, "%s/second.h5", folder);
  titan_status create_status = create(second, 0, &other);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
  assert_int_equal(status, TITAN_ERROR_OUTPUT);
  assert_non_null(strstr(message, path));
  assert_non_null(strstr(message, "File too large"));
  assert_int_equal(create_status, TITAN_ERROR_OUTPUT);
  assert_int_equal(access(second, F_OK), -1);
  check_plain(path, 1);
  append_steps(metrics, 3, 3);
  titan_metrics_destroy(&metrics);
  check_rows(path, 3);
  check_plain(path, 3);
  append_steps(other, 1, 2);
  titan_metrics_destroy(&other);
  check_rows(second, 2);
}

static void a_file_that_was_removed_is_made_again(void **state) {
  (void)state;
  titan_metrics *metrics;
  remove_all();
  assert_int_equal(create(path, 0, &metrics), TITAN_OK);
  append_steps(metrics, 1, 2);
  assert_int_equal(unlink(path), 0);
  append_steps(metrics, 3, 4);
  titan_metrics_destroy(&metrics);
  titan_metrics_row *rows;
  uint64_t count;
  assert_int_equal(titan_metrics_read(path, &rows, &count), TITAN_OK);
  assert_int_equal(count, 2);
  assert_true(rows[0].step == 3 && rows[1].step == 4);
  titan_memory_free(rows);
}

// --- a kill at each change of the file ---

// The calls that change files, of this program and of HDF5 in it, are counted here; one of them kills.
static int changes, kill_at;

static void note_change(void) {
  if (++changes == kill_at)
    raise(SIGKILL);
}

ssize_t pwrite(int descriptor, const void *bytes, size_t count, off_t place) {
  ssize_t (*real)(int, const void *, size_t, off_t) = dlsym(RTLD_NEXT, "pwrite");
  note_change();
  return real(descriptor, bytes, count, place);
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t count, off64_t place) {
  ssize_t (*real)(int, const void *, size_t, off64_t) = dlsym(RTLD_NEXT, "pwrite64");
  note_change();
  return real(descriptor, bytes, count, place);
}

int ftruncate(int descriptor, off_t size) {
  int (*real)(int, off_t) = dlsym(RTLD_NEXT, "ftruncate");
  note_change();
  return real(descriptor, size);
}

int rename(const char *from, const char *to) {
  int (*real)(const char *, const char *) = dlsym(RTLD_NEXT, "rename");
  note_change();
  return real(from, to);
}

// A run that resumes at step 3 writes steps 3 and 4; false when it was killed before its end.
static bool resume_and_be_killed_at(int change) {
  int result = -1;
  pid_t child = fork(); // no HDF5 file is open here that they could share
  assert_true(child >= 0);
  if (child == 0) {
    titan_metrics *metrics;
    changes = 0;
    kill_at = change;
    if (create(path, 3, &metrics) != TITAN_OK)
      _exit(2);
    for (int step = 3; step <= 4; step++) {
      titan_metrics_row row = row_of(step);
      if (titan_metrics_append(metrics, &row) != TITAN_OK)
        _exit(3);
    }
    _exit(0);
  }
  assert_int_equal(waitpid(child, &result, 0), child);
  if (WIFSIGNALED(result) && WTERMSIG(result) == SIGKILL)
    return false;
  assert_int_equal(result, 0);
  return true;
}

static void a_kill_at_any_write_leaves_a_file_that_every_tool_reads(void **state) {
  (void)state;
  bool ended = false;
  int change = 0, most = 0;
  while (!ended) {
    titan_metrics *metrics;
    remove_all();
    assert_int_equal(create(path, 0, &metrics), TITAN_OK);
    append_steps(metrics, 1, 2);
    titan_metrics_destroy(&metrics);
    ended = resume_and_be_killed_at(++change);
    int count = check_plain(path, -1);
    assert_true(count >= most && count <= 4);
    most = count;
    assert_int_equal(create(path, 5, &metrics), TITAN_OK);
    append_steps(metrics, (int)titan_metrics_last_before(metrics)->step + 1, 5);
    titan_metrics_destroy(&metrics);
    check_rows(path, 5);
    check_plain(path, 5);
  }
  assert_int_equal(most, 4);
  assert_true(change > 3 * 12 + 2 * 12); // creation, and each value and length of two rows
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
      cmocka_unit_test(a_new_run_keeps_the_file_of_the_run_before),
      cmocka_unit_test(a_resumed_run_keeps_the_rows_before_its_first_step),
      cmocka_unit_test(a_killed_writers_rows_can_be_read_and_continued),
      cmocka_unit_test(missing_folders_are_made),
      cmocka_unit_test(an_impossible_path_is_an_output_error_that_names_it),
      cmocka_unit_test(what_cannot_be_continued_is_set_aside),
      cmocka_unit_test(one_flipped_bit_never_stops_a_run),
      cmocka_unit_test(a_file_grows_beyond_the_rows_it_was_made_for),
      cmocka_unit_test(a_file_says_what_run_it_is_of),
      cmocka_unit_test(a_full_disk_loses_no_row),
      cmocka_unit_test(a_file_that_was_removed_is_made_again),
      cmocka_unit_test(a_kill_at_any_write_leaves_a_file_that_every_tool_reads),
  };
  return cmocka_run_group_tests(tests, make_folder, nothing_is_left);
}
