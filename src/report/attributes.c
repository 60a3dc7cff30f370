// SPDX-License-Identifier: Apache-2.0
// The attributes of a metrics file, read by a process of its own.
#include "report/run.h"

#include "base/clock.h"
#include "storage/hdf5.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SECONDS = 10, MOST_BYTES = 1 << 24 };

const char *const titan_run_text_names[TITAN_RUN_TEXTS] = {
#define NAME(name) #name,
    TITAN_RUN_TEXT_LIST(NAME)
#undef NAME
};

// --- the process that reads ---

static bool send(int descriptor, const void *bytes, size_t count) {
  for (const char *at = bytes; count > 0;) {
    ssize_t written = write(descriptor, at, count);
    if (written <= 0)
      return false;
    at += written;
    count -= (size_t)written;
  }
  return true;
}

// A string of fixed length, as a file of metrics has them; NULL where there is none. The caller frees it.
static char *read_text(hid_t file, const char *name) {
  char *text = NULL;
  hid_t attribute = H5Aexists(file, name) > 0 ? H5Aopen(file, name, H5P_DEFAULT) : -1;
  hid_t type = attribute >= 0 ? H5Aget_type(attribute) : -1;
  size_t size = type >= 0 && H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0 ? H5Tget_size(type) : 0;
  if (size > 0 && size < MOST_BYTES)
    text = calloc(size + 1, 1);
  if (text != NULL && H5Aread(attribute, type, text) < 0) {
    free(text);
    text = NULL;
  }
  return text;
}

// Each text with its NUL, nothing but a NUL for one that is not there. Leaves all to the end of the process.
static int read_all(const char *path, int out) {
  titan_hdf5_quiet();
  hid_t access = H5Pcreate(H5P_FILE_ACCESS);
#if H5_VERSION_GE(1, 12, 1)
  H5Pset_file_locking(access, false, true); // some file systems have no locks; the writer does not hold one
#endif
  hid_t file = H5Fopen(path, H5F_ACC_RDONLY, access);
  if (file < 0)
    return 1;
  for (int i = 0; i < TITAN_RUN_TEXTS; i++) {
    const char *text = read_text(file, titan_run_text_names[i]);
    if (!send(out, text != NULL ? text : "", text != NULL ? strlen(text) + 1 : 1))
      return 1;
  }
  return 0;
}

// --- the process that wants them ---

// All that comes until the other end is closed; false when that takes too long.
static bool receive(int descriptor, titan_text *all) {
  double end = titan_clock_seconds() + SECONDS;
  char bytes[4096];
  for (;;) {
    double left = end - titan_clock_seconds();
    struct pollfd wait = {.fd = descriptor, .events = POLLIN};
    int ready = left > 0 ? poll(&wait, 1, (int)(left * 1000) + 1) : 0;
    if (ready < 0 && errno == EINTR)
      continue;
    if (ready <= 0)
      return false;
    ssize_t got = read(descriptor, bytes, sizeof bytes);
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      return got == 0;
    if (all->length > MOST_BYTES || titan_text_append(all, bytes, (size_t)got) != TITAN_OK)
      return false;
  }
}

// `all`: the texts, each with its NUL.
static bool take(const titan_text *all, titan_text texts[TITAN_RUN_TEXTS]) {
  const char *at = all->data, *end = all->data + all->length;
  for (int i = 0; i < TITAN_RUN_TEXTS; i++) {
    const char *zero = at < end ? memchr(at, '\0', (size_t)(end - at)) : NULL;
    if (zero == NULL)
      return false;
    if (zero > at && titan_text_append_utf8(&texts[i], at) != TITAN_OK)
      return false;
    at = zero + 1;
  }
  return true;
}

bool titan_run_read_texts(const char *path, titan_text texts[TITAN_RUN_TEXTS]) {
  int ends[2];
  titan_text all = {0};
  if (pipe(ends) != 0)
    return false;
  pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    _exit(read_all(path, ends[1]));
  }
  close(ends[1]);
  bool received = child > 0 && receive(ends[0], &all);
  close(ends[0]);
  int result = 1;
  if (child > 0) {
    kill(child, SIGKILL); // it has ended, or must
    while (waitpid(child, &result, 0) < 0 && errno == EINTR)
      continue;
  }
  received = received && all.data != NULL && take(&all, texts);
  titan_text_destroy(&all);
  return received;
}
