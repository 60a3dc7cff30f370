// SPDX-License-Identifier: Apache-2.0
// What the tests of the readers share: a fresh folder for files, and command lines as people write them.
#ifndef TITAN_TESTS_CONFIG_TEST_H
#define TITAN_TESTS_CONFIG_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include "base/memory.h"
#include "config/config.h"

#include <stdlib.h>
#include <string.h>

static char folder[] = "/tmp/titan_config_XXXXXX";

enum { MOST_ARGUMENTS = 16, PATH_BYTES = 256 };

// Splits words at blanks (a value with blanks is not needed here) and reads them as a command line.
static titan_status create(titan_config **config, const char *words) {
  static char copy[4096];
  const char *argv[MOST_ARGUMENTS] = {"titan-hpc"};
  int argc = 1;
  assert_true(strlen(words) < sizeof copy);
  strcpy(copy, words);
  for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " ")) {
    assert_true(argc < MOST_ARGUMENTS);
    argv[argc++] = word;
  }
  return titan_config_create(argc, argv, config);
}

static titan_config *create_well(const char *words) {
  titan_config *config;
  titan_status status = create(&config, words);
  if (status != TITAN_OK)
    fail_msg("%s: %s", words, titan_error_message());
  return config;
}

static const char *write_file(const char *name, const char *text) {
  static char path[PATH_BYTES];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  assert_true(fputs(text, file) >= 0);
  assert_int_equal(fclose(file), 0);
  return path;
}

// The options of a file with this text, and further words on the command line.
static titan_status create_with_file(titan_config **config, const char *name, const char *text, const char *words) {
  char line[1024];
  snprintf(line, sizeof line, "--job.config_file %s %s", write_file(name, text), words);
  return create(config, line);
}

static void expect_message(titan_status status, const titan_config *config, const char *expected, const char *what) {
  assert_int_equal(status, TITAN_ERROR_USAGE);
  assert_null(config);
  if (strcmp(titan_error_message(), expected) != 0)
    fail_msg("%s\n  gives   %s\n  and not %s", what, titan_error_message(), expected);
}

static void expect_command_line_error(const char *words, const char *expected) {
  titan_config *config;
  titan_status status = create(&config, words);
  expect_message(status, config, expected, words);
}

// `expected` has "@" where the file's path stands.
static void expect_file_error(const char *name, const char *text, const char *expected) {
  char whole[4096] = "";
  for (const char *c = expected; *c != '\0'; c++) {
    size_t used = strlen(whole);
    if (*c == '@')
      snprintf(whole + used, sizeof whole - used, "%s/%s", folder, name);
    else
      whole[used] = *c, whole[used + 1] = '\0';
  }
  titan_config *config;
  titan_status status = create_with_file(&config, name, text, "");
  expect_message(status, config, whole, text);
}

static int make_folder(void **state) {
  (void)state;
  return mkdtemp(folder) == NULL ? -1 : 0;
}

static int nothing_is_left(void **state) {
  (void)state;
  char command[PATH_BYTES];
  snprintf(command, sizeof command, "rm -rf '%s'", folder);
  return system(command) == 0 && titan_memory_report_leaks() == 0 ? 0 : -1;
}

#endif
