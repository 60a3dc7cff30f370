// SPDX-License-Identifier: Apache-2.0
#include "cuda/nccl_library.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void titan_nccl_version_text(int version, char *text, size_t size) {
  // Before 2.9 the parts had two digits less.
  int major = version >= 10000 ? version / 10000 : version / 1000,
      rest = version - major * (version >= 10000 ? 10000 : 1000);
  snprintf(text, size, "%d.%d.%d", major, rest / 100, rest % 100);
}

// Functions and objects have pointers of one size (POSIX).
static titan_status find(void *library, const char *path, const char *name, bool required, void *function) {
  void *found = dlsym(library, name);
  memcpy(function, &found, sizeof found);
  return found != NULL || !required ? TITAN_OK : titan_error(TITAN_ERROR_DEVICE, "%s has no function %s", path, name);
}

static titan_status find_all(void *library, const char *path, titan_nccl_library *nccl) {
#define FUNCTION(name) TITAN_TRY(find(library, path, #name, true, &nccl->name));
#define LATER(name) TITAN_TRY(find(library, path, #name, false, &nccl->name));
#include "cuda/nccl_functions.def"
#undef FUNCTION
#undef LATER
  return TITAN_OK;
}

static titan_status check_version(const char *path, titan_nccl_library *nccl) {
  char have[32], need[32];
  if (nccl->ncclGetVersion(&nccl->version) != ncclSuccess)
    return titan_error(TITAN_ERROR_DEVICE, "%s does not tell its version", path);
  if (nccl->version >= TITAN_NCCL_OLDEST)
    return TITAN_OK;
  titan_nccl_version_text(nccl->version, have, sizeof have);
  titan_nccl_version_text(TITAN_NCCL_OLDEST, need, sizeof need);
  return titan_error(TITAN_ERROR_DEVICE, "%s is NCCL %s, expected %s or later", path, have, need);
}

enum { MOST_AT_ONE_IDENTIFIER = 512, RANKS_PER_IDENTIFIER = 128 };

#ifdef TITAN_CUDA_EMULATED
static bool lacks(const char *name) {
  const char *without = getenv("TITAN_EMULATED_NCCL_WITHOUT");
  return without != NULL && strstr(without, name) != NULL;
}

// The stand-in, which is a part of this program. It lacks the functions that TITAN_EMULATED_NCCL_WITHOUT names.
static void use_stand_in(titan_nccl_library *nccl) {
#define FUNCTION(name) nccl->name = name;
#define LATER(name) nccl->name = lacks(#name) ? NULL : name;
#include "cuda/nccl_functions.def"
#undef FUNCTION
#undef LATER
  const char *ranks = getenv("TITAN_EMULATED_NCCL_IDENTIFIER_RANKS");
  if (ranks != NULL)
    nccl->most_at_one_identifier = nccl->ranks_per_identifier = atoi(ranks);
}
#endif

static titan_status open_library(const char *path, titan_nccl_library *nccl) {
#ifdef TITAN_CUDA_EMULATED
  if (path == NULL) {
    use_stand_in(nccl);
    return check_version("the stand-in for NCCL", nccl);
  }
#endif
  path = path != NULL ? path : "libnccl.so.2";
  void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL); // stays open: communicators may outlive everything
  if (handle == NULL)
    return titan_error(TITAN_ERROR_DEVICE, "NCCL cannot be opened: %s", dlerror());
  titan_status status = find_all(handle, path, nccl);
  if (status == TITAN_OK)
    status = check_version(path, nccl);
  if (status != TITAN_OK)
    dlclose(handle);
  return status;
}

// Operations of several communicators on one GPU need one order on all ranks: that in which they are issued.
static void order_launches(void) {
  setenv("NCCL_LAUNCH_ORDER_IMPLICIT", "1", 0);
}

titan_status titan_nccl_library_open(const titan_nccl_library **out) {
  static titan_nccl_library library;
  const char *path = getenv("TITAN_NCCL_LIBRARY");
  *out = NULL;
  if (library.version == 0) {
    titan_nccl_library opened = {.most_at_one_identifier = MOST_AT_ONE_IDENTIFIER,
                                 .ranks_per_identifier = RANKS_PER_IDENTIFIER};
    order_launches();
    TITAN_TRY(open_library(path != NULL && path[0] != '\0' ? path : NULL, &opened));
    library = opened;
  }
  *out = &library;
  return TITAN_OK;
}
