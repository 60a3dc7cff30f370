// SPDX-License-Identifier: Apache-2.0
#include "observe/metrics_file.h"

#include "base/memory.h"
#include "storage/hdf5.h"
#include "storage/hdf5_image.h"
#include "storage/space.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// METADATA_BYTES: what HDF5 writes of an empty file with short attributes, and some to spare.
enum { CHUNK_ROWS = 1024, METADATA_BYTES = 128 * 1024, ALIGNMENT = 512, ROWS_AT_ONCE = 512 };

// --- the part that HDF5 makes ---

static herr_t write_text_attribute(hid_t object, const char *name, const char *text) {
  hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
  herr_t result = H5Tset_size(type, strlen(text) + 1) < 0 ? -1 : H5Tset_cset(type, H5T_CSET_UTF8);
  hid_t attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
  if (result >= 0)
    result = attribute < 0 ? -1 : H5Awrite(attribute, type, text);
  if (attribute >= 0)
    H5Aclose(attribute);
  H5Sclose(space);
  H5Tclose(type);
  return result;
}

// Early allocation of a fixed maximum: the chunks lie one after another, without an index that would have to be kept.
static hid_t create_layout(void) {
  hsize_t chunk = CHUNK_ROWS;
  hid_t layout = H5Pcreate(H5P_DATASET_CREATE);
  if (layout >= 0 && (H5Pset_chunk(layout, 1, &chunk) < 0 || H5Pset_alloc_time(layout, H5D_ALLOC_TIME_EARLY) < 0 ||
                      H5Pset_fill_time(layout, H5D_FILL_TIME_NEVER) < 0)) {
    H5Pclose(layout);
    return -1;
  }
  return layout;
}

// Notes where the values and the header of the dataset lie.
static herr_t find_places(hid_t dataset, int index, titan_metrics_part *part) {
  hsize_t first = 0, bytes;
  unsigned unused;
  haddr_t data;
#if H5_VERSION_GE(1, 12, 0)
  H5O_info1_t information;
#else
  H5O_info_t information;
#endif
  if (H5Dget_chunk_info_by_coord(dataset, &first, &unused, &data, &bytes) < 0 || data == HADDR_UNDEF ||
      H5Oget_info1(dataset, &information) < 0)
    return -1;
  part->columns[index].data = data;
  part->columns[index].extent.address = information.addr;
  return 0;
}

// A dataset of all the rows there is room for; its length is set later.
static herr_t create_dataset(hid_t hdf5, const titan_metrics_column *column, int index, titan_metrics_part *part) {
  hsize_t rows = part->record.capacity;
  hid_t layout = create_layout(), space = H5Screate_simple(1, &rows, &rows);
  hid_t dataset = H5Dcreate2(hdf5, column->name, H5T_IEEE_F64LE, space, H5P_DEFAULT, layout, H5P_DEFAULT);
  herr_t result = dataset < 0 ? -1 : write_text_attribute(dataset, "units", column->unit);
  if (result >= 0)
    result = write_text_attribute(dataset, "description", column->description);
  if (result >= 0)
    result = find_places(dataset, index, part);
  if (dataset >= 0 && H5Dclose(dataset) < 0)
    result = -1;
  H5Sclose(space);
  H5Pclose(layout);
  return result;
}

static herr_t create_datasets(hid_t hdf5, const titan_metrics_series_row *table, titan_metrics_part *part) {
  herr_t result = 0;
  for (int i = 0; i < table->column_count && result >= 0; i++)
    result = create_dataset(hdf5, &table->columns[i], i, part);
  return result;
}

// Each header at a multiple of ALIGNMENT, and so in one page: a write to it is done as a whole. The newest format is
// the one that SWMR needs.
static hid_t create_access(titan_hdf5_image *image) {
  hid_t access = titan_hdf5_image_access(image);
  if (access >= 0 && (H5Pset_libver_bounds(access, H5F_LIBVER_LATEST, H5F_LIBVER_LATEST) < 0 ||
                      H5Pset_alignment(access, 1, ALIGNMENT) < 0 || H5Pset_meta_block_size(access, 0) < 0)) {
    H5Pclose(access);
    return -1;
  }
  return access;
}

