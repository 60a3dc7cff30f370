// SPDX-License-Identifier: Apache-2.0
#include "comm/temporary.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

// Of Open MPI's segment of a rank (btl_vader_segment_size, 4 MiB); MPICH's is not larger.
enum { BYTES_OF_A_RANK = 4 << 20 };

// File systems that several nodes share, by the number that statfs gives (linux/magic.h, and the file systems' own).
static const struct {
  uint32_t magic;
  const char *name;
} shared_systems[] = {
    {0x0BD00BD0, "Lustre"}, {0x47504653, "GPFS"}, {0x6969, "NFS"},       {0x19830326, "BeeGFS"}, {0x00C36400, "Ceph"},
    {0xFE534D42, "SMB"},    {0xFF534D42, "CIFS"}, {0xAAD7AAEA, "PanFS"}, {0x20030528, "PVFS"},   {0x5346414F, "AFS"},
};

static const char *shared_system_of(uint32_t magic) {
  for (size_t i = 0; i < sizeof shared_systems / sizeof *shared_systems; i++)
    if (shared_systems[i].magic == magic)
      return shared_systems[i].name;
  return NULL;
}

static void describe_folder(char *out, size_t size) {
  const char *folder = getenv("TMPDIR");
  struct statfs information;
  if (folder == NULL || *folder == '\0')
    return;
  if (statfs(folder, &information) != 0) {
    snprintf(out, size, "TMPDIR = %.200s: %s; set it to a folder of the node, such as /tmp", folder, strerror(errno));
    return;
  }
  const char *name = shared_system_of((uint32_t)information.f_type);
  if (name != NULL)
    snprintf(out, size,
             "TMPDIR = %.200s is on a file system that nodes share (%s): the MPI library keeps files there that all "
             "ranks of a node map, which is slow or fails; set TMPDIR to a folder of the node, such as /tmp",
             folder, name);
}

static void describe_shared_memory(int ranks, char *out, size_t size) {
  struct statvfs room;
  uint64_t wanted = (uint64_t)ranks * BYTES_OF_A_RANK;
  if (ranks < 2 || statvfs("/dev/shm", &room) != 0)
    return;
  uint64_t left = (uint64_t)room.f_bavail * room.f_frsize;
  if (left < wanted)
    snprintf(out, size,
             "/dev/shm has %.1f MiB left for %d ranks, and an MPI library may take %.0f MiB for their messages: it may "
             "crash or be slow; enlarge it (mount -o remount,size=1g /dev/shm; for containers --shm-size=1g or "
             "--ipc=host), or remove what is left in it",
             (double)left / (1 << 20), ranks, (double)wanted / (1 << 20));
}

void titan_temporary_describe(int ranks, char *out, size_t size) {
  *out = '\0';
  describe_folder(out, size);
  if (*out == '\0')
    describe_shared_memory(ranks, out, size);
}
