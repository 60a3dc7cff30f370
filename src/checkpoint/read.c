// Reading tensor data: straight from its place in the file, which is contiguous.
#include "checkpoint/file.h"

#include "base/memory.h"

#include <fcntl.h>
#include <string.h>
#include <xxhash.h>

// A piece stays in the cache from reading to hashing to its use, while the system reads another one, so far ahead.
enum { PIECE_BYTES = 1 << 20, AHEAD_BYTES = 8 << 20, SEPARATE_BYTES = 64 << 10 };

// Where an element lies in the file.
static uint64_t place(const titan_checkpoint_tensor *tensor, int64_t row, int64_t column) {
  return tensor->offset +
         (uint64_t)(row * titan_checkpoint_columns(tensor) + column) * titan_number_bytes(tensor->number);
}

static titan_status read_at(const titan_checkpoint_file *file, uint64_t offset, void *out, size_t bytes) {
  titan_checkpoint_fault fault;
  return titan_checkpoint_read_bytes(file->descriptor, file->path, offset, out, bytes, &fault);
}

// Rows of which only some columns are wanted, short ones: whole stretches of the file are read, and the columns picked.
static titan_status read_narrow(const titan_checkpoint_file *file, const titan_checkpoint_tensor *tensor, int64_t row,
                                int64_t rows, int64_t column, int64_t columns, char *out) {
  size_t size = titan_number_bytes(tensor->number), pitch = (size_t)titan_checkpoint_columns(tensor) * size;
  size_t wanted = (size_t)columns * size;
  int64_t at_once = pitch < PIECE_BYTES ? (int64_t)(PIECE_BYTES / pitch) : 1;
  char *span = NULL;
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)at_once * pitch, &span));
  titan_status status = TITAN_OK;
  for (int64_t done = 0; done < rows && status == TITAN_OK; done += at_once) {
    int64_t count = rows - done < at_once ? rows - done : at_once;
    status = read_at(file, place(tensor, row + done, column), span, (size_t)(count - 1) * pitch + wanted);
    for (int64_t i = 0; i < count && status == TITAN_OK; i++)
      memcpy(out + (size_t)(done + i) * wanted, span + (size_t)i * pitch, wanted);
  }
  titan_memory_free(span);
  return status;
}

titan_status titan_checkpoint_file_read(const titan_checkpoint_file *file, int index, int64_t row, int64_t rows,
                                        int64_t column, int64_t columns, void *out) {
  const titan_checkpoint_tensor *tensor = &file->tensors[index];
  size_t wanted = (size_t)columns * titan_number_bytes(tensor->number);
  if (columns == titan_checkpoint_columns(tensor))
    return read_at(file, place(tensor, row, 0), out, (size_t)rows * wanted);
  if (wanted < SEPARATE_BYTES && rows > 1)
    return read_narrow(file, tensor, row, rows, column, columns, out);
  for (int64_t i = 0; i < rows; i++)
    TITAN_TRY(read_at(file, place(tensor, row + i, column), (char *)out + (size_t)i * wanted, wanted));
  return TITAN_OK;
}

// --- slabs ---

typedef struct slab_reading {
  const titan_checkpoint_file *file;
  const titan_checkpoint_slab *slab;
  const titan_checkpoint_sink *sink;
  XXH64_state_t *state;
  char *buffer;
} slab_reading;

// rows x columns at (row, column): what fits the buffer.
static titan_status take(slab_reading *r, int64_t row, int64_t rows, int64_t column, int64_t columns) {
  size_t size = titan_number_bytes(r->file->tensors[r->slab->tensor].number);
  const titan_checkpoint_sink *sink = r->sink;
  char *own = sink->place != NULL ? sink->place(sink->context, row, rows, column, columns) : NULL;
  char *elements = own != NULL ? own : r->buffer;
  TITAN_TRY(titan_checkpoint_file_read(r->file, (int)r->slab->tensor, row, rows, column, columns, elements));
  uint64_t ahead = place(&r->file->tensors[r->slab->tensor], row, column) + AHEAD_BYTES;
  posix_fadvise(r->file->descriptor, (off_t)ahead, PIECE_BYTES, POSIX_FADV_WILLNEED);
  XXH64_update(r->state, elements, (size_t)(rows * columns) * size);
  for (int64_t i = 0; i < rows && own == NULL && sink->use != NULL; i++)
    sink->use(sink->context, row + i, column, columns, elements + (size_t)(i * columns) * size);
  return TITAN_OK;
}

static titan_status read_pieces(slab_reading *r) {
  const titan_checkpoint_slab *slab = r->slab;
  int64_t capacity = PIECE_BYTES / (int64_t)titan_number_bytes(r->file->tensors[slab->tensor].number);
  int64_t columns = slab->columns < capacity ? slab->columns : capacity;
  int64_t rows = columns < slab->columns ? 1 : capacity / columns;
  for (int64_t row = 0; row < slab->rows; row += rows)
    for (int64_t column = 0; column < slab->columns; column += columns)
      TITAN_TRY(take(r, slab->row + row, slab->rows - row < rows ? slab->rows - row : rows, slab->column + column,
                     slab->columns - column < columns ? slab->columns - column : columns));
  return TITAN_OK;
}

static titan_status compare(const titan_checkpoint_file *file, const titan_checkpoint_slab *slab, uint64_t checksum) {
  const titan_checkpoint_tensor *tensor = &file->tensors[slab->tensor];
  if (checksum == slab->checksum)
    return TITAN_OK;
  return titan_error(TITAN_ERROR_CHECKPOINT,
                     "%s is damaged: %s/%s, rows %lld to %lld, columns %lld to %lld, have another checksum than when "
                     "they were written",
                     file->path, titan_checkpoint_group_path(tensor->group), tensor->name, (long long)slab->row,
                     (long long)(slab->row + slab->rows - 1), (long long)slab->column,
                     (long long)(slab->column + slab->columns - 1));
}

titan_status titan_checkpoint_file_read_slab(const titan_checkpoint_file *file, int64_t slab,
                                             const titan_checkpoint_sink *sink) {
  static const titan_checkpoint_sink nobody;
  slab_reading r = {file, &file->slabs[slab], sink != NULL ? sink : &nobody, XXH64_createState(), NULL};
  if (r.state == NULL)
    return titan_error(TITAN_ERROR_MEMORY, "no memory for a hash");
  titan_status status = titan_memory_allocate(TITAN_MEMORY_GENERAL, PIECE_BYTES, &r.buffer);
  XXH64_reset(r.state, 0);
  if (status == TITAN_OK)
    status = read_pieces(&r);
  if (status == TITAN_OK)
    status = compare(file, r.slab, XXH64_digest(r.state));
  XXH64_freeState(r.state);
  titan_memory_free(r.buffer);
  return status;
}

titan_status titan_checkpoint_file_verify(const titan_checkpoint_file *file) {
  for (int64_t slab = 0; slab < file->slab_count; slab++)
    TITAN_TRY(titan_checkpoint_file_read_slab(file, slab, NULL));
  return TITAN_OK;
}
