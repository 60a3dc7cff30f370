// SPDX-License-Identifier: Apache-2.0
#include "data/loader.h"

#include "base/clock.h"
#include "base/memory.h"
#include "data/corpus_index.h"
#include "data/jsonl.h"
#include "data/loader_lanes.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { DEFAULT_PREFETCH = 2, MESSAGE_BYTES = 2048 };

typedef struct slot {
  int32_t *windows;             // [lane_count][seq_len+1]
  titan_loader_cursor *cursors; // behind the windows
} slot;

struct titan_loader {
  titan_loader_options options;
  titan_loader_cursor *cursors; // behind the last batch returned
  double waited;
  titan_lanes *lanes; // the thread's, while it runs
  slot *slots;        // a ring of options.prefetch
  int slot_count;
  titan_corpus_told told; // of indexes; the thread's, while it runs
  bool running;
  pthread_t thread;
  atomic_bool stop;
  pthread_mutex_t lock; // guards what follows
  pthread_cond_t changed;
  int first, filled; // slots first .. first+filled-1 (modulo slot_count) are ready
  uint64_t replaced;
  titan_status status; // of the thread, with its message
  char message[MESSAGE_BYTES];
};

// Keeps the message of this thread's failure for the caller's thread.
static void keep_failure(titan_loader *loader, titan_status status) {
  loader->status = status;
  snprintf(loader->message, sizeof loader->message, "%s", titan_error_message());
}

static void *read_ahead(void *argument) {
  titan_loader *loader = argument;
  pthread_mutex_lock(&loader->lock);
  while (loader->status == TITAN_OK && !atomic_load(&loader->stop)) {
    if (loader->filled == loader->slot_count) {
      pthread_cond_wait(&loader->changed, &loader->lock);
      continue;
    }
    slot *to = &loader->slots[(loader->first + loader->filled) % loader->slot_count];
    pthread_mutex_unlock(&loader->lock);
    titan_status status = titan_lanes_next(loader->lanes, to->windows, to->cursors);
    pthread_mutex_lock(&loader->lock);
    loader->replaced = titan_lanes_replaced(loader->lanes);
    if (status != TITAN_OK)
      keep_failure(loader, status);
    else
      loader->filled++;
    pthread_cond_broadcast(&loader->changed);
  }
  pthread_mutex_unlock(&loader->lock);
  return NULL;
}

static void stop_thread(titan_loader *loader) {
  if (loader->running) {
    pthread_mutex_lock(&loader->lock);
    atomic_store(&loader->stop, true);
    pthread_cond_broadcast(&loader->changed);
    pthread_mutex_unlock(&loader->lock);
    pthread_join(loader->thread, NULL);
    loader->running = false;
  }
  titan_lanes_destroy(&loader->lanes);
}

// Signals are for the thread that runs the training loop.
static int create_thread(titan_loader *loader) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = pthread_create(&loader->thread, NULL, read_ahead, loader);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return error;
}

static titan_status start_thread(titan_loader *loader, const titan_loader_cursor *cursors) {
  loader->first = loader->filled = 0;
  loader->status = TITAN_OK;
  atomic_store(&loader->stop, false);
  titan_lanes_first_cursors(loader->options.first_lane, loader->options.lane_count, loader->cursors);
  if (cursors != NULL)
    memcpy(loader->cursors, cursors, (size_t)loader->options.lane_count * sizeof *cursors);
  titan_loader_options options = loader->options;
  options.cursors = loader->cursors;
  TITAN_TRY(titan_lanes_create(&options, &loader->stop, &loader->told, &loader->lanes));
  int error = create_thread(loader);
  if (error != 0)
    return titan_error(TITAN_ERROR_MEMORY, "cannot start the thread that reads the corpus: %s", strerror(error));
  loader->running = true;
  return TITAN_OK;
}

static titan_status check_options(const titan_loader_options *options) {
  if (options->seq_len < 1 || options->global_batch < 1)
    return titan_error(TITAN_ERROR_USAGE, "training.seq_len (%lld) and the global batch (%lld) must be at least 1",
                       (long long)options->seq_len, (long long)options->global_batch);
  if (options->first_lane < 0 || options->lane_count < 1 ||
      options->lane_count > options->global_batch - options->first_lane)
    return titan_error(TITAN_ERROR_USAGE, "lanes %lld to %lld are not among the %lld of the global batch",
                       (long long)options->first_lane, (long long)(options->first_lane + options->lane_count - 1),
                       (long long)options->global_batch);
  if (options->prefetch < 0)
    return titan_error(TITAN_ERROR_USAGE, "cannot keep %d batches ready", options->prefetch);
  return TITAN_OK;
}

