// SPDX-License-Identifier: Apache-2.0
// Inside the watchdog: short questions between ranks over TCP, beside MPI.
#ifndef TITAN_COMM_SIDE_CHANNEL_H
#define TITAN_COMM_SIDE_CHANNEL_H

#include "comm/comm.h"
#include "comm/recorder.h"
#include "comm/stack.h"

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
// Connects and sends the request; the socket, or -1 where that takes longer than `seconds` or fails.
int titan_side_ask(const titan_side_peer *self, const titan_side_peer *peer, const titan_side_request *request,
                   double seconds);
// Receives `count` bytes until the clock shows `deadline`. Whether they came.
bool titan_side_receive(int socket, void *bytes, size_t count, double deadline);
bool titan_side_send(int socket, const void *bytes, size_t count);

#endif
