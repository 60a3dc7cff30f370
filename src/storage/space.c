// SPDX-License-Identifier: Apache-2.0
#include "storage/space.h"

#include "base/size.h"
#include "storage/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { BLOCK_BYTES = 65536 };

// Both return 0 or an errno.
static int fill_and_empty(int descriptor, uint64_t bytes) {
  static const char zeros[BLOCK_BYTES];
  for (uint64_t done = 0; done < bytes;) {
    uint64_t left = bytes - done;
    ssize_t written = write(descriptor, zeros, left < BLOCK_BYTES ? (size_t)left : BLOCK_BYTES);
    if (written < 0 && errno != EINTR)
      return errno;
    done += written > 0 ? (uint64_t)written : 0;
  }
  if (fsync(descriptor) != 0) // network file systems tell of a full disk only here
    return errno;
  return ftruncate(descriptor, 0) == 0 ? 0 : errno;
}

static int rewrite_last_byte_and_reserve(int descriptor, uint64_t bytes) {
  struct stat information;
  if (fstat(descriptor, &information) != 0)
    return errno;
  char last;
  if (information.st_size > 0 && (pread(descriptor, &last, 1, information.st_size - 1) != 1 ||
                                  pwrite(descriptor, &last, 1, information.st_size - 1) != 1))
    return errno;
  if (fallocate(descriptor, FALLOC_FL_KEEP_SIZE, information.st_size, (off_t)bytes) == 0)
    return 0;
  return errno == ENOSPC || errno == EDQUOT || errno == EIO ? errno : 0; // others: not offered by this file system
}

titan_status titan_space_make_file(const char *path, const char *label) {
  int descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor < 0 && errno == EEXIST)
    return titan_error(TITAN_ERROR_OUTPUT, "cannot create the file %s: %s is in the way", label, path);
  if (descriptor < 0)
    return titan_error(TITAN_ERROR_OUTPUT, "cannot create the file %s: %s", label, strerror(errno));
  close(descriptor);
  return TITAN_OK;
}

titan_status titan_space_check_new(const char *path, const char *label, uint64_t bytes) {
  int descriptor = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
  int reason = descriptor < 0 ? errno : fill_and_empty(descriptor, bytes);
  if (descriptor >= 0)
    close(descriptor);
  if (reason == 0)
    return TITAN_OK;
  return titan_error(TITAN_ERROR_OUTPUT, "cannot create the file %s: %s", label, strerror(reason));
}

titan_status titan_space_check_growth(const char *path, uint64_t bytes) {
  int descriptor = open(path, O_RDWR | O_CLOEXEC);
  int reason = descriptor < 0 ? errno : rewrite_last_byte_and_reserve(descriptor, bytes);
  if (descriptor >= 0)
    close(descriptor);
  if (reason == 0)
    return TITAN_OK;
  return titan_error(TITAN_ERROR_OUTPUT, "cannot write to the file %s: %s", path, strerror(reason));
}

titan_status titan_space_check_free(const char *path, const char *label, uint64_t bytes) {
  struct rlimit limit;
  struct statvfs information;
  if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && bytes > limit.rlim_cur)
    return titan_error(TITAN_ERROR_OUTPUT,
                       "cannot write %s: it needs %llu bytes, and this process may write files of %llu at most (ulimit "
                       "-f)",
                       label, (unsigned long long)bytes, (unsigned long long)limit.rlim_cur);
  char folder[TITAN_FOLDER_BYTES];
  titan_folder_of(path, folder);
  if (statvfs(folder, &information) != 0)
    return titan_error(TITAN_ERROR_OUTPUT, "cannot write %s: %s", label, strerror(errno));
  uint64_t free_bytes = (uint64_t)information.f_bavail * information.f_frsize;
  char needed[TITAN_SIZE_BYTES], left[TITAN_SIZE_BYTES];
  titan_size_pair((double)bytes, (double)free_bytes, needed, left);
  if (bytes > free_bytes)
    return titan_error(TITAN_ERROR_OUTPUT, "cannot write %s: it needs %s, and the file system has %s left", label,
                       needed, left);
  return TITAN_OK;
}

uint64_t titan_space_left(const char *folder) {
  struct statvfs information;
  return statvfs(folder, &information) == 0 ? (uint64_t)information.f_bavail * information.f_frsize : 0;
}

titan_status titan_space_reserve(const char *path, const char *label, uint64_t bytes) {
  int descriptor = open(path, O_RDWR | O_CLOEXEC);
  int reason = descriptor < 0 ? errno : 0;
  if (reason == 0 && fallocate(descriptor, FALLOC_FL_KEEP_SIZE, 0, (off_t)bytes) != 0 &&
      (errno == ENOSPC || errno == EDQUOT || errno == EIO || errno == EFBIG))
    reason = errno; // others: not offered by this file system
  if (descriptor >= 0)
    close(descriptor);
  if (reason == 0)
    return TITAN_OK;
  return titan_error(TITAN_ERROR_OUTPUT, "cannot write %s, which needs %.2f GiB: %s", label, (double)bytes / (1 << 30),
                     strerror(reason));
}
