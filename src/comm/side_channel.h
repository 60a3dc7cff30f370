// SPDX-License-Identifier: Apache-2.0
// Inside the watchdog: short questions between ranks over TCP, beside MPI.
#ifndef TITAN_COMM_SIDE_CHANNEL_H
#define TITAN_COMM_SIDE_CHANNEL_H

#include "comm/comm.h"
#include "comm/recorder.h"
#include "comm/stack.h"

#include <poll.h>

enum { TITAN_SIDE_HOST_BYTES = 64, TITAN_SIDE_ADDRESSES = 4 };

// How a rank is reached.
typedef struct titan_side_peer {
  char host[TITAN_SIDE_HOST_BYTES];
  int32_t process, port, address_count;
  uint32_t addresses[TITAN_SIDE_ADDRESSES]; // IPv4, in network order
} titan_side_peer;

// WHERE: the whereabouts. STACK: and the stack. LATE: this rank waits too long, look into it. END: write the flight
// recorder, and end.
typedef enum titan_side_kind { TITAN_SIDE_WHERE, TITAN_SIDE_STACK, TITAN_SIDE_LATE, TITAN_SIDE_END } titan_side_kind;

typedef struct titan_side_request {
  uint64_t secret; // of this run: other programs may reach the port
  int32_t kind, from;
} titan_side_request;

typedef struct titan_side_answer {
  uint64_t secret;
  titan_whereabouts where;
  char stack[TITAN_STACK_BYTES]; // of STACK; else ""
} titan_side_answer;

// Opens a listening socket and fills what others need to reach it. TITAN_ERROR_COMMUNICATION.
titan_status titan_side_listen(titan_side_peer *self, int *listener);
// Receives `count` bytes until the clock shows `deadline`. Whether they came.
bool titan_side_receive(int socket, void *bytes, size_t count, double deadline);
bool titan_side_send(int socket, const void *bytes, size_t count);

// --- one question to many ranks ---

// The clock, and the wait for sockets until then: tests have others. As titan_clock_seconds and poll.
typedef struct titan_side_time {
  double (*now)(void *context);
  int (*wait)(void *context, struct pollfd *wanted, nfds_t count, int milliseconds);
  void *context;
} titan_side_time;
extern const titan_side_time titan_side_real_time;

// With one rank: begun by setting `asked`.
typedef struct titan_side_dialogue {
  bool asked, answered;
  titan_side_answer answer; // where it did
  // Inside titan_side_exchange.
  int socket; // open until titan_side_hang_up, of END; else -1
  enum { TITAN_SIDE_NOT_BEGUN, TITAN_SIDE_CONNECTS, TITAN_SIDE_LISTENS, TITAN_SIDE_OVER } state;
  int addresses_tried;
  double until; // for the present address
  size_t got;   // bytes of the answer
} titan_side_dialogue;

typedef struct titan_side_question {
  const titan_side_peer *peers; // by rank
  int self, size;               // ranks
  titan_side_request request;
  const titan_side_time *time;
} titan_side_question;

// Not collective. Asks all ranks that are to be asked at once, and waits for their answers, at most for `seconds` in
// all, however many do not answer. dialogues: by rank.
void titan_side_exchange(const titan_side_question *question, double seconds, titan_side_dialogue *dialogues);
// Closes what is left open.
void titan_side_hang_up(titan_side_dialogue *dialogues, int size);

#endif