static titan_status allocate_slots(titan_loader *loader) {
  size_t lanes = (size_t)loader->options.lane_count, window = (size_t)loader->options.seq_len + 1;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_DATA, lanes, sizeof *loader->cursors, &loader->cursors));
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_DATA, (size_t)loader->slot_count, sizeof *loader->slots,
                                         &loader->slots));
  for (int i = 0; i < loader->slot_count; i++) {
    slot *each = &loader->slots[i];
    TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_DATA, lanes * window * sizeof(int32_t), &each->windows));
    TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_DATA, lanes, sizeof *each->cursors, &each->cursors));
  }
  return TITAN_OK;
}

size_t titan_loader_bytes(int64_t lane_count, int64_t seq_len) {
  size_t lanes = (size_t)lane_count, window = ((size_t)seq_len + 1) * sizeof(int32_t);
  size_t ready = DEFAULT_PREFETCH * (lanes * (window + sizeof(titan_loader_cursor)) + sizeof(slot));
  return sizeof(titan_loader) + ready + lanes * (sizeof(titan_loader_cursor) + 2 * window);
}

size_t titan_loader_reading_bytes(size_t document_limit) {
  return titan_jsonl_bytes(document_limit) + titan_corpus_index_bytes() + document_limit;
}

titan_status titan_loader_create(const titan_loader_options *options, titan_loader **out) {
  titan_loader *loader;
  titan_status status;
  *out = NULL;
  TITAN_TRY(check_options(options));
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_DATA, 1, sizeof *loader, &loader));
  loader->options = *options;
  loader->options.cursors = NULL;
  loader->told.quiet = options->quiet;
  loader->slot_count = options->prefetch > 0 ? options->prefetch : DEFAULT_PREFETCH;
  pthread_mutex_init(&loader->lock, NULL);
  pthread_cond_init(&loader->changed, NULL);
  TITAN_TRY_CLEANUP(allocate_slots(loader));
  TITAN_TRY_CLEANUP(start_thread(loader, options->cursors));
  *out = loader;
  return TITAN_OK;
cleanup:
  titan_loader_destroy(&loader);
  return status;
}

void titan_loader_destroy(titan_loader **handle) {
  titan_loader *loader = *handle;
  if (loader == NULL)
    return;
  stop_thread(loader);
  for (int i = 0; loader->slots != NULL && i < loader->slot_count; i++) {
    titan_memory_free(loader->slots[i].windows);
    titan_memory_free(loader->slots[i].cursors);
  }
  titan_memory_free(loader->slots);
  titan_memory_free(loader->cursors);
  pthread_cond_destroy(&loader->changed);
  pthread_mutex_destroy(&loader->lock);
  titan_memory_free(loader);
  *handle = NULL;
}

// Gives the oldest ready slot; it stays this thread's until it is counted as free.
static titan_status wait_for_slot(titan_loader *loader, const slot **out) {
  double begin = titan_clock_seconds();
  pthread_mutex_lock(&loader->lock);
  while (loader->filled == 0 && loader->status == TITAN_OK)
    pthread_cond_wait(&loader->changed, &loader->lock);
  *out = loader->filled > 0 ? &loader->slots[loader->first] : NULL;
  pthread_mutex_unlock(&loader->lock);
  loader->waited = titan_clock_seconds() - begin;
  if (*out == NULL)
    return titan_error(loader->status, "%s", loader->message);
  return TITAN_OK;
}

titan_status titan_loader_next(titan_loader *loader, int32_t *tokens_BL, int32_t *labels_BL) {
  const slot *ready;
  TITAN_TRY(wait_for_slot(loader, &ready));
  size_t length = (size_t)loader->options.seq_len, lanes = (size_t)loader->options.lane_count;
  for (size_t i = 0; i < lanes; i++) {
    const int32_t *window = ready->windows + i * (length + 1);
    memcpy(tokens_BL + i * length, window, length * sizeof *tokens_BL);
    memcpy(labels_BL + i * length, window + 1, length * sizeof *labels_BL);
  }
  memcpy(loader->cursors, ready->cursors, lanes * sizeof *loader->cursors);
  pthread_mutex_lock(&loader->lock);
  loader->first = (loader->first + 1) % loader->slot_count;
  loader->filled--;
  pthread_cond_broadcast(&loader->changed);
  pthread_mutex_unlock(&loader->lock);
  return TITAN_OK;
}

double titan_loader_seconds_waited(const titan_loader *loader) {
  return loader->waited;
}

uint64_t titan_loader_replaced(titan_loader *loader) {
  pthread_mutex_lock(&loader->lock);
  uint64_t replaced = loader->replaced;
  pthread_mutex_unlock(&loader->lock);
  return replaced;
}

void titan_loader_get_cursors(const titan_loader *loader, titan_loader_cursor *cursors) {
  memcpy(cursors, loader->cursors, (size_t)loader->options.lane_count * sizeof *cursors);
}

titan_status titan_loader_set_cursors(titan_loader *loader, const titan_loader_cursor *cursors) {
  stop_thread(loader);
  titan_status status = start_thread(loader, cursors);
  if (status != TITAN_OK)
    keep_failure(loader, status);
  return status;
}
