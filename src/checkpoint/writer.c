#include "checkpoint/writer_private.h"

#include "base/clock.h"
#include "base/memory.h"
#include "checkpoint/agree.h"
#include "checkpoint/hints.h"
#include "storage/hdf5.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

// --- opening ---

static hid_t open_through_mpi(titan_checkpoint_writer *writer, MPI_Info info) {
  hid_t access = H5Pcreate(H5P_FILE_ACCESS), file = -1;
  if (access >= 0 && H5Pset_fapl_mpio(access, writer->comm, info) >= 0)
    file = H5Fopen(writer->partial, H5F_ACC_RDWR, access);
  if (access >= 0)
    H5Pclose(access);
  return file;
}

// Collective.
static titan_status open_file(titan_checkpoint_writer *writer, const char *hints) {
  MPI_Info info;
  titan_status status = titan_checkpoint_hints_create(hints, &info);
  TITAN_TRY(titan_checkpoint_agree(writer->comm, status, writer->patient));
  titan_hdf5_lock();
  titan_hdf5_quiet();
  writer->file = open_through_mpi(writer, info);
  if (writer->file < 0)
    status = titan_hdf5_error(TITAN_ERROR_CHECKPOINT, "cannot open through MPI-IO", writer->partial);
  titan_hdf5_unlock();
  if (info != MPI_INFO_NULL)
    MPI_Info_free(&info);
  return titan_checkpoint_agree(writer->comm, status, writer->patient);
}

static titan_status allocate(titan_checkpoint_writer *writer, const titan_checkpoint_writer_options *options) {
  size_t length = strlen(options->path) + sizeof ".partial";
  TITAN_TRY(titan_memory_duplicate(TITAN_MEMORY_GENERAL, options->path, &writer->path));
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, length, &writer->partial));
  snprintf(writer->partial, length, "%s.partial", options->path);
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, (size_t)options->tensor_count, sizeof *writer->tensors,
                                         &writer->tensors));
  memcpy(writer->tensors, options->tensors, (size_t)options->tensor_count * sizeof *writer->tensors);
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, (size_t)options->slab_count, sizeof *writer->rows,
                                         &writer->rows));
  if (options->staging)
    TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_CHECKPOINT, TITAN_CHECKPOINT_STAGING_BYTES, &writer->staging));
  return TITAN_OK;
}

static void destroy(titan_checkpoint_writer *writer) {
  if (writer == NULL)
    return;
  titan_memory_free(writer->path);
  titan_memory_free(writer->partial);
  titan_memory_free(writer->tensors);
  titan_memory_free(writer->rows);
  titan_memory_free(writer->staging);
  titan_memory_free(writer);
}

static titan_status create(titan_checkpoint_writer *writer, const titan_checkpoint_writer_options *options) {
  titan_status status = TITAN_OK;
  TITAN_TRY(
      titan_checkpoint_count(writer->comm, writer->slab_count, &writer->first_slab, &writer->slabs, writer->patient));
  if (writer->rank == 0)
    status = titan_checkpoint_skeleton_create(writer, options->hints, options->contents);
  TITAN_TRY(titan_checkpoint_agree(writer->comm, status, writer->patient));
  return open_file(writer, options->hints);
}

titan_status titan_checkpoint_writer_create(const titan_checkpoint_writer_options *options,
                                            titan_checkpoint_writer **out) {
  titan_checkpoint_writer *writer = NULL;
  titan_status status = titan_memory_allocate_zeroed(TITAN_MEMORY_GENERAL, 1, sizeof *writer, &writer);
  if (status == TITAN_OK) {
    writer->begun = titan_clock_seconds();
    writer->comm = options->comm;
    writer->patient = options->patient;
    writer->replace = options->replace;
    writer->tensor_count = options->tensor_count;
    writer->slab_count = options->slab_count;
    writer->file = writer->dataset = -1;
    MPI_Comm_rank(writer->comm, &writer->rank);
    status = allocate(writer, options);
  }
  *out = NULL;
  status = titan_checkpoint_agree(options->comm, status, options->patient);
  if (status == TITAN_OK) {
    *out = writer;
    status = create(writer, options);
    writer->opened = titan_clock_seconds();
    if (status == TITAN_OK)
      return TITAN_OK;
    return titan_checkpoint_writer_finish(out, status, NULL);
  }
  destroy(writer);
  return status;
}

// --- data ---

