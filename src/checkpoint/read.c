// SPDX-License-Identifier: Apache-2.0
// Reading tensor data: straight from its place in the file, which is contiguous.
#include "checkpoint/file.h"

#include "base/memory.h"
#include "checkpoint/stream.h"

#include <xxhash.h>

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

// rows x columns of a section, at (row, column) of the tensor; in the span a row begins `pitch` bytes after the one
// before.
typedef struct piece {
  titan_stream_span span;
  int64_t section, row, rows, column, columns;
  size_t pitch;
  bool last; // of the section
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
  *out = (piece){.section = w->section,
                 .row = section->row + w->row,
                 .rows = rows,
                 .column = section->column + w->column,
                 .columns = columns,
                 .pitch = (size_t)(pitch * size)};
  out->span = (titan_stream_span){titan_checkpoint_place(tensor, out->row, out->column),
                                  (size_t)(((rows - 1) * pitch + columns) * size)};
  w->column += columns;
  if (w->column == section->columns) {
    w->column = 0;
    w->row += rows;
  }
  if (w->row == section->rows) {
    w->row = 0;
    w->section++;
    out->last = true;
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

static titan_status compare(const titan_checkpoint_file *file, const titan_checkpoint_slab *slab, uint64_t checksum) {
  const titan_checkpoint_tensor *tensor = &file->tensors[slab->tensor];
  if (checksum == slab->checksum)
    return TITAN_OK;
  return titan_error(TITAN_ERROR_CHECKPOINT,
                     "%s is damaged: %s/%s, rows %lld to %lld, columns %lld to %lld, do not match "
                     "their checksum",
                     file->path, titan_checkpoint_group_path(tensor->group), tensor->name, (long long)slab->row,
                     (long long)(slab->row + slab->rows - 1), (long long)slab->column,
                     (long long)(slab->column + slab->columns - 1));
}

// The elements of a piece: into the hash where the section is a slab, and to their user.
static void use_piece(const titan_checkpoint_file *file, const titan_checkpoint_section *section, const piece *p,
                      const char *bytes, XXH64_state_t *state, titan_checkpoint_use *use, void *context) {
  size_t row_bytes = (size_t)p->columns * titan_number_bytes(file->tensors[section->tensor].number);
  bool dense = p->rows == 1 || row_bytes == p->pitch;
  if (section->slab >= 0)
    for (int64_t i = 0; i < (dense ? 1 : p->rows); i++)
      XXH64_update(state, bytes + (size_t)i * p->pitch, dense ? p->span.bytes : row_bytes);
  for (int64_t i = 0; i < p->rows && use != NULL; i++)
    use(context, p->section, p->row + i, p->column, p->columns, bytes + (size_t)i * p->pitch);
}

static titan_status use_sections(walk *w, titan_stream *stream, XXH64_state_t *state, titan_checkpoint_use *use,
                                 void *context, titan_checkpoint_fault *fault) {
  piece p;
  XXH64_reset(state, 0);
  while (next_piece(w, &p)) {
    const titan_checkpoint_section *section = &w->sections[p.section];
    const void *bytes;
    TITAN_TRY(titan_stream_take(stream, &bytes, fault));
    use_piece(w->file, section, &p, bytes, state, use, context);
    if (!p.last)
      continue;
    if (section->slab >= 0) {
      *fault = TITAN_CHECKPOINT_DAMAGED;
      TITAN_TRY(compare(w->file, &w->file->slabs[section->slab], XXH64_digest(state)));
    }
    XXH64_reset(state, 0);
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
  XXH64_state_t *state = XXH64_createState();
  if (state == NULL)
    return titan_error(TITAN_ERROR_MEMORY, "not enough memory for a checksum");
  titan_status status =
      titan_stream_create(file->descriptor, file->path, bytes, file->reading, next_span, &ahead, &stream);
  if (status == TITAN_OK)
    status = use_sections(&taken, stream, state, use, context, fault);
  titan_stream_destroy(&stream);
  XXH64_freeState(state);
  return status;
}

titan_checkpoint_section titan_checkpoint_slab_section(const titan_checkpoint_file *file, int64_t slab) {
  const titan_checkpoint_slab *s = &file->slabs[slab];
  return (titan_checkpoint_section){s->tensor, s->row, s->rows, s->column, s->columns, slab};
}

titan_status titan_checkpoint_file_verify(const titan_checkpoint_file *file,
                                          bool (*wanted)(void *context, int64_t slab), void *context,
                                          titan_checkpoint_fault *fault) {
  titan_checkpoint_section *sections;
  int64_t count = 0;
  if (fault != NULL)
    *fault = TITAN_CHECKPOINT_SYSTEM;
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_GENERAL, (size_t)file->slab_count * sizeof *sections + 1, &sections));
  for (int64_t i = 0; i < file->slab_count; i++)
    if (wanted == NULL || wanted(context, i))
      sections[count++] = titan_checkpoint_slab_section(file, i);
  titan_status status = titan_checkpoint_file_read_sections(file, sections, count, NULL, NULL, fault);
  titan_memory_free(sections);
  return status;
}
