// SPDX-License-Identifier: Apache-2.0
// Locks, folders that are taken back, names that are not taken from others, and files that are written whole. Oracle:
// what the system says of the files; another process for the lock.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include "base/memory.h"
#include "storage/aside.h"
#include "storage/folder.h"
#include "storage/lock.h"
#include "storage/output.h"
#include "storage/rename.h"
#include "storage/space.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64] = "/tmp/titan-storage-XXXXXX";

static bool is_there(const char *path) {
  struct stat unused;
  return lstat(path, &unused) == 0;
}

static void write_file(const char *path) {
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  assert_int_equal(fclose(file), 0);
}

// --- locks ---

// Takes the lock in another process, which says so and dies holding it once its input ends.
typedef struct holder {
  pid_t process;
  int order, answer;
} holder;

static holder hold(const char *name) {
  int order[2], answer[2];
  char said = 0;
  assert_int_equal(pipe(order) | pipe(answer), 0);
  holder out = {fork(), order[1], answer[0]};
  if (out.process == 0) {
    titan_lock *lock;
    bool held;
    close(order[1]);
    said = titan_lock_take(".", name, TITAN_LOCK_KEEP, &lock, &held) == TITAN_OK && !held ? 'y' : 'n';
    ssize_t written = write(answer[1], &said, 1), got = read(order[0], &said, 1);
    _exit(written + got != 1);
  }
  close(order[0]);
  close(answer[1]);
  assert_int_equal(read(out.answer, &said, 1), 1);
  assert_int_equal(said, 'y');
  return out;
}

static void let_go(const holder *other) {
  int status;
  close(other->order);
  close(other->answer);
  assert_int_equal(waitpid(other->process, &status, 0), other->process);
  assert_int_equal(status, 0);
}

static void one_process_holds_a_lock_until_it_dies(void **unused) {
  (void)unused;
  titan_lock *lock;
  bool held;
  holder other = hold(".lock");
  for (titan_lock_file file = TITAN_LOCK_KEEP; file <= TITAN_LOCK_EXISTING; file++) {
    assert_int_equal(titan_lock_take(".", ".lock", file, &lock, &held), TITAN_OK);
    assert_true(held && lock == NULL);
  }
  let_go(&other);
  assert_int_equal(titan_lock_take(".", ".lock", TITAN_LOCK_KEEP, &lock, &held), TITAN_OK);
  assert_true(!held && lock != NULL);
  titan_lock_release(&lock);
  assert_true(is_there(".lock"));
}

static void a_lock_leaves_the_file_that_it_found(void **unused) {
  (void)unused;
  titan_lock *lock;
  bool held;
  assert_int_equal(titan_lock_take(".", ".passing", TITAN_LOCK_EXISTING, &lock, &held), TITAN_OK);
  assert_true(!held && lock == NULL && !is_there(".passing"));
  assert_int_equal(titan_lock_take(".", ".passing", TITAN_LOCK_REMOVE, &lock, &held), TITAN_OK);
  assert_true(!held && lock != NULL && is_there(".passing"));
  titan_lock_release(&lock);
  assert_false(is_there(".passing"));
  write_file(".passing");
  assert_int_equal(titan_lock_take(".", ".passing", TITAN_LOCK_REMOVE, &lock, &held), TITAN_OK);
  titan_lock_release(&lock);
  assert_true(is_there(".passing"));
  assert_int_equal(titan_lock_take("nowhere", ".lock", TITAN_LOCK_KEEP, &lock, &held), TITAN_ERROR_OUTPUT);
}

// --- folders ---