static titan_status failed(const titan_checkpoint_writer *writer, const char *what) {
  return titan_hdf5_error(TITAN_ERROR_CHECKPOINT, what, writer->path);
}

static titan_status open_dataset(titan_checkpoint_writer *writer, int64_t index) {
  const titan_checkpoint_tensor *tensor = &writer->tensors[index];
  char path[TITAN_CHECKPOINT_NAME_BYTES + 32];
  if (writer->dataset >= 0 && writer->dataset_tensor == index)
    return TITAN_OK;
  if (writer->dataset >= 0)
    H5Dclose(writer->dataset);
  snprintf(path, sizeof path, "%s/%s", titan_checkpoint_group_path(tensor->group), tensor->name);
  writer->dataset = H5Dopen2(writer->file, path, H5P_DEFAULT);
  writer->dataset_tensor = index;
  return writer->dataset < 0 ? failed(writer, "cannot write a tensor to") : TITAN_OK;
}

// `count` elements of the dataset's type, from `data`, to the rectangle.
static herr_t write_hyperslab(hid_t dataset, int rank, const hsize_t *first, const hsize_t *extent, const void *data) {
  hsize_t count = extent[0] * (rank == 2 ? extent[1] : 1);
  hid_t space = H5Dget_space(dataset), memory = H5Screate_simple(1, &count, NULL), type = H5Dget_type(dataset);
  herr_t result = -1;
  if (space >= 0 && memory >= 0 && type >= 0 &&
      H5Sselect_hyperslab(space, H5S_SELECT_SET, first, NULL, extent, NULL) >= 0)
    result = H5Dwrite(dataset, type, memory, space, H5P_DEFAULT, data);
  if (type >= 0)
    H5Tclose(type);
  if (memory >= 0)
    H5Sclose(memory);
  if (space >= 0)
    H5Sclose(space);
  return result;
}

// One piece, dense in memory, of the tensor's type.
static titan_status write_piece(titan_checkpoint_writer *writer, const titan_checkpoint_slab *piece, const void *data) {
  bool vector = writer->tensors[piece->tensor].rank == 1;
  hsize_t first[2] = {(hsize_t)piece->row, (hsize_t)piece->column};
  hsize_t extent[2] = {(hsize_t)piece->rows, (hsize_t)piece->columns};
  titan_hdf5_lock();
  titan_status status = open_dataset(writer, piece->tensor);
  if (status == TITAN_OK && write_hyperslab(writer->dataset, vector ? 1 : 2, first + vector, extent + vector, data) < 0)
    status = failed(writer, "cannot write a tensor to");
  titan_hdf5_unlock();
  return status;
}

// A piece's elements in the tensor's type, one after another: in place when they are so already, else in the staging
// memory.
static const void *gather(titan_checkpoint_writer *writer, const titan_checkpoint_slab *piece, const float *data,
                          int64_t stride) {
  titan_number number = writer->tensors[piece->tensor].number;
  if (number == TITAN_NUMBER_FLOAT32 && (stride == piece->columns || piece->rows == 1))
    return data;
  size_t size = titan_number_bytes(number);
  for (int64_t i = 0; i < piece->rows; i++)
    titan_number_from_float(number, piece->columns, data + i * stride,
                            (char *)writer->staging + (size_t)(i * piece->columns) * size);
  return writer->staging;
}

static titan_status check_values(const titan_checkpoint_writer *writer, const titan_checkpoint_slab *piece,
                                 const float *data, int64_t stride) {
  const titan_checkpoint_tensor *tensor = &writer->tensors[piece->tensor];
  for (int64_t i = 0; i < piece->rows && tensor->number == TITAN_NUMBER_FLOAT16; i++) {
    int64_t place = titan_number_unfit(tensor->number, piece->columns, data + i * stride);
    if (place >= 0)
      return titan_number_unfit_error(writer->path, tensor->name, data[i * stride + place]);
  }
  return TITAN_OK;
}

