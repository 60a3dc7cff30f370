// SPDX-License-Identifier: Apache-2.0
// Inside the metrics: the rows once more, each with a checksum, behind the end of a file's HDF5 part.
//
// Of each series, one after another, a record of each row in order: its values (float64, least byte first), then XXH64
// of them with the row's index as seed. An index whose checksum is 0 has no row. The last bytes of the file say where
// the records of each series are. A file of an earlier version has fewer series, or fewer columns in one.
#ifndef TITAN_OBSERVE_METRICS_RECORD_H
#define TITAN_OBSERVE_METRICS_RECORD_H

#include "observe/metrics_series.h"

// Where the records of a series lie in a file.
typedef struct titan_metrics_record {
  uint64_t start;    // the first byte
  uint64_t capacity; // rows
  uint64_t columns;  // of a row: the first ones of the series
} titan_metrics_record;

// Bytes of one record of all the columns.
uint64_t titan_metrics_record_bytes(titan_metrics_series series);

// Makes room for records from byte `start` on, to the file's end. records[] come with their capacities, and get their
// places and columns. 0, or the system's error number.
int titan_metrics_record_begin(int descriptor, uint64_t start, titan_metrics_record records[TITAN_METRICS_SERIES]);

// Writes rows behind the `first` that are there. 0, or the system's error number.
int titan_metrics_record_write(int descriptor, titan_metrics_series series, const titan_metrics_record *record,
                               uint64_t first, const double *rows, uint64_t count);

// Not collective. Reads the rows of every series of a file, also of one that is being written, or whose writer was
// killed; a series that the file does not have has none, and columns that it does not have are NaN. The caller frees
// them with titan_metrics_rows_destroy. TITAN_ERROR_OUTPUT with the path and the reason, also when it is damaged; then
// there are none.
titan_status titan_metrics_record_read(const char *path, titan_metrics_rows rows[TITAN_METRICS_SERIES]);

// `count` values, least byte first.
void titan_metrics_encode(const double *values, int count, unsigned char *bytes);

#endif
