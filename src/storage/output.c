// SPDX-License-Identifier: Apache-2.0
#include "storage/output.h"

#include "base/memory.h"
#include "storage/folder.h"
#include "storage/rename.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAMES_TRIED = 1000 };

struct titan_output {
  char *path;    // as the user gave it
  char *target;  // the file that gets the contents: behind symbolic links
  char *partial; // NULL: written directly
  titan_output_mode mode;
  int descriptor; // -1: closed
};

static titan_status output_error(const titan_output *output, int reason) {
  return titan_error(TITAN_ERROR_OUTPUT, "cannot write %s: %s", output->path, strerror(reason));
}

// Names of open files of this process: what they lead to belongs to who opened it.
static bool is_open_file(const char *path) {
  return strcmp(path, "/dev/stdout") == 0 || strcmp(path, "/dev/stderr") == 0 || strncmp(path, "/dev/fd/", 8) == 0 ||
         strncmp(path, "/proc/", 6) == 0;
}

static titan_status open_directly(titan_output *output) {
  output->descriptor = open(output->path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY);
  return output->descriptor >= 0 ? TITAN_OK : output_error(output, errno);
}

// The target, and whether a regular file is there with its permissions.
static titan_status find_target(titan_output *output, bool *there, struct stat *facts) {
  struct stat link;
  char *resolved = NULL;
  titan_status status = TITAN_OK;
  *there = stat(output->path, facts) == 0;
  if (!*there && errno != ENOENT)
    return output_error(output, errno);
  if (!*there && lstat(output->path, &link) == 0)
    return titan_error(TITAN_ERROR_OUTPUT, "cannot write %s: it is a symbolic link to a file that does not exist",
                       output->path);
  if (*there && S_ISDIR(facts->st_mode))
    return output_error(output, EISDIR);
  if (*there && output->mode == TITAN_OUTPUT_NEW)
    return output_error(output, EEXIST);
  if (*there && (resolved = realpath(output->path, NULL)) == NULL)
    return output_error(output, errno);
  status = titan_memory_duplicate(TITAN_MEMORY_GENERAL, resolved != NULL ? resolved : output->path, &output->target);
  free(resolved);
  return status;
}

static titan_status open_partial(titan_output *output, bool there, const struct stat *facts) {
  size_t size = strlen(output->target) + 64;
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, size, &output->partial));
  for (int i = 0; i < NAMES_TRIED && output->descriptor < 0; i++) { // those in the way are of others
    snprintf(output->partial, size, "%s.%ld.%d.partial", output->target, (long)getpid(), i);
    output->descriptor = open(output->partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (output->descriptor < 0 && errno != EEXIST)
      break;
  }
  int reason = errno;
  if (output->descriptor >= 0 && there && fchmod(output->descriptor, facts->st_mode & 07777) != 0) {
    reason = errno;
    close(output->descriptor);
    unlink(output->partial);
    output->descriptor = -1;
  }
  if (output->descriptor >= 0)
    return TITAN_OK;
  titan_memory_free(output->partial);
  output->partial = NULL;
  return output_error(output, reason);
}

static titan_status open_file(titan_output *output) {
  struct stat facts;
  bool there;
  if (is_open_file(output->path))
    return open_directly(output);
  TITAN_TRY(find_target(output, &there, &facts));
  return there && !S_ISREG(facts.st_mode) ? open_directly(output) : open_partial(output, there, &facts);
}

titan_status titan_output_create(const char *path, titan_output_mode mode, titan_output **out) {
  titan_output *output;
  *out = NULL;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, 1, sizeof *output, &output));
  output->mode = mode;
  output->descriptor = -1;
  titan_status status = titan_memory_duplicate(TITAN_MEMORY_GENERAL, path, &output->path);
  if (status == TITAN_OK)
    status = open_file(output);
  if (status != TITAN_OK)
    titan_output_discard(&output);
  *out = output;
  return status;
}

int titan_output_descriptor(const titan_output *output) {
  return output->descriptor;
}

const char *titan_output_path(const titan_output *output) {
  return output->path;
}

titan_status titan_output_write(titan_output *output, const void *bytes, size_t count) {
  const char *at = bytes;
  while (count > 0) {
    ssize_t written = write(output->descriptor, at, count);
    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0)
      return output_error(output, written < 0 ? errno : EIO);
    at += written;
    count -= (size_t)written;
  }
  return TITAN_OK;
}

// The folder's entry reaches the disk too, as far as its file system offers that.
static int sync_folder(const char *path) {
  char folder[TITAN_FOLDER_BYTES];
  titan_folder_of(path, folder);
  int descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0)
    return 0; // a folder that may be written and not read
  int reason = fsync(descriptor) != 0 && errno != EINVAL && errno != ENOTSUP ? errno : 0;
  close(descriptor);
  return reason;
}

static titan_status give_name(titan_output *output) {
  int failed = output->mode == TITAN_OUTPUT_NEW ? titan_rename_new(output->partial, output->target)
                                                : rename(output->partial, output->target);
  if (failed != 0)
    return output_error(output, errno);
  titan_memory_free(output->partial);
  output->partial = NULL;
  int reason = sync_folder(output->target);
  return reason == 0 ? TITAN_OK : output_error(output, reason);
}

titan_status titan_output_finish(titan_output **handle) {
  titan_output *output = *handle;
  // Devices and pipes know no fsync. Network file systems tell of a full disk at fsync or close.
  int reason = output->partial != NULL && fsync(output->descriptor) != 0 && errno != EINVAL ? errno : 0;
  if (close(output->descriptor) != 0 && reason == 0)
    reason = errno;
  output->descriptor = -1;
  titan_status status = reason == 0 ? TITAN_OK : output_error(output, reason);
  if (status == TITAN_OK && output->partial != NULL)
    status = give_name(output);
  titan_output_discard(handle);
  return status;
}

void titan_output_discard(titan_output **handle) {
  titan_output *output = *handle;
  if (output == NULL)
    return;
  if (output->descriptor >= 0)
    close(output->descriptor);
  if (output->partial != NULL)
    unlink(output->partial);
  titan_memory_free(output->partial);
  titan_memory_free(output->target);
  titan_memory_free(output->path);
  titan_memory_free(output);
  *handle = NULL;
}

titan_status titan_output_write_text(const char *path, titan_output_mode mode, const titan_text *text) {
  titan_output *output;
  TITAN_TRY(titan_output_create(path, mode, &output));
  titan_status status = titan_output_write(output, text->data, text->length);
  if (status == TITAN_OK)
    return titan_output_finish(&output);
  titan_output_discard(&output);
  return status;
}

titan_status titan_output_check_input(const char *output, const char *input) {
  struct stat a, b;
  if (is_open_file(output) || stat(output, &a) != 0 || stat(input, &b) != 0 || !S_ISREG(a.st_mode))
    return TITAN_OK;
  if (a.st_dev != b.st_dev || a.st_ino != b.st_ino)
    return TITAN_OK;
  return titan_error(TITAN_ERROR_USAGE, "the output %s is the input %s: the input would be lost; name another output",
                     output, input);
}
