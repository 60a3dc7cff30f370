// SPDX-License-Identifier: Apache-2.0
// Property: a rank that waits too long has its message within five seconds by the watchdog's clock, on 64 ranks,
// however many of them are stopped, gone or cut off, and one rank speaks: the lowest that answers. Oracle: peers in
// this process whose behaviour is decided here, and a clock that goes on only while nothing but ranks that never answer
// is waited for.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include "base/memory.h"
#include "comm/inquiry.h"
#include "comm/recorder.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RANKS = 64, MOST_CONNECTIONS = 4 * RANKS, FILLERS = 4 };
static const uint64_t SECRET = 4711;

// STOPPED: connections come about, and nothing answers. GONE: nothing listens. CUT: packets are lost. NO_STACK: all but
// its stack. LATE: waits for nothing. STRANGER: another program, which knows no secret.
typedef enum behaviour { WELL, STOPPED, GONE, CUT, LATE, NO_STACK, STRANGER } behaviour;

static behaviour behaviours[RANKS];
static titan_side_peer peers[RANKS];
static int listeners[RANKS], fillers[RANKS][FILLERS];
static struct { int socket, rank; } connections[MOST_CONNECTIONS];
static int connection_count;
static int asked[RANKS][TITAN_SIDE_END + 1]; // how often each was asked what
static titan_inquiry inquiry;
static double clock_now;

// --- the peers ---

static bool answers(behaviour how, titan_side_kind kind) {
  return how == WELL || how == LATE || how == STRANGER || (how == NO_STACK && kind != TITAN_SIDE_STACK);
}

static void answer(int connection, int rank) {
  titan_side_request request;
  titan_side_answer reply = {.secret = behaviours[rank] == STRANGER ? 1 : SECRET};
  if (recv(connection, &request, sizeof request, MSG_DONTWAIT) != sizeof request)
    return;
  assert_true(request.secret == SECRET);
  asked[rank][request.kind]++;
  reply.where.waits = behaviours[rank] == WELL;
  reply.where.wait_seconds = 10;
  if (request.kind == TITAN_SIDE_STACK)
    snprintf(reply.stack, sizeof reply.stack, "stack of %d", rank);
  if (answers(behaviours[rank], (titan_side_kind)request.kind))
    assert_int_equal(send(connection, &reply, sizeof reply, MSG_NOSIGNAL), sizeof reply);
}

static void serve(void) {
  for (int rank = 0; rank < RANKS; rank++) {
    int connection = -1;
    while (behaviours[rank] != STOPPED && behaviours[rank] != CUT && listeners[rank] >= 0 &&
           (connection = accept4(listeners[rank], NULL, NULL, SOCK_NONBLOCK)) >= 0) {
      assert_true(connection_count < MOST_CONNECTIONS);
      connections[connection_count].socket = connection;
      connections[connection_count++].rank = rank;
    }
  }
  for (int i = 0; i < connection_count; i++)
    answer(connections[i].socket, connections[i].rank);
}

// Whether somebody is waited for who will answer, be it with a refusal.
static bool is_hopeful(void) {
  for (int rank = 0; rank < RANKS; rank++) {
    const titan_side_dialogue *dialogue = &inquiry.dialogues[rank];
    if (dialogue->asked && ((dialogue->state == TITAN_SIDE_CONNECTS && behaviours[rank] != CUT) ||
                            (dialogue->state == TITAN_SIDE_LISTENS &&
                             answers(behaviours[rank], (titan_side_kind)inquiry.question.request.kind))))
      return true;
  }
  return false;
}

static double now(void *context) {
  (void)context;
  return clock_now;
}

static int wait(void *context, struct pollfd *wanted, nfds_t count, int milliseconds) {
  (void)context;
  assert_true(milliseconds >= 0);
  for (bool hopeful = true; hopeful;) {
    serve();
    hopeful = is_hopeful();
    int ready = poll(wanted, count, hopeful ? 1 : 0);
    if (ready > 0)
      return ready;
  }
  clock_now += milliseconds / 1e3;
  return 0;
}

static const titan_side_time test_time = {now, wait, NULL};

