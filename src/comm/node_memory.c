// SPDX-License-Identifier: Apache-2.0
#include "comm/topology.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

// The number after `key` at the beginning of a line of a file (key "": the file's first number), or `missing`.
static uint64_t read_number(const char *path, const char *key, uint64_t missing) {
  FILE *file = fopen(path, "r");
  if (file == NULL)
    return missing;
  char line[256];
  size_t length = strlen(key);
  uint64_t value = missing;
  while (fgets(line, sizeof line, file) != NULL)
    if (strncmp(line, key, length) == 0) {
      char *end = line + length;
      unsigned long long number = strtoull(line + length, &end, 10);
      if (end != line + length) // "max" is no number: no limit
        value = number;
      break;
    }
  fclose(file);
  return value;
}

static uint64_t smaller(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}

// What a control group leaves: its limit less what it uses; pages of files that can be dropped count as free.
static uint64_t left_in_group(const char *folder, const char *limit_name, const char *usage_name,
                              const char *inactive_key) {
  char path[1200];
  snprintf(path, sizeof path, "%s/%s", folder, limit_name);
  uint64_t limit = read_number(path, "", UINT64_MAX);
  if (limit >= (uint64_t)1 << 60) // version 1 writes a huge number for none
    return UINT64_MAX;
  snprintf(path, sizeof path, "%s/%s", folder, usage_name);
  uint64_t usage = read_number(path, "", 0);
  snprintf(path, sizeof path, "%s/memory.stat", folder);
  usage -= smaller(usage, read_number(path, inactive_key, 0));
  return limit > usage ? limit - usage : 0;
}

// The tightest of the limits of a group and the groups around it. `path` is cut from its end while walking up.
static uint64_t left_along_path(const char *root, char *path, bool version_2) {
  uint64_t left = UINT64_MAX;
  for (;;) {
    char folder[1100];
    snprintf(folder, sizeof folder, "%s%s", root, strcmp(path, "/") == 0 ? "" : path);
    left = smaller(left, version_2 ? left_in_group(folder, "memory.max", "memory.current", "inactive_file ")
                                   : left_in_group(folder, "memory.limit_in_bytes", "memory.usage_in_bytes",
                                                   "total_inactive_file "));
    char *slash = strrchr(path, '/');
    if (slash == NULL)
      return left;
    *slash = '\0';
  }
}

static uint64_t control_group_bytes(void) {
  FILE *file = fopen("/proc/self/cgroup", "r");
  if (file == NULL)
    return UINT64_MAX;
  uint64_t left = UINT64_MAX;
  char line[1024];
  while (fgets(line, sizeof line, file) != NULL) { // "number:controllers:path"
    line[strcspn(line, "\n")] = '\0';
    char *controllers = strchr(line, ':'), *path = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
    if (path == NULL)
      continue;
    *path++ = '\0';
    if (strcmp(controllers + 1, "") == 0)
      left = smaller(left, left_along_path("/sys/fs/cgroup", path, true));
    else if (strcmp(controllers + 1, "memory") == 0)
      left = smaller(left, left_along_path("/sys/fs/cgroup/memory", path, false));
  }
  fclose(file);
  return left;
}

void titan_topology_memory(uint64_t *node_bytes, uint64_t *rank_bytes) {
  uint64_t available = read_number("/proc/meminfo", "MemAvailable:", UINT64_MAX);
  if (available != UINT64_MAX)
    available *= 1024;
  *node_bytes = smaller(available, control_group_bytes());
  *rank_bytes = UINT64_MAX;
  struct rlimit limit;
  if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
    uint64_t used = read_number("/proc/self/status", "VmSize:", 0) * 1024;
    *rank_bytes = limit.rlim_cur > used ? limit.rlim_cur - used : 0;
  }
}

uint64_t titan_topology_resident(void) {
  uint64_t kib = read_number("/proc/self/smaps_rollup", "Pss:", 0);
  if (kib == 0)
    kib = read_number("/proc/self/status", "VmRSS:", 0);
  return kib * 1024;
}