static void folders_that_were_made_are_taken_back(void **unused) {
  (void)unused;
  static const char *const paths[] = {"old/a/b/file", "old/a/b/", "./old//a/./b/file", "old/../old/a/b/file"};
  uint64_t made;
  assert_int_equal(titan_folder_create("old"), TITAN_OK);
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
    assert_int_equal(titan_folder_create_for_noting(paths[i], &made), TITAN_OK);
    assert_true(is_there("old/a/b"));
    titan_folder_remove_noted(paths[i], made);
    assert_true(is_there("old") && !is_there("old/a"));
  }
  char absolute[128];
  snprintf(absolute, sizeof absolute, "%s/c/d", folder);
  assert_int_equal(titan_folder_create_noting(absolute, &made), TITAN_OK);
  write_file("c/mine");
  titan_folder_remove_noted(absolute, made);
  assert_true(is_there("c/mine") && !is_there("c/d"));
  // On failure, what was made before it.
  write_file("old/file");
  assert_int_equal(titan_folder_create_noting("e/f/../../old/file/g", &made), TITAN_ERROR_OUTPUT);
  titan_folder_remove_noted("e/f/../../old/file/g", made);
  assert_true(!is_there("e") && is_there("old/file"));
}

// --- names ---

static void names_are_not_taken_from_others(void **unused) {
  (void)unused;
  write_file("from");
  write_file("to");
  assert_int_equal(titan_rename_new("from", "to"), -1);
  assert_int_equal(errno, EEXIST);
  assert_true(is_there("from") && is_there("to"));
  assert_int_equal(titan_rename_new("from", "free"), 0);
  assert_true(!is_there("from") && is_there("free"));
  assert_int_equal(titan_rename_new("from", "nothing"), -1);
  assert_int_equal(errno, ENOENT);
  assert_int_equal(symlink("nowhere", "link"), 0);
  assert_int_equal(titan_rename_new("free", "link"), -1);
  assert_int_equal(titan_space_make_file("link", "label"), TITAN_ERROR_OUTPUT);
  assert_int_equal(titan_space_make_file("free", "label"), TITAN_ERROR_OUTPUT);
  assert_false(is_there("nowhere"));
  assert_int_equal(titan_space_make_file("new", "label"), TITAN_OK);
  assert_int_equal(titan_space_check_new("new", "label", 100000), TITAN_OK);
  assert_int_equal(titan_space_check_new("link", "label", 100000), TITAN_ERROR_OUTPUT);
}

// --- outputs ---

static titan_status write_output(const char *path, titan_output_mode mode, const char *contents) {
  titan_text text = {.data = (char *)(uintptr_t)contents, .length = strlen(contents)};
  return titan_output_write_text(path, mode, &text);
}

static void expect_contents(const char *path, const char *expected) {
  char bytes[256];
  FILE *file = fopen(path, "r");
  assert_non_null(file);
  bytes[fread(bytes, 1, sizeof bytes - 1, file)] = '\0';
  fclose(file);
  assert_string_equal(bytes, expected);
}

static void expect_nothing_partial(void) {
  DIR *entries = opendir(".");
  assert_non_null(entries);
  for (struct dirent *entry; (entry = readdir(entries)) != NULL;)
    assert_null(strstr(entry->d_name, ".partial"));
  closedir(entries);
}

static void expect_message(const char *part) {
  if (strstr(titan_error_message(), part) == NULL)
    fail_msg("'%s' is not in: %s", part, titan_error_message());
}

