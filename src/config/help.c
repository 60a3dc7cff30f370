// SPDX-License-Identifier: Apache-2.0
// The table of options as --help prints it.
#include "config/config.h"

#include "base/memory.h"
#include "config/spelling.h"

#include <string.h>

enum { HELP_WIDTH = 100, HELP_INDENT = 6 };

// Most used first; the sections that are not named here follow in the order of the table.
static const char *const most_used[] = {"job",
                                        "model",
                                        "training",
                                        "optimizer",
                                        "checkpoint",
                                        "lr_scheduler",
                                        "validation",
                                        "experimental",
                                        "metrics",
                                        "activation_checkpoint",
                                        "memory_estimation"};

static size_t rank_of_use(const char *section) {
  size_t rank = 0;
  while (rank < sizeof most_used / sizeof most_used[0] && strcmp(most_used[rank], section) != 0)
    rank++;
  return rank;
}

void titan_option_sections_by_use(const titan_option_section **order) {
  size_t count = 0;
  for (size_t rank = 0; rank <= sizeof most_used / sizeof most_used[0]; rank++)
    for (size_t s = 0; s < titan_option_section_count; s++)
      if (rank_of_use(titan_option_sections[s].name) == rank)
        order[count++] = &titan_option_sections[s];
}

bool titan_option_may_be_in_a_file(const titan_option *option) {
  return option != &titan_options[TITAN_OPTION_job_config_file];
}

titan_status titan_option_describe(const titan_option *option, titan_text *text) {
  const char *availability = titan_option_availability(option);
  TITAN_TRY(titan_text_printf(text, "%s%s%s%s. Takes ", option->help, availability ? " (" : "",
                              availability ? availability : "", availability ? ")" : ""));
  TITAN_TRY(titan_option_expected(option, text));
  TITAN_TRY(titan_text_printf(text, "; default "));
  TITAN_TRY(titan_option_format_default(option, text));
  return titan_text_printf(text, ".");
}

// Appends text in lines of at most HELP_WIDTH bytes, each after HELP_INDENT blanks, broken at blanks.
static titan_status append_wrapped(const char *text, titan_text *out) {
  const size_t width = HELP_WIDTH - HELP_INDENT;
  while (*text != '\0') {
    size_t length = strlen(text);
    if (length > width) {
      length = width;
      while (length > 0 && text[length] != ' ')
        length--;
      if (length == 0)
        length = strcspn(text, " ");
    }
    TITAN_TRY(titan_text_printf(out, "%*s%.*s\n", HELP_INDENT, "", (int)length, text));
    text += length;
    text += strspn(text, " ");
  }
  return TITAN_OK;
}

static titan_status append_option_help(const titan_option *option, titan_text *out) {
  titan_text paragraph = {0};
  titan_status status = TITAN_OK;
  TITAN_TRY_CLEANUP(
      titan_text_printf(out, "  --%s%s\n", option->name, option->origin == TITAN_ORIGIN_OURS ? "  [ours]" : ""));
  TITAN_TRY_CLEANUP(titan_option_describe(option, &paragraph));
  TITAN_TRY_CLEANUP(append_wrapped(paragraph.data, out));
cleanup:
  titan_text_destroy(&paragraph);
  return status;
}

// A setting as a file has it: steps = 10000. An option without a default gets a stand-in.
static titan_status append_setting(const titan_option *option, titan_text *out) {
  const char *const *value = (const void *)((const char *)&titan_config_defaults + option->offset);
  TITAN_TRY(titan_text_printf(out, "%s = ", option->key));
  if (option->type == TITAN_OPTION_LIST)
    return titan_text_printf(out, "[\"...\", \"...\"]");
  if (titan_option_is_text(option) && *value == NULL)
    return titan_text_printf(out, "\"...\"");
  return titan_option_format_default(option, out);
}

