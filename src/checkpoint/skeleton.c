// SPDX-License-Identifier: Apache-2.0
// What rank 0 does alone: the file before the tensors' data comes in, and its completion.
#include "base/io_spans.h"
#include "base/memory.h"
#include "checkpoint/contents.h"
#include "checkpoint/hints.h"
#include "checkpoint/stripes.h"
#include "checkpoint/tensors.h"
#include "checkpoint/values.h"
#include "checkpoint/writer_private.h"
#include "comm/mpi_error.h"
#include "storage/hdf5.h"
#include "storage/hdf5_image.h"
#include "storage/rename.h"
#include "storage/space.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// Tensors begin at multiples of ALIGNMENT; metadata comes in blocks, so that little of the file is neither.
enum { ALIGNMENT = 4096, ALIGNED_FROM = 16384, METADATA_BLOCK = 65536, DATASET_BYTES = 1024, GROUND_BYTES = 1 << 18 };

// What HDF5 writes at most.
static uint64_t metadata_bytes(const titan_checkpoint_writer *writer, const titan_checkpoint_contents *contents) {
  return GROUND_BYTES + (uint64_t)writer->tensor_count * DATASET_BYTES + titan_checkpoint_contents_bytes(contents);
}

// The same failure as one of checkpoints.
static titan_status of_checkpoint(titan_status status) {
  return status == TITAN_OK ? TITAN_OK : titan_error(TITAN_ERROR_CHECKPOINT, "%s", titan_error_message());
}

static titan_status system_error(const titan_checkpoint_writer *writer) {
  return titan_error(TITAN_ERROR_CHECKPOINT, "cannot write %s: %s", writer->path, strerror(errno));
}

static uint64_t file_bytes(const titan_checkpoint_writer *writer, const titan_checkpoint_contents *contents) {
  uint64_t bytes = metadata_bytes(writer, contents) + (uint64_t)writer->tile_count * sizeof(uint64_t);
  for (int i = 0; i < writer->tensor_count; i++)
    bytes += titan_checkpoint_tensor_bytes(&writer->tensors[i]) + ALIGNMENT;
  return bytes;
}

// Hints that decide how a file is laid out (striping) act when MPI-IO makes it.
static titan_status make_file_with(const char *path, const char *label, const char *hints) {
  MPI_Info info;
  MPI_File file;
  TITAN_TRY(titan_checkpoint_hints_create(hints, &info));
  if (info == MPI_INFO_NULL)
    return titan_space_make_file(path, label);
  int mode = MPI_MODE_CREATE | MPI_MODE_EXCL | MPI_MODE_RDWR;
  titan_status status = TITAN_MPI(MPI_File_open(MPI_COMM_SELF, path, mode, info, &file));
  if (status == TITAN_OK)
    status = TITAN_MPI(MPI_File_close(&file));
  MPI_Info_free(&info);
  return status;
}

static titan_status make_file(const char *path, const char *label, const char *hints, uint64_t bytes) {
  titan_text all = {0};
  titan_status status = titan_checkpoint_stripes_add(path, bytes, hints, &all);
  if (status == TITAN_OK)
    status = make_file_with(path, label, all.data);
  titan_text_destroy(&all);
  return status;
}

// Neither the file itself, unless it is to be replaced, nor its unfinished form.
static titan_status check_names(const titan_checkpoint_writer *writer) {
  struct stat unused;
  if (!writer->replace && lstat(writer->path, &unused) == 0)
    return titan_error(TITAN_ERROR_CHECKPOINT, "%s exists; nothing is overwritten: move it away", writer->path);
  if (lstat(writer->partial, &unused) == 0)
    return titan_error(
        TITAN_ERROR_CHECKPOINT,
        "cannot write %s: %s is in the way (being written, or left by a killed process): remove it first", writer->path,
        writer->partial);
  return TITAN_OK;
}

