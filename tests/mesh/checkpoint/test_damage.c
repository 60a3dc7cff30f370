// SPDX-License-Identifier: Apache-2.0
// A file that is not what was written is never loaded: cut at any place, one bit flipped anywhere, of another program,
// of a later version, with other tensors. Oracle: the fault that was put in. Places are drawn from a fixed seed.
#include "state.h"

#include <fcntl.h>
#include <hdf5.h>
#include <sys/stat.h>
#include <xxhash.h>

enum { FLIPS = 100, CUTS = 30 };

static char whole_path[160], damaged_path[160];
static unsigned char *bytes;
static size_t length;
static state loader;

// On rank 0: the file that every case alters; on all: who loads it.
static void prepare(void) {
  shape all = {1, test_size(), 1};
  titan_save_request request = {.path = whole_path};
  snprintf(whole_path, sizeof whole_path, "%s", state_path("step-7.h5"));
  snprintf(damaged_path, sizeof damaged_path, "%s", state_path("step-8.h5"));
  loader = state_create(all, TITAN_FLOAT32);
  state_each(&loader, state_set);
  expect_on_all(state_save(&loader, TITAN_SAVE_AT_ONCE, &request) == TITAN_OK);
  FILE *file = fopen(whole_path, "rb");
  struct stat information;
  expect_on_all(file != NULL && fstat(fileno(file), &information) == 0);
  length = (size_t)information.st_size;
  bytes = malloc(length);
  expect_on_all(bytes != NULL && fread(bytes, 1, length, file) == length);
  fclose(file);
}

static void write_damaged(size_t count) {
  if (test_rank() == 0) {
    FILE *file = fopen(damaged_path, "wb");
    if (file == NULL || fwrite(bytes, 1, count, file) != count || fclose(file) != 0)
      abort();
  }
  MPI_Barrier(MPI_COMM_WORLD);
}

static void expect_fault(titan_checkpoint_fault wanted, const char *part) {
  titan_checkpoint_fault fault = TITAN_CHECKPOINT_SOUND;
  titan_status status = state_load(&loader, true, damaged_path, &fault);
  expect_on_all(status == TITAN_ERROR_CHECKPOINT);
  expect_on_all(fault == wanted);
  expect_on_all(strstr(titan_error_message(), "step-8.h5") != NULL);
  expect_on_all(strstr(titan_error_message(), part) != NULL);
}

// A bit of the damaged file.
static void flip(uint64_t place) {
  MPI_Barrier(MPI_COMM_WORLD);
  if (test_rank() == 0) {
    unsigned char byte;
    int descriptor = open(damaged_path, O_RDWR);
    if (descriptor < 0 || pread(descriptor, &byte, 1, (off_t)place) != 1)
      abort();
    byte ^= 4;
    if (pwrite(descriptor, &byte, 1, (off_t)place) != 1 || close(descriptor) != 0)
      abort();
  }
  MPI_Barrier(MPI_COMM_WORLD);
}

static uint64_t draw(uint64_t *seed) {
  *seed = *seed * 6364136223846793005u + 1442695040888963407u;
  uint64_t z = *seed ^ (*seed >> 33);
  return z * 0xff51afd7ed558ccdu >> 16;
}

static void the_whole_file_loads(void **unused) {
  (void)unused;
  titan_checkpoint_fault fault;
  write_damaged(length);
  expect_on_all(state_load(&loader, true, damaged_path, &fault) == TITAN_OK);
  expect_on_all(state_each(&loader, state_check));
}

static void a_file_cut_anywhere_is_known_for_damaged(void **unused) {
  (void)unused;
  uint64_t seed = 1;
  for (int i = 0; i < CUTS; i++) {
    size_t count = i == 0 ? 0 : i == 1 ? 1 : i == 2 ? 4096 : i == 3 ? length - 1 : draw(&seed) % length;
    write_damaged(count);
    expect_fault(TITAN_CHECKPOINT_DAMAGED, count < 4096 ? "truncated" : "bytes, expected");
  }
}

// Half of the flips anywhere, a quarter in the first block, a quarter in HDF5's own structures behind it.
static void one_flipped_bit_anywhere_is_found(void **unused) {
  (void)unused;
  uint64_t seed = 2;
  for (int i = 0; i < FLIPS; i++) {
    size_t range = i % 4 == 0 ? 4096 : i % 4 == 1 ? 16384 : length;
    size_t place = draw(&seed) % range;
    unsigned char mask = (unsigned char)(1u << draw(&seed) % 8);
    bytes[place] ^= mask;
    write_damaged(length);
    bytes[place] ^= mask;
    expect_fault(TITAN_CHECKPOINT_DAMAGED, "damaged");
  }
}