static void an_output_has_its_name_when_it_is_whole(void **unused) {
  (void)unused;
  titan_output *output;
  struct stat facts;
  assert_int_equal(titan_output_create("model", TITAN_OUTPUT_REPLACE, &output), TITAN_OK);
  assert_int_equal(titan_output_write(output, "first", 5), TITAN_OK);
  assert_false(is_there("model"));
  assert_int_equal(titan_output_finish(&output), TITAN_OK);
  assert_null(output);
  expect_contents("model", "first");
  assert_int_equal(chmod("model", 0640), 0);
  assert_int_equal(titan_output_create("model", TITAN_OUTPUT_REPLACE, &output), TITAN_OK);
  assert_int_equal(titan_output_write(output, "second", 6), TITAN_OK);
  expect_contents("model", "first");
  titan_output_discard(&output);
  expect_contents("model", "first");
  expect_nothing_partial();
  assert_int_equal(write_output("model", TITAN_OUTPUT_REPLACE, "third"), TITAN_OK);
  expect_contents("model", "third");
  assert_int_equal(stat("model", &facts), 0);
  assert_int_equal(facts.st_mode & 07777, 0640);
  assert_int_equal(write_output("model", TITAN_OUTPUT_NEW, "fourth"), TITAN_ERROR_OUTPUT);
  expect_message("cannot write model: File exists");
  assert_int_equal(titan_output_create("late", TITAN_OUTPUT_NEW, &output), TITAN_OK);
  write_file("late"); // of somebody else, meanwhile
  assert_int_equal(titan_output_finish(&output), TITAN_ERROR_OUTPUT);
  expect_contents("model", "third");
  expect_contents("late", "");
  assert_int_equal(write_output("old", TITAN_OUTPUT_REPLACE, ""), TITAN_ERROR_OUTPUT);
  expect_message("cannot write old: Is a directory");
  assert_int_equal(write_output("no/where", TITAN_OUTPUT_REPLACE, ""), TITAN_ERROR_OUTPUT);
  expect_message("cannot write no/where: No such file");
  expect_nothing_partial();
}

// A limit on the size of files stands for a full disk: writing fails in the same place.
static void a_disk_that_fills_leaves_the_older_file(void **unused) {
  (void)unused;
  static const char block[5000];
  titan_output *output;
  struct rlimit before, small;
  assert_int_equal(write_output("kept", TITAN_OUTPUT_REPLACE, "older"), TITAN_OK);
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
  small = (struct rlimit){.rlim_cur = 4096, .rlim_max = before.rlim_max};
  signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
  assert_int_equal(titan_output_create("kept", TITAN_OUTPUT_REPLACE, &output), TITAN_OK);
  titan_status status = titan_output_write(output, block, sizeof block);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
  assert_int_equal(status, TITAN_ERROR_OUTPUT);
  expect_message("cannot write kept: File too large");
  titan_output_discard(&output);
  expect_contents("kept", "older");
  expect_nothing_partial();
}

static void links_devices_and_pipes_stay_what_they_are(void **unused) {
  (void)unused;
  struct stat facts;
  char bytes[8] = {0};
  assert_int_equal(write_output("behind", TITAN_OUTPUT_REPLACE, "old"), TITAN_OK);
  assert_int_equal(symlink("behind", "to_file"), 0);
  assert_int_equal(write_output("to_file", TITAN_OUTPUT_REPLACE, "new"), TITAN_OK);
  assert_true(lstat("to_file", &facts) == 0 && S_ISLNK(facts.st_mode));
  expect_contents("behind", "new");
  assert_int_equal(symlink("/dev/null", "to_null"), 0);
  assert_int_equal(write_output("to_null", TITAN_OUTPUT_REPLACE, "lost"), TITAN_OK);
  assert_true(lstat("to_null", &facts) == 0 && S_ISLNK(facts.st_mode));
  assert_int_equal(write_output("/dev/null", TITAN_OUTPUT_REPLACE, "lost"), TITAN_OK);
  assert_true(stat("/dev/null", &facts) == 0 && S_ISCHR(facts.st_mode));
  assert_int_equal(write_output("/dev/full", TITAN_OUTPUT_REPLACE, "lost"), TITAN_ERROR_OUTPUT);
  expect_message("cannot write /dev/full: No space left on device");
  assert_int_equal(symlink("missing", "to_nothing"), 0);
  assert_int_equal(write_output("to_nothing", TITAN_OUTPUT_REPLACE, "lost"), TITAN_ERROR_OUTPUT);
  expect_message("symbolic link to a file that does not exist");
  assert_int_equal(mkfifo("pipe", 0600), 0);
  int end = open("pipe", O_RDONLY | O_NONBLOCK);
  assert_int_equal(write_output("pipe", TITAN_OUTPUT_REPLACE, "piped"), TITAN_OK);
  assert_int_equal(read(end, bytes, sizeof bytes), 5);
  close(end);
  assert_string_equal(bytes, "piped");
  assert_true(lstat("pipe", &facts) == 0 && S_ISFIFO(facts.st_mode));
  // Open files keep what they have: the output is appended.
  char name[64];
  end = open("behind", O_WRONLY | O_APPEND);
  snprintf(name, sizeof name, "/dev/fd/%d", end);
  assert_int_equal(write_output(name, TITAN_OUTPUT_REPLACE, "er"), TITAN_OK);
  close(end);
  expect_contents("behind", "newer");
  expect_nothing_partial();
}

