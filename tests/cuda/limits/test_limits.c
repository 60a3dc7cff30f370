// SPDX-License-Identifier: Apache-2.0
// Property: no kernel spills registers, none needs more registers or shared memory than limits.def allows, and a
// multiprocessor of an H100 holds as many of its threads as limits.def asks for; each kernel has a row, and each row a
// kernel. Oracle: ptxas, and cuda_occupancy.h of the CUDA toolkit.
#ifdef TITAN_HAS_OCCUPANCY
#include <cuda_occupancy.h>
#endif

#include <fnmatch.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct limit {
  const char *pattern; // of fnmatch, for the name with its template's arguments; the first that matches counts
  int threads, registers, shared_bytes, occupancy;
} limit;

static const limit limits[] = {
#define LIMIT(pattern, threads, registers, shared_bytes, occupancy)                                                    \
  {pattern, threads, registers, shared_bytes, occupancy},
#include "limits.def"
#undef LIMIT
};
enum { LIMITS = sizeof limits / sizeof *limits };
static int seen[LIMITS];

typedef struct kernel {
  char name[512];
  int stack, stores, loads, registers, shared_bytes;
} kernel;

// "void f<(x)0, 1>(int)" becomes "f<(x)0, 1>".
static void set_name(kernel *k, const char *text) {
  int depth = 0;
  size_t n = 0;
  if (strncmp(text, "void ", 5) == 0)
    text += 5;
  for (; *text != '\0' && n + 1 < sizeof k->name && !(*text == '(' && depth == 0); text++) {
    depth += (*text == '<') - (*text == '>');
    k->name[n++] = *text;
  }
  k->name[n] = '\0';
}

static int occupancy_of(const kernel *k, const limit *l) {
#ifdef TITAN_HAS_OCCUPANCY
  const cudaOccDeviceProp h100 = {.computeMajor = 9,
                                  .computeMinor = 0,
                                  .maxThreadsPerBlock = 1024,
                                  .maxThreadsPerMultiprocessor = 2048,
                                  .regsPerBlock = 65536,
                                  .regsPerMultiprocessor = 65536,
                                  .warpSize = 32,
                                  .sharedMemPerBlock = 49152,
                                  .sharedMemPerMultiprocessor = 233472,
                                  .numSms = 132,
                                  .sharedMemPerBlockOptin = 232448,
                                  .reservedSharedMemPerBlock = 1024};
  const cudaOccFuncAttributes attributes = {.maxThreadsPerBlock = 1024,
                                            .numRegs = k->registers,
                                            .sharedSizeBytes = (size_t)k->shared_bytes,
                                            .partitionedGCConfig = PARTITIONED_GC_OFF,
                                            .shmemLimitConfig = FUNC_SHMEM_LIMIT_DEFAULT,
                                            .maxDynamicSharedSizeBytes = 0,
                                            .numBlockBarriers = 1};
  const cudaOccDeviceState state = {.cacheConfig = CACHE_PREFER_NONE, .carveoutConfig = 100};
  cudaOccResult result;
  if (cudaOccMaxActiveBlocksPerMultiprocessor(&result, &h100, &attributes, &state, l->threads, 0) != CUDA_OCC_SUCCESS)
    return -1;
  return 100 * result.activeBlocksPerMultiprocessor * l->threads / h100.maxThreadsPerMultiprocessor;
#else
  (void)k, (void)l;
  return 100;
#endif
}

static int check(const kernel *k) {
  int i = 0;
  while (i < LIMITS && fnmatch(limits[i].pattern, k->name, 0) != 0)
    i++;
  if (i == LIMITS) {
    fprintf(stderr, "FAILED: limits.def has no row for %s: %d registers, %d bytes of shared memory\n", k->name,
            k->registers, k->shared_bytes);
    return 1;
  }
  seen[i]++;
  int occupancy = occupancy_of(k, &limits[i]);
  bool fine = k->stack == 0 && k->stores == 0 && k->loads == 0 && k->registers <= limits[i].registers &&
              k->shared_bytes <= limits[i].shared_bytes && occupancy >= limits[i].occupancy;
  printf("%4d registers %6d bytes %4d %% %s\n", k->registers, k->shared_bytes, occupancy, k->name);
  if (!fine)
    fprintf(
        stderr,
        "FAILED %s: stack %d, spills %d and %d, expected 0; registers %d, at most %d; shared memory %d, at most %d; "
        "occupancy %d %%, at least %d %%\n",
        k->name, k->stack, k->stores, k->loads, k->registers, limits[i].registers, k->shared_bytes,
        limits[i].shared_bytes, occupancy, limits[i].occupancy);
  return !fine;
}

// The number before `word` in the line; 0 where it is not there.
static int number_before(const char *line, const char *word) {
  const char *at = strstr(line, word);
  while (at != NULL && at > line && at[-1] >= '0' && at[-1] <= '9')
    at--;
  return at != NULL ? atoi(at) : 0;
}

static int check_all(FILE *file) {
  char line[4096];
  kernel k = {.name = ""};
  int failures = 0, kernels = 0;
  while (fgets(line, sizeof line, file) != NULL) {
    char *entry = strstr(line, "Compiling entry function '"), *end = strstr(line, "' for 'sm_");
    if (entry != NULL && end != NULL) {
      *end = '\0';
      k = (kernel){.name = ""};
      set_name(&k, entry + strlen("Compiling entry function '"));
    } else if (strstr(line, "bytes stack frame") != NULL) {
      k.stack = number_before(line, " bytes stack frame");
      k.stores = number_before(line, " bytes spill stores");
      k.loads = number_before(line, " bytes spill loads");
    } else if (strstr(line, "Used ") != NULL && k.name[0] != '\0') {
      k.registers = number_before(line, " registers");
      k.shared_bytes = number_before(line, " bytes smem");
      failures += check(&k);
      kernels++;
      k.name[0] = '\0';
    }
  }
  printf("%d kernels, %d failures\n", kernels, failures);
  return failures + (kernels == 0);
}

int main(int argc, char **argv) {
  FILE *file = argc == 2 ? fopen(argv[1], "r") : NULL;
  if (file == NULL) {
    fprintf(stderr, "usage: test_limits OUTPUT_OF_PTXAS\n");
    return 2;
  }
  int failures = check_all(file);
  fclose(file);
  for (int i = 0; i < LIMITS; i++)
    if (seen[i] == 0) {
      fprintf(stderr, "FAILED: no kernel is called %s, of limits.def\n", limits[i].pattern);
      failures++;
    }
  return failures > 0;
}