// A slab of the mesh that saved is cut on the mesh that loads: no rank reads it as a whole, and still its checksum is
// compared. Bits flip in every fourth tensor's data, in the first, a middle and the last part of it.
static void damage_is_found_on_whatever_mesh_saved_and_loads(void **unused) {
  (void)unused;
  static const shape meshes[] = {{1, 1, 1}, {1, 2, 1}, {2, 1, 1}, {1, 1, 2}, {1, 4, 1}, {1, 2, 2}};
  enum { MESHES = sizeof meshes / sizeof *meshes };
  for (int a = 0; a < MESHES; a++)
    for (int b = 0; b < MESHES; b++) {
      if (a == b || shape_ranks(meshes[a]) > test_size() || shape_ranks(meshes[b]) > test_size())
        continue;
      state from = state_create(meshes[a], TITAN_FLOAT32), to = state_create(meshes[b], TITAN_FLOAT32);
      titan_save_request request = {.path = damaged_path};
      titan_checkpoint_file *file = NULL;
      titan_checkpoint_fault fault;
      state_each(&from, state_set);
      expect_on_all(state_save(&from, TITAN_SAVE_AT_ONCE, &request) == TITAN_OK);
      expect_on_all(titan_checkpoint_file_open(damaged_path, &file, &fault) == TITAN_OK);
      for (int t = (a + b) % 4; t < file->tensor_count; t += 4) {
        const titan_checkpoint_tensor *tensor = &file->tensors[t];
        uint64_t size = titan_checkpoint_tensor_bytes(tensor),
                 place = tensor->offset + (size - 1) * (uint64_t)(t % 3) / 2;
        flip(place);
        bool loads = state_load(&to, true, damaged_path, &fault) == TITAN_OK;
        flip(place);
        expect_on_all(to.runtime == NULL || (!loads && fault == TITAN_CHECKPOINT_DAMAGED &&
                                             strstr(titan_error_message(), tensor->name) != NULL));
      }
      titan_checkpoint_file_close(&file);
      expect_on_all(state_load(&to, true, damaged_path, &fault) == TITAN_OK && state_each(&to, state_check));
      state_destroy(&from);
      state_destroy(&to);
    }
}

