#include "observe/metrics.h"

#include "base/memory.h"
#include "storage/folder.h"
#include "storage/hdf5.h"
#include "storage/space.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// A row makes the file grow by a chunk a dataset at most, and their index.
enum { CHUNK_ROWS = 1024, GROWTH_BYTES = 256 * 1024 };

// The layout of a row: doubles only, so a row is also an array of them, in the order of the table.
typedef struct metrics_column {
  const char *name, *unit, *description;
} metrics_column;

static const metrics_column columns[] = {
#define COLUMN(name, unit, description) {#name, unit, description},
    TITAN_METRICS_LIST(COLUMN)
#undef COLUMN
};
enum { COLUMNS = sizeof columns / sizeof columns[0] };
_Static_assert(sizeof(titan_metrics_row) == COLUMNS * sizeof(double), "a row holds one double a column");

// The file is opened anew for each row. Left open, it would carry the mark of a writer, which makes the usual tools
// (h5dump, a plain open in h5py) refuse it during the run and, after a kill, for good.
struct titan_metrics {
  char *path;
  struct stat identity; // of the file made here: one that another run put in its place is not written to
  hsize_t rows;
};

static herr_t write_text_attribute(hid_t object, const char *name, const char *text) {
  hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
  herr_t result = H5Tset_size(type, strlen(text) + 1);
  hid_t attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
  if (result >= 0)
    result = attribute < 0 ? -1 : H5Awrite(attribute, type, text);
  if (attribute >= 0)
    H5Aclose(attribute);
  H5Sclose(space);
  H5Tclose(type);
  return result;
}

// An empty extendible dataset; negative on failure.
static herr_t create_dataset(hid_t file, const metrics_column *column) {
  hsize_t none = 0, unlimited = H5S_UNLIMITED, chunk = CHUNK_ROWS;
  hid_t space = H5Screate_simple(1, &none, &unlimited), layout = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_chunk(layout, 1, &chunk);
  hid_t dataset = H5Dcreate2(file, column->name, H5T_IEEE_F64LE, space, H5P_DEFAULT, layout, H5P_DEFAULT);
  H5Pclose(layout);
  H5Sclose(space);
  if (dataset < 0)
    return -1;
  herr_t result = write_text_attribute(dataset, "units", column->unit);
  if (result >= 0)
    result = write_text_attribute(dataset, "description", column->description);
  return H5Dclose(dataset) < 0 ? -1 : result;
}

// Writes column `index` of `count` rows behind the `first` that are there.
static herr_t extend_dataset(hid_t file, int index, const titan_metrics_row *rows, hsize_t first, hsize_t count) {
  hsize_t size = first + count, memory_size = count * COLUMNS, memory_first = (hsize_t)index, memory_stride = COLUMNS;
  hid_t dataset = H5Dopen2(file, columns[index].name, H5P_DEFAULT);
  if (dataset < 0)
    return -1;
  herr_t result = H5Dset_extent(dataset, &size);
  if (result >= 0) {
    hid_t file_space = H5Dget_space(dataset), memory_space = H5Screate_simple(1, &memory_size, NULL);
    H5Sselect_hyperslab(file_space, H5S_SELECT_SET, &first, NULL, &count, NULL);
    H5Sselect_hyperslab(memory_space, H5S_SELECT_SET, &memory_first, &memory_stride, &count, NULL);
    result = H5Dwrite(dataset, H5T_NATIVE_DOUBLE, memory_space, file_space, H5P_DEFAULT, rows);
    H5Sclose(memory_space);
    H5Sclose(file_space);
  }
  if (result >= 0)
    result = H5Dflush(dataset);
  return H5Dclose(dataset) < 0 ? -1 : result;
}

static herr_t extend_datasets(hid_t file, const titan_metrics_row *rows, hsize_t first, hsize_t count) {
  for (int i = COLUMNS - 1; i >= 0; i--) // column 0 is /step, which tells readers how many rows are whole
    if (extend_dataset(file, i, rows, first, count) < 0)
      return -1;
  return 0;
}

