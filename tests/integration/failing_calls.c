// SPDX-License-Identifier: Apache-2.0
// Loaded before the C library of titan-hpc: system calls fail as TITAN_FAULT says, "CALL:ERRNO:RANK:TIMES" with one of
// flock, pwrite, pread, read, fsync and flip, a rank or -1 for all, and how often it fails (0: always). flip is a
// pwrite that returns as if all were well and writes another last byte. All but flock fail on files only whose path
// holds TITAN_FAULT_FILE ("/step-" unless it is set: checkpoints, finished or not). With TITAN_COUNT=PREFIX the process
// writes "WRITES BYTES" of such files into the file PREFIX and its rank when it ends. With TITAN_HOLD=RANK:PATH each
// pwrite of that rank (-1: of all) to such a file makes the file PATH.RANK and does not return while PATH is there.
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_int failures;
static atomic_llong writes, bytes_written;

static int this_rank(void) {
  const char *rank = getenv("OMPI_COMM_WORLD_RANK");
  return rank != NULL ? atoi(rank) : 0;
}

static int is_ours(int descriptor) {
  char name[64], path[1024] = "";
  const char *file = getenv("TITAN_FAULT_FILE");
  snprintf(name, sizeof name, "/proc/self/fd/%d", descriptor);
  return readlink(name, path, sizeof path - 1) >= 0 && strstr(path, file != NULL ? file : "/step-") != NULL;
}

static int fails(const char *call, int descriptor) {
  const char *text = getenv("TITAN_FAULT");
  char wanted[16];
  int number, victim, times;
  if (text == NULL || strcmp(program_invocation_short_name, "titan-hpc") != 0 ||
      sscanf(text, "%15[^:]:%d:%d:%d", wanted, &number, &victim, &times) != 4 || strcmp(wanted, call) != 0 ||
      (victim >= 0 && victim != this_rank()))
    return 0;
  if (strcmp(call, "flock") != 0 && !is_ours(descriptor))
    return 0;
  if (times > 0 && atomic_fetch_add(&failures, 1) >= times)
    return 0;
  errno = number;
  return 1;
}

int flock(int descriptor, int operation) {
  return fails("flock", descriptor) ? -1 : (int)syscall(SYS_flock, descriptor, operation);
}

static void hold(int descriptor) {
  const char *text = getenv("TITAN_HOLD");
  char path[1024], mark[1040];
  int victim;
  if (text == NULL || strcmp(program_invocation_short_name, "titan-hpc") != 0 ||
      sscanf(text, "%d:%1023s", &victim, path) != 2 || (victim >= 0 && victim != this_rank()) || !is_ours(descriptor) ||
      access(path, F_OK) != 0)
    return;
  snprintf(mark, sizeof mark, "%s.%d", path, this_rank());
  close(open(mark, O_CREAT | O_WRONLY, 0666));
  while (access(path, F_OK) == 0)
    usleep(10000);
}

static ssize_t counted(int descriptor, ssize_t result) {
  if (getenv("TITAN_COUNT") == NULL || result < 0 || !is_ours(descriptor))
    return result;
  atomic_fetch_add(&writes, 1);
  atomic_fetch_add(&bytes_written, result);
  return result;
}

__attribute__((destructor)) static void tell_counts(void) {
  const char *prefix = getenv("TITAN_COUNT");
  char path[1024];
  if (prefix == NULL || strcmp(program_invocation_short_name, "titan-hpc") != 0)
    return;
  snprintf(path, sizeof path, "%s%d", prefix, this_rank());
  FILE *file = fopen(path, "w");
  if (file != NULL && fprintf(file, "%lld %lld\n", (long long)writes, (long long)bytes_written) > 0)
    fclose(file);
}

static void flip_last_byte(int descriptor, const void *data, size_t bytes, off_t offset) {
  char last;
  memcpy(&last, (const char *)data + bytes - 1, 1);
  last ^= 4;
  syscall(SYS_pwrite64, descriptor, &last, (size_t)1, offset + (off_t)bytes - 1);
}

// Of long writes alone: those hold tensors, and nothing is written there again.
static int flips(int descriptor, size_t bytes) {
  return bytes > 4096 && fails("flip", descriptor);
}

ssize_t pwrite(int descriptor, const void *data, size_t bytes, off_t offset) {
  hold(descriptor);
  if (flips(descriptor, bytes)) {
    ssize_t result = syscall(SYS_pwrite64, descriptor, data, bytes, offset);
    flip_last_byte(descriptor, data, bytes, offset);
    return result;
  }
  return fails("pwrite", descriptor) ? -1 : counted(descriptor, syscall(SYS_pwrite64, descriptor, data, bytes, offset));
}

ssize_t pwrite64(int descriptor, const void *data, size_t bytes, off_t offset) {
  return pwrite(descriptor, data, bytes, offset);
}

// A library that writes the file otherwise, as MPI-IO may, is counted as well.
ssize_t write(int descriptor, const void *data, size_t bytes) {
  return counted(descriptor, syscall(SYS_write, descriptor, data, bytes));
}

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
  return counted(descriptor, syscall(SYS_writev, descriptor, parts, count));
}

ssize_t pwritev(int descriptor, const struct iovec *parts, int count, off_t offset) {
  return counted(descriptor, syscall(SYS_pwritev, descriptor, parts, count, offset, 0));
}

ssize_t pread(int descriptor, void *data, size_t bytes, off_t offset) {
  return fails("pread", descriptor) ? -1 : syscall(SYS_pread64, descriptor, data, bytes, offset);
}

ssize_t read(int descriptor, void *data, size_t bytes) {
  return fails("read", descriptor) ? -1 : syscall(SYS_read, descriptor, data, bytes);
}

int fsync(int descriptor) {
  return fails("fsync", descriptor) ? -1 : (int)syscall(SYS_fsync, descriptor);
}
