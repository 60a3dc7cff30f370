// SPDX-License-Identifier: Apache-2.0
// toml++ behind a C function. Nothing is thrown through it.
#ifndef TITAN_CONFIG_TOML_SHIM_H
#define TITAN_CONFIG_TOML_SHIM_H

#include "config/value.h"

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct titan_toml_error {
  int64_t line;
  char message[512];
} titan_toml_error;

// Parses text (length bytes) and visits its sections and settings. False: *error is filled.
bool titan_toml_visit(const char *text, size_t length, titan_file_visit visit, void *context, titan_toml_error *error);

#ifdef __cplusplus
}
#endif

#endif
