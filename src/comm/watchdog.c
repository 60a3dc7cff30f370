// SPDX-License-Identifier: Apache-2.0
#include "comm/watchdog.h"

#include "base/clock.h"
#include "base/log.h"
#include "comm/inquiry.h"
#include "comm/recorder.h"
#include "comm/recorder_private.h"
#include "comm/side_channel.h"
#include "comm/stack.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

// Seconds. AGAIN: after which a rank looks once more into a wait that it has left to another one. STOPPED: beyond the
// time from one look to the next, of which the process has seen nothing.
static const double AGAIN = 8, STOPPED = 2;
enum { OPTION_BYTES = 96 };

struct titan_watchdog {
  int rank, size, listener;
  uint64_t secret;
  titan_side_peer *peers;
  char *folder;
  pthread_t server, monitor;
  bool has_server, has_monitor;
  pthread_mutex_t mutex; // of what follows
  pthread_cond_t change;
  bool ends;
  bool is_being_ended; // another rank has told
  double timeout;
  char option[OPTION_BYTES];
  int late; // a rank that has asked this one to look into its wait; -1: none
};

// --- the end of the run ---

static void write_recorder(const titan_watchdog *watchdog) {
  char path[4096], stack[TITAN_STACK_BYTES];
  titan_stack_take(false, stack, sizeof stack);
  (void)mkdir(watchdog->folder, 0777); // where there is none, the file cannot be opened
  snprintf(path, sizeof path, "%s/rank_%d.json", watchdog->folder, watchdog->rank);
  FILE *file = fopen(path, "w");
  bool written =
      file != NULL && titan_recorder_write(file, watchdog->rank, watchdog->peers[watchdog->rank].host, stack);
  if (file != NULL && fclose(file) != 0)
    written = false;
  if (!written)
    titan_log_warning("cannot write the flight recorder %s: %s", path, strerror(errno));
}

static void end_process(void) {
  _exit(titan_status_exit_code(TITAN_ERROR_COMMUNICATION)); // the main thread hangs, and nothing of it can be freed
}

// --- asking all ranks ---

static bool is_being_ended(titan_watchdog *watchdog) {
  pthread_mutex_lock(&watchdog->mutex);
  bool ended = watchdog->is_being_ended;
  pthread_mutex_unlock(&watchdog->mutex);
  return ended;
}

// Tells, and ends all ranks. Does nothing where the wait is over meanwhile, or another rank has told.
static void judge(titan_watchdog *watchdog, int waiter, double timeout, const char *option, titan_inquiry *inquiry) {
  titan_text text = {0};
  if (!titan_inquiry_ask(inquiry, waiter, timeout) || is_being_ended(watchdog))
    return;
  if (titan_verdict_tell(inquiry->ranks, watchdog->peers, watchdog->size, waiter, option, &text) == TITAN_OK)
    titan_log_error("%s. Every rank ends; what each of them communicated is in %s", text.data, watchdog->folder);
  titan_text_destroy(&text);
  write_recorder(watchdog);
  titan_inquiry_end(inquiry); // each has written its recorder when it answers
  end_process();              // closes the sockets, which the others wait for
}

// waiter: the rank that waits too long; this one: whether a lower rank looks into it.
static bool look_into(titan_watchdog *watchdog, int waiter, double timeout, const char *option) {
  titan_inquiry inquiry;
  bool left = false;
  if (titan_inquiry_create(watchdog->peers, watchdog->rank, watchdog->size, watchdog->secret, &titan_side_real_time,
                           &inquiry) == TITAN_OK) {
    left = waiter == watchdog->rank && titan_inquiry_leave(&inquiry);
    if (!left)
      judge(watchdog, waiter, timeout, option, &inquiry);
  }
  titan_inquiry_destroy(&inquiry);
  return left;
}

// --- the threads ---

