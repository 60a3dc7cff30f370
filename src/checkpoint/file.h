// SPDX-License-Identifier: Apache-2.0
// One checkpoint file: what it holds, and reading it. Serial; any process may read any file. Writing is in writer.h.
//
// The file is HDF5. /model/NAME, /optimizer/exp_avg/NAME and /optimizer/exp_avg_sq/NAME are contiguous datasets of the
// parameters' global shapes; the rest is described in docs/checkpoint-format.md. Tensor data has a checksum for each
// tile (tiles.h), whoever wrote it; files of version 1 have one for each slab, a rectangle that a rank wrote (slabs.h).
#ifndef TITAN_CHECKPOINT_FILE_H
#define TITAN_CHECKPOINT_FILE_H

#include "base/memory.h"
#include "checkpoint/format.h"
#include "model/model.h"
#include "weights/number.h"

#include <stdbool.h>

enum { TITAN_CHECKPOINT_NAME_BYTES = 96 };

// A group of tensors: the model's own, or a state that an optimizer keeps, by its name. States are numbered as their
// names become known; a number holds for as long as the process lives.
typedef int titan_checkpoint_group;
enum { TITAN_CHECKPOINT_MODEL = 0, TITAN_CHECKPOINT_GROUPS_MOST = 32, TITAN_CHECKPOINT_GROUP_BYTES = 64 };

// Of a state, "exp_avg". Not from several threads at once. TITAN_ERROR_CHECKPOINT for a name that is too long, or one
// too many.
titan_status titan_checkpoint_group_of(const char *state, titan_checkpoint_group *out);
// Groups known so far.
int titan_checkpoint_group_count(void);
// "/model", "/optimizer/exp_avg".
const char *titan_checkpoint_group_path(titan_checkpoint_group group);

typedef struct titan_checkpoint_tensor {
  char name[TITAN_CHECKPOINT_NAME_BYTES]; // of the parameter: "layers.0.attention.wq.weight"
  titan_checkpoint_group group;
  titan_number number; // element type in the file
  int rank;            // 1 or 2
  int64_t dims[2];
  uint64_t offset;    // of its data in the file; set by reading and by the writer
  int64_t first_tile; // of its checksums among all (tiles.h); likewise
} titan_checkpoint_tensor;

// As a matrix; a vector is one row.
static inline int64_t titan_checkpoint_rows(const titan_checkpoint_tensor *tensor) {
  return tensor->rank == 2 ? tensor->dims[0] : 1;
}
static inline int64_t titan_checkpoint_columns(const titan_checkpoint_tensor *tensor) {
  return tensor->dims[tensor->rank - 1];
}
uint64_t titan_checkpoint_tensor_bytes(const titan_checkpoint_tensor *tensor);
// Where in the file an element lies.
static inline uint64_t titan_checkpoint_place(const titan_checkpoint_tensor *tensor, int64_t row, int64_t column) {
  return tensor->offset +
         (uint64_t)(row * titan_checkpoint_columns(tensor) + column) * titan_number_bytes(tensor->number);
}

// A rectangle of a tensor: to write, to read, or with a checksum of its own.
typedef struct titan_checkpoint_section {
  int64_t tensor; // index in the order of the tensors' data in the file (that of titan_checkpoint_file.tensors)
  int64_t row, rows, column, columns;
} titan_checkpoint_section;

// What a checkpoint holds beside tensors. Texts may be NULL. Nothing here is owned, except by a titan_checkpoint_file.
typedef struct titan_checkpoint_contents {
  int64_t step;
  const char *program, *mesh, *configuration, *written; // version; "tp 2"; as TOML; date and time
  const char *model_name, *model_flavor;
  const char *optimizer; // "AdamW"; NULL where it has no moments, or is not known
  titan_model_arguments model;
  uint64_t tokenizer;          // fingerprint; 0: not known
  const char *instruction_set; // of the ranks that wrote it, as titan_cpu_isa_name; NULL: not known
  int64_t threads;             // of a rank; 0: not known
  // Training state, which files of weights only do not have.
  bool has_state;
  int64_t tokens;
  int64_t schedule_first, optimizer_first; // finished steps at which the schedule and the moments began: 0 mostly
  double learning_rate;                    // of the last step
  double peak;                             // the schedule: optimizer.lr,
  int64_t warmup_steps, total_steps;       // training.warmup_steps and training.steps; all 0: not known
  // The start: checkpoint.load_step of the run that this file descends from (-1: none), and what
  // checkpoint.exclude_from_loading left out in the run that wrote it (bit p: titan_checkpoint_part p).
  int64_t load_step, excluded;
  int64_t window_steps; // steps since the last logged one: their mean losses summed, their largest
  double window_sum, window_max;
  int64_t log_count; // the loss as logged, [log_count] each
  const int64_t *log_steps;
  const double *log_mean, *log_max;
  // Where the lanes of the data go on.
  bool has_data;
  int64_t lane_count, seq_len;
  uint64_t corpus; // fingerprint
  // [lane_count,4]: document, token, file, document at which the file begins. NULL where the file was opened by another
  // rank: see titan_checkpoint_file_read_cursors.
  const int64_t *cursors;
} titan_checkpoint_contents;

