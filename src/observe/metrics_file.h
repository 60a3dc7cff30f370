// Inside the metrics: a file of them, made by HDF5 and written without it.
#ifndef TITAN_OBSERVE_METRICS_FILE_H
#define TITAN_OBSERVE_METRICS_FILE_H

#include "observe/hdf5_extent.h"
#include "observe/metrics.h"

#include <sys/types.h>

#define TITAN_METRICS_COUNT(name, unit, description) +1
enum { TITAN_METRICS_COLUMNS = 0 TITAN_METRICS_LIST(TITAN_METRICS_COUNT) };
#undef TITAN_METRICS_COUNT

// Where its parts lie.
typedef struct titan_metrics_file {
  uint64_t capacity; // rows
  uint64_t record;   // the first byte of the rows with their checksums
  dev_t device;      // which file it is: one that another run put in its place is not written to
  ino_t number;
  struct {
    uint64_t data; // the first byte of the values
    titan_hdf5_extent extent;
  } columns[TITAN_METRICS_COLUMNS];
} titan_metrics_file;

// Not collective. Makes the file at options->path with these rows and room for at least `rows_to_come` more, under a
// name of its own, and renames it. TITAN_ERROR_OUTPUT with the path and the reason; then what is at the path is as it
// was.
titan_status titan_metrics_file_create(const titan_metrics_options *options, const titan_metrics_row *rows,
                                       uint64_t count, uint64_t rows_to_come, titan_metrics_file *out);

// Not collective. Opens it for titan_metrics_file_write, once each time. TITAN_ERROR_OUTPUT with the path and the
// reason; *gone: there is no file of that name.
titan_status titan_metrics_file_open(const titan_metrics_file *file, const char *path, int *descriptor, bool *gone);

// Not collective. Writes rows behind the `first` that are there; both together are at most file->capacity. 0, or the
// system's error number: then it may be repeated, and whoever reads the file sees the `first`, or some of these rows.
int titan_metrics_file_write(titan_metrics_file *file, int descriptor, uint64_t first, const titan_metrics_row *rows,
                             uint64_t count);

#endif
