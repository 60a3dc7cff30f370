// SPDX-License-Identifier: Apache-2.0
#include "storage/lock.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "storage/marker.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct titan_lock {
  titan_text path, marker; // marker: of a file system without locks; empty elsewhere
  int descriptor;
  bool made;
};

static titan_status open_file(titan_lock *lock, titan_lock_file file) {
  lock->descriptor = open(lock->path.data, O_RDWR | O_CLOEXEC);
  if (lock->descriptor < 0 && errno == ENOENT && file != TITAN_LOCK_EXISTING) {
    lock->descriptor = open(lock->path.data, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    lock->made = lock->descriptor >= 0;
  }
  if (lock->descriptor >= 0 || (errno == ENOENT && file == TITAN_LOCK_EXISTING))
    return TITAN_OK;
  return titan_error(TITAN_ERROR_OUTPUT, "cannot write %s: %s", lock->path.data, strerror(errno));
}

// A file whose name was taken from it since it was opened (its holder removed it) guards nothing.
static bool is_in_place(const titan_lock *lock) {
  struct stat opened, named;
  return fstat(lock->descriptor, &opened) == 0 && stat(lock->path.data, &named) == 0 && opened.st_ino == named.st_ino &&
         opened.st_dev == named.st_dev;
}

// Some network file systems, and some kernels, refuse every lock (ENOLCK, EOPNOTSUPP, ENOSYS and others).
static titan_status take_marker(titan_lock *lock, int reason, bool *held) {
  TITAN_TRY(titan_text_printf(&lock->marker, "%s.holder", lock->path.data));
  titan_status status = titan_marker_take(lock->marker.data, held);
  if (status == TITAN_OK && !*held)
    titan_log_info("This file system has no locks (%s): %s tells other runs that the folder is in use",
                   strerror(reason), lock->marker.data);
  else
    titan_text_destroy(&lock->marker);
  return status;
}

static titan_status take(titan_lock *lock, titan_lock_file file, bool *held) {
  for (;;) {
    TITAN_TRY(open_file(lock, file));
    if (lock->descriptor < 0)
      return TITAN_OK;
    int reason = flock(lock->descriptor, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
    *held = reason == EWOULDBLOCK;
    if (reason != 0 && !*held && reason != EINTR)
      return take_marker(lock, reason, held);
    if (*held || (reason == 0 && is_in_place(lock)))
      return TITAN_OK;
    close(lock->descriptor);
    lock->made = false;
  }
}

static void destroy(titan_lock **lock) {
  if ((*lock)->descriptor >= 0)
    close((*lock)->descriptor);
  titan_text_destroy(&(*lock)->path);
  titan_text_destroy(&(*lock)->marker);
  titan_memory_free(*lock);
  *lock = NULL;
}

titan_status titan_lock_take(const char *folder, const char *name, titan_lock_file file, titan_lock **out, bool *held) {
  titan_lock *lock = NULL;
  *out = NULL;
  *held = false;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, 1, sizeof *lock, &lock));
  lock->descriptor = -1;
  titan_status status = titan_text_printf(&lock->path, "%s/%s", folder, name);
  if (status == TITAN_OK)
    status = take(lock, file, held);
  lock->made = lock->made && file == TITAN_LOCK_REMOVE;
  if (status != TITAN_OK || *held || lock->descriptor < 0)
    destroy(&lock);
  *out = lock;
  return status;
}

// A shared lock for a moment: it asks the file system itself.
static bool has_no_lock(const char *path) {
  int descriptor = open(path, O_RDONLY | O_CLOEXEC);
  if (descriptor < 0)
    return false;
  bool none = flock(descriptor, LOCK_SH | LOCK_NB) == 0;
  close(descriptor);
  return none;
}

bool titan_lock_is_free(const char *folder, const char *name) {
  titan_text path = {0}, marker = {0};
  bool none = titan_text_printf(&path, "%s/%s", folder, name) == TITAN_OK &&
              titan_text_printf(&marker, "%s.holder", path.data) == TITAN_OK && access(marker.data, F_OK) != 0 &&
              has_no_lock(path.data);
  titan_text_destroy(&path);
  titan_text_destroy(&marker);
  return none;
}

void titan_lock_release(titan_lock **lock) {
  if (*lock == NULL)
    return;
  if ((*lock)->made)
    unlink((*lock)->path.data);
  if ((*lock)->marker.length > 0)
    titan_marker_release((*lock)->marker.data);
  destroy(lock);
}
