// SPDX-License-Identifier: Apache-2.0
// The checksums of a checkpoint are those of its tensors, whatever mesh wrote it, and a file of format version 1, which
// has checksums of what each rank wrote, is still loaded and verified. Oracles: the definition of tiles.h, element by
// element; a bit that was flipped; a file that titan-hpc 0.1.0 wrote in November 2026 on a mesh of two shards and tp 2.
#include "state.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <xxhash.h>

static const char *version_1; // the file

static const shape meshes[] = {{1, 1, 1}, {1, 2, 1}, {2, 1, 1}, {1, 1, 2}, {1, 4, 1}, {1, 2, 2}, {2, 1, 2}};
enum { MESHES = sizeof meshes / sizeof *meshes };
// The whole of each tensor; many rows; some; less than a row; four elements.
static const size_t tiles[] = {0, 4096, 520, 60, 16};
enum { TILES = sizeof tiles / sizeof *tiles };

static bool takes_place(shape s) {
  return shape_ranks(s) <= test_size();
}

// --- the definition ---

static uint64_t hash_of(uint64_t number) {
  return XXH64(&number, 8, 0);
}

// Of elements [first, first + count) of the bytes; they are of `size` bytes each.
static uint64_t number_of(const unsigned char *bytes, size_t size, int64_t first, int64_t count) {
  uint64_t sum = 0;
  for (int64_t p = 0; p < count; p++) {
    uint64_t value = 0;
    memcpy(&value, bytes + (size_t)(first + p) * size, size);
    sum += (hash_of(1024 + (uint64_t)p / 1024) | 1) * ((hash_of((uint64_t)p % 1024) >> 32) | 1) * value;
  }
  return sum;
}

// Compares a tensor's numbers, which are the next in the table.
static bool tensor_is_right(const titan_checkpoint_file *file, int index, const uint64_t **table) {
  const titan_checkpoint_tensor *tensor = &file->tensors[index];
  int64_t rows = titan_checkpoint_rows(tensor), columns = titan_checkpoint_columns(tensor);
  size_t size = titan_number_bytes(tensor->number);
  int64_t most = (int64_t)(file->tile_bytes / size), tall = most / columns > 0 ? most / columns : 1;
  unsigned char *bytes = malloc((size_t)(rows * columns) * size);
  bool good = bytes != NULL && titan_checkpoint_file_read(file, index, 0, rows, bytes) == TITAN_OK;
  for (int64_t row = 0; row < rows && good; row += tall)
    for (int64_t column = 0; column < columns && good; column += most) {
      int64_t wide = columns - column < most ? columns - column : most, high = rows - row < tall ? rows - row : tall;
      good = number_of(bytes, size, row * columns + column, high * wide) == *(*table)++;
    }
  free(bytes);
  return good;
}

static bool table_is_right(const char *path) {
  titan_checkpoint_file *file = NULL;
  titan_checkpoint_fault fault;
  if (titan_checkpoint_file_open(path, &file, &fault) != TITAN_OK)
    return false;
  size_t bytes = (size_t)file->check_count * 8;
  uint64_t *table = malloc(bytes);
  const uint64_t *next = table;
  bool good = table != NULL && titan_checkpoint_read_bytes(file->descriptor, path, file->checks_offset, table, bytes,
                                                           &fault) == TITAN_OK;
  for (int t = 0; t < file->tensor_count && good; t++)
    good = tensor_is_right(file, t, &next);
  good = good && next == table + file->check_count;
  free(table);
  titan_checkpoint_file_close(&file);
  return good;
}

