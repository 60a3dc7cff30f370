// SPDX-License-Identifier: Apache-2.0
// Checksums of tensor data that do not depend on who writes or reads it. A tensor is cut into tiles: whole rows, as
// many as fit into the bytes of a tile, or parts of a row where a single one is longer. Each tile has one number:
//
//   the sum modulo 2^64 of K(p div 1024) k(p mod 1024) v(p) over the elements p of the tile, counted row after row,
//
// where v is the element's bits as an unsigned number, k(j) the upper 32 bits of xxHash64(j), with the lowest one set,
// and K(b) xxHash64(1024 + b), with the lowest one set; the hashed numbers are 8 bytes each, the seed is 0. (A
// multilinear hash: Lemire and Kaser, "Strongly universal string hashing is fast", 2014.) As it is a sum, any ranks may
// add what they hold of a tile, in any order and cut in any way. A change within one element always changes it: k and K
// are odd, and k(p) (v'-v) is below 2^64 and not 0.
#ifndef TITAN_CHECKPOINT_TILES_H
#define TITAN_CHECKPOINT_TILES_H

#include "checkpoint/file.h"

#include <mpi.h>

// Bytes of a tile at most; and sums that the ranks add up at once: 256 KiB.
enum { TITAN_CHECKPOINT_TILE_BYTES = 16 << 20, TITAN_CHECKPOINT_SUMS_AT_ONCE = 32768 };

// Numbers the tiles of the tensors one after another (first_tile), and returns how many there are.
int64_t titan_checkpoint_number_tiles(int count, titan_checkpoint_tensor *tensors, size_t tile_bytes);

// The elements of a tile of the tensor, counted from the tensor's first one.
titan_checkpoint_section titan_checkpoint_tile_section(const titan_checkpoint_file *file, int64_t tensor, int64_t tile);
// Tiles of a tensor; *first and *last: those in which a rectangle of it begins and ends, all between them included.
int64_t titan_checkpoint_tiles_of(const titan_checkpoint_tensor *tensor, size_t tile_bytes);
void titan_checkpoint_tiles_under(const titan_checkpoint_tensor *tensor, size_t tile_bytes,
                                  const titan_checkpoint_section *rectangle, int64_t *first, int64_t *last);

// What a rank has added up: a number for each tile that it has touched. Start with {.tile_bytes = ..., .tag = ...}.
typedef struct titan_checkpoint_tile_sum {
  int64_t tile;
  uint64_t sum;
} titan_checkpoint_tile_sum;
typedef struct titan_checkpoint_sums {
  size_t tile_bytes;
  titan_memory_tag tag; // of the memory
  int64_t count, capacity;
  titan_checkpoint_tile_sum *sums; // a tile may have several
} titan_checkpoint_sums;

// Takes the memory for `count` of them: else it is taken, and twice as much, when it is needed.
titan_status titan_checkpoint_sums_reserve(titan_checkpoint_sums *sums, int64_t count);
// Adds rows x columns elements of the tensor, as they lie in the file, in rows that begin `pitch` bytes apart.
titan_status titan_checkpoint_sums_add(titan_checkpoint_sums *sums, const titan_checkpoint_tensor *tensor, int64_t row,
                                       int64_t rows, int64_t column, int64_t columns, const void *elements,
                                       size_t pitch);
void titan_checkpoint_sums_destroy(titan_checkpoint_sums *sums);

// Bytes of `count` sums, and of the part of a table of `tiles` numbers that is added up at once.
size_t titan_checkpoint_sums_bytes(int64_t count);
size_t titan_checkpoint_sums_table_bytes(int64_t tiles);

// Gets the numbers of tiles [first, first + count), on rank 0.
typedef titan_status titan_checkpoint_sums_take(void *context, int64_t first, int64_t count, const uint64_t *numbers);

// Collective over comm: adds the sums of all ranks up, a part of the table after another, which rank 0 gives to `take`.
// A failure there, and of memory, comes back on all ranks alike.
titan_status titan_checkpoint_sums_reduce(const titan_checkpoint_sums *sums, int64_t tiles, MPI_Comm comm, bool patient,
                                          titan_checkpoint_sums_take *take, void *context);

// Collective over comm: compares what the ranks have read of tensors with the file's table. copies[tensor]: how often
// each of its elements was read, by all ranks together; 0: the tensor is not looked at. A difference is
// TITAN_ERROR_CHECKPOINT on all ranks, with the tensor and the rows. *fault (rank 0): DAMAGED, or SYSTEM where the
// table could not be read.
titan_status titan_checkpoint_sums_check(const titan_checkpoint_sums *sums, const titan_checkpoint_file *file,
                                         const int64_t *copies, MPI_Comm comm, titan_checkpoint_fault *fault);

// "PATH is damaged: /model/NAME, rows 0 to 7, columns 0 to 63, do not match their checksum".
titan_status titan_checkpoint_mismatch(const char *path, const titan_checkpoint_tensor *tensor,
                                       const titan_checkpoint_section *section);

#endif
