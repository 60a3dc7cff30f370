// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/tiles.h"

#include "base/integer.h"
#include "base/memory.h"
#include "checkpoint/agree.h"
#include "comm/mpi_error.h"

#include <pthread.h>
#include <string.h>
#include <xxhash.h>

// --- the grid ---

// Elements of a tile, of which the last ones may have less: several rows only where they are whole.
typedef struct grid {
  int64_t rows, columns, down, across;
} grid;

static grid grid_of(const titan_checkpoint_tensor *tensor, size_t tile_bytes) {
  int64_t all_rows = titan_checkpoint_rows(tensor), all_columns = titan_checkpoint_columns(tensor);
  int64_t elements = titan_greater((int64_t)(tile_bytes / titan_number_bytes(tensor->number)), 1);
  grid g = {.rows = titan_greater(elements / all_columns, 1), .columns = titan_lesser(elements, all_columns)};
  g.down = (all_rows - 1) / g.rows + 1;
  g.across = (all_columns - 1) / g.columns + 1;
  return g;
}

int64_t titan_checkpoint_tiles_of(const titan_checkpoint_tensor *tensor, size_t tile_bytes) {
  grid g = grid_of(tensor, tile_bytes);
  return g.down * g.across;
}

int64_t titan_checkpoint_number_tiles(int count, titan_checkpoint_tensor *tensors, size_t tile_bytes) {
  int64_t tiles = 0;
  for (int i = 0; i < count; i++) {
    tensors[i].first_tile = tiles;
    tiles += titan_checkpoint_tiles_of(&tensors[i], tile_bytes);
  }
  return tiles;
}

titan_checkpoint_section titan_checkpoint_tile_section(const titan_checkpoint_file *file, int64_t index, int64_t tile) {
  const titan_checkpoint_tensor *tensor = &file->tensors[index];
  grid g = grid_of(tensor, file->tile_bytes);
  int64_t row = tile / g.across * g.rows, column = tile % g.across * g.columns;
  return (titan_checkpoint_section){index, row, titan_lesser(g.rows, titan_checkpoint_rows(tensor) - row), column,
                                    titan_lesser(g.columns, titan_checkpoint_columns(tensor) - column)};
}

void titan_checkpoint_tiles_under(const titan_checkpoint_tensor *tensor, size_t tile_bytes,
                                  const titan_checkpoint_section *r, int64_t *first, int64_t *last) {
  grid g = grid_of(tensor, tile_bytes);
  *first = tensor->first_tile + r->row / g.rows * g.across + r->column / g.columns;
  *last = tensor->first_tile + (r->row + r->rows - 1) / g.rows * g.across + (r->column + r->columns - 1) / g.columns;
}

// --- the numbers ---

enum { BLOCK = 1024 };
static uint32_t keys[BLOCK];
static pthread_once_t keys_made = PTHREAD_ONCE_INIT;

static uint64_t hash_of(uint64_t number) {
  return XXH64(&number, sizeof number, 0);
}

static void make_keys(void) {
  for (uint64_t j = 0; j < BLOCK; j++)
    keys[j] = (uint32_t)(hash_of(j) >> 32) | 1;
}

// Elements of one block. Both loops become vector instructions.
static uint64_t sum_32(const uint32_t *key, const char *elements, int64_t count) {
  uint64_t sum = 0;
  for (int64_t i = 0; i < count; i++) {
    uint32_t value;
    memcpy(&value, elements + 4 * i, sizeof value);
    sum += (uint64_t)key[i] * value;
  }
  return sum;
}

static uint64_t sum_16(const uint32_t *key, const char *elements, int64_t count) {
  uint64_t sum = 0;
  for (int64_t i = 0; i < count; i++) {
    uint16_t value;
    memcpy(&value, elements + 2 * i, sizeof value);
    sum += (uint64_t)key[i] * value;
  }
  return sum;
}

// Elements that follow one another in a tile, the first one being its number `first`.
static uint64_t sum_of(titan_number number, int64_t first, int64_t count, const char *elements) {
  size_t size = titan_number_bytes(number);
  uint64_t sum = 0;
  for (int64_t done = 0, now; done < count; done += now) {
    int64_t at = (first + done) % BLOCK;
    const char *from = elements + (size_t)done * size;
    now = titan_lesser(BLOCK - at, count - done);
    uint64_t block = size == 4 ? sum_32(keys + at, from, now) : sum_16(keys + at, from, now);
    sum += (hash_of((uint64_t)(BLOCK + (first + done) / BLOCK)) | 1) * block;
  }
  return sum;
}

