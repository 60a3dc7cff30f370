// Inside the metrics: the rows once more, each with a checksum, behind the end of a file's HDF5 part.
//
// At `start`, a record of each row in order: its values (float64, least byte first), then XXH64 of them with the row's
// index as seed. An index whose checksum is 0 has no row. The last bytes of the file say where the records are.
#ifndef TITAN_OBSERVE_METRICS_RECORD_H
#define TITAN_OBSERVE_METRICS_RECORD_H

#include "observe/metrics_file.h"

enum { TITAN_METRICS_RECORD_BYTES = 8 * (TITAN_METRICS_COLUMNS + 1) };

// Bytes of `capacity` records and what tells where they are.
uint64_t titan_metrics_record_bytes(uint64_t capacity);

// Both return 0 or the system's error number. The file is `start` + titan_metrics_record_bytes long after the first.
int titan_metrics_record_begin(int descriptor, uint64_t start, uint64_t capacity);
int titan_metrics_record_write(int descriptor, uint64_t start, uint64_t first, const titan_metrics_row *rows,
                               uint64_t count);

// `count` values, least byte first.
void titan_metrics_encode(const double *values, int count, unsigned char *bytes);

#endif