// Makes the file at `path` with the given rows.
static herr_t create_file(const char *path, const titan_metrics_row *rows, hsize_t count) {
  hid_t access = titan_hdf5_file_access();
  if (access < 0)
    return -1;
  hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, access);
  H5Pclose(access);
  if (file < 0)
    return -1;
  herr_t result = write_text_attribute(file, "format", "titan-hpc metrics 1");
  for (int i = 0; i < COLUMNS && result >= 0; i++)
    result = create_dataset(file, &columns[i]);
  if (result >= 0 && count > 0)
    result = extend_datasets(file, rows, 0, count);
  return H5Fclose(file) < 0 ? -1 : result;
}

// Makes the file under a name of its own and renames it to metrics->path.
static titan_status create_and_rename(titan_metrics *metrics, const titan_metrics_row *rows, uint64_t count) {
  const char *path = metrics->path;
  size_t size = strlen(path) + 32;
  char *partial = NULL;
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_OBSERVE, size, &partial));
  snprintf(partial, size, "%s.%ld.partial", path, (long)getpid());
  titan_status status = TITAN_OK;
  unlink(partial); // of a process of the same number that was killed
  TITAN_TRY_CLEANUP(titan_space_make_file(partial, path));
  status = titan_space_check_new(partial, path, GROWTH_BYTES + 2 * count * sizeof *rows);
  if (status == TITAN_OK && create_file(partial, rows, count) < 0)
    status = titan_hdf5_error(TITAN_ERROR_OUTPUT, "cannot create the metrics file", path);
  else if (status == TITAN_OK && (stat(partial, &metrics->identity) != 0 || rename(partial, path) != 0))
    status = titan_error(TITAN_ERROR_OUTPUT, "cannot create the metrics file %s: %s", path, strerror(errno));
  if (status != TITAN_OK)
    unlink(partial);
  metrics->rows = count;
cleanup:
  titan_memory_free(partial);
  return status;
}

// Number of elements of a one-dimensional dataset; negative on failure.
static hssize_t dataset_length(hid_t dataset) {
  hid_t space = H5Dget_space(dataset);
  if (space < 0)
    return -1;
  hssize_t length = H5Sget_simple_extent_ndims(space) == 1 ? H5Sget_simple_extent_npoints(space) : -1;
  H5Sclose(space);
  return length;
}

// Reads the first `count` values of a column into the rows.
static herr_t read_column(hid_t file, int index, titan_metrics_row *rows, hsize_t count) {
  hid_t dataset = H5Dopen2(file, columns[index].name, H5P_DEFAULT);
  if (dataset < 0)
    return -1;
  herr_t result = -1;
  if (dataset_length(dataset) >= (hssize_t)count) {
    hsize_t zero = 0, first = (hsize_t)index, stride = COLUMNS, memory_size = count * COLUMNS;
    hid_t file_space = H5Dget_space(dataset), memory_space = H5Screate_simple(1, &memory_size, NULL);
    H5Sselect_hyperslab(file_space, H5S_SELECT_SET, &zero, NULL, &count, NULL);
    H5Sselect_hyperslab(memory_space, H5S_SELECT_SET, &first, &stride, &count, NULL);
    result = H5Dread(dataset, H5T_NATIVE_DOUBLE, memory_space, file_space, H5P_DEFAULT, rows);
    H5Sclose(memory_space);
    H5Sclose(file_space);
  }
  H5Dclose(dataset);
  return result;
}

static titan_status read_rows(hid_t file, const char *path, titan_metrics_row **rows, uint64_t *count) {
  hid_t step = H5Dopen2(file, columns[0].name, H5P_DEFAULT);
  hssize_t length = step < 0 ? -1 : dataset_length(step);
  if (step >= 0)
    H5Dclose(step);
  if (length < 0)
    return titan_hdf5_error(TITAN_ERROR_OUTPUT, "no metrics file of this program:", path);
  TITAN_TRY(titan_memory_allocate_zeroed(TITAN_MEMORY_OBSERVE, (size_t)length, sizeof **rows, rows));
  for (int i = 0; i < COLUMNS && length > 0; i++)
    if (read_column(file, i, *rows, (hsize_t)length) < 0) {
      titan_memory_free(*rows);
      *rows = NULL;
      return titan_hdf5_error(TITAN_ERROR_OUTPUT, "cannot read the metrics file", path);
    }
  *count = (uint64_t)length;
  return TITAN_OK;
}

