// SPDX-License-Identifier: Apache-2.0
// Preloaded into a run: makes calls fail as they do on machines that are not here. By variables of the environment:
// FAULT_THREADS=level    MPI grants this thread level (0 to 3)
// FAULT_MEMFD=errno      memfd_create fails
// FAULT_PAGES=rank       there is no room for this rank's pages of shared memory
// FAULT_SHM=rank         this rank cannot open what another one has made in /dev/shm
// FAULT_TRUNCATE=rank    this rank cannot give the segment its length
// FAULT_MAP=rank         this rank cannot map the segment
// FAULT_FILL=call        rank 0 fills /dev/shm, as another job may, just before its ftruncate or mmap of a segment
// FAULT_STATFS=magic     TMPDIR is on a file system of this number (hexadecimal)
// FAULT_SHM_LEFT=bytes   /dev/shm has so much room left
// FAULT_FILL_AT=n        ... of the n-th segment (1); 0: it says each time that it could
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

static int is_this_rank(const char *name) {
  const char *wanted = getenv(name), *rank = getenv("OMPI_COMM_WORLD_RANK");
  return wanted != NULL && rank != NULL && atoi(wanted) == atoi(rank);
}

int MPI_Init_thread(int *argc, char ***argv, int required, int *provided) {
  const char *level = getenv("FAULT_THREADS");
  return PMPI_Init_thread(argc, argv, level != NULL ? atoi(level) : required, provided);
}

// Shared memory of the program, and no other.
static int is_segment(int file) {
  char name[64], path[256] = "";
  snprintf(name, sizeof name, "/proc/self/fd/%d", file);
  return readlink(name, path, sizeof path - 1) > 0 &&
         (strncmp(path, "/memfd:titan-hpc", 16) == 0 || strncmp(path, "/dev/shm/titan-hpc", 18) == 0);
}

static void fill(const char *call) {
  enum { LEFT = 200000 };
  const char *wanted = getenv("FAULT_FILL"), *rank = getenv("OMPI_COMM_WORLD_RANK");
  const char *at = getenv("FAULT_FILL_AT");
  static int calls;
  struct statvfs room;
  if (wanted == NULL || strcmp(wanted, call) != 0 || rank == NULL || atoi(rank) != 0)
    return;
  if (at != NULL && atoi(at) == 0)
    fprintf(stderr, "/dev/shm could be filled\n");
  if (++calls != (at != NULL ? atoi(at) : 1) || statvfs("/dev/shm", &room) != 0)
    return;
  int (*real)(int, off_t, off_t) = (int (*)(int, off_t, off_t))dlsym(RTLD_NEXT, "posix_fallocate");
  off_t bytes = (off_t)(room.f_bavail * room.f_frsize) - LEFT;
  int file = open("/dev/shm/filler", O_CREAT | O_RDWR, 0600);
  if (bytes > 0 && real(file, 0, bytes) == 0)
    fprintf(stderr, "/dev/shm has been filled\n");
  close(file);
}

int ftruncate(int file, off_t length) {
  int (*real)(int, off_t) = (int (*)(int, off_t))dlsym(RTLD_NEXT, "ftruncate");
  if (!is_segment(file))
    return real(file, length);
  fill("ftruncate");
  if (!is_this_rank("FAULT_TRUNCATE"))
    return real(file, length);
  errno = EFBIG;
  return -1;
}

void *mmap(void *address, size_t bytes, int protection, int flags, int file, off_t offset) {
  if (file >= 0 && (flags & MAP_SHARED) && is_segment(file)) {
    fill("mmap");
    if (is_this_rank("FAULT_MAP")) {
      errno = ENOMEM;
      return MAP_FAILED;
    }
  }
  return (void *)syscall(SYS_mmap, address, bytes, protection, flags, file, offset);
}

int statfs(const char *path, struct statfs *out) {
  const char *magic = getenv("FAULT_STATFS"), *folder = getenv("TMPDIR");
  int result = (int)syscall(SYS_statfs, path, out);
  if (result == 0 && magic != NULL && folder != NULL && strcmp(path, folder) == 0)
    out->f_type = (__typeof__(out->f_type))strtoul(magic, NULL, 16);
  return result;
}

int statvfs(const char *path, struct statvfs *out) {
  int (*real)(const char *, struct statvfs *) = (int (*)(const char *, struct statvfs *))dlsym(RTLD_NEXT, "statvfs");
  const char *left = getenv("FAULT_SHM_LEFT");
  int result = real(path, out);
  if (result == 0 && left != NULL && strcmp(path, "/dev/shm") == 0) {
    out->f_frsize = 1;
    out->f_bavail = strtoul(left, NULL, 10);
  }
  return result;
}

int memfd_create(const char *name, unsigned flags) {
  int (*real)(const char *, unsigned) = (int (*)(const char *, unsigned))dlsym(RTLD_NEXT, "memfd_create");
  if (getenv("FAULT_MEMFD") == NULL)
    return real(name, flags);
  errno = atoi(getenv("FAULT_MEMFD"));
  return -1;
}

int posix_fallocate(int file, off_t first, off_t count) {
  int (*real)(int, off_t, off_t) = (int (*)(int, off_t, off_t))dlsym(RTLD_NEXT, "posix_fallocate");
  return is_this_rank("FAULT_PAGES") ? ENOSPC : real(file, first, count);
}

int shm_open(const char *name, int flags, mode_t mode) {
  int (*real)(const char *, int, mode_t) = (int (*)(const char *, int, mode_t))dlsym(RTLD_NEXT, "shm_open");
  if (!is_this_rank("FAULT_SHM") || (flags & O_CREAT))
    return real(name, flags, mode);
  errno = ENOENT;
  return -1;
}