// As model.norm_type has it; and back: -1 for a name that is none.
const char *titan_checkpoint_norm_name(titan_norm_type type);
int titan_checkpoint_norm_find(const char *name);

typedef struct titan_checkpoint_file {
  char *path;
  int descriptor;
  titan_checkpoint_block block;
  titan_checkpoint_contents contents; // owned
  char *texts[8];                     // the memory of contents' texts
  void *arrays[4];                    // and of its arrays
  int tensor_count;
  titan_checkpoint_tensor *tensors;
  int64_t check_count;      // rows of /checksums: of tiles, or in files of version 1 of slabs
  uint64_t checks_offset;   // of its data, which is read part by part
  size_t tile_bytes;        // 0: they are slabs
  uint64_t cursors_offset;  // of the data of /dataloader/cursors
  size_t piece;             // bytes that are read at once; 0: TITAN_STREAM_BYTES, which are also the most
  titan_memory_tag reading; // of the memory that reading takes; of an opened file GENERAL
} titan_checkpoint_file;

// Opens a file of which every byte that is not tensor data has been checked, and whose checksums are for all of it.
// TITAN_ERROR_CHECKPOINT with the path; *fault (may be NULL) tells what kind of failure it is.
titan_status titan_checkpoint_file_open(const char *path, titan_checkpoint_file **out, titan_checkpoint_fault *fault);
// NULL handle is fine; the handle becomes NULL.
void titan_checkpoint_file_close(titan_checkpoint_file **file);

// Index of a tensor, -1 when there is none.
int titan_checkpoint_file_find(const titan_checkpoint_file *file, titan_checkpoint_group group, const char *name);
// Whether any tensor is in the group.
// Whether there is any state of an optimizer.
bool titan_checkpoint_file_has_optimizer(const titan_checkpoint_file *file);
bool titan_checkpoint_file_has(const titan_checkpoint_file *file, titan_checkpoint_group group);

// Reads rows of a tensor into out[rows,columns], elements as in the file. Nothing is verified.
titan_status titan_checkpoint_file_read(const titan_checkpoint_file *file, int tensor, int64_t row, int64_t rows,
                                        void *out);

// Reads the cursors of `count` lanes from lane `first` on. *fault on failure only.
titan_status titan_checkpoint_file_read_cursors(const titan_checkpoint_file *file, int64_t first, int64_t count,
                                                int64_t *cursors, titan_checkpoint_fault *fault);

// A part of a section that has been read: rows x columns at (row, column) of the tensor, as they lie in the file, in
// rows that begin `pitch` bytes apart. A section's parts come row after row, and those of wide rows column after
// column.
typedef struct titan_checkpoint_piece {
  int64_t section, row, rows, column, columns;
  const char *elements;
  size_t pitch;
  bool last; // of the section
} titan_checkpoint_piece;

// Gets a piece of sections[piece->section]. A failure ends the reading.
typedef titan_status titan_checkpoint_use(void *context, const titan_checkpoint_piece *piece);

// Reads sections, one after another, ahead of their use (stream.h). Nothing is verified. *fault (may be NULL), on
// failure of reading: DAMAGED (the file ends), or SYSTEM.
titan_status titan_checkpoint_file_read_sections(const titan_checkpoint_file *file,
                                                 const titan_checkpoint_section *sections, int64_t count,
                                                 titan_checkpoint_use *use, void *context,
                                                 titan_checkpoint_fault *fault);

// Compares the checksums for which `wanted` (NULL: all) returns true, given the tensor that they are of; it is asked
// for each, in the order of the table. A difference is TITAN_ERROR_CHECKPOINT with the tensor and the rows, and ends
// it. *fault as above, and DAMAGED for a difference.
titan_status titan_checkpoint_file_verify(const titan_checkpoint_file *file,
                                          bool (*wanted)(void *context, int64_t tensor), void *context,
                                          titan_checkpoint_fault *fault);

#endif
