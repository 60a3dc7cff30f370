// SPDX-License-Identifier: Apache-2.0
// What tests of a whole program share: PROGRAM is its file, and each command runs in a folder of its own.
#ifndef TITAN_TESTS_PROGRAM_TEST_H
#define TITAN_TESTS_PROGRAM_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/titan-program-XXXXXX";
static char output[1 << 16]; // of the last run, standard output and error together

// Runs a shell command in the test's folder, in which $T is the program; gives its exit code.
static int run(const char *command) {
  char line[1024];
  snprintf(line, sizeof line, "cd '%s' && T='%s' && { %s ; } 2>&1", folder, PROGRAM, command);
  FILE *pipe = popen(line, "r");
  assert_non_null(pipe);
  size_t used = fread(output, 1, sizeof output - 1, pipe);
  output[used] = '\0';
  int status = pclose(pipe);
  assert_true(WIFEXITED(status));
  return WEXITSTATUS(status);
}

static void expect(const char *command, int code, const char *text) {
  int got = run(command);
  if (got != code || !strstr(output, text))
    fail_msg("%s: code %d (expected %d), '%s' (expected '%s')", command, got, code, output, text);
}

static int set_up(void **state) {
  (void)state;
  return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state) {
  (void)state;
  char line[64];
  snprintf(line, sizeof line, "rm -r %s", folder);
  return system(line) == 0 ? 0 : -1;
}

#endif
