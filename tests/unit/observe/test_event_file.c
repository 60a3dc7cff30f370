// SPDX-License-Identifier: Apache-2.0
// Property: an event file has the records that were added, whole, whatever happens to the disk. Oracle: a reader of the
// framing written here, with a table-driven CRC32C; the protobuf wire format, byte by byte; known values of CRC32C
// (RFC 3720, appendix B.4).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include "base/memory.h"
#include "observe/event_file.h"
#include "observe/tfrecord.h"

#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static char folder[64];

// --- the reader ---

typedef struct record {
  unsigned char bytes[8192];
  size_t length;
} record;

static uint32_t table_crc(const unsigned char *bytes, size_t count) {
  static uint32_t table[256];
  if (table[1] == 0)
    for (uint32_t i = 0; i < 256; i++) {
      uint32_t sum = i;
      for (int k = 0; k < 8; k++)
        sum = sum & 1 ? sum >> 1 ^ 0x82f63b78u : sum >> 1;
      table[i] = sum;
    }
  uint32_t sum = 0xffffffffu;
  for (size_t i = 0; i < count; i++)
    sum = table[(sum ^ bytes[i]) & 255] ^ sum >> 8;
  return ~sum;
}

static uint64_t number(const unsigned char *bytes, int count) {
  uint64_t value = 0;
  for (int i = count - 1; i >= 0; i--)
    value = value << 8 | bytes[i];
  return value;
}

static void check_sum(const unsigned char *bytes, size_t count, const unsigned char *stored) {
  uint32_t sum = table_crc(bytes, count);
  assert_int_equal((uint32_t)number(stored, 4), (uint32_t)((sum >> 15 | sum << 17) + 0xa282ead8u));
}

// The names of the folder's event files, in order; returns how many.
static int find_files(char names[4][400]) {
  struct dirent **entries;
  int count = scandir(folder, &entries, NULL, alphasort), files = 0;
  for (int i = 0; i < count; i++) {
    if (strncmp(entries[i]->d_name, "events.out.tfevents.", 20) == 0 && files < 4)
      snprintf(names[files++], 400, "%s/%s", folder, entries[i]->d_name);
    free(entries[i]);
  }
  free(entries);
  return files;
}

// Reads all records of a file; every checksum and length must hold.
static int read_file(const char *path, record *records, int most) {
  FILE *file = fopen(path, "rb");
  unsigned char head[12], tail[4];
  int count = 0;
  assert_non_null(file);
  while (fread(head, 1, 12, file) == 12) {
    assert_true(count < most);
    check_sum(head, 8, head + 8);
    record *one = &records[count++];
    one->length = (size_t)number(head, 8);
    assert_true(one->length <= sizeof one->bytes);
    assert_int_equal(fread(one->bytes, 1, one->length, file), one->length);
    assert_int_equal(fread(tail, 1, 4, file), 4);
    check_sum(one->bytes, one->length, tail);
  }
  assert_int_equal(ftell(file) > 0 && feof(file), 1);
  fseek(file, 0, SEEK_END);
  long total = 0;
  for (int i = 0; i < count; i++)
    total += 16 + (long)records[i].length;
  assert_int_equal(ftell(file), total);
  fclose(file);
  return count;
}

// Whether the record holds these bytes one after another.
static bool holds(const record *one, const void *bytes, size_t count) {
  for (size_t i = 0; i + count <= one->length; i++)
    if (memcmp(one->bytes + i, bytes, count) == 0)
      return true;
  return false;
}

// --- tests ---

static void the_checksum_is_crc32c(void **state) {
  (void)state;
  unsigned char bytes[32];
  memset(bytes, 0, sizeof bytes);
  assert_int_equal(titan_crc32c(bytes, 32), 0x8a9136aau);
  memset(bytes, 0xff, sizeof bytes);
  assert_int_equal(titan_crc32c(bytes, 32), 0x62a8ab43u);
  for (int i = 0; i < 32; i++)
    bytes[i] = (unsigned char)i;
  assert_int_equal(titan_crc32c(bytes, 32), 0x46dd794eu);
  assert_int_equal(titan_crc32c("123456789", 9), 0xe3069283u);
}

