// SPDX-License-Identifier: Apache-2.0
#include "config/option.h"

#include "base/memory.h"
#include "config/format.h"
#include "config/path.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const void *member(const titan_config *config, const titan_option *option) {
  return (const char *)config + option->offset;
}

static void *member_to_set(titan_config *config, const titan_option *option) {
  return (char *)config + option->offset;
}

// The element of "a|b" that equals word, as a copy in `found`; false when there is none.
static bool find_choice(const char *words, const char *word, bool any_case, char *found, size_t size) {
  for (const char *start = words; *start != '\0';) {
    size_t length = strcspn(start, "|");
    bool equal = strlen(word) == length &&
                 (any_case ? strncasecmp(start, word, length) == 0 : strncmp(start, word, length) == 0);
    if (equal && length < size) {
      memcpy(found, start, length);
      found[length] = '\0';
      return true;
    }
    start += length + (start[length] == '|');
  }
  return false;
}

// [-+]?digits within 64 bits.
static bool parse_integer(const char *text, int64_t *value) {
  const char *digits = text + (*text == '-' || *text == '+');
  if (*digits == '\0' || digits[strspn(digits, "0123456789")] != '\0')
    return false;
  errno = 0;
  *value = strtoll(text, NULL, 10);
  return errno == 0;
}

// A decimal number, finite; no hexadecimal, inf or nan.
static bool parse_number(const char *text, double *value) {
  if (*text == '\0' || text[strspn(text, "+-.0123456789eE")] != '\0')
    return false;
  char *end;
  *value = strtod(text, &end);
  return *end == '\0' && end != text && isfinite(*value);
}

// One of "a|b|c=<what>", where the last stands for "c=" and a number above 0, or an integer of at least 1.
static bool word_or_count_holds(const char *words, const char *text) {
  int64_t count;
  double number;
  char found[64];
  const char *equals = strchr(text, '=');
  if (equals != NULL) {
    const char *assignment = strstr(words, "=<");
    while (assignment != NULL && assignment > words && assignment[-1] != '|')
      assignment--;
    size_t length = (size_t)(equals - text) + 1;
    return assignment != NULL && strncmp(assignment, text, length) == 0 && parse_number(equals + 1, &number) &&
           number > 0;
  }
  return find_choice(words, text, false, found, sizeof found) ||
         (isdigit((unsigned char)*text) && parse_integer(text, &count) && count >= 1);
}

// Integers of a run fit 32 bits (but for a seed, which has no upper limit below 64 bits).
static bool number_holds(const titan_option *option, double value) {
  const titan_constraint *constraint = &option->constraint;
  bool is_seed = option == &titan_options[TITAN_OPTION_training_seed];
  if (!isfinite(value) || (option->type == TITAN_OPTION_INT && !is_seed && value > INT_MAX))
    return false;
  switch (constraint->kind) {
  case TITAN_CONSTRAINT_AT_LEAST:
    return value >= constraint->minimum;
  case TITAN_CONSTRAINT_ABOVE:
    return value > constraint->minimum;
  case TITAN_CONSTRAINT_AT_LEAST_OR:
    return value >= constraint->minimum || value == constraint->special;
  case TITAN_CONSTRAINT_AT_LEAST_BELOW:
    return value >= constraint->minimum && value < constraint->maximum;
  case TITAN_CONSTRAINT_FROM_TO:
    return value >= constraint->minimum && value <= constraint->maximum;
  case TITAN_CONSTRAINT_FROM_TO_OR:
    return (value >= constraint->minimum && value <= constraint->maximum) || value == constraint->special;
  default:
    return true;
  }
}

// Whether each element of a comma-separated list is one of "a|b". An empty list has none.
static bool list_holds(const char *words, const char *list) {
  char element[64], found[64];
  while (*list != '\0') {
    size_t length = strcspn(list, ",");
    if (length >= sizeof element)
      return false;
    memcpy(element, list, length);
    element[length] = '\0';
    if (!find_choice(words, element, false, found, sizeof found) || (list[length] == ',' && list[length + 1] == '\0'))
      return false;
    list += length + (list[length] == ',');
  }
  return true;
}