// In memory: HDF5 does not survive a file that it cannot write.
static herr_t create_hdf5(const titan_metrics_options *options, const char *partial, titan_hdf5_image *image,
                          titan_metrics_file *file) {
  hid_t access = create_access(image);
  hid_t hdf5 = access < 0 ? -1 : H5Fcreate(partial, H5F_ACC_TRUNC, H5P_DEFAULT, access);
  if (access >= 0)
    H5Pclose(access);
  if (hdf5 < 0)
    return -1;
  herr_t result = write_text_attribute(hdf5, "format", "titan-hpc metrics 4");
  for (int i = 0; i < options->attribute_count && result >= 0; i++)
    result = write_text_attribute(hdf5, options->attributes[i].name, options->attributes[i].value);
  for (int series = 0; series < TITAN_METRICS_SERIES && result >= 0; series++)
    result = create_datasets(hdf5, &titan_metrics_series_table[series], &file->series[series]);
  return H5Fclose(hdf5) < 0 ? -1 : result;
}

// --- the file as a whole ---

static titan_status system_error(const char *what, const char *path, int reason) {
  return titan_error(TITAN_ERROR_OUTPUT, "cannot %s the metrics file %s: %s", what, path, strerror(reason));
}

static titan_status find_extents(int descriptor, titan_metrics_file *file) {
  for (int series = 0; series < TITAN_METRICS_SERIES; series++)
    for (int i = 0; i < titan_metrics_series_table[series].column_count; i++) {
      titan_hdf5_extent *extent = &file->series[series].columns[i].extent;
      TITAN_TRY(titan_hdf5_extent_find(descriptor, extent->address, extent));
    }
  return TITAN_OK;
}

static int set_lengths(int descriptor, titan_metrics_series series, titan_metrics_file *file, uint64_t rows) {
  int reason = 0;
  for (int i = titan_metrics_series_table[series].column_count - 1; i >= 0 && reason == 0; i--) // column 0 is the step
    reason = titan_hdf5_extent_set(descriptor, &file->series[series].columns[i].extent, rows);
  return reason;
}

static titan_status complete(const char *path, int descriptor, const titan_metrics_rows *rows,
                             titan_metrics_file *file) {
  titan_metrics_record records[TITAN_METRICS_SERIES];
  struct stat information;
  if (fstat(descriptor, &information) != 0)
    return system_error("create", path, errno);
  file->device = information.st_dev;
  file->number = information.st_ino;
  if (find_extents(descriptor, file) != TITAN_OK)
    return titan_error(TITAN_ERROR_OUTPUT, "cannot create the metrics file %s: %s", path, titan_error_message());
  for (int series = 0; series < TITAN_METRICS_SERIES; series++)
    records[series] = file->series[series].record;
  int reason = titan_metrics_record_begin(descriptor, ((uint64_t)information.st_size + 7) / 8 * 8, records);
  for (int series = 0; series < TITAN_METRICS_SERIES && reason == 0; series++) {
    file->series[series].record = records[series];
    reason = set_lengths(descriptor, (titan_metrics_series)series, file, 0);
    if (reason == 0)
      reason = titan_metrics_file_write(file, descriptor, (titan_metrics_series)series, 0, &rows[series]);
  }
  return reason == 0 ? TITAN_OK : system_error("create", path, reason);
}

static uint64_t metadata_bytes(const titan_metrics_options *options) {
  uint64_t bytes = METADATA_BYTES;
  for (int i = 0; i < options->attribute_count; i++)
    bytes += 2 * strlen(options->attributes[i].value);
  return bytes;
}

// Room for what is written at once, and a length that this process may give to a file.
static titan_status check_room(const titan_metrics_options *options, const char *partial,
                               const titan_metrics_rows *rows, const titan_metrics_file *file) {
  uint64_t bytes = metadata_bytes(options), all = bytes;
  for (int series = 0; series < TITAN_METRICS_SERIES; series++) {
    uint64_t row = 2 * titan_metrics_record_bytes((titan_metrics_series)series);
    bytes += rows[series].count * row;
    all += file->series[series].record.capacity * row;
  }
  TITAN_TRY(titan_space_check_new(partial, options->path, bytes));
  if (truncate(partial, (off_t)all) != 0 || truncate(partial, 0) != 0)
    return system_error("create", options->path, errno);
  return TITAN_OK;
}

// What HDF5 has made goes into the file, which gets its length.
static int write_image(int descriptor, const titan_hdf5_image *image) {
  return ftruncate(descriptor, (off_t)titan_hdf5_image_length(image)) != 0 ? errno
                                                                           : titan_hdf5_image_write(image, descriptor);
}

