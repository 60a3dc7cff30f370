// SPDX-License-Identifier: Apache-2.0
#include "apart_private.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096 };
static const size_t most_bytes = (size_t)16 << 30;
static apart *guarded; // the device whose memory a SIGSEGV may be of

static size_t padded(size_t bytes) { // each block ends before a page that is none's
  return (bytes + PAGE - 1) / PAGE * PAGE + PAGE;
}

static const apart_block *find(const apart *a, const char *address) {
  for (size_t i = 0; i < a->block_count; i++)
    if (address >= a->blocks[i].begin && address < a->blocks[i].begin + padded(a->blocks[i].bytes))
      return &a->blocks[i];
  return NULL;
}

static void on_fault(int number, siginfo_t *info, void *context) {
  const char *address = info->si_addr;
  (void)context;
  if (guarded != NULL && address >= guarded->memory && address < guarded->memory + most_bytes) {
    const apart_block *block = find(guarded, address);
    char text[256];
    int length =
        snprintf(text, sizeof text, "apart device, seed %llu: host code touched device memory: %s, byte %lld of %zu\n",
                 (unsigned long long)guarded->seed, block != NULL ? titan_memory_tag_text(block->tag) : "freed",
                 block != NULL ? (long long)(address - block->begin) : 0LL, block != NULL ? block->bytes : 0);
    if (write(STDERR_FILENO, text, (size_t)length) < 0)
      _exit(139);
  }
  signal(number, SIG_DFL); // the touch comes again, and ends the process
}

titan_status apart_memory_create(apart *a) {
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
  void *memory = mmap(NULL, most_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED)
    return titan_error(TITAN_ERROR_MEMORY, "apart device: no address space");
  a->memory = a->memory_end = memory;
  guarded = a;
  sigaction(SIGSEGV, &action, NULL);
  return TITAN_OK;
}

void apart_memory_destroy(apart *a) {
  if (a->memory != NULL)
    munmap(a->memory, most_bytes);
  if (guarded == a)
    guarded = NULL;
  free(a->blocks);
}

void apart_memory_open(apart *a, bool open) {
  if (a->memory_end > a->memory)
    mprotect(a->memory, (size_t)(a->memory_end - a->memory), open ? PROT_READ | PROT_WRITE : PROT_NONE);
}

// The first gap that is large enough, or the end.
static size_t find_place(const apart *a, size_t bytes, char **begin) {
  char *free_from = a->memory;
  for (size_t i = 0; i < a->block_count; i++) {
    if (free_from + padded(bytes) <= a->blocks[i].begin) {
      *begin = free_from;
      return i;
    }
    free_from = a->blocks[i].begin + padded(a->blocks[i].bytes);
  }
  *begin = free_from;
  return a->block_count;
}

static titan_status add_block(apart *a, titan_memory_tag tag, size_t bytes, char **begin) {
  if (a->block_count == a->block_capacity) {
    size_t capacity = 2 * a->block_capacity + 64;
    apart_block *grown = realloc(a->blocks, capacity * sizeof *grown);
    if (grown == NULL)
      return titan_error(TITAN_ERROR_MEMORY, "apart device: no memory for its blocks");
    a->blocks = grown;
    a->block_capacity = capacity;
  }
  size_t place = find_place(a, bytes, begin);
  if (*begin + padded(bytes) > a->memory + most_bytes)
    return titan_error(TITAN_ERROR_MEMORY, "apart device: cannot allocate %zu bytes for %s", bytes,
                       titan_memory_tag_text(tag));
  memmove(a->blocks + place + 1, a->blocks + place, (a->block_count - place) * sizeof *a->blocks);
  a->blocks[place] = (apart_block){*begin, bytes, tag};
  a->block_count++;
  if (*begin + padded(bytes) > a->memory_end)
    a->memory_end = *begin + padded(bytes);
  return TITAN_OK;
}

titan_status apart_allocate(titan_device *device, titan_space space, titan_memory_tag tag, size_t bytes, void *out) {
  apart *a = apart_of(device);
  char *begin = NULL;
  *(void **)out = NULL;
  if (space == TITAN_SPACE_HOST)
    return titan_memory_allocate(tag, bytes, out);
  TITAN_TRY(add_block(a, tag, bytes, &begin));
  mprotect(begin, padded(bytes), PROT_READ | PROT_WRITE);
  memset(begin, 0xff, bytes); // NaN of every type
  mprotect(begin, padded(bytes), PROT_NONE);
  titan_memory_account_device(tag, bytes);
  *(void **)out = begin;
  return TITAN_OK;
}

titan_status apart_memory(titan_device *device, size_t *available, size_t *total) {
  const apart *a = apart_of(device);
  const char *limit = getenv("TITAN_APART_MEMORY");
  size_t used = 0;
  for (size_t i = 0; i < a->block_count; i++)
    used += a->blocks[i].bytes;
  *total = limit != NULL ? (size_t)strtoull(limit, NULL, 10) << 20 : most_bytes;
  *available = *total > used ? *total - used : 0;
  return TITAN_OK;
}

// What was put into the queues may still use it.
void apart_free(titan_device *device, titan_space space, void *pointer) {
  apart *a = apart_of(device);
  if (pointer == NULL)
    return;
  apart_execute(a);
  if (space == TITAN_SPACE_HOST) {
    titan_memory_free(pointer);
    return;
  }
  for (size_t i = 0; i < a->block_count; i++) {
    if (a->blocks[i].begin != pointer)
      continue;
    titan_memory_unaccount_device(a->blocks[i].tag, a->blocks[i].bytes);
    madvise(pointer, padded(a->blocks[i].bytes), MADV_DONTNEED);
    memmove(a->blocks + i, a->blocks + i + 1, (a->block_count - i - 1) * sizeof *a->blocks);
    a->block_count--;
    return;
  }
  fprintf(stderr, "apart device: memory is freed that it has not given\n");
  abort();
}