static titan_status read_file(const char *path, titan_metrics_row **rows, uint64_t *count) {
  *rows = NULL;
  *count = 0;
  titan_hdf5_quiet();
  hid_t access = titan_hdf5_file_access();
  if (access < 0)
    return titan_hdf5_error(TITAN_ERROR_OUTPUT, "cannot read the metrics file", path);
  hid_t file = H5Fopen(path, H5F_ACC_RDONLY | H5F_ACC_SWMR_READ, access);
  if (file < 0)
    file = H5Fopen(path, H5F_ACC_RDONLY, access); // rewritten by another tool, in an older format
  H5Pclose(access);
  if (file < 0)
    return titan_hdf5_error(TITAN_ERROR_OUTPUT, "cannot read the metrics file", path);
  titan_status status = read_rows(file, path, rows, count);
  H5Fclose(file);
  return status;
}

static titan_status create(const char *path, int64_t first_step, titan_metrics **out) {
  titan_metrics_row *kept = NULL;
  titan_metrics *metrics = NULL;
  uint64_t count = 0, kept_count = 0;
  titan_status status;
  *out = NULL;
  titan_hdf5_quiet();
  TITAN_TRY(titan_folder_create_for(path));
  if (first_step > 1 && access(path, F_OK) == 0)
    TITAN_TRY(read_file(path, &kept, &count));
  for (uint64_t i = 0; i < count; i++)
    if (kept[i].step < (double)first_step)
      kept[kept_count++] = kept[i];
  TITAN_TRY_CLEANUP(titan_memory_allocate_zeroed(TITAN_MEMORY_OBSERVE, 1, sizeof *metrics, &metrics));
  TITAN_TRY_CLEANUP(titan_memory_duplicate(TITAN_MEMORY_OBSERVE, path, &metrics->path));
  TITAN_TRY_CLEANUP(create_and_rename(metrics, kept, kept_count));
  *out = metrics;
  metrics = NULL;
cleanup:
  if (metrics != NULL)
    titan_memory_free(metrics->path);
  titan_memory_free(metrics);
  titan_memory_free(kept);
  return status;
}

titan_status titan_metrics_create(const char *path, int64_t first_step, titan_metrics **out) {
  titan_hdf5_lock();
  titan_status status = create(path, first_step, out);
  titan_hdf5_unlock();
  return status;
}

static titan_status append(titan_metrics *metrics, const titan_metrics_row *row) {
  static const char what[] = "cannot write to the metrics file";
  struct stat now;
  if (stat(metrics->path, &now) != 0)
    return titan_error(TITAN_ERROR_OUTPUT, "%s %s: %s", what, metrics->path, strerror(errno));
  if (now.st_ino != metrics->identity.st_ino || now.st_dev != metrics->identity.st_dev)
    return titan_error(TITAN_ERROR_OUTPUT,
                       "%s %s: another file has taken its place; does another run have the same job.dump_folder?", what,
                       metrics->path);
  TITAN_TRY(titan_space_check_growth(metrics->path, GROWTH_BYTES));
  hid_t access = titan_hdf5_file_access();
  hid_t file = access < 0 ? -1 : H5Fopen(metrics->path, H5F_ACC_RDWR | H5F_ACC_SWMR_WRITE, access);
  if (access >= 0)
    H5Pclose(access);
  if (file < 0)
    return titan_hdf5_error(TITAN_ERROR_OUTPUT, what, metrics->path);
  herr_t result = extend_datasets(file, row, metrics->rows, 1);
  if (H5Fclose(file) < 0 || result < 0)
    return titan_hdf5_error(TITAN_ERROR_OUTPUT, what, metrics->path);
  metrics->rows++;
  return TITAN_OK;
}

titan_status titan_metrics_append(titan_metrics *metrics, const titan_metrics_row *row) {
  titan_hdf5_lock();
  titan_status status = append(metrics, row);
  titan_hdf5_unlock();
  return status;
}

void titan_metrics_destroy(titan_metrics **metrics) {
  if (*metrics == NULL)
    return;
  titan_memory_free((*metrics)->path);
  titan_memory_free(*metrics);
  *metrics = NULL;
}

titan_status titan_metrics_read(const char *path, titan_metrics_row **rows, uint64_t *count) {
  titan_hdf5_lock();
  titan_status status = read_file(path, rows, count);
  titan_hdf5_unlock();
  return status;
}