static void an_output_is_no_input(void **unused) {
  (void)unused;
  write_file("corpus");
  assert_int_equal(link("corpus", "hard"), 0);
  assert_int_equal(symlink("corpus", "soft"), 0);
  static const char *const same[] = {"corpus", "./corpus", "hard", "soft"};
  for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
    assert_int_equal(titan_output_check_input(same[i], "corpus"), TITAN_ERROR_USAGE);
    expect_message("is the input corpus");
  }
  assert_int_equal(titan_output_check_input("another", "corpus"), TITAN_OK);
  assert_int_equal(titan_output_check_input("to_null", "/dev/null"), TITAN_OK);
}

// Whatever it is that is moved, and however often.
static void what_is_in_the_way_is_kept_under_a_number(void **unused) {
  (void)unused;
  static const char *const wanted[] = {"aside/a.b.1.txt", "aside/a.b.2.txt", "aside/a.b.3.txt"};
  uint64_t made;
  assert_int_equal(titan_folder_create_noting("aside", &made), TITAN_OK);
  for (int i = 0; i < 3; i++) {
    titan_text kept = {0};
    struct stat before, after;
    assert_int_equal(i == 0   ? symlink("nowhere", "aside/a.b.txt")
                     : i == 1 ? mkdir("aside/a.b.txt", 0777)
                              : mkfifo("aside/a.b.txt", 0666),
                     0);
    assert_int_equal(lstat("aside/a.b.txt", &before), 0);
    assert_int_equal(titan_set_aside("aside/a.b.txt", &kept), TITAN_OK);
    assert_string_equal(kept.data, wanted[i]);
    assert_false(is_there("aside/a.b.txt"));
    assert_int_equal(lstat(wanted[i], &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    titan_text_destroy(&kept);
  }
  titan_text kept = {0};
  assert_int_equal(titan_set_aside("aside/a.b.txt", &kept), TITAN_OK); // nothing is there
  assert_null(kept.data);
  write_file("aside/.hidden");
  assert_int_equal(titan_set_aside("aside/.hidden", &kept), TITAN_OK);
  assert_string_equal(kept.data, "aside/.hidden.1");
  titan_text_destroy(&kept);
}

static int make(void **unused) {
  (void)unused;
  return mkdtemp(folder) == NULL || chdir(folder) != 0;
}

static int remove_all(void **unused) {
  char command[128];
  (void)unused;
  snprintf(command, sizeof command, "rm -rf '%s'", folder);
  return system(command) != 0 || titan_memory_report_leaks() != 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_process_holds_a_lock_until_it_dies),
      cmocka_unit_test(a_lock_leaves_the_file_that_it_found),
      cmocka_unit_test(folders_that_were_made_are_taken_back),
      cmocka_unit_test(names_are_not_taken_from_others),
      cmocka_unit_test(an_output_has_its_name_when_it_is_whole),
      cmocka_unit_test(a_disk_that_fills_leaves_the_older_file),
      cmocka_unit_test(links_devices_and_pipes_stay_what_they_are),
      cmocka_unit_test(an_output_is_no_input),
      cmocka_unit_test(what_is_in_the_way_is_kept_under_a_number),
  };
  return cmocka_run_group_tests(tests, make, remove_all);
}