// --- of a rank ---

size_t titan_checkpoint_sums_bytes(int64_t count) {
  return (size_t)count * sizeof(titan_checkpoint_tile_sum);
}

titan_status titan_checkpoint_sums_reserve(titan_checkpoint_sums *sums, int64_t count) {
  if (count <= sums->capacity)
    return TITAN_OK;
  TITAN_TRY(titan_memory_resize(sums->tag, titan_checkpoint_sums_bytes(count), &sums->sums));
  sums->capacity = count;
  return TITAN_OK;
}

void titan_checkpoint_sums_destroy(titan_checkpoint_sums *sums) {
  titan_memory_free(sums->sums);
  *sums = (titan_checkpoint_sums){.tile_bytes = sums->tile_bytes, .tag = sums->tag};
}

// The number of a tile, which is mostly that of the call before.
static titan_status find(titan_checkpoint_sums *sums, int64_t tile, uint64_t **out) {
  if (sums->count == 0 || sums->sums[sums->count - 1].tile != tile) {
    if (sums->count == sums->capacity)
      TITAN_TRY(titan_checkpoint_sums_reserve(sums, sums->capacity > 0 ? 2 * sums->capacity : 256));
    sums->sums[sums->count++] = (titan_checkpoint_tile_sum){.tile = tile};
  }
  *out = &sums->sums[sums->count - 1].sum;
  return TITAN_OK;
}

// What of a rectangle lies in one tile, of which the rectangle's first element is number `first`.
static uint64_t sum_in_tile(titan_number number, const grid *g, int64_t first, int64_t rows, int64_t columns,
                            const char *elements, size_t pitch) {
  uint64_t sum = 0;
  if (columns == g->columns && pitch == (size_t)columns * titan_number_bytes(number))
    return sum_of(number, first, rows * columns, elements);
  for (int64_t i = 0; i < rows; i++)
    sum += sum_of(number, first + i * g->columns, columns, elements + (size_t)i * pitch);
  return sum;
}

titan_status titan_checkpoint_sums_add(titan_checkpoint_sums *sums, const titan_checkpoint_tensor *tensor, int64_t row,
                                       int64_t rows, int64_t column, int64_t columns, const void *elements,
                                       size_t pitch) {
  const grid g = grid_of(tensor, sums->tile_bytes);
  size_t size = titan_number_bytes(tensor->number);
  pthread_once(&keys_made, make_keys);
  for (int64_t i = 0, down; i < rows; i += down) {
    int64_t r = row + i, in_row = r % g.rows;
    down = titan_lesser(g.rows - in_row, rows - i);
    for (int64_t j = 0, across; j < columns; j += across) {
      int64_t c = column + j, in_column = c % g.columns;
      uint64_t *sum = NULL;
      across = titan_lesser(g.columns - in_column, columns - j);
      TITAN_TRY(find(sums, tensor->first_tile + r / g.rows * g.across + c / g.columns, &sum));
      *sum += sum_in_tile(tensor->number, &g, in_row * g.columns + in_column, down, across,
                          (const char *)elements + (size_t)i * pitch + (size_t)j * size, pitch);
    }
  }
  return TITAN_OK;
}

// --- of all ranks ---

size_t titan_checkpoint_sums_table_bytes(int64_t tiles) {
  return (size_t)titan_lesser(tiles, TITAN_CHECKPOINT_SUMS_AT_ONCE) * sizeof(uint64_t);
}

// One part of the table; the numbers of all ranks are then rank 0's.
static titan_status reduce_part(const titan_checkpoint_sums *sums, int64_t first, int64_t count, uint64_t *table,
                                MPI_Comm comm, bool patient) {
  int rank = 0;
  MPI_Request request;
  MPI_Comm_rank(comm, &rank);
  memset(table, 0, (size_t)count * sizeof *table);
  for (int64_t i = 0; i < sums->count; i++)
    if (sums->sums[i].tile >= first && sums->sums[i].tile < first + count)
      table[sums->sums[i].tile - first] += sums->sums[i].sum;
  TITAN_TRY_MPI(MPI_Ireduce(rank == 0 ? MPI_IN_PLACE : table, rank == 0 ? table : NULL, (int)count, MPI_UINT64_T,
                            MPI_SUM, 0, comm, &request));
  return titan_checkpoint_wait(1, &request, patient);
}