static hid_t create_hdf5(titan_hdf5_image *image, const char *path) {
  hid_t access = titan_hdf5_image_access(image), creation = H5Pcreate(H5P_FILE_CREATE), file = -1;
  if (access >= 0 && creation >= 0 && H5Pset_userblock(creation, TITAN_CHECKPOINT_BLOCK_BYTES) >= 0 &&
      H5Pset_alignment(access, ALIGNED_FROM, ALIGNMENT) >= 0 && H5Pset_meta_block_size(access, METADATA_BLOCK) >= 0)
    file = H5Fcreate(path, H5F_ACC_TRUNC, creation, access);
  if (creation >= 0)
    H5Pclose(creation);
  if (access >= 0)
    H5Pclose(access);
  return file;
}

static int compare_regions(const void *a, const void *b) {
  const titan_checkpoint_region *x = a, *y = b;
  return x->offset < y->offset ? -1 : x->offset > y->offset;
}

// A dataset of 64-bit integers [rows,columns] ([rows] when columns is 0) that is filled later. Its handle, or -1.
static hid_t create_table(hid_t file, const char *path, int64_t rows, int64_t columns, uint64_t *offset) {
  hsize_t dims[2] = {(hsize_t)rows, (hsize_t)columns};
  hid_t dataset = titan_values_create_dataset(file, path, H5T_STD_U64LE, columns > 0 ? 2 : 1, dims);
  if (dataset >= 0)
    *offset = H5Dget_offset(dataset);
  return dataset;
}

static herr_t create_checks(hid_t file, titan_checkpoint_writer *writer) {
  hid_t dataset = create_table(file, "/checksums", writer->tile_count, 0, &writer->checks_offset);
  if (dataset < 0)
    return -1;
  herr_t result = titan_values_put_int(dataset, "tile_bytes", (int64_t)writer->sums.tile_bytes);
  return H5Dclose(dataset) < 0 ? -1 : result;
}

// The table of the ranges that tensors take.
static herr_t write_regions(hid_t file, titan_checkpoint_writer *writer) {
  titan_checkpoint_region *regions = NULL;
  if (titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)writer->tensor_count * sizeof *regions, &regions) != TITAN_OK)
    return -1;
  for (int i = 0; i < writer->tensor_count; i++)
    regions[i] =
        (titan_checkpoint_region){writer->tensors[i].offset, titan_checkpoint_tensor_bytes(&writer->tensors[i])};
  qsort(regions, (size_t)writer->tensor_count, sizeof *regions, compare_regions);
  hid_t dataset = create_table(file, "/regions", writer->tensor_count, 2, &writer->regions_offset);
  herr_t result = dataset < 0 ? -1 : H5Dwrite(dataset, H5T_NATIVE_UINT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, regions);
  if (dataset >= 0)
    H5Dclose(dataset);
  titan_memory_free(regions);
  return result;
}

static titan_status fill_hdf5(titan_checkpoint_writer *writer, titan_hdf5_image *image,
                              const titan_checkpoint_contents *contents) {
  titan_hdf5_quiet();
  hid_t file = create_hdf5(image, writer->partial);
  if (file < 0)
    return titan_hdf5_error(TITAN_ERROR_CHECKPOINT, "cannot create", writer->path);
  herr_t result = titan_checkpoint_tensors_create(file, writer->tensor_count, writer->tensors);
  if (result >= 0)
    result = create_checks(file, writer);
  if (result >= 0)
    result = titan_checkpoint_contents_write(file, contents);
  if (result >= 0)
    result = write_regions(file, writer);
  if (H5Fclose(file) < 0 || result < 0)
    return titan_hdf5_error(TITAN_ERROR_CHECKPOINT, "cannot create", writer->path);
  return TITAN_OK;
}

// What HDF5 has made goes into the file, which gets its length.
static titan_status write_image(titan_checkpoint_writer *writer, const titan_hdf5_image *image) {
  uint64_t length = titan_hdf5_image_length(image);
  if (ftruncate(writer->descriptor, (off_t)length) != 0)
    return system_error(writer);
  TITAN_TRY(of_checkpoint(titan_space_reserve(writer->partial, writer->path, length)));
  errno = titan_hdf5_image_write(image, writer->descriptor);
  return errno == 0 ? TITAN_OK : system_error(writer);
}

