// SPDX-License-Identifier: Apache-2.0
#include "base/memory.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

// Lies in the TITAN_MEMORY_ALIGNMENT bytes before each pointer.
typedef struct header {
  size_t bytes;
  titan_memory_tag tag;
  void *base;
} header;

_Static_assert(sizeof(header) <= TITAN_MEMORY_ALIGNMENT, "the header fits before an aligned pointer");

static const size_t huge_page_bytes = (size_t)2 << 20;
static pthread_mutex_t usage_lock = PTHREAD_MUTEX_INITIALIZER;
static titan_memory_usage usage[TITAN_MEMORY_TAG_COUNT];
static titan_memory_usage usage_total;
static titan_memory_usage device_usage[TITAN_MEMORY_TAG_COUNT];

static const char *const tag_texts[] = {
#define TEXT(name, text) text,
    TITAN_MEMORY_TAG_LIST(TEXT)
#undef TEXT
};

static void usage_add(titan_memory_usage *entry, size_t bytes) {
  entry->live_bytes += bytes;
  entry->live_count++;
  if (entry->live_bytes > entry->peak_bytes)
    entry->peak_bytes = entry->live_bytes;
}

void titan_memory_account(titan_memory_tag tag, size_t bytes) {
  pthread_mutex_lock(&usage_lock);
  usage_add(&usage[tag], bytes);
  usage_add(&usage_total, bytes);
  pthread_mutex_unlock(&usage_lock);
}

void titan_memory_unaccount(titan_memory_tag tag, size_t bytes) {
  pthread_mutex_lock(&usage_lock);
  usage[tag].live_bytes -= bytes;
  usage[tag].live_count--;
  usage_total.live_bytes -= bytes;
  usage_total.live_count--;
  pthread_mutex_unlock(&usage_lock);
}

void titan_memory_account_device(titan_memory_tag tag, size_t bytes) {
  pthread_mutex_lock(&usage_lock);
  usage_add(&device_usage[tag], bytes);
  pthread_mutex_unlock(&usage_lock);
}

void titan_memory_unaccount_device(titan_memory_tag tag, size_t bytes) {
  pthread_mutex_lock(&usage_lock);
  device_usage[tag].live_bytes -= bytes;
  device_usage[tag].live_count--;
  pthread_mutex_unlock(&usage_lock);
}

static header *header_of(void *pointer) {
  return (header *)((char *)pointer - TITAN_MEMORY_ALIGNMENT);
}

titan_status titan_memory_allocate(titan_memory_tag tag, size_t bytes, void *out) {
  *(void **)out = NULL;
  size_t alignment = bytes >= huge_page_bytes ? huge_page_bytes : TITAN_MEMORY_ALIGNMENT;
  void *base = NULL;
  if (bytes > SIZE_MAX / 2 || posix_memalign(&base, alignment, bytes + TITAN_MEMORY_ALIGNMENT) != 0)
    return titan_error(TITAN_ERROR_MEMORY, "cannot allocate %zu bytes (%.2f GiB) for %s", bytes,
                       (double)bytes / (1 << 30), titan_memory_tag_text(tag));
  if (bytes >= huge_page_bytes) // fewer page faults and TLB misses; a refusal changes nothing else
    madvise(base, bytes + TITAN_MEMORY_ALIGNMENT, MADV_HUGEPAGE);
  void *pointer = (char *)base + TITAN_MEMORY_ALIGNMENT;
  *header_of(pointer) = (header){.bytes = bytes, .tag = tag, .base = base};
  titan_memory_account(tag, bytes);
  *(void **)out = pointer;
  return TITAN_OK;
}

titan_status titan_memory_allocate_zeroed(titan_memory_tag tag, size_t count, size_t size, void *out) {
  size_t bytes;
  *(void **)out = NULL;
  if (__builtin_mul_overflow(count, size, &bytes))
    return titan_error(TITAN_ERROR_MEMORY, "cannot allocate %zu x %zu bytes for %s", count, size,
                       titan_memory_tag_text(tag));
  TITAN_TRY(titan_memory_allocate(tag, bytes, out));
  memset(*(void **)out, 0, bytes);
  return TITAN_OK;
}

titan_status titan_memory_resize(titan_memory_tag tag, size_t bytes, void *inout) {
  void *old = *(void **)inout, *new = NULL;
  TITAN_TRY(titan_memory_allocate(tag, bytes, &new));
  if (old != NULL) {
    size_t old_bytes = header_of(old)->bytes;
    memcpy(new, old, old_bytes < bytes ? old_bytes : bytes);
    titan_memory_free(old);
  }
  *(void **)inout = new;
  return TITAN_OK;
}

titan_status titan_memory_duplicate(titan_memory_tag tag, const char *text, char **out) {
  size_t bytes = strlen(text) + 1;
  TITAN_TRY(titan_memory_allocate(tag, bytes, out));
  memcpy(*out, text, bytes);
  return TITAN_OK;
}

void titan_memory_free(void *pointer) {
  if (pointer == NULL)
    return;
  header *head = header_of(pointer);
  titan_memory_unaccount(head->tag, head->bytes);
  free(head->base);
}

titan_memory_usage titan_memory_usage_of(titan_memory_tag tag) {
  pthread_mutex_lock(&usage_lock);
  titan_memory_usage copy = usage[tag];
  pthread_mutex_unlock(&usage_lock);
  return copy;
}

titan_memory_usage titan_memory_usage_of_device(titan_memory_tag tag) {
  pthread_mutex_lock(&usage_lock);
  titan_memory_usage copy = device_usage[tag];
  pthread_mutex_unlock(&usage_lock);
  return copy;
}

titan_memory_usage titan_memory_usage_total(void) {
  pthread_mutex_lock(&usage_lock);
  titan_memory_usage copy = usage_total;
  pthread_mutex_unlock(&usage_lock);
  return copy;
}

const char *titan_memory_tag_text(titan_memory_tag tag) {
  return tag_texts[tag];
}

void titan_memory_reset_peaks(void) {
  pthread_mutex_lock(&usage_lock);
  for (int tag = 0; tag < TITAN_MEMORY_TAG_COUNT; tag++)
    usage[tag].peak_bytes = usage[tag].live_bytes, device_usage[tag].peak_bytes = device_usage[tag].live_bytes;
  usage_total.peak_bytes = usage_total.live_bytes;
  pthread_mutex_unlock(&usage_lock);
}

static uint64_t report_leaks(const char *where, titan_memory_usage (*usage_of)(titan_memory_tag tag)) {
  uint64_t count = 0;
  for (int tag = 0; tag < TITAN_MEMORY_TAG_COUNT; tag++) {
    titan_memory_usage entry = usage_of((titan_memory_tag)tag);
    count += entry.live_count;
    if (entry.live_count > 0)
      fprintf(stderr, "%smemory left at the end: %s: %llu allocations, %zu bytes\n", where, tag_texts[tag],
              (unsigned long long)entry.live_count, entry.live_bytes);
  }
  return count;
}

uint64_t titan_memory_report_leaks(void) {
  return report_leaks("", titan_memory_usage_of) + report_leaks("device ", titan_memory_usage_of_device);
}