static bool string_holds(const titan_option *option, const char *value) {
  const titan_constraint *constraint = &option->constraint;
  char found[64];
  if (value == NULL)
    return constraint->words == NULL || constraint->kind == TITAN_CONSTRAINT_LIST_OF;
  switch (constraint->kind) {
  case TITAN_CONSTRAINT_NOT_EMPTY:
    return *value != '\0';
  case TITAN_CONSTRAINT_CHOICES:
  case TITAN_CONSTRAINT_CHOICES_ANY_CASE:
    return find_choice(constraint->words, value, constraint->kind == TITAN_CONSTRAINT_CHOICES_ANY_CASE, found,
                       sizeof found);
  case TITAN_CONSTRAINT_WORD_OR_COUNT:
    return word_or_count_holds(constraint->words, value);
  case TITAN_CONSTRAINT_LIST_OF:
    return list_holds(constraint->words, value);
  default:
    return true;
  }
}

bool titan_option_holds(const titan_config *config, const titan_option *option) {
  switch (option->type) {
  case TITAN_OPTION_BOOL:
    return true;
  case TITAN_OPTION_INT:
    return number_holds(option, (double)*(const int64_t *)member(config, option));
  case TITAN_OPTION_FLOAT:
    return number_holds(option, *(const double *)member(config, option));
  case TITAN_OPTION_STRING:
  case TITAN_OPTION_PATH:
  case TITAN_OPTION_LIST:
    return string_holds(option, *(const char *const *)member(config, option));
  }
  return false;
}

titan_status titan_option_expected(const titan_option *option, titan_text *text) {
  static const char *const plain[] = {"true or false", "an integer", "a number",
                                      "a string",      "a path",     "a comma-separated list or an array of strings"};
  const titan_constraint *constraint = &option->constraint;
  switch (constraint->kind) {
  case TITAN_CONSTRAINT_CHOICES:
  case TITAN_CONSTRAINT_CHOICES_ANY_CASE:
    if (strchr(constraint->words, '|') != NULL)
      TITAN_TRY(titan_text_printf(text, "one of "));
    return titan_words_append(constraint->words, ", ", false, text);
  case TITAN_CONSTRAINT_WORD_OR_COUNT:
    TITAN_TRY(titan_words_append(constraint->words, ", ", false, text));
    return titan_text_printf(text, " or an integer of at least 1%s",
                             strchr(constraint->words, '=') != NULL ? ", each number above 0" : "");
  case TITAN_CONSTRAINT_NOT_EMPTY:
    return titan_text_printf(text, "%s that is not empty", plain[option->type]);
  case TITAN_CONSTRAINT_AT_LEAST:
    return titan_text_printf(text, "%s of at least %g", plain[option->type], constraint->minimum);
  case TITAN_CONSTRAINT_ABOVE:
    return titan_text_printf(text, "%s above %g", plain[option->type], constraint->minimum);
  case TITAN_CONSTRAINT_AT_LEAST_OR:
    return titan_text_printf(text, "%s of at least %g, or %g", plain[option->type], constraint->minimum,
                             constraint->special);
  case TITAN_CONSTRAINT_LIST_OF:
    TITAN_TRY(titan_text_printf(text, "%s, each one of ", plain[option->type]));
    return titan_words_append(constraint->words, ", ", false, text);
  case TITAN_CONSTRAINT_AT_LEAST_BELOW:
    return titan_text_printf(text, "%s of at least %g and below %g", plain[option->type], constraint->minimum,
                             constraint->maximum);
  case TITAN_CONSTRAINT_FROM_TO:
    return titan_text_printf(text, "%s from %g to %g", plain[option->type], constraint->minimum, constraint->maximum);
  case TITAN_CONSTRAINT_FROM_TO_OR:
    return titan_text_printf(text, "%s from %g to %g, or %g", plain[option->type], constraint->minimum,
                             constraint->maximum, constraint->special);
  case TITAN_CONSTRAINT_NONE:
    break;
  }
  return titan_text_printf(text, "%s", plain[option->type]);
}

titan_status titan_option_format(const titan_config *config, const titan_option *option, bool quoted,
                                 titan_text *text) {
  const void *place = member(config, option);
  switch (option->type) {
  case TITAN_OPTION_BOOL:
    return titan_text_printf(text, "%s", *(const bool *)place ? "true" : "false");
  case TITAN_OPTION_INT:
    return titan_text_printf(text, "%" PRId64, *(const int64_t *)place);
  case TITAN_OPTION_FLOAT:
    return titan_number_append(*(const double *)place, text);
  case TITAN_OPTION_STRING:
  case TITAN_OPTION_PATH:
  case TITAN_OPTION_LIST:
    break;
  }
  const char *value = *(const char *const *)place;
  if (value == NULL)
    return titan_text_printf(text, "none");
  return quoted ? titan_string_append_quoted(value, text) : titan_text_printf(text, "%s", value);
}