static void checksums_are_of_the_tensors_whoever_wrote_them(void **unused) {
  (void)unused;
  for (int m = 0; m < MESHES; m++) {
    if (!takes_place(meshes[m]))
      continue;
    state s = state_create(meshes[m], TITAN_FLOAT32);
    state_each(&s, state_set);
    for (int t = 0; t < TILES; t++) {
      bool weights = (m + t) % 3 == 2;
      titan_save_request request = {.path = state_path("step-7.h5"),
                                    .model_only = weights,
                                    .number = weights ? TITAN_NUMBER_BFLOAT16 : TITAN_NUMBER_FLOAT32};
      state_tile = tiles[t];
      state_piece = t % 2 ? 0 : 132; // pieces that end within tiles
      state_apart = (m + t) % 2 == 1;
      expect_on_all(state_save(&s, TITAN_SAVE_AT_ONCE, &request) == TITAN_OK);
      expect_on_all(table_is_right(state_path("step-7.h5")));
    }
    state_destroy(&s);
  }
  state_tile = state_piece = 0;
  state_apart = false;
}

// --- damage ---

static void flip(const char *path, uint64_t place) {
  MPI_Barrier(MPI_COMM_WORLD);
  if (test_rank() == 0) {
    unsigned char byte;
    int descriptor = open(path, O_RDWR);
    if (descriptor < 0 || pread(descriptor, &byte, 1, (off_t)place) != 1)
      abort();
    byte ^= 0x80;
    if (pwrite(descriptor, &byte, 1, (off_t)place) != 1 || close(descriptor) != 0)
      abort();
  }
  MPI_Barrier(MPI_COMM_WORLD);
}

// What the message says is damaged: the tensor's name, and rows and columns that the element is in.
static bool tells_of(const titan_checkpoint_tensor *tensor, int64_t row, int64_t column) {
  const char *place = strstr(titan_error_message(), tensor->name);
  long long rows[2], columns[2];
  return place != NULL &&
         sscanf(place + strlen(tensor->name), ", rows %lld to %lld, columns %lld to %lld", &rows[0], &rows[1],
                &columns[0], &columns[1]) == 4 &&
         rows[0] <= row && row <= rows[1] && columns[0] <= column && column <= columns[1];
}

// Bits of some tensors, at its beginning, within and at its end, of masters and of moments, which are not loaded
// in every second case.
static void flip_and_load(state *s, const char *path, bool optimizer, const titan_checkpoint_file *file) {
  for (int t = 0; t < file->tensor_count; t += 11) {
    const titan_checkpoint_tensor *tensor = &file->tensors[t];
    int64_t columns = titan_checkpoint_columns(tensor), elements = titan_checkpoint_rows(tensor) * columns,
            element = (elements - 1) * (t % 3) / 2;
    titan_checkpoint_fault fault = TITAN_CHECKPOINT_SOUND;
    uint64_t place = tensor->offset + (uint64_t)element * titan_number_bytes(tensor->number) + 1;
    flip(path, place);
    bool loads = state_load(s, optimizer, path, &fault) == TITAN_OK;
    bool found = s->runtime == NULL || (!loads && fault == TITAN_CHECKPOINT_DAMAGED &&
                                        tells_of(tensor, element / columns, element % columns));
    flip(path, place);
    expect_on_all(found);
  }
}

static void check_damage(state *s, const char *path) {
  titan_checkpoint_file *file = NULL;
  titan_checkpoint_fault fault;
  expect_on_all(titan_checkpoint_file_open(path, &file, &fault) == TITAN_OK);
  flip_and_load(s, path, true, file);
  flip_and_load(s, path, false, file);
  expect_on_all(state_load(s, true, path, &fault) == TITAN_OK && state_each(s, state_check));
  titan_checkpoint_file_close(&file);
}

static void a_bit_is_found_in_whatever_tile_it_is(void **unused) {
  (void)unused;
  const char *path = state_path("step-7.h5");
  titan_save_request request = {.path = path};
  for (int m = 0; m < MESHES; m++) {
    if (!takes_place(meshes[m]))
      continue;
    shape other = meshes[(m + 3) % MESHES];
    state from = state_create(meshes[m], TITAN_FLOAT32),
          to = state_create(takes_place(other) ? other : meshes[0], TITAN_FLOAT32);
    state_each(&from, state_set);
    state_tile = tiles[1 + m % (TILES - 1)];
    expect_on_all(state_save(&from, TITAN_SAVE_AT_ONCE, &request) == TITAN_OK);
    check_damage(&to, path);
    state_destroy(&from);
    state_destroy(&to);
  }
  state_tile = 0;
}

