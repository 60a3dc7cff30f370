#include "config/option.h"

#include <string.h>

enum { LONGEST_NAME = 128 };

// One option of the command line. name NULL: an argument that is no option (in `value`).
typedef struct argument {
  char name[LONGEST_NAME];
  bool is_option;
  int option; // index, -1 when the name is unknown
  bool negated;
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
  size_t kept = length < LONGEST_NAME - 1 ? length : LONGEST_NAME - 1;
  memcpy(result.name, text, kept);
  result.name[kept] = '\0';
  result.option = titan_option_find(result.name, &result.negated);
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

titan_config_request titan_config_find_request(int argc, const char *const *argv) {
  for (int position = 1; position < argc; position++) {
    if (strcmp(argv[position], "--help") == 0 || strcmp(argv[position], "-h") == 0)
      return TITAN_REQUEST_HELP;
    if (strcmp(argv[position], "--version") == 0)
      return TITAN_REQUEST_VERSION;
  }
  return TITAN_REQUEST_RUN;
}

const char *titan_config_find_file(int argc, const char *const *argv) {
  for (int position = 1; position < argc;) {
    argument found = next_argument(argc, argv, &position);
    if (found.option == TITAN_OPTION_job_config_file && found.value != NULL && *found.value != '\0')
      return found.value;
  }
  return NULL;
}

static titan_status apply(titan_config *config, const argument *found, titan_problems *problems) {
  if (!found->is_option)
    return titan_problems_add(
        problems, "command line: unexpected argument \"%s\"; options are written --section.key value", found->value);
  if (found->option < 0)
    return titan_problems_add(problems, "command line: --%s: unknown option; the nearest known one is --%s",
                              found->name, titan_option_nearest(found->name));
  const titan_option *option = &titan_options[found->option];
  titan_value value = {.kind = TITAN_VALUE_WORD, .string = found->value};
  if (found->value == NULL && option->type == TITAN_OPTION_BOOL) {
    value.kind = TITAN_VALUE_BOOL;
    value.boolean = true;
  } else if (found->value == NULL) {
    titan_text expected = {0};
    titan_status status = titan_option_expected(option, &expected);
    if (status == TITAN_OK)
      status = titan_problems_add(problems, "command line: %s: expected %s, got no value", option->name, expected.data);
    titan_text_destroy(&expected);
    return status;
  }
  titan_option_place place = {.source = TITAN_SOURCE_COMMAND_LINE, .origin = "command line"};
  return titan_option_assign(config, found->option, found->negated, value, &place, problems);
}

titan_status titan_config_read_arguments(titan_config *config, int argc, const char *const *argv,
                                         titan_problems *problems) {
  for (int position = 1; position < argc;) {
    argument found = next_argument(argc, argv, &position);
    TITAN_TRY(apply(config, &found, problems));
  }
  return TITAN_OK;
}
