// The run's numbers as a file: <dump>/metrics.h5, one extendible one-dimensional float64 dataset a quantity, one row a
// logged step. Each row is written in HDF5's SWMR mode and the file closed again, so that other processes can read it
// at any time: those that keep it open as SWMR readers, and between two rows every tool that reads HDF5.
#ifndef TITAN_OBSERVE_METRICS_H
#define TITAN_OBSERVE_METRICS_H

#include "base/status.h"

#include <stdint.h>

// dataset and member, unit, description
#define TITAN_METRICS_LIST(X)                                                                                          \
  X(step, "1", "number of the optimizer step, from 1")                                                                 \
  X(loss, "nat", "mean cross-entropy over all ranks, of the steps since the row before")                               \
  X(loss_max, "nat", "largest mean cross-entropy of one rank in one step, of the steps since the row before")          \
  X(grad_norm, "1", "global L2 norm of the gradient before clipping")                                                  \
  X(lr, "1", "learning rate of the step")                                                                              \
  X(tokens, "token", "tokens trained on since the first step, all ranks together")                                     \
  X(seconds, "s", "wall time of the step")                                                                             \
  X(tps, "token/s", "tokens per second and device, since the row before")                                              \
  X(mfu, "%", "model FLOP/s as a share of the peak")                                                                   \
  X(memory, "GiB", "peak of the memory that rank 0 allocated")

typedef struct titan_metrics_row {
#define TITAN_METRICS_MEMBER(name, unit, description) double name;
  TITAN_METRICS_LIST(TITAN_METRICS_MEMBER)
#undef TITAN_METRICS_MEMBER
} titan_metrics_row;

typedef struct titan_metrics titan_metrics;

// Not collective; one process of the run, one thread. Makes missing folders and the file, in place of an existing one;
// of that one the rows with step < first_step stay, so a run that resumes passes its first step, and a new run 0. The
// new file replaces the old one in one rename: whoever reads the old one keeps it. TITAN_ERROR_OUTPUT with the path and
// the reason. Destroy it before MPI_Finalize, which closes HDF5.
titan_status titan_metrics_create(const char *path, int64_t first_step, titan_metrics **out);

// Adds a row and brings it to the file. /step is written last: as many rows as /step has are whole in every dataset.
// Not after MPI_Finalize, which ends HDF5. TITAN_ERROR_OUTPUT with the path and the reason (a full disk, say).
titan_status titan_metrics_append(titan_metrics *metrics, const titan_metrics_row *row);

// Frees it; NULL is fine. Clears *metrics. The file is complete without this.
void titan_metrics_destroy(titan_metrics **metrics);

// Reads the rows of a file, also of one that is being written, or whose writer was killed. The caller frees
// *rows with titan_memory_free. TITAN_ERROR_OUTPUT with the path and the reason.
titan_status titan_metrics_read(const char *path, titan_metrics_row **rows, uint64_t *count);

#endif