static titan_status make_structure(const titan_metrics_options *options, const char *partial, int descriptor,
                                   titan_metrics_file *file) {
  titan_hdf5_image *image;
  titan_status status = TITAN_OK;
  TITAN_TRY(titan_hdf5_image_create(metadata_bytes(options), &image));
  titan_hdf5_lock();
  titan_hdf5_quiet();
  if (create_hdf5(options, partial, image, file) < 0)
    status = titan_hdf5_error(TITAN_ERROR_OUTPUT, "cannot create the metrics file", options->path);
  titan_hdf5_unlock();
  int reason = status == TITAN_OK ? write_image(descriptor, image) : 0;
  titan_hdf5_image_destroy(&image);
  return reason == 0 ? status : system_error("create", options->path, reason);
}

static titan_status make(const titan_metrics_options *options, const char *partial, const titan_metrics_rows *rows,
                         titan_metrics_file *file) {
  const char *path = options->path;
  TITAN_TRY(check_room(options, partial, rows, file));
  int descriptor = open(partial, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
  if (descriptor < 0)
    return system_error("create", path, errno);
  titan_status status = make_structure(options, partial, descriptor, file);
  if (status == TITAN_OK)
    status = complete(path, descriptor, rows, file);
  if (close(descriptor) != 0 && status == TITAN_OK)
    status = system_error("create", path, errno);
  if (status == TITAN_OK && rename(partial, path) != 0)
    status = system_error("create", path, errno);
  return status;
}

titan_status titan_metrics_file_create(const titan_metrics_options *options,
                                       const titan_metrics_rows rows[TITAN_METRICS_SERIES],
                                       const uint64_t to_come[TITAN_METRICS_SERIES], titan_metrics_file *out) {
  const char *path = options->path;
  size_t size = strlen(path) + sizeof ".partial";
  char *partial = NULL;
  *out = (titan_metrics_file){0};
  for (int series = 0; series < TITAN_METRICS_SERIES; series++) {
    // Of two chunks at least: HDF5 lays a single one out in another way.
    uint64_t chunks = (rows[series].count + to_come[series] + CHUNK_ROWS - 1) / CHUNK_ROWS;
    out->series[series].record.capacity = (chunks < 2 ? 2 : chunks) * CHUNK_ROWS;
  }
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_OBSERVE, size, &partial));
  snprintf(partial, size, "%s.partial", path);
  unlink(partial); // of a run that was killed
  titan_status status = titan_space_make_file(partial, path);
  if (status == TITAN_OK) {
    status = make(options, partial, rows, out);
    if (status != TITAN_OK)
      unlink(partial);
  }
  titan_memory_free(partial);
  return status;
}

titan_status titan_metrics_file_open(const titan_metrics_file *file, const char *path, int *descriptor, bool *gone) {
  struct stat now;
  *descriptor = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
  *gone = *descriptor < 0 && errno == ENOENT;
  int reason = *descriptor < 0 || fstat(*descriptor, &now) != 0 ? errno : 0;
  if (reason == 0 && now.st_ino == file->number && now.st_dev == file->device)
    return TITAN_OK;
  if (*descriptor >= 0)
    close(*descriptor);
  *descriptor = -1;
  if (reason != 0)
    return system_error("write to", path, reason);
  return titan_error(TITAN_ERROR_OUTPUT,
                     "cannot write to the metrics file %s: another file has replaced it; does another run use the "
                     "same job.dump_folder?",
                     path);
}

int titan_metrics_file_write(titan_metrics_file *file, int descriptor, titan_metrics_series series, uint64_t first,
                             const titan_metrics_rows *rows) {
  const titan_metrics_part *part = &file->series[series];
  int columns = titan_metrics_series_table[series].column_count, reason = 0;
  if (rows->count == 0)
    return 0;
  for (int column = 0; column < columns; column++)
    for (uint64_t i = 0, count; i < rows->count && reason == 0; i += count) {
      unsigned char bytes[8 * ROWS_AT_ONCE];
      count = rows->count - i < ROWS_AT_ONCE ? rows->count - i : ROWS_AT_ONCE;
      for (uint64_t k = 0; k < count; k++)
        titan_metrics_encode(&rows->values[(i + k) * (uint64_t)columns + (uint64_t)column], 1, bytes + 8 * k);
      ssize_t written = pwrite(descriptor, bytes, 8 * count, (off_t)(part->columns[column].data + 8 * (first + i)));
      reason = written == (ssize_t)(8 * count) ? 0 : written < 0 ? errno : ENOSPC;
    }
  if (reason == 0)
    reason = titan_metrics_record_write(descriptor, series, &part->record, first, rows->values, rows->count);
  return reason == 0 ? set_lengths(descriptor, series, file, first + rows->count) : reason;
}
