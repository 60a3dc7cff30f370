// SPDX-License-Identifier: Apache-2.0
#include "comm/segment.h"

#include "comm/topology.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

// How ranks find the block that rank 0 made. UNNAMED: memory of no file system, which the others open through rank 0's
// entry in /proc. NAMED: a file of /dev/shm, for where that is not allowed; it loses its name as soon as all have it.
typedef enum segment_way { UNNAMED, NAMED, WAYS } segment_way;

// What rank 0 tells the others.
typedef struct segment_place {
  char path[64];
  uint64_t device, inode; // of the right file: the number of a process may mean another one in another container
} segment_place;

static const double mib = 1048576;

static titan_status failure(const char *what) {
  return titan_error(TITAN_ERROR_MEMORY, "shared memory of this node: %s: %s", what, strerror(errno));
}

// Asking the system for more pages than it has would end in the killing of processes.
static titan_status check_room(size_t bytes) {
  uint64_t node_bytes, rank_bytes;
  titan_topology_memory(&node_bytes, &rank_bytes);
  if (bytes <= node_bytes)
    return TITAN_OK;
  return titan_error(TITAN_ERROR_MEMORY, "%.1f MiB of shared memory are needed on this node, which has %.1f MiB left",
                     (double)bytes / mib, (double)node_bytes / mib);
}

static titan_status open_new(segment_way way, segment_place *place, int *file) {
  uint64_t number = 0;
  if (way == UNNAMED) {
    *file = memfd_create("titan-hpc", MFD_CLOEXEC);
    snprintf(place->path, sizeof place->path, "/proc/%ld/fd/%d", (long)getpid(), *file);
  } else {
    if (getrandom(&number, sizeof number, 0) != sizeof number)
      return failure("no random number");
    snprintf(place->path, sizeof place->path, "/titan-hpc-%ld-%016llx", (long)getpid(), (unsigned long long)number);
    *file = shm_open(place->path, O_CREAT | O_EXCL | O_RDWR, 0600);
  }
  return *file >= 0 ? TITAN_OK : failure(way == UNNAMED ? "memfd_create" : "shm_open");
}

// Rank 0.
static titan_status make(segment_way way, size_t bytes, segment_place *place, int *file) {
  struct stat facts;
  TITAN_TRY(check_room(bytes));
  TITAN_TRY(open_new(way, place, file));
  if (ftruncate(*file, (off_t)bytes) != 0)
    return failure("ftruncate");
  if (fstat(*file, &facts) != 0)
    return failure("fstat");
  place->device = facts.st_dev;
  place->inode = facts.st_ino;
  return TITAN_OK;
}

// The other ranks.
static titan_status find(segment_way way, const segment_place *place, int *file) {
  struct stat facts;
  *file = way == UNNAMED ? open(place->path, O_RDWR | O_CLOEXEC) : shm_open(place->path, O_RDWR, 0);
  if (*file < 0 || fstat(*file, &facts) != 0)
    return failure(place->path);
  if (facts.st_dev != place->device || facts.st_ino != place->inode)
    return titan_error(TITAN_ERROR_MEMORY, "shared memory of this node: %s is another file for this rank", place->path);
  return TITAN_OK;
}

// Collective. On every rank the open file, or the same failure and -1.
static titan_status open_everywhere(titan_comm *comm, segment_way way, size_t bytes, int *file) {
  segment_place place = {0};
  bool is_first = titan_comm_rank(comm) == 0;
  titan_status status = titan_comm_agree(comm, is_first ? make(way, bytes, &place, file) : TITAN_OK);
  if (status == TITAN_OK)
    status = titan_comm_broadcast(comm, &place, sizeof place, TITAN_BYTE, 0, NULL);
  if (status == TITAN_OK)
    status = titan_comm_agree(comm, is_first ? TITAN_OK : find(way, &place, file));
  if (is_first && way == NAMED && *file >= 0)
    shm_unlink(place.path);
  if (status != TITAN_OK && *file >= 0) {
    close(*file);
    *file = -1;
  }
  return status;
}

static titan_status take_pages(int file, size_t first, size_t count) {
  int code = 0;
  do
    code = count > 0 ? posix_fallocate(file, (off_t)first, (off_t)count) : 0;
  while (code == EINTR);
  if (code == 0)
    return TITAN_OK;
  return titan_error(
      TITAN_ERROR_MEMORY,
      "%.1f MiB of shared memory for this rank: %s (a container may limit it, as docker --shm-size does)",
      (double)count / mib, strerror(code));
}

static titan_status map(int file, size_t bytes, char **base) {
  void *address = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (address == MAP_FAILED)
    return failure("mmap");
  *base = address;
  return TITAN_OK;
}

titan_status titan_segment_create(titan_comm *comm, size_t bytes, size_t first, size_t count, char **base) {
  int file = -1;
  titan_status status = TITAN_ERROR_MEMORY;
  *base = NULL;
  for (int way = UNNAMED; way < WAYS && status == TITAN_ERROR_MEMORY; way++)
    status = open_everywhere(comm, (segment_way)way, bytes, &file);
  if (status == TITAN_OK)
    status = titan_comm_agree(comm, take_pages(file, first, count));
  if (status == TITAN_OK)
    status = titan_comm_agree(comm, map(file, bytes, base));
  if (status != TITAN_OK) {
    titan_segment_destroy(*base, bytes);
    *base = NULL;
  }
  if (file >= 0)
    close(file);
  return status;
}

void titan_segment_destroy(char *base, size_t bytes) {
  if (base != NULL)
    munmap(base, bytes);
}