static void another_programs_file_is_refused(void **unused) {
  (void)unused;
  if (test_rank() == 0) {
    hid_t file = H5Fcreate(damaged_path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    hsize_t dim = 1000;
    hid_t space = H5Screate_simple(1, &dim, NULL);
    double values[1000] = {1};
    hid_t dataset = H5Dcreate2(file, "data", H5T_IEEE_F64LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Dwrite(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
    H5Dclose(dataset);
    H5Sclose(space);
    H5Fclose(file);
  }
  MPI_Barrier(MPI_COMM_WORLD);
  expect_fault(TITAN_CHECKPOINT_FOREIGN, "not a checkpoint of this program");
}

static void write_text(const char *text, size_t count) {
  if (test_rank() == 0) {
    FILE *file = fopen(damaged_path, "wb");
    assert_non_null(file);
    fwrite(text, 1, count, file);
    fclose(file);
  }
  MPI_Barrier(MPI_COMM_WORLD);
}

// Of a file that is too short for a checkpoint, what is there tells whose it is.
static void a_short_file_is_damaged_where_it_begins_as_ours(void **unused) {
  (void)unused;
  static const char zeros[100];
  write_text("titan-hpc checkpoint\n", 21);
  expect_fault(TITAN_CHECKPOINT_DAMAGED, "truncated");
  write_text("titan-hpc chackpoind", 20);
  expect_fault(TITAN_CHECKPOINT_DAMAGED, "truncated");
  write_text(zeros, sizeof zeros);
  expect_fault(TITAN_CHECKPOINT_DAMAGED, "truncated");
  write_text("a text, and no more\n", 20);
  expect_fault(TITAN_CHECKPOINT_FOREIGN, "not a checkpoint of this program");
}

static void what_is_no_file_is_refused_and_not_waited_for(void **unused) {
  (void)unused;
  for (int folder = 0; folder < 2; folder++) {
    MPI_Barrier(MPI_COMM_WORLD);
    if (test_rank() == 0) {
      unlink(damaged_path);
      assert_int_equal(folder ? mkdir(damaged_path, 0777) : mkfifo(damaged_path, 0666), 0);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    expect_fault(TITAN_CHECKPOINT_FOREIGN, folder ? "is a folder" : "is not a file");
  }
  if (test_rank() == 0)
    assert_int_equal(rmdir(damaged_path), 0);
}

static void other_format_versions_are_named(void **unused) {
  (void)unused;
  for (unsigned char version = 0; version <= 3; version += 3) {
    bytes[24] = version;
    uint64_t old, hash = XXH64(bytes, 4088, 0);
    memcpy(&old, bytes + 4088, 8);
    memcpy(bytes + 4088, &hash, 8);
    write_damaged(length);
    bytes[24] = 2;
    memcpy(bytes + 4088, &old, 8);
    expect_fault(TITAN_CHECKPOINT_UNKNOWN_VERSION, version == 0 ? "format version 0" : "format version 3");
  }
}

static void a_name_of_another_step_is_refused(void **unused) {
  (void)unused;
  titan_checkpoint_fault fault = TITAN_CHECKPOINT_DAMAGED;
  titan_checkpoint_load_options options = {.runtime = loader.runtime, .optimizer = true, .step = STATE_STEP + 1};
  titan_checkpoint_file *file;
  write_damaged(length);
  state_each(&loader, state_spoil);
  expect_on_all(titan_checkpoint_load(&options, damaged_path, &file, &fault) == TITAN_ERROR_CHECKPOINT);
  expect_on_all(fault == TITAN_CHECKPOINT_SOUND);
  expect_on_all(strstr(titan_error_message(), "a checkpoint of step 7, but its name has step 8") != NULL);
  expect_on_all(state_each(&loader, state_is_spoiled));
}

// Loads into a model with other options, and puts the right one back.
static titan_status load_into(const titan_runtime_options *options) {
  titan_checkpoint_fault fault;
  titan_runtime *right = loader.runtime;
  write_damaged(length);
  expect_on_all(titan_runtime_plan(options, loader.mesh, loader.device, &loader.runtime) == TITAN_OK);
  expect_on_all(titan_runtime_allocate(loader.runtime) == TITAN_OK);
  state_each(&loader, state_spoil);
  titan_status status = state_load(&loader, true, damaged_path, &fault);
  expect_on_all(fault == TITAN_CHECKPOINT_SOUND);
  expect_on_all(state_each(&loader, status == TITAN_OK ? state_check : state_is_spoiled));
  titan_runtime_destroy(&loader.runtime);
  loader.runtime = right;
  return status;
}

// Of equal shapes, so that nothing but the constants can tell.
static void constants_that_are_not_the_models_are_all_listed(void **unused) {
  (void)unused;
  static const char *const wanted[] = {
      "name: llama3 in the file, llama2 in this run (model.name)",
      "norm_type: layernorm in the file, rmsnorm in this run (model.norm_type)",
      "norm_epsilon: 1e-05 in the file, 1e-06 in this run",
      "rope_theta: 10000 in the file, 20000 in this run",
      "\n  heads: 4 in the file, 8 in this run (model.flavor)",
      "kv_heads: 2 in the file, 4 in this run (model.flavor)",
  };
  titan_runtime_options options = small_model_options(2, test_size(), TITAN_FLOAT32, TITAN_INTRA_NODE_AUTO);
  options.model = titan_model_find("llama2");
  options.arguments.norm_type = TITAN_NORM_RMSNORM;
  options.arguments.norm_epsilon = 1e-6;
  options.arguments.rope_theta = 2e4;
  options.arguments.heads = 8;
  options.arguments.kv_heads = 4;
  expect_on_all(load_into(&options) == TITAN_ERROR_CHECKPOINT);
  for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
    expect_on_all(strstr(titan_error_message(), wanted[i]) != NULL);
  expect_on_all(strstr(titan_error_message(), "tok_embeddings") == NULL);
}

static void names_of_one_model_are_one(void **unused) {
  (void)unused;
  titan_runtime_options options = small_model_options(2, test_size(), TITAN_FLOAT32, TITAN_INTRA_NODE_AUTO);
  options.model = titan_model_find("llama");
  expect_on_all(load_into(&options) == TITAN_OK);
}

static void tensors_that_are_not_the_models_are_all_listed(void **unused) {
  (void)unused;
  titan_runtime_options options = small_model_options(0, test_size(), TITAN_FLOAT32, TITAN_INTRA_NODE_AUTO);
  options.arguments.dim = 48; // and one layer, where the file has three
  expect_on_all(load_into(&options) == TITAN_ERROR_CHECKPOINT);
  expect_on_all(strstr(titan_error_message(), "of another shape: /model/tok_embeddings.weight [97, 64], the model's is "
                                              "[97, 48]") != NULL);
  expect_on_all(strstr(titan_error_message(), "too much: /model/layers.1.") != NULL);
  expect_on_all(strstr(titan_error_message(), "more") != NULL);
  expect_on_all(strstr(titan_error_message(), "dim: 64 in the file, 48 in this run") != NULL);
}

static int make(void **unused) {
  if (state_make_folder(unused) != 0)
    return -1;
  prepare();
  return 0;
}

static int remove_all(void **unused) {
  state_destroy(&loader);
  free(bytes);
  return state_remove_folder(unused);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_whole_file_loads),
      cmocka_unit_test(a_file_cut_anywhere_is_known_for_damaged),
      cmocka_unit_test(one_flipped_bit_anywhere_is_found),
      cmocka_unit_test(damage_is_found_on_whatever_mesh_saved_and_loads),
      cmocka_unit_test(another_programs_file_is_refused),
      cmocka_unit_test(a_short_file_is_damaged_where_it_begins_as_ours),
      cmocka_unit_test(what_is_no_file_is_refused_and_not_waited_for),
      cmocka_unit_test(other_format_versions_are_named),
      cmocka_unit_test(a_name_of_another_step_is_refused),
      cmocka_unit_test(constants_that_are_not_the_models_are_all_listed),
      cmocka_unit_test(names_of_one_model_are_one),
      cmocka_unit_test(tensors_that_are_not_the_models_are_all_listed),
  };
  begin_mpi_tests(&argc, &argv);
  return end_mpi_tests(cmocka_run_group_tests(tests, make, remove_all));
}