// A job may be stopped as a whole (Ctrl-Z, a batch system that lets another one run first): each of its processes finds
// that far more time has passed than it asked for, and does not count it.
static void wait_for_change(titan_watchdog *watchdog, int milliseconds) {
  struct timespec until;
  double begun = titan_clock_seconds();
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_nsec += (long)milliseconds % 1000 * 1000000;
  until.tv_sec += milliseconds / 1000 + until.tv_nsec / 1000000000;
  until.tv_nsec %= 1000000000;
  pthread_cond_timedwait(&watchdog->change, &watchdog->mutex, &until);
  double more = titan_clock_seconds() - begun - milliseconds / 1e3;
  if (more > STOPPED)
    titan_recorder_was_stopped(more);
}

// A wait that has been left to a lower rank until it is so old: that rank may have ended, or found the wait over.
typedef struct handed_over {
  uint64_t number; // of the operation
  double until;
} handed_over;

static bool waits_too_long(const titan_whereabouts *where, double timeout, const handed_over *left) {
  return where->waits && where->wait_seconds >= timeout &&
         (where->operation.number != left->number || where->wait_seconds >= left->until);
}

static void *watch_own_wait(void *context) {
  titan_watchdog *watchdog = context;
  titan_whereabouts where;
  handed_over left = {0};
  pthread_mutex_lock(&watchdog->mutex);
  while (!watchdog->ends) {
    double timeout = watchdog->timeout;
    int waiter = watchdog->late;
    char option[OPTION_BYTES];
    strcpy(option, watchdog->option);
    watchdog->late = -1;
    pthread_mutex_unlock(&watchdog->mutex);
    titan_recorder_whereabouts(&where);
    bool too_long = waits_too_long(&where, timeout, &left);
    if (waiter >= 0)
      look_into(watchdog, waiter, timeout, option);
    else if (too_long && look_into(watchdog, watchdog->rank, timeout, option))
      left = (handed_over){where.operation.number, where.wait_seconds + AGAIN};
    pthread_mutex_lock(&watchdog->mutex);
    if (!watchdog->ends && watchdog->late < 0)
      wait_for_change(watchdog, TITAN_INQUIRY_LOOK);
  }
  pthread_mutex_unlock(&watchdog->mutex);
  return NULL;
}

static void answer(titan_watchdog *watchdog, int connection) {
  titan_side_request request;
  titan_side_answer reply = {.secret = watchdog->secret};
  if (!titan_side_receive(connection, &request, sizeof request, titan_clock_seconds() + 1) ||
      request.secret != watchdog->secret)
    return;
  if (request.kind == TITAN_SIDE_END) {
    pthread_mutex_lock(&watchdog->mutex);
    watchdog->is_being_ended = true;
    pthread_mutex_unlock(&watchdog->mutex);
    write_recorder(watchdog);
  }
  if (request.kind == TITAN_SIDE_STACK)
    titan_stack_take(true, reply.stack, sizeof reply.stack);
  titan_recorder_whereabouts(&reply.where);
  if (request.kind == TITAN_SIDE_LATE && request.from >= 0 && request.from < watchdog->size) {
    pthread_mutex_lock(&watchdog->mutex);
    watchdog->late = request.from;
    pthread_cond_broadcast(&watchdog->change);
    pthread_mutex_unlock(&watchdog->mutex);
  }
  titan_side_send(connection, &reply, sizeof reply);
  char unused;
  if (request.kind != TITAN_SIDE_END)
    return;
  titan_side_receive(connection, &unused, 1,
                     titan_clock_seconds() + 2 * TITAN_INQUIRY_END / 1e3); // until the one that tells ends
  end_process();
}

static void *answer_others(void *context) {
  titan_watchdog *watchdog = context;
  bool ends = false;
  while (!ends) {
    struct pollfd wanted = {.fd = watchdog->listener, .events = POLLIN};
    int connection = poll(&wanted, 1, -1) == 1 ? accept4(watchdog->listener, NULL, NULL, SOCK_CLOEXEC) : -1;
    if (connection >= 0) {
      answer(watchdog, connection);
      close(connection);
    }
    pthread_mutex_lock(&watchdog->mutex);
    ends = watchdog->ends;
    pthread_mutex_unlock(&watchdog->mutex);
  }
  return NULL;
}

// --- creation ---

