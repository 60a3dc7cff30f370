// SPDX-License-Identifier: Apache-2.0
// Inside the metrics: a file of them, made by HDF5 and written without it.
#ifndef TITAN_OBSERVE_METRICS_FILE_H
#define TITAN_OBSERVE_METRICS_FILE_H

#include "observe/hdf5_extent.h"
#include "observe/metrics_record.h"

#include <sys/types.h>

// Where the parts of a series lie.
typedef struct titan_metrics_part {
  titan_metrics_record record; // the rows with their checksums; its capacity is the datasets' too
  struct {
    uint64_t data; // the first byte of the values
    titan_hdf5_extent extent;
  } columns[TITAN_METRICS_MOST_COLUMNS];
} titan_metrics_part;

typedef struct titan_metrics_file {
  dev_t device; // which file it is: one that another run put in its place is not written to
  ino_t number;
  titan_metrics_part series[TITAN_METRICS_SERIES];
} titan_metrics_file;

// Not collective. Makes the file at options->path with these rows and room for at least `to_come` more of each series,
// under a name of its own, and renames it. TITAN_ERROR_OUTPUT with the path and the reason; then what is at the path is
// as it was.
titan_status titan_metrics_file_create(const titan_metrics_options *options,
                                       const titan_metrics_rows rows[TITAN_METRICS_SERIES],
                                       const uint64_t to_come[TITAN_METRICS_SERIES], titan_metrics_file *out);

// Not collective. Opens it for titan_metrics_file_write, once each time. TITAN_ERROR_OUTPUT with the path and the
// reason; *gone: there is no file of that name.
titan_status titan_metrics_file_open(const titan_metrics_file *file, const char *path, int *descriptor, bool *gone);

// Not collective. Writes rows of a series behind the `first` that are there; both together are at most its capacity. 0,
// or the system's error number: then it may be repeated, and whoever reads the file sees the `first`, or some of these
// rows.
int titan_metrics_file_write(titan_metrics_file *file, int descriptor, titan_metrics_series series, uint64_t first,
                             const titan_metrics_rows *rows);

#endif
