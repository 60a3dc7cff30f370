// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double seconds_of(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

double titan_clock_seconds(void) {
  return seconds_of(CLOCK_MONOTONIC);
}

double titan_clock_thread_seconds(void) {
  return seconds_of(CLOCK_THREAD_CPUTIME_ID);
}

double titan_clock_since_1970(void) {
  return seconds_of(CLOCK_REALTIME);
}

double titan_clock_since_process_start(void) {
  char text[2048];
  FILE *file = fopen("/proc/self/stat", "r");
  if (file == NULL)
    return 0;
  size_t length = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  text[length] = '\0';
  // Field 22, in clock ticks since boot; the fields are counted after the command's closing parenthesis.
  char *field = strrchr(text, ')');
  for (int i = 2; field != NULL && i < 22; i++)
    field = strchr(field + 1, ' ');
  struct timespec boot;
  char *end = field;
  unsigned long long ticks = field == NULL ? 0 : strtoull(field, &end, 10);
  if (end == field || clock_gettime(CLOCK_BOOTTIME, &boot) != 0)
    return 0;
  return (double)boot.tv_sec + 1e-9 * (double)boot.tv_nsec - (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

void titan_clock_date(char text[TITAN_CLOCK_DATE_BYTES]) {
  time_t now = time(NULL);
  struct tm parts;
  if (localtime_r(&now, &parts) == NULL || strftime(text, TITAN_CLOCK_DATE_BYTES, "%Y-%m-%dT%H:%M:%S%z", &parts) == 0)
    text[0] = '\0';
}
