// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"
#include "report/show.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t ended; // by a signal

static void end(int number) {
  (void)number;
  ended = 1;
}

static void ignore(const char *line) {
  (void)line;
}

static titan_status print(const titan_text *text) {
  static const char clear[] = "\033[H\033[2J"; // to the upper left corner, and erase all
  if (isatty(STDOUT_FILENO))
    fputs(clear, stdout);
  fwrite(text->data, 1, text->length, stdout);
  if (!isatty(STDOUT_FILENO))
    fputc('\n', stdout);
  return fflush(stdout) == 0 ? TITAN_OK
                             : titan_error(TITAN_ERROR_OUTPUT, "cannot write to standard output: %s", strerror(errno));
}

static titan_status print_once(const char *argument, const titan_show_options *options, void (*warn)(const char *line),
                               bool *over) {
  titan_run run;
  titan_text text = {0};
  titan_status status = titan_run_read(argument, warn, &run);
  if (status == TITAN_OK)
    status = titan_show(&run, options, titan_clock_since_1970(), &text);
  if (status == TITAN_OK && !ended)
    status = print(&text);
  *over = run.summary != NULL;
  titan_text_destroy(&text);
  titan_run_destroy(&run);
  return status;
}

titan_status titan_watch(const char *argument, const titan_show_options *options, double seconds,
                         void (*warn)(const char *line)) {
  struct sigaction action = {.sa_handler = end};
  bool over = false;
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  for (bool first = true; !over && !ended; first = false) {
    TITAN_TRY(print_once(argument, options, first ? warn : ignore, &over)); // warnings would repeat
    double last = titan_clock_seconds(), left = seconds;
    while (left > 0 && !over && !ended) {
      poll(NULL, 0, (int)ceil(1000 * fmin(left, 0.2))); // short: a signal may come before poll begins
      left = seconds - (titan_clock_seconds() - last);
    }
  }
  return TITAN_OK;
}
