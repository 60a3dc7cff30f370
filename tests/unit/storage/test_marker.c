// SPDX-License-Identifier: Apache-2.0
// Folders on a file system without locks: flock below refuses, with each of the errors that such file systems give.
// Oracle: other processes that hold the folder, let go of it, or are killed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include "base/memory.h"
#include "storage/lock.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RACERS = 8 };
static const int refusals[] = {37, 95, 524, EIO, ENOSYS};
static int refusal = ENOSYS;
static char folder[64] = "/tmp/titan-marker-XXXXXX";

int flock(int descriptor, int operation) {
  (void)descriptor, (void)operation;
  errno = refusal;
  return -1;
}

static bool take(titan_lock **lock) {
  bool held;
  assert_int_equal(titan_lock_take(".", ".lock", TITAN_LOCK_KEEP, lock, &held), TITAN_OK);
  assert_true(held == (*lock == NULL));
  return !held;
}

// A process that takes the folder, says whether it has it, and waits to be killed.
static pid_t start_holder(int *answer) {
  int ends[2];
  assert_int_equal(pipe(ends), 0);
  pid_t process = fork();
  if (process == 0) {
    titan_lock *lock;
    bool held;
    char said = titan_lock_take(".", ".lock", TITAN_LOCK_KEEP, &lock, &held) == TITAN_OK && !held ? 'y' : 'n';
    void *memory = malloc(1 << 26); // a process changes, and stays the same one
    if (memory != NULL && write(ends[1], &said, 1) == 1)
      pause();
    _exit(0);
  }
  close(ends[1]);
  *answer = ends[0];
  return process;
}

static char answer_of(int answer) {
  char said = 0;
  assert_int_equal(read(answer, &said, 1), 1);
  close(answer);
  return said;
}

static void end(pid_t process) {
  int status;
  kill(process, SIGKILL);
  assert_int_equal(waitpid(process, &status, 0), process);
}

static void a_folder_is_held_without_locks_until_its_process_dies(void **unused) {
  (void)unused;
  for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
    titan_lock *lock = NULL;
    int answer;
    refusal = refusals[i];
    pid_t other = start_holder(&answer);
    assert_int_equal(answer_of(answer), 'y');
    assert_false(take(&lock));
    end(other); // it leaves its file behind
    assert_int_equal(access(".lock.holder", F_OK), 0);
    assert_true(take(&lock));
    titan_lock *second;
    assert_false(take(&second));
    titan_lock_release(&lock);
    assert_int_not_equal(access(".lock.holder", F_OK), 0);
    assert_true(take(&lock));
    titan_lock_release(&lock);
  }
}

// All find the file of a dead process at once.
static void one_of_many_takes_over_from_a_dead_process(void **unused) {
  (void)unused;
  for (int round = 0; round < 10; round++) {
    int answers[RACERS], answer, holders = 0;
    pid_t racers[RACERS], dead = start_holder(&answer);
    assert_int_equal(answer_of(answer), 'y');
    end(dead);
    for (int i = 0; i < RACERS; i++)
      racers[i] = start_holder(&answers[i]);
    for (int i = 0; i < RACERS; i++)
      holders += answer_of(answers[i]) == 'y';
    for (int i = 0; i < RACERS; i++)
      end(racers[i]);
    assert_int_equal(holders, 1);
  }
  unlink(".lock.holder");
}

static void write_holder(const char *text) {
  FILE *file = fopen(".lock.holder", "w");
  assert_non_null(file);
  fputs(text, file);
  assert_int_equal(fclose(file), 0);
}

static void a_process_of_another_host_is_named_with_the_way_out(void **unused) {
  (void)unused;
  titan_lock *lock;
  bool held;
  write_holder("host elsewhere boot 1-2 space pid:[1] process 77 start 5\n");
  assert_int_equal(titan_lock_take(".", ".lock", TITAN_LOCK_KEEP, &lock, &held), TITAN_ERROR_OUTPUT);
  assert_null(lock);
  assert_non_null(strstr(titan_error_message(), "process 77 on host elsewhere"));
  assert_non_null(strstr(titan_error_message(), "remove ./.lock.holder"));
  write_holder("no process at all");
  assert_int_equal(titan_lock_take(".", ".lock", TITAN_LOCK_KEEP, &lock, &held), TITAN_ERROR_OUTPUT);
  assert_non_null(strstr(titan_error_message(), ".lock.holder does not name a process"));
  unlink(".lock.holder");
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
      cmocka_unit_test(a_folder_is_held_without_locks_until_its_process_dies),
      cmocka_unit_test(one_of_many_takes_over_from_a_dead_process),
      cmocka_unit_test(a_process_of_another_host_is_named_with_the_way_out),
  };
  return cmocka_run_group_tests(tests, make, remove_all);
}
