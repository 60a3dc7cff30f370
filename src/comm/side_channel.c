// SPDX-License-Identifier: Apache-2.0
#include "comm/side_channel.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static titan_status socket_error(const char *what, int socket) {
  int reason = errno;
  if (socket >= 0)
    close(socket);
  return titan_error(TITAN_ERROR_COMMUNICATION, "the watchdog cannot %s: %s", what, strerror(reason));
}

static void find_addresses(titan_side_peer *self) {
  struct ifaddrs *list = NULL;
  if (getifaddrs(&list) != 0)
    return;
  for (struct ifaddrs *one = list; one != NULL && self->address_count < TITAN_SIDE_ADDRESSES; one = one->ifa_next)
    if (one->ifa_addr != NULL && one->ifa_addr->sa_family == AF_INET && (one->ifa_flags & IFF_UP) &&
        !(one->ifa_flags & IFF_LOOPBACK))
      self->addresses[self->address_count++] = ((struct sockaddr_in *)(void *)one->ifa_addr)->sin_addr.s_addr;
  freeifaddrs(list);
}

titan_status titan_side_listen(titan_side_peer *self, int *listener) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY)};
  socklen_t length = sizeof address;
  memset(self, 0, sizeof *self);
  if (gethostname(self->host, sizeof self->host - 1) != 0)
    strcpy(self->host, "unknown");
  self->process = (int32_t)getpid();
  *listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (*listener < 0)
    return socket_error("make a socket", -1);
  if (bind(*listener, (struct sockaddr *)(void *)&address, sizeof address) != 0 || listen(*listener, 128) != 0 ||
      getsockname(*listener, (struct sockaddr *)(void *)&address, &length) != 0)
    return socket_error("listen on a socket", *listener);
  self->port = ntohs(address.sin_port);
  find_addresses(self);
  return TITAN_OK;
}

static int connect_to(uint32_t to, int port, double deadline) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = to};
  int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (connection < 0)
    return -1;
  int reason = connect(connection, (struct sockaddr *)(void *)&address, sizeof address) == 0 ? 0 : errno;
  if (reason == EINPROGRESS) {
    struct pollfd wanted = {.fd = connection, .events = POLLOUT};
    double left = deadline - titan_clock_seconds();
    socklen_t size = sizeof reason;
    reason = ETIMEDOUT;
    if (left > 0 && poll(&wanted, 1, (int)(1000 * left) + 1) == 1 &&
        getsockopt(connection, SOL_SOCKET, SO_ERROR, &reason, &size) != 0)
      reason = errno;
  }
  if (reason == 0)
    return connection;
  close(connection);
  return -1;
}

int titan_side_ask(const titan_side_peer *self, const titan_side_peer *peer, const titan_side_request *request,
                   double seconds) {
  double deadline = titan_clock_seconds() + seconds;
  int connection = -1;
  if (strcmp(self->host, peer->host) == 0)
    connection = connect_to(htonl(INADDR_LOOPBACK), peer->port, deadline);
  for (int i = 0; i < peer->address_count && connection < 0; i++)
    connection = connect_to(peer->addresses[i], peer->port, deadline);
  if (connection >= 0 && !titan_side_send(connection, request, sizeof *request)) {
    close(connection);
    connection = -1;
  }
  return connection;
}

bool titan_side_receive(int socket, void *bytes, size_t count, double deadline) {
  for (size_t got = 0; got < count;) {
    struct pollfd wanted = {.fd = socket, .events = POLLIN};
    double left = deadline - titan_clock_seconds();
    if (poll(&wanted, 1, left > 0 ? (int)(1000 * left) + 1 : 0) != 1)
      return false;
    ssize_t part = recv(socket, (char *)bytes + got, count - got, 0);
    if (part <= 0)
      return false;
    got += (size_t)part;
  }
  return true;
}

bool titan_side_send(int socket, const void *bytes, size_t count) {
  return send(socket, bytes, count, MSG_NOSIGNAL) == (ssize_t)count; // far below what a new connection buffers
}
