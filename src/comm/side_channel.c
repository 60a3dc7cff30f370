// SPDX-License-Identifier: Apache-2.0
#include "comm/side_channel.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
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
