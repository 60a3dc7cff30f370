// SPDX-License-Identifier: Apache-2.0
// JSON files beside weights: config.json, and the index of several safetensors files.
#ifndef TITAN_WEIGHTS_JSON_FILE_H
#define TITAN_WEIGHTS_JSON_FILE_H

#include "base/status.h"

#include <jansson.h>

// Not collective. *out: the file's value, which the caller releases with json_decref; NULL on failure.
// TITAN_ERROR_CHECKPOINT, naming the file: it cannot be opened or read (with the system's reason), it is larger than
// 256 MiB, or it is no JSON (with the line). TITAN_ERROR_MEMORY.
titan_status titan_json_file_read(const char *path, json_t **out);

#endif