// Event{2: step 300, 5: Summary{1: Value{1: tag, 2: float}}}: the fields behind the wall time, which is 9 bytes.
static void scalars_are_protobuf_of_an_event(void **state) {
  (void)state;
  static record records[4];
  char names[4][400];
  titan_event_file *file;
  const titan_event_scalar scalars[] = {{"a", 1.5}, {"bc", -INFINITY}};
  static const unsigned char expected[] = {0x10, 0xac, 0x02, 0x2a, 0x15, 0x0a, 0x08, 0x0a, 0x01, 'a', 0x15, 0,    0,
                                           0xc0, 0x3f, 0x0a, 0x09, 0x0a, 0x02, 'b',  'c',  0x15, 0,   0,    0x80, 0xff};
  assert_int_equal(titan_event_file_create(folder, &file), TITAN_OK);
  assert_int_equal(titan_event_file_scalars(file, 300, scalars, 2), TITAN_OK);
  assert_int_equal(titan_event_file_text(file, 0, "config", "x = \"\303\251\""), TITAN_OK);
  assert_int_equal(find_files(names), 1);
  assert_int_equal(read_file(names[0], records, 4), 3); // while it is open
  assert_true(holds(&records[0], "\032\015brain.Event:2", 15));
  assert_int_equal(records[1].bytes[0], 0x09);
  assert_int_equal(records[1].length, 9 + sizeof expected);
  assert_memory_equal(records[1].bytes + 9, expected, sizeof expected);
  assert_true(holds(&records[2], "\012\006config", 8) && holds(&records[2], "\012\004text", 6));
  assert_true(holds(&records[2], "\102\010x = \"\303\251\"", 10));
  titan_event_file_destroy(&file);
  assert_null(file);
}

// A full disk: a limit on the size of files is met in the middle of a record.
static void a_write_that_fails_leaves_whole_records(void **state) {
  (void)state;
  static record records[8];
  char names[4][400];
  struct rlimit limit, small;
  titan_event_file *file;
  const titan_event_scalar scalar = {"a tag of some length", 1};
  signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
  assert_int_equal(titan_event_file_create(folder, &file), TITAN_OK);
  assert_int_equal(titan_event_file_scalars(file, 1, &scalar, 1), TITAN_OK);
  small = limit;
  small.rlim_cur = 130;
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
  titan_status failed = titan_event_file_scalars(file, 2, &scalar, 1);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
  assert_int_equal(failed, TITAN_ERROR_OUTPUT);
  assert_non_null(strstr(titan_error_message(), "cannot write to the event file"));
  assert_int_equal(titan_event_file_scalars(file, 3, &scalar, 1), TITAN_OK);
  assert_int_equal(find_files(names), 1);
  assert_int_equal(read_file(names[0], records, 8), 3);
  assert_int_equal(records[1].bytes[10], 1);
  assert_int_equal(records[2].bytes[10], 3);
  titan_event_file_destroy(&file);
}

static void a_folder_that_is_gone_is_made_again(void **state) {
  (void)state;
  static record records[4];
  char names[4][400], command[200];
  titan_event_file *file;
  const titan_event_scalar scalar = {"a", 1};
  assert_int_equal(titan_event_file_create(folder, &file), TITAN_OK);
  snprintf(command, sizeof command, "rm -r '%s'", folder);
  assert_int_equal(system(command), 0);
  assert_int_equal(titan_event_file_scalars(file, 7, &scalar, 1), TITAN_OK);
  assert_int_equal(find_files(names), 1);
  assert_int_equal(read_file(names[0], records, 4), 2);
  titan_event_file_destroy(&file);
  // A file in the folder's place: an error, and events are taken once it is away.
  assert_int_equal(system(command), 0);
  FILE *other = fopen(folder, "w");
  fclose(other);
  assert_int_equal(titan_event_file_create(folder, &file), TITAN_ERROR_OUTPUT);
  assert_non_null(file);
  assert_int_equal(titan_event_file_scalars(file, 7, &scalar, 1), TITAN_ERROR_OUTPUT);
  assert_int_equal(remove(folder), 0);
  assert_int_equal(titan_event_file_scalars(file, 8, &scalar, 1), TITAN_OK);
  titan_event_file_destroy(&file);
}

static int clear_folder(void **state) {
  (void)state;
  char command[200];
  snprintf(command, sizeof command, "rm -rf '%s' && mkdir '%s'", folder, folder);
  return system(command);
}

static int make_folder(void **state) {
  (void)state;
  snprintf(folder, sizeof folder, "/tmp/titan-events-XXXXXX");
  return mkdtemp(folder) == NULL ? -1 : 0;
}

static int nothing_is_left(void **state) {
  (void)state;
  char command[200];
  snprintf(command, sizeof command, "rm -r '%s'", folder);
  return system(command) == 0 && titan_memory_report_leaks() == 0 ? 0 : -1;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_checksum_is_crc32c),
      cmocka_unit_test_setup(scalars_are_protobuf_of_an_event, clear_folder),
      cmocka_unit_test_setup(a_write_that_fails_leaves_whole_records, clear_folder),
      cmocka_unit_test_setup(a_folder_that_is_gone_is_made_again, clear_folder),
  };
  return cmocka_run_group_tests(tests, make_folder, nothing_is_left);
}
