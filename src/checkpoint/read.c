// SPDX-License-Identifier: Apache-2.0
// Reading tensor data: straight from its place in the file, which is contiguous.
#include "checkpoint/file.h"

#include "checkpoint/stream.h"

// Rows of which fewer bytes are wanted are not read one by one.
enum { SEPARATE_BYTES = 64 << 10 };

titan_status titan_checkpoint_file_read(const titan_checkpoint_file *file, int index, int64_t row, int64_t rows,
                                        void *out) {
  const titan_checkpoint_tensor *tensor = &file->tensors[index];
  size_t bytes = (size_t)(rows * titan_checkpoint_columns(tensor)) * titan_number_bytes(tensor->number);
  titan_checkpoint_fault fault;
  return titan_checkpoint_read_bytes(file->descriptor, file->path, titan_checkpoint_place(tensor, row, 0), out, bytes,
                                     &fault);
}

// --- sections ---

// Where a walk over sections has come to: the piece that begins at (row, column) of sections[section], counted from the
// section's own first.
typedef struct walk {
  const titan_checkpoint_file *file;
  const titan_checkpoint_section *sections;
  int64_t count, section, row, column;
} walk;

// A piece, and where it lies.
typedef struct piece {
  titan_checkpoint_piece piece;
  titan_stream_span span;
} piece;

static bool next_piece(walk *w, piece *out) {
  while (w->section < w->count && (w->sections[w->section].rows <= 0 || w->sections[w->section].columns <= 0))
    w->section++;
  if (w->section == w->count)
    return false;
  const titan_checkpoint_section *section = &w->sections[w->section];
  const titan_checkpoint_tensor *tensor = &w->file->tensors[section->tensor];
  int64_t size = (int64_t)titan_number_bytes(tensor->number),
          capacity = (int64_t)(w->file->piece > 0 ? w->file->piece : TITAN_STREAM_BYTES) / size;
  int64_t pitch = titan_checkpoint_columns(tensor), columns = section->columns - w->column, rows = 1;
  columns = columns < capacity ? columns : capacity;
  bool together = section->columns == pitch || section->columns * size < SEPARATE_BYTES;
  if (columns == section->columns && together)
    rows += (capacity - columns) / pitch;
  rows = rows < section->rows - w->row ? rows : section->rows - w->row;
  out->piece = (titan_checkpoint_piece){.section = w->section,
                                        .row = section->row + w->row,
                                        .rows = rows,
                                        .column = section->column + w->column,
                                        .columns = columns,
                                        .pitch = (size_t)(pitch * size)};
  out->span = (titan_stream_span){titan_checkpoint_place(tensor, out->piece.row, out->piece.column),
                                  (size_t)(((rows - 1) * pitch + columns) * size)};
  w->column += columns;
  if (w->column == section->columns) {
    w->column = 0;
    w->row += rows;
  }
  if (w->row == section->rows) {
    w->row = 0;
    w->section++;
    out->piece.last = true;
  }
  return true;
}

static bool next_span(void *context, titan_stream_span *span) {
  piece p;
  bool is_there = next_piece(context, &p);
  if (is_there)
    *span = p.span;
  return is_there;
}

static titan_status use_sections(walk *w, titan_stream *stream, titan_checkpoint_use *use, void *context,
                                 titan_checkpoint_fault *fault) {
  piece p;
  while (next_piece(w, &p)) {
    const void *bytes;
    TITAN_TRY(titan_stream_take(stream, &bytes, fault));
    p.piece.elements = bytes;
    TITAN_TRY(use(context, &p.piece));
  }
  return TITAN_OK;
}

titan_status titan_checkpoint_file_read_sections(const titan_checkpoint_file *file,
                                                 const titan_checkpoint_section *sections, int64_t count,
                                                 titan_checkpoint_use *use, void *context,
                                                 titan_checkpoint_fault *fault) {
  titan_checkpoint_fault unused = TITAN_CHECKPOINT_SOUND;
  walk taken = {.file = file, .sections = sections, .count = count}, ahead = taken;
  titan_stream *stream = NULL;
  uint64_t bytes = 0;
  for (int64_t i = 0; i < count; i++)
    bytes += (uint64_t)(sections[i].rows * sections[i].columns) *
             titan_number_bytes(file->tensors[sections[i].tensor].number);
  fault = fault != NULL ? fault : &unused;
  *fault = TITAN_CHECKPOINT_SYSTEM;
  if (count == 0)
    return TITAN_OK;
  titan_status status =
      titan_stream_create(file->descriptor, file->path, bytes, file->reading, next_span, &ahead, &stream);
  if (status == TITAN_OK)
    status = use_sections(&taken, stream, use, context, fault);
  titan_stream_destroy(&stream);
  return status;
}
