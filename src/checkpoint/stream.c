// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/stream.h"

#include "checkpoint/format.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

// ALIGNMENT: of offsets, lengths and memory, for reading past the page cache.
enum { DEPTH = 4, ALIGNMENT = 4096, SLOT_BYTES = TITAN_STREAM_BYTES + 3 * ALIGNMENT };

typedef enum slot_state { EMPTY, READING, READ, FAILED } slot_state;

typedef struct slot {
  titan_stream_span span;
  slot_state state;
  char *memory; // aligned
  char *bytes;  // of the span, within memory
} slot;

struct titan_stream {
  int descriptor, direct; // direct < 0: everything goes through the page cache
  const char *path;
  titan_stream_next *next;
  void *context;
  void *memory;
  unsigned char *mapping; // of the whole file, never touched: to ask what of it is in the cache; NULL: not known
  size_t mapped;
  pthread_t threads[DEPTH];
  int thread_count;
  // Under the lock: span n is in slot n % DEPTH.
  pthread_mutex_t lock;
  pthread_cond_t changed;
  uint64_t begun, taken; // spans
  bool ended;
  slot slots[DEPTH];
};

// --- one span ---

static bool is_cached(const titan_stream *stream, const titan_stream_span *span) {
  unsigned char resident[SLOT_BYTES / ALIGNMENT];
  size_t page = (size_t)sysconf(_SC_PAGESIZE), begin = span->offset / page * page;
  size_t pages = (span->offset + span->bytes - begin + page - 1) / page;
  if (stream->mapping == NULL || pages > sizeof resident || span->offset + span->bytes > stream->mapped ||
      mincore(stream->mapping + begin, span->offset + span->bytes - begin, resident) != 0)
    return false;
  for (size_t i = 0; i < pages; i++)
    if (!(resident[i] & 1))
      return false;
  return true;
}

static bool read_direct(const titan_stream *stream, slot *s) {
  uint64_t begin = s->span.offset / ALIGNMENT * ALIGNMENT;
  size_t lead = (size_t)(s->span.offset - begin), wanted = lead + s->span.bytes;
  s->bytes = s->memory + lead;
  // A short count other than at the end of the file is rare; the ordinary way serves it.
  ssize_t count = pread(stream->direct, s->memory, (wanted + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT, (off_t)begin);
  return count >= 0 && (size_t)count >= wanted;
}

static titan_status read_through_cache(const titan_stream *stream, slot *s, titan_checkpoint_fault *fault) {
  s->bytes = s->memory;
  return titan_checkpoint_read_bytes(stream->descriptor, stream->path, s->span.offset, s->memory, s->span.bytes, fault);
}

static bool read_span(const titan_stream *stream, slot *s) {
  titan_checkpoint_fault unused;
  bool direct = stream->direct >= 0 && !is_cached(stream, &s->span);
  return (direct && read_direct(stream, s)) || read_through_cache(stream, s, &unused) == TITAN_OK;
}

// --- the threads ---

static void *run_thread(void *context) {
  titan_stream *stream = context;
  pthread_mutex_lock(&stream->lock);
  for (;;) {
    slot *s = &stream->slots[stream->begun % DEPTH];
    if (stream->ended)
      break;
    if (s->state != EMPTY) {
      pthread_cond_wait(&stream->changed, &stream->lock);
      continue;
    }
    if (!stream->next(stream->context, &s->span)) {
      stream->ended = true;
      break;
    }
    s->state = READING;
    stream->begun++;
    pthread_mutex_unlock(&stream->lock);
    bool good = read_span(stream, s);
    pthread_mutex_lock(&stream->lock);
    s->state = good ? READ : FAILED;
    pthread_cond_broadcast(&stream->changed);
  }
  pthread_cond_broadcast(&stream->changed);
  pthread_mutex_unlock(&stream->lock);
  return NULL;
}

// Signals are for others. Where the system gives no thread, those that are there do the work, or the taker.
static void start_threads(titan_stream *stream, int count) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  while (stream->thread_count < count &&
         pthread_create(&stream->threads[stream->thread_count], NULL, run_thread, stream) == 0)
    stream->thread_count++;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

// --- the interface ---

// The same file, whatever its name is by now.
static void open_direct(titan_stream *stream) {
  char name[64];
  struct stat information;
  snprintf(name, sizeof name, "/proc/self/fd/%d", stream->descriptor);
  stream->direct = open(name, O_RDONLY | O_CLOEXEC | O_DIRECT);
  if (stream->direct < 0 || fstat(stream->descriptor, &information) != 0 || information.st_size <= 0)
    return;
  void *mapping = mmap(NULL, (size_t)information.st_size, PROT_READ, MAP_SHARED, stream->descriptor, 0);
  if (mapping != MAP_FAILED) {
    stream->mapping = mapping;
    stream->mapped = (size_t)information.st_size;
  }
}

// Few bytes are not worth a thread.
static int thread_count(uint64_t bytes) {
  uint64_t spans = bytes / TITAN_STREAM_BYTES;
  return spans < 2 ? 0 : spans < DEPTH ? (int)spans : DEPTH;
}

size_t titan_stream_memory(uint64_t bytes) {
  return (size_t)(thread_count(bytes) > 0 ? DEPTH : 1) * SLOT_BYTES;
}

titan_status titan_stream_create(int descriptor, const char *path, uint64_t bytes, titan_memory_tag tag,
                                 titan_stream_next *next, void *context, titan_stream **out) {
  titan_stream *stream;
  *out = NULL;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, 1, sizeof *stream, &stream));
  int threads = thread_count(bytes);
  size_t slots = threads > 0 ? DEPTH : 1;
  titan_status status = titan_memory_allocate(tag, titan_stream_memory(bytes), &stream->memory);
  if (status != TITAN_OK) {
    titan_memory_free(stream);
    return status;
  }
  char *aligned = stream->memory;
  aligned += (ALIGNMENT - (uintptr_t)aligned % ALIGNMENT) % ALIGNMENT;
  for (size_t i = 0; i < slots; i++)
    stream->slots[i].memory = aligned + i * (TITAN_STREAM_BYTES + 2 * ALIGNMENT);
  stream->descriptor = descriptor;
  stream->direct = -1;
  stream->path = path;
  stream->next = next;
  stream->context = context;
  pthread_mutex_init(&stream->lock, NULL);
  pthread_cond_init(&stream->changed, NULL);
  if (threads > 0)
    open_direct(stream);
  start_threads(stream, threads);
  *out = stream;
  return TITAN_OK;
}

