// SPDX-License-Identifier: Apache-2.0
// Property: whatever becomes of metrics.h5, a run goes on, and every tool can read the file: one that is damaged or in
// the way, a full disk, a kill at any write. Oracle: rows that are a function of the step, exact; HDF5's own reading.
#include "metrics_test.h"

#include "storage/folder.h"

#include <dlfcn.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

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

// What lies at the path, made from a good file of three rows and a validation.
static void put_in_place(const char *kind) {
  char command[400];
  remove_all();
  titan_metrics *metrics;
  assert_int_equal(create(path, 0, &metrics), TITAN_OK);
  append_steps(metrics, 1, 3);
  append_validations(metrics, 1, 1);
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
    append_validations(metrics, lost ? 1 : 2, 2);
    alarm(0);
    titan_metrics_destroy(&metrics);
    check_rows(path, 4);
    check_validations(path, 2);
    aside += lost;
  }
  assert_true(aside > 20 && aside < PLACES - 20);
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
  titan_metrics_validation_row validation = validation_of(1);
  titan_status status = titan_metrics_append(metrics, &row);
  char message[512];
  snprintf(message, sizeof message, "%s", titan_error_message());
  titan_status validation_status = titan_metrics_append_validation(metrics, &validation);
  char second[160];
  snprintf(second, sizeof second, "%s/second.h5", folder);
  titan_status create_status = create(second, 0, &other);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
  assert_int_equal(status, TITAN_ERROR_OUTPUT);
  assert_int_equal(validation_status, TITAN_ERROR_OUTPUT);
  assert_int_equal(titan_metrics_pending(metrics), 2);
  assert_non_null(strstr(message, path));
  assert_non_null(strstr(message, "File too large"));
  assert_int_equal(create_status, TITAN_ERROR_OUTPUT);
  assert_int_equal(access(second, F_OK), -1);
  check_plain(path, 1, 0);
  append_steps(metrics, 3, 3);
  assert_int_equal(titan_metrics_pending(metrics), 0);
  titan_metrics_destroy(&metrics);
  check_rows(path, 3);
  check_plain(path, 3, 1);
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

// A run that resumes at step 3 writes validation 1, and steps 3 and 4 with validation 2 between; false when it was
// killed before its end.
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
    for (int i = 1; i <= 2; i++) {
      titan_metrics_validation_row validation = validation_of(i);
      titan_metrics_row row = row_of(2 + i);
      if (titan_metrics_append_validation(metrics, &validation) != TITAN_OK ||
          titan_metrics_append(metrics, &row) != TITAN_OK)
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
  int change = 0;
  plain_rows most = {0};
  while (!ended) {
    titan_metrics *metrics;
    remove_all();
    assert_int_equal(create(path, 0, &metrics), TITAN_OK);
    append_steps(metrics, 1, 2);
    titan_metrics_destroy(&metrics);
    ended = resume_and_be_killed_at(++change);
    plain_rows now = check_plain(path, -1, -1);
    assert_true(now.steps >= most.steps && now.steps <= 4);
    assert_true(now.validations >= most.validations && now.validations <= 2);
    most = now;
    assert_int_equal(create(path, 5, &metrics), TITAN_OK);
    const titan_metrics_validation_row *last = titan_metrics_last_validation_before(metrics);
    append_steps(metrics, (int)titan_metrics_last_before(metrics)->step + 1, 5);
    append_validations(metrics, last != NULL ? (int)last->step / 2 + 1 : 1, 3);
    titan_metrics_destroy(&metrics);
    check_rows(path, 5);
    check_plain(path, 5, 3);
  }
  assert_true(most.steps == 4 && most.validations == 2);
  assert_true(change > 3 * 15 + 2 * 15); // creation, and each value and length of two rows of both kinds
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_impossible_path_is_an_output_error_that_names_it),
      cmocka_unit_test(what_cannot_be_continued_is_set_aside),
      cmocka_unit_test(one_flipped_bit_never_stops_a_run),
      cmocka_unit_test(a_full_disk_loses_no_row),
      cmocka_unit_test(a_file_that_was_removed_is_made_again),
      cmocka_unit_test(a_kill_at_any_write_leaves_a_file_that_every_tool_reads),
  };
  return cmocka_run_group_tests(tests, make_folder, nothing_is_left);
}
