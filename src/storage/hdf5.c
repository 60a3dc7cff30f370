// SPDX-License-Identifier: Apache-2.0
#include "storage/hdf5.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REASON_BYTES = 512 };

// Of this thread's latest failure inside HDF5. It is copied when the failing call returns: the next call, be it only
// one that closes something, empties HDF5's own stack.
static _Thread_local char latest_reason[REASON_BYTES];
// Whether the system, and not the contents of a file, was at fault in a failure since this was asked last.
static _Thread_local bool system_failed;

// HDF5's text on a failed system call has two lines with descriptors and addresses in them: the system's own words are
// what people want. Any other text becomes one line.
static void keep_text(const char *text) {
  static const char mark[] = "error message = '";
  const char *words = strstr(text, mark), *end = words == NULL ? NULL : strchr(words + sizeof mark - 1, '\'');
  if (end != NULL)
    snprintf(latest_reason, sizeof latest_reason, "%.*s", (int)(end - words) - (int)(sizeof mark - 1),
             words + sizeof mark - 1);
  else
    snprintf(latest_reason, sizeof latest_reason, "%s", text);
  for (char *at = latest_reason; (at = strpbrk(at, "\n\r")) != NULL;)
    *at = ' ';
}

// The first record of an upward walk is where it went wrong; the others are the calls on the way out.
static herr_t first_reason(unsigned n, const H5E_error2_t *error, void *unused) {
  (void)unused;
  if (n == 0 && error->desc != NULL && !system_failed) // what follows a failure of the system is no news
    keep_text(error->desc);
  if (n == 0 && (error->maj_num == H5E_IO || error->maj_num == H5E_RESOURCE))
    system_failed = true;
  return 0;
}

static herr_t keep_reason(hid_t stack, void *unused) {
  return H5Ewalk2(stack, H5E_WALK_UPWARD, first_reason, unused);
}

void titan_hdf5_quiet(void) {
  H5Eset_auto2(H5E_DEFAULT, keep_reason, NULL);
}

static pthread_mutex_t mutex = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

void titan_hdf5_lock(void) {
  pthread_mutex_lock(&mutex);
}

void titan_hdf5_unlock(void) {
  pthread_mutex_unlock(&mutex);
}

bool titan_hdf5_system_failed(void) {
  bool failed = system_failed;
  system_failed = false;
  return failed;
}

titan_status titan_hdf5_error_at(titan_status status, const char *file, int line, const char *what, const char *path) {
  titan_error_at(status, file, line, "%s %s: %s", what, path, *latest_reason ? latest_reason : "HDF5 gives no reason");
  latest_reason[0] = '\0';
  return status;
}