static titan_status take_alone(titan_stream *stream, const void **bytes, titan_checkpoint_fault *fault) {
  slot *s = &stream->slots[0];
  if (!stream->next(stream->context, &s->span))
    return titan_error(TITAN_ERROR_INTERNAL, "%s: a missing span is requested", stream->path);
  TITAN_TRY(read_through_cache(stream, s, fault));
  *bytes = s->bytes;
  return TITAN_OK;
}

titan_status titan_stream_take(titan_stream *stream, const void **bytes, titan_checkpoint_fault *fault) {
  if (stream->thread_count == 0)
    return take_alone(stream, bytes, fault);
  slot *s = &stream->slots[stream->taken % DEPTH];
  pthread_mutex_lock(&stream->lock);
  if (stream->taken > 0) { // the one before is no longer looked at
    stream->slots[(stream->taken - 1) % DEPTH].state = EMPTY;
    pthread_cond_broadcast(&stream->changed);
  }
  while (s->state != READ && s->state != FAILED && !(stream->ended && stream->begun == stream->taken))
    pthread_cond_wait(&stream->changed, &stream->lock);
  slot_state state = s->state;
  stream->taken++;
  pthread_mutex_unlock(&stream->lock);
  if (state == EMPTY)
    return titan_error(TITAN_ERROR_INTERNAL, "%s: a missing span is requested", stream->path);
  if (state == FAILED) // messages are a thread's own: reading again says why
    TITAN_TRY(read_through_cache(stream, s, fault));
  *bytes = s->bytes;
  return TITAN_OK;
}

void titan_stream_destroy(titan_stream **stream) {
  titan_stream *s = *stream;
  if (s == NULL)
    return;
  pthread_mutex_lock(&s->lock);
  s->ended = true;
  pthread_cond_broadcast(&s->changed);
  pthread_mutex_unlock(&s->lock);
  for (int i = 0; i < s->thread_count; i++)
    pthread_join(s->threads[i], NULL);
  pthread_cond_destroy(&s->changed);
  pthread_mutex_destroy(&s->lock);
  if (s->direct >= 0)
    close(s->direct);
  if (s->mapping != NULL)
    munmap(s->mapping, s->mapped);
  titan_memory_free(s->memory);
  titan_memory_free(s);
  *stream = NULL;
}