static titan_status write_pieces(titan_checkpoint_writer *writer, const titan_checkpoint_slab *slab, const float *data,
                                 int64_t stride, XXH64_state_t *state) {
  int64_t capacity = TITAN_CHECKPOINT_STAGING_BYTES / (int64_t)sizeof(float);
  int64_t columns = slab->columns < capacity ? slab->columns : capacity;
  int64_t rows = columns < slab->columns ? 1 : capacity / columns;
  size_t size = titan_number_bytes(writer->tensors[slab->tensor].number);
  for (int64_t row = 0; row < slab->rows; row += rows)
    for (int64_t column = 0; column < slab->columns; column += columns) {
      titan_checkpoint_slab piece = {.tensor = slab->tensor,
                                     .row = slab->row + row,
                                     .rows = slab->rows - row < rows ? slab->rows - row : rows,
                                     .column = slab->column + column,
                                     .columns = slab->columns - column < columns ? slab->columns - column : columns};
      TITAN_TRY(check_values(writer, &piece, data + row * stride + column, stride));
      const void *elements = gather(writer, &piece, data + row * stride + column, stride);
      XXH64_update(state, elements, (size_t)(piece.rows * piece.columns) * size);
      TITAN_TRY(write_piece(writer, &piece, elements));
    }
  return TITAN_OK;
}

titan_status titan_checkpoint_writer_write(titan_checkpoint_writer *writer, titan_checkpoint_slab *slab,
                                           const float *data, int64_t stride) {
  if (writer->done_slabs == writer->slab_count)
    return titan_error(TITAN_ERROR_INTERNAL, "more slabs than were announced");
  XXH64_state_t *state = XXH64_createState();
  if (state == NULL)
    return titan_error(TITAN_ERROR_MEMORY, "no memory for a hash");
  XXH64_reset(state, 0);
  titan_status status = write_pieces(writer, slab, data, stride, state);
  slab->checksum = XXH64_digest(state);
  XXH64_freeState(state);
  writer->rows[writer->done_slabs++] = *slab;
  return status;
}

// --- completion ---

// This rank's rows of /checksums.
static titan_status write_rows(titan_checkpoint_writer *writer) {
  hsize_t first[2] = {(hsize_t)writer->first_slab, 0}, extent[2] = {(hsize_t)writer->slab_count, 6};
  if (writer->done_slabs != writer->slab_count)
    return titan_error(TITAN_ERROR_INTERNAL, "fewer slabs than were announced");
  if (writer->slab_count == 0)
    return TITAN_OK;
  hid_t dataset = H5Dopen2(writer->file, "/checksums", H5P_DEFAULT);
  herr_t result = dataset < 0 ? -1 : write_hyperslab(dataset, 2, first, extent, writer->rows);
  if (dataset >= 0)
    H5Dclose(dataset);
  return result < 0 ? failed(writer, "cannot write checksums to") : TITAN_OK;
}

// Collective. Brings the data to the disk and closes the file.
static titan_status close_file(titan_checkpoint_writer *writer, titan_status status) {
  if (writer->file < 0)
    return status;
  titan_hdf5_lock();
  if (writer->dataset >= 0)
    H5Dclose(writer->dataset);
  if (status == TITAN_OK)
    status = write_rows(writer);
  titan_hdf5_unlock();
  status = titan_checkpoint_agree(writer->comm, status, writer->patient);
  titan_hdf5_lock();
  if (status == TITAN_OK && H5Fflush(writer->file, H5F_SCOPE_GLOBAL) < 0) // with MPI_File_sync on each rank
    status = failed(writer, "cannot bring to the disk");
  if (H5Fclose(writer->file) < 0 && status == TITAN_OK)
    status = failed(writer, "cannot close");
  titan_hdf5_unlock();
  return status;
}

titan_status titan_checkpoint_writer_finish(titan_checkpoint_writer **writer, titan_status status,
                                            titan_checkpoint_written *written) {
  titan_checkpoint_writer *w = *writer;
  titan_checkpoint_written result = {.create_seconds = w->opened - w->begun};
  double done = titan_clock_seconds();
  // Ranks wait here for the slowest, before the collective calls of HDF5 in which they would spin.
  status = titan_checkpoint_agree(w->comm, status, w->patient);
  double all_done = titan_clock_seconds();
  status = titan_checkpoint_agree(w->comm, close_file(w, status), w->patient);
  if (status == TITAN_OK && w->rank == 0)
    status = titan_checkpoint_skeleton_complete(w, &result.bytes);
  status = titan_checkpoint_agree(w->comm, status, w->patient);
  result.write_seconds = done - w->opened;
  result.wait_seconds = all_done - done;
  result.flush_seconds = titan_clock_seconds() - all_done;
  if (status == TITAN_OK && written != NULL)
    *written = result;
  if (status != TITAN_OK && w->made)
    unlink(w->partial);
  destroy(w);
  *writer = NULL;
  return status;
}
