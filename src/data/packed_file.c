// SPDX-License-Identifier: Apache-2.0
#include "data/packed_file.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum {
  READ_BYTES = 1 << 17,  // asked of the system at once
  INFLATE_BYTES = 65536, // zlib's state and window, which zlib allocates itself
  GZIP_WINDOW = 15 + 16, // the largest window; gzip headers and nothing else
  FIRST_BYTE = 0x1f,     // of every member
  SECOND_BYTE = 0x8b,
};

typedef enum packed_state {
  AT_START,   // nothing is known of the file
  PLAIN,      // not gzip
  IN_MEMBER,  // inflating
  PAST_MEMBER // the last member has ended, with a checksum and a length that hold
} packed_state;

struct titan_packed_file {
  char *path;
  int descriptor;
  packed_state state;
  z_stream zlib;         // next_in, avail_in: the unread bytes of the buffer
  bool initialised;      // zlib
  bool at_end;           // the system gives no more bytes
  uint64_t buffer_begin; // offset in the file of buffer[0]
  uint64_t expected_end; // see titan_packed_file_expect
  char damage[200];      // "" or what is wrong
  unsigned char buffer[READ_BYTES];
};

static titan_status open_file(titan_packed_file *file) {
  struct stat facts;
  file->descriptor = open(file->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (file->descriptor < 0 || fstat(file->descriptor, &facts) != 0)
    return titan_error(TITAN_ERROR_USAGE, "cannot open %s: %s", file->path, strerror(errno));
  if (S_ISDIR(facts.st_mode))
    return titan_error(TITAN_ERROR_USAGE, "%s is a folder; expected a file", file->path);
  return TITAN_OK;
}

titan_status titan_packed_file_open(const char *path, titan_packed_file **out) {
  titan_packed_file *file;
  *out = NULL;
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_DATA, 1, sizeof *file, &file));
  file->descriptor = -1;
  titan_status status = titan_memory_duplicate(TITAN_MEMORY_DATA, path, &file->path);
  if (status == TITAN_OK)
    status = open_file(file);
  if (status != TITAN_OK)
    titan_packed_file_close(&file);
  *out = file;
  return status;
}

// Offset in the file of the next unread byte.
static uint64_t offset_of(const titan_packed_file *file) {
  return file->buffer_begin + (file->zlib.next_in != NULL ? (uint64_t)(file->zlib.next_in - file->buffer) : 0);
}

static void set_damage(titan_packed_file *file, const char *what) {
  snprintf(file->damage, sizeof file->damage, "%s (byte %" PRIu64 " of the file)", what, offset_of(file));
}

// Reads on, behind the unread bytes, until the system gives at least one byte or has no more.
static void fill(titan_packed_file *file) {
  size_t unread = file->zlib.avail_in;
  file->buffer_begin = offset_of(file);
  memmove(file->buffer, file->zlib.next_in != NULL ? file->zlib.next_in : file->buffer, unread);
  file->zlib.next_in = file->buffer;
  size_t room = READ_BYTES - unread;
  uint64_t next = file->buffer_begin + unread;
  if (file->expected_end > next && file->expected_end - next < room)
    room = (size_t)(file->expected_end - next);
  ssize_t got;
  do
    got = read(file->descriptor, file->buffer + unread, room);
  while (got < 0 && errno == EINTR);
  if (got < 0) {
    char what[100];
    snprintf(what, sizeof what, "cannot read: %s", strerror(errno));
    set_damage(file, what);
  }
  file->at_end = got <= 0;
  file->zlib.avail_in += got > 0 ? (unsigned)got : 0;
}

// Whether the unread bytes begin a member, as far as they go; reads until there are two, if the file has them.
static bool begins_member(titan_packed_file *file) {
  while (file->zlib.avail_in < 2 && !file->at_end)
    fill(file);
  const unsigned char *at = file->zlib.next_in;
  unsigned count = file->zlib.avail_in;
  return count > 0 && at[0] == FIRST_BYTE && (count == 1 || at[1] == SECOND_BYTE);
}

static titan_status begin_member(titan_packed_file *file) {
  int code = file->initialised ? inflateReset(&file->zlib) : inflateInit2(&file->zlib, GZIP_WINDOW);
  if (code != Z_OK)
    return titan_error(TITAN_ERROR_MEMORY, "%s: no memory for unpacking gzip data", file->path);
  file->initialised = true;
  file->state = IN_MEMBER;
  return TITAN_OK;
}

// The file's first bytes decide. One byte alone is plain text, whatever it is.
static titan_status find_kind(titan_packed_file *file) {
  bool gzip = begins_member(file) && file->zlib.avail_in >= 2;
  file->state = PLAIN;
  return gzip ? begin_member(file) : TITAN_OK;
}

