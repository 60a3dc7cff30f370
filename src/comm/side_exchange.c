// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"
#include "comm/side_channel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

// Sockets that wait at once: a process may have 1,024 of them.
enum { MOST_AT_ONCE = 512 };

static double real_now(void *context) {
  (void)context;
  return titan_clock_seconds();
}

static int real_wait(void *context, struct pollfd *wanted, nfds_t count, int milliseconds) {
  (void)context;
  return poll(wanted, count, milliseconds);
}

const titan_side_time titan_side_real_time = {real_now, real_wait, NULL};

static bool is_in_progress(const titan_side_dialogue *dialogue) {
  return dialogue->state == TITAN_SIDE_CONNECTS || dialogue->state == TITAN_SIDE_LISTENS;
}

static void close_socket(titan_side_dialogue *dialogue) {
  if (dialogue->socket >= 0)
    close(dialogue->socket);
  dialogue->socket = -1;
}

static void end(titan_side_dialogue *dialogue) {
  close_socket(dialogue);
  dialogue->state = TITAN_SIDE_OVER;
}

// The addresses of a peer in the order in which they are tried: of one on this host, this host first.
static int addresses_of(const titan_side_peer *self, const titan_side_peer *peer,
                        uint32_t addresses[TITAN_SIDE_ADDRESSES + 1]) {
  int count = 0;
  if (strcmp(self->host, peer->host) == 0)
    addresses[count++] = htonl(INADDR_LOOPBACK);
  for (int i = 0; i < peer->address_count; i++)
    addresses[count++] = peer->addresses[i];
  return count;
}

// Begins to connect to the next address that does not refuse at once. An address behind which there is nothing answers
// never: each has its share of the time.
static void begin(const titan_side_question *question, int rank, double seconds, double deadline,
                  titan_side_dialogue *dialogue) {
  uint32_t addresses[TITAN_SIDE_ADDRESSES + 1];
  int count = addresses_of(&question->peers[question->self], &question->peers[rank], addresses);
  while (dialogue->addresses_tried < count) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)question->peers[rank].port),
                                  .sin_addr.s_addr = addresses[dialogue->addresses_tried]};
    dialogue->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (dialogue->socket < 0)
      return; // as many as there can be: it waits until others are closed
    dialogue->addresses_tried++;
    dialogue->until = fmin(deadline, question->time->now(question->time->context) + seconds / count);
    dialogue->state = TITAN_SIDE_CONNECTS;
    if (connect(dialogue->socket, (struct sockaddr *)(void *)&address, sizeof address) == 0 || errno == EINPROGRESS)
      return;
    close_socket(dialogue);
  }
  end(dialogue);
}

// The socket can be written to: it is connected, or is not.
static bool ask(const titan_side_question *question, titan_side_dialogue *dialogue) {
  int reason = ETIMEDOUT;
  socklen_t size = sizeof reason;
  if (getsockopt(dialogue->socket, SOL_SOCKET, SO_ERROR, &reason, &size) != 0 || reason != 0 ||
      !titan_side_send(dialogue->socket, &question->request, sizeof question->request))
    return false;
  dialogue->state = TITAN_SIDE_LISTENS;
  return true;
}

static void listen_to(const titan_side_question *question, titan_side_dialogue *dialogue) {
  ssize_t part =
      recv(dialogue->socket, (char *)&dialogue->answer + dialogue->got, sizeof dialogue->answer - dialogue->got, 0);
  if (part < 0 && (errno == EAGAIN || errno == EINTR))
    return;
  dialogue->got += part > 0 ? (size_t)part : 0;
  if (part > 0 && dialogue->got < sizeof dialogue->answer)
    return;
  dialogue->answered = part > 0 && dialogue->answer.secret == question->request.secret;
  if (dialogue->answered && question->request.kind == TITAN_SIDE_END)
    dialogue->state = TITAN_SIDE_OVER; // the rank waits until the socket is closed
  else
    end(dialogue);
}

// What waits for its socket, and until when. Returns how many, at most MOST_AT_ONCE.
static int gather(const titan_side_question *question, const titan_side_dialogue *dialogues, struct pollfd *wanted,
                  int *ranks, double *until) {
  int count = 0;
  for (int rank = 0; rank < question->size && count < MOST_AT_ONCE; rank++) {
    const titan_side_dialogue *dialogue = &dialogues[rank];
    if (!dialogue->asked || !is_in_progress(dialogue))
      continue;
    bool connects = dialogue->state == TITAN_SIDE_CONNECTS;
    wanted[count] = (struct pollfd){.fd = dialogue->socket, .events = connects ? POLLOUT : POLLIN};
    if (connects)
      *until = fmin(*until, dialogue->until);
    ranks[count++] = rank;
  }
  return count;
}

// Begins as many as there may be at once.
static void begin_more(const titan_side_question *question, double seconds, double deadline,
                       titan_side_dialogue *dialogues) {
  int in_progress = 0;
  for (int rank = 0; rank < question->size; rank++)
    in_progress += dialogues[rank].asked && is_in_progress(&dialogues[rank]);
  for (int rank = 0; rank < question->size && in_progress < MOST_AT_ONCE; rank++)
    if (dialogues[rank].asked && dialogues[rank].state == TITAN_SIDE_NOT_BEGUN) {
      begin(question, rank, seconds, deadline, &dialogues[rank]);
      if (dialogues[rank].state == TITAN_SIDE_NOT_BEGUN)
        return;
      in_progress += is_in_progress(&dialogues[rank]);
    }
}

static void go_on(const titan_side_question *question, int rank, bool is_ready, double seconds, double deadline,
                  titan_side_dialogue *dialogue) {
  bool connects = dialogue->state == TITAN_SIDE_CONNECTS;
  if (is_ready && !connects) {
    listen_to(question, dialogue);
    return;
  }
  if (!connects || (!is_ready && question->time->now(question->time->context) < dialogue->until) ||
      (is_ready && ask(question, dialogue)))
    return;
  close_socket(dialogue);
  dialogue->state = TITAN_SIDE_NOT_BEGUN;
  begin(question, rank, seconds, deadline, dialogue);
}

void titan_side_exchange(const titan_side_question *question, double seconds, titan_side_dialogue *dialogues) {
  const titan_side_time *time = question->time;
  struct pollfd wanted[MOST_AT_ONCE];
  int ranks[MOST_AT_ONCE];
  double deadline = time->now(time->context) + seconds;
  for (int rank = 0; rank < question->size; rank++) {
    titan_side_dialogue *dialogue = &dialogues[rank];
    *dialogue = (titan_side_dialogue){.asked = dialogue->asked && rank != question->self, .socket = -1};
  }
  for (;;) {
    double now = time->now(time->context), until = deadline;
    begin_more(question, seconds, deadline, dialogues);
    int count = gather(question, dialogues, wanted, ranks, &until);
    if (count == 0 || now >= deadline)
      break;
    int ready = time->wait(time->context, wanted, (nfds_t)count, until > now ? (int)(1000 * (until - now)) + 1 : 0);
    for (int i = 0; i < count; i++)
      go_on(question, ranks[i], ready > 0 && wanted[i].revents != 0, seconds, deadline, &dialogues[ranks[i]]);
  }
  for (int rank = 0; rank < question->size; rank++)
    if (!dialogues[rank].answered)
      end(&dialogues[rank]);
}

void titan_side_hang_up(titan_side_dialogue *dialogues, int size) {
  for (int rank = 0; rank < size; rank++)
    close_socket(&dialogues[rank]);
}
