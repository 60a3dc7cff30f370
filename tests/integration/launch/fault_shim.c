// SPDX-License-Identifier: Apache-2.0
// Preloaded into a run: makes calls fail as they do on machines that are not here. By variables of the environment:
// FAULT_THREADS=level    MPI grants this thread level (0 to 3)
// FAULT_MEMFD=errno      memfd_create fails
// FAULT_PAGES=rank       there is no room for this rank's pages of shared memory
// FAULT_SHM=rank         this rank cannot open what another one has made in /dev/shm
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <mpi.h>
#include <stdlib.h>
#include <sys/mman.h>

static int is_this_rank(const char *name) {
  const char *wanted = getenv(name), *rank = getenv("OMPI_COMM_WORLD_RANK");
  return wanted != NULL && rank != NULL && atoi(wanted) == atoi(rank);
}

int MPI_Init_thread(int *argc, char ***argv, int required, int *provided) {
  const char *level = getenv("FAULT_THREADS");
  return PMPI_Init_thread(argc, argv, level != NULL ? atoi(level) : required, provided);
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
