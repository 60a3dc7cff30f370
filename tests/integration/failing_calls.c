// SPDX-License-Identifier: Apache-2.0
// Loaded before the C library of titan-hpc: system calls fail as TITAN_FAULT says, "CALL:ERRNO:RANK:TIMES" with one of
// flock, pwrite, pread and fsync, a rank or -1 for all, and how often it fails (0: always). All but flock fail on files
// of checkpoints only (step-N.h5 and step-N.h5.partial).
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_int failures;

static int fails(const char *call, int descriptor) {
  const char *text = getenv("TITAN_FAULT"), *rank = getenv("OMPI_COMM_WORLD_RANK");
  char wanted[16], name[64], path[1024] = "";
  int number, victim, times;
  if (text == NULL || strcmp(program_invocation_short_name, "titan-hpc") != 0 ||
      sscanf(text, "%15[^:]:%d:%d:%d", wanted, &number, &victim, &times) != 4 || strcmp(wanted, call) != 0 ||
      (victim >= 0 && victim != (rank != NULL ? atoi(rank) : 0)))
    return 0;
  snprintf(name, sizeof name, "/proc/self/fd/%d", descriptor);
  if (strcmp(call, "flock") != 0 && (readlink(name, path, sizeof path - 1) < 0 || strstr(path, "/step-") == NULL))
    return 0;
  if (times > 0 && atomic_fetch_add(&failures, 1) >= times)
    return 0;
  errno = number;
  return 1;
}

int flock(int descriptor, int operation) {
  return fails("flock", descriptor) ? -1 : (int)syscall(SYS_flock, descriptor, operation);
}

ssize_t pwrite(int descriptor, const void *data, size_t bytes, off_t offset) {
  return fails("pwrite", descriptor) ? -1 : syscall(SYS_pwrite64, descriptor, data, bytes, offset);
}

ssize_t pread(int descriptor, void *data, size_t bytes, off_t offset) {
  return fails("pread", descriptor) ? -1 : syscall(SYS_pread64, descriptor, data, bytes, offset);
}

int fsync(int descriptor) {
  return fails("fsync", descriptor) ? -1 : (int)syscall(SYS_fsync, descriptor);
}
