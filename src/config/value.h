// SPDX-License-Identifier: Apache-2.0
// A value as a reader found it, before it is checked against its option. Plain C, for the TOML shim too.
#ifndef TITAN_CONFIG_VALUE_H
#define TITAN_CONFIG_VALUE_H

#include <stdbool.h>
#include <stdint.h>

typedef enum titan_value_kind {
  TITAN_VALUE_BOOL,
  TITAN_VALUE_INT,
  TITAN_VALUE_FLOAT,
  TITAN_VALUE_STRING,
  TITAN_VALUE_LIST,  // `string` holds the elements, comma-separated
  TITAN_VALUE_WORD,  // `string` is what stood on the command line: its type is the option's
  TITAN_VALUE_OTHER, // `string` says what it is: "a table"
} titan_value_kind;

typedef struct titan_value {
  titan_value_kind kind;
  bool boolean;
  int64_t integer;
  double number;
  const char *string; // borrowed
} titan_value;

// One setting of a file. A section itself comes first, with key NULL; a setting outside of sections has section NULL.
typedef struct titan_file_item {
  const char *section, *key;
  int64_t line;
  titan_value value;
} titan_file_item;

// Returns false to end the reading.
typedef bool (*titan_file_visit)(void *context, const titan_file_item *item);

#endif
