// SPDX-License-Identifier: Apache-2.0
// A file that HDF5 makes in memory, and its reasons. Oracle: the same calls on a file on the disk, byte for byte; the
// errors that are put in.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four above first
#include <cmocka.h>

#include "base/memory.h"
#include "storage/hdf5.h"
#include "storage/hdf5_image.h"
#include "storage/path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static char path[64] = "/tmp/titan-image-XXXXXX";
static bool reading_fails;

ssize_t pread(int descriptor, void *data, size_t bytes, off_t offset) {
  if (!reading_fails)
    return syscall(SYS_pread64, descriptor, data, bytes, offset);
  errno = EIO;
  return -1;
}

static hid_t make_dataset(hid_t file, const char *name, hsize_t elements) {
  hid_t space = H5Screate_simple(1, &elements, NULL), layout = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_alloc_time(layout, H5D_ALLOC_TIME_EARLY);
  H5Pset_fill_time(layout, H5D_FILL_TIME_NEVER);
  H5Pset_obj_track_times(layout, 0);
  hid_t dataset = H5Dcreate2(file, name, H5T_STD_I64LE, space, H5P_DEFAULT, layout, H5P_DEFAULT);
  assert_true(dataset >= 0);
  H5Pclose(layout);
  H5Sclose(space);
  return dataset;
}

// Groups, a small dataset with values, and large ones without.
static void make_file(hid_t access) {
  int64_t values[1000];
  char name[32];
  hid_t creation = H5Pcreate(H5P_FILE_CREATE);
  assert_true(H5Pset_userblock(creation, 4096) >= 0 && H5Pset_alignment(access, 16384, 4096) >= 0);
  hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, creation, access);
  assert_true(file >= 0);
  for (int i = 0; i < 1000; i++)
    values[i] = i * i;
  for (int i = 0; i < 40; i++) {
    snprintf(name, sizeof name, "large%d", i);
    H5Dclose(make_dataset(file, name, 100000));
  }
  hid_t small = make_dataset(file, "small", 1000);
  assert_true(H5Dwrite(small, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
  H5Dclose(small);
  assert_true(H5Fclose(file) >= 0);
  H5Pclose(creation);
  H5Pclose(access);
}

static char *read_all(size_t *length) {
  struct stat information;
  FILE *file = fopen(path, "rb");
  assert_true(file != NULL && fstat(fileno(file), &information) == 0);
  *length = (size_t)information.st_size;
  char *bytes = malloc(*length);
  assert_true(bytes != NULL && fread(bytes, 1, *length, file) == *length);
  fclose(file);
  return bytes;
}

static void an_image_is_the_file_that_hdf5_writes(void **unused) {
  (void)unused;
  titan_hdf5_image *image;
  size_t length;
  make_file(H5Pcreate(H5P_FILE_ACCESS));
  char *wanted = read_all(&length), *got = calloc(1, length);
  assert_int_equal(titan_hdf5_image_create(1000, &image), TITAN_OK); // more is written than was said
  make_file(titan_hdf5_image_access(image));
  assert_true(titan_hdf5_image_length(image) == length);
  assert_true(titan_hdf5_image_page_count(image) < (int64_t)length / TITAN_HDF5_PAGE_BYTES / 10);
  for (int64_t i = 0; i < titan_hdf5_image_page_count(image); i++) {
    uint64_t offset;
    const void *page = titan_hdf5_image_page(image, i, &offset);
    assert_true(offset < length);
    memcpy(got + offset, page, length - offset < TITAN_HDF5_PAGE_BYTES ? length - offset : TITAN_HDF5_PAGE_BYTES);
  }
  assert_memory_equal(wanted, got, length);
  titan_hdf5_image_destroy(&image);
  free(wanted);
  free(got);
}

static void a_reason_is_one_line_in_the_systems_words(void **unused) {
  (void)unused;
  hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
  assert_true(file >= 0);
  titan_hdf5_quiet();
  assert_false(titan_hdf5_system_failed());
  reading_fails = true;
  hid_t dataset = H5Dopen2(file, "small", H5P_DEFAULT);
  reading_fails = false;
  assert_true(dataset < 0 && titan_hdf5_system_failed());
  titan_hdf5_error(TITAN_ERROR_OUTPUT, "cannot read", "a.h5");
  assert_string_equal(titan_error_message(), "cannot read a.h5: Input/output error");
  assert_true(H5Dopen2(file, "nothing", H5P_DEFAULT) < 0);
  assert_false(titan_hdf5_system_failed());
  titan_hdf5_error(TITAN_ERROR_OUTPUT, "cannot read", "a.h5");
  assert_null(strchr(titan_error_message(), '\n'));
  H5Fclose(file);
}

static void an_absolute_name_stands_alone(void **unused) {
  (void)unused;
  titan_text text = {0};
  assert_int_equal(titan_path_join(&text, "a", "b/c"), TITAN_OK);
  assert_string_equal(text.data, "a/b/c");
  text.length = 0;
  assert_int_equal(titan_path_join(&text, "a", "/b/c"), TITAN_OK);
  assert_string_equal(text.data, "/b/c");
  titan_text_destroy(&text);
}

static int make(void **unused) {
  (void)unused;
  int descriptor = mkstemp(path);
  return descriptor < 0 || close(descriptor) != 0;
}

static int remove_all(void **unused) {
  (void)unused;
  return unlink(path) != 0 || titan_memory_report_leaks() != 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_image_is_the_file_that_hdf5_writes),
      cmocka_unit_test(a_reason_is_one_line_in_the_systems_words),
      cmocka_unit_test(an_absolute_name_stands_alone),
  };
  return cmocka_run_group_tests(tests, make, remove_all);
}
