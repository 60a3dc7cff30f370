// SPDX-License-Identifier: Apache-2.0
// An event file of TensorBoard, events.out.tfevents.<seconds>.<host>.<process>.<number>: scalars and texts by step.
// TensorBoard reads it while it grows.
#ifndef TITAN_OBSERVE_EVENT_FILE_H
#define TITAN_OBSERVE_EVENT_FILE_H

#include "base/status.h"

#include <stdint.h>

typedef struct titan_event_file titan_event_file;

typedef struct titan_event_scalar {
  const char *tag;
  double value; // stored as float32; it may be NaN or infinite
} titan_event_scalar;

// Not collective; one process and thread. Makes missing folders and a new file in `folder` (copied).
// TITAN_ERROR_OUTPUT with the path and the reason where the file cannot be made; *out is valid nevertheless, and the
// next event tries again. TITAN_ERROR_MEMORY: *out is NULL.
titan_status titan_event_file_create(const char *folder, titan_event_file **out);

// Not collective. Adds an event with these scalars, with one write. TITAN_ERROR_OUTPUT with the path and the reason
// (a full disk, a folder that is gone): then the file has no part of it, and the event is lost. Where the file is gone,
// the next event makes a new one.
titan_status titan_event_file_scalars(titan_event_file *file, int64_t step, const titan_event_scalar *scalars,
                                      int count);
// The same with a text (Markdown, UTF-8).
titan_status titan_event_file_text(titan_event_file *file, int64_t step, const char *tag, const char *text);

// Closes it; NULL is fine. Clears *file. The file is complete without this.
void titan_event_file_destroy(titan_event_file **file);

#endif