static uint64_t random_number(void) {
  uint64_t number = 0;
  if (getrandom(&number, sizeof number, 0) != sizeof number)
    number = (uint64_t)(titan_clock_seconds() * 1e9) ^ (uint64_t)getpid() << 32;
  return number;
}

static titan_status start_threads(titan_watchdog *watchdog) {
  watchdog->has_server = pthread_create(&watchdog->server, NULL, answer_others, watchdog) == 0;
  watchdog->has_monitor =
      watchdog->has_server && pthread_create(&watchdog->monitor, NULL, watch_own_wait, watchdog) == 0;
  return watchdog->has_monitor ? TITAN_OK : titan_error(TITAN_ERROR_DEVICE, "cannot start the watchdog's threads");
}

static titan_status prepare(titan_watchdog *watchdog, const titan_watchdog_options *options) {
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_mutex_init(&watchdog->mutex, NULL);
  pthread_cond_init(&watchdog->change, &attributes);
  pthread_condattr_destroy(&attributes);
  watchdog->listener = watchdog->late = -1;
  watchdog->timeout = options->timeout;
  snprintf(watchdog->option, sizeof watchdog->option, "%s", options->option);
  TITAN_TRY(titan_memory_duplicate(TITAN_MEMORY_OBSERVE, options->folder, &watchdog->folder));
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_OBSERVE, (size_t)watchdog->size, sizeof *watchdog->peers,
                                         &watchdog->peers));
  watchdog->secret = random_number();
  return titan_side_listen(&watchdog->peers[watchdog->rank], &watchdog->listener);
}

titan_status titan_watchdog_create(titan_comm *world, const titan_watchdog_options *options, titan_watchdog **out) {
  titan_watchdog *watchdog = NULL;
  *out = NULL;
  if (titan_comm_size(world) == 1)
    return TITAN_OK;
  titan_status status = titan_memory_allocate_zeroed(TITAN_MEMORY_OBSERVE, 1, sizeof *watchdog, &watchdog);
  if (status == TITAN_OK) {
    watchdog->rank = titan_comm_rank(world);
    watchdog->size = titan_comm_size(world);
    status = prepare(watchdog, options);
  }
  TITAN_TRY_CLEANUP(titan_comm_agree(world, status));
  titan_side_peer self = watchdog->peers[watchdog->rank];
  TITAN_TRY_CLEANUP(titan_comm_all_gather(world, &self, watchdog->peers, sizeof self, TITAN_BYTE, NULL));
  TITAN_TRY_CLEANUP(titan_comm_broadcast(world, &watchdog->secret, 1, TITAN_INT64, 0, NULL));
  TITAN_TRY_CLEANUP(titan_comm_agree(world, start_threads(watchdog)));
  *out = watchdog;
  return TITAN_OK;
cleanup:
  titan_watchdog_destroy(&watchdog);
  return status;
}

void titan_watchdog_set_timeout(titan_watchdog *watchdog, double seconds, const char *option) {
  if (watchdog == NULL)
    return;
  pthread_mutex_lock(&watchdog->mutex);
  watchdog->timeout = seconds;
  snprintf(watchdog->option, sizeof watchdog->option, "%s", option);
  pthread_mutex_unlock(&watchdog->mutex);
}

void titan_watchdog_destroy(titan_watchdog **handle) {
  titan_watchdog *watchdog = *handle;
  if (watchdog == NULL)
    return;
  *handle = NULL;
  pthread_mutex_lock(&watchdog->mutex);
  watchdog->ends = true;
  pthread_cond_broadcast(&watchdog->change);
  pthread_mutex_unlock(&watchdog->mutex);
  if (watchdog->listener >= 0)
    shutdown(watchdog->listener, SHUT_RD); // wakes the poll
  if (watchdog->has_monitor)
    pthread_join(watchdog->monitor, NULL);
  if (watchdog->has_server)
    pthread_join(watchdog->server, NULL);
  if (watchdog->listener >= 0)
    close(watchdog->listener);
  pthread_cond_destroy(&watchdog->change);
  pthread_mutex_destroy(&watchdog->mutex);
  titan_memory_free(watchdog->peers);
  titan_memory_free(watchdog->folder);
  titan_memory_free(watchdog);
}
