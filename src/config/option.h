// SPDX-License-Identifier: Apache-2.0
// The rows of options.def as data, and what is done with one option of a configuration.
#ifndef TITAN_CONFIG_OPTION_H
#define TITAN_CONFIG_OPTION_H

#include "config/config.h"
#include "config/problems.h"
#include "config/value.h"

typedef enum titan_option_type {
  TITAN_OPTION_BOOL,
  TITAN_OPTION_INT,
  TITAN_OPTION_FLOAT,
  TITAN_OPTION_STRING,
  TITAN_OPTION_PATH,
  TITAN_OPTION_LIST
} titan_option_type;

typedef enum titan_constraint_kind {
  TITAN_CONSTRAINT_NONE,
  TITAN_CONSTRAINT_NOT_EMPTY,
  TITAN_CONSTRAINT_CHOICES,
  TITAN_CONSTRAINT_CHOICES_ANY_CASE,
  TITAN_CONSTRAINT_AT_LEAST,
  TITAN_CONSTRAINT_ABOVE,
  TITAN_CONSTRAINT_AT_LEAST_OR,
  TITAN_CONSTRAINT_AT_LEAST_BELOW,
  TITAN_CONSTRAINT_FROM_TO,
  TITAN_CONSTRAINT_FROM_TO_OR,
  TITAN_CONSTRAINT_WORD_OR_COUNT,
  TITAN_CONSTRAINT_LIST_OF,
} titan_constraint_kind;

typedef struct titan_constraint {
  titan_constraint_kind kind;
  double minimum, maximum, special;
  const char *words; // "a|b"
} titan_constraint;

typedef enum titan_option_origin { TITAN_ORIGIN_REFERENCE, TITAN_ORIGIN_OURS } titan_option_origin;

typedef enum titan_availability_kind {
  TITAN_AVAILABLE,
  TITAN_LATER,
  TITAN_LATER_WARNED,
  TITAN_NO_EFFECT,
  TITAN_REFUSED,
} titan_availability_kind;

typedef struct titan_availability {
  titan_availability_kind kind;
  const char *off;  // the value that does not ask for the option
  const char *note; // text for people
} titan_availability;

typedef struct titan_option {
  const char *section, *key, *name; // name: "section.key"
  titan_option_type type;
  size_t offset; // of the member in titan_config
  titan_constraint constraint;
  titan_option_origin origin;
  titan_availability availability;
  const char *help;
} titan_option;

extern const titan_option titan_options[TITAN_OPTION_COUNT];
extern const titan_config titan_config_defaults;

typedef struct titan_option_section {
  const char *name, *text;
} titan_option_section;

extern const titan_option_section titan_option_sections[];
extern const size_t titan_option_section_count;

// Whether the member is a string.
bool titan_option_is_text(const titan_option *option);

// Index of the option with this name, or with this other spelling (spellings.def, SAME and OPPOSITE), -1 when there is
// none. *negated: the name stands for the opposite of that option.
int titan_option_find(const char *name, bool *negated);

bool titan_option_section_exists(const char *section);

// What to do about a name that is no option: `before` and the known name, where one is near, else how to see those that
// there are. The same for sections.
titan_status titan_option_advise(const char *name, const char *before, titan_text *text);
titan_status titan_option_advise_section(const char *section, titan_text *text);

// What a value may be: "an integer of at least 1", "one of a, b".
titan_status titan_option_expected(const titan_option *option, titan_text *text);

// Appends the present value: true, 8, 0.0008, "text" (as a TOML string, when quoted) or text; none for NULL.
titan_status titan_option_format(const titan_config *config, const titan_option *option, bool quoted, titan_text *text);

// Appends the default value, a string as a TOML string; none for NULL.
titan_status titan_option_format_default(const titan_option *option, titan_text *text);

// How availability reads in a list: "no effect"; NULL for an option that works.
const char *titan_option_availability(const titan_option *option);

// Writes a text that was made of the table.
titan_status titan_option_write(const titan_text *text, FILE *file);

// The sections in the order in which --help prints them, the most used first. `order` takes titan_option_section_count
// elements.
void titan_option_sections_by_use(const titan_option_section **order);

// Appends the meaning, what it takes and its default: "Steps to train. Takes an integer of at least 1; default 10000."
titan_status titan_option_describe(const titan_option *option, titan_text *text);

// Whether a configuration file may hold the option.
bool titan_option_may_be_in_a_file(const titan_option *option);

// Whether the present value fulfils the constraint.
bool titan_option_holds(const titan_config *config, const titan_option *option);

// Whether the present value asks for what the option offers (see options.def, availability).
bool titan_option_is_asked_for(const titan_config *config, const titan_option *option);

typedef struct titan_option_place {
  titan_config_source source;
  const char *origin; // "run.toml:12"
  int file;           // number of the file, of TITAN_SOURCE_FILE
} titan_option_place;

// Checks a value for the option `index` and stores it. A value that does not fit, or a second one from the same file,
// is a problem.
titan_status titan_option_assign(titan_config *config, int index, bool negated, titan_value value,
                                 const titan_option_place *place, titan_problems *problems);

// Reads a file into config, which has defaults, or the values of the files with lower numbers.
titan_status titan_config_read_file(titan_config *config, const char *path, int number, titan_problems *problems);

// What the readers of both kinds of file share.
typedef struct titan_file_reader {
  titan_config *config;
  const char *path;
  int number; // of the file
  titan_problems *problems;
  titan_status status; // the first failure that is not a mistake of the user's
} titan_file_reader;

// Takes one setting of a file; `reader` is a titan_file_reader (this is a titan_file_visit).
bool titan_file_reader_visit(void *reader, const titan_file_item *item);

// Reads libconfig's format.
titan_status titan_config_read_cfg(titan_file_reader *reader, const titan_text *text);

// Applies the command line to config.
titan_status titan_config_read_arguments(titan_config *config, int argc, const char *const *argv,
                                         titan_problems *problems);

// What the command line gives as job.config_file, as it stands there; NULL when it names none.
const char *titan_config_find_files(int argc, const char *const *argv);

// Whether the command line asks for help, the version or a check of the machine; the last is the weakest. *topic: the
// section or option to help with, or NULL.
titan_config_request titan_config_find_request(int argc, const char *const *argv, const char **topic);

#endif