bool titan_option_is_asked_for(const titan_config *config, const titan_option *option) {
  if (option->availability.off == NULL)
    return config->entries[option - titan_options].source != TITAN_SOURCE_DEFAULT;
  titan_text text = {0};
  // Without memory for the text, the option counts as asked for: the caller then reports it.
  bool asked =
      titan_option_format(config, option, false, &text) != TITAN_OK || strcmp(text.data, option->availability.off) != 0;
  titan_text_destroy(&text);
  return asked;
}

// Gives a word of the command line the type of its option, where it can be read so.
static titan_value interpret(const titan_option *option, titan_value value) {
  if (value.kind != TITAN_VALUE_WORD)
    return value;
  switch (option->type) {
  case TITAN_OPTION_BOOL:
    if (strcasecmp(value.string, "true") == 0 || strcasecmp(value.string, "false") == 0) {
      value.boolean = strcasecmp(value.string, "true") == 0;
      value.kind = TITAN_VALUE_BOOL;
    }
    break;
  case TITAN_OPTION_INT:
    if (parse_integer(value.string, &value.integer))
      value.kind = TITAN_VALUE_INT;
    break;
  case TITAN_OPTION_FLOAT:
    if (parse_number(value.string, &value.number))
      value.kind = TITAN_VALUE_FLOAT;
    break;
  case TITAN_OPTION_STRING:
  case TITAN_OPTION_PATH:
  case TITAN_OPTION_LIST:
    value.kind = TITAN_VALUE_STRING;
    break;
  }
  return value;
}

// Whether the value has the type and fulfils the constraint. An integer for WORD_OR_COUNT, and a boolean where true
// and false are choices, becomes text in `storage`; a choice in any case becomes the table's spelling of it.
static bool fits(const titan_option *option, titan_value *value, char *storage, size_t size) {
  switch (option->type) {
  case TITAN_OPTION_BOOL:
    return value->kind == TITAN_VALUE_BOOL;
  case TITAN_OPTION_INT:
    return value->kind == TITAN_VALUE_INT && number_holds(option, (double)value->integer);
  case TITAN_OPTION_FLOAT:
    if (value->kind == TITAN_VALUE_INT)
      value->number = (double)value->integer;
    else if (value->kind != TITAN_VALUE_FLOAT)
      return false;
    return number_holds(option, value->number);
  case TITAN_OPTION_LIST:
    return (value->kind == TITAN_VALUE_LIST || value->kind == TITAN_VALUE_STRING) &&
           string_holds(option, value->string);
  case TITAN_OPTION_STRING:
  case TITAN_OPTION_PATH:
    break;
  }
  if (value->kind == TITAN_VALUE_INT && option->constraint.kind == TITAN_CONSTRAINT_WORD_OR_COUNT) {
    snprintf(storage, size, "%" PRId64, value->integer);
    value->string = storage;
    value->kind = TITAN_VALUE_STRING;
  }
  if (value->kind == TITAN_VALUE_BOOL && option->constraint.kind == TITAN_CONSTRAINT_CHOICES) {
    snprintf(storage, size, "%s", value->boolean ? "true" : "false");
    value->string = storage;
    value->kind = string_holds(option, storage) ? TITAN_VALUE_STRING : TITAN_VALUE_BOOL;
  }
  if (value->kind != TITAN_VALUE_STRING || !string_holds(option, value->string))
    return false;
  if (option->constraint.kind == TITAN_CONSTRAINT_CHOICES_ANY_CASE &&
      find_choice(option->constraint.words, value->string, true, storage, size))
    value->string = storage;
  return true;
}

static titan_status store_string(titan_config *config, int index, const char *string) {
  const titan_option *option = &titan_options[index];
  const char *const *standard = member(&titan_config_defaults, option);
  // Where the default is none, an empty value means none.
  bool is_none = string == NULL || (*standard == NULL && *string == '\0');
  char *copy = NULL;
  if (!is_none)
    TITAN_TRY(titan_memory_duplicate(TITAN_MEMORY_CONFIG, string, &copy));
  titan_memory_free(config->entries[index].owned);
  config->entries[index].owned = copy;
  *(const char **)member_to_set(config, option) = copy;
  return TITAN_OK;
}

