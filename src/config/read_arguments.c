// SPDX-License-Identifier: Apache-2.0
#include "config/spelling.h"

#include <string.h>

// One option of the command line. name NULL: an argument that is no option (in `value`).
typedef struct argument {
  char name[TITAN_CONFIG_NAME_BYTES];
  bool is_option;
  int option;        // index, -1 when the name is no option's
  const char *value; // NULL when there is none
} argument;

static bool looks_like_option(const char *text) {
  return strncmp(text, "--", 2) == 0;
}

// Reads the argument at *position and moves *position behind it and its value.
static argument next_argument(int argc, const char *const *argv, int *position) {
  const char *text = argv[(*position)++];
  argument result = {.option = -1, .value = text};
  if (!looks_like_option(text))
    return result;
  result.is_option = true;
  text += 2;
  size_t length = strcspn(text, "=");
  size_t kept = length < TITAN_CONFIG_NAME_BYTES - 1 ? length : TITAN_CONFIG_NAME_BYTES - 1;
  memcpy(result.name, text, kept);
  result.name[kept] = '\0';
  bool negated;
  result.option = titan_option_find(result.name, &negated);
  result.value = NULL;
  if (text[length] == '=') {
    result.value = text + length + 1;
    return result;
  }
  if (*position == argc || looks_like_option(argv[*position]))
    return result;
  // Whatever follows an option is its value; an unknown option takes it with it, or it would be a second problem.
  result.value = argv[(*position)++];
  return result;
}

titan_config_request titan_config_find_request(int argc, const char *const *argv, const char **topic) {
  titan_config_request request = TITAN_REQUEST_RUN;
  *topic = NULL;
  for (int position = 1; position < argc; position++) {
    const char *text = argv[position];
    if (strncmp(text, "--help=", 7) == 0) {
      *topic = text + 7;
      return TITAN_REQUEST_HELP;
    }
    if (strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0) {
      bool has_topic = position + 1 < argc && argv[position + 1][0] != '-';
      *topic = has_topic ? argv[position + 1] : NULL;
      return TITAN_REQUEST_HELP;
    }
    if (strcmp(text, "--version") == 0)
      return TITAN_REQUEST_VERSION;
    if (strcmp(text, "--check") == 0)
      request = TITAN_REQUEST_CHECK;
  }
  return request;
}

const char *titan_config_find_files(int argc, const char *const *argv) {
  const char *last = NULL;
  for (int position = 1; position < argc;) {
    argument found = next_argument(argc, argv, &position);
    if (found.option == TITAN_OPTION_job_config_file && found.value != NULL && *found.value != '\0')
      last = found.value;
  }
  return last;
}

static titan_status report_unknown(const char *name, titan_problems *problems) {
  titan_text advice = {0};
  titan_status status = titan_option_advise(name, "the nearest known one is --", &advice);
  if (status == TITAN_OK)
    status = titan_problems_add(problems, "command line: --%s: unknown option; %s", name, advice.data);
  titan_text_destroy(&advice);
  return status;
}

static titan_status report_missing_value(const titan_option *option, titan_problems *problems) {
  titan_text expected = {0};
  titan_status status = titan_option_expected(option, &expected);
  if (status == TITAN_OK)
    status = titan_problems_add(problems, "command line: %s: expected %s, got no value", option->name, expected.data);
  titan_text_destroy(&expected);
  return status;
}

static bool is_configuration(const char *word) {
  size_t length = strlen(word);
  return (length > 5 && strcmp(word + length - 5, ".toml") == 0) ||
         (length > 4 && strcmp(word + length - 4, ".cfg") == 0);
}

static titan_status apply(titan_config *config, const argument *found, titan_problems *problems) {
  if (!found->is_option && is_configuration(found->value))
    return titan_problems_add(problems,
                              "command line: unexpected argument \"%s\"; a configuration file is given as "
                              "--job.config_file %s",
                              found->value, found->value);
  if (!found->is_option)
    return titan_problems_add(
        problems, "command line: unexpected argument \"%s\"; options are written --section.key value", found->value);
  if (strcmp(found->name, "check") == 0) // titan_config_find_request has read it
    return found->value == NULL
               ? TITAN_OK
               : titan_problems_add(problems, "command line: --check: expected no value, got \"%s\"", found->value);
  titan_value value = {.kind = TITAN_VALUE_WORD, .string = found->value};
  if (found->value == NULL) { // it stands alone
    if (found->option >= 0 && titan_options[found->option].type != TITAN_OPTION_BOOL)
      return report_missing_value(&titan_options[found->option], problems);
    value = (titan_value){.kind = TITAN_VALUE_BOOL, .boolean = true};
  }
  titan_option_place place = {.source = TITAN_SOURCE_COMMAND_LINE, .origin = "command line"};
  bool known = false;
  TITAN_TRY(titan_name_assign(config, found->name, value, &place, problems, &known));
  return known ? TITAN_OK : report_unknown(found->name, problems);
}

titan_status titan_config_read_arguments(titan_config *config, int argc, const char *const *argv,
                                         titan_problems *problems) {
  for (int position = 1; position < argc;) {
    argument found = next_argument(argc, argv, &position);
    TITAN_TRY(apply(config, &found, problems));
  }
  return TITAN_OK;
}