static titan_status append_places(const titan_option *option, titan_text *out) {
  if (option->type == TITAN_OPTION_BOOL)
    TITAN_TRY(
        titan_text_printf(out, "%*sCommand line: --%s or --%s=false\n", HELP_INDENT, "", option->name, option->name));
  else
    TITAN_TRY(titan_text_printf(out, "%*sCommand line: --%s VALUE or --%s=VALUE\n", HELP_INDENT, "", option->name,
                                option->name));
  if (!titan_option_may_be_in_a_file(option))
    return titan_text_printf(out, "%*sA configuration file may not have it.\n", HELP_INDENT, "");
  TITAN_TRY(titan_text_printf(out, "%*sTOML file: [%s], then ", HELP_INDENT, "", option->section));
  TITAN_TRY(append_setting(option, out));
  TITAN_TRY(titan_text_printf(out, "\n%*slibconfig file: %s: { ", HELP_INDENT, "", option->section));
  TITAN_TRY(append_setting(option, out));
  return titan_text_printf(out, "; };\n");
}

// The keys of spellings.def that set this option.
static titan_status append_other_spellings(int index, titan_text *out) {
  for (size_t i = 0; i < titan_spelling_count; i++) {
    if (titan_spellings[i].target != index)
      continue;
    TITAN_TRY(titan_text_printf(out, "%*sOther spelling: --%s (", HELP_INDENT, "", titan_spellings[i].name));
    if (titan_spellings[i].meaning.kind == TITAN_MEANING_SAME)
      TITAN_TRY(titan_text_printf(out, "the same"));
    else
      TITAN_TRY(titan_spelling_describe(&titan_spellings[i], out));
    TITAN_TRY(titan_text_printf(out, ")\n"));
  }
  return TITAN_OK;
}

// All that is known of one option.
static titan_status append_option_in_full(int index, titan_text *out) {
  const titan_option *option = &titan_options[index];
  titan_text reason = {0};
  titan_status status = TITAN_OK;
  TITAN_TRY_CLEANUP(append_option_help(option, out));
  if (option->availability.note != NULL) {
    TITAN_TRY_CLEANUP(titan_text_printf(&reason, "If it is set: %s.", option->availability.note));
    TITAN_TRY_CLEANUP(append_wrapped(reason.data, out));
  }
  TITAN_TRY_CLEANUP(append_places(option, out));
  TITAN_TRY_CLEANUP(append_other_spellings(index, out));
cleanup:
  titan_text_destroy(&reason);
  return status;
}

static titan_status append_spelling_help(const titan_spelling *spelling, titan_text *out) {
  titan_text paragraph = {0};
  titan_status status = TITAN_OK;
  TITAN_TRY_CLEANUP(titan_text_printf(out, "  --%s\n", spelling->name));
  TITAN_TRY_CLEANUP(titan_text_printf(&paragraph, "A later spelling of TorchTitan's: "));
  TITAN_TRY_CLEANUP(titan_spelling_describe(spelling, &paragraph));
  TITAN_TRY_CLEANUP(titan_text_printf(&paragraph, "."));
  TITAN_TRY_CLEANUP(append_wrapped(paragraph.data, out));
cleanup:
  titan_text_destroy(&paragraph);
  return status;
}

static titan_status append_section_help(const titan_option_section *section, titan_text *out) {
  TITAN_TRY(titan_text_printf(out, "%s: %s\n", section->name, section->text));
  for (int i = 0; i < TITAN_OPTION_COUNT; i++)
    if (strcmp(titan_options[i].section, section->name) == 0)
      TITAN_TRY(append_option_help(&titan_options[i], out));
  return TITAN_OK;
}

