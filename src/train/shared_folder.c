// SPDX-License-Identifier: Apache-2.0
#include "train/shared_folder.h"

#include "base/text.h"
#include "storage/path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum { ATTEMPTS = 50, PAUSE_MICROSECONDS = 100000 }; // a network file system may need seconds to show a new file

// What rank 0 writes: nobody else's file is called so, or holds this.
typedef struct token {
  uint64_t number;
  char host[72]; // of rank 0
} token;

static titan_status path_of(const char *folder, const token *t, titan_text *path) {
  char name[64];
  snprintf(name, sizeof name, ".seen-by-all-ranks.%016llx", (unsigned long long)t->number);
  return titan_path_join(path, folder, name);
}

static titan_status make_token(const char *path, const token *t) {
  int descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  bool good = descriptor >= 0 && write(descriptor, t, sizeof *t) == (ssize_t)sizeof *t && fsync(descriptor) == 0;
  int reason = errno;
  if (descriptor >= 0 && close(descriptor) != 0 && good) {
    good = false;
    reason = errno;
  }
  return good ? TITAN_OK : titan_error(TITAN_ERROR_USAGE, "cannot write %s: %s", path, strerror(reason));
}

static bool is_seen(const char *path, const token *t) {
  token found = {0};
  int descriptor = open(path, O_RDONLY | O_CLOEXEC);
  bool good =
      descriptor >= 0 && read(descriptor, &found, sizeof found) == (ssize_t)sizeof found && found.number == t->number;
  if (descriptor >= 0)
    close(descriptor);
  return good;
}

static titan_status look(const char *folder, const char *path, const token *t) {
  char host[72] = "";
  for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
    if (is_seen(path, t))
      return TITAN_OK;
    usleep(PAUSE_MICROSECONDS);
  }
  gethostname(host, sizeof host - 1);
  return titan_error(TITAN_ERROR_USAGE,
                     "host %s does not see the folder %s that host %s (rank 0) sees; expected a folder that all "
                     "nodes share",
                     host, folder, t->host);
}

static titan_status check(titan_comm *world, const char *folder, const char *path, const token *t) {
  titan_status status = titan_comm_rank(world) == 0 ? make_token(path, t) : TITAN_OK;
  TITAN_TRY(titan_comm_agree(world, status));
  status = titan_comm_agree(world, look(folder, path, t));
  if (titan_comm_rank(world) == 0)
    unlink(path);
  return status;
}

titan_status titan_shared_folder_check(titan_comm *world, const char *folder) {
  token t = {0};
  titan_text path = {0};
  if (titan_comm_size(world) == 1)
    return TITAN_OK;
  if (titan_comm_rank(world) == 0) {
    if (getrandom(&t.number, sizeof t.number, 0) != (ssize_t)sizeof t.number)
      t.number = (uint64_t)getpid();
    gethostname(t.host, sizeof t.host - 1);
  }
  TITAN_TRY(titan_comm_broadcast(world, &t, sizeof t, TITAN_BYTE, 0, NULL));
  titan_status status = titan_comm_agree(world, path_of(folder, &t, &path));
  if (status == TITAN_OK)
    status = check(world, folder, path.data, &t);
  titan_text_destroy(&path);
  return status;
}