titan_status titan_checkpoint_sums_reduce(const titan_checkpoint_sums *sums, int64_t tiles, MPI_Comm comm, bool patient,
                                          titan_checkpoint_sums_take *take, void *context) {
  uint64_t *table = NULL;
  int rank = 0;
  MPI_Comm_rank(comm, &rank);
  titan_status status = titan_memory_allocate(sums->tag, titan_checkpoint_sums_table_bytes(tiles), &table);
  status = titan_checkpoint_agree(comm, status, patient);
  // Rank 0 takes part to the end even where it has failed: the others wait for it.
  titan_status reduced = status, taken = TITAN_OK;
  for (int64_t first = 0, count; first < tiles && reduced == TITAN_OK; first += count) {
    count = titan_lesser(tiles - first, TITAN_CHECKPOINT_SUMS_AT_ONCE);
    reduced = reduce_part(sums, first, count, table, comm, patient);
    if (rank == 0 && reduced == TITAN_OK && taken == TITAN_OK)
      taken = take(context, first, count, table);
  }
  titan_memory_free(table);
  TITAN_TRY(reduced);
  return titan_checkpoint_agree(comm, taken, patient);
}

// --- comparing ---

titan_status titan_checkpoint_mismatch(const char *path, const titan_checkpoint_tensor *tensor,
                                       const titan_checkpoint_section *section) {
  return titan_error(TITAN_ERROR_CHECKPOINT,
                     "%s is damaged: %s/%s, rows %lld to %lld, columns %lld to %lld, do not match "
                     "their checksum",
                     path, titan_checkpoint_group_path(tensor->group), tensor->name, (long long)section->row,
                     (long long)(section->row + section->rows - 1), (long long)section->column,
                     (long long)(section->column + section->columns - 1));
}

typedef struct checking {
  const titan_checkpoint_file *file;
  const int64_t *copies;
  int tensor; // of the tile that comes next
  titan_checkpoint_fault *fault;
} checking;

static titan_status check_tile(checking *c, int64_t tile, uint64_t found, uint64_t wanted) {
  const titan_checkpoint_file *file = c->file;
  while (c->tensor + 1 < file->tensor_count && tile >= file->tensors[c->tensor + 1].first_tile)
    c->tensor++;
  int64_t copies = c->copies[c->tensor];
  if (copies == 0 || found == (uint64_t)copies * wanted)
    return TITAN_OK;
  const titan_checkpoint_tensor *tensor = &file->tensors[c->tensor];
  titan_checkpoint_section section = titan_checkpoint_tile_section(file, c->tensor, tile - tensor->first_tile);
  *c->fault = TITAN_CHECKPOINT_DAMAGED;
  return titan_checkpoint_mismatch(file->path, tensor, &section);
}

static titan_status check_part(void *context, int64_t first, int64_t count, const uint64_t *numbers) {
  enum { AT_ONCE = 512 };
  checking *c = context;
  uint64_t wanted[AT_ONCE];
  for (int64_t done = 0, now; done < count; done += now) {
    now = titan_lesser(count - done, AT_ONCE);
    TITAN_TRY(titan_checkpoint_read_bytes(c->file->descriptor, c->file->path,
                                          c->file->checks_offset + (uint64_t)(first + done) * sizeof *wanted, wanted,
                                          (size_t)now * sizeof *wanted, c->fault));
    for (int64_t i = 0; i < now; i++)
      TITAN_TRY(check_tile(c, first + done + i, numbers[done + i], wanted[i]));
  }
  return TITAN_OK;
}

titan_status titan_checkpoint_sums_check(const titan_checkpoint_sums *sums, const titan_checkpoint_file *file,
                                         const int64_t *copies, MPI_Comm comm, titan_checkpoint_fault *fault) {
  checking c = {.file = file, .copies = copies, .fault = fault};
  *fault = TITAN_CHECKPOINT_SYSTEM;
  titan_status status = titan_checkpoint_sums_reduce(sums, file->check_count, comm, false, check_part, &c);
  if (status == TITAN_OK)
    *fault = TITAN_CHECKPOINT_SOUND;
  return status;
}
