// SPDX-License-Identifier: Apache-2.0
// The table of options as docs/options.md, and a configuration as TOML. --help is in help.c.
#include "config/config.h"

#include "config/spelling.h"

#include <string.h>

titan_status titan_option_write(const titan_text *text, FILE *file) {
  fwrite(text->data, 1, text->length, file);
  return titan_text_flush(file, "the text of the options");
}

const char *titan_option_availability(const titan_option *option) {
  switch (option->availability.kind) {
  case TITAN_AVAILABLE:
    return NULL;
  case TITAN_LATER:
  case TITAN_LATER_WARNED:
    return "not available in this build yet";
  case TITAN_NO_EFFECT:
    return "no effect";
  case TITAN_REFUSED:
    return "not offered";
  }
  return NULL;
}

titan_status titan_option_format_default(const titan_option *option, titan_text *text) {
  const char *const *value = (const void *)((const char *)&titan_config_defaults + option->offset);
  bool is_string = titan_option_is_text(option);
  return titan_option_format(&titan_config_defaults, option, is_string && *value != NULL, text);
}

static titan_status append_markdown_row(const titan_option *option, titan_text *text) {
  const char *availability = titan_option_availability(option);
  TITAN_TRY(titan_text_printf(text, "| `%s` | ", option->key));
  TITAN_TRY(titan_option_expected(option, text));
  TITAN_TRY(titan_text_printf(text, " | `"));
  TITAN_TRY(titan_option_format_default(option, text));
  TITAN_TRY(titan_text_printf(text, "` | %s.", option->help));
  if (option->origin == TITAN_ORIGIN_OURS)
    TITAN_TRY(titan_text_printf(text, " *Ours.*"));
  if (availability != NULL)
    TITAN_TRY(titan_text_printf(text, " **%c%s.**", availability[0] - 'a' + 'A', availability + 1));
  return titan_text_printf(text, " |\n");
}

static const char MARKDOWN_HEAD[] =
    "# Options\n"
    "\n"
    "This page lists all options of titan-hpc and explains how to set them. `titan-hpc --help SECTION` and\n"
    "`titan-hpc --help SECTION.OPTION` print a part of it.\n"
    "\n"
    "## Setting options\n"
    "\n"
    "- On the command line: `--section.key value` or `--section.key=value`. An option of true or false without a "
    "value\n"
    "  is true. The last value of a repeated option counts.\n"
    "- In a configuration file, `--job.config_file FILE`: TOML if the name ends in `.toml`, libconfig if it ends in\n"
    "  `.cfg`. Several files are separated by commas; later files override earlier ones.\n"
    "- The command line overrides the files, and the files override the defaults.\n"
    "- An empty value means none, for an option whose default is none.\n"
    "- In a path, `~` at the beginning is the home folder, and `${NAME}` is an environment variable, in files too.\n"
    "  A variable that is not set, or empty, is an error. `~name` and `$NAME` are not replaced.\n"
    "\n"
    "Unknown sections and keys, wrong types, values out of range and repeated keys in a file are errors. One message\n"
    "lists all of them, with file, line and the nearest known key. The exit code is 2.\n"
    "\n"
    "## Compatibility with TorchTitan\n"
    "\n"
    "Names, types and defaults are those of TorchTitan (December 2024), except options marked *Ours*. Keys of later\n"
    "versions of TorchTitan are accepted too ([later spellings](#later-spellings)). Options marked *not available in\n"
    "this build yet* are read and checked. A run that sets one ends with exit code 2, or continues with a warning if\n"
    "the option changes no number.\n"
    "\n"
    "`src/config/options.def` generates this page (`cmake --build <build folder> --target options_doc`).\n";

static const char MARKDOWN_SPELLINGS[] =
    "\n## Later spellings\n"
    "\n"
    "These keys are in versions of TorchTitan up to autumn 2025. titan-hpc accepts them in files and on the command\n"
    "line. A key without a counterpart is accepted with the listed values only. The rows are in\n"
    "`src/config/spellings.def`.\n"
    "\n"
    "| key | meaning |\n|---|---|\n";

static titan_status append_markdown_spellings(titan_text *text) {
  TITAN_TRY(titan_text_append(text, MARKDOWN_SPELLINGS, sizeof MARKDOWN_SPELLINGS - 1));
  for (size_t i = 0; i < titan_spelling_count; i++) {
    TITAN_TRY(titan_text_printf(text, "| `%s` | ", titan_spellings[i].name));
    TITAN_TRY(titan_spelling_describe(&titan_spellings[i], text));
    TITAN_TRY(titan_text_printf(text, " |\n"));
  }
  return TITAN_OK;
}

titan_status titan_config_print_markdown(FILE *file) {
  titan_text text = {0};
  titan_status status = TITAN_OK;
  TITAN_TRY_CLEANUP(titan_text_append(&text, MARKDOWN_HEAD, strlen(MARKDOWN_HEAD)));
  for (size_t s = 0; s < titan_option_section_count; s++) {
    const titan_option_section *section = &titan_option_sections[s];
    TITAN_TRY_CLEANUP(titan_text_printf(&text, "\n## `%s`: %s\n\n| key | takes | default | |\n|---|---|---|---|\n",
                                        section->name, section->text));
    for (int i = 0; i < TITAN_OPTION_COUNT; i++)
      if (strcmp(titan_options[i].section, section->name) == 0)
        TITAN_TRY_CLEANUP(append_markdown_row(&titan_options[i], &text));
  }
  TITAN_TRY_CLEANUP(append_markdown_spellings(&text));
  TITAN_TRY_CLEANUP(titan_option_write(&text, file));
cleanup:
  titan_text_destroy(&text);
  return status;
}

// "steps = 10  # run.toml:12". What was not given stands in a comment with its default: a file that gave it would ask
// for it. So does what a file may not hold.
static titan_status append_toml_row(const titan_config *config, int index, titan_text *text) {
  const titan_option *option = &titan_options[index];
  const char *const *value = (const void *)((const char *)config + option->offset);
  bool is_string = titan_option_is_text(option);
  bool is_none = is_string && *value == NULL;
  bool commented =
      is_none || index == TITAN_OPTION_job_config_file || config->entries[index].source == TITAN_SOURCE_DEFAULT;
  TITAN_TRY(titan_text_printf(text, "%s%s = ", commented ? "# " : "", option->key));
  TITAN_TRY(titan_option_format(config, option, is_string && !is_none, text));
  const char *origin = config->entries[index].origin;
  bool shown = origin != NULL && strpbrk(origin, "\r\n") == NULL; // a file's name may hold what a comment may not
  return shown ? titan_text_printf(text, "  # %s\n", origin) : titan_text_append(text, "\n", 1);
}

titan_status titan_config_to_toml(const titan_config *config, titan_text *text) {
  for (size_t s = 0; s < titan_option_section_count; s++) {
    const char *section = titan_option_sections[s].name;
    TITAN_TRY(titan_text_printf(text, "%s[%s]\n", s > 0 ? "\n" : "", section));
    for (int i = 0; i < TITAN_OPTION_COUNT; i++)
      if (strcmp(titan_options[i].section, section) == 0)
        TITAN_TRY(append_toml_row(config, i, text));
  }
  return TITAN_OK;
}

titan_status titan_config_print(const titan_config *config, FILE *file) {
  titan_text text = {0};
  titan_status status = TITAN_OK;
  TITAN_TRY_CLEANUP(titan_config_to_toml(config, &text));
  TITAN_TRY_CLEANUP(titan_option_write(&text, file));
cleanup:
  titan_text_destroy(&text);
  return status;
}