static titan_status append_all_help(titan_text *out) {
  TITAN_TRY(titan_text_printf(
      out,
      "Usage: titan-hpc [--job.config_file FILE[,FILE]...] [--section.option VALUE | --section.option=VALUE]...\n"
      "       titan-hpc --check [the options of a run]\n"
      "       titan-hpc --help [SECTION | SECTION.OPTION] | --version\n\n"
      "Trains a Llama model. The command line overrides the configuration files (.toml or .cfg), later files override\n"
      "earlier ones, and files override the defaults. An option of true or false without a value is true. The last\n"
      "value of a repeated option counts. In paths, ~ and ${NAME} are replaced. TorchTitan does not have the options\n"
      "marked [ours].\n\n"
      "--check measures the ranks, links and groups of a run in seconds, trains nothing, and names what is slow, with\n"
      "exit code 0 and a WARNING (docs/clusters.md). With --metrics.log_format json it prints JSON lines.\n\n"
      "Sections, the most used first. `titan-hpc --help SECTION` prints one, `titan-hpc --help SECTION.OPTION` one\n"
      "option in full:\n\n"));
  const titan_option_section **order = NULL;
  titan_status status = TITAN_OK;
  TITAN_TRY(titan_memory_allocate(TITAN_MEMORY_CONFIG, titan_option_section_count * sizeof *order, &order));
  titan_option_sections_by_use(order);
  for (size_t s = 0; s < titan_option_section_count; s++)
    TITAN_TRY_CLEANUP(titan_text_printf(out, "  %-22s %s\n", order[s]->name, order[s]->text));
  for (size_t s = 0; s < titan_option_section_count; s++) {
    TITAN_TRY_CLEANUP(titan_text_printf(out, "\n"));
    TITAN_TRY_CLEANUP(append_section_help(order[s], out));
  }
  TITAN_TRY_CLEANUP(
      titan_text_printf(out, "\nLater spellings of TorchTitan are accepted too, such as --training.local_batch_size: "
                             "see docs/options.md.\n"));
cleanup:
  titan_memory_free(order);
  return status;
}

// A section of the table, or one that only spellings have.
static titan_status append_topic_section(const char *topic, titan_text *out) {
  for (size_t s = 0; s < titan_option_section_count; s++)
    if (strcmp(titan_option_sections[s].name, topic) == 0)
      TITAN_TRY(append_section_help(&titan_option_sections[s], out));
  for (size_t i = 0; i < titan_spelling_count; i++)
    if (strcmp(titan_spellings[i].section, topic) == 0)
      TITAN_TRY(append_spelling_help(&titan_spellings[i], out));
  return TITAN_OK;
}

static titan_status append_topic_option(const char *name, titan_text *out) {
  bool negated;
  int index = titan_option_find(name, &negated);
  const titan_spelling *spelling = titan_spelling_find(name);
  if (spelling != NULL && (index < 0 || strcmp(titan_options[index].name, name) != 0))
    TITAN_TRY(append_spelling_help(spelling, out));
  return index >= 0 ? append_option_in_full(index, out) : TITAN_OK;
}

// Whether the word is the key of an option, without its section.
static bool is_key(const char *word) {
  for (int i = 0; i < TITAN_OPTION_COUNT; i++)
    if (strcmp(titan_options[i].key, word) == 0)
      return true;
  return false;
}

static titan_status report_topic(const char *topic) {
  titan_text advice = {0};
  bool is_option = strchr(topic, '.') != NULL || is_key(topic);
  titan_status status = is_option ? titan_option_advise(topic, "the nearest known one is ", &advice)
                                  : titan_option_advise_section(topic, &advice);
  if (status == TITAN_OK)
    status = titan_error(TITAN_ERROR_USAGE, "--help %s: expected a section, or an option as section.option; %s", topic,
                         advice.data);
  titan_text_destroy(&advice);
  return status;
}

titan_status titan_config_print_help(const char *topic, FILE *file) {
  titan_text text = {0};
  titan_status status = TITAN_OK;
  topic += strspn(topic, "-");
  TITAN_TRY_CLEANUP(*topic == '\0'                       ? append_all_help(&text)
                    : titan_option_section_exists(topic) ? append_topic_section(topic, &text)
                                                         : append_topic_option(topic, &text));
  TITAN_TRY_CLEANUP(text.length > 0 ? titan_option_write(&text, file) : report_topic(topic));
cleanup:
  titan_text_destroy(&text);
  return status;
}

titan_status titan_config_print_usage(FILE *file) {
  static const char lines[] =
      "Usage: titan-hpc --job.config_file FILE [--section.option VALUE]...\n"
      "Try a small model: mpirun -np 2 titan-hpc --job.dump_folder outputs --training.steps 10 --training.seq_len 256\n"
      "All options: titan-hpc --help; those of one section: titan-hpc --help training\n";
  titan_text text = {0};
  titan_status status = titan_text_append(&text, lines, sizeof lines - 1);
  if (status == TITAN_OK)
    status = titan_option_write(&text, file);
  titan_text_destroy(&text);
  return status;
}