// --- the version before ---

static void copy_version_1(const char *path) {
  char command[512];
  snprintf(command, sizeof command, "cp '%s' '%s'", version_1, path);
  expect_on_all(test_rank() != 0 || system(command) == 0);
}

static void a_file_of_version_1_loads_on_any_mesh(void **unused) {
  (void)unused;
  char path[160];
  snprintf(path, sizeof path, "%s", state_path("old-7.h5"));
  copy_version_1(path);
  for (int m = 0; m < MESHES; m++) {
    if (!takes_place(meshes[m]))
      continue;
    state s = state_create(meshes[m], TITAN_FLOAT32);
    titan_checkpoint_fault fault;
    expect_on_all(state_load(&s, true, path, &fault) == TITAN_OK && state_each(&s, state_check));
    check_damage(&s, path);
    state_destroy(&s);
  }
}

static void a_file_of_version_1_is_verified_by_one_process(void **unused) {
  (void)unused;
  titan_checkpoint_file *file = NULL;
  titan_checkpoint_fault fault;
  if (test_rank() != 0)
    return;
  assert_int_equal(titan_checkpoint_file_open(version_1, &file, &fault), TITAN_OK);
  assert_int_equal(file->block.version, 1);
  assert_int_equal(file->check_count, 81);
  assert_int_equal(file->contents.log_count, 2);
  assert_int_equal(file->contents.cursors[7], 8);
  assert_int_equal(titan_checkpoint_file_verify(file, NULL, NULL, &fault), TITAN_OK);
  titan_checkpoint_file_close(&file);
}

// --- positions in the data ---

static void each_rank_reads_the_positions_of_its_own_lanes(void **unused) {
  (void)unused;
  state s = state_create((shape){1, test_size(), 1}, TITAN_FLOAT32);
  titan_save_request request = {.path = state_path("step-7.h5")};
  char old[160];
  snprintf(old, sizeof old, "%s", state_path("old-7.h5"));
  copy_version_1(old);
  state_each(&s, state_set);
  expect_on_all(state_save(&s, TITAN_SAVE_AT_ONCE, &request) == TITAN_OK);
  for (int version = 1; version <= 2; version++) {
    titan_checkpoint_load_options options = {.runtime = s.runtime, .optimizer = true, .step = STATE_STEP};
    titan_checkpoint_file *file = NULL;
    titan_checkpoint_fault fault;
    int64_t lane = test_rank() % 2, cursor[4] = {0};
    expect_on_all(titan_checkpoint_load(&options, version == 1 ? old : state_path("step-7.h5"), &file, &fault) ==
                  TITAN_OK);
    expect_on_all((file->contents.cursors != NULL) == (test_rank() == 0) && file->contents.lane_count == 2);
    expect_on_all(titan_checkpoint_file_read_cursors(file, lane, 1, cursor, &fault) == TITAN_OK);
    expect_on_all(cursor[0] == 1 + 4 * lane && cursor[1] == 2 + 4 * lane && cursor[2] == 3 + 4 * lane &&
                  cursor[3] == 4 + 4 * lane);
    expect_on_all(titan_checkpoint_file_read_cursors(file, 1, 2, cursor, &fault) == TITAN_ERROR_INTERNAL);
    titan_checkpoint_file_close(&file);
  }
  state_destroy(&s);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(checksums_are_of_the_tensors_whoever_wrote_them),
      cmocka_unit_test(a_bit_is_found_in_whatever_tile_it_is),
      cmocka_unit_test(a_file_of_version_1_loads_on_any_mesh),
      cmocka_unit_test(a_file_of_version_1_is_verified_by_one_process),
      cmocka_unit_test(each_rank_reads_the_positions_of_its_own_lanes),
  };
  version_1 = argv[1];
  state_tiny = true;
  begin_mpi_tests(&argc, &argv);
  return end_mpi_tests(cmocka_run_group_tests(tests, state_make_folder, state_remove_folder));
}
