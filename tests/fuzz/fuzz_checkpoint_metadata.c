// SPDX-License-Identifier: Apache-2.0
// What a checkpoint holds beside tensors' data. The input is a text from which an HDF5 file is made and sealed, so that
// it gets past the hashes; HDF5 itself is not what is tested. A line makes one thing:
//
//   group PATH
//   int|float|text|variable OBJECT NAME COUNT VALUE      an attribute: COUNT values (0: a scalar), all VALUE
//   tensor PATH TYPE INDEX ROWS COLUMNS                  a dataset of f32, bf16, f16 or f64; COLUMNS 0: a vector
//   table PATH TYPE COLUMNS NUMBER...                    a dataset of i64, u64 or f64; COLUMNS 0: a vector
//   huge PATH TYPE ROWS COLUMNS                          a dataset that takes no room in the file
//   version NUMBER                                       of the format; without, the present one
//
// Property: any such file is a checkpoint or TITAN_ERROR_CHECKPOINT; the tensors of one that was opened are read and
// verified without a fault of memory.
#include "fuzz.h"

#include "checkpoint/file.h"
#include "checkpoint/values.h"
#include "storage/hdf5.h"
#include "storage/hdf5_image.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_LINES = 200, MOST_NUMBERS = 64, MOST_ELEMENTS = 4096, WORD = 64 };

typedef struct making {
  hid_t file;
  titan_checkpoint_region regions[MOST_LINES];
  uint64_t count, regions_offset, version;
} making;

static hid_t type_of(const char *name) {
  if (strcmp(name, "f32") == 0 || strcmp(name, "bf16") == 0 || strcmp(name, "f16") == 0)
    return titan_values_type(name[0] == 'b'   ? TITAN_NUMBER_BFLOAT16
                             : name[1] == '1' ? TITAN_NUMBER_FLOAT16
                                              : TITAN_NUMBER_FLOAT32);
  return H5Tcopy(strcmp(name, "i64") == 0 ? H5T_STD_I64LE : strcmp(name, "u64") == 0 ? H5T_STD_U64LE : H5T_IEEE_F64LE);
}

static hid_t space_of(long count) {
  hsize_t dims[1] = {(hsize_t)count};
  return count <= 0 ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, dims, NULL);
}