// A queue of connections that is full: the system drops whatever comes.
static void fill(int rank) {
  struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_port = htons((uint16_t)peers[rank].port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  assert_int_equal(listen(listeners[rank], 0), 0);
  for (int i = 0; i < FILLERS; i++) {
    fillers[rank][i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    (void)connect(fillers[rank][i], (struct sockaddr *)(void *)&address, sizeof address);
  }
}

// Ranks [first, last] behave so, all others well.
static void begin(int self, int first, int last, behaviour how) {
  memset(asked, 0, sizeof asked);
  for (int rank = 0; rank < RANKS; rank++) {
    behaviours[rank] = rank >= first && rank <= last ? how : WELL;
    assert_int_equal(titan_side_listen(&peers[rank], &listeners[rank]), TITAN_OK);
    peers[rank].address_count = 0; // this host, once
    if (behaviours[rank] == CUT)
      fill(rank);
  }
  for (int rank = 0; rank < RANKS; rank++) // now that no other one can get its port
    if (behaviours[rank] == GONE) {
      close(listeners[rank]);
      listeners[rank] = -1;
    }
  assert_int_equal(titan_inquiry_create(peers, self, RANKS, SECRET, &test_time, &inquiry), TITAN_OK);
}

static void finish(void) {
  titan_inquiry_destroy(&inquiry);
  for (int i = 0; i < connection_count; i++)
    close(connections[i].socket);
  connection_count = 0;
  for (int rank = 0; rank < RANKS; rank++) {
    if (listeners[rank] >= 0)
      close(listeners[rank]);
    for (int i = 0; i < FILLERS && behaviours[rank] == CUT; i++)
      close(fillers[rank][i]);
  }
}

// A rank waits too long, with ranks [first, last] so. It must leave it to the rank `teller`, or tell by itself; all in
// time, and having heard of each rank what is true.
static void look_into(int self, int first, int last, behaviour how, int teller) {
  begin(self, first, last, how);
  double start = clock_now;
  bool left = titan_inquiry_leave(&inquiry);
  double leaving = clock_now - start;
  assert_int_equal(left, teller != self);
  for (int rank = 0; rank < RANKS; rank++)
    if (behaviours[rank] != NO_STACK && answers(behaviours[rank], TITAN_SIDE_LATE) && behaviours[rank] != STRANGER)
      assert_int_equal(asked[rank][TITAN_SIDE_LATE], rank == teller && teller != self);
  start = clock_now;
  assert_true(titan_inquiry_ask(&inquiry, self, 0)); // as the teller does
  double telling = clock_now - start;
  for (int rank = 0; rank < RANKS; rank++)
    assert_int_equal(inquiry.ranks[rank].answered,
                     rank == self || (how != STRANGER && answers(behaviours[rank], TITAN_SIDE_WHERE)) ||
                         behaviours[rank] == WELL);
  printf("rank %d, ranks %d to %d so (%d): %.3f s until it is left, %.3f s until it is told\n", self, first, last, how,
         leaving, telling);
  assert_true(TITAN_INQUIRY_LOOK / 1e3 + leaving + telling <= 5);
  finish();
}

static void ranks_that_are_silent_delay_no_message(void **state) {
  (void)state;
  const behaviour silent[] = {STOPPED, GONE, CUT, STRANGER};
  for (size_t i = 0; i < sizeof silent / sizeof *silent; i++) {
    look_into(63, 0, -1, silent[i], 0);  // all are well
    look_into(0, 37, 37, silent[i], 0);  // one
    look_into(63, 0, 0, silent[i], 1);   // the one that would tell
    look_into(63, 0, 30, silent[i], 31); // half of them
    look_into(63, 0, 62, silent[i], 63); // all others
    look_into(0, 1, 63, silent[i], 0);
    look_into(40, 20, 63, silent[i], 0);
  }
}

static void ranks_are_told_apart_from_silent_ones_by_their_stacks(void **state) {
  (void)state;
  begin(0, 10, 12, LATE);
  assert_true(titan_inquiry_ask(&inquiry, 0, 0));
  for (int rank = 0; rank < RANKS; rank++) {
    char stack[32] = "";
    if (behaviours[rank] == LATE)
      snprintf(stack, sizeof stack, "stack of %d", rank);
    assert_string_equal(inquiry.ranks[rank].stack, stack);
  }
  finish();
  // At most eight of them, and those that do not come cost no more time.
  begin(0, 1, 63, NO_STACK);
  double start = clock_now;
  assert_true(titan_inquiry_ask(&inquiry, 0, 0));
  assert_true(clock_now - start <= TITAN_INQUIRY_TELL / 1e3 + 0.002);
  for (int rank = 1; rank < RANKS; rank++)
    assert_int_equal(asked[rank][TITAN_SIDE_STACK], rank <= 8);
  finish();
  // Where a rank is silent, it is the cause, and no stack is asked for.
  begin(0, 10, 12, STOPPED);
  behaviours[20] = LATE;
  assert_true(titan_inquiry_ask(&inquiry, 0, 0));
  assert_int_equal(asked[20][TITAN_SIDE_STACK], 0);
  finish();
}

static void a_wait_that_is_over_is_nobodys_fault(void **state) {
  (void)state;
  begin(0, 5, 5, LATE);
  assert_false(titan_inquiry_ask(&inquiry, 5, 3));  // it does not wait
  assert_false(titan_inquiry_ask(&inquiry, 6, 11)); // for 10 s
  assert_true(titan_inquiry_ask(&inquiry, 6, 9));
  finish();
}

// Ranks that have written their recorder stay until the one that tells is done.
static void ranks_end_together(void **state) {
  (void)state;
  begin(0, 3, 4, STOPPED);
  double start = clock_now;
  titan_inquiry_end(&inquiry);
  assert_true(clock_now - start <= TITAN_INQUIRY_END / 1e3 + 0.002);
  assert_int_equal(connection_count, RANKS - 3);
  char byte;
  for (int i = 0; i < connection_count; i++)
    assert_int_equal(recv(connections[i].socket, &byte, 1, MSG_DONTWAIT), -1); // open
  titan_side_hang_up(inquiry.dialogues, RANKS);
  for (int i = 0; i < connection_count; i++)
    assert_int_equal(recv(connections[i].socket, &byte, 1, 0), 0);
  finish();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(ranks_that_are_silent_delay_no_message),
      cmocka_unit_test(ranks_are_told_apart_from_silent_ones_by_their_stacks),
      cmocka_unit_test(a_wait_that_is_over_is_nobodys_fault),
      cmocka_unit_test(ranks_end_together),
  };
  titan_recorder_wait_begins("world", "test", 0, RANKS); // this rank's
  return cmocka_run_group_tests(tests, NULL, NULL);
}