static titan_status store(titan_config *config, int index, bool negated, const titan_value *value,
                          const titan_option_place *place) {
  const titan_option *option = &titan_options[index];
  titan_config_entry *entry = &config->entries[index];
  char *origin;
  TITAN_TRY(titan_memory_duplicate(TITAN_MEMORY_CONFIG, place->origin, &origin));
  titan_memory_free(entry->origin);
  entry->origin = origin;
  entry->source = place->source;
  entry->file = place->file;
  switch (option->type) {
  case TITAN_OPTION_BOOL:
    *(bool *)member_to_set(config, option) = value->boolean != negated;
    return TITAN_OK;
  case TITAN_OPTION_INT:
    *(int64_t *)member_to_set(config, option) = value->integer;
    return TITAN_OK;
  case TITAN_OPTION_FLOAT:
    *(double *)member_to_set(config, option) = value->number;
    return TITAN_OK;
  case TITAN_OPTION_STRING:
  case TITAN_OPTION_PATH:
  case TITAN_OPTION_LIST:
    return store_string(config, index, value->string);
  }
  return titan_error(TITAN_ERROR_INTERNAL, "%s: unknown type of option", option->name);
}

static titan_status report_repetition(const titan_option *option, const titan_config_entry *entry,
                                      const titan_option_place *place, titan_problems *problems) {
  return titan_problems_add(problems, "%s: %s: given a second time, after %s; each option may be given once",
                            place->origin, option->name, entry->origin);
}

static titan_status report_value(const titan_option *option, const titan_value *value, const titan_value *typed,
                                 const titan_option_place *place, titan_problems *problems) {
  titan_text expected = {0}, found = {0};
  titan_status status = TITAN_OK;
  TITAN_TRY_CLEANUP(titan_option_expected(option, &expected));
  if (option->type == TITAN_OPTION_INT && typed->kind == TITAN_VALUE_INT && typed->integer > INT_MAX)
    TITAN_TRY_CLEANUP(titan_text_printf(&expected, " and at most %d", INT_MAX));
  titan_value shown = *value;
  if (typed->kind == TITAN_VALUE_LIST && option->type == TITAN_OPTION_LIST) // what is wrong is inside of it
    shown.kind = TITAN_VALUE_STRING;
  TITAN_TRY_CLEANUP(titan_value_describe(&shown, &found));
  TITAN_TRY_CLEANUP(titan_problems_add(problems, "%s: %s: expected %s, got %s", place->origin, option->name,
                                       expected.data, found.data));
cleanup:
  titan_text_destroy(&expected);
  titan_text_destroy(&found);
  return status;
}

// Replaces ~ and ${NAME} in a path; *expanded keeps it. *valid is false, and a problem is added, where that fails.
static titan_status expand(const titan_option *option, titan_value *value, const titan_option_place *place,
                           titan_problems *problems, titan_text *expanded, bool *valid) {
  bool is_list = option == &titan_options[TITAN_OPTION_job_config_file];
  titan_text problem = {0};
  titan_status status = TITAN_OK;
  if (option->type != TITAN_OPTION_PATH || value->kind != TITAN_VALUE_STRING)
    return TITAN_OK;
  TITAN_TRY_CLEANUP(is_list ? titan_path_expand_list(value->string, expanded, &problem)
                            : titan_path_expand(value->string, expanded, &problem));
  *valid = problem.length == 0;
  if (*valid)
    value->string = expanded->data;
  else
    TITAN_TRY_CLEANUP(
        titan_problems_add(problems, "%s: %s = %s: %s", place->origin, option->name, value->string, problem.data));
cleanup:
  titan_text_destroy(&problem);
  return status;
}

titan_status titan_option_assign(titan_config *config, int index, bool negated, titan_value value,
                                 const titan_option_place *place, titan_problems *problems) {
  const titan_option *option = &titan_options[index];
  const titan_config_entry *entry = &config->entries[index];
  if (place->source == TITAN_SOURCE_FILE && entry->source == TITAN_SOURCE_FILE && entry->file == place->file)
    return report_repetition(option, entry, place, problems);
  char storage[64];
  titan_text expanded = {0};
  titan_value typed = interpret(option, value);
  bool valid = true;
  titan_status status = TITAN_OK;
  TITAN_TRY_CLEANUP(expand(option, &typed, place, problems, &expanded, &valid));
  if (!valid)
    goto cleanup;
  if (fits(option, &typed, storage, sizeof storage))
    TITAN_TRY_CLEANUP(store(config, index, negated, &typed, place));
  else
    TITAN_TRY_CLEANUP(report_value(option, &value, &typed, place, problems));
cleanup:
  titan_text_destroy(&expanded);
  return status;
}