// An attribute of `count` elements of `size` bytes, each a copy of `value`.
static void put_attribute(const making *m, const char *object, const char *name, hid_t type, long count,
                          const void *value) {
  char elements[16 * 256];
  size_t size = H5Tget_size(type);
  hid_t target = H5Oopen(m->file, object, H5P_DEFAULT), space = space_of(count);
  hid_t attribute = target < 0 ? -1 : H5Acreate2(target, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
  for (long i = 0; i < 16 && (size_t)(i + 1) * size <= sizeof elements; i++)
    memcpy(elements + (size_t)i * size, value, size);
  if (attribute >= 0 && count <= 16) {
    H5Awrite(attribute, type, elements);
    H5Aclose(attribute);
  }
  H5Sclose(space);
  if (target >= 0)
    H5Oclose(target);
}

static void put_text(const making *m, const char *object, const char *name, long count, const char *value, bool fixed) {
  hid_t type = H5Tcopy(H5T_C_S1);
  H5Tset_size(type, fixed ? strlen(value) + 1 : H5T_VARIABLE);
  put_attribute(m, object, name, type, count, fixed ? (const void *)value : (const void *)&value);
  H5Tclose(type);
}

static bool put_value(const making *m, const char *line) {
  char kind[WORD], object[WORD], name[WORD], value[WORD];
  long count;
  if (sscanf(line, "%63s %63s %63s %ld %63s", kind, object, name, &count, value) != 5 || count > 16)
    return false;
  int64_t whole = strtoll(value, NULL, 10);
  double real = strtod(value, NULL);
  if (strcmp(kind, "int") == 0)
    put_attribute(m, object, name, H5T_NATIVE_INT64, count, &whole);
  else if (strcmp(kind, "float") == 0)
    put_attribute(m, object, name, H5T_NATIVE_DOUBLE, count, &real);
  else if (strcmp(kind, "text") == 0 || strcmp(kind, "variable") == 0)
    put_text(m, object, name, count, value, kind[0] == 't');
  else
    return false;
  return true;
}

static void put_tensor(making *m, const char *line) {
  char path[WORD], name[WORD];
  long index, rows, columns;
  if (sscanf(line, "tensor %63s %63s %ld %ld %ld", path, name, &index, &rows, &columns) != 5 || rows < 0 ||
      columns < 0 || rows > MOST_ELEMENTS || columns > MOST_ELEMENTS || rows * columns > MOST_ELEMENTS)
    return;
  hsize_t dims[2] = {(hsize_t)rows, (hsize_t)columns};
  hid_t type = type_of(name), dataset = titan_values_create_dataset(m->file, path, type, columns > 0 ? 2 : 1, dims);
  if (dataset >= 0) {
    titan_values_put_int(dataset, "index", index);
    if (H5Dget_offset(dataset) != HADDR_UNDEF)
      m->regions[m->count++] = (titan_checkpoint_region){
          H5Dget_offset(dataset), (uint64_t)rows * (uint64_t)(columns > 0 ? columns : 1) * H5Tget_size(type)};
    H5Dclose(dataset);
  }
  H5Tclose(type);
}

static void put_table(const making *m, const char *line) {
  char path[WORD], name[WORD];
  long columns;
  int used = 0;
  int64_t numbers[MOST_NUMBERS] = {0};
  size_t count = 0;
  if (sscanf(line, "table %63s %63s %ld%n", path, name, &columns, &used) != 3 || columns < 0 || columns > MOST_NUMBERS)
    return;
  for (char *end; count < MOST_NUMBERS; line += used, count++) {
    line += count == 0 ? used : 0;
    numbers[count] = strtoll(line, &end, 10);
    if (end == line)
      break;
    used = (int)(end - line);
  }
  hsize_t width = columns > 0 ? (hsize_t)columns : 1, dims[2] = {count / width, width};
  hid_t type = type_of(name), dataset = titan_values_create_dataset(m->file, path, type, columns > 0 ? 2 : 1, dims);
  if (dataset >= 0) {
    if (dims[0] > 0)
      H5Dwrite(dataset, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, numbers);
    H5Dclose(dataset);
  }
  H5Tclose(type);
}

static void put_huge(const making *m, const char *line) {
  char path[WORD], name[WORD];
  unsigned long long rows, columns;
  if (sscanf(line, "huge %63s %63s %llu %llu", path, name, &rows, &columns) != 4)
    return;
  hsize_t dims[2] = {rows, columns};
  hid_t space = H5Screate_simple(columns > 0 ? 2 : 1, dims, NULL), type = type_of(name);
  hid_t dataset = space < 0 ? -1 : H5Dcreate2(m->file, path, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  if (dataset >= 0) {
    titan_values_put_int(dataset, "index", 0);
    H5Dclose(dataset);
  }
  if (space >= 0)
    H5Sclose(space);
  H5Tclose(type);
}

static void put_line(making *m, const char *line) {
  char path[WORD];
  if (put_value(m, line))
    return;
  if (sscanf(line, "version %" SCNu64, &m->version) == 1)
    return;
  if (sscanf(line, "group %63s", path) == 1) {
    hid_t group = titan_values_create_group(m->file, path);
    if (group >= 0)
      H5Gclose(group);
  }
  put_tensor(m, line);
  put_table(m, line);
  put_huge(m, line);
}

static void put_lines(making *m, const uint8_t *data, size_t size) {
  char *text = malloc(size + 1), *place = NULL;
  FUZZ_REQUIRE(text != NULL);
  memcpy(text, data, size);
  text[size] = '\0';
  int lines = 0;
  for (char *line = strtok_r(text, "\n", &place); line != NULL && lines < MOST_LINES;
       line = strtok_r(NULL, "\n", &place)) {
    put_line(m, line);
    lines++;
  }
  free(text);
}

static int compare_regions(const void *a, const void *b) {
  const titan_checkpoint_region *x = a, *y = b;
  return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static void put_regions(making *m) {
  hsize_t dims[2] = {m->count, 2};
  qsort(m->regions, m->count, sizeof *m->regions, compare_regions);
  hid_t dataset = titan_values_create_dataset(m->file, "/regions", H5T_STD_U64LE, 2, dims);
  if (dataset < 0)
    return;
  if (m->count > 0)
    H5Dwrite(dataset, H5T_NATIVE_UINT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, m->regions);
  m->regions_offset = H5Dget_offset(dataset);
  H5Dclose(dataset);
}

// The file in the image, and the facts of its block.
static void make_file(titan_hdf5_image *image, const uint8_t *data, size_t size, making *m) {
  hid_t access = titan_hdf5_image_access(image), creation = H5Pcreate(H5P_FILE_CREATE);
  H5Pset_userblock(creation, TITAN_CHECKPOINT_BLOCK_BYTES);
  m->file = H5Fcreate("image", H5F_ACC_TRUNC, creation, access);
  FUZZ_REQUIRE(m->file >= 0);
  put_lines(m, data, size);
  put_regions(m);
  H5Pclose(creation);
  H5Pclose(access);
  FUZZ_REQUIRE(H5Fclose(m->file) >= 0);
}

static bool write_file(const char *path, const titan_hdf5_image *image, const making *m) {
  titan_checkpoint_block block = {
      .version = m->version, .step = 1, .region_count = m->count, .regions_offset = m->regions_offset};
  FUZZ_REQUIRE(ftruncate(fuzz_descriptor(), (off_t)titan_hdf5_image_length(image)) == 0);
  FUZZ_REQUIRE(titan_hdf5_image_write(image, fuzz_descriptor()) == 0);
  return titan_checkpoint_block_seal(fuzz_descriptor(), path, &block) == TITAN_OK;
}

static void read_all(const titan_checkpoint_file *file) {
  for (int i = 0; i < file->tensor_count; i++) {
    const titan_checkpoint_tensor *tensor = &file->tensors[i];
    char *bytes = malloc(titan_checkpoint_tensor_bytes(tensor) + 1);
    FUZZ_REQUIRE(bytes != NULL && titan_checkpoint_file_find(file, tensor->group, tensor->name) >= 0);
    FUZZ_REQUIRE(titan_checkpoint_file_read(file, i, 0, titan_checkpoint_rows(tensor), bytes) == TITAN_OK);
    free(bytes);
  }
  titan_status status = titan_checkpoint_file_verify(file, NULL, NULL, NULL);
  FUZZ_REQUIRE(status == TITAN_OK || status == TITAN_ERROR_CHECKPOINT);
}

static void open_file(const char *path) {
  titan_checkpoint_file *file;
  titan_checkpoint_fault fault;
  titan_status status = titan_checkpoint_file_open(path, &file, &fault);
  if (status == TITAN_OK)
    read_all(file);
  else
    FUZZ_REQUIRE(file == NULL && fault != TITAN_CHECKPOINT_SOUND &&
                 (status == TITAN_ERROR_CHECKPOINT || status == TITAN_ERROR_MEMORY));
  titan_checkpoint_file_close(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  uint64_t live = fuzz_live();
  titan_hdf5_image *image;
  making m = {.file = -1, .version = TITAN_CHECKPOINT_VERSION};
  const char *path = fuzz_file(".h5", NULL, 0);
  titan_hdf5_quiet();
  FUZZ_REQUIRE(titan_hdf5_image_create(1 << 16, &image) == TITAN_OK);
  make_file(image, data, size, &m);
  if (write_file(path, image, &m))
    open_file(path);
  titan_hdf5_image_destroy(&image);
  fuzz_require_no_leak(live);
  return 0;
}
