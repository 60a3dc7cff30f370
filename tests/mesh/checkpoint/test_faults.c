// SPDX-License-Identifier: Apache-2.0
// The storage fails in a save or a load, on one rank or on all: every rank gets the failure, none waits for ever, what
// was saved before stays, nothing half written does, and the next save is good. The system calls below stand before the
// C library's and fail when told to. Oracle: the failure that was put in.
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

// --- calls that fail ---

typedef enum call { NONE, OPEN, PWRITE, FSYNC, CLOSE, FTRUNCATE, FALLOCATE, RENAME, PREAD, CALLS, FLIP } call;

static struct {
  _Atomic call which;
  int number;          // errno
  atomic_int left;     // calls of the kind that still work
  atomic_int failures; // since it was armed
  atomic_bool once;    // no second failure
} fault;
static int found_flips;

static bool path_is_ours(const char *path) {
  return state_folder[0] != '\0' && strncmp(path, state_folder, strlen(state_folder)) == 0;
}

static bool hits(call which, const char *path) {
  if (atomic_load(&fault.which) != which || !path_is_ours(path) || atomic_fetch_sub(&fault.left, 1) > 0)
    return false;
  if (atomic_load(&fault.once) && atomic_load(&fault.failures) > 0)
    return false;
  atomic_fetch_add(&fault.failures, 1);
  errno = fault.number;
  return true;
}

static bool hits_descriptor(call which, int descriptor) {
  char name[64], path[512] = "";
  if (atomic_load(&fault.which) != which)
    return false;
  snprintf(name, sizeof name, "/proc/self/fd/%d", descriptor);
  return syscall(SYS_readlinkat, AT_FDCWD, name, path, sizeof path - 1) > 0 && hits(which, path);
}