static titan_status make_structure(titan_checkpoint_writer *writer, const titan_checkpoint_contents *contents) {
  titan_hdf5_image *image;
  titan_status status = titan_hdf5_image_create(metadata_bytes(writer, contents), &image);
  if (status == TITAN_OK) {
    titan_hdf5_lock();
    status = fill_hdf5(writer, image, contents);
    titan_hdf5_unlock();
  }
  if (status == TITAN_OK)
    status = write_image(writer, image);
  if (status == TITAN_OK && writer->verify) {
    writer->image = image;
    return TITAN_OK;
  }
  titan_hdf5_image_destroy(&image);
  return status;
}

titan_status titan_checkpoint_skeleton_create(titan_checkpoint_writer *writer, const char *hints,
                                              const titan_checkpoint_contents *contents) {
  writer->step = contents->step;
  uint64_t bytes = file_bytes(writer, contents);
  TITAN_TRY(of_checkpoint(titan_space_check_free(writer->partial, writer->path, bytes)));
  TITAN_TRY(check_names(writer));
  uint64_t span = titan_io_span_begin("create file");
  titan_status status = of_checkpoint(make_file(writer->partial, writer->path, hints, bytes));
  titan_io_span_end(span, 0);
  TITAN_TRY(status);
  writer->made = true;
  writer->descriptor = open(writer->partial, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
  if (writer->descriptor < 0)
    return system_error(writer);
  span = titan_io_span_begin("write structure");
  status = of_checkpoint(make_structure(writer, contents));
  titan_io_span_end(span, 0);
  return status;
}

// --- completion ---

// The name is on the disk once the folder is.
static titan_status synchronize_folder(const titan_checkpoint_writer *writer) {
  const char *slash = strrchr(writer->path, '/');
  char *folder = NULL;
  TITAN_TRY(titan_memory_duplicate(TITAN_MEMORY_GENERAL, slash != NULL ? writer->path : "./", &folder));
  if (slash != NULL)
    folder[slash - writer->path + 1] = '\0';
  int descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  titan_memory_free(folder);
  // Some file systems refuse to synchronize a folder (EINVAL); they order names by themselves.
  bool good = descriptor >= 0 && (fsync(descriptor) == 0 || errno == EINVAL);
  titan_status status = good ? TITAN_OK : system_error(writer);
  if (descriptor >= 0)
    close(descriptor);
  return status;
}

titan_status titan_checkpoint_skeleton_complete(titan_checkpoint_writer *writer, uint64_t *bytes) {
  titan_checkpoint_block block = {.version = TITAN_CHECKPOINT_VERSION,
                                  .step = writer->step,
                                  .region_count = (uint64_t)writer->tensor_count,
                                  .regions_offset = writer->regions_offset};
  int descriptor = open(writer->partial, O_RDWR | O_CLOEXEC);
  if (descriptor < 0)
    return system_error(writer);
  uint64_t span = titan_io_span_begin("seal");
  titan_status status = titan_checkpoint_block_seal(descriptor, writer->path, &block);
  if (status == TITAN_OK && fsync(descriptor) != 0)
    status = system_error(writer);
  if (close(descriptor) != 0 && status == TITAN_OK)
    status = system_error(writer);
  titan_io_span_end(span, 0);
  if (status == TITAN_OK && writer->verify)
    status = titan_checkpoint_writer_verify_block(writer);
  TITAN_TRY(status);
  span = titan_io_span_begin("rename");
  bool renamed = (writer->replace ? rename : titan_rename_new)(writer->partial, writer->path) == 0;
  status = renamed ? TITAN_OK : system_error(writer);
  titan_io_span_end(span, 0);
  TITAN_TRY(status);
  *bytes = block.file_bytes;
  span = titan_io_span_begin("sync folder");
  status = synchronize_folder(writer);
  titan_io_span_end(span, 0);
  return status;
}
