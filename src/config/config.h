// SPDX-License-Identifier: Apache-2.0
// The options of a run: read from the command line and a configuration file, checked, and handed to all ranks.
//
// Every option is one row of options.def, and one member here: config->training.batch_size.
#ifndef TITAN_CONFIG_CONFIG_H
#define TITAN_CONFIG_CONFIG_H

#include "base/status.h"
#include "base/text.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

// Types of the members, by the type column of options.def. Strings are NULL where the value is none.
typedef bool titan_config_type_BOOL;
typedef int64_t titan_config_type_INT;
typedef double titan_config_type_FLOAT;
typedef const char *titan_config_type_STRING;
typedef const char *titan_config_type_PATH; // ~ and ${NAME} were replaced
typedef const char *titan_config_type_LIST; // comma-separated

enum {
#define OPTION(section, key, ...) TITAN_OPTION_##section##_##key,
#include "config/options.def"
  TITAN_OPTION_COUNT
};

enum { TITAN_CONFIG_NAME_BYTES = 128 }; // the longest name of an option, with the end of the string

// What the command line asks for; the caller prints help or the version and ends, or checks the machine.
typedef enum titan_config_request {
  TITAN_REQUEST_RUN,
  TITAN_REQUEST_HELP,
  TITAN_REQUEST_VERSION,
  TITAN_REQUEST_CHECK // with the options of a run
} titan_config_request;

// Where the value of an option comes from, weakest first.
typedef enum titan_config_source {
  TITAN_SOURCE_DEFAULT,
  TITAN_SOURCE_FILE,
  TITAN_SOURCE_COMMAND_LINE,
  TITAN_SOURCE_PROGRAM, // titan_config_set
} titan_config_source;

typedef struct titan_config_entry {
  titan_config_source source;
  char *origin; // "run.toml:12", "command line"; NULL for a default
  char *owned;  // the memory of a string that is not a default
  int file;     // number of the file that set it, while files are read (TITAN_SOURCE_FILE)
} titan_config_entry;

typedef struct titan_config {
#define SECTION(section, text) struct {
#define END_SECTION(section)                                                                                           \
  }                                                                                                                    \
  section;
#define OPTION(section, key, type, ...) titan_config_type_##type key;
#include "config/options.def"
  titan_config_request request;
  char help_topic[TITAN_CONFIG_NAME_BYTES]; // of TITAN_REQUEST_HELP: a section or an option; "" for all
  titan_config_entry entries[TITAN_OPTION_COUNT];
} titan_config;

// Reads the command line, and the files that its --job.config_file names. Only one rank calls this: the others get its
// text by titan_config_serialize. A command line with --help, -h or --version gives the defaults and that request;
// with --check, the options and that request.
// An option that the command line gives several times has the last value; in a file that is an error.
// TITAN_ERROR_USAGE: the message has one line for each problem, with file, line, key, what was expected and, for an
// unknown key, the nearest known one; *config is NULL. The caller owns *config.
titan_status titan_config_create(int argc, const char *const *argv, titan_config **config);

// All defaults.
titan_status titan_config_create_default(titan_config **config);

// Frees it and sets *config to NULL; NULL is fine.
void titan_config_destroy(titan_config **config);

// Sets the option `name` ("training.steps") from text as the command line would, from whatever source it was set
// before. TITAN_ERROR_USAGE as titan_config_create.
titan_status titan_config_set(titan_config *config, const char *name, const char *text);

// Whether the user gave the option `name`, be it the default value; and where ("run.toml:12", "command line",
// "default"). An unknown name: false and "default".
bool titan_config_is_set(const titan_config *config, const char *name);
const char *titan_config_origin(const titan_config *config, const char *name);

// Appends everything there is to know of config to text; titan_config_deserialize makes an equal object of it.
titan_status titan_config_serialize(const titan_config *config, titan_text *text);
titan_status titan_config_deserialize(const char *text, titan_config **config);

// Checks what can be known from the options alone: ranges, choices, degrees against the number of ranks, options that
// need others, options that this build does not have. TITAN_ERROR_USAGE: the message has one line for each problem.
titan_status titan_config_validate(const titan_config *config, int64_t world_size);

// Calls `report` with one line for each option that is given and has no effect, or seems a mistake.
titan_status titan_config_warnings(const titan_config *config, void (*report)(void *context, const char *line),
                                   void *context);

// The configuration as TOML, which gives the same one when it is read again; a comment says where each value comes
// from, and options that were not given are comments as a whole.
titan_status titan_config_to_toml(const titan_config *config, titan_text *text);
// Appends the value of the option `name` in a text that titan_config_to_toml has made, a string with its quotes; not
// *found: the text has no such option.
titan_status titan_config_saved_value(const char *toml, const char *name, titan_text *value, bool *found);
// Appends the value in such a text and the present one. *differ is false where the text has no such option.
// TITAN_ERROR_INTERNAL: there is no option `name`.
titan_status titan_config_compare(const titan_config *config, const char *toml, const char *name, titan_text *theirs,
                                  titan_text *mine, bool *differ);
titan_status titan_config_print(const titan_config *config, FILE *file);

// --help: usage and all options by section for the topic "", one section, or one option. TITAN_ERROR_USAGE when the
// topic is neither; TITAN_ERROR_OUTPUT when the file cannot be written.
titan_status titan_config_print_help(const char *topic, FILE *file);

// What a person sees who starts the program alone with no argument: three lines.
titan_status titan_config_print_usage(FILE *file);

// docs/options.md.
titan_status titan_config_print_markdown(FILE *file);

#endif