// Behind a member: another one, or zeros up to the end, or the end.
static titan_status pass_member(titan_packed_file *file) {
  bool zeros = false;
  for (;;) {
    if (!zeros && begins_member(file))
      return begin_member(file);
    while (file->zlib.avail_in > 0 && *file->zlib.next_in == 0) {
      file->zlib.next_in++;
      file->zlib.avail_in--;
      zeros = true;
    }
    if (file->zlib.avail_in > 0 && file->damage[0] == '\0')
      set_damage(file, zeros ? "damaged gzip data: other bytes follow the zeros after the last member"
                             : "damaged gzip data: the bytes after a member are not gzip");
    if (file->damage[0] != '\0' || file->at_end)
      return TITAN_OK;
    fill(file);
  }
}

// Gives *count bytes more, or ends the member, or finds damage.
static titan_status unpack(titan_packed_file *file, char *bytes, size_t room, size_t *count) {
  if (file->zlib.avail_in == 0)
    fill(file);
  if (file->damage[0] != '\0')
    return TITAN_OK;
  if (file->zlib.avail_in == 0) {
    set_damage(file, "the gzip data end too early: the file is truncated");
    return TITAN_OK;
  }
  file->zlib.next_out = (unsigned char *)bytes;
  file->zlib.avail_out = room < UINT32_MAX ? (unsigned)room : UINT32_MAX;
  unsigned before = file->zlib.avail_out;
  int code = inflate(&file->zlib, Z_NO_FLUSH);
  *count = before - file->zlib.avail_out;
  if (code == Z_STREAM_END) {
    file->state = PAST_MEMBER;
  } else if (code == Z_MEM_ERROR) {
    return titan_error(TITAN_ERROR_MEMORY, "%s: no memory for unpacking gzip data", file->path);
  } else if (code != Z_OK && code != Z_BUF_ERROR) {
    char what[120];
    snprintf(what, sizeof what, "damaged gzip data: %s", file->zlib.msg != NULL ? file->zlib.msg : zError(code));
    set_damage(file, what);
  }
  return TITAN_OK;
}

static void copy_plain(titan_packed_file *file, char *bytes, size_t room, size_t *count) {
  if (file->zlib.avail_in == 0)
    fill(file);
  *count = file->zlib.avail_in < room ? file->zlib.avail_in : room;
  memcpy(bytes, file->zlib.next_in, *count);
  file->zlib.next_in += *count;
  file->zlib.avail_in -= (unsigned)*count;
}

titan_status titan_packed_file_read(titan_packed_file *file, char *bytes, size_t room, size_t *count,
                                    const char **damage) {
  *count = 0;
  while (*count == 0 && file->damage[0] == '\0') {
    if (file->state == AT_START)
      TITAN_TRY(find_kind(file));
    else if (file->state == PAST_MEMBER)
      TITAN_TRY(pass_member(file));
    if (file->state == IN_MEMBER)
      TITAN_TRY(unpack(file, bytes, room, count));
    else if (file->state == PLAIN)
      copy_plain(file, bytes, room, count);
    if (file->at_end && file->zlib.avail_in == 0 && file->state != IN_MEMBER)
      break;
  }
  *damage = *count == 0 && file->damage[0] != '\0' ? file->damage : NULL;
  return TITAN_OK;
}

// Forgets what was read: the next byte is number `offset`.
static void begin_at(titan_packed_file *file, uint64_t offset) {
  file->at_end = false;
  file->buffer_begin = offset;
  file->zlib.next_in = file->buffer;
  file->zlib.avail_in = 0;
  file->damage[0] = '\0';
}

titan_status titan_packed_file_rewind(titan_packed_file *file) {
  if (lseek(file->descriptor, 0, SEEK_SET) != 0)
    return titan_error(TITAN_ERROR_DATA, "%s: cannot go back to the start of the file: %s", file->path,
                       strerror(errno));
  file->state = AT_START;
  begin_at(file, 0);
  return TITAN_OK;
}

bool titan_packed_file_is_gzip(const titan_packed_file *file) {
  return file->state == IN_MEMBER || file->state == PAST_MEMBER;
}

titan_status titan_packed_file_seek(titan_packed_file *file, uint64_t offset) {
  uint64_t next = offset_of(file);
  if (file->state == PLAIN && offset >= next && offset - next <= file->zlib.avail_in) {
    file->zlib.next_in += offset - next;
    file->zlib.avail_in -= (unsigned)(offset - next);
    return TITAN_OK;
  }
  if (lseek(file->descriptor, (off_t)offset, SEEK_SET) < 0)
    return titan_error(TITAN_ERROR_DATA, "%s: cannot go to byte %" PRIu64 ": %s", file->path, offset, strerror(errno));
  file->state = PLAIN;
  begin_at(file, offset);
  return TITAN_OK;
}

void titan_packed_file_expect(titan_packed_file *file, uint64_t end) {
  file->expected_end = end;
}

size_t titan_packed_file_bytes(void) {
  return sizeof(titan_packed_file) + INFLATE_BYTES;
}

void titan_packed_file_close(titan_packed_file **handle) {
  titan_packed_file *file = *handle;
  if (file == NULL)
    return;
  if (file->initialised)
    inflateEnd(&file->zlib);
  if (file->descriptor >= 0)
    close(file->descriptor);
  titan_memory_free(file->path);
  titan_memory_free(file);
  *handle = NULL;
}