int open(const char *path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  mode_t mode = va_arg(arguments, mode_t);
  va_end(arguments);
  return hits(OPEN, path) ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

// The storage keeps another byte than it was given, and says nothing.
static ssize_t write_flipped(int descriptor, const void *data, size_t bytes, off_t offset) {
  ssize_t result = syscall(SYS_pwrite64, descriptor, data, bytes, offset);
  char last;
  memcpy(&last, (const char *)data + bytes - 1, 1);
  last ^= 4;
  syscall(SYS_pwrite64, descriptor, &last, (size_t)1, offset + (off_t)bytes - 1);
  return result;
}

ssize_t pwrite(int descriptor, const void *data, size_t bytes, off_t offset) {
  if (hits_descriptor(FLIP, descriptor))
    return write_flipped(descriptor, data, bytes, offset);
  return hits_descriptor(PWRITE, descriptor) ? -1 : syscall(SYS_pwrite64, descriptor, data, bytes, offset);
}

ssize_t pread(int descriptor, void *data, size_t bytes, off_t offset) {
  return hits_descriptor(PREAD, descriptor) ? -1 : syscall(SYS_pread64, descriptor, data, bytes, offset);
}

int fsync(int descriptor) {
  return hits_descriptor(FSYNC, descriptor) ? -1 : (int)syscall(SYS_fsync, descriptor);
}

int close(int descriptor) {
  bool fails = hits_descriptor(CLOSE, descriptor);
  int result = (int)syscall(SYS_close, descriptor);
  errno = fails ? fault.number : errno;
  return fails ? -1 : result;
}

int ftruncate(int descriptor, off_t length) {
  return hits_descriptor(FTRUNCATE, descriptor) ? -1 : (int)syscall(SYS_ftruncate, descriptor, length);
}

int fallocate(int descriptor, int mode, off_t offset, off_t length) {
  return hits_descriptor(FALLOCATE, descriptor) ? -1 : (int)syscall(SYS_fallocate, descriptor, mode, offset, length);
}

int rename(const char *from, const char *to) {
  return hits(RENAME, from) ? -1 : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags) {
  return hits(RENAME, from) ? -1 : (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, flags);
}

static void arm(call which, int number, int working) {
  fault.number = number;
  atomic_store(&fault.left, working);
  atomic_store(&fault.failures, 0);
  atomic_store(&fault.which, which);
}

// Of all ranks.
static int disarm(void) {
  int mine = atomic_exchange(&fault.failures, 0), all;
  atomic_store(&fault.which, NONE);
  MPI_Allreduce(&mine, &all, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
  return all;
}

// --- saving ---

static uint64_t bytes_of(const char *path) {
  uint64_t sum = 14695981039346656037u;
  FILE *file = fopen(path, "rb");
  for (int byte; file != NULL && (byte = getc(file)) != EOF;)
    sum = (sum ^ (uint64_t)byte) * 1099511628211u;
  if (file != NULL)
    fclose(file);
  return file != NULL ? sum : 0;
}

static bool everything_is_whole(const char *path) {
  titan_checkpoint_file *file = NULL;
  titan_status status = titan_checkpoint_file_open(path, &file, NULL);
  if (status == TITAN_OK)
    status = titan_checkpoint_file_verify(file, NULL, NULL, NULL);
  titan_checkpoint_file_close(&file);
  return status == TITAN_OK;
}

static const int numbers[] = {EIO, ENOSPC, EDQUOT};

// `victim`: a rank, or -1 for all.
static void fail_one_save(state *s, call which, int victim, int working, titan_save_mode mode, uint64_t before) {
  static int turn;
  int number = numbers[turn++ % 3];
  titan_save_request request = {.path = state_path("step-7.h5")};
  state_each(s, state_set);
  MPI_Barrier(MPI_COMM_WORLD);
  if (victim < 0 || victim == test_rank())
    arm(which, number, working);
  titan_status status = state_save(s, mode, &request);
  bool told = status == TITAN_ERROR_CHECKPOINT && strstr(titan_error_message(), strerror(number)) != NULL &&
              strstr(titan_error_message(), "step-7.h5") != NULL;
  bool failed = disarm() > 0;
  if (failed != (status != TITAN_OK) || failed != told)
    fprintf(stderr, "call %d, victim %d, after %d, mode %d: %d failures, status %d: %s\n", (int)which, victim, working,
            (int)mode, failed, (int)status, titan_error_message());
  expect_on_all(failed == told && failed == (status != TITAN_OK));
  expect_on_all(working > 0 || failed || (victim > 0 && which != OPEN && which != PWRITE && which != FSYNC));
  expect_on_all(bytes_of(state_path("step-7.h5")) == before);
  expect_on_all(access(state_path("step-7.h5.partial"), F_OK) != 0);
}

static void a_save_that_fails_ends_on_all_ranks_and_leaves_what_was_there(void **unused) {
  (void)unused;
  shape all = {1, test_size() == 4 ? 2 : 1, test_size() == 4 ? 2 : test_size()};
  state s = state_create(all, TITAN_FLOAT32);
  titan_save_request request = {.path = state_path("step-7.h5")};
  state_each(&s, state_set);
  expect_on_all(state_save(&s, TITAN_SAVE_AT_ONCE, &request) == TITAN_OK);
  uint64_t before = bytes_of(request.path);
  for (int apart = 0; apart < 2; apart++)
    for (int which = OPEN; which < CALLS; which++)
      for (int victim = test_size() > 1 ? -1 : 0; victim<test_size(); victim += test_size()> 2 && victim == 0 ? 2 : 1)
        for (int later = 0; later < (which == PWRITE ? 2 : 1); later++) {
          state_apart = apart == 1;
          fail_one_save(&s, (call)which, victim, later ? 7 : 0,
                        (which + apart + later) % 2 ? TITAN_SAVE_ASYNC : TITAN_SAVE_AT_ONCE, before);
        }
  state_apart = false;
  state_each(&s, state_set);
  request.path = state_path("step-7.h5");
  expect_on_all(state_save(&s, TITAN_SAVE_AT_ONCE, &request) == TITAN_OK);
  expect_on_all(everything_is_whole(state_path("step-7.h5")));
  state_destroy(&s);
}

// Writes of a save in turn are kept wrongly, on the first and the last rank: the save fails, unless the byte was to be
// written again. `working`: writes of the rank before that one; false: there are not so many.
static bool flip_one_write(state *s, int victim, int working, titan_save_mode mode, uint64_t before) {
  titan_save_request request = {.path = state_path("step-7.h5")};
  titan_checkpoint_fault found;
  MPI_Barrier(MPI_COMM_WORLD);
  atomic_store(&fault.once, true); // not those after it
  if (victim == test_rank())
    arm(FLIP, 0, working);
  titan_status status = state_save(s, mode, &request);
  bool flipped = disarm() > 0;
  atomic_store(&fault.once, false);
  expect_on_all(status == TITAN_OK || (flipped && status == TITAN_ERROR_CHECKPOINT));
  expect_on_all(access(state_path("step-7.h5.partial"), F_OK) != 0);
  if (status == TITAN_OK) {
    expect_on_all(everything_is_whole(state_path("step-7.h5")) &&
                  state_load(s, true, state_path("step-7.h5"), &found) == TITAN_OK && state_each(s, state_check));
    return flipped;
  }
  expect_on_all(strstr(titan_error_message(), "checkpoint.verify, reading back what rank ") != NULL &&
                strstr(titan_error_message(), "step-7.h5 is ") != NULL);
  expect_on_all(bytes_of(state_path("step-7.h5")) == before);
  found_flips++;
  return true;
}

static void what_the_storage_alters_is_found_before_the_file_has_its_name(void **unused) {
  (void)unused;
  shape all = {1, test_size() == 4 ? 2 : 1, test_size() == 4 ? 2 : test_size()};
  state s = state_create(all, TITAN_FLOAT32);
  titan_save_request request = {.path = state_path("step-7.h5")};
  state_verify = true;
  state_each(&s, state_set);
  expect_on_all(state_save(&s, TITAN_SAVE_AT_ONCE, &request) == TITAN_OK);
  for (int apart = 0; apart < 2; apart++)
    for (int victim = 0; victim<test_size(); victim += test_size()> 1 ? test_size() - 1 : 1) {
      bool more = true;
      state_apart = apart == 1;
      found_flips = 0;
      for (int working = 0; more; working += 1 + working / 4) {
        state_each(&s, state_set);
        more = flip_one_write(&s, victim, working, working % 2 ? TITAN_SAVE_ASYNC : TITAN_SAVE_AT_ONCE,
                              bytes_of(state_path("step-7.h5")));
      }
      expect_on_all(found_flips > 5);
    }
  state_apart = state_verify = false;
  state_destroy(&s);
}

// --- loading ---

// What cannot be read may be whole: it is not damage, whatever other ranks have read.
static void a_file_that_cannot_be_read_is_not_called_damaged(void **unused) {
  (void)unused;
  shape all = {1, test_size(), 1};
  state s = state_create(all, TITAN_FLOAT32);
  titan_save_request request = {.path = state_path("step-7.h5")};
  state_each(&s, state_set);
  expect_on_all(state_save(&s, TITAN_SAVE_AT_ONCE, &request) == TITAN_OK);
  for (int victim = -1; victim < test_size(); victim++)
    for (int working = 0; working <= 40; working += 5) {
      titan_checkpoint_fault found = TITAN_CHECKPOINT_SOUND;
      MPI_Barrier(MPI_COMM_WORLD);
      if (victim < 0 || victim == test_rank())
        arm(PREAD, EIO, working);
      titan_status status = state_load(&s, true, state_path("step-7.h5"), &found);
      bool failed = disarm() > 0;
      expect_on_all(failed == (status != TITAN_OK));
      expect_on_all(!failed || (status == TITAN_ERROR_CHECKPOINT && found == TITAN_CHECKPOINT_SYSTEM &&
                                strstr(titan_error_message(), strerror(EIO)) != NULL));
    }
  titan_checkpoint_fault found;
  expect_on_all(state_load(&s, true, state_path("step-7.h5"), &found) == TITAN_OK && state_each(&s, state_check));
  state_destroy(&s);
}

// --- memory ---

#if defined(__SANITIZE_ADDRESS__)
#define ADDRESS_SANITIZER true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ADDRESS_SANITIZER true
#endif
#endif
#ifndef ADDRESS_SANITIZER
#define ADDRESS_SANITIZER false
#endif

static uint64_t address_space(void) {
  unsigned long long pages = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  if (file == NULL || fscanf(file, "%llu", &pages) != 1)
    pages = 0;
  if (file != NULL)
    fclose(file);
  return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

// The process may not grow, and what it has is taken away and given back bit by bit: each save is good or a failure,
// and the process lives on. One rank, as an MPI library without memory ends the run by itself.
static void a_save_without_memory_is_a_failure(void **unused) {
  (void)unused;
  enum { CHUNKS = 512, CHUNK_BYTES = 1 << 18, STEP = 8 };
  static void *chunks[CHUNKS];
  shape one = {1, 1, 1};
  if (test_size() > 1)
    return;
  if (ADDRESS_SANITIZER)
    skip(); // its runtime ends the process when it gets no memory for its own tables
  state s = state_create(one, TITAN_FLOAT32);
  titan_save_request request = {.path = state_path("step-7.h5")};
  struct rlimit before, small;
  int good = 0, bad = 0, count = 0;
  getrlimit(RLIMIT_AS, &before);
  state_each(&s, state_set);
  malloc_trim(0);
  small = before;
  small.rlim_cur = address_space() + ((rlim_t)32 << 20);
  setrlimit(RLIMIT_AS, &small);
  while (count < CHUNKS && (chunks[count] = malloc(CHUNK_BYTES)) != NULL)
    count++;
  for (int given = 0; given < count; given += STEP) {
    titan_status status = state_save(&s, TITAN_SAVE_AT_ONCE, &request);
    *(status == TITAN_OK ? &good : &bad) += 1;
    for (int i = given; i < given + STEP && i < count; i++)
      free(chunks[i]);
  }
  setrlimit(RLIMIT_AS, &before);
  assert_true(good > 0 && bad > 0);
  assert_true(everything_is_whole(request.path));
  state_destroy(&s);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_save_that_fails_ends_on_all_ranks_and_leaves_what_was_there),
      cmocka_unit_test(what_the_storage_alters_is_found_before_the_file_has_its_name),
      cmocka_unit_test(a_file_that_cannot_be_read_is_not_called_damaged),
      cmocka_unit_test(a_save_without_memory_is_a_failure),
  };
  begin_mpi_tests(&argc, &argv);
  return end_mpi_tests(cmocka_run_group_tests(tests, state_make_folder, state_remove_folder));
}
